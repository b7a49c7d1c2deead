import json
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmosnet.engine import split_runs, training_process
from mmosnet.errors import DataError
from tests.engine.test_resume import write

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
# Stands in for the commands train and test: the score is the split, split 4 fails.
TOOL = """
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
    (tmp_path / 'tool.py').write_text(TOOL)
    monkeypatch.setattr(training_process, 'COMMAND', (sys.executable, tmp_path / 'tool.py'))
    write(tmp_path / 'epoch_40.pth', 40)
    return tmp_path


def calls(tools):
    return (tools / 'calls.txt').read_text().splitlines()


def test_number_of_splits_is_the_data_sets():
    assert split_runs.split_numbers(Config.fromfile(CONFIGS / 'osnet_reid_viper.py')) == (20, 2)
    assert split_runs.split_numbers(Config.fromfile(CONFIGS / 'osnet_reid_grid.py')) == (10, 1)
    assert split_runs.split_numbers(Config.fromfile(CONFIGS / 'osnet_reid_cuhk03_classic.py')) == (20, 1)
    with pytest.raises(DataError, match='Market1501 has one split only'):
        split_runs.split_numbers(Config.fromfile(CONFIGS / 'osnet_reid_market.py'))


def test_both_directions_of_viper_share_a_training(tools):
    cfg = Config.fromfile(CONFIGS / 'osnet_reid_viper.py')
    assert split_runs.run_splits(cfg, [0, 1, 2, 3], tools / 'out') == {}
    assert calls(tools) == ['train 0', 'test 1', 'train 2', 'test 3']
    # Nothing is done twice.
    split_runs.run_splits(cfg, [0, 1, 2, 3], tools / 'out')
    assert len(calls(tools)) == 4
    assert split_runs.split_metrics(tools / 'out', 3) == {'reid/Rank-1': 0.3, 'reid/mAP': 0.5}


def test_a_failed_split_does_not_lose_the_others(tools):
    cfg = Config.fromfile(CONFIGS / 'osnet_reid_grid.py')
    failed = split_runs.run_splits(cfg, [3, 4, 5], tools / 'out')
    assert list(failed) == [4] and 'training split_04 failed' in failed[4]
    assert calls(tools) == ['train 3', 'train 4', 'train 5']
    assert split_runs.split_metrics(tools / 'out', 4) is None


def test_a_cause_in_common_stops_at_the_first_split(tools):
    cfg = Config.fromfile(CONFIGS / 'osnet_reid_grid.py')
    assert list(split_runs.run_splits(cfg, [4, 5, 6], tools / 'out')) == [4]
    assert calls(tools) == ['train 4']
    # Finished splits say nothing of what fails now.
    split_runs.run_splits(cfg, [3], tools / 'out')
    assert list(split_runs.run_splits(cfg, [3, 4, 5], tools / 'out')) == [4]
    assert calls(tools) == ['train 4', 'train 3', 'train 4']


def test_a_training_that_fails_after_an_epoch_does_not_stop_the_others(tools):
    cfg = Config.fromfile(CONFIGS / 'osnet_reid_grid.py')
    tool = (tools / 'tool.py').read_text()
    tool = tool.replace('    sys.exit(1)', "    (work_dir / 'epoch_1.pth').write_text('a checkpoint')\n    sys.exit(1)")
    (tools / 'tool.py').write_text(tool)
    assert list(split_runs.run_splits(cfg, [4, 5], tools / 'out')) == [4]
    assert calls(tools) == ['train 4', 'train 5']


def test_summary_is_mean_and_sample_deviation(tmp_path):
    metrics = {split: {'reid/Rank-1': value, 'reid/mAP': 0.5} for split, value in ((0, 0.1), (1, 0.2), (2, 0.6))}
    table = split_runs.summarize(metrics, tmp_path)
    assert [line.split('|')[0].strip() for line in table.splitlines()[2:]] == [
        'split 0',
        'split 1',
        'split 2',
        'mean of 3',
        'std',
    ]
    summary = json.loads((tmp_path / 'splits.json').read_text())
    assert summary['mean'] == pytest.approx({'reid/Rank-1': 0.3, 'reid/mAP': 0.5})
    assert summary['std']['reid/Rank-1'] == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1))
    assert split_runs.summarize({0: metrics[0]}, tmp_path).splitlines()[-1].split('|')[1].strip() == '0.0000'
