import unicodedata

import pytest
from mmengine.logging import MMLogger

from mmosnet.datasets import ReIDFolder
from mmosnet.errors import DataError
from tests.conftest import write_person


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


@pytest.fixture
def warnings(monkeypatch):
    lines = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', lines.append)
    return lines


def infos(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


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
