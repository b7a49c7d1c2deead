"""Miniatures of the data sets of tracklets, in the official layouts; not checked against the official files."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import cv2
import numpy as np

from tests.datasets.official_formats import write_mat

# Rows of MARS: id, camera (from 1), number of frames. Id 4 is in queries only, as 140 queries of the data set are.
MARS_TRAIN = [(1, 1, 3), (1, 2, 2), (3, 1, 2), (3, 6, 4)]
MARS_TEST = [
    *((-1, 1, 3), (-1, 2, 2), (0, 1, 3), (0, 3, 2)),
    *((2, 1, 3), (2, 1, 2), (2, 2, 2), (2, 3, 2), (4, 1, 2), (4, 2, 2), (6, 5, 2), (6, 5, 4), (6, 6, 3)),
]
# Rows of the queries in the test table, from 1.
MARS_QUERIES = [5, 7, 9, 10, 11]
# 300 people whose numbers have gaps, as those of iLIDS-VID.
ILIDS_PEOPLE = [number for number in range(1, 319) if number % 17]


def write_frame(path: Path) -> None:
    """Write a small picture, another one for each path, with its folders."""
    pixels = np.random.RandomState(zlib.crc32(str(path).encode())).randint(0, 256, (8, 4, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


def mars_names(rows: list[tuple[int, int, int]]) -> list[list[str]]:
    """Return the names of the frames of each tracklet."""
    names = []
    for row, (pid, camera, number) in enumerate(rows):
        person = '00-1' if pid == -1 else f'{pid:04d}'
        names.append([f'{person}C{camera}T{row + 1:04d}F{frame:03d}.jpg' for frame in range(1, number + 1)])
    return names


def mars_table(rows: list[tuple[int, int, int]]) -> np.ndarray:
    """Return first line, last line, id and camera of each tracklet, ``(N, 4)`` int32."""
    last = np.cumsum([number for *_, number in rows])
    return np.array(
        [(end - number + 1, end, pid, camera) for end, (pid, camera, number) in zip(last, rows, strict=True)], np.int32
    )


def write_mars(root: Path, version: str = '5') -> Path:
    """MARS: two training and three test people, junk and distractors; lists with Windows' ends of lines."""
    for part, rows in (('train', MARS_TRAIN), ('test', MARS_TEST)):
        names = [name for names in mars_names(rows) for name in names]
        for name in names:
            write_frame(root / f'bbox_{part}' / name[:4] / name)
        (root / 'info').mkdir(exist_ok=True)
        (root / f'info/{part}_name.txt').write_bytes(''.join(f'{name}\r\n' for name in names).encode())
        write_mat(root / f'info/tracks_{part}_info.mat', {f'track_{part}_info': mars_table(rows)}, version)
    write_mat(root / 'info/query_IDX.mat', {'query_IDX': np.array([MARS_QUERIES], np.uint16)}, version)
    return root


def ilids_splits(number: int) -> np.ndarray:
    """Return ten random orders of positions from 1, ``(10, number)``."""
    random = np.random.RandomState(0)
    return np.stack([random.permutation(number) + 1 for _ in range(10)]).astype(np.uint16)


def write_ilids(root: Path, people: list[int] | None = None, version: str = '5') -> Path:
    """iLIDS-VID: two frames of each person by each camera, written in reverse."""
    people = ILIDS_PEOPLE if people is None else people
    for camera in (1, 2):
        for person in people:
            for frame in (317, 42):
                name = f'cam{camera}_person{person:03d}_{frame:05d}.png'
                write_frame(root / f'i-LIDS-VID/sequences/cam{camera}/person{person:03d}' / name)
            write_frame(root / f'i-LIDS-VID/images/cam{camera}/person{person:03d}/single.png')
    table = ilids_splits(len(people))
    write_mat(root / 'train-test people splits/train_test_splits_ilidsvid.mat', {'ls_set': table}, version)
    return root


def prid_splits() -> list[dict[str, list[str]]]:
    """Return ten divisions of six people, three in each half."""
    orders = [np.random.RandomState(seed).permutation([1, 2, 4, 5, 7, 8]) for seed in range(10)]
    names = [[f'person_{pid:04d}' for pid in order] for order in orders]
    return [dict(train=order[:3], test=order[3:]) for order in names]


def write_prid(root: Path, splits: bool = True) -> Path:
    """PRID2011: people 1 to 8 in both cameras, 201 in both as two people, and others in one."""
    for camera, people in (('a', [*range(1, 9), 201, 202]), ('b', [*range(1, 9), 201, 300])):
        for person in people:
            for frame in (12, 3, 1):
                write_frame(root / f'prid_2011/multi_shot/cam_{camera}/person_{person:04d}/{frame:04d}.png')
    if splits:
        (root / 'splits_prid2011.json').write_text(json.dumps(prid_splits()))
    return root


def write_duke_video(root: Path, separator: str = '_', first_frame: int = 1) -> Path:
    """DukeMTMC-VideoReID: two training and two test people, and a distractor.

    Args:
        root: Folder to write.
        separator: ``'_'``, or ``''`` for the names of the older release.
        first_frame: Number of the first frame of each tracklet.
    """
    tracklets = [
        *(('train', 1, 1, 'X'), ('train', 1, 2, 'X'), ('train', 5, 8, 'X'), ('train', 5, 3, 'X')),
        *(('query', 2, 1, 'X'), ('query', 7, 6, 'X'), ('gallery', 2, 4, 'X'), ('gallery', 2, 1, 'X')),
        *(('gallery', 7, 2, 'X'), ('gallery', 9, 3, 'D')),
    ]
    for number, (split, person, camera, kind) in enumerate(tracklets):
        folder = root / f'DukeMTMC-VideoReID/{split}/{person:04d}/{number:04d}'
        for frame in (3, 1, 2, 10):
            parts = (f'{person:04d}', f'C{camera}', f'F{frame + first_frame - 1:04d}', f'{kind}{30823 + 12 * frame}')
            write_frame(folder / f'{separator.join(parts)}.jpg')
    return root
