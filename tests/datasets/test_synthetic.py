"""The folder that is written: complete or absent, and readable as Market-1501 and as PA-100K."""

import json
import os
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from scipy.io import loadmat

from mmosnet.datasets import synthetic
from mmosnet.datasets.pedestrian_renderer import ATTRIBUTES
from mmosnet.datasets.synthetic import write_synthetic_people

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
