"""A check that heads, checkpoint and data sets agree, before the first batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from mmpretrain.models import ClsHead, MultiLabelClsHead
from torch import nn

from mmosnet.errors import DataError
from mmosnet.models.joint_head import JointHead
from mmosnet.models.reid_head import ReIDHead
from mmosnet.registry import HOOKS


@HOOKS.register_module()
class NumClassesHook(Hook):
    """Compare each head's ``num_classes`` with the identities, attributes or categories of the training set, and the
    names of attributes and categories with those of the data set to evaluate.

    Without it a head that is too small fails inside the loss (on a GPU with an unrelated-looking assertion), one that
    is too large trains with dead outputs, and attributes in another order are scored as each other. mmdet's
    ``NumClassCheckHook`` needs class names and compares numbers alone.
    """

    def before_train(self, runner: Runner) -> None:
        """Raise where they differ.

        Raises:
            DataError: Names both numbers and the option to set, or the first name that differs.
        """
        metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', {})
        loop = getattr(runner, 'val_loop', None)
        if loop is not None:
            compare_names(_head(runner), metainfo, 'The training set', _metainfo(loop))
        for option, head in _heads(_head(runner)):
            what, found = _labels(head, metainfo)
            num_classes = getattr(head, 'num_classes', None)
            if None not in (found, num_classes) and found != num_classes:
                raise DataError(
                    f'The training set has {found} {what} and the head {num_classes} classes; set '
                    f'{option}.num_classes={found} (--cfg-options {option}.num_classes={found})'
                )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the names saved in a checkpoint with those of the data set that it is tested on.

        Raises:
            DataError: Names the first that differs.
        """
        if isinstance(runner._train_loop, BaseLoop):
            return
        trained = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
        for loop in (runner._test_loop, runner._val_loop):
            if isinstance(loop, BaseLoop):
                compare_names(_head(runner), trained, f'The training set of {runner._load_from}', _metainfo(loop))


def _head(runner: Runner) -> nn.Module | None:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return getattr(model, 'head', None)


def _metainfo(loop: BaseLoop) -> Mapping:
    return getattr(loop.dataloader.dataset, 'metainfo', {})


def compare_names(head: nn.Module | None, trained: Mapping, place: str, metainfo: Mapping) -> None:
    """Hold the names that the outputs of the heads were trained for against those of a data set to evaluate.

    Args:
        head: Of the model.
        trained: Facts of the training set: ``attributes``, ``classes``.
        place: Where these come from, for the error's text.
        metainfo: Facts of the data set to evaluate.

    Raises:
        DataError: Names the first that differs.
    """
    for _, part in _heads(head):
        key = _names_key(part)
        names, others = ([str(name) for name in facts.get(key) or ()] for facts in (trained, metainfo))
        # Different numbers are the metrics' matter: they know what to set.
        if len(names) == len(others) and names != others:
            first = next(i for i, pair in enumerate(zip(names, others, strict=True)) if len(set(pair)) > 1)
            raise DataError(
                f'{place} calls output {first} of the {key} {names[first]!r} and the data set to evaluate '
                f'{others[first]!r}: they would be scored as each other. Give both data sets the same {key}=[...], '
                'in the same order'
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
    if isinstance(head, ReIDHead):
        return 'identities', metainfo.get('num_train_pids')
    key = _names_key(head)
    names = metainfo.get(key)
    return ('categories' if key == 'classes' else key, len(names)) if names else ('', None)


def _names_key(head: nn.Module | None) -> str:
    """Where a data set has the names of a head's outputs; empty for one without."""
    if isinstance(head, MultiLabelClsHead):
        return 'attributes'
    return 'classes' if isinstance(head, ClsHead) and not isinstance(head, ReIDHead) else ''
