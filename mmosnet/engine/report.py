"""Results of a run as files and tables.

``results.json``, which every training and test leaves in its folder, read again.

Metrics laid out as text: one table, for logs and for people.

One checkpoint evaluated on several data sets, a row each: cross-domain results (``mmosnet test``).

The model that validation chose, reported on the test set: for data sets that have both (``test_best = True``).

What a run leaves behind: one table, ``results.json`` and pictures.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process, master_only
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from mmosnet.drawing.figures import save_confusion_matrix
from mmosnet.drawing.people import per_attribute_table, save_attribute_sheet, save_ranked_lists
from mmosnet.engine import launch
from mmosnet.errors import DataError
from mmosnet.evaluation.metrics import AttributeMetric, CategoryMetric, ReIDMetric, distance_names
from mmosnet.io.files import read_json, whole_file
from mmosnet.io.text_tables import number_text, text_table
from mmosnet.registry import HOOKS

RESULTS_FILE = 'results.json'


def read_results(folder: str | Path) -> dict:
    """Read the results in a run's folder; empty where there are none yet.

    Raises:
        DataError: The file is damaged.
    """
    path = Path(folder) / RESULTS_FILE
    if not path.is_file():
        return {}
    remedy = 'delete it: a training goes on from its checkpoints, the best epoch is then that since'
    results = read_json(path, remedy)
    if not isinstance(results, dict):
        raise DataError(f'{path} is damaged (a {type(results).__name__}, not an object): {remedy}')
    return results


Rows = Mapping[str, Mapping[str, float]]


def results_table(rows: Rows, corner: str = '') -> str:
    """Lay out metrics as a table, one row per name; with several tasks one row per metric.

    A metric's name is ``prefix/title`` or ``prefix/group/title``. A group with the titles of the ungrouped metrics, as
    those after re-ranking, is a further row; another one, as verification, a table of its own below.

    Args:
        rows: Metrics by name of the row.
        corner: Text in the corner of the main table, such as the distance that ranks the images.

    Returns:
        The lines, joined.
    """
    prefixes = {key.split('/')[0] for metrics in rows.values() for key in metrics if '/' in key}
    if len(prefixes) > 1:
        return _table(corner, _turned(rows))
    tables: dict[str, dict[str, dict[str, float]]] = {'': {}}
    for row, metrics in rows.items():
        titles = {key.rpartition('/')[2] for key in metrics if key.count('/') < 2}
        for key, value in metrics.items():
            _, *group, title = key.split('/') if '/' in key else ('', key)
            name = group[0] if group else ''
            alike = title in titles
            line = f'{row}, {name}' if name and alike else row
            tables.setdefault('' if alike else name, {}).setdefault(line, {})[title] = value
    return '\n\n'.join(_table(name or corner, lines) for name, lines in tables.items() if lines)


def _turned(rows: Rows) -> dict[str, dict[str, float]]:
    """Transpose: metrics become rows, because the metrics of several tasks do not fit side by side."""
    names = dict.fromkeys(key for metrics in rows.values() for key in metrics)
    return {
        name.replace('/', ' '): {row: metrics[name] for row, metrics in rows.items() if name in metrics}
        for name in names
    }


def _table(corner: str, rows: Rows) -> str:
    """Lay out one table with its name in the corner."""
    titles = list(dict.fromkeys(title for metrics in rows.values() for title in metrics))
    lines = [[name, *(number_text(metrics.get(title)) for title in titles)] for name, metrics in rows.items()]
    return text_table([corner, *titles], lines)


def target_configs(cfg: Config) -> dict[str, Config]:
    """Return one config per entry of ``test_targets``, a dict of data sets by name; else the config itself.

    A target's data set takes the place of the test data set and keeps its pipeline; its results go to a folder of its
    own in the work directory.
    """
    if not cfg.get('test_targets'):
        return {'test': cfg}
    configs = {}
    for name, target in cfg.test_targets.items():
        configs[name] = copy.deepcopy(cfg)
        dataset = cfg.test_dataloader.dataset
        kept = dict(split=('query', 'gallery'), test_mode=True, pipeline=dataset.pipeline)
        configs[name].test_dataloader.dataset = Config({**kept, **target})._cfg_dict
        configs[name].work_dir = str(Path(cfg.work_dir) / name)
        # Runners of one process need different names.
        configs[name].experiment_name = f'{Path(cfg.filename or "test").stem}_{name}'
    return configs


def evaluate_targets(cfg: Config) -> None:
    """Evaluate a config's checkpoint on each of its targets; report several of them in one table."""
    rows = {}
    for name, config in target_configs(cfg).items():
        runner = launch.build_runner(config)
        with launch.watched_processes(launch.dist_timeout(cfg)):
            rows[name] = runner.test()
    if len(rows) > 1 and is_main_process():
        path = Path(cfg.work_dir) / RESULTS_FILE
        distance = distance_names(runner.test_loop.evaluator)
        results = dict(checkpoint=cfg.load_from, targets=rows) | (dict(distance=distance) if distance else {})
        with whole_file(path) as draft:
            draft.write_text(json.dumps(results, indent=2) + '\n')
        table = results_table(rows, distance)
        runner.logger.info('\n'.join(['Results on all targets', table, f'{"numbers":8s} {path}']))


def test_best(runner: Runner) -> dict | None:
    """Test the best checkpoint of a training run.

    Args:
        runner: After training. Table, ``results.json`` and pictures of the test go to ``test`` in its work directory.

    Returns:
        The metrics; None, and a message, where the run chose no checkpoint.
    """
    best = runner.message_hub.runtime_info.get('best_ckpt')
    if best is None:
        runner.logger.info('No best checkpoint in this run (--no-validate?), so none is tested')
        return None
    runner.logger.info(f'Test of {best}, which validation chose')
    cfg = copy.deepcopy(runner.cfg)
    cfg.load_from = best
    cfg.resume = False
    cfg.work_dir = str(Path(runner.work_dir) / 'test')
    launch.add_hook(cfg, 'DeployHook')
    # Runners of one process need different names.
    cfg.experiment_name = f'{runner.experiment_name}_test'
    return launch.build_runner(cfg).test()


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
