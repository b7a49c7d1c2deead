import json
from types import SimpleNamespace

import pytest
from mmengine.hooks import CheckpointHook

from mmosnet.engine.report_hook import ReportHook
from mmosnet.errors import DataError
from mmosnet.evaluation.metrics import ReIDMetric


class Run(SimpleNamespace):
    """As much of a Runner as the hook asks for."""

    hooks = ()
    val_loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=[]))


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
    assert resumed.last['epoch'] == 3
    run.epoch = 4
    resumed.after_val_epoch(run, {'reid/mAP': 0.45})
    assert resumed.best == dict(epoch=2, metrics={'reid/mAP': 0.5})

    # Resumed from before the best, and started anew: it is not theirs.
    for epoch in (1, 0):
        earlier = ReportHook()
        earlier.before_train(Run(work_dir=str(tmp_path), epoch=epoch))
        assert earlier.best is None and earlier.last is None


def test_the_distance_is_named_in_file_and_table(tmp_path):
    lines = []
    evaluator = SimpleNamespace(metrics=[ReIDMetric(distance='cosine', normalize=True)])
    run = Run(
        work_dir=str(tmp_path), epoch=1, experiment_name='x', _load_from=None, logger=SimpleNamespace(info=lines.append)
    )
    run.val_loop = run.test_loop = SimpleNamespace(evaluator=evaluator)
    hook = ReportHook()
    hook.after_val_epoch(run, {'reid/mAP': 0.5})
    assert json.loads((tmp_path / 'results.json').read_text())['distance'] == 'cosine distance, normalized'
    hook.after_test_epoch(run, {'reid/mAP': 0.5})
    assert json.loads((tmp_path / 'results.json').read_text())['distance'] == 'cosine distance, normalized'
    assert lines[-1].splitlines()[1].startswith('cosine distance, normalized')


def test_what_is_no_number_is_never_the_best_and_null_in_the_file(tmp_path):
    run, hook = Run(work_dir=str(tmp_path), epoch=1), ReportHook()
    hook.after_val_epoch(run, {'reid/mAP': float('nan'), 'reid/Rank-1': float('inf')})
    text = (tmp_path / 'results.json').read_text()
    assert 'NaN' not in text and 'Infinity' not in text
    assert json.loads(text) == dict(last=dict(epoch=1, metrics={'reid/mAP': None, 'reid/Rank-1': None}), best=None)
    run.epoch = 2
    hook.after_val_epoch(run, {'reid/mAP': 0.1})
    assert hook.best['epoch'] == 2


def test_a_score_that_is_not_evaluated_is_noticed_before_the_first_epoch(tmp_path):
    """As where a task is left out of a joint model; mmengine ends in a KeyError after the first evaluation."""

    def start(save_best, *prefixes):
        metrics = [SimpleNamespace(prefix=prefix) for prefix in prefixes]
        loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=metrics))
        saving = CheckpointHook(save_best=save_best, rule='greater' if save_best else None)
        hook = ReportHook('reid/mAP')
        hook.before_train(Run(work_dir=str(tmp_path), epoch=0, val_loop=loop, hooks=[saving]))
        return hook.key

    with pytest.raises(DataError, match=r'reports attributes, accuracy alone.*save_best=attributes/mA'):
        start('reid/mAP', 'attributes', 'accuracy')
    assert start('reid/mAP', 'reid', 'attributes') == 'reid/mAP'
    assert start('attributes/mA', 'attributes') == 'attributes/mA'
    # Nothing saved by score, or a metric of somebody else's, whose names are not known.
    assert start(None, 'attributes') == start('reid/mAP', None) == 'reid/mAP'
