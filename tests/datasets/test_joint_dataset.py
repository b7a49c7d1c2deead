import pytest
from mmengine.dataset import BaseDataset

from mmosnet.datasets import JointDataset
from mmosnet.errors import DataError
from mmosnet.registry import DATASETS
from tests.conftest import write_market

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
