from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.hooks import CheckpointHook

from mmosnet.engine.report import RESULTS_FILE, ReportHook, read_results, results_table, target_configs
from mmosnet.errors import DataError
from mmosnet.evaluation.metrics import ReIDMetric


def test_no_results_yet(tmp_path):
    assert read_results(tmp_path) == {}
    assert read_results(tmp_path / 'missing') == {}


def test_what_a_run_wrote(tmp_path):
    (tmp_path / RESULTS_FILE).write_text('{"last": {"epoch": 3}}')
    assert read_results(tmp_path) == {'last': {'epoch': 3}}


@pytest.mark.parametrize('content', [b'{"last": {"ep', b'', b'[1, 2]', b'\xff\xfe{}'])
def test_damage_is_one_sentence_with_the_file_and_the_remedy(tmp_path, content):
    (tmp_path / RESULTS_FILE).write_bytes(content)
    with pytest.raises(DataError, match=rf'{RESULTS_FILE} is .*delete it'):
        read_results(tmp_path)


def test_table_lines_up():
    table = results_table(
        {
            'last (epoch 60)': {'reid/mAP': 0.5, 'reid/Rank-1': 0.25},
            'best (epoch 5)': {'reid/mAP': 0.75, 'reid/a_long_name': 1.0},
        }
    ).splitlines()
    assert len({line.replace('+', '|').index('|') for line in table}) == 1
    assert [cell.strip() for cell in table[0].split('|')] == ['', 'mAP', 'Rank-1', 'a_long_name']
    assert [cell.strip() for cell in table[2].split('|')] == ['last (epoch 60)', '0.5000', '0.2500', '']
    assert [cell.strip() for cell in table[3].split('|')] == ['best (epoch 5)', '0.7500', '', '1.0000']


def test_groups_become_rows_or_tables():
    def metrics(score):
        names = ('mAP', 'Rank-1', 'rerank/mAP', 'rerank/Rank-1', 'verification/AUC', 'verification/distance@1e-2')
        return {f'reid/{name}': score + i / 100 for i, name in enumerate(names)}

    table = results_table({'last (epoch 60)': metrics(0.5), 'best (epoch 5)': metrics(0.75)}).splitlines()
    cells = [[cell.strip() for cell in line.split('|')] for line in table]
    assert cells[0] == ['', 'mAP', 'Rank-1']
    assert cells[2:6] == [
        ['last (epoch 60)', '0.5000', '0.5100'],
        ['last (epoch 60), rerank', '0.5200', '0.5300'],
        ['best (epoch 5)', '0.7500', '0.7600'],
        ['best (epoch 5), rerank', '0.7700', '0.7800'],
    ]
    assert cells[6:8] == [[''], ['verification', 'AUC', 'distance@1e-2']]
    assert cells[9:] == [['last (epoch 60)', '0.5400', '0.5500'], ['best (epoch 5)', '0.7900', '0.8000']]
    for part in (table[:6], table[7:]):
        assert len({line.replace('+', '|').rindex('|') for line in part}) == 1
        assert max(map(len, part)) <= 120


def test_metrics_without_a_prefix_have_their_column():
    table = results_table({'test': {'mAP': 0.5, 'reid/Rank-1': 0.25}}).splitlines()
    assert [cell.strip() for cell in table[0].split('|')] == ['', 'mAP', 'Rank-1']


def test_metrics_of_several_tasks_are_one_table():
    metrics = {'reid/mAP': 0.5, 'attributes/mAP': 0.25, 'reid/rerank/mAP': 0.75}
    table = results_table({'last': metrics, 'best': {'reid/mAP': 1.0}}).splitlines()
    cells = [[cell.strip() for cell in line.split('|')] for line in table]
    assert cells[0] == ['', 'last', 'best']
    assert cells[2:] == [
        ['reid mAP', '0.5000', '1.0000'],
        ['attributes mAP', '0.2500', ''],
        ['reid rerank mAP', '0.7500', ''],
    ]
    assert len({line.replace('+', '|').index('|') for line in table}) == 1


CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def test_each_target_takes_the_place_of_the_test_data():
    cfg = Config.fromfile(CONFIGS / 'osnet_ain_reid_market.py')
    cfg.work_dir = 'out'
    pipeline = cfg.test_dataloader.dataset.pipeline
    configs = target_configs(cfg)
    assert list(configs) == ['market1501', 'dukemtmc']
    duke = configs['dukemtmc']
    assert duke.test_dataloader.dataset == dict(
        type='mmosnet.DukeMTMCreID',
        data_root='data/dukemtmc-reid',
        split=('query', 'gallery'),
        test_mode=True,
        pipeline=pipeline,
    )
    assert duke.test_evaluator.distance == 'cosine' and duke.work_dir == 'out/dukemtmc'
    assert len({config.experiment_name for config in configs.values()}) == 2
    assert cfg.test_dataloader.dataset.type == 'mmosnet.Market1501'


def test_without_targets_there_is_the_test_data():
    cfg = Config.fromfile(CONFIGS / 'osnet_reid_market.py')
    assert target_configs(cfg) == {'test': cfg}


class Run(SimpleNamespace):
    """The part of a Runner that the hook uses."""

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
    """A joint model may lack the task; mmengine would raise a KeyError after the first evaluation."""

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
