"""Hooks that keep checkpoints complete whenever a run is killed, and repeat its missed evaluation on resumption."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

from mmengine.dist import broadcast_object_list, get_world_size, is_main_process, master_only
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.hooks import Hook
from mmengine.optim import ReduceOnPlateauParamScheduler
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from mmosnet.engine.checks import DivergenceHook
from mmosnet.engine.safe_checkpoint import install_safe_checkpoints
from mmosnet.errors import DataError
from mmosnet.io.files import read_json, whole_file
from mmosnet.registry import HOOKS

# Written after each evaluation: its epoch and iteration, and the best scores and checkpoints so far.
EVALUATION_FILE = 'last_evaluation.json'


@HOOKS.register_module()
class CheckpointHook(MMEngineCheckpointHook):
    """mmengine's hook with another order of steps, so that a killed run always leaves a complete checkpoint.

    mmengine writes the checkpoint of an epoch before the evaluation and again after it, removes old ones before it
    writes new ones, and writes ``last_checkpoint`` in place. Here the new checkpoint is written once, then
    ``last_checkpoint``, and then old ones are removed. The best score and its checkpoint are in
    ``last_evaluation.json``, which a resumed run reads. The files are written by
    :func:`~mmosnet.engine.safe_checkpoint.save_checkpoint`.

    The hook adds two others: :class:`MissedEvaluationHook`, and :class:`~mmosnet.engine.checks.DivergenceHook` if the
    config has none, which ends a training with NaN or infinite losses or weights before its checkpoints replace good
    ones. Arguments are those of mmengine's hook.
    """

    training = False
    # Set by mmengine's hook.
    best_ckpt_path: str | None
    best_ckpt_path_dict: dict[str, str | None]

    def before_run(self, runner: Runner) -> None:
        """Let checkpoints load safely, and add the hooks that belong to this one. mmengine loads nothing before."""
        install_safe_checkpoints()
        for hook_class in (DivergenceHook, MissedEvaluationHook):
            # Added once, although the first one moves this hook to a later place, where it is called again.
            if not any(isinstance(hook, hook_class) for hook in runner.hooks):
                runner.register_hook(hook_class())

    def before_train(self, runner: Runner) -> None:
        """Find the best checkpoint of a resumed run again; remove drafts of killed runs."""
        if is_resumed(runner):
            best = last_evaluation(runner).get('best', {})
            runner.message_hub.runtime_info.update({key: best[key] for key in best if key.startswith('best_')})
        super().before_train(runner)
        self.training = True
        if self.save_best is not None:
            self._find_moved_best(runner)
        name = self.filename_tmpl.format(runner.epoch if self.by_epoch else runner.iter)
        if is_resumed(runner) and (Path(self.out_dir) / name).is_file():
            # The run may have been killed before it wrote this name or published the file.
            self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
            self._write_name(runner)
        if is_main_process() and Path(self.out_dir).is_dir():
            for draft in Path(self.out_dir).glob('.draft-*.pth'):
                draft.unlink(missing_ok=True)

    def _find_moved_best(self, runner: Runner) -> None:
        """Find the best checkpoints by name where their folder was moved."""
        single = len(self.key_indicators) == 1
        paths = {'': self.best_ckpt_path} if single else dict(self.best_ckpt_path_dict)
        for key, path in paths.items():
            here = Path(self.out_dir) / Path(path or '').name
            if path is None or Path(path).is_file() or not here.is_file():
                continue
            runner.message_hub.update_info(f'best_ckpt_{key}' if key else 'best_ckpt', str(here))
            if single:
                self.best_ckpt_path = str(here)
            else:
                self.best_ckpt_path_dict[key] = str(here)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the number of processes, so that a resumed run can compare its total batch."""
        checkpoint['meta']['world_size'] = get_world_size()

    def after_val(self, runner: Runner) -> None:
        """Record that the evaluation and all of its hooks are complete, and which checkpoint is the best."""
        if self.training:
            self._write_evaluation(runner)

    def after_train(self, runner: Runner) -> None:
        """Publish, as mmengine does."""
        self.training = False
        super().after_train(runner)

    @master_only
    def _write_evaluation(self, runner: Runner) -> None:
        best = {
            key: float(value) if key.startswith('best_score') else value
            for key, value in runner.message_hub.runtime_info.items()
            if key.startswith(('best_score', 'best_ckpt'))
        }
        with whole_file(Path(runner.work_dir) / EVALUATION_FILE) as draft:
            draft.write_text(json.dumps(dict(epoch=runner.epoch, iter=runner.iter, best=best), indent=2) + '\n')

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Write the checkpoint, then its name, then remove the old ones."""
        outdated = []
        if self.max_keep_ckpts > 0:
            kept = [*(number for number in self.keep_ckpt_ids if number != step), step]
            outdated = kept[: -self.max_keep_ckpts]
            # With those that are about to be removed: if the run is killed before that, the resumed one removes them.
            runner.message_hub.update_info('keep_ckpt_ids', kept)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        self._write_name(runner)
        if is_main_process():
            for number in outdated:
                self._remove(self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(number)))
        if self.max_keep_ckpts > 0:
            self.keep_ckpt_ids.clear()
            self.keep_ckpt_ids.extend(kept[-self.max_keep_ckpts :])
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))

    @master_only
    def _write_name(self, runner: Runner) -> None:
        with whole_file(Path(runner.work_dir) / 'last_checkpoint') as draft:
            draft.write_text(self.last_ckpt)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Write the best checkpoint, then remove the previous best; write nothing twice."""
        if not self.save_best:
            return
        # mmengine would first remove the previous best, and write the last checkpoint again.
        last, self.last_ckpt = self.last_ckpt, None
        if len(self.key_indicators) == 1:
            before, self.best_ckpt_path = {'': self.best_ckpt_path}, None
        else:
            before = dict(self.best_ckpt_path_dict)
            self.best_ckpt_path_dict = dict.fromkeys(before)
        super()._save_best_checkpoint(runner, metrics)
        self.last_ckpt = last
        for key, path in before.items():
            now = self.best_ckpt_path_dict[key] if key else self.best_ckpt_path
            if now is None:
                if key:
                    self.best_ckpt_path_dict[key] = path
                else:
                    self.best_ckpt_path = path
            elif path is not None and Path(path) != Path(now) and is_main_process():
                self._remove(path)

    def _remove(self, path: str) -> None:
        """Remove a checkpoint: a file, or a folder of DeepSpeed."""
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):
            self.file_backend.rmtree(path)


class MissedEvaluationHook(Hook):
    """Evaluate a checkpoint that a killed run had saved but not evaluated.

    Checkpoints are saved before their evaluation. :class:`CheckpointHook` adds this hook after all others.
    """

    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        """Evaluate the resumed model, if its evaluation was due."""
        loop = runner.train_loop
        if not is_resumed(runner) or runner.val_loop is None:
            return
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        loop._decide_current_val_interval()
        now, last = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
        if now < loop.val_begin or not (now % loop.val_interval == 0 or now == last):
            return
        unit = 'epoch' if by_epoch else 'iter'
        # The state of a schedule that depends on evaluations is not in the checkpoint, which is older than its own.
        schedulers = runner.param_schedulers or []
        schedulers = chain(*schedulers.values()) if isinstance(schedulers, dict) else schedulers
        adaptive = any(isinstance(scheduler, ReduceOnPlateauParamScheduler) for scheduler in schedulers)
        if last_evaluation(runner).get(unit) == now and not adaptive:
            return
        runner.logger.info(f'{unit} {now} was saved and its evaluation not finished: evaluating it now')
        runner.val_loop.run()


def is_resumed(runner: Runner) -> bool:
    """Return whether a training resumes from a checkpoint, in one of mmengine's own loops."""
    loop = runner.train_loop
    return runner._resume and isinstance(loop, (EpochBasedTrainLoop, IterBasedTrainLoop)) and loop.iter > 0


def last_evaluation(runner: Runner) -> dict:
    """Read :data:`EVALUATION_FILE`, the same in all processes; empty if it is about another epoch or iteration."""
    evaluations = [_read_evaluation(Path(runner.work_dir) / EVALUATION_FILE)]
    broadcast_object_list(evaluations)
    unit = 'epoch' if isinstance(runner.train_loop, EpochBasedTrainLoop) else 'iter'
    return evaluations[0] if evaluations[0].get(unit) == getattr(runner, unit) else {}


def _read_evaluation(path: Path) -> dict:
    """Read the file; return nothing if it is missing or damaged, so that the evaluation is repeated."""
    try:
        evaluation = read_json(path, '')
    except (FileNotFoundError, DataError):
        return {}
    return evaluation if isinstance(evaluation, dict) and isinstance(evaluation.get('best'), dict) else {}
