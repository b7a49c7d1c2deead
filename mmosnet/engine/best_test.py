"""The model that validation chose, reported on the test set: for data sets that have both (``test_best = True``)."""

from __future__ import annotations

import copy
from pathlib import Path

from mmengine.runner import Runner

from mmosnet.engine import launch


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
