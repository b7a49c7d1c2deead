"""Configs by their names: from any folder, and as bases of a user's own."""

import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mmosnet import config_files as names
from mmosnet.engine.trained_model import find_config, find_trained
from mmosnet.errors import DataError

# A process of a user's: mmengine alone reads a config, after importing mmosnet.
READ = (
    'import mmosnet, sys\nfrom mmengine.config import Config\nprint(Config.fromfile(sys.argv[1]).model.backbone.type)'
)


def test_names_of_configs_and_models_stand_for_files():
    file = names.config_files()['osnet_reid_market']
    for name in (
        'osnet_reid_market',
        'osnet_reid_market.py',
        'osnet-x1.0_reid-market1501',
        'mmosnet::osnet_reid_market',
    ):
        assert names.find_config_file(name) == file
    assert names.find_config_file('_base_/models/osnet_reid.py').is_file()
    assert names.find_config_file('osnet_reid_markt') is None
    assert names.find_config_file('../setup') is None and names.find_config_file('_base_/../../setup.cfg') is None
    assert 'osnet_reid_market' in names.nearest_names('osnet_reid_markt')
    # A name leads to one file.
    files = [file for file in names.config_folder().rglob('*.py') if '_base_' not in file.parts]
    assert sorted(names.config_files().values()) == sorted(files)


def test_a_file_goes_before_a_name_and_names_have_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg, weights = find_config('osnet_x0_25_reid_market')
    assert cfg.model.backbone.widen_factor == 0.25 and weights == 'torchreid://osnet_x0_25_market1501'
    assert find_trained('osnet-x0.25_reid-market1501', 'released')[1] == weights
    with pytest.raises(DataError, match='osnet_reid_folder has no released weights'):
        find_trained('osnet_reid_folder', 'released')
    Path('osnet_x0_25_reid_market.py').write_text("_base_ = 'mmosnet::osnet_reid_market.py'\n")
    cfg, weights = find_config('osnet_x0_25_reid_market.py')
    assert cfg.model.backbone.widen_factor == 1.0 and weights is None
    for name, kind in (('osnet_reid_markt', DataError), ('configs/osnet_reid_markt.py', FileNotFoundError)):
        with pytest.raises(kind, match='osnet_reid_market'):
            find_config(name)


@pytest.mark.parametrize(
    ('base', 'backbone'),
    [
        ('mmosnet::osnet_reid_market.py', 'OSNet'),
        ('mmosnet::osnet_reid_market', 'OSNet'),
        ('mmosnet::_base_/models/osnet_reid.py', 'OSNet'),
        ('mmpretrain::resnet/resnet18_8xb32_in1k.py', 'ResNet'),
    ],
)
def test_bases_without_a_clone(tmp_path, base, backbone):
    (tmp_path / 'mine.py').write_text(f'_base_ = {base!r}\n')
    done = subprocess.run([sys.executable, '-c', READ, 'mine.py'], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == (f'{backbone}\n', 0), done.stderr
    assert find_config(tmp_path / 'mine.py')[0].model.backbone.type == backbone


def test_a_base_is_the_file_itself(tmp_path):
    (tmp_path / 'mine.py').write_text("_base_ = 'mmosnet::osnet_reid_synthetic.py'\n")
    names.allow_package_bases()
    original = Config.fromfile(names.config_files()['osnet_reid_synthetic'])
    assert Config.fromfile(tmp_path / 'mine.py').to_dict() == original.to_dict()


@pytest.mark.parametrize(
    ('base', 'named'),
    [
        ('mmosnet::osnet_reid_markt.py', 'osnet_reid_market'),
        ('mmpretrain::resnet/none.py', 'resnet/none.py'),
    ],
)
def test_bases_that_are_not_there(tmp_path, base, named):
    (tmp_path / 'mine.py').write_text(f'_base_ = {base!r}\n')
    with pytest.raises(FileNotFoundError, match=named):
        find_config(tmp_path / 'mine.py')
    # What mmengine refuses stays refused.
    (tmp_path / 'mine.py').write_text("_base_ = 'elsewhere::a/b.py'\n")
    with pytest.raises(AssertionError):
        find_config(tmp_path / 'mine.py')
