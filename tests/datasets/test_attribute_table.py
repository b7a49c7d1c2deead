import numpy as np
import pytest

from mmosnet.datasets import AttributeTable
from mmosnet.errors import DataError
from tests.conftest import write_person

HEADER = 'path,split,hat,bag'
ROWS = ['crops/a.jpg,train,1,0', 'crops/b.jpg,train,0,0', '"crops/c, d.jpg",val,1,1', 'crops/e.jpg,test,0,1']


@pytest.fixture
def root(tmp_path):
    for number, name in enumerate(('a', 'b', 'c, d', 'e')):
        write_person(tmp_path / 'crops' / f'{name}.jpg', number)
    return tmp_path


def write_table(root, *rows, header=HEADER, encoding='utf-8'):
    (root / 'attributes.csv').write_bytes('\r\n'.join([header, *rows, '']).encode(encoding))
    return str(root)


def infos(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def test_records_and_facts(root):
    dataset = AttributeTable(write_table(root, *ROWS))
    assert [r['gt_score'].tolist() for r in infos(dataset)] == [[1, 0], [0, 0]]
    assert dataset.metainfo['attributes'] == ['hat', 'bag']
    assert dataset.metainfo['pos_ratio'] == [0.5, 0.0]
    val, test = infos(AttributeTable(str(root), split=('val', 'test'), test_mode=True))
    assert val['img_path'] == str(root / 'crops' / 'c, d.jpg') and val['split'] == 'val'
    assert test['gt_score'].dtype == np.float32 and test['gt_score'].tolist() == [0, 1]


def test_columns_in_any_order_and_of_other_kinds(root):
    rows = [' 1 ,anna, crops/a.jpg ,30,train,0', ',,,,,', '0,bob,crops/b.jpg,,train,1']
    table = write_table(root, *rows, header='bag,pid,path,age,split,hat', encoding='utf-8-sig')
    dataset = AttributeTable(table, attributes=['hat', 'bag'])
    assert [r['gt_score'].tolist() for r in infos(dataset)] == [[0, 1], [1, 0]]
    with pytest.raises(DataError, match=r"attributes\.csv, row 2: pid is 'anna', neither 0 nor 1"):
        AttributeTable(table)
    with pytest.raises(DataError, match=r"attributes\.csv: attributes=.*'boots'; choose from bag, pid, age, hat"):
        AttributeTable(table, attributes=['boots'])


def test_another_folder_of_images(root):
    table = write_table(root, *(row.replace('crops/', '') for row in ROWS))
    dataset = AttributeTable(table, data_prefix=dict(img_path='crops'))
    assert infos(dataset)[0]['img_path'] == str(root / 'crops' / 'a.jpg')


@pytest.mark.parametrize(
    ('row', 'message'),
    [
        ('crops/b.jpg,train,2,0', ", row 3: hat is '2', neither 0 nor 1"),
        ('crops/b.jpg,train,yes,0', ", row 3: hat is 'yes', neither"),
        ('crops/b.jpg,train,0.5,0', r", row 3: hat is '0\.5', neither"),
        ('crops/b.jpg,train,1,', ', row 3: bag is empty but hat is not; fill all of hat, bag'),
        ('crops/b.jpg,train,,', ', row 3: all cells of attributes are empty'),
        ('crops/b.jpg,query,1,0', ", row 3: split 'query'; choose from train, val, test"),
        ('crops/b.jpg,,1,0', ', row 3: the cell split is empty'),
        ('crops/b.jpg,val,7,0', ", row 3: hat is '7'"),
        ('crops/x.jpg,train,1,0', r', train, row 3: no image .*x\.jpg \(1 of 2 are missing\)'),
        ('../b.jpg,train,1,0', r", row 3: the path '\.\./b\.jpg' leaves"),
        ('./crops/a.jpg,train,1,0', ', row 3: path .* is in row 2 already'),
        ('crops/b.jpg,train,1', ', row 3: 3 cells'),
    ],
)
def test_broken_row_is_named(root, row, message):
    with pytest.raises(DataError, match=r'attributes\.csv' + message):
        AttributeTable(write_table(root, ROWS[0], row))


def test_no_table_no_attributes_and_no_images(root):
    with pytest.raises(FileNotFoundError, match=r'AttributeTable: no table .*attributes\.csv'):
        AttributeTable(str(root))
    with pytest.raises(DataError, match='no column but path and split; add one'):
        AttributeTable(write_table(root, 'crops/a.jpg,train', header='path,split'))
    with pytest.raises(DataError, match='no column split; the first row must name the columns path,split,'):
        AttributeTable(write_table(root, header='path,hat'))
    with pytest.raises(DataError, match='the val split has no images'):
        AttributeTable(write_table(root, ROWS[0]), split='val')
