import numpy as np
import pytest
from mmengine.logging import MMLogger

from mmosnet.datasets import Market1501Attributes
from mmosnet.datasets.market1501_attributes import market_attributes
from mmosnet.errors import DataError
from tests.conftest import write_market
from tests.datasets.attribute_formats import TEST_FIELDS, TRAIN_FIELDS, write_market_attributes

TRAIN, TEST = range(1, 7), range(7, 11)
# What the second value of a field means.
SECOND = dict(gender='female', hair='long_hair', up='short_sleeves', down='short_lower', clothes='pants')


@pytest.fixture
def root(tmp_path):
    write_market(tmp_path)
    write_market_attributes(tmp_path / 'market_attribute.mat', TRAIN, TEST)
    return tmp_path


def infos(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


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


def test_people_without_attributes_and_attributes_without_people(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'info', lines.append)
    write_market(tmp_path)
    path = tmp_path / 'market_attribute.mat'
    write_market_attributes(path, range(1, 6), TEST)
    with pytest.raises(DataError, match=r'market_attribute\.mat, train: no attributes of identity 0006'):
        Market1501Attributes(str(tmp_path))
    write_market_attributes(path, range(1, 9), TEST)
    assert len(Market1501Attributes(str(tmp_path), val_share=0)) == 24
    assert any('2 of 8 identities in' in line and 'train, have no image, the first 0007' in line for line in lines)


def test_published_numbers(root):
    dataset = Market1501Attributes(str(root))
    assert dataset.published_counts() == dict(test=13_115 + 3_368)
    whole = Market1501Attributes(str(root), val_share=0, queries=False)
    assert whole.published_counts() == dict(train=12_936, test=13_115)
