import json
from types import SimpleNamespace

from mmosnet.engine.report_hook import ReportHook


class Run(SimpleNamespace):
    """As much of a Runner as the hook asks for."""


def test_a_resumed_run_remembers_its_best(tmp_path):
    run = Run(work_dir=str(tmp_path), epoch=0)
    hook = ReportHook()
    hook.before_train(run)
    for epoch, score in ((1, 0.2), (2, 0.5), (3, 0.4)):
        run.epoch = epoch
        hook.after_val_epoch(run, {'reid/mAP': score})
    results = json.loads((tmp_path / 'results.json').read_text())
    assert (results['last']['epoch'], results['best']['epoch']) == (3, 2)

    resumed = ReportHook()
    resumed.before_train(run)
    run.epoch = 4
    resumed.after_val_epoch(run, {'reid/mAP': 0.45})
    assert resumed.best == dict(epoch=2, metrics={'reid/mAP': 0.5})

    # Resumed from before the best, and started anew: it is not theirs.
    for epoch in (1, 0):
        earlier = ReportHook()
        earlier.before_train(Run(work_dir=str(tmp_path), epoch=epoch))
        assert earlier.best is None
