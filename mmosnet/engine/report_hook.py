"""What a run leaves behind: one table, ``results.json`` and pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from mmengine.dist import master_only
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from mmosnet.drawing.figures import save_confusion_matrix
from mmosnet.drawing.people import per_attribute_table, save_attribute_sheet, save_ranked_lists
from mmosnet.engine.results_file import RESULTS_FILE, read_results
from mmosnet.engine.results_table import results_table
from mmosnet.errors import DataError
from mmosnet.evaluation.metrics import AttributeMetric, CategoryMetric, ReIDMetric, distance_names
from mmosnet.io.files import whole_file
from mmosnet.registry import HOOKS

#: What usually decides, by the prefix of its metric.
USUAL_SCORES = dict(reid='reid/mAP', attributes='attributes/mA', accuracy='accuracy/top1')


@HOOKS.register_module()
class ReportHook(Hook):
    """Report the last and the best evaluation when training ends, or the only one of a test.

    mmengine's logger prints each evaluation as it comes and mmpretrain's ``--out`` dumps metrics of a test; neither
    sums up a training run. ``results.json`` holds unrounded numbers and is rewritten after each evaluation, so that
    an interrupted run leaves its last. Pictures are of the last evaluation: ranked lists, people with their predicted
    attributes, the confusion matrix of categories.

    Args:
        key: Metric that decides which evaluation is the best, the largest value winning. Where the evaluation has no
            such metric, as a joint model with the task left out, what the ``CheckpointHook`` decides by.
    """

    priority = 'LOWEST'

    def __init__(self, key: str = 'reid/mAP') -> None:
        self.key = key
        self.last: dict | None = None
        self.best: dict | None = None

    def before_train(self, runner: Runner) -> None:
        """Check that the deciding score will be there; find the best evaluation of a resumed run again.

        Raises:
            DataError: The ``CheckpointHook`` would miss its score at the first evaluation.
        """
        if runner.val_loop is not None:
            self._check_scores(runner)
        self._find_best(runner)

    def _check_scores(self, runner: Runner) -> None:
        prefixes = [metric.prefix for metric in runner.val_loop.evaluator.metrics]
        saved = [hook.save_best or [] for hook in runner.hooks if isinstance(hook, CheckpointHook)]
        saved = [key for keys in saved for key in keys if '/' in key]
        if None in prefixes:
            return
        for key in saved:
            if key.split('/')[0] not in prefixes:
                usual = next((USUAL_SCORES[prefix] for prefix in prefixes if prefix in USUAL_SCORES), 'None')
                raise DataError(
                    f'default_hooks.checkpoint.save_best={key}, but the evaluation reports {", ".join(prefixes)} '
                    f'alone: choose the score that decides, --cfg-options default_hooks.checkpoint.save_best={usual}'
                )
        if saved and self.key.split('/')[0] not in prefixes:
            self.key = saved[0]

    @master_only
    def _find_best(self, runner: Runner) -> None:
        """Find the last and the best evaluation before a resumption: checkpoints precede their evaluation."""
        if runner.epoch == 0:
            return
        results = read_results(runner.work_dir)
        last, best = results.get('last'), results.get('best')
        # One behind the checkpoint's epoch will be made again.
        if last is not None and last['epoch'] <= runner.epoch:
            self.last = last
        if best is not None and best['epoch'] <= runner.epoch and self.key in best['metrics']:
            self.best = best

    @master_only
    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Remember an evaluation during training."""
        # The epoch counter moves on before the validation starts.
        self.last = dict(epoch=runner.epoch, metrics=dict(metrics or {}))
        score = self.last['metrics'].get(self.key)
        if score is not None and math.isfinite(score) and (self.best is None or score > self.best['metrics'][self.key]):
            self.best = self.last
        results = dict(last=self.last, best=self.best)
        self._write(runner, results, runner.val_loop.evaluator)

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Report the training run."""
        if self.last is None or runner.val_loop is None:
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
        results = dict(checkpoint=runner._load_from, metrics=metrics)
        self._write(runner, results, runner.test_loop.evaluator)
        self._report(runner, {'test': metrics}, runner.test_loop.evaluator)

    @staticmethod
    def _write(runner: Runner, results: dict, evaluator: Evaluator) -> None:
        if distance := distance_names(evaluator):
            results['distance'] = distance
        path = Path(runner.work_dir) / RESULTS_FILE
        with whole_file(path) as draft:
            draft.write_text(json.dumps(_json(results), indent=2, allow_nan=False) + '\n')

    @staticmethod
    def _report(runner: Runner, rows: Mapping[str, Mapping[str, float]], evaluator: Evaluator) -> None:
        folder = Path(runner.work_dir)
        lines = []
        for metric in evaluator.metrics:
            if isinstance(metric, AttributeMetric) and metric.per_attribute:
                lines += [per_attribute_table(metric.per_attribute), '']
        lines.append(results_table(rows, distance_names(evaluator)))
        pictures = [picture for metric in evaluator.metrics for picture in _pictures(metric, folder)]
        lines += [f'{"picture":8s} {picture}' for picture in pictures]
        lines.append(f'{"numbers":8s} {folder / RESULTS_FILE}')
        runner.logger.info('\n'.join([f'Results of {runner.experiment_name}', *lines]))


def _json(value: object) -> object:
    """Replace values that are not finite numbers by null: other programs refuse NaN."""
    if isinstance(value, dict):
        return {key: _json(part) for key, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _pictures(metric: BaseMetric, folder: Path) -> list[Path]:
    """Draw the pictures that a metric offers of the last evaluation."""
    if isinstance(metric, ReIDMetric) and metric.shown:
        return [save_ranked_lists(metric.shown, folder / 'ranked_lists.jpg')]
    if isinstance(metric, AttributeMetric) and metric.shown:
        return [save_attribute_sheet(metric.shown, folder / 'attributes.jpg')]
    if isinstance(metric, CategoryMetric) and metric.confusion is not None:
        return [save_confusion_matrix(metric.confusion, metric.classes, folder / 'confusion_matrix.png')]
    return []
