"""What a run leaves behind: one table, ``results.json`` and a picture of ranked lists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from mmengine.dist import master_only
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmosnet.engine.results_table import results_table
from mmosnet.evaluation.reid_metric import ReIDMetric
from mmosnet.registry import HOOKS
from mmosnet.visualization.ranked_list_sheet import save_ranked_lists

RESULTS_FILE = 'results.json'
PICTURE_FILE = 'ranked_lists.jpg'


@HOOKS.register_module()
class ReportHook(Hook):
    """Report the last and the best evaluation when training ends, or the only one of a test.

    mmengine's logger prints each evaluation as it comes and mmpretrain's ``--out`` dumps metrics of a test; neither
    sums up a training run. ``results.json`` holds unrounded numbers and is rewritten after each evaluation, so that
    an interrupted run leaves its last.

    Args:
        key: Metric that decides which evaluation is the best, the largest value winning.
    """

    priority = 'LOWEST'

    def __init__(self, key: str = 'reid/mAP') -> None:
        self.key = key
        self.last: dict | None = None
        self.best: dict | None = None

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Find the best evaluation again when a run is resumed: checkpoints are saved before their evaluation."""
        path = Path(runner.work_dir) / RESULTS_FILE
        if runner.epoch == 0 or not path.is_file():
            return
        best = json.loads(path.read_text()).get('best')
        # One behind the checkpoint's epoch will be made again.
        if best is not None and best['epoch'] <= runner.epoch and self.key in best['metrics']:
            self.best = best

    @master_only
    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Remember an evaluation during training."""
        # The epoch counter moves on before the validation starts.
        self.last = dict(epoch=runner.epoch, metrics=dict(metrics or {}))
        score = self.last['metrics'].get(self.key)
        if score is not None and (self.best is None or score > self.best['metrics'][self.key]):
            self.best = self.last
        self._write(runner, dict(last=self.last, best=self.best))

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Report the training run."""
        if self.last is None:
            runner.logger.info(f'No evaluation in this run. Checkpoints: {runner.work_dir}')
            return
        rows = {f'last (epoch {self.last["epoch"]})': self.last['metrics']}
        if self.best is not None:
            rows[f'best (epoch {self.best["epoch"]})'] = self.best['metrics']
        self._report(runner, rows, runner.val_loop.evaluator)

    @master_only
    def after_test_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Report a test."""
        metrics = dict(metrics or {})
        self._write(runner, dict(checkpoint=runner._load_from, metrics=metrics))
        self._report(runner, {'test': metrics}, runner.test_loop.evaluator)

    @staticmethod
    def _write(runner: Runner, results: dict) -> None:
        path = Path(runner.work_dir) / RESULTS_FILE
        draft = path.with_suffix('.tmp')
        draft.write_text(json.dumps(results, indent=2) + '\n')
        draft.replace(path)

    @staticmethod
    def _report(runner: Runner, rows: Mapping[str, Mapping[str, float]], evaluator: Evaluator) -> None:
        lines = [f'Results of {runner.experiment_name}', results_table(rows)]
        lines.append(f'{"numbers":8s} {Path(runner.work_dir) / RESULTS_FILE}')
        for metric in evaluator.metrics:
            if isinstance(metric, ReIDMetric) and metric.shown:
                picture = save_ranked_lists(metric.shown, Path(runner.work_dir) / PICTURE_FILE)
                lines.append(f'{"picture":8s} {picture}')
        runner.logger.info('\n'.join(lines))
