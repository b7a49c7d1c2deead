"""A check that a checkpoint belongs to the model, before anything is computed with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from torch import Tensor, nn
from torch.optim import Optimizer

from mmosnet.errors import DataError
from mmosnet.models.checkpoints import weights_in
from mmosnet.models.weights import check_fit
from mmosnet.registry import HOOKS

# Settings of a group of parameters that do not tell optimizers apart: schedules set or add them, or some versions of
# torch have them.
INDISTINCT = {
    *('params', 'lr', 'maximize', 'foreach', 'fused', 'capturable', 'differentiable'),
    'decoupled_weight_decay',
}


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Refuse a checkpoint of another network.

    mmengine loads what fits, warns about the rest and goes on: a checkpoint of another width, or a released file that
    was not converted, would be evaluated as a random network. The backbone must fit entirely, and the neck too if the
    checkpoint has one. In training heads may differ: other data sets have other identities. In testing neck and heads
    must fit, but for classifiers of identities.

    A resumed training must fit entirely, the optimizer's state and averaged weights too: torch compares nothing but the
    numbers of parameters, and goes on with moments of other weights, or beyond the end of their memory.
    """

    # Before hooks and Runner take anything from the checkpoint.
    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Correct the iteration count where a resumed training had longer or shorter epochs."""
        loop = runner.train_loop
        if not isinstance(loop, EpochBasedTrainLoop):
            return
        done = loop.epoch * len(loop.dataloader)
        if loop.iter != done:
            runner.logger.warning(
                f'Epochs have {len(loop.dataloader)} iterations now: counting from iteration {done}, not {loop.iter}'
            )
            loop._iter = done

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names and shapes; log what is in the model or the checkpoint alone.

        What is loaded afterwards is the model's own state with the entries that fit: mmengine would repeat all others
        as a warning.

        Raises:
            DataError: Counts what does not fit and names the first entry.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        # Without a name mmengine takes the latest.
        source = str(runner._load_from or Path(runner.work_dir) / 'last_checkpoint')
        found = weights_in(checkpoint, source)
        state = model.state_dict()
        # A test has a training loop's config at most; training may start from a backbone alone.
        testing = not isinstance(runner._train_loop, BaseLoop)
        if runner._resume and not testing:
            _check_resumed(runner, model, checkpoint, found, source)
            return
        check_fit(state, found, source, testing)
        fitting = {
            name: found[name] for name, value in state.items() if name in found and found[name].shape == value.shape
        }
        new = [name for name in state if name not in fitting]
        surplus = [name for name in found if name not in state]
        left_out = f'; left out: {_some(surplus)}' if surplus else ''
        runner.logger.info(
            f'{source}: {len(fitting)} entries used; new in the model: {_some(new) or "nothing"}{left_out}'
        )
        checkpoint['state_dict'] = state | fitting


def _some(names: list[str]) -> str:
    """Return some of the names on one line."""
    return ', '.join(names[:8]) + (f' and {len(names) - 8} more' if len(names) > 8 else '')


def _check_resumed(
    runner: Runner, model: nn.Module, checkpoint: Mapping, found: Mapping[str, Tensor], source: str
) -> None:
    """Refuse to resume the training of another model or optimizer.

    Raises:
        DataError: Counts what does not fit and names the first entry.
    """
    state = model.state_dict()
    lines = _differences(state, found)
    averages = checkpoint.get('ema_state_dict')
    if averages is not None:
        # Under the names of the model, beside a counter of the steps.
        averages = {k.removeprefix('module.'): v for k, v in averages.items() if k.startswith('module.')}
        lines += [f'average of {line}' for line in _differences(state, averages)]
        if not any(isinstance(hook, EMAHook) for hook in runner.hooks):
            lines.append('averaged weights: model no EMAHook, checkpoint ema_state_dict')
    if not lines and 'optimizer' in checkpoint:
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        lines = list(_optimizer_misfits(runner.optim_wrapper, checkpoint['optimizer'], names, runner))
    if lines:
        raise DataError(
            f'{source} cannot be resumed: {len(lines)} entries differ, the first {lines[0]}. Resume with the settings '
            f'that it was trained with; or start anew from its weights, without --resume: --cfg-options '
            f'load_from={source}'
        )


def _differences(model: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Return one line for each name that is on one side alone or has two shapes."""
    names = {**model, **found}
    shapes = [
        [str(tuple(side[name].shape)) if name in side else 'nothing' for side in (model, found)] for name in names
    ]
    return [f'{name}: model {a}, checkpoint {b}' for name, (a, b) in zip(names, shapes, strict=True) if a != b]


def _optimizer_misfits(
    wrapper: OptimWrapper | OptimWrapperDict, saved: Mapping, names: Mapping[int, str], runner: Runner
) -> Iterator[str]:
    """Return one line for each difference between an optimizer and its saved state."""
    if isinstance(wrapper, OptimWrapperDict):
        # Several optimizers by name.
        for name, part in wrapper.items():
            if name in saved:
                yield from _optimizer_misfits(part, saved[name], names, runner)
            else:
                yield f'optimizer {name}: model one, checkpoint nothing'
        return
    optimizer: Optimizer = wrapper.optimizer
    if 'param_groups' not in saved:
        yield f'optimizer: model one, checkpoint several ({", ".join(map(str, saved))})'
        return
    groups, old_groups = optimizer.param_groups, saved['param_groups']
    if len(groups) != len(old_groups):
        yield (
            f'param_groups of the optimizer (paramwise_cfg): model {len(groups)} groups, checkpoint '
            f'{len(old_groups)} groups'
        )
        return
    for number, (group, old) in enumerate(zip(groups, old_groups, strict=True)):
        settings, old_settings = (
            sorted(key for key in part if key not in INDISTINCT and not key.startswith(('initial_', 'max_', 'min_')))
            for part in (group, old)
        )
        if settings != old_settings:
            yield (
                f'optimizer: model {type(optimizer).__name__} with {", ".join(settings)}, checkpoint one with '
                f'{", ".join(old_settings)}'
            )
            return
        if len(group['params']) != len(old['params']):
            yield (
                f'param_groups.{number} of the optimizer: model {len(group["params"])} parameters, checkpoint '
                f'{len(old["params"])}'
            )
            continue
        for parameter, index in zip(group['params'], old['params'], strict=True):
            for key, value in saved['state'].get(index, {}).items():
                # Moments have their parameter's shape, counters of steps have none.
                if isinstance(value, Tensor) and value.dim() and value.shape != parameter.shape:
                    yield (
                        f'{key} of {names.get(id(parameter), index)}: model {tuple(parameter.shape)}, checkpoint '
                        f'{tuple(value.shape)}'
                    )
        # What a schedule changes has its first value beside it.
        held = [
            key
            for key in group
            if key not in ('params', 'lr') and f'initial_{key}' not in old and key in old and group[key] != old[key]
        ]
        if held:
            runner.logger.warning(
                f'param_groups.{number} of the optimizer: '
                + ', '.join(f'{key} {old[key]} of the checkpoint holds, not {group[key]} of the config' for key in held)
            )
            return
