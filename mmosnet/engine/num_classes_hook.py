"""A check that head and data set agree, before the first batch."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmosnet.errors import DataError
from mmosnet.registry import HOOKS


@HOOKS.register_module()
class NumClassesHook(Hook):
    """Compare the head's ``num_classes`` with the identities of the training set.

    Without it a head that is too small fails inside the loss (on a GPU with an unrelated-looking assertion), and one
    that is too large trains with dead outputs. mmdet's ``NumClassCheckHook`` needs class names.
    """

    def before_train(self, runner: Runner) -> None:
        """Raise where they differ.

        Raises:
            DataError: Names both numbers and the option to set.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        num_pids = getattr(runner.train_dataloader.dataset, 'metainfo', {}).get('num_train_pids')
        num_classes = getattr(getattr(model, 'head', None), 'num_classes', None)
        if None not in (num_pids, num_classes) and num_pids != num_classes:
            raise DataError(
                f'The training set has {num_pids} identities and the head {num_classes} classes; set '
                f'model.head.num_classes={num_pids} (--cfg-options model.head.num_classes={num_pids})'
            )
