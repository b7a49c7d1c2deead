"""The folders that are written: complete or absent, and readable in the official layouts."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from mmpretrain.datasets import CustomDataset
from scipy.io import loadmat

from mmosnet.errors import DataError
from mmosnet.registry import DATASETS
from mmosnet.synthetic import SyntheticAttributes, SyntheticObjects, SyntheticPeople
from mmosnet.synthetic import datasets as synthetic
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
SMALLER = dict(num_train_pids=2, num_test_pids=2, num_cameras=2, images_per_camera=2, num_distractors=1, num_junk=1)
FEW_OBJECTS = dict(num_train=2, num_val=1, seed=1)


@pytest.fixture(scope='module')
def people(tmp_path_factory):
    root = tmp_path_factory.mktemp('people') / 'nested' / 'set'
    write_synthetic_people(root, **SMALL)
    return root


@pytest.fixture(scope='module')
def objects(tmp_path_factory):
    root = tmp_path_factory.mktemp('objects') / 'nested' / 'set'
    write_synthetic_objects(root, **FEW_OBJECTS)
    return root


class Written(NamedTuple):
    """A complete folder, and how to write it again."""

    root: Path
    write: Callable
    arguments: dict
    version: str


@pytest.fixture(params=['people', 'objects'])
def written(request):
    root = request.getfixturevalue(request.param)
    if request.param == 'people':
        return Written(root, write_synthetic_people, SMALL, 'RENDERER_VERSION')
    return Written(root, write_synthetic_objects, FEW_OBJECTS, 'OBJECT_RENDERER_VERSION')


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


def test_second_call_writes_nothing(written, monkeypatch):
    def fail(*args):
        raise AssertionError('wrote again')

    before = snapshot(written.root)
    monkeypatch.setattr(synthetic, 'write_jpeg', fail)
    written.write(written.root, **written.arguments)
    assert snapshot(written.root) == before


def test_same_arguments_same_files(written, tmp_path):
    written.write(tmp_path / 'again', **written.arguments)
    again, before = snapshot(tmp_path / 'again'), snapshot(written.root)
    assert again == before


def test_other_arguments_raise(written, monkeypatch):
    before = snapshot(written.root)
    with pytest.raises(DataError, match='delete the folder') as error:
        written.write(written.root, **dict(written.arguments, seed=2))
    assert all(text in str(error.value) for text in (str(written.root), "'seed': 1", "'seed': 2"))
    monkeypatch.setattr(synthetic, written.version, 99)
    with pytest.raises(DataError, match=written.version.lower()):
        written.write(written.root, **written.arguments)
    assert snapshot(written.root) == before


def test_missing_images_raise(written, tmp_path):
    root = tmp_path / 'set'
    written.write(root, **written.arguments)
    next(root.rglob('*.jpg')).unlink()
    with pytest.raises(DataError, match='should hold'):
        written.write(root, **written.arguments)


def test_foreign_folder_is_untouched(written, tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.tex').write_text('precious')
    for path in (tmp_path / 'mine', tmp_path / 'mine' / 'thesis.tex'):
        with pytest.raises(FileExistsError, match='mine'):
            written.write(path, **written.arguments)
    assert snapshot(tmp_path) == {os.path.join('mine', 'thesis.tex'): b'precious'}


def test_empty_folder_is_used(written, tmp_path):
    (tmp_path / 'set').mkdir()
    written.write(tmp_path / 'set', **written.arguments)
    assert json.loads((tmp_path / 'set' / MANIFEST).read_text())['arguments'] == written.arguments


@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt])
def test_interrupted_run_leaves_nothing(written, tmp_path, monkeypatch, error):
    write, calls = synthetic.write_jpeg, []

    def write_some(path, picture):
        calls.append(path)
        if len(calls) > 5:
            raise error('interrupted')
        write(path, picture)

    monkeypatch.setattr(synthetic, 'write_jpeg', write_some)
    with pytest.raises(error):
        written.write(tmp_path / 'set', **written.arguments)
    assert len(calls) > 5 and list(tmp_path.iterdir()) == []


def test_loser_of_a_race_accepts_the_winner(written, tmp_path, monkeypatch):
    rename = os.rename

    def rename_late(source, target):
        monkeypatch.setattr(os, 'rename', rename)
        written.write(tmp_path / 'set', **written.arguments)  # the other process, faster
        rename(source, target)

    monkeypatch.setattr(os, 'rename', rename_late)
    written.write(tmp_path / 'set', **written.arguments)
    assert [path.name for path in tmp_path.iterdir()] == ['set']
    assert snapshot(tmp_path / 'set') == snapshot(written.root)


def test_two_writers_at_once(written, tmp_path):
    """Threads stand for processes: they race for the same rename and start much faster."""
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(written.write, tmp_path / 'set', **written.arguments) for _ in range(2)]
    assert [writer.result() for writer in writers] == [None, None]
    assert [path.name for path in tmp_path.iterdir()] == ['set']
    assert snapshot(tmp_path / 'set') == snapshot(written.root)


def test_copies_where_links_fail(people, tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError('no hard links here')

    monkeypatch.setattr(os, 'link', refuse)
    write_synthetic_people(tmp_path / 'copied', **SMALL)
    assert snapshot(tmp_path / 'copied') == snapshot(people)


@pytest.mark.parametrize(
    'change',
    [dict(num_cameras=1), dict(num_cameras=10), dict(images_per_camera=1), dict(num_train_pids=9999)],
)
def test_bad_arguments_raise(tmp_path, change):
    with pytest.raises(DataError, match='must be at'):
        write_synthetic_people(tmp_path / 'set', **dict(SMALL, **change))
    assert list(tmp_path.iterdir()) == []


def test_layout_and_manifest(objects):
    names = {name for name in snapshot(objects) if name != MANIFEST}
    train = {f'train/{category}/{index:05d}.jpg' for category in CATEGORIES for index in range(2)}
    assert names == train | {f'val/{category}/00000.jpg' for category in CATEGORIES}
    manifest = json.loads((objects / MANIFEST).read_text())
    assert manifest['arguments'] == FEW_OBJECTS and manifest['object_renderer_version'] == 1
    assert manifest['num_images']['train/car'] == 2 and manifest['num_images']['val/car'] == 1


@pytest.mark.parametrize(('split', 'index'), [('train', 1), ('val', 0)])
def test_pictures_are_those_of_their_category(objects, split, index):
    drawn = render_object('dog', 1, index + (FIRST_VAL_INDEX if split == 'val' else 0))
    stored = cv2.imread(str(objects / split / 'dog' / f'{index:05d}.jpg'))
    # But for JPEG's losses.
    assert np.abs(drawn.astype(int) - stored).mean() < 6


def test_more_training_pictures_leave_the_others_alone(objects, tmp_path):
    write_synthetic_objects(tmp_path / 'more', **dict(FEW_OBJECTS, num_train=3))
    more, before = snapshot(tmp_path / 'more'), snapshot(objects)
    assert {name: more[name] for name in before if name != MANIFEST} == {
        name: data for name, data in before.items() if name != MANIFEST
    }


@pytest.mark.parametrize('change', [dict(num_train=0), dict(num_val=0), dict(num_train=FIRST_VAL_INDEX + 1)])
def test_bad_numbers_raise(tmp_path, change):
    with pytest.raises(DataError, match=next(iter(change))):
        write_synthetic_objects(tmp_path / 'set', **dict(FEW_OBJECTS, **change))
    assert list(tmp_path.iterdir()) == []


def test_first_use_writes_objects(tmp_path):
    root = str(tmp_path / 'objects')
    train = DATASETS.build(dict(type='mmosnet.SyntheticObjects', data_root=root, generation=FEW_OBJECTS))
    assert isinstance(train, SyntheticObjects) and train.metainfo['classes'] == CATEGORIES
    assert train.get_gt_labels().tolist() == [label for label in range(12) for _ in range(2)]
    val = SyntheticObjects(data_root=root, split='val', generation=FEW_OBJECTS, test_mode=True)
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


def test_first_use_writes_attributes(tmp_path):
    root = str(tmp_path / 'people')
    generation = dict(SMALL, images_per_camera=2)
    sizes = dict(train=3 * 4, val=2 * 4, test=2 * 4)
    for split, size in sizes.items():
        dataset = SyntheticAttributes(data_root=root, generation=generation, split=split)
        assert len(dataset) == size
        scores = np.stack([dataset.get_data_info(i)['gt_score'] for i in range(size)])
        assert np.array_equal(scores, loadmat(f'{root}/annotation/annotation.mat')[f'{split}_label'])
    assert dataset.metainfo['attributes'] == list(ATTRIBUTES)
    assert dataset.published_counts() == {}
    # The folder serves both tasks.
    assert len(SyntheticPeople(data_root=root, generation=generation)) == 12


def test_first_use_writes_people(tmp_path):
    root = tmp_path / 'people'
    train = SyntheticPeople(data_root=str(root), generation=SMALLER)
    assert len(train) == 2 * 2 * 2
    test = SyntheticPeople(data_root=str(root), generation=SMALLER, split=('query', 'gallery'), test_mode=True)
    # 4 queries; a gallery of 4 and the distractor, without the junk.
    assert len(test) == 4 + 5
    assert test.metainfo['num_cross_camera_queries'] == 4


def test_a_full_disk_leaves_nothing_and_the_next_start_draws_anew(tmp_path):
    root = tmp_path / 'people'
    with full_disk(1000), pytest.raises(OSError) as found:
        SyntheticPeople(data_root=str(root), generation=SMALLER)
    assert found.value.filename == str(root) and not list(tmp_path.iterdir())
    assert len(SyntheticPeople(data_root=str(root), generation=SMALLER)) == 8
    # As after a machine has lost power.
    (root / MANIFEST).write_text('')
    with pytest.raises(DataError, match=MANIFEST):
        SyntheticPeople(data_root=str(root), generation=SMALLER)


def test_labels_are_those_of_the_same_picture(tmp_path):
    """Pictures are compared by their bytes, since numbers in file names prove nothing."""
    options = dict(data_root=str(tmp_path), generation=dict(SMALLER, num_distractors=3, num_test_pids=3))
    labeled = SyntheticAttributes(split=('train', 'val', 'test'), **options)
    by_bytes = {}
    for index in range(len(labeled)):
        record = labeled.get_data_info(index)
        by_bytes[Path(record['img_path']).read_bytes()] = record['gt_score']
    assert len(by_bytes) == len(labeled)
    people = SyntheticPeople(attributes=True, split=('train', 'query', 'gallery'), **options)
    with_labels = 0
    for index in range(len(people)):
        record = people.get_data_info(index)
        expected = by_bytes.get(Path(record['img_path']).read_bytes())
        assert ('gt_score' in record) == (expected is not None) == (record['pid'] > 0)
        if expected is not None:
            assert np.array_equal(record['gt_score'], expected)
            with_labels += 1
    assert with_labels == len(labeled)
    assert people.metainfo['attributes'] == list(ATTRIBUTES)
    train = SyntheticAttributes(**options)
    assert SyntheticPeople(attributes=True, **options).metainfo['pos_ratio'] == train.metainfo['pos_ratio']
    assert 'attributes' not in SyntheticPeople(**options).metainfo
