from __future__ import annotations

import gzip
import io
import os
import pickle
import tarfile
import unicodedata
import zipfile

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from mmosnet.apis.inputs import expand_inputs
from mmosnet.datasets import ImageNet, Market1501, ReIDFolder
from mmosnet.datasets.check import image_files
from mmosnet.errors import DataError
from mmosnet.features.people import ListingOptions
from mmosnet.features.sources import list_people
from mmosnet.io.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES, file_kind, find_files, images_in, same_name, spread
from tests.apis.small_models import JOINT, small_checkpoint
from tests.conftest import write_person


def write(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b'')


def names(root, found):
    return [path.relative_to(root).as_posix() for path in found.files]


def test_files_are_found_below_and_others_are_counted(tmp_path):
    write(tmp_path, 'b.JPG', 'a/1.png', 'a/2.heic', 'a/3.HEIC', 'a/b/4.tiff', 'notes.txt', 'LICENSE')
    write(tmp_path, '.hidden.jpg', '.cache/5.jpg', 'Thumbs.db', 'a/desktop.ini')
    found = find_files(tmp_path)
    assert names(tmp_path, found) == ['a/1.png', 'a/b/4.tiff', 'b.JPG']
    assert found.left_out == {'.heic': 2, '.txt': 1, '': 1}
    text = found.left_out_text()
    assert '2 .heic' in text and '1 .txt' in text and '1 without a suffix' in text
    flat = find_files(tmp_path, below=False)
    assert names(tmp_path, flat) == ['b.JPG'] and flat.left_out['/'] == 1
    assert names(tmp_path, find_files(tmp_path, ('.heic',))) == ['a/2.heic', 'a/3.HEIC']


def test_no_suffix_is_an_image_and_a_video():
    assert not set(IMAGE_SUFFIXES) & set(VIDEO_SUFFIXES)


def test_linked_folders_are_read_once(tmp_path):
    write(tmp_path, 'root/own/1.jpg', 'root/own/deep/2.jpg', 'other/3.jpg')
    (tmp_path / 'root' / 'a_link').symlink_to(tmp_path / 'root' / 'own')
    (tmp_path / 'root' / 'outside').symlink_to(tmp_path / 'other')
    (tmp_path / 'root' / 'twice').symlink_to(tmp_path / 'other')
    (tmp_path / 'root' / '4.jpg').symlink_to(tmp_path / 'other' / '3.jpg')
    found = find_files(tmp_path / 'root')
    # By its own path, although the link comes first in the alphabet.
    assert names(tmp_path / 'root', found) == ['4.jpg', 'outside/3.jpg', 'own/1.jpg', 'own/deep/2.jpg']
    assert [path.name for path in found.linked] == ['a_link', 'twice']
    assert 'a_link' in found.left_out_text()
    # The folder itself may be a link.
    (tmp_path / 'top').symlink_to(tmp_path / 'root')
    assert names(tmp_path / 'top', find_files(tmp_path / 'top')) == names(tmp_path / 'root', found)


@pytest.mark.parametrize(
    ('link', 'target'), [('root/a/b/up', 'root'), ('root/self', 'root'), ('root/a/b/up', 'root/a')]
)
def test_loops_are_refused(tmp_path, link, target):
    write(tmp_path, 'root/a/b/1.jpg')
    (tmp_path / link).symlink_to(tmp_path / target)
    with pytest.raises(DataError, match=link):
        find_files(tmp_path / 'root')


def test_a_loop_of_two_links_is_refused(tmp_path):
    write(tmp_path, 'root/a/1.jpg', 'root/b/2.jpg')
    (tmp_path / 'root' / 'a' / 'to_b').symlink_to(tmp_path / 'root' / 'b')
    assert len(find_files(tmp_path / 'root').files) == 2
    (tmp_path / 'root' / 'b' / 'to_a').symlink_to(tmp_path / 'root' / 'a')
    with pytest.raises(DataError, match='to_'):
        find_files(tmp_path / 'root')


@pytest.mark.parametrize('target', ['nothing.jpg', 'gone', 'broken.jpg'])
def test_links_that_lead_nowhere_are_refused(tmp_path, target):
    (tmp_path / 'broken.jpg').symlink_to(tmp_path / target)
    with pytest.raises(DataError, match=rf'broken\.jpg.*{target}'):
        find_files(tmp_path)


def test_what_is_no_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / 'pipe.jpg')
    write(tmp_path, 'a.jpg')
    found = find_files(tmp_path)
    assert names(tmp_path, found) == ['a.jpg'] and found.left_out == {'.jpg': 1}


def test_many_kinds_are_summed_up(tmp_path):
    write(tmp_path, *(f'scan.{number:03d}' for number in range(50)), 'a.heic', 'b.heic')
    text = find_files(tmp_path).left_out_text()
    assert text.startswith('2 .heic') and '43 of 43 other kinds' in text


def test_names_that_are_no_text(tmp_path):
    write(tmp_path, os.fsdecode(b'photo.\xe9'))
    find_files(tmp_path).left_out_text().encode()


def test_images_are_counted_against_what_is_left_out(tmp_path, caplog):
    write(tmp_path, 'a.jpg', 'b.png')
    assert images_in(tmp_path) == [str(tmp_path / 'a.jpg'), str(tmp_path / 'b.png')]
    assert not caplog.records
    write(tmp_path, 'c.heic')
    images_in(tmp_path)
    assert '2 images' in caplog.text and '1 .heic' in caplog.text
    lines = []
    images_in(tmp_path, lines.append)
    assert len(lines) == 1


def test_a_folder_without_images_says_what_it_holds(tmp_path):
    with pytest.raises(DataError, match='holds no image'):
        images_in(tmp_path)
    write(tmp_path, 'c.heic')
    with pytest.raises(DataError, match=r'holds no image.*1 \.heic'):
        images_in(tmp_path)


def test_spellings_of_a_name():
    composed, parts = unicodedata.normalize('NFC', 'Zoë'), unicodedata.normalize('NFD', 'Zoë')
    assert composed != parts and same_name(composed) == same_name(parts) == composed


def _market(root):
    dataset = Market1501(str(root), check_counts=False)
    return [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]


def _folder(root):
    dataset = ReIDFolder(str(root))
    return [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]


def _imagenet(root):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = ImageNet(data_root=str(root), split='train', classes=None, metainfo=dict(classes=['a', 'b']))
    return [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]


def _inferencer(root):
    for source in (sources := list(expand_inputs(str(root)))):
        if source.error is not None:
            raise source.error
    return [source.img_path for source in sources]


def _extract(root):
    found = list_people([str(root)], ListingOptions())
    # The report of an extraction says it.
    MMLogger.get_current_instance().warning(' '.join(f'{count} {text}' for text, count in found.left_out.items()))
    return found.path


# A reader, its folder of images with folders below it, and the place of one of these.
READERS = dict(
    market=(_market, 'bounding_box_train', 'more'),
    folder=(_folder, 'train', 'anna'),
    category=(_imagenet, 'train', 'a'),
    inferencer=(_inferencer, '', 'more'),
    extract=(_extract, '', 'more'),
    visualize=(lambda root: image_files([str(root)], 100), '', 'more'),
)


@pytest.mark.parametrize('reader', READERS)
def test_every_reader_follows_links_and_says_what_it_leaves_out(tmp_path, reader, monkeypatch, caplog):
    read, folder, below = READERS[reader]
    said = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', said.append)
    place, name = tmp_path / 'root' / folder / below, '0001_c1s1_000001_00.jpg'
    for pid, path in enumerate((place / name, place.with_name('b') / name, tmp_path / 'other' / 'deep' / name)):
        write_person(path, pid)
    (place / 'linked').symlink_to(tmp_path / 'other')
    write(place, 'a.heic', 'b.HEIC')
    found = read(tmp_path / 'root')
    assert sorted(found) == [
        str(p) for p in sorted((place / name, place.with_name('b') / name, place / 'linked' / 'deep' / name))
    ]
    assert '2 .heic' in caplog.text + ''.join(said)
    (place / 'loop').symlink_to(tmp_path / 'root')
    with pytest.raises(DataError, match='loop'):
        read(tmp_path / 'root')


TEXTS = {
    b'<!DOCTYPE html>\n<html><body>Sign in</body></html>': ('web page', 'download the file itself'),
    b'\xef\xbb\xbf\n <!-- saved -->\n<HTML lang="en">': ('web page', 'download the file itself'),
    b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN">': ('web page', 'download'),
    '<html>'.encode('utf-16'): ('web page', 'download'),
    b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n': ('git-lfs', 'git lfs pull'),
    b'/annex/objects/SHA256E-s1--ab.pth\n': ('git-annex', 'git annex get'),
    b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>': ('accessdenied', 'download'),
    b'<rss version="2.0"></rss>': ('XML', 'download'),
    b'{"error": "rate limit"}': ('JSON', 'download'),
    b'[' * 5000: ('JSON', 'download'),
    b'404: Not Found': ('404: Not Found', 'download'),
    b'': ('empty', 'earlier checkpoint'),
    bytes(10_000): ('zeros', 'again'),
    b'\x89HDF\r\n\x1a\n' + bytes(100): ('HDF5', 'torch.save'),
    pickle.dumps([1, 2], protocol=4): ('pickle', 'torch.save'),
    gzip.compress(b'weights'): ('gzip', 'unpack'),
}


@pytest.mark.parametrize(('content', 'named'), TEXTS.items(), ids=[str(i) for i in range(len(TEXTS))])
def test_what_is_no_model_is_named_with_what_to_do(tmp_path, content, named):
    (tmp_path / 'a.pth').write_bytes(content)
    kind = file_kind(tmp_path / 'a.pth')
    assert kind.remedy and all(text in str(kind) for text in named), str(kind)


def test_archives_and_other_formats(tmp_path):
    with tarfile.open(tmp_path / 'a.tar', 'w') as archive:
        archive.addfile(tarfile.TarInfo('model.ckpt.index'), io.BytesIO())
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.writestr('weights/model.pth', 'x')
    header = b'{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}'
    (tmp_path / 'a.safetensors').write_bytes(len(header).to_bytes(8, 'little') + header + bytes(12))
    for name, named in dict(tar='tar archive', zip='zip archive', safetensors='load_file').items():
        assert named in str(file_kind(tmp_path / f'a.{name}'))
    assert file_kind(tmp_path).remedy
    with pytest.raises(FileNotFoundError):
        file_kind(tmp_path / 'none')


def test_models_have_no_remedy(tmp_path):
    small_checkpoint(tmp_path / 'a.pth', JOINT)
    torch.save({'w': torch.ones(3)}, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / 'a.pt')
    (tmp_path / 'a.xml').write_text('<?xml version="1.0"?>\n<net name="osnet" version="11">')
    (tmp_path / 'a.onnx').write_bytes(b'\x08\x0a\x12\x07pytorch\x1a\x062.14.1:\xff\x00')
    expected = {
        'a.pth': 'checkpoint',
        'old.pth': 'legacy checkpoint',
        'a.pt': 'TorchScript',
        'a.xml': 'OpenVINO',
        'a.onnx': 'unknown',
    }
    assert {name: str(file_kind(tmp_path / name)) for name in expected} == expected


def test_spread_is_even():
    assert spread('abcdef', 3) == ['a', 'c', 'e']
    assert spread('abc', 2) == ['a', 'b']
    assert spread('ab', 5) == ['a', 'b']
    assert spread('', 5) == []
