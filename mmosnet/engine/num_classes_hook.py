"""A check that heads and data set agree, before the first batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpretrain.models import ClsHead, MultiLabelClsHead
from torch import nn

from mmosnet.errors import DataError
from mmosnet.models.joint_head import JointHead
from mmosnet.models.reid_head import ReIDHead
from mmosnet.registry import HOOKS


@HOOKS.register_module()
class NumClassesHook(Hook):
    """Compare each head's ``num_classes`` with the identities, attributes or categories of the training set.

    Without it a head that is too small fails inside the loss (on a GPU with an unrelated-looking assertion), and one
    that is too large trains with dead outputs. mmdet's ``NumClassCheckHook`` needs class names.
    """

    def before_train(self, runner: Runner) -> None:
        """Raise where they differ.

        Raises:
            DataError: Names both numbers and the option to set.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', {})
        for option, head in _heads(getattr(model, 'head', None)):
            what, found = _labels(head, metainfo)
            num_classes = getattr(head, 'num_classes', None)
            if None not in (found, num_classes) and found != num_classes:
                raise DataError(
                    f'The training set has {found} {what} and the head {num_classes} classes; set '
                    f'{option}.num_classes={found} (--cfg-options {option}.num_classes={found})'
                )


def _heads(head: nn.Module | None) -> Iterator[tuple[str, nn.Module | None]]:
    """Every head with its place in the config."""
    if isinstance(head, JointHead):
        for task, part in head.heads.items():
            yield f'model.head.heads.{task}', part
    else:
        yield 'model.head', head


def _labels(head: nn.Module | None, metainfo: Mapping) -> tuple[str, int | None]:
    """What a head tells apart, and how many the data set says that it has; None where it says nothing."""
    names = None
    if isinstance(head, ReIDHead):
        return 'identities', metainfo.get('num_train_pids')
    if isinstance(head, MultiLabelClsHead):
        what, names = 'attributes', metainfo.get('attributes')
    elif isinstance(head, ClsHead):
        what, names = 'categories', metainfo.get('classes')
    return (what, len(names)) if names else ('', None)
