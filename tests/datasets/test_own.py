from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from mmosnet.datasets import AttributeTable, ReIDFolder, ReIDTable
from mmosnet.errors import DataError
from tests.conftest import write_person
from tests.datasets.official_formats import infos


@pytest.fixture
def root(tmp_path):
    """Three people to train on, two others to test on, two cameras."""
    for number, person in enumerate(('carl', 'anna', '0007')):
        for camera in (0, 1):
            write_person(tmp_path / 'train' / person / f'{camera}_1.jpg', number)
    for number, person in enumerate(('eve', 'bob'), start=10):
        write_person(tmp_path / 'query' / person / '0_1.PNG', number)
        write_person(tmp_path / 'gallery' / person / '1_2.jpeg', number)
    write_person(tmp_path / 'gallery' / 'strangers' / '1_3.jpg', 20)
    return tmp_path


def test_training_records(root):
    dataset = ReIDFolder(str(root))
    found = infos(dataset)
    assert [dataset.pid_names[r['pid']] for r in found] == ['0007', '0007', 'anna', 'anna', 'carl', 'carl']
    assert [r['gt_label'] for r in found] == [0, 0, 1, 1, 2, 2]
    assert [r['camid'] for r in found] == [0, 1] * 3
    assert found[0]['img_path'] == str(root / 'train' / '0007' / '0_1.jpg')
    assert dataset.metainfo['num_train_pids'] == 3
    # Checkpoints carry metainfo: names of people stay out of it.
    assert 'anna' not in str(dataset.metainfo)


def test_a_name_is_one_person_in_query_gallery_and_training(root):
    test = ReIDFolder(str(root), split=('query', 'gallery'), test_mode=True)
    people = {(r['split'], test.pid_names[r['pid']]): r['pid'] for r in infos(test)}
    assert people['query', 'bob'] == people['gallery', 'bob'] != people['query', 'eve'] == people['gallery', 'eve']
    assert test.metainfo['num_cross_camera_queries'] == 2
    # Built apart, numbered alike.
    assert test.pid_names == ReIDFolder(str(root)).pid_names


def test_combining_all_keeps_a_person_of_several_splits_one(root):
    write_person(root / 'query' / 'anna' / '3_9.jpg', 1)
    dataset = ReIDFolder(str(root), combineall=True)
    assert sorted({dataset.pid_names[r['pid']] for r in infos(dataset)}) == [
        *('0007', 'anna', 'bob', 'carl', 'eve', 'strangers')
    ]
    assert dataset.metainfo['num_train_pids'] == 6


def test_numbers_stay_numbers(tmp_path):
    for person in ('0002', '0015'):
        write_person(tmp_path / 'train' / person / '3_1.jpg', 1)
    assert {r['pid'] for r in infos(ReIDFolder(str(tmp_path)))} == {2, 15}


def test_unused_splits_need_not_be_there_and_used_ones_must(tmp_path):
    write_person(tmp_path / 'train' / 'anna' / '1_1.jpg', 1)
    assert len(ReIDFolder(str(tmp_path))) == 1
    with pytest.raises(FileNotFoundError, match=r'no folder .*query.*train, query and gallery'):
        ReIDFolder(str(tmp_path), split=('query', 'gallery'))


def test_images_without_a_camera_are_an_error_or_a_warning(tmp_path, warnings):
    write_person(tmp_path / 'train' / 'anna' / 'front.jpg', 1)
    with pytest.raises(DataError, match=r'none of the 1 images .* whole number for the camera.* first is .*front\.jpg'):
        ReIDFolder(str(tmp_path))
    write_person(tmp_path / 'train' / 'anna' / '1_1.jpg', 1)
    write_person(tmp_path / 'train' / '2_1.jpg', 1)
    assert len(ReIDFolder(str(tmp_path))) == 1
    assert any('ignored 2 images' in line and 'front.jpg' in line for line in warnings)


def test_empty_folders_hidden_files_and_other_files(tmp_path, warnings):
    write_person(tmp_path / 'train' / 'anna' / '1_1.jpg', 1)
    (tmp_path / 'train' / 'anna' / 'Thumbs.db').touch()
    (tmp_path / 'train' / 'anna' / '.1_1.jpg').touch()
    (tmp_path / 'train' / '.ipynb_checkpoints').mkdir()
    assert len(ReIDFolder(str(tmp_path))) == 1 and not warnings
    (tmp_path / 'train' / 'bob').mkdir()
    assert len(ReIDFolder(str(tmp_path))) == 1
    assert '1 folders' in warnings[0] and 'bob' in warnings[0]


def test_split_without_images(tmp_path):
    (tmp_path / 'train').mkdir()
    with pytest.raises(DataError, match='the train split has no images'):
        ReIDFolder(str(tmp_path))


def test_a_name_in_two_spellings_is_one_person(tmp_path):
    composed, parts = (unicodedata.normalize(form, 'Zoë') for form in ('NFC', 'NFD'))
    for path in (f'train/{parts}/0_1.jpg', f'query/{composed}/0_1.jpg', f'gallery/{parts}/1_1.jpg'):
        write_person(tmp_path / path, 1)
    train = ReIDFolder(str(tmp_path))
    test = ReIDFolder(str(tmp_path), split=('query', 'gallery'), test_mode=True)
    assert train.pid_names == test.pid_names == {1: composed}
    assert test.metainfo['num_cross_camera_queries'] == 1


def test_names_that_differ_in_capitals_are_named(tmp_path, warnings):
    for person in ('anna', 'Anna', '7', '007'):
        write_person(tmp_path / 'train' / person / '1_1.jpg', 1)
    assert ReIDFolder(str(tmp_path)).metainfo['num_train_pids'] == 4
    assert len(warnings) == 1 and "'Anna', 'anna'" in warnings[0] and "'007', '7'" in warnings[0]


def test_junk_is_left_out(tmp_path):
    for person in ('-1', '5', '12'):
        write_person(tmp_path / 'train' / person / '1_1.jpg', 1)
    assert {r['pid'] for r in infos(ReIDFolder(str(tmp_path)))} == {5, 12}


HEADER = 'path,pid,camid,split,hat,age'
ROWS = [
    'crops/a.jpg,anna,0,train,yes,30',
    'crops/b.jpg,anna,1,train,,30',
    '"crops/c, d.jpg",bob,0,train,no,',
    'crops/e.jpg,eve,0,query,no,20',
    'crops/f.jpg,eve,3,gallery,no,20',
]

ATTRIBUTE_HEADER = 'path,split,hat,bag'
ATTRIBUTE_ROWS = [
    'crops/a.jpg,train,1,0',
    'crops/b.jpg,train,0,0',
    '"crops/c, d.jpg",val,1,1',
    'crops/e.jpg,test,0,1',
]


@pytest.fixture
def table_root(tmp_path):
    for number, name in enumerate(('a', 'b', 'c, d', 'e', 'f')):
        write_person(tmp_path / 'crops' / f'{name}.jpg', number)
    return tmp_path


def write_table(root, *rows, header=HEADER, encoding='utf-8', name='people.csv'):
    (root / name).write_bytes('\r\n'.join([header, *rows, '']).encode(encoding))
    return str(root)


def write_attributes(root, *rows, header=ATTRIBUTE_HEADER, encoding='utf-8'):
    return write_table(root, *rows, header=header, encoding=encoding, name='attributes.csv')


def test_records_and_attributes(table_root):
    train = ReIDTable(write_table(table_root, *ROWS))
    found = infos(train)
    assert [train.pid_names[r['pid']] for r in found] == ['anna', 'anna', 'bob']
    assert [r['gt_label'] for r in found] == [0, 0, 1]
    assert [r['camid'] for r in found] == [0, 1, 0]
    assert found[2]['img_path'] == str(table_root / 'crops' / 'c, d.jpg')
    assert found[1]['attributes'] == dict(hat='', age='30')
    assert train.metainfo['attribute_names'] == ['hat', 'age']
    test = ReIDTable(str(table_root), split=('query', 'gallery'), test_mode=True)
    assert [r['split'] for r in infos(test)] == ['query', 'gallery']
    assert len({r['pid'] for r in infos(test)}) == 1
    assert test.pid_names == train.pid_names


def test_columns_in_any_order_byte_order_mark_spaces_and_empty_rows(table_root):
    rows = ['train , 0 , crops/a.jpg , 0012', '', ',,,', 'train,1,./crops//b.jpg,0013']
    dataset = ReIDTable(write_table(table_root, *rows, header='split,camid, path ,pid', encoding='utf-8-sig'))
    found = infos(dataset)
    assert [(r['pid'], r['camid']) for r in found] == [(12, 0), (13, 1)]
    assert found[1]['img_path'] == str(table_root / 'crops' / 'b.jpg')
    assert found[0]['attributes'] == {}


@pytest.mark.parametrize('separator', [';', '\t', '|', ','])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_tables_as_spreadsheets_write_them(table_root, separator, encoding):
    # Of a column with an empty cell they make numbers with a decimal point.
    rows = ['crops/a.jpg,12.0,1.0,train,,', 'crops/b.jpg,7.0,2.0,train,,', '"crops/c, d.jpg",7,2,train,,']
    lines = [line.replace('c, d', 'c# d').replace(',', separator).replace('c# d', 'c, d') for line in (HEADER, *rows)]
    dataset = ReIDTable(write_table(table_root, *lines[1:], header=lines[0], encoding=encoding))
    assert [(r['pid'], r['camid']) for r in infos(dataset)] == [(12, 1), (7, 2), (7, 2)]
    with_mark = [f'sep={separator}', *lines]
    dataset = ReIDTable(write_table(table_root, *with_mark[1:], header=with_mark[0], encoding=encoding))
    assert [(r['pid'], r['camid']) for r in infos(dataset)] == [(12, 1), (7, 2), (7, 2)]
    with pytest.raises(DataError, match=r"people\.csv, row 5: camid 'x'"):
        bad = rows[2].replace('7,2', '7,x').replace('c, d', 'c# d').replace(',', separator).replace('c# d', 'c, d')
        ReIDTable(write_table(table_root, *with_mark[1:-1], bad, header=with_mark[0], encoding=encoding))


def test_blanks_that_nobody_sees(table_root):
    rows = ['crops/a.jpg\xa0,\u200banna, 0,train\u3000,,', 'crops/b.jpg,anna\xa0,1,train,,']
    dataset = ReIDTable(write_table(table_root, *rows))
    assert [dataset.pid_names[r['pid']] for r in infos(dataset)] == ['anna', 'anna']


def test_names_in_two_spellings_are_one_person_and_alike_ones_are_named(table_root, warnings):
    composed, parts = (unicodedata.normalize(form, 'Zoë') for form in ('NFC', 'NFD'))
    rows = [row.replace('anna', composed).replace('eve', parts) for row in ROWS]
    write_table(table_root, *rows)
    train = ReIDTable(str(table_root))
    test = ReIDTable(str(table_root), split=('query', 'gallery'), test_mode=True)
    assert train.pid_names == test.pid_names and sorted(train.pid_names.values()) == sorted([composed, 'bob'])
    assert {r['pid'] for r in infos(test)} <= {r['pid'] for r in infos(train)}
    assert not warnings
    ReIDTable(write_table(table_root, *(row.replace('eve', 'Anna') for row in ROWS)))
    assert "'Anna', 'anna'" in warnings[0] and len(warnings) == 1
    numbers = ReIDTable(
        write_table(table_root, *(row.replace('anna', '0001').replace('eve', '1').replace('bob', '2') for row in ROWS))
    )
    assert len(numbers.pid_names) == 3 and "'0001', '1'" in warnings[1]


def test_nobody_in_particular_is_left_out(table_root):
    rows = [ROWS[0].replace('anna', '12'), ROWS[1].replace('anna', '7.0'), ROWS[2].replace('bob', '-1')]
    dataset = ReIDTable(write_table(table_root, *rows))
    assert [r['pid'] for r in infos(dataset)] == [12, 7]


def test_images_in_another_spelling_than_the_table(table_root):
    composed, parts = (unicodedata.normalize(form, 'ë.jpg') for form in ('NFC', 'NFD'))
    (table_root / 'crops' / 'a.jpg').rename(table_root / 'crops' / parts)
    dataset = ReIDTable(write_table(table_root, f'crops/{composed},anna,0,train,,'))
    assert infos(dataset)[0]['img_path'] == str(table_root / 'crops' / parts)


def test_another_name_and_another_folder_of_images(table_root):
    write_table(table_root, *(row.replace('crops/', '') for row in ROWS))
    (table_root / 'people.csv').rename(table_root / 'other.csv')
    dataset = ReIDTable(str(table_root), ann_file='other.csv', data_prefix=dict(img_path='crops'))
    assert infos(dataset)[0]['img_path'] == str(table_root / 'crops' / 'a.jpg')


def test_images_of_unused_splits_need_not_be_there(table_root):
    (table_root / 'crops' / 'e.jpg').unlink()
    root = write_table(table_root, *ROWS)
    assert len(ReIDTable(root)) == 3
    with pytest.raises(DataError, match=r'row 5: no image .*e\.jpg'):
        ReIDTable(root, split='query')


@pytest.mark.parametrize(
    ('row', 'message'),
    [
        ('crops/x.jpg,anna,0,train,,', r'row 3: no image .*x\.jpg; paths are relative to'),
        ('crops/b.jpg,anna,zero,train,,', r"row 3: camid 'zero' is not a whole number"),
        ('crops/b.jpg,anna,-1,train,,', r"row 3: camid '-1' is not a whole number"),
        ('crops/b.jpg,anna,1.5,train,,', r"row 3: camid '1.5' is not a whole number"),
        ('crops/b.jpg,anna,1E+05,train,,', r"row 3: camid '1E\+05' is not a whole number"),
        ('crops/b.jpg,anna,12345678901,train,,', r"row 3: camid '12345678901' is too large"),
        ('crops/b.jpg,anna,,train,,', 'row 3: the cell camid is empty'),
        ('crops/b.jpg,1E+05,0,train,,', r"row 3: pid is '1E\+05'"),
        ('crops/b.jpg,7.5,0,train,,', "row 3: pid is '7.5'"),
        ('crops/b.jpg,NaN,0,train,,', "row 3: pid is 'NaN'"),
        ('crops/b.jpg,inf,0,train,,', "row 3: pid is 'inf'"),
        ('crops/b.jpg,"anna,0,train,,\r\ncrops/e.jpg,"eve,0,train,,', r'row 3: not CSV .*quotation mark'),
        ('crops/b.jpg,an\0na,0,train,,', 'row 3: a character 0'),
        ('crops/b.jpg,anna,0,test,,', r"row 3: split 'test'; choose from train, query, gallery"),
        ('crops/b.jpg, ,0,train,,', 'row 3: the cell pid is empty'),
        (',anna,0,train,,', 'row 3: the cell path is empty'),
        ('crops/b.jpg,anna,0', 'row 3: 3 cells, but the first row names 6 columns'),
        ('crops/b.jpg,anna,0,train,,,,', 'row 3: 8 cells'),
        ('../b.jpg,anna,0,train,,', r"row 3: the path '\.\./b\.jpg' leaves"),
        ('/etc/passwd,anna,0,train,,', r"row 3: the path '/etc/passwd' leaves"),
        ('crops/./a.jpg,anna,0,train,,', r"row 3: path 'crops/\./a\.jpg' is in row 2 already"),
        ('"crops/b.jpg,anna,0,train,,', r'row 3: not CSV .*quotation mark'),
    ],
)
def test_broken_row_is_named(table_root, row, message):
    with pytest.raises(DataError, match=r'people\.csv, ' + message):
        ReIDTable(write_table(table_root, ROWS[0], row))


@pytest.mark.parametrize(
    ('header', 'message'),
    [
        ('path,pid,split', r'no column camid; the first row must name the columns path,pid,camid,split'),
        ('path;pid;camid;split', 'no column path, pid, camid, split.*separated by commas'),
        ('path,pid,camid,split,hat,hat', "column name 'hat' is empty or comes twice"),
        ('path,pid,camid,split,,age', "column name '' is empty"),
    ],
)
def test_broken_header(table_root, header, message):
    with pytest.raises(DataError, match=message):
        ReIDTable(write_table(table_root, *ROWS, header=header))


def test_no_table_empty_table_and_other_encodings(table_root):
    with pytest.raises(FileNotFoundError, match=r'no table .*people\.csv'):
        ReIDTable(str(table_root))
    (table_root / 'people.csv').touch()
    with pytest.raises(DataError, match='no column path'):
        ReIDTable(str(table_root))
    with pytest.raises(DataError, match='the train split has no images'):
        ReIDTable(write_table(table_root))
    (table_root / 'people.csv').write_bytes(b'PK\x03\x04\x14\x00')
    with pytest.raises(DataError, match=r'people\.csv is a spreadsheet'):
        ReIDTable(str(table_root))
    with pytest.raises(DataError, match=r'people\.csv is not UTF-8 text'):
        ReIDTable(write_table(table_root, 'crops/ä.jpg,anna,0,train,,', encoding='latin-1'))


LABELED = [
    'crops/a.jpg,anna,0,train,1,0,coat',
    'crops/b.jpg,anna,1,train,,,',
    '"crops/c, d.jpg",bob,0,train,1,1,anorak',
    'crops/e.jpg,eve,0,query,0,0,suit',
    'crops/f.jpg,eve,3,gallery,0,1,coat',
]
LABELS = 'path,pid,camid,split,hat,bag,kind'


def test_labels_of_attributes(table_root):
    train = ReIDTable(write_table(table_root, *LABELED, header=LABELS), attributes=['bag', 'hat'])
    found = infos(train)
    assert [r['gt_score'].tolist() if 'gt_score' in r else None for r in found] == [[0, 1], None, [1, 1]]
    assert found[0]['gt_score'].dtype == np.float32
    assert train.metainfo['attributes'] == ['bag', 'hat'] and train.metainfo['pos_ratio'] == [0.5, 1.0]
    # The texts stay, and nothing else changes.
    assert found[1]['attributes'] == dict(hat='', bag='', kind='')
    assert train.metainfo['attribute_names'] == ['hat', 'bag', 'kind']
    test = ReIDTable(str(table_root), split=('query', 'gallery'), attributes=['bag', 'hat'], test_mode=True)
    assert [r['gt_score'].tolist() for r in infos(test)] == [[0, 0], [1, 0]]
    assert test.metainfo['attributes'] == ['bag', 'hat'] and 'pos_ratio' not in test.metainfo
    assert 'gt_score' not in infos(ReIDTable(str(table_root)))[0]
    assert 'attributes' not in ReIDTable(str(table_root)).metainfo


def test_categories_are_numbered_over_all_splits(table_root):
    train = ReIDTable(write_table(table_root, *LABELED, header=LABELS), category='kind')
    assert train.metainfo['classes'] == ['anorak', 'coat', 'suit']
    assert [r.get('gt_category') for r in infos(train)] == [1, None, 0]
    test = ReIDTable(str(table_root), split=('query', 'gallery'), category='kind', test_mode=True)
    assert test.metainfo['classes'] == ['anorak', 'coat', 'suit']
    assert [r['gt_category'] for r in infos(test)] == [2, 1]
    assert 'classes' not in ReIDTable(str(table_root)).metainfo


@pytest.mark.parametrize(
    ('row', 'message'),
    [
        ('crops/b.jpg,anna,1,train,yes,1,', r"row 3: hat is 'yes', neither 0 nor 1"),
        ('crops/b.jpg,anna,1,train,1,2,', r"row 3: bag is '2', neither 0 nor 1"),
        ('crops/b.jpg,anna,1,train,,1,', 'row 3: hat is empty but bag is not; fill all of hat, bag'),
        ('crops/b.jpg,anna,1,query,1,,', 'row 3: bag is empty but hat is not'),
    ],
)
def test_broken_labels_are_named(table_root, row, message):
    with pytest.raises(DataError, match=r'people\.csv, ' + message):
        ReIDTable(write_table(table_root, LABELED[0], row, header=LABELS), attributes=['hat', 'bag'])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(attributes=['hat', 'boots']),
            "attributes names 'boots', no column of its own.*choose from hat, bag, kind",
        ),
        (dict(attributes=['pid']), "attributes names 'pid', no column"),
        (dict(attributes=['hat', 'hat']), "attributes names 'hat', no column of its own or there twice"),
        (dict(category='sort'), "category names 'sort', no column"),
    ],
)
def test_wrong_choice_of_columns(table_root, options, message):
    with pytest.raises(DataError, match=r'people\.csv: ' + message):
        ReIDTable(write_table(table_root, *LABELED, header=LABELS), **options)


def test_columns_without_any_label(table_root):
    table = write_table(table_root, 'crops/a.jpg,anna,0,train,,,', header=LABELS)
    with pytest.raises(DataError, match='the column kind is empty in all rows'):
        ReIDTable(table, category='kind')
    with pytest.raises(DataError, match='ReIDTable, train: none of 1 images has attribute labels'):
        ReIDTable(table, attributes=['hat'])


def test_records_and_facts(table_root):
    dataset = AttributeTable(write_attributes(table_root, *ATTRIBUTE_ROWS))
    assert [r['gt_score'].tolist() for r in infos(dataset)] == [[1, 0], [0, 0]]
    assert dataset.metainfo['attributes'] == ['hat', 'bag']
    assert dataset.metainfo['pos_ratio'] == [0.5, 0.0]
    val, test = infos(AttributeTable(str(table_root), split=('val', 'test'), test_mode=True))
    assert val['img_path'] == str(table_root / 'crops' / 'c, d.jpg') and val['split'] == 'val'
    assert test['gt_score'].dtype == np.float32 and test['gt_score'].tolist() == [0, 1]


def test_columns_in_any_order_and_of_other_kinds(table_root):
    rows = [' 1 ,anna, crops/a.jpg ,30,train,0', ',,,,,', '0,bob,crops/b.jpg,,train,1']
    table = write_attributes(table_root, *rows, header='bag,pid,path,age,split,hat', encoding='utf-8-sig')
    dataset = AttributeTable(table, attributes=['hat', 'bag'])
    assert [r['gt_score'].tolist() for r in infos(dataset)] == [[0, 1], [1, 0]]
    with pytest.raises(DataError, match=r"attributes\.csv, row 2: pid is 'anna', neither 0 nor 1"):
        AttributeTable(table)
    with pytest.raises(DataError, match=r"attributes\.csv: attributes=.*'boots'; choose from bag, pid, age, hat"):
        AttributeTable(table, attributes=['boots'])


def test_another_folder_of_images(table_root):
    table = write_attributes(table_root, *(row.replace('crops/', '') for row in ATTRIBUTE_ROWS))
    dataset = AttributeTable(table, data_prefix=dict(img_path='crops'))
    assert infos(dataset)[0]['img_path'] == str(table_root / 'crops' / 'a.jpg')


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
def test_attribute_table_broken_row_is_named(table_root, row, message):
    with pytest.raises(DataError, match=r'attributes\.csv' + message):
        AttributeTable(write_attributes(table_root, ATTRIBUTE_ROWS[0], row))


def test_no_table_no_attributes_and_no_images(table_root):
    with pytest.raises(FileNotFoundError, match=r'AttributeTable: no table .*attributes\.csv'):
        AttributeTable(str(table_root))
    with pytest.raises(DataError, match='no column but path and split; add one'):
        AttributeTable(write_attributes(table_root, 'crops/a.jpg,train', header='path,split'))
    with pytest.raises(DataError, match='no column split; the first row must name the columns path,split,'):
        AttributeTable(write_attributes(table_root, header='path,hat'))
    with pytest.raises(DataError, match='the val split has no images'):
        AttributeTable(write_attributes(table_root, ATTRIBUTE_ROWS[0]), split='val')
