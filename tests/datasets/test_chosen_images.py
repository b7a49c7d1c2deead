import pytest

from mmosnet.datasets.chosen_images import image_files, spread, spread_over_people
from mmosnet.errors import DataError
from tests.conftest import write_person


def record(pid, number, split='query'):
    return dict(img_path=f'{pid}_{number}', pid=pid, split=split)


def test_spread_is_even():
    assert spread('abcdef', 3) == ['a', 'c', 'e']
    assert spread('abc', 2) == ['a', 'b']
    assert spread('ab', 5) == ['a', 'b']
    assert spread('', 5) == []


def test_queries_of_different_people():
    records = [record(pid, number) for pid in (1, 2, 3, 4) for number in (0, 1)]
    records += [record(pid, 9, 'gallery') for pid in range(5, 20)]
    assert [r['img_path'] for r in spread_over_people(records, 2)] == ['1_0', '3_0']
    assert [r['img_path'] for r in spread_over_people(records, 4)] == ['1_0', '2_0', '3_0', '4_0']
    # More images than people: second images follow.
    assert [r['img_path'] for r in spread_over_people(records, 6)] == ['1_0', '2_0', '3_0', '4_0', '1_1', '2_1']
    assert len(spread_over_people(records, 100)) == 8


def test_images_without_people_or_queries():
    assert [r['pid'] for r in spread_over_people([record(7, 0, 'gallery')], 3)] == [7]
    records = [dict(img_path=str(number)) for number in range(6)]
    assert [r['img_path'] for r in spread_over_people(records, 2)] == ['0', '3']


def test_files_and_folders(tmp_path):
    for number in range(4):
        write_person(tmp_path / 'crops' / f'{number}.jpg', number)
    (tmp_path / 'crops' / 'notes.txt').write_text('no image')
    write_person(tmp_path / 'one.jpg', 9)
    files = image_files([str(tmp_path / 'one.jpg'), str(tmp_path / 'crops')], 2)
    assert files == [str(tmp_path / name) for name in ('one.jpg', 'crops/0.jpg', 'crops/2.jpg')]


def test_mistakes_name_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no image or folder .*nothing\.jpg'):
        image_files([str(tmp_path / 'nothing.jpg')], 1)
    with pytest.raises(DataError, match=r'holds no image \(\.jpg'):
        image_files([str(tmp_path)], 1)
    (tmp_path / 'broken.jpg').write_bytes(b'\xff\xd8 broken')
    with pytest.raises(DataError, match=r'broken\.jpg: unreadable image'):
        image_files([str(tmp_path)], 1)
