"""One checkpoint evaluated on several data sets, a row each: cross-domain results (``mmosnet test``)."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process

from mmosnet.engine import launch
from mmosnet.engine.results_file import RESULTS_FILE
from mmosnet.engine.results_table import results_table
from mmosnet.evaluation.metrics import distance_names
from mmosnet.io.files import whole_file


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
