import json

import numpy as np
import pytest

from mmosnet.datasets import VIPeR
from mmosnet.datasets.viper import SPLITS_FILE
from tests.datasets.official_formats import write_viper

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
    assert json.loads(SPLITS_FILE.read_text()) == [sorted(random.permutation(632)[:316].tolist()) for _ in range(10)]


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
