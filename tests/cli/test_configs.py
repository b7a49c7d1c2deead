from pathlib import Path

import pytest
from mmengine.config import Config

from mmosnet.cli.configs import TASKS
from mmosnet.compatibility import config_files, docstring, indexed_models
from tests.cli.command import outcome


@pytest.fixture
def configs(tmp_path, monkeypatch, capsys):
    """The command in this process, in an empty folder: gives its output, or its error."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: outcome(capsys, 'configs', *arguments)


def test_all_are_listed_with_task_size_result_and_data(configs):
    lines = configs().splitlines()
    rows = {line.split()[0]: line for line in lines[2:-2]}
    assert rows.keys() == config_files().keys()
    for model in indexed_models().values():
        row = rows[model.config.stem]
        assert f'{model.parameters / 1e6:.2f} M' in row and row.endswith(model.data)
        assert any(task in row for task in TASKS.values())
        assert all(f'{name} {value}' in row for name, value in model.metrics.items())
        # Every published number is said to be the paper's or ours.
        head = docstring(model.config)
        by = 'reported' if 'as reported' in ' '.join(head.split()) else 'ours' if 'Measured' in head else ''
        assert (f' {by} ' in row) if model.metrics else (' reported ' not in row and ' ours ' not in row), row


def test_words_choose(configs):
    rows = [line.split()[0] for line in configs('market', 'x0_25').splitlines()[2:-2]]
    assert 'osnet_x0_25_reid_market' in rows and all('x0_25' in row for row in rows)
    assert configs('osnet_reid_markt').startswith('error: ') and 'osnet_reid_market' in configs('osnet_reid_markt')


@pytest.mark.parametrize('name', ['osnet_reid_market', 'osnet_reid_market.py', 'osnet-x1.0_reid-market1501'])
def test_one_is_described(configs, name):
    text = configs(name)
    assert 'Rank-1 94.2, mAP 82.6, reported' in text and 'torchreid://osnet_x1_0_market1501' in text
    assert docstring(config_files()['osnet_reid_market']) in text


@pytest.mark.parametrize('name', ['osnet_reid_market', 'osnet_multitask_synthetic', 'osnet_reid_market_scratch_sum'])
def test_a_copy_has_the_settings_of_its_original(configs, name):
    assert f'my_{name}.py' in configs(name, '--copy')
    text = Path(f'my_{name}.py').read_text()
    original = Config.fromfile(config_files()[name]).to_dict()
    assert Config.fromfile(f'my_{name}.py').to_dict() == original
    # What may be changed is written as it is there.
    Path('changed.py').write_text(text.replace('\n# ', '\n').replace('\nAnything', '\n# Anything'))
    assert Config.fromfile('changed.py').to_dict() == original


def test_nothing_is_overwritten(configs):
    assert configs('osnet_reid_market', '--copy', 'new/mine.py').startswith('new/mine.py: ')
    assert 'new/mine.py' in configs('osnet_reid_market', '--copy', 'new/mine.py')
    assert configs('osnet_reid_market', '--copy', 'new/mine.py').startswith('error: ')
    assert configs('osnet_reid_market', '--copy', 'mine.txt').startswith('error: ')
    assert configs('--copy', 'mine.py').startswith('error: ')
    assert 'osnet_reid_market' in configs('osnet_reid_markt', '--copy')


def test_configs_of_other_toolboxes_are_copied_whole(configs):
    configs('mmdet_reid_osnet', '--copy')
    assert Path('my_mmdet_reid_osnet.py').read_text() == config_files()['mmdet_reid_osnet'].read_text()
