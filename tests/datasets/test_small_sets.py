from __future__ import annotations

import json

import numpy as np
import pytest

from mmosnet.datasets import GRID, VIPeR
from mmosnet.datasets.small_sets import VIPER_SPLITS_FILE
from mmosnet.errors import DataError
from tests.conftest import write_person
from tests.datasets.official_formats import cell, write_grid, write_mat, write_viper

SPLITS = ('train', 'query', 'gallery')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_viper(tmp_path_factory.mktemp('viper'))


def load(root, **options):
    dataset = VIPeR(data_root=str(root), split=SPLITS, pipeline=[], lazy_init=True, **options)
    records = dataset.load_data_list()
    return {split: [r for r in records if r['split'] == split] for split in SPLITS}


def test_shipped_splits_are_ten_seeded_halves():
    random = np.random.RandomState(0)
    assert json.loads(VIPER_SPLITS_FILE.read_text()) == [
        sorted(random.permutation(632)[:316].tolist()) for _ in range(10)
    ]


def test_a_half_is_used_in_both_directions(root):
    first, second, third = (load(root, split_index=index) for index in (0, 1, 2))
    for records in (first, second, third):
        found = {s: (len(records[s]), len({r['pid'] for r in records[s]})) for s in SPLITS}
        assert found == VIPeR(data_root=str(root), lazy_init=True).published_counts()
        assert not {r['pid'] for r in records['train']} & {r['pid'] for r in records['query']}
    assert first['train'] == second['train'] != third['train']
    assert {r['camid'] for r in first['query']} == {r['camid'] for r in second['gallery']} == {0}
    assert [r['img_path'] for r in first['query']] == [r['img_path'] for r in second['gallery']]
    assert {r['pid'] for r in first['query']} == {r['pid'] for r in first['gallery']}


def test_archive_folder_is_found(root, tmp_path):
    (tmp_path / 'VIPeR').symlink_to(root)
    assert len(load(tmp_path)['query']) == 316


def test_errors(root, tmp_path):
    with pytest.raises(ValueError, match='split_index=20: VIPeR has splits 0 to 19'):
        load(root, split_index=20)
    with pytest.raises(FileNotFoundError, match=r'no folder .*cam_a'):
        load(tmp_path)
    small = write_viper(tmp_path / 'small', 5)
    with pytest.raises(ValueError, match='5 identities instead of 632'):
        load(small)
    (small / 'cam_b/003_90.bmp').unlink()
    with pytest.raises(ValueError, match='identity 3 has images of one camera only'):
        load(small)


@pytest.fixture(scope='module')
def grid_root(tmp_path_factory):
    return write_grid(tmp_path_factory.mktemp('grid'))


def grid_load(grid_root, **options):
    dataset = GRID(data_root=str(grid_root), split=SPLITS, pipeline=[], lazy_init=True, **options)
    records = dataset.load_data_list()
    return {split: [r for r in records if r['split'] == split] for split in SPLITS}


@pytest.mark.parametrize('version', ['5', '7.3'])
def test_official_counts_of_every_split(grid_root, tmp_path, version):
    write_mat(
        grid_root / 'features_and_partitions.mat',
        {
            'trainIdxAll': cell(
                [
                    dict(a=np.zeros((1, 1)), b=np.zeros((1, 1)), c=np.arange(1.0 + split, 126.0 + split)[None])
                    for split in range(10)
                ],
                (1, 10),
            )
        },
        version,
    )
    for split_index in (0, 9):
        records = grid_load(grid_root, split_index=split_index)
        found = {s: (len(records[s]), len({r['pid'] for r in records[s]} - {0})) for s in SPLITS}
        assert found == GRID(data_root=str(grid_root), lazy_init=True).published_counts()
        assert {r['pid'] for r in records['train']} == set(range(1 + split_index, 126 + split_index))
        assert {r['camid'] for r in records['query']} == {0}
        assert sum(r['pid'] == 0 for r in records['gallery']) == 775


def test_grid_archive_folder_is_found(grid_root, tmp_path):
    (tmp_path / 'underground_reid').symlink_to(grid_root)
    assert len(grid_load(tmp_path)['query']) == 125


def test_grid_errors(grid_root, tmp_path):
    with pytest.raises(ValueError, match='split_index=10: GRID has splits 0 to 9'):
        grid_load(grid_root, split_index=10)
    with pytest.raises(FileNotFoundError, match=r'no folder .*probe'):
        grid_load(tmp_path)
    for folder in ('probe', 'gallery'):
        (tmp_path / folder).symlink_to(grid_root / folder)
    with pytest.raises(FileNotFoundError, match='features_and_partitions'):
        grid_load(tmp_path)
    partitions = tmp_path / 'features_and_partitions.mat'
    write_mat(partitions, {'trainIdxAll': cell([dict(a=np.ones((1, 1)))] * 3, (1, 3))})
    with pytest.raises(ValueError, match='has 3 splits instead of 10'):
        grid_load(tmp_path)
    write_mat(partitions, {'trainIdxAll': cell([dict(a=np.ones((1, 1)))] * 10, (1, 10))})
    with pytest.raises(ValueError, match='split 0 of trainIdxAll is no structure of three fields'):
        grid_load(tmp_path)
    write_mat(
        partitions,
        {'trainIdxAll': cell([dict(a=one, b=one, c=one * np.nan) for one in [np.ones((1, 1))] * 10], (1, 10))},
    )
    with pytest.raises(DataError, match='split 0: value 1 is nan'):
        grid_load(tmp_path)


@pytest.mark.parametrize(
    'name', ['0001_0_25004_107_32_106_221.jpeg', '12345678901_1_25004.jpeg', '0001_12345678901_2.jpeg']
)
def test_names_that_state_no_camera_or_pid(tmp_path, name):
    write_grid(tmp_path)
    write_person(tmp_path / 'underground_reid' / 'probe' / name, 1)
    with pytest.raises(DataError, match=name):
        grid_load(tmp_path)
