from __future__ import annotations

import re

import numpy as np
import pytest

from mmosnet.datasets import DukeMTMCreID, Market1501Attributes
from mmosnet.datasets.market1501 import NAME, Market1501, market_attributes
from mmosnet.errors import DataError
from tests.conftest import write_market, write_person
from tests.datasets.attribute_formats import TEST_FIELDS, TRAIN_FIELDS, write_market_attributes
from tests.datasets.official_formats import infos


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


def test_people_of_pid_0_are_named(tmp_path, warnings):
    for name in ('0000_c1s1_1.jpg', '0001_c1s1_2.jpg'):
        write_person(tmp_path / 'bounding_box_train' / name, 1)
    assert len(Market1501(str(tmp_path), check_counts=False)) == 2
    assert '1 images of train are of pid 0' in warnings[0]


def test_reads_markets_layout(tmp_path):
    root = write_market(tmp_path, cameras=3)
    dataset = DukeMTMCreID(data_root=str(root), split=('query', 'gallery'), pipeline=[])
    assert {r['camid'] for r in dataset.load_data_list()} == {0, 1, 2}
    assert dataset.published_counts()['gallery'] == (17_661, 1_110)


def test_half_a_million_distractors_join_markets_gallery(tmp_path):
    root = write_market(tmp_path)
    for index in range(3):
        write_person(root / 'images' / f'0000_c1s1_{index:06d}_00.jpg', 0)
    plain, more = (
        Market1501(data_root=str(root), split='gallery', pipeline=[], distractors_500k=flag).load_data_list()
        for flag in (False, True)
    )
    assert len(more) == len(plain) + 3 and sum(r['pid'] == 0 for r in more) == 4


def test_combineall_trains_on_everybody_but_distractors_and_junk(tmp_path):
    root = write_market(tmp_path)
    dataset = Market1501(data_root=str(root), split='train', pipeline=[], combineall=True)
    records = dataset.load_data_list()
    # Six and four identities, two cameras, two images each.
    assert len(records) == 40 and {r['pid'] for r in records} == set(range(1, 11))
    assert {r['gt_label'] for r in records} == set(range(10)) and {r['split'] for r in records} == {'train'}


TRAIN, TEST = range(1, 7), range(7, 11)
# What the second value of a field means.
SECOND = dict(gender='female', hair='long_hair', up='short_sleeves', down='short_lower', clothes='pants')


@pytest.fixture
def root(tmp_path):
    write_market(tmp_path)
    write_market_attributes(tmp_path / 'market_attribute.mat', TRAIN, TEST)
    return tmp_path


def pid_of(record):
    return int(record['img_path'].split('/')[-1].split('_')[0])


@pytest.mark.parametrize('version', ['5', '7.3'])
def test_fields_are_matched_by_name_and_made_binary(tmp_path, version):
    path = tmp_path / 'market_attribute.mat'
    both = write_market_attributes(path, TRAIN, TEST, version)
    assert list(both['train']) != list(both['test'])
    names, scores = market_attributes(path)
    assert len(names) == len(set(names)) == 30
    assert names[:9] == [*SECOND.values(), 'hat', 'backpack', 'bag', 'handbag']
    assert names[9:13] == ['young', 'teenager', 'adult', 'old']
    assert names[13] == 'upblack' and names[-1] == 'downbrown'
    for split, pids, fields in (('train', TRAIN, TRAIN_FIELDS), ('test', TEST, TEST_FIELDS)):
        assert list(scores[split]) == list(pids)
        for index, pid in enumerate(pids):
            expected = {}
            for field in fields:
                value = both[split][field][0, index]
                if field == 'age':
                    for number, name in enumerate(('young', 'teenager', 'adult', 'old'), start=1):
                        expected[name] = float(value == number)
                else:
                    expected[SECOND.get(field, field)] = value - 1
            assert dict(zip(names, scores[split][pid].tolist(), strict=True)) == expected
            assert scores[split][pid].dtype == np.float32


def set_value(split, field, value):
    def edit(both):
        both[split][field][0, 1] = value

    return edit


def set_pid(text):
    def edit(both):
        both['test']['image_index'][0, 1] = text

    return edit


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (set_value('test', 'hat', 0), r'test, hat: identity 8 has 0\.0, not one of 1 to 2'),
        (set_value('test', 'hat', 3), r'test, hat: identity 8 has 3\.0, not one of 1 to 2'),
        (set_value('train', 'age', 5), r'train, age: identity 2 has 5\.0, not one of 1 to 4'),
        (set_value('train', 'upred', np.nan), 'train, upred: identity 2 has nan'),
        (lambda both: both['test'].pop('downpink'), 'test has no field downpink; it has age, backpack'),
        (lambda both: both['test'].pop('image_index'), 'test has no field image_index'),
        (lambda both: both.pop('test'), 'market_attribute has no field test; it has train'),
        (lambda both: both['test'].update(hat=np.ones((1, 3))), 'test, hat: 3 values for 4 identities'),
        (set_pid('0007'), "test: image_index 2 is '0007', no identity like 0002, or there twice"),
        (set_pid('-1'), "test: image_index 2 is '-1', no identity"),
        (set_pid(''), "test: image_index 2 is '', no identity"),
    ],
)
def test_broken_file(tmp_path, edit, message):
    write_market_attributes(tmp_path / 'market_attribute.mat', TRAIN, TEST, edit=edit)
    with pytest.raises(DataError, match=r'market_attribute\.mat, ' + message):
        market_attributes(tmp_path / 'market_attribute.mat')


def test_missing_file_says_where_it_comes_from(tmp_path):
    write_market(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'market_attribute\.mat .*vana77/Market-1501_Attribute'):
        Market1501Attributes(str(tmp_path))


def test_every_image_of_a_person_has_the_same_labels(root):
    names, scores = market_attributes(root / 'market_attribute.mat')
    train = Market1501Attributes(str(root), val_share=0)
    assert train.metainfo['attributes'] == names
    records = infos(train)
    assert len(records) == 6 * 2 * 2
    for record in records:
        assert 'bounding_box_train' in record['img_path']
        assert np.array_equal(record['gt_score'], scores['train'][pid_of(record)])
    for column, ratio in enumerate(train.metainfo['pos_ratio']):
        assert ratio == pytest.approx(sum(r['gt_score'][column] for r in records) / 24)


def test_test_split_has_people_only(root):
    _, scores = market_attributes(root / 'market_attribute.mat')
    records = infos(Market1501Attributes(str(root), split='test', test_mode=True))
    # Eight queries and eight of the gallery: neither the distractor nor the junk image.
    assert len(records) == 16 and {pid_of(r) for r in records} == set(TEST)
    assert all(np.array_equal(r['gt_score'], scores['test'][pid_of(r)]) for r in records)
    gallery = infos(Market1501Attributes(str(root), split='test', queries=False, test_mode=True))
    assert len(gallery) == 8 and all('bounding_box_test' in r['img_path'] for r in gallery)


def test_held_out_identities(root):
    options = dict(data_root=str(root), val_share=0.34)
    train, val = (infos(Market1501Attributes(split=split, **options)) for split in ('train', 'val'))
    assert len({pid_of(r) for r in val}) == 2 and len({pid_of(r) for r in train}) == 4
    assert {pid_of(r) for r in train} | {pid_of(r) for r in val} == set(TRAIN)
    assert len(train) + len(val) == 24 and all(r['split'] == 'val' for r in val)
    order = np.random.RandomState(0).permutation(6)[:2]
    assert {pid_of(r) for r in val} == {int(i) + 1 for i in order}
    # At least one, by default a tenth.
    assert len({pid_of(r) for r in infos(Market1501Attributes(str(root), split='val'))}) == 1
    with pytest.raises(DataError, match='Market1501Attributes has no official validation split'):
        Market1501Attributes(str(root), split='val', val_share=0)
    with pytest.raises(DataError, match=r'val_share=-0\.5 is no share'):
        Market1501Attributes(str(root), val_share=-0.5)


def test_people_without_attributes_and_attributes_without_people(tmp_path, log):
    write_market(tmp_path)
    path = tmp_path / 'market_attribute.mat'
    write_market_attributes(path, range(1, 6), TEST)
    with pytest.raises(DataError, match=r'market_attribute\.mat, train: no attributes of identity 0006'):
        Market1501Attributes(str(tmp_path))
    write_market_attributes(path, range(1, 9), TEST)
    assert len(Market1501Attributes(str(tmp_path), val_share=0)) == 24
    assert any('2 of 8 identities in' in line and 'train, have no image, the first 0007' in line for line in log)


def test_published_numbers(root):
    dataset = Market1501Attributes(str(root))
    assert dataset.published_counts() == dict(test=13_115 + 3_368)
    whole = Market1501Attributes(str(root), val_share=0, queries=False)
    assert whole.published_counts() == dict(train=12_936, test=13_115)
