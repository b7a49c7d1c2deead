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
        """Compare names and shapes, and log what of the model is not in the checkpoint, and the other way round.

        What is loaded afterwards is the model's own state with the entries that fit: mmengine would repeat all others
        as a warning.

        Raises:
            DataError: Counts what does not fit and names the first entry.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        found = {k.removeprefix('module.'): v for k, v in checkpoint.get('state_dict', checkpoint).items()}
        state = model.state_dict()
        # A test has a training loop's config at most; training may start from a backbone alone.
        testing = not isinstance(runner._train_loop, BaseLoop)
        check_fit(state, found, runner._load_from, testing)
        fitting = {
            name: found[name] for name, value in state.items() if name in found and found[name].shape == value.shape
        }
        new = [name for name in state if name not in fitting]
        surplus = [name for name in found if name not in state]
        left_out = f'; left out: {_some(surplus)}' if surplus else ''
        runner.logger.info(
            f'{runner._load_from}: {len(fitting)} entries used; new in the model: {_some(new) or "nothing"}{left_out}'
        )
        if not getattr(runner, '_resume', False):
            checkpoint['state_dict'] = state | fitting


def _some(names: list[str]) -> str:
    """Names in a line."""
    return ', '.join(names[:8]) + (f' and {len(names) - 8} more' if len(names) > 8 else '')
