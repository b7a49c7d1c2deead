import re

import numpy as np
import pytest
from mmengine.logging import MMLogger

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


@pytest.mark.parametrize(
    'name',
    [
        *('12-3_c1s1_000001_00.jpg', '1--2_c1s1_000001_00.jpg', '-_c1s1_000001_00.jpg', '+3_c1s1_000001_00.jpg'),
        *('-2_c1s1_000001_00.jpg', '12345678901_c1s1_000001_00.jpg', f'{"9" * 200}_c1.jpg', '0001_c12345678901s1.jpg'),
        '\u0661_c1.jpg',
    ],
)
def test_names_that_are_almost_right_are_named(tmp_path, name):
    write_person(tmp_path / 'query' / '0001_c2s1_000001_00.jpg', 1)
    write_person(tmp_path / 'query' / name, 1)
    with pytest.raises(DataError, match=re.escape(name)):
        Market1501(str(tmp_path), split='query')


def test_cameras_from_0_are_kept_in_all_splits(tmp_path):
    for path in ('bounding_box_train/0001_c1s1_1.jpg', 'bounding_box_train/0001_c2s1_2.jpg', 'query/0002_c1s1_3.jpg'):
        write_person(tmp_path / path, 1)
    write_person(tmp_path / 'bounding_box_test' / '0002_c0s1_4.jpg', 1)
    assert [r['camid'] for r in infos(Market1501(str(tmp_path)))] == [1, 2]
    test = Market1501(str(tmp_path), split=('query', 'gallery'), test_mode=True)
    assert [r['camid'] for r in infos(test)] == [1, 0] and test.metainfo['num_cross_camera_queries'] == 1


def test_people_of_pid_0_are_named(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', said.append)
    for name in ('0000_c1s1_1.jpg', '0001_c1s1_2.jpg'):
        write_person(tmp_path / 'bounding_box_train' / name, 1)
    assert len(Market1501(str(tmp_path), check_counts=False)) == 2
    assert '1 images of train are of pid 0' in said[0]
