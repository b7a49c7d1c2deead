from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmosnet.engine import series
from mmosnet.engine.series import (
    ablation_rows,
    ablation_table,
    evaluate,
    row_config,
    run_splits,
    select_rows,
    split_metrics,
    split_numbers,
    summarize,
    train,
    trained_metrics,
)
from mmosnet.errors import DataError
from tests.engine.test_resume import write

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
METRICS = {'reid/Rank-1': 0.51234, 'reid/mAP': 0.25}
CFG = Config(dict(train_cfg=dict(max_epochs=4), answer=42))
# Replaces a command: writes down its arguments, and ends with a code.
TOOL = """
import sys, pathlib
pathlib.Path(sys.argv[0]).with_suffix('.txt').write_text(' '.join(sys.argv[1:]))
sys.exit({code})
"""


@pytest.fixture
def end_with(tmp_path, monkeypatch):
    """Let what is started end with a code."""

    def replace(code):
        (tmp_path / 'tool.py').write_text(TOOL.format(code=code))

    monkeypatch.setattr(series, 'COMMAND', (sys.executable, tmp_path / 'tool.py'))
    replace(0)
    return replace


def write_results(folder, epoch):
    folder.mkdir(parents=True)
    (folder / 'results.json').write_text(json.dumps(dict(last=dict(epoch=epoch, metrics=METRICS))))


def test_config_and_work_directory_are_the_trainings(tmp_path, end_with):
    train('one', CFG, tmp_path / 'out')
    out = tmp_path / 'out'
    assert (tmp_path / 'tool.txt').read_text() == f'train {out / "one.py"} --work-dir {out / "one"} --resume'
    assert Config.fromfile(out / 'one.py').answer == 42
    evaluate('two', CFG, out, tmp_path / 'a.pth')
    assert (tmp_path / 'tool.txt').read_text() == f'test {out / "two.py"} {tmp_path / "a.pth"} --work-dir {out / "two"}'


def test_only_a_finished_training_is_not_repeated(tmp_path, end_with):
    write_results(tmp_path / 'one', 4)
    write_results(tmp_path / 'two', 3)
    end_with(1)
    train('one', CFG, tmp_path)
    assert trained_metrics(tmp_path / 'one') == METRICS
    assert trained_metrics(tmp_path / 'three') is None
    with pytest.raises(DataError, match='training two failed'):
        train('two', CFG, tmp_path)
    with pytest.raises(DataError, match='testing two failed'):
        evaluate('two', CFG, tmp_path, tmp_path / 'a.pth')


def test_a_training_with_other_settings_is_not_taken_for_this_one(tmp_path, end_with):
    train('one', CFG, tmp_path)
    write_results(tmp_path / 'one', 4)
    end_with(1)
    train('one', CFG, tmp_path)
    end_with(0)
    other = Config(dict(train_cfg=dict(max_epochs=4), answer=43))
    with pytest.raises(DataError, match=r'one .*\(answer\).*--work-dir'):
        train('one', other, tmp_path)
    # Interrupted before its first evaluation.
    (tmp_path / 'one' / 'results.json').unlink()
    (tmp_path / 'one' / 'epoch_1.pth').write_text('a checkpoint')
    with pytest.raises(DataError, match='other settings'):
        train('one', other, tmp_path)
    # A longer training goes on.
    train('one', Config(dict(train_cfg=dict(max_epochs=5), answer=42)), tmp_path)


def test_an_interrupted_training_interrupts_the_series(tmp_path, end_with):
    for code in (130, 143):
        end_with(code)
        with pytest.raises(KeyboardInterrupt):
            train('one', CFG, tmp_path / 'out')


# Replaces the commands train and test: the score is the split, split 4 fails.
SPLIT_TOOL = """
import json, pathlib, runpy, shutil, sys
# A written config has no bases: it needs no mmengine.
name, config = sys.argv[1:3]
cfg = runpy.run_path(config)
split = cfg['test_dataloader']['dataset']['split_index']
assert cfg['train_dataloader']['dataset']['split_index'] == split
work_dir = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
work_dir.mkdir(parents=True, exist_ok=True)
with open(pathlib.Path(__file__).with_name('calls.txt'), 'a') as calls:
    calls.write(f'{name} {split}\\n')
if split == 4:
    sys.exit(1)
metrics = {'reid/Rank-1': split / 10, 'reid/mAP': 0.5}
if name == 'train':
    shutil.copy(pathlib.Path(__file__).with_name('epoch_40.pth'), work_dir)
    results = dict(last=dict(epoch=cfg['train_cfg']['max_epochs'], metrics=metrics))
else:
    assert sys.argv[3].endswith(f'split_{split - 1:02d}/epoch_40.pth'), sys.argv
    results = dict(metrics=metrics)
(work_dir / 'results.json').write_text(json.dumps(results))
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    (tmp_path / 'tool.py').write_text(SPLIT_TOOL)
    monkeypatch.setattr(series, 'COMMAND', (sys.executable, tmp_path / 'tool.py'))
    write(tmp_path / 'epoch_40.pth', 40)
    return tmp_path


def calls(tools):
    return (tools / 'calls.txt').read_text().splitlines()


def test_number_of_splits_is_the_data_sets():
    assert split_numbers(Config.fromfile(CONFIGS / 'osnet_reid_viper.py')) == (20, 2)
    assert split_numbers(Config.fromfile(CONFIGS / 'osnet_reid_grid.py')) == (10, 1)
    assert split_numbers(Config.fromfile(CONFIGS / 'osnet_reid_cuhk03_classic.py')) == (20, 1)
    with pytest.raises(DataError, match='Market1501 has one split only'):
        split_numbers(Config.fromfile(CONFIGS / 'osnet_reid_market.py'))


def test_both_directions_of_viper_share_a_training(tools):
    cfg = Config.fromfile(CONFIGS / 'osnet_reid_viper.py')
    assert run_splits(cfg, [0, 1, 2, 3], tools / 'out') == {}
    assert calls(tools) == ['train 0', 'test 1', 'train 2', 'test 3']
    # Nothing is done twice.
    run_splits(cfg, [0, 1, 2, 3], tools / 'out')
    assert len(calls(tools)) == 4
    assert split_metrics(tools / 'out', 3) == {'reid/Rank-1': 0.3, 'reid/mAP': 0.5}


def test_a_failed_split_does_not_lose_the_others(tools):
    cfg = Config.fromfile(CONFIGS / 'osnet_reid_grid.py')
    failed = run_splits(cfg, [3, 4, 5], tools / 'out')
    assert list(failed) == [4] and 'training split_04 failed' in failed[4]
    assert calls(tools) == ['train 3', 'train 4', 'train 5']
    assert split_metrics(tools / 'out', 4) is None


def test_a_cause_in_common_stops_at_the_first_split(tools):
    cfg = Config.fromfile(CONFIGS / 'osnet_reid_grid.py')
    assert list(run_splits(cfg, [4, 5, 6], tools / 'out')) == [4]
    assert calls(tools) == ['train 4']
    # Splits that finished earlier do not show that this one can train.
    run_splits(cfg, [3], tools / 'out')
    assert list(run_splits(cfg, [3, 4, 5], tools / 'out')) == [4]
    assert calls(tools) == ['train 4', 'train 3', 'train 4']


def test_a_training_that_fails_after_an_epoch_does_not_stop_the_others(tools):
    cfg = Config.fromfile(CONFIGS / 'osnet_reid_grid.py')
    tool = (tools / 'tool.py').read_text()
    tool = tool.replace('    sys.exit(1)', "    (work_dir / 'epoch_1.pth').write_text('a checkpoint')\n    sys.exit(1)")
    (tools / 'tool.py').write_text(tool)
    assert list(run_splits(cfg, [4, 5], tools / 'out')) == [4]
    assert calls(tools) == ['train 4', 'train 5']


def test_summary_is_mean_and_sample_deviation(tmp_path):
    metrics = {split: {'reid/Rank-1': value, 'reid/mAP': 0.5} for split, value in ((0, 0.1), (1, 0.2), (2, 0.6))}
    table = summarize(metrics, tmp_path)
    rows = [line.split('|')[0].strip() for line in table.splitlines()[2:]]
    assert rows == ['split 0', 'split 1', 'split 2', 'mean of 3', 'std']
    summary = json.loads((tmp_path / 'splits.json').read_text())
    assert summary['mean'] == pytest.approx({'reid/Rank-1': 0.3, 'reid/mAP': 0.5})
    assert summary['std']['reid/Rank-1'] == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1))
    assert summarize({0: metrics[0]}, tmp_path).splitlines()[-1].split('|')[1].strip() == '0.0000'


# Table of the paper: Rank-1 and mAP on Market-1501 from scratch, as reported.
PUBLISHED = {
    't1': (86.5, 67.7),
    't2': (91.7, 77.0),
    't3': (92.8, 79.9),
    't4': (93.6, 81.0),
    'full_conv': (94.0, 82.7),
    'same_depth': (91.7, 77.9),
    'concat': (91.4, 77.4),
    'sum': (92.0, 78.2),
    'separate_gates': (92.9, 80.2),
    'stream_gate': (92.6, 80.0),
    'fixed_gate': (91.6, 77.5),
}


@pytest.fixture
def cfg():
    cfg = Config.fromfile(CONFIGS / 'osnet_reid_synthetic.py')
    cfg.train_cfg.max_epochs = 4
    return cfg


def test_rows_are_the_papers():
    assert {row.name: row.published for row in ablation_rows()} == PUBLISHED


def test_selection_keeps_the_order_asked_for():
    rows = ablation_rows()
    assert [row.name for row in select_rows(rows, ['sum', 't1'])] == ['sum', 't1']
    assert select_rows(rows, None) == rows
    with pytest.raises(DataError, match=r"'t9'.* t1, t2"):
        select_rows(rows, ['t9'])


def test_row_changes_the_backbone_of_any_config(cfg):
    (row,) = select_rows(ablation_rows(), ['t1'])
    variant = row_config(cfg, row)
    assert variant.model.backbone == dict(type='OSNet', widen_factor=0.25, num_streams=1, fusion='sum')
    assert 'num_streams' not in cfg.model.backbone
    variant.model.backbone = cfg.model.backbone
    assert variant.to_dict() == cfg.to_dict()


def test_table_has_sizes_results_and_what_the_paper_reports(cfg, tmp_path):
    write_results(tmp_path / 'sum', 4)
    table = ablation_table(select_rows(ablation_rows(), ['sum', 't4']), cfg, tmp_path)
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in table.splitlines()]
    assert cells[2] == ['sum', 'fusion=sum', '201,296', '82.3 M', '0.512', '0.250', '92.0 / 78.2']
    assert cells[3][2:] == ['201,864', '82.3 M', '', '', '93.6 / 81.0']
    assert len({len(line) for line in table.splitlines()}) == 1


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'model.backbone.num_streams': 2}, 'num_streams of the backbone'),
        ({'load_from': 'torchreid://osnet_x0_25_imagenet'}, '--cfg-options load_from=None'),
        ({'model.backbone.type': 'ResNet'}, 'ResNet'),
    ],
)
def test_a_config_that_would_spoil_the_rows_is_refused(cfg, options, message):
    cfg.merge_from_dict(options)
    with pytest.raises(DataError, match=message):
        row_config(cfg, ablation_rows()[0])
