import numpy as np
import pytest

from mmosnet.datasets.market1501 import NAME, Market1501
from mmosnet.datasets.market_attribute_file import market_attributes
from mmosnet.errors import DataError
from tests.conftest import write_market, write_person
from tests.datasets.attribute_formats import write_market_attributes


@pytest.mark.parametrize(
    ('name', 'pid', 'camera'),
    [
        ('0002_c1s1_000451_03.jpg', 2, 1),
        ('-1_c6s3_065842_01.jpg', -1, 6),
        ('0007_c12s1_000001_00.jpg', 7, 12),
        ('1501_c3s3_075544_02.jpg.jpg', 1501, 3),
    ],
)
def test_official_names(name, pid, camera):
    match = NAME.match(name)
    assert (int(match[1]), int(match[2])) == (pid, camera)


def test_files_are_listed_in_a_fixed_order(tmp_path):
    for frame in (3, 1, 2):
        write_person(tmp_path / 'query' / f'0001_c2s1_{frame:06d}_00.jpg', 1)
    dataset = Market1501(str(tmp_path), split='query')
    frames = [dataset.get_data_info(i)['img_path'][-9 - 4 : -7] for i in range(3)]
    assert frames == sorted(frames)
    assert dataset.get_data_info(0)['camid'] == 1


def infos(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def test_records_with_attributes(tmp_path):
    write_market(tmp_path)
    write_market_attributes(tmp_path / 'more' / 'market_attribute.mat', range(1, 6), range(7, 11))
    names, scores = market_attributes(tmp_path / 'more' / 'market_attribute.mat')
    options = dict(attributes='more/market_attribute.mat', check_counts=False)
    train = Market1501(str(tmp_path), **options)
    for record in infos(train):
        # Identity 6 has no attributes.
        assert ('gt_score' in record) == (record['pid'] != 6)
        if 'gt_score' in record:
            assert np.array_equal(record['gt_score'], scores['train'][record['pid']])
    assert train.metainfo['attributes'] == names
    # Four images of each of five identities.
    expected = [sum(scores['train'][pid][column] for pid in range(1, 6)) / 5 for column in range(30)]
    assert train.metainfo['pos_ratio'] == pytest.approx(expected)
    test = Market1501(str(tmp_path), split=('query', 'gallery'), test_mode=True, **options)
    for record in infos(test):
        assert ('gt_score' in record) == (record['pid'] > 0)
        if 'gt_score' in record:
            assert np.array_equal(record['gt_score'], scores['test'][record['pid']])
    assert test.metainfo['attributes'] == names and 'pos_ratio' not in test.metainfo
    everybody = infos(Market1501(str(tmp_path), combineall=True, **options))
    assert sum('gt_score' in r for r in everybody) == 20 + 16


def test_attributes_of_other_people_and_none(tmp_path):
    write_market(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'no file .*market_attribute\.mat'):
        Market1501(str(tmp_path), attributes='market_attribute.mat')
    write_market_attributes(tmp_path / 'market_attribute.mat', range(100, 106), range(7, 11))
    with pytest.raises(DataError, match='Market1501, train: none of 24 images has attribute labels'):
        Market1501(str(tmp_path), attributes='market_attribute.mat')
    assert 'attributes' not in Market1501(str(tmp_path)).metainfo


@pytest.mark.real
def test_real_data_set(real_data):
    train = Market1501(str(real_data), split='train')
    test = Market1501(str(real_data), split=('query', 'gallery'), pipeline=[dict(type='mmosnet.LoadPersonImage')])
    assert train.metainfo['num_train_pids'] > 1
    assert test.metainfo['num_cross_camera_queries'] > 0
    assert test[0]['img'].ndim == 3
