"""The "fixed base" of the fine-tuning recipes (section 4.1 of the paper, ``fixbase_epoch`` in the released code)."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from mmosnet.errors import DataError
from mmosnet.registry import HOOKS


@HOOKS.register_module()
class BaseFreezeHook(Hook):
    """Train only the classifier in the first epochs: a new one must not wreck pretrained features.

    All else gets no gradient and stays in evaluation mode, batch statistics included. The frozen epochs count and the
    learning-rate schedule goes on. mmpretrain's ``frozen_stages`` freezes for good and only the backbone.

    Args:
        num_epochs: Frozen epochs at the start, fewer than the training has; 0 for none.
        trainable: Names of the modules that train meanwhile.
    """

    def __init__(self, num_epochs: int, trainable: Sequence[str] = ('head.classifier',)) -> None:
        self.num_epochs = num_epochs
        self.trainable = tuple(trainable)
        self.frozen_parameters: list[nn.Parameter] | None = None

    def before_train(self, runner: Runner) -> None:
        """Refuse a training that ends before the whole model trains.

        Raises:
            DataError: Names the frozen epochs, those of the training, and the remedy.
        """
        if self.num_epochs <= 0:
            return
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise DataError(
                f'BaseFreezeHook freezes {self.num_epochs} epochs and this training counts none, but '
                f'{runner.max_iters} iterations: it would freeze for good. Take the hook out of custom_hooks, or train '
                'by epochs: train_cfg=dict(by_epoch=True, max_epochs=...)'
            )
        if self.num_epochs >= runner.max_epochs:
            hooks = runner.cfg.get('custom_hooks') or []
            place = next((i for i, hook in enumerate(hooks) if _is_freeze(hook)), 'N')
            raise DataError(
                f'BaseFreezeHook freezes {self.num_epochs} epochs and the training has {runner.max_epochs}: only '
                f'{", ".join(self.trainable)} would train. Freeze less than it trains, a tenth or so: --cfg-options '
                f'custom_hooks.{place}.num_epochs={runner.max_epochs // 10}'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Freeze when training starts (or resumes) in the frozen epochs, release when they are over."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if runner.epoch < self.num_epochs and self.frozen_parameters is None:
            self._freeze(model)
            runner.logger.info(f'BaseFreezeHook: only {", ".join(self.trainable)} train in {self.num_epochs} epochs')
        elif runner.epoch >= self.num_epochs and self.frozen_parameters is not None:
            # Only what this hook froze: a BNNeck's shift, say, is frozen for good.
            for parameter in self.frozen_parameters:
                parameter.requires_grad_(True)
            self.frozen_parameters = None
            runner.logger.info('BaseFreezeHook: the whole model trains')
        else:
            return
        if is_model_wrapper(runner.model):
            # DistributedDataParallel waits for the gradients of the parameters that trained when it was made.
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Keep the frozen part in evaluation mode: the loop calls ``model.train()`` after ``before_train_epoch``."""
        if self.frozen_parameters is not None:
            model = runner.model.module if is_model_wrapper(runner.model) else runner.model
            model.eval()
            for name in self.trainable:
                model.get_submodule(name).train()

    def _freeze(self, model: nn.Module) -> None:
        open_parameters = set()
        for name in self.trainable:
            try:
                open_parameters.update(model.get_submodule(name).parameters())
            except AttributeError as e:
                raise DataError(f'BaseFreezeHook: the model has no module {name!r} to train ({e})') from e
        self.frozen_parameters = [p for p in model.parameters() if p.requires_grad and p not in open_parameters]
        for parameter in self.frozen_parameters:
            parameter.requires_grad_(False)


def _is_freeze(hook: object) -> bool:
    return isinstance(hook, dict) and str(hook.get('type')).rpartition('.')[2].startswith('BaseFreezeHook')
