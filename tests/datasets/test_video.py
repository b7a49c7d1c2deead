from __future__ import annotations

import os

import pytest

from mmosnet.datasets import VideoReIDDataset
from mmosnet.errors import DataError
from tests.datasets.official_formats import infos
from tests.datasets.video_formats import write_frame


class Tracklets(VideoReIDDataset):
    """Tracklets in ``split/PERSON_CAMERA/*.png``."""

    def load_split(self, split):
        listed = self.tracklet_folders(split)
        return [self.record(frames, *map(int, name.split('_'))) for (name,), frames in listed]

    def published_counts(self):
        return dict(train=(4, 2), gallery=(None, 1))


@pytest.fixture
def root(tmp_path):
    for split, people in (('train', (3, 8)), ('query', (4,)), ('gallery', (4, 0, -1))):
        for pid in people:
            for camid in (0, 1):
                for frame in (2, 10, 1):
                    write_frame(tmp_path / split / f'{pid}_{camid}' / f'{frame:03d}.png')
    return tmp_path


def load(root, split='train', **options):
    return Tracklets(data_root=str(root), split=split, pipeline=[], **options)


def test_records_labels_and_metadata(root):
    dataset = load(root, ('train', 'query', 'gallery'))
    first = dataset.get_data_info(0)
    folder = root / 'train' / '3_0'
    frames = [str(folder / name) for name in ('001.png', '002.png', '010.png')]
    assert {key: first[key] for key in ('img_path', 'frame_paths', 'pid', 'camid', 'split', 'gt_label')} == dict(
        img_path=frames[0], frame_paths=frames, pid=3, camid=0, split='train', gt_label=0
    )
    records = infos(dataset)
    assert [r['tracklet'] for r in records] == [0, 1, 2, 3, 4, 5, *(n for n in range(8, 12))]
    assert [r.get('gt_label') for r in records] == [0, 0, 1, 1, *[None] * 6]
    assert dataset.metainfo['num_train_pids'] == 2 and dataset.metainfo['num_cross_camera_queries'] == 2


def test_table_notes_and_counts_are_of_tracklets_and_frames(root, log):
    load(root, ('query', 'gallery'))
    (table,) = log
    lines = [[cell.strip() for cell in line.split('|')] for line in table.splitlines()]
    assert ['split', 'tracklets', 'frames', 'identities', 'cameras', 'distractors'] in lines
    assert ['gallery', '4', '12', '1', '2', '2'] in lines
    assert 'left out 2 gallery tracklets of no person' in table
    log.clear()
    (root / 'train/3_0').rename(root / 'train/4_0')
    load(root)
    assert 'train has 4 tracklets of 3 identities, published are 4 of 2' in log[1] and len(log) == 2


def test_an_unknown_count_is_not_compared(root, warnings):
    load(root, 'gallery')
    assert not warnings
    for frame in (root / 'gallery/4_0').iterdir():
        frame.unlink()
    (root / 'gallery/4_0').rmdir()
    (root / 'gallery/4_1').rename(root / 'gallery/5_1')
    write_frame(root / 'gallery/6_1/001.png')
    load(root, 'gallery')
    assert len(warnings) == 1 and '4 tracklets of 2 identities, published are 4 of 1' in warnings[0]


def test_damaged_frames_leave_their_tracklet_and_a_tracklet_without_frames_the_data_set(root, warnings):
    numbers = [r['tracklet'] for r in infos(load(root))]
    damaged = [root / 'train/3_0/001.png', *(root / 'train/8_1').iterdir()]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:40])
    records = infos(load(root, bad_images='skip', check_counts=False))
    assert [[os.path.basename(path) for path in r['frame_paths']] for r in records] == [
        ['002.png', '010.png'],
        *[['001.png', '002.png', '010.png']] * 2,
    ]
    assert all(r['img_path'] == r['frame_paths'][0] for r in records)
    # Numbers do not depend on what was left out.
    assert [r['tracklet'] for r in records] == numbers[:3]
    (text,) = warnings
    assert 'skipped 4 of 12 train frames' in text and '1 of 4 tracklets' in text and str(damaged[0]) in text
    for path in root.glob('train/*/*'):
        path.write_bytes(b'')
    with pytest.raises(DataError, match='the train split has no tracklets'):
        load(root, bad_images='skip')


def test_combineall_adds_the_people_of_the_test_splits(root):
    records = infos(load(root, combineall=True, check_counts=False))
    assert sorted({r['pid'] for r in records}) == [3, 4, 8]
    assert len(records) == 8 and len({r['tracklet'] for r in records}) == 8


def test_odd_files_are_counted_and_hidden_ones_ignored(root, warnings):
    (root / 'train/3_0/notes.txt').write_text('x')
    write_frame(root / 'train/alone.png')
    write_frame(root / 'train/3_1/below/001.png')
    write_frame(root / 'train/.trash/001.png')
    (root / 'train/3_0/Thumbs.db').write_bytes(b'x')
    records = infos(load(root, check_counts=False))
    assert [len(r['frame_paths']) for r in records] == [3] * 4
    assert '1 .txt' in warnings[0] and '2 images' in warnings[1] and '3_1/below/001.png' in warnings[1]


def test_errors_name_the_folder(root, tmp_path_factory):
    (root / 'train/5_0').mkdir()
    with pytest.raises(DataError, match=r'train/5_0 has no frame'):
        load(root)
    empty = tmp_path_factory.mktemp('empty')
    with pytest.raises(FileNotFoundError, match=r'no folder .*train'):
        load(empty)
    (empty / 'train').mkdir()
    with pytest.raises(DataError, match=r'train has no folders of tracklets'):
        load(empty)
    dataset = load(root, 'query')
    with pytest.raises(DataError, match='pid 7 has no frame'):
        dataset.record([], 7, 0)


def test_folders_with_accents_and_links(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp('Zoë é')
    (root / 'train').rename(elsewhere / 'train')
    (root / 'train').symlink_to(elsewhere / 'train')
    assert len(load(root)) == len(load(elsewhere)) == 4


@pytest.mark.parametrize('missing', ['clip', 'tracklet'])
def test_clips_that_the_metric_could_not_join_are_refused(root, missing):
    keys = [key for key in ('pid', 'camid', 'split', 'tracklet', 'clip') if key != missing]
    pipeline = [dict(type='mmpretrain.PackInputs', algorithm_keys=keys)]
    options = dict(data_root=str(root), split='gallery', test_mode=True)
    with pytest.raises(DataError, match=f"clip_length=2.*'{missing}'"):
        Tracklets(pipeline=pipeline, clip_length=2, **options)
    Tracklets(pipeline=pipeline, **options)
    pipeline[0]['algorithm_keys'] = [*keys, missing]
    Tracklets(pipeline=pipeline, clip_length=2, **options)
