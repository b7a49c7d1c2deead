"""A wheel, used in an empty folder without a clone."""

import os
import subprocess
import sys
import zipfile

import pytest

from tests.cli.conftest import REPOSITORY
from tests.conftest import write_market

# Builds in a copy, without the network: only setuptools is needed.
BUILD = 'import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))'


@pytest.fixture(scope='module')
def package(tmp_path_factory):
    """The content of a wheel in a folder, as pip puts it into site-packages."""
    folder = tmp_path_factory.mktemp('wheel')
    tracked = subprocess.run(['git', 'ls-files', '-z'], cwd=REPOSITORY, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip('needs a clone')
    for name in filter(None, tracked.stdout.split('\0')):
        source, copy = REPOSITORY / name, folder / 'source' / name
        if not os.path.lexists(source) or name.startswith('tests/'):
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            copy.symlink_to(os.readlink(source))
        else:
            copy.write_bytes(source.read_bytes())
    done = subprocess.run(
        [sys.executable, '-c', BUILD, str(folder)], cwd=folder / 'source', capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob('*.whl')
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / 'site-packages')
    return folder / 'site-packages'


def run(package, folder, *command):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, 'PYTHONPATH': str(package)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_has_the_command_configs_index_and_tools(package):
    entry_points = next(package.glob('*.dist-info')) / 'entry_points.txt'
    assert 'mmosnet = mmosnet.cli.main:main' in entry_points.read_text()
    mim = package / 'mmosnet' / '.mim'
    for name in ('model-index.yml', 'configs/metafile.yml', 'configs/osnet_reid_market.py', 'tools/train.py'):
        assert (mim / name).is_file(), name


def test_configs_by_name_copies_and_bases_in_an_empty_folder(package, tmp_path):
    mmosnet = ('-m', 'mmosnet')
    assert str(package) in run(package, tmp_path, *mmosnet, 'configs', 'osnet_reid_synthetic')
    run(package, tmp_path, *mmosnet, 'configs', 'osnet_reid_synthetic', '--copy', 'mine.py')
    (tmp_path / 'two.py').write_text("_base_ = 'mine.py'\nmodel = dict(backbone=dict(num_streams=2))\n")
    counts = [run(package, tmp_path, *mmosnet, 'complexity', c) for c in ('osnet_reid_synthetic', 'mine.py', 'two.py')]
    assert counts[0] == counts[1] != counts[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ['mine.py', 'two.py']


MINE = """
_base_ = 'mmosnet::osnet_reid_synthetic.py'
people = dict(type='mmosnet.Market1501', data_root='market', check_counts=False)
model = dict(head=dict(num_classes=6))
train_dataloader = dict(batch_size=8, num_workers=0, dataset=people)
val_dataloader = dict(num_workers=0, dataset=people)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1, val_interval=1)
"""


def test_a_command_that_starts_trainings_writes_into_this_folder(package, tmp_path):
    write_market(tmp_path / 'market')
    (tmp_path / 'mine.py').write_text(MINE)
    run(package, tmp_path, '-m', 'mmosnet', 'ablation', 'mine.py', '--rows', 'sum')
    work_dir = tmp_path / 'work_dirs' / 'ablation' / 'mine'
    assert (work_dir / 'ablation.md').is_file() and (work_dir / 'sum' / 'epoch_1.pth').is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ['market', 'mine.py', 'work_dirs']
