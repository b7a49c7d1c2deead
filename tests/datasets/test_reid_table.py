import unicodedata

import numpy as np
import pytest
from mmengine.logging import MMLogger

from mmosnet.datasets import ReIDTable
from mmosnet.errors import DataError
from tests.conftest import write_person

HEADER = 'path,pid,camid,split,hat,age'
ROWS = [
    'crops/a.jpg,anna,0,train,yes,30',
    'crops/b.jpg,anna,1,train,,30',
    '"crops/c, d.jpg",bob,0,train,no,',
    'crops/e.jpg,eve,0,query,no,20',
    'crops/f.jpg,eve,3,gallery,no,20',
]


@pytest.fixture
def root(tmp_path):
    for number, name in enumerate(('a', 'b', 'c, d', 'e', 'f')):
        write_person(tmp_path / 'crops' / f'{name}.jpg', number)
    return tmp_path


def write_table(root, *rows, header=HEADER, encoding='utf-8'):
    (root / 'people.csv').write_bytes('\r\n'.join([header, *rows, '']).encode(encoding))
    return str(root)


def infos(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def test_records_and_attributes(root):
    train = ReIDTable(write_table(root, *ROWS))
    found = infos(train)
    assert [train.pid_names[r['pid']] for r in found] == ['anna', 'anna', 'bob']
    assert [r['gt_label'] for r in found] == [0, 0, 1]
    assert [r['camid'] for r in found] == [0, 1, 0]
    assert found[2]['img_path'] == str(root / 'crops' / 'c, d.jpg')
    assert found[1]['attributes'] == dict(hat='', age='30')
    assert train.metainfo['attribute_names'] == ['hat', 'age']
    test = ReIDTable(str(root), split=('query', 'gallery'), test_mode=True)
    assert [r['split'] for r in infos(test)] == ['query', 'gallery']
    assert len({r['pid'] for r in infos(test)}) == 1
    assert test.pid_names == train.pid_names


def test_columns_in_any_order_byte_order_mark_spaces_and_empty_rows(root):
    rows = ['train , 0 , crops/a.jpg , 0012', '', ',,,', 'train,1,./crops//b.jpg,0013']
    dataset = ReIDTable(write_table(root, *rows, header='split,camid, path ,pid', encoding='utf-8-sig'))
    found = infos(dataset)
    assert [(r['pid'], r['camid']) for r in found] == [(12, 0), (13, 1)]
    assert found[1]['img_path'] == str(root / 'crops' / 'b.jpg')
    assert found[0]['attributes'] == {}


@pytest.mark.parametrize('separator', [';', '\t', '|', ','])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_tables_as_spreadsheets_write_them(root, separator, encoding):
    # Of a column with an empty cell they make numbers with a decimal point.
    rows = ['crops/a.jpg,12.0,1.0,train,,', 'crops/b.jpg,7.0,2.0,train,,', '"crops/c, d.jpg",7,2,train,,']
    lines = [line.replace('c, d', 'c# d').replace(',', separator).replace('c# d', 'c, d') for line in (HEADER, *rows)]
    dataset = ReIDTable(write_table(root, *lines[1:], header=lines[0], encoding=encoding))
    assert [(r['pid'], r['camid']) for r in infos(dataset)] == [(12, 1), (7, 2), (7, 2)]
    with_mark = [f'sep={separator}', *lines]
    dataset = ReIDTable(write_table(root, *with_mark[1:], header=with_mark[0], encoding=encoding))
    assert [(r['pid'], r['camid']) for r in infos(dataset)] == [(12, 1), (7, 2), (7, 2)]
    with pytest.raises(DataError, match=r"people\.csv, row 5: camid 'x'"):
        bad = rows[2].replace('7,2', '7,x').replace('c, d', 'c# d').replace(',', separator).replace('c# d', 'c, d')
        ReIDTable(write_table(root, *with_mark[1:-1], bad, header=with_mark[0], encoding=encoding))


def test_blanks_that_nobody_sees(root):
    rows = ['crops/a.jpg\xa0,\u200banna, 0,train\u3000,,', 'crops/b.jpg,anna\xa0,1,train,,']
    dataset = ReIDTable(write_table(root, *rows))
    assert [dataset.pid_names[r['pid']] for r in infos(dataset)] == ['anna', 'anna']


def test_names_in_two_spellings_are_one_person_and_alike_ones_are_named(root, monkeypatch):
    said = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', said.append)
    composed, parts = (unicodedata.normalize(form, 'Zoë') for form in ('NFC', 'NFD'))
    rows = [row.replace('anna', composed).replace('eve', parts) for row in ROWS]
    write_table(root, *rows)
    train = ReIDTable(str(root))
    test = ReIDTable(str(root), split=('query', 'gallery'), test_mode=True)
    assert train.pid_names == test.pid_names and sorted(train.pid_names.values()) == sorted([composed, 'bob'])
    assert {r['pid'] for r in infos(test)} <= {r['pid'] for r in infos(train)}
    assert not said
    ReIDTable(write_table(root, *(row.replace('eve', 'Anna') for row in ROWS)))
    assert "'Anna', 'anna'" in said[0] and len(said) == 1
    numbers = ReIDTable(
        write_table(root, *(row.replace('anna', '0001').replace('eve', '1').replace('bob', '2') for row in ROWS))
    )
    assert len(numbers.pid_names) == 3 and "'0001', '1'" in said[1]


def test_nobody_in_particular_is_left_out(root):
    rows = [ROWS[0].replace('anna', '12'), ROWS[1].replace('anna', '7.0'), ROWS[2].replace('bob', '-1')]
    dataset = ReIDTable(write_table(root, *rows))
    assert [r['pid'] for r in infos(dataset)] == [12, 7]


def test_images_in_another_spelling_than_the_table(root):
    composed, parts = (unicodedata.normalize(form, 'ë.jpg') for form in ('NFC', 'NFD'))
    (root / 'crops' / 'a.jpg').rename(root / 'crops' / parts)
    dataset = ReIDTable(write_table(root, f'crops/{composed},anna,0,train,,'))
    assert infos(dataset)[0]['img_path'] == str(root / 'crops' / parts)


def test_another_name_and_another_folder_of_images(root):
    write_table(root, *(row.replace('crops/', '') for row in ROWS))
    (root / 'people.csv').rename(root / 'other.csv')
    dataset = ReIDTable(str(root), ann_file='other.csv', data_prefix=dict(img_path='crops'))
    assert infos(dataset)[0]['img_path'] == str(root / 'crops' / 'a.jpg')


def test_images_of_unused_splits_need_not_be_there(root):
    (root / 'crops' / 'e.jpg').unlink()
    root = write_table(root, *ROWS)
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
def test_broken_row_is_named(root, row, message):
    with pytest.raises(DataError, match=r'people\.csv, ' + message):
        ReIDTable(write_table(root, ROWS[0], row))


@pytest.mark.parametrize(
    ('header', 'message'),
    [
        ('path,pid,split', r'no column camid; the first row must name the columns path,pid,camid,split'),
        ('path;pid;camid;split', 'no column path, pid, camid, split.*separated by commas'),
        ('path,pid,camid,split,hat,hat', "column name 'hat' is empty or comes twice"),
        ('path,pid,camid,split,,age', "column name '' is empty"),
    ],
)
def test_broken_header(root, header, message):
    with pytest.raises(DataError, match=message):
        ReIDTable(write_table(root, *ROWS, header=header))


def test_no_table_empty_table_and_other_encodings(root):
    with pytest.raises(FileNotFoundError, match=r'no table .*people\.csv'):
        ReIDTable(str(root))
    (root / 'people.csv').touch()
    with pytest.raises(DataError, match='no column path'):
        ReIDTable(str(root))
    with pytest.raises(DataError, match='the train split has no images'):
        ReIDTable(write_table(root))
    (root / 'people.csv').write_bytes(b'PK\x03\x04\x14\x00')
    with pytest.raises(DataError, match=r'people\.csv is a spreadsheet'):
        ReIDTable(str(root))
    with pytest.raises(DataError, match=r'people\.csv is not UTF-8 text'):
        ReIDTable(write_table(root, 'crops/ä.jpg,anna,0,train,,', encoding='latin-1'))


LABELLED = [
    'crops/a.jpg,anna,0,train,1,0,coat',
    'crops/b.jpg,anna,1,train,,,',
    '"crops/c, d.jpg",bob,0,train,1,1,anorak',
    'crops/e.jpg,eve,0,query,0,0,suit',
    'crops/f.jpg,eve,3,gallery,0,1,coat',
]
LABELS = 'path,pid,camid,split,hat,bag,kind'


def test_labels_of_attributes(root):
    train = ReIDTable(write_table(root, *LABELLED, header=LABELS), attributes=['bag', 'hat'])
    found = infos(train)
    assert [r['gt_score'].tolist() if 'gt_score' in r else None for r in found] == [[0, 1], None, [1, 1]]
    assert found[0]['gt_score'].dtype == np.float32
    assert train.metainfo['attributes'] == ['bag', 'hat'] and train.metainfo['pos_ratio'] == [0.5, 1.0]
    # The texts stay, and nothing else changes.
    assert found[1]['attributes'] == dict(hat='', bag='', kind='')
    assert train.metainfo['attribute_names'] == ['hat', 'bag', 'kind']
    test = ReIDTable(str(root), split=('query', 'gallery'), attributes=['bag', 'hat'], test_mode=True)
    assert [r['gt_score'].tolist() for r in infos(test)] == [[0, 0], [1, 0]]
    assert test.metainfo['attributes'] == ['bag', 'hat'] and 'pos_ratio' not in test.metainfo
    assert 'gt_score' not in infos(ReIDTable(str(root)))[0]
    assert 'attributes' not in ReIDTable(str(root)).metainfo


def test_categories_are_numbered_over_all_splits(root):
    train = ReIDTable(write_table(root, *LABELLED, header=LABELS), category='kind')
    assert train.metainfo['classes'] == ['anorak', 'coat', 'suit']
    assert [r.get('gt_category') for r in infos(train)] == [1, None, 0]
    test = ReIDTable(str(root), split=('query', 'gallery'), category='kind', test_mode=True)
    assert test.metainfo['classes'] == ['anorak', 'coat', 'suit']
    assert [r['gt_category'] for r in infos(test)] == [2, 1]
    assert 'classes' not in ReIDTable(str(root)).metainfo


@pytest.mark.parametrize(
    ('row', 'message'),
    [
        ('crops/b.jpg,anna,1,train,yes,1,', r"row 3: hat is 'yes', neither 0 nor 1"),
        ('crops/b.jpg,anna,1,train,1,2,', r"row 3: bag is '2', neither 0 nor 1"),
        ('crops/b.jpg,anna,1,train,,1,', 'row 3: hat is empty but bag is not; fill all of hat, bag'),
        ('crops/b.jpg,anna,1,query,1,,', 'row 3: bag is empty but hat is not'),
    ],
)
def test_broken_labels_are_named(root, row, message):
    with pytest.raises(DataError, match=r'people\.csv, ' + message):
        ReIDTable(write_table(root, LABELLED[0], row, header=LABELS), attributes=['hat', 'bag'])


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
def test_wrong_choice_of_columns(root, options, message):
    with pytest.raises(DataError, match=r'people\.csv: ' + message):
        ReIDTable(write_table(root, *LABELLED, header=LABELS), **options)


def test_columns_without_any_label(root):
    table = write_table(root, 'crops/a.jpg,anna,0,train,,,', header=LABELS)
    with pytest.raises(DataError, match='the column kind is empty in all rows'):
        ReIDTable(table, category='kind')
    with pytest.raises(DataError, match='ReIDTable, train: none of 1 images has attribute labels'):
        ReIDTable(table, attributes=['hat'])
