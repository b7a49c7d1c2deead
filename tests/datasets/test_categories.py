"""ImageNet's layout: read as mmpretrain reads it, and what is wrong with it said in one line."""

from __future__ import annotations

import os
import pickle
import re

import mmpretrain.datasets
import numpy as np
import pytest
from mmengine.registry import DefaultScope

from mmosnet.datasets import CIFAR10, CIFAR100, ImageNet
from mmosnet.errors import DataError
from mmosnet.registry import DATASETS
from tests.datasets.category_miniatures import write_cifar, write_imagenet

CLASSES = [f'category {number}' for number in range(3)]
PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


@pytest.fixture
def root(tmp_path):
    return write_imagenet(tmp_path, categories=3, train=2, val=1, size=8)


def imagenet(root, split='val', **options):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return ImageNet(data_root=str(root), split=split, **{'classes': CLASSES, 'pipeline': PIPELINE, **options})


def test_equals_mmpretrain(root):
    for split, number in (('train', 6), ('val', 3)):
        theirs = mmpretrain.datasets.ImageNet(data_root=str(root), split=split, classes=CLASSES)
        ours = imagenet(root, split)
        assert len(ours) == number and ours.metainfo == theirs.metainfo
        assert [ours.get_data_info(i) for i in range(number)] == [theirs.get_data_info(i) for i in range(number)]
    assert ours[0]['inputs'].shape == (3, 8, 16)


def test_annotation_lines(root):
    (root / 'meta').mkdir()
    (root / 'meta' / 'val.txt').write_text('n00000002/val_0.JPEG 0\nn00000001/val_0.JPEG 2\n')
    assert [imagenet(root).get_data_info(i)['gt_label'] for i in range(2)] == [0, 2]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('n00000002/val_0.JPEG 3', r'line 1: .* label from 0 to 2'),
        ('a.JPEG 0\nb.JPEG -1', 'line 2'),
        ('a.JPEG', 'line 1'),
        ('../../secret.JPEG 1', r'leaves .*val'),
    ],
)
def test_lines_that_cannot_be_used(root, text, message):
    (root / 'meta').mkdir()
    (root / 'meta' / 'val.txt').write_text(text)
    with pytest.raises(DataError, match=r'val\.txt, ' + message if message.startswith('line') else message):
        imagenet(root)


def test_no_folder_names_it_and_the_option(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(f'no folder {tmp_path / "val"}') + '.*--data-root FOLDER'):
        imagenet(tmp_path)


def test_a_flat_folder_needs_lines(root):
    for folder in (root / 'val').iterdir():
        (folder / 'val_0.JPEG').rename(root / 'val' / f'{folder.name}.JPEG')
        folder.rmdir()
    with pytest.raises(DataError, match=r'val holds no folders.*meta/val\.txt'):
        imagenet(root)


def test_another_number_of_categories(root):
    with pytest.raises(DataError, match=r'val holds 3 folders, and the data set has 1,000 categories.*num_classes=N'):
        imagenet(root, classes=None)


def test_categories_must_be_those_of_training(root):
    """mmpretrain would number n00000002 as 1 here."""
    (root / 'val' / 'n00000001').rename(root / 'val' / 'n00000005')
    with pytest.raises(DataError, match='do not hold the same folders: n00000001 is in one alone'):
        imagenet(root)


def test_empty_folders(root):
    for path in (root / 'val').rglob('*.JPEG'):
        path.unlink()
    with pytest.raises(DataError, match='no image in the folders of'):
        imagenet(root)


@pytest.mark.parametrize('content', [b'', b'no image', None])
def test_damaged_images_are_named(root, content):
    path = root / 'val' / 'n00000001' / 'val_0.JPEG'
    dataset = imagenet(root, test_mode=True)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f'{path}: unreadable image')):
        dataset[1]


def test_other_errors_pass(root):
    dataset = imagenet(root, pipeline=[dict(type='LoadImageFromFile'), dict(type='CenterCrop', crop_size=4)])
    dataset.pipeline.transforms[1] = lambda results: results['no such key']
    with pytest.raises(KeyError, match='no such key'):
        dataset[0]


@pytest.mark.parametrize(('name', 'categories', 'train'), [('CIFAR10', 10, 5 * 40), ('CIFAR100', 100, 40)])
def test_reads_the_official_format(tmp_path, monkeypatch, name, categories, train):
    write_cifar(tmp_path, monkeypatch, categories)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build(dict(type=f'mmosnet.{name}', data_root=str(tmp_path)))
        test = DATASETS.build(dict(type=f'mmosnet.{name}', data_root=str(tmp_path), split='test', test_mode=True))
    assert len(dataset) == train and len(test) == 40
    assert len(dataset.metainfo['classes']) == categories
    record = dataset.get_data_info(7)
    assert record['gt_label'] == 7
    assert record['img'].shape == (32, 32, 3) and record['img'].dtype == np.uint8
    # Red comes first, as in the files, and is what the label shows in.
    means = [test.get_data_info(i)['img'].mean((0, 1)) for i in (0, 9)]
    assert means[1][0] - means[0][0] == pytest.approx(9 * 150 // categories, abs=8)
    assert abs(means[1][1] - means[0][1]) < 8


def test_published_checksums():
    """Those of the extracted archives, as torchvision and mmpretrain have them."""
    assert CIFAR10.test_list == [['test_batch', '40351d587109b95175f43aff81a1287e']]
    assert CIFAR100.test_list == [['test', 'f0ef6b0ae62326f3e7ffdfab6717acfc']]
    assert len(CIFAR10.train_list) == 5 and len(CIFAR100.train_list) == 1


class Hostile:
    def __reduce__(self):
        return os.mkdir, (os.environ['MMOSNET_TEST_HOSTILE'],)


@pytest.mark.parametrize('name', ['test_batch', 'data_batch_3'])
def test_other_pickles_are_not_opened(tmp_path, monkeypatch, name):
    """Whichever file it is and whichever split is read; the hostile file would make a folder."""
    monkeypatch.setenv('MMOSNET_TEST_HOSTILE', str(tmp_path / 'harm'))
    write_cifar(tmp_path, monkeypatch)
    (tmp_path / 'cifar-10-batches-py' / name).write_bytes(pickle.dumps(Hostile(), protocol=2))
    for split in ('train', 'test'):
        with pytest.raises(DataError, match=rf'{name} is not the official file.*pickle'):
            CIFAR10(data_root=str(tmp_path), split=split)
    assert not (tmp_path / 'harm').exists()
    # The file would have done it.
    pickle.loads((tmp_path / 'cifar-10-batches-py' / name).read_bytes())
    assert (tmp_path / 'harm').is_dir()


def test_missing_files_are_named_and_not_downloaded(tmp_path, monkeypatch):
    def download(*args, **kwargs):
        raise AssertionError('downloads')

    monkeypatch.setattr('mmpretrain.datasets.cifar.download_and_extract_archive', download)
    with pytest.raises(FileNotFoundError, match=r'data_batch_1.*cifar-10-batches-py, extracted from https://www\.cs'):
        CIFAR10(data_root=str(tmp_path))
    write_cifar(tmp_path, monkeypatch, 100)
    (tmp_path / 'cifar-100-python' / 'test').unlink()
    with pytest.raises(FileNotFoundError, match='CIFAR100: no file'):
        CIFAR100(data_root=str(tmp_path))


def test_other_splits_raise(tmp_path):
    with pytest.raises(DataError, match="split='val'"):
        CIFAR10(data_root=str(tmp_path), split='val')
