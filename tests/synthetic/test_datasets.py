"""The folder that is written: complete or absent, and readable as Market-1501 and as PA-100K.

The folder that is written: complete or absent, and readable as ImageNet's layout.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmpretrain.datasets import CustomDataset
from scipy.io import loadmat

from mmosnet.datasets import SyntheticAttributes, SyntheticObjects, SyntheticPeople
from mmosnet.errors import DataError
from mmosnet.registry import DATASETS
from mmosnet.synthetic import datasets as synthetic
from mmosnet.synthetic import datasets as synthetic_objects
from mmosnet.synthetic.datasets import FIRST_VAL_INDEX, MANIFEST, write_synthetic_objects, write_synthetic_people
from mmosnet.synthetic.identity import ATTRIBUTES
from mmosnet.synthetic.objects import CATEGORIES, render_object
from tests.conftest import full_disk

SMALL = dict(
    num_train_pids=3,
    num_test_pids=4,
    num_cameras=2,
    images_per_camera=3,
    num_distractors=5,
    num_junk=2,
    seed=1,
)


@pytest.fixture(scope='module')
def people(tmp_path_factory):
    root = tmp_path_factory.mktemp('people') / 'nested' / 'set'
    write_synthetic_people(root, **SMALL)
    return root


def parse(folder):
    """(pid, camid, name) of a folder's images, by Market-1501's own pattern."""
    found = []
    for path in sorted(folder.iterdir()):
        pid, cam = map(int, re.fullmatch(r'([-\d]+)_c(\d)s1_\d{6}_00\.jpg', path.name).groups())
        found.append((pid, cam - 1, path.name))
    return found


def snapshot(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob('*') if path.is_file()}


def test_market_layout(people):
    train, query, gallery = (parse(people / name) for name in synthetic.MARKET_FOLDERS)
    assert len(train) == 3 * 2 * 3 and {pid for pid, _, _ in train} == {1, 2, 3}
    assert len(query) == 4 * 2 and {pid for pid, _, _ in query} == {4, 5, 6, 7}
    assert len(gallery) == 4 * 2 * 2 + 5 + 2
    assert sum(pid == 0 for pid, _, _ in gallery) == 5
    assert sum(pid == -1 for pid, _, _ in gallery) == 2
    assert {camid for _, camid, _ in train + query + gallery} == {0, 1}
    names = [name for _, _, name in train + query + gallery]
    assert len(set(names)) == len(names)
    for name in synthetic.MARKET_FOLDERS:
        for path in (people / name).iterdir():
            assert cv2.imread(str(path)).shape == (128, 64, 3)


def test_every_query_has_a_match_under_another_camera(people):
    cameras = defaultdict(set)
    for pid, camid, _ in parse(people / 'bounding_box_test'):
        cameras[pid].add(camid)
    for pid, camid, name in parse(people / 'query'):
        assert cameras[pid] - {camid}, name


def test_attribute_layout(people):
    content = loadmat(people / 'annotation' / 'annotation.mat')
    assert [cell[0] for cell in content['attributes'][:, 0]] == list(ATTRIBUTES)
    assert content['attributes'].shape == (26, 1)
    named = []
    for part, count in (('train', 18), ('val', 12), ('test', 12)):
        names, labels = content[f'{part}_images_name'], content[f'{part}_label']
        assert names.shape == (count, 1) and labels.shape == (count, 26) and labels.dtype == np.uint8
        assert set(np.unique(labels)) <= {0, 1}
        named += [cell[0] for cell in names[:, 0]]
    assert sorted(named) == sorted(path.name for path in (people / 'data').iterdir())


def test_attribute_splits_are_by_person(people):
    """A data/ image is the same file as one of the Market folders, which knows the person."""
    pid_of = {}
    for folder in synthetic.MARKET_FOLDERS:
        for pid, _, name in parse(people / folder):
            pid_of[(people / folder / name).read_bytes()] = pid
    content = loadmat(people / 'annotation' / 'annotation.mat')
    pids = {}
    for part in ('train', 'val', 'test'):
        names = [cell[0] for cell in content[f'{part}_images_name'][:, 0]]
        pids[part] = {pid_of[(people / 'data' / name).read_bytes()] for name in names}
    assert pids == {'train': {1, 2, 3}, 'val': {4, 5}, 'test': {6, 7}}


def test_second_call_writes_nothing(people, monkeypatch):
    def fail(*args):
        raise AssertionError('wrote again')

    before = snapshot(people)
    monkeypatch.setattr(synthetic, '_write_set', fail)
    write_synthetic_people(people, **SMALL)
    assert snapshot(people) == before


def test_same_arguments_same_files(people, tmp_path):
    write_synthetic_people(tmp_path / 'again', **SMALL)
    again, before = snapshot(tmp_path / 'again'), snapshot(people)
    assert again == before


def test_copies_where_links_fail(people, tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError('no hard links here')

    monkeypatch.setattr(os, 'link', refuse)
    write_synthetic_people(tmp_path / 'copied', **SMALL)
    assert snapshot(tmp_path / 'copied') == snapshot(people)


def test_other_arguments_raise(people, monkeypatch):
    before = snapshot(people)
    with pytest.raises(ValueError, match='delete the folder') as error:
        write_synthetic_people(people, **dict(SMALL, seed=2))
    assert str(people) in str(error.value) and "'seed': 1" in str(error.value) and "'seed': 2" in str(error.value)
    monkeypatch.setattr(synthetic, 'RENDERER_VERSION', synthetic.RENDERER_VERSION + 1)
    with pytest.raises(ValueError, match='renderer_version'):
        write_synthetic_people(people, **SMALL)
    assert snapshot(people) == before


def test_missing_images_raise(tmp_path):
    root = tmp_path / 'set'
    write_synthetic_people(root, **SMALL)
    next((root / 'query').iterdir()).unlink()
    with pytest.raises(ValueError, match='delete the folder'):
        write_synthetic_people(root, **SMALL)


def test_foreign_folder_is_untouched(tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.tex').write_text('precious')
    with pytest.raises(FileExistsError, match='mine'):
        write_synthetic_people(tmp_path / 'mine', **SMALL)
    assert snapshot(tmp_path) == {os.path.join('mine', 'thesis.tex'): b'precious'}
    with pytest.raises(FileExistsError):
        write_synthetic_people(tmp_path / 'mine' / 'thesis.tex', **SMALL)


def test_empty_folder_is_used(tmp_path):
    (tmp_path / 'set').mkdir()
    write_synthetic_people(tmp_path / 'set', **SMALL)
    assert json.loads((tmp_path / 'set' / 'synthetic.json').read_text())['arguments'] == SMALL


@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt])
def test_interrupted_run_leaves_nothing(tmp_path, monkeypatch, error):
    write, calls = synthetic.write_jpeg, []

    def write_some(path, picture):
        calls.append(path)
        if len(calls) > 5:
            raise error('interrupted')
        write(path, picture)

    monkeypatch.setattr(synthetic, 'write_jpeg', write_some)
    with pytest.raises(error):
        write_synthetic_people(tmp_path / 'set', **SMALL)
    assert calls[0].parent.is_dir() is False
    assert list(tmp_path.iterdir()) == []


def test_loser_of_a_race_accepts_the_winner(people, tmp_path, monkeypatch):
    rename = os.rename

    def rename_late(source, target):
        monkeypatch.setattr(os, 'rename', rename)
        write_synthetic_people(tmp_path / 'set', **SMALL)  # the other process, faster
        rename(source, target)

    monkeypatch.setattr(os, 'rename', rename_late)
    write_synthetic_people(tmp_path / 'set', **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ['set']
    assert snapshot(tmp_path / 'set') == snapshot(people)


def test_two_writers_at_once(people, tmp_path):
    """Threads stand for processes: they race for the same rename and start much faster."""
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write_synthetic_people, tmp_path / 'set', **SMALL) for _ in range(2)]
    assert [writer.result() for writer in writers] == [None, None]
    assert [path.name for path in tmp_path.iterdir()] == ['set']
    assert snapshot(tmp_path / 'set') == snapshot(people)


@pytest.mark.parametrize(
    'change',
    [
        dict(num_cameras=1),
        dict(num_cameras=10),
        dict(images_per_camera=1),
        dict(num_train_pids=9999),
    ],
)
def test_bad_arguments_raise(tmp_path, change):
    with pytest.raises(ValueError, match='must be at'):
        write_synthetic_people(tmp_path / 'set', **dict(SMALL, **change))
    assert list(tmp_path.iterdir()) == []


SYNTHETIC_ATTRIBUTES_SMALL = dict(
    num_train_pids=3, num_test_pids=4, num_cameras=2, images_per_camera=2, num_distractors=2, num_junk=1
)


def test_first_use_makes_the_data_set(tmp_path):
    root = str(tmp_path / 'people')
    sizes = dict(train=3 * 4, val=2 * 4, test=2 * 4)
    for split, size in sizes.items():
        dataset = SyntheticAttributes(data_root=root, generation=SYNTHETIC_ATTRIBUTES_SMALL, split=split)
        assert len(dataset) == size
        scores = np.stack([dataset.get_data_info(i)['gt_score'] for i in range(size)])
        assert np.array_equal(scores, loadmat(f'{root}/annotation/annotation.mat')[f'{split}_label'])
    assert dataset.metainfo['attributes'] == list(ATTRIBUTES)
    assert dataset.published_counts() == {}
    # The folder serves both tasks.
    assert len(SyntheticPeople(data_root=root, generation=SYNTHETIC_ATTRIBUTES_SMALL)) == 12


SYNTHETIC_OBJECTS_SMALL = dict(num_train=2, num_val=1, seed=1)


@pytest.fixture(scope='module')
def objects(tmp_path_factory):
    root = tmp_path_factory.mktemp('objects') / 'nested' / 'set'
    write_synthetic_objects(root, **SYNTHETIC_OBJECTS_SMALL)
    return root


def test_layout_and_manifest(objects):
    names = {name for name in snapshot(objects) if name != 'synthetic.json'}
    train = {f'train/{category}/{index:05d}.jpg' for category in CATEGORIES for index in range(2)}
    assert names == train | {f'val/{category}/00000.jpg' for category in CATEGORIES}
    manifest = json.loads((objects / 'synthetic.json').read_text())
    assert manifest['arguments'] == SYNTHETIC_OBJECTS_SMALL and manifest['object_renderer_version'] == 1
    assert manifest['num_images']['train/car'] == 2 and manifest['num_images']['val/car'] == 1


@pytest.mark.parametrize(('split', 'index'), [('train', 1), ('val', 0)])
def test_pictures_are_those_of_their_category(objects, split, index):
    drawn = render_object('dog', 1, index + (FIRST_VAL_INDEX if split == 'val' else 0))
    found = cv2.imread(str(objects / split / 'dog' / f'{index:05d}.jpg'))
    # But for JPEG's losses.
    assert np.abs(drawn.astype(int) - found).mean() < 6


def test_more_training_pictures_leave_the_others_alone(objects, tmp_path):
    write_synthetic_objects(tmp_path / 'more', **dict(SYNTHETIC_OBJECTS_SMALL, num_train=3))
    more, before = snapshot(tmp_path / 'more'), snapshot(objects)
    assert {name: more[name] for name in before if name != 'synthetic.json'} == {
        name: data for name, data in before.items() if name != 'synthetic.json'
    }


def test_synthetic_objects_second_call_writes_nothing(objects, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError('wrote again')

    monkeypatch.setattr(synthetic_objects, '_write_set', fail)
    write_synthetic_objects(objects, **SYNTHETIC_OBJECTS_SMALL)


def test_synthetic_objects_other_arguments_raise(objects, monkeypatch):
    with pytest.raises(DataError, match='delete the folder') as error:
        write_synthetic_objects(objects, **dict(SYNTHETIC_OBJECTS_SMALL, seed=2))
    assert str(objects) in str(error.value) and "'seed': 1" in str(error.value) and "'seed': 2" in str(error.value)
    monkeypatch.setattr(synthetic_objects, 'OBJECT_RENDERER_VERSION', 99)
    with pytest.raises(DataError, match='object_renderer_version'):
        write_synthetic_objects(objects, **SYNTHETIC_OBJECTS_SMALL)


def test_incomplete_and_foreign_folders_raise(tmp_path):
    write_synthetic_objects(tmp_path / 'set', **SYNTHETIC_OBJECTS_SMALL)
    (tmp_path / 'set' / 'val' / 'car' / '00000.jpg').unlink()
    with pytest.raises(DataError, match='should hold'):
        write_synthetic_objects(tmp_path / 'set', **SYNTHETIC_OBJECTS_SMALL)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.tex').write_text('precious')
    with pytest.raises(FileExistsError, match='mine'):
        write_synthetic_objects(tmp_path / 'mine', **SYNTHETIC_OBJECTS_SMALL)
    assert snapshot(tmp_path / 'mine') == {'thesis.tex': b'precious'}


def test_synthetic_objects_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    calls = []

    def write_some(path, picture):
        calls.append(path)
        if len(calls) > 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(synthetic_objects, 'write_jpeg', write_some)
    with pytest.raises(KeyboardInterrupt):
        write_synthetic_objects(tmp_path / 'set', **SYNTHETIC_OBJECTS_SMALL)
    assert list(tmp_path.iterdir()) == []


def test_synthetic_objects_loser_of_a_race_accepts_the_winner(objects, tmp_path, monkeypatch):
    rename = os.rename

    def rename_late(source, target):
        monkeypatch.setattr(os, 'rename', rename)
        write_synthetic_objects(tmp_path / 'set', **SYNTHETIC_OBJECTS_SMALL)  # the other process, faster
        rename(source, target)

    monkeypatch.setattr(os, 'rename', rename_late)
    write_synthetic_objects(tmp_path / 'set', **SYNTHETIC_OBJECTS_SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ['set']
    assert snapshot(tmp_path / 'set') == snapshot(objects)


def test_synthetic_objects_two_writers_at_once(objects, tmp_path):
    """Threads stand for processes: they race for the same rename and start much faster."""
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write_synthetic_objects, tmp_path / 'set', **SYNTHETIC_OBJECTS_SMALL) for _ in range(2)]
    assert [writer.result() for writer in writers] == [None, None]
    assert [path.name for path in tmp_path.iterdir()] == ['set']
    assert snapshot(tmp_path / 'set') == snapshot(objects)


@pytest.mark.parametrize('change', [dict(num_train=0), dict(num_val=0), dict(num_train=FIRST_VAL_INDEX + 1)])
def test_bad_numbers_raise(tmp_path, change):
    with pytest.raises(DataError, match=next(iter(change))):
        write_synthetic_objects(tmp_path / 'set', **dict(SYNTHETIC_OBJECTS_SMALL, **change))
    assert list(tmp_path.iterdir()) == []


def test_synthetic_objects_first_use_makes_the_data_set(tmp_path):
    root = str(tmp_path / 'objects')
    train = DATASETS.build(dict(type='mmosnet.SyntheticObjects', data_root=root, generation=SYNTHETIC_OBJECTS_SMALL))
    assert isinstance(train, SyntheticObjects) and train.metainfo['classes'] == CATEGORIES
    assert train.get_gt_labels().tolist() == [label for label in range(12) for _ in range(2)]
    val = SyntheticObjects(data_root=root, split='val', generation=SYNTHETIC_OBJECTS_SMALL, test_mode=True)
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


SYNTHETIC_PEOPLE_SMALL = dict(
    num_train_pids=2, num_test_pids=2, num_cameras=2, images_per_camera=2, num_distractors=1, num_junk=1
)


def test_synthetic_people_first_use_makes_the_data_set(tmp_path):
    root = tmp_path / 'people'
    train = SyntheticPeople(data_root=str(root), generation=SYNTHETIC_PEOPLE_SMALL)
    assert len(train) == 2 * 2 * 2
    test = SyntheticPeople(
        data_root=str(root), generation=SYNTHETIC_PEOPLE_SMALL, split=('query', 'gallery'), test_mode=True
    )
    # 4 queries; a gallery of 4 and the distractor, without the junk.
    assert len(test) == 4 + 5
    assert test.metainfo['num_cross_camera_queries'] == 4


def test_a_full_disk_leaves_nothing_and_the_next_start_draws_anew(tmp_path):
    root = tmp_path / 'people'
    with full_disk(1000), pytest.raises(OSError) as found:
        SyntheticPeople(data_root=str(root), generation=SYNTHETIC_PEOPLE_SMALL)
    assert found.value.filename == str(root) and not list(tmp_path.iterdir())
    assert len(SyntheticPeople(data_root=str(root), generation=SYNTHETIC_PEOPLE_SMALL)) == 8
    # As after a machine has lost power.
    (root / MANIFEST).write_text('')
    with pytest.raises(DataError, match=MANIFEST):
        SyntheticPeople(data_root=str(root), generation=SYNTHETIC_PEOPLE_SMALL)


def test_labels_are_those_of_the_same_picture(tmp_path):
    """By the pictures' bytes: no number in a file name is trusted."""
    options = dict(data_root=str(tmp_path), generation=dict(SYNTHETIC_PEOPLE_SMALL, num_distractors=3, num_test_pids=3))
    labelled = SyntheticAttributes(split=('train', 'val', 'test'), **options)
    by_bytes = {}
    for index in range(len(labelled)):
        record = labelled.get_data_info(index)
        by_bytes[Path(record['img_path']).read_bytes()] = record['gt_score']
    assert len(by_bytes) == len(labelled)
    people = SyntheticPeople(attributes=True, split=('train', 'query', 'gallery'), **options)
    with_labels = 0
    for index in range(len(people)):
        record = people.get_data_info(index)
        expected = by_bytes.get(Path(record['img_path']).read_bytes())
        assert ('gt_score' in record) == (expected is not None) == (record['pid'] > 0)
        if expected is not None:
            assert np.array_equal(record['gt_score'], expected)
            with_labels += 1
    assert with_labels == len(labelled)
    assert people.metainfo['attributes'] == list(ATTRIBUTES)
    train = SyntheticAttributes(**options)
    assert SyntheticPeople(attributes=True, **options).metainfo['pos_ratio'] == train.metainfo['pos_ratio']
    assert 'attributes' not in SyntheticPeople(**options).metainfo
