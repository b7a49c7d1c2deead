from __future__ import annotations

import pytest
from mmengine.dataset import BaseDataset

from mmosnet.datasets import JointDataset, MultiSource
from mmosnet.errors import DataError
from mmosnet.registry import DATASETS
from tests.conftest import write_market
from tests.datasets.official_formats import write_msmt17
from tests.datasets.video_formats import write_duke_video

SOURCES = [
    dict(type='mmosnet.Market1501', data_root='market'),
    dict(type='mmosnet.MSMT17', data_root='msmt17', version='V1'),
    dict(type='mmosnet.Market1501', data_root='market'),
]


@pytest.fixture
def root(tmp_path):
    write_market(tmp_path / 'market', cameras=2)
    write_msmt17(tmp_path / 'msmt17')
    return tmp_path


def test_identities_cameras_and_labels_of_sources_are_apart(root):
    dataset = MultiSource(SOURCES, data_root=str(root), pipeline=[])
    records = [dataset.get_data_info(index) for index in range(len(dataset))]
    by_source = [[r for r in records if r['source'] == source] for source in range(3)]
    assert [len(rows) for rows in by_source] == [24, 36, 24]
    for key, expected in (
        ('gt_label', [range(6), range(6, 12), range(12, 18)]),
        ('camid', [{0, 1}, {2, 16}, {17, 18}]),
    ):
        assert [{r[key] for r in rows} for rows in by_source] == [set(values) for values in expected]
    assert dataset.metainfo['num_train_pids'] == 18
    # One label, one pid, one person's pictures.
    assert len({(r['gt_label'], r['pid']) for r in records}) == 18
    assert all('/market/' in r['img_path'] for r in by_source[0]) and '/msmt17/' in by_source[1][0]['img_path']


def test_tracklets_of_sources_are_apart(tmp_path):
    write_duke_video(tmp_path)
    source = dict(type='mmosnet.DukeMTMCVideoReID', check_counts=False)
    records = MultiSource([source, source], data_root=str(tmp_path), pipeline=[]).load_data_list()
    assert [r['tracklet'] for r in records] == list(range(8)) and len({r['camid'] for r in records}) == 8
    assert len({r['gt_label'] for r in records}) == 4 and all(len(r['frame_paths']) == 4 for r in records)


def test_combineall_reaches_every_source(root):
    records = MultiSource(SOURCES, data_root=str(root), pipeline=[], combineall=True).load_data_list()
    assert len(records) == 40 + 80 + 40 and len({r['gt_label'] for r in records}) == 10 + 10 + 10


def test_errors(root):
    with pytest.raises(ValueError, match='at least one entry in sources'):
        MultiSource([], data_root=str(root))
    with pytest.raises(ValueError, match='MultiSource is for training'):
        MultiSource(SOURCES, data_root=str(root), split='query')
    with pytest.raises(FileNotFoundError, match='nowhere'):
        MultiSource([dict(type='mmosnet.Market1501', data_root='nowhere')], data_root=str(root))


PEOPLE = dict(type='mmosnet.Market1501', check_counts=False, pipeline=[])


class Objects(BaseDataset):
    METAINFO = dict(classes=['bench', 'car'])

    def load_data_list(self):
        return [dict(img_path=f'{index}.jpg', gt_label=index % 2) for index in range(3)]


def test_data_sets_follow_each_other_and_add_up_what_they_know(tmp_path):
    root = str(write_market(tmp_path / 'market'))
    joined = JointDataset(dict(people=DATASETS.build(dict(PEOPLE, data_root=root)), objects=Objects(), more=None))
    assert len(joined) == 24 + 3
    assert joined[0]['pid'] == 1 and joined[25]['gt_label'] == 1 and 'pid' not in joined[25]
    assert joined.metainfo['num_train_pids'] == 6
    assert joined.metainfo['classes'] == ['bench', 'car']
    assert joined.metainfo['task'] == 'joint'
    assert joined.get_data_info(24)['img_path'] == '0.jpg'
    below = JointDataset(dict(people=dict(PEOPLE, data_root='market')), data_root=str(tmp_path))
    assert below[0]['img_path'] == joined[0]['img_path']


def test_contradictions_and_nothing(tmp_path):
    class Others(Objects):
        METAINFO = dict(classes=['dog'])

    expected = r"objects and others differ in classes.*\['bench', 'car'\] and \['dog'\]. Leave one out$"
    with pytest.raises(DataError, match=expected):
        JointDataset(dict(objects=Objects(), others=Others()))
    assert len(JointDataset(dict(objects=Objects(), same=Objects()))) == 6
    with pytest.raises(DataError, match='at least one'):
        JointDataset(dict(people=None))
