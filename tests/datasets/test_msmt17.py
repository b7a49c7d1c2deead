import pytest

from mmosnet.datasets import MSMT17
from mmosnet.errors import DataError
from tests.datasets.official_formats import write_msmt17

SPLITS = ('train', 'query', 'gallery')


def load(root, **options):
    dataset = MSMT17(data_root=str(root), split=SPLITS, pipeline=[], lazy_init=True, **options)
    records = dataset.load_data_list()
    return {split: [r for r in records if r['split'] == split] for split in SPLITS}


@pytest.mark.parametrize('version', ['V1', 'V2'])
@pytest.mark.parametrize('folder', ['', 'MSMT17_{version}'])
def test_both_versions_in_both_places(tmp_path, version, folder):
    write_msmt17(tmp_path / folder.format(version=version), version)
    records = load(tmp_path)
    assert [len(records[split]) for split in SPLITS] == [36, 8, 24]
    assert {r['camid'] for r in records['train']} == {0, 14}
    first = records['train'][0]
    assert (first['pid'], first['camid'], first['gt_label']) == (0, 0, 0)
    assert first['img_path'].endswith('0000/0000_000_01_0303morning_0008_0.jpg')
    assert len(load(tmp_path, version=version)['train']) == 36


def test_validation_images_join_only_when_asked_for(tmp_path):
    write_msmt17(tmp_path)
    assert len(load(tmp_path, include_val=True)['train']) == 48
    records = load(tmp_path, combineall=True)['train']
    assert len(records) == 48 + 32
    # Test identities are other people, whatever their numbers: six and four.
    assert len({r['pid'] for r in records}) == 10 and {r['gt_label'] for r in records} == set(range(10))
    shared = {r['pid'] for r in records if '/test/' in r['img_path']} & {
        r['pid'] for r in records if '/train/' in r['img_path']
    }
    assert not shared


def test_pid_0_is_a_person(tmp_path):
    write_msmt17(tmp_path)
    dataset = MSMT17(data_root=str(tmp_path), split=SPLITS, pipeline=[])
    table = dataset._table(dataset.load_data_list())
    assert table.splitlines()[-1].split('|')[2:] == ['          4 ', '       2 ', '           0']


def test_differing_counts_are_told_with_both_numbers(tmp_path, warnings):
    write_msmt17(tmp_path)
    load(tmp_path)
    assert 'train has 36 images of 6 identities, published are 30,248 of 1,041' in warnings[0]
    assert len(warnings) == 3
    warnings.clear()
    load(tmp_path, check_counts=False)
    assert warnings == []


def test_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match='no folder train or mask_train_v2'):
        load(tmp_path)
    write_msmt17(tmp_path)
    with pytest.raises(FileNotFoundError, match='no folder mask_train_v2'):
        load(tmp_path, version='V2')
    with pytest.raises(ValueError, match="version='V3'"):
        load(tmp_path, version='V3')
    write_msmt17(tmp_path, 'V2')
    with pytest.raises(ValueError, match=r"holds V1 and V2.*version='V1'"):
        load(tmp_path)
    assert load(tmp_path, version='V1')
    for line, message in (
        ('0000/0000_000_01_x.jpg', r'list_query\.txt, line 2: .* is not a path and an identity'),
        ('0000/0000_000_01_x.jpg five', 'line 2'),
        ('0000/x.jpg 3', 'third field'),
        ('../../0000_000_01_x.jpg 3', 'leaves'),
        ('0000/0000_000_00_x.jpg 3', 'line 2'),
        ('0000/0000_000_01_x.jpg ²', 'line 2'),
        ('0000/0000_000_²_x.jpg 3', 'line 2'),
        ('0000/0000_000_01_x.jpg 12345678901', 'line 2'),
        ('0000/0000_000_01_x.jpg -3', 'line 2'),
        ('0000/0000_000_01_a.jpg 2', 'line 2'),
        ('/etc/0000_000_01_x.jpg 3', 'leaves'),
    ):
        (tmp_path / 'list_query.txt').write_text(f'0000/0000_000_01_a.jpg 1\n{line}\n', encoding='utf-8')
        with pytest.raises(ValueError, match=message):
            load(tmp_path, version='V1')
    (tmp_path / 'list_query.txt').write_bytes(b'0000/0000_000_01_\xe9.jpg 1')
    with pytest.raises(DataError, match=r'list_query\.txt'):
        load(tmp_path, version='V1')
    (tmp_path / 'list_query.txt').unlink()
    with pytest.raises(FileNotFoundError, match=r'list_query\.txt'):
        load(tmp_path, version='V1')
