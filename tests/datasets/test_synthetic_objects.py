"""The folder that is written: complete or absent, and readable as ImageNet's layout."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from mmpretrain.datasets import CustomDataset

from mmosnet.datasets import SyntheticObjects, synthetic_objects
from mmosnet.datasets.object_renderer import CATEGORIES, render_object
from mmosnet.datasets.synthetic_objects import FIRST_VAL_INDEX, write_synthetic_objects
from mmosnet.errors import DataError
from mmosnet.registry import DATASETS

SMALL = dict(num_train=2, num_val=1, seed=1)


@pytest.fixture(scope='module')
def objects(tmp_path_factory):
    root = tmp_path_factory.mktemp('objects') / 'nested' / 'set'
    write_synthetic_objects(root, **SMALL)
    return root


def snapshot(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob('*') if path.is_file()}


def test_layout_and_manifest(objects):
    names = {name for name in snapshot(objects) if name != 'synthetic.json'}
    train = {f'train/{category}/{index:05d}.jpg' for category in CATEGORIES for index in range(2)}
    assert names == train | {f'val/{category}/00000.jpg' for category in CATEGORIES}
    manifest = json.loads((objects / 'synthetic.json').read_text())
    assert manifest['arguments'] == SMALL and manifest['object_renderer_version'] == 1
    assert manifest['num_images']['train/car'] == 2 and manifest['num_images']['val/car'] == 1


@pytest.mark.parametrize(('split', 'index'), [('train', 1), ('val', 0)])
def test_pictures_are_those_of_their_category(objects, split, index):
    drawn = render_object('dog', 1, index + (FIRST_VAL_INDEX if split == 'val' else 0))
    found = cv2.imread(str(objects / split / 'dog' / f'{index:05d}.jpg'))
    # But for JPEG's losses.
    assert np.abs(drawn.astype(int) - found).mean() < 6


def test_more_training_pictures_leave_the_others_alone(objects, tmp_path):
    write_synthetic_objects(tmp_path / 'more', **dict(SMALL, num_train=3))
    more, before = snapshot(tmp_path / 'more'), snapshot(objects)
    assert {name: more[name] for name in before if name != 'synthetic.json'} == {
        name: data for name, data in before.items() if name != 'synthetic.json'
    }


def test_second_call_writes_nothing(objects, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError('wrote again')

    monkeypatch.setattr(synthetic_objects, '_write_set', fail)
    write_synthetic_objects(objects, **SMALL)


def test_other_arguments_raise(objects, monkeypatch):
    with pytest.raises(DataError, match='delete the folder') as error:
        write_synthetic_objects(objects, **dict(SMALL, seed=2))
    assert str(objects) in str(error.value) and "'seed': 1" in str(error.value) and "'seed': 2" in str(error.value)
    monkeypatch.setattr(synthetic_objects, 'OBJECT_RENDERER_VERSION', 99)
    with pytest.raises(DataError, match='object_renderer_version'):
        write_synthetic_objects(objects, **SMALL)


def test_incomplete_and_foreign_folders_raise(tmp_path):
    write_synthetic_objects(tmp_path / 'set', **SMALL)
    (tmp_path / 'set' / 'val' / 'car' / '00000.jpg').unlink()
    with pytest.raises(DataError, match='should hold'):
        write_synthetic_objects(tmp_path / 'set', **SMALL)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.tex').write_text('precious')
    with pytest.raises(FileExistsError, match='mine'):
        write_synthetic_objects(tmp_path / 'mine', **SMALL)
    assert snapshot(tmp_path / 'mine') == {'thesis.tex': b'precious'}


def test_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    calls = []

    def write_some(path, picture):
        calls.append(path)
        if len(calls) > 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(synthetic_objects, 'write_jpeg', write_some)
    with pytest.raises(KeyboardInterrupt):
        write_synthetic_objects(tmp_path / 'set', **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_loser_of_a_race_accepts_the_winner(objects, tmp_path, monkeypatch):
    rename = os.rename

    def rename_late(source, target):
        monkeypatch.setattr(os, 'rename', rename)
        write_synthetic_objects(tmp_path / 'set', **SMALL)  # the other process, faster
        rename(source, target)

    monkeypatch.setattr(os, 'rename', rename_late)
    write_synthetic_objects(tmp_path / 'set', **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ['set']
    assert snapshot(tmp_path / 'set') == snapshot(objects)


def test_two_writers_at_once(objects, tmp_path):
    """Threads stand for processes: they race for the same rename and start much faster."""
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write_synthetic_objects, tmp_path / 'set', **SMALL) for _ in range(2)]
    assert [writer.result() for writer in writers] == [None, None]
    assert [path.name for path in tmp_path.iterdir()] == ['set']
    assert snapshot(tmp_path / 'set') == snapshot(objects)


@pytest.mark.parametrize('change', [dict(num_train=0), dict(num_val=0), dict(num_train=FIRST_VAL_INDEX + 1)])
def test_bad_numbers_raise(tmp_path, change):
    with pytest.raises(DataError, match=next(iter(change))):
        write_synthetic_objects(tmp_path / 'set', **dict(SMALL, **change))
    assert list(tmp_path.iterdir()) == []


def test_first_use_makes_the_data_set(tmp_path):
    root = str(tmp_path / 'objects')
    train = DATASETS.build(dict(type='mmosnet.SyntheticObjects', data_root=root, generation=SMALL))
    assert isinstance(train, SyntheticObjects) and train.metainfo['classes'] == CATEGORIES
    assert train.get_gt_labels().tolist() == [label for label in range(12) for _ in range(2)]
    val = SyntheticObjects(data_root=root, split='val', generation=SMALL, test_mode=True)
    assert len(val) == 12
    for dataset in (train, val):
        for index in range(len(dataset)):
            record = dataset.get_data_info(index)
            assert f'/{CATEGORIES[record["gt_label"]]}/' in record['img_path']
            assert f'/{dataset.data_prefix["img_path"].rpartition("/")[2]}/' in record['img_path']
    # Any reader of folders finds the same labels.
    folders = CustomDataset(data_root=root, data_prefix='train')
    assert folders.get_gt_labels().tolist() == train.get_gt_labels().tolist()


def test_other_splits_raise(tmp_path):
    with pytest.raises(DataError, match=r"split='test'.*train, val"):
        SyntheticObjects(data_root=str(tmp_path / 'objects'), split='test')
    assert not (tmp_path / 'objects').exists()
