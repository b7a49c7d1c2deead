"""A check that a checkpoint belongs to the model, before anything is computed with it."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner

from mmosnet.models.checkpoint_fit import check_fit
from mmosnet.registry import HOOKS


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Refuse a checkpoint of another network.

    mmengine loads what fits, warns about the rest and goes on: a checkpoint of another width, or a released file that
    was not converted, would be evaluated as a random network. The backbone must fit entirely, and the neck too if the
    checkpoint has one. In training heads may differ: other data sets have other identities. In testing neck and heads
    must fit, but for classifiers of identities.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names and shapes, and log what of the model is not in the checkpoint.

        Raises:
            DataError: Counts what does not fit and names the first entry.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        found = {k.removeprefix('module.'): v for k, v in checkpoint.get('state_dict', checkpoint).items()}
        state = model.state_dict()
        # A test has a training loop's config at most; training may start from a backbone alone.
        testing = not isinstance(runner._train_loop, BaseLoop)
        check_fit(state, found, runner._load_from, testing)
        new = [name for name, value in state.items() if name not in found or found[name].shape != value.shape]
        used = len(state) - len(new)
        runner.logger.info(f'{runner._load_from}: {used} entries used; new in the model: {", ".join(new) or "nothing"}')
