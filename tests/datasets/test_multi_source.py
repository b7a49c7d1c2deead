import pytest

from mmosnet.datasets import MultiSource
from tests.conftest import write_market
from tests.datasets.official_formats import write_msmt17

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
