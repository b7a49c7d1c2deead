"""ImageNet's layout: read as mmpretrain reads it, and what is wrong with it said in one line."""

import re

import mmpretrain.datasets
import pytest
from mmengine.registry import DefaultScope

from mmosnet.datasets import ImageNet
from mmosnet.errors import DataError
from tests.datasets.category_miniatures import write_imagenet

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
