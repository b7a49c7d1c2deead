import numpy as np
import pytest

from mmosnet.datasets import GRID
from mmosnet.errors import DataError
from tests.conftest import write_person
from tests.datasets.official_formats import cell, write_grid, write_mat

SPLITS = ('train', 'query', 'gallery')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_grid(tmp_path_factory.mktemp('grid'))


def load(root, **options):
    dataset = GRID(data_root=str(root), split=SPLITS, pipeline=[], lazy_init=True, **options)
    records = dataset.load_data_list()
    return {split: [r for r in records if r['split'] == split] for split in SPLITS}


@pytest.mark.parametrize('version', ['5', '7.3'])
def test_official_counts_of_every_split(root, tmp_path, version):
    write_mat(
        root / 'features_and_partitions.mat',
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
        records = load(root, split_index=split_index)
        found = {s: (len(records[s]), len({r['pid'] for r in records[s]} - {0})) for s in SPLITS}
        assert found == GRID(data_root=str(root), lazy_init=True).published_counts()
        assert {r['pid'] for r in records['train']} == set(range(1 + split_index, 126 + split_index))
        assert {r['camid'] for r in records['query']} == {0}
        assert sum(r['pid'] == 0 for r in records['gallery']) == 775


def test_archive_folder_is_found(root, tmp_path):
    (tmp_path / 'underground_reid').symlink_to(root)
    assert len(load(tmp_path)['query']) == 125


def test_errors(root, tmp_path):
    with pytest.raises(ValueError, match='split_index=10: GRID has splits 0 to 9'):
        load(root, split_index=10)
    with pytest.raises(FileNotFoundError, match=r'no folder .*probe'):
        load(tmp_path)
    for folder in ('probe', 'gallery'):
        (tmp_path / folder).symlink_to(root / folder)
    with pytest.raises(FileNotFoundError, match='features_and_partitions'):
        load(tmp_path)
    partitions = tmp_path / 'features_and_partitions.mat'
    write_mat(partitions, {'trainIdxAll': cell([dict(a=np.ones((1, 1)))] * 3, (1, 3))})
    with pytest.raises(ValueError, match='has 3 splits instead of 10'):
        load(tmp_path)
    write_mat(partitions, {'trainIdxAll': cell([dict(a=np.ones((1, 1)))] * 10, (1, 10))})
    with pytest.raises(ValueError, match='split 0 of trainIdxAll is no structure of three fields'):
        load(tmp_path)
    write_mat(
        partitions,
        {'trainIdxAll': cell([dict(a=one, b=one, c=one * np.nan) for one in [np.ones((1, 1))] * 10], (1, 10))},
    )
    with pytest.raises(DataError, match='split 0: value 1 is nan'):
        load(tmp_path)


@pytest.mark.parametrize(
    'name', ['0001_0_25004_107_32_106_221.jpeg', '12345678901_1_25004.jpeg', '0001_12345678901_2.jpeg']
)
def test_names_that_state_no_camera_or_pid(tmp_path, name):
    write_grid(tmp_path)
    write_person(tmp_path / 'underground_reid' / 'probe' / name, 1)
    with pytest.raises(DataError, match=name):
        load(tmp_path)
