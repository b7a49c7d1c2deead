"""Write the embedded data set: drawn people in the file layouts of Market-1501 and PA-100K.

One folder serves both tasks, because both data sets read it with their own official layout:

    bounding_box_train/ query/ bounding_box_test/   Market-1501: 0001_c1s1_000001_00.jpg
    data/ annotation/annotation.mat                 PA-100K: the same pictures under running numbers
    synthetic.json                                  what the folder was made with
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger

from mmosnet.datasets.base import DISTRACTOR_PID, JUNK_PID
from mmosnet.datasets.drawn_folder import DrawnFolder, write_jpeg
from mmosnet.datasets.pedestrian_renderer import (
    ATTRIBUTES,
    RENDERER_VERSION,
    Camera,
    attribute_vector,
    render_person,
    sample_camera,
    sample_identity,
)
from mmosnet.errors import DataError

MARKET_FOLDERS = ('bounding_box_train', 'query', 'bounding_box_test')
# People who belong to no split are drawn from pids that no split reaches.
STRANGER_PID = 1 << 16


def write_synthetic_people(
    root: str | Path,
    num_train_pids: int = 100,
    num_test_pids: int = 50,
    num_cameras: int = 4,
    images_per_camera: int = 4,
    num_distractors: int = 80,
    num_junk: int = 20,
    seed: int = 0,
) -> None:
    """Draw people and write them below `root` in the layouts of Market-1501 and PA-100K.

    Training people are 1..num_train_pids, test people follow. `query` takes each test person's
    first picture under each camera, the gallery the rest, plus distractors (pid 0, each somebody
    else) and junk (pid -1, boxes that miss their person). In the attribute data, val and test are
    halves of the test people; distractors and junk stay out.

    The folder appears complete or not at all, also when several processes write it together. A
    complete folder made with the same arguments is left as it is.

    Args:
        root (str | Path): Folder to make; its parents are made too.
        num_train_pids (int): Training people.
        num_test_pids (int): Test people, at least 2.
        num_cameras (int): Cameras, 2 to 9 (Market-1501's file names have one digit for them).
        images_per_camera (int): Pictures of a person under one camera, at least 2.
        num_distractors (int): Gallery pictures of people who are in no query.
        num_junk (int): Gallery pictures that loaders drop.
        seed (int): World: other people, other cameras.

    Raises:
        DataError: if an argument is out of range, or if `root` holds a set that is incomplete or
            was made with other arguments or by another version of the renderer.
        FileExistsError: if `root` exists, is not empty and is not a synthetic set.
    """
    arguments = dict(
        num_train_pids=num_train_pids,
        num_test_pids=num_test_pids,
        num_cameras=num_cameras,
        images_per_camera=images_per_camera,
        num_distractors=num_distractors,
        num_junk=num_junk,
        seed=seed,
    )
    _check_arguments(arguments)
    manifest = dict(renderer_version=RENDERER_VERSION, arguments=arguments)
    folder = DrawnFolder(Path(root), 'synthetic people', manifest, (*MARKET_FOLDERS, 'data'))
    folder.make(lambda unfinished: _write_set(unfinished, arguments))


def _check_arguments(arguments: dict) -> None:
    least = dict(num_train_pids=1, num_test_pids=2, num_cameras=2, images_per_camera=2)
    for name, value in arguments.items():
        if value < least.get(name, 0):
            raise DataError(f'{name} must be at least {least.get(name, 0)}, got {value}')
    if arguments['num_cameras'] > 9:
        raise DataError(f'num_cameras must be at most 9, got {arguments["num_cameras"]}')
    people = arguments['num_train_pids'] + arguments['num_test_pids']
    if people > 9999:
        raise DataError(f'num_train_pids + num_test_pids must be at most 9999 (file names), got {people}')


def _write_set(root: Path, arguments: dict) -> None:
    """Write all images and the annotation into a folder that other processes do not see yet."""
    for name in (*MARKET_FOLDERS, 'data', 'annotation'):
        (root / name).mkdir(parents=True)
    logger = MMLogger.get_current_instance()
    labels: dict[str, list] = {'train': [], 'val': [], 'test': []}
    number = annotated = 0
    for number, (folder, pid, camid, part, picture, attributes) in enumerate(_draw_set(**arguments), 1):
        path = root / folder / f'{pid:04d}_c{camid + 1}s1_{number:06d}_00.jpg'
        write_jpeg(path, picture)
        if part is not None:
            annotated += 1
            name = f'{annotated:06d}.jpg'
            _link(path, root / 'data' / name)
            labels[part].append((name, attributes))
        if number % 1000 == 0:
            logger.info('synthetic people: %d images drawn', number)
    _write_annotation(root / 'annotation' / 'annotation.mat', labels)
    logger.info('synthetic people: %d images in all', number)


def _draw_set(
    num_train_pids: int,
    num_test_pids: int,
    num_cameras: int,
    images_per_camera: int,
    num_distractors: int,
    num_junk: int,
    seed: int,
) -> Iterator[tuple]:
    """Yield (folder, pid, camid, attribute split or None, picture, attributes) of each image."""
    cameras = [sample_camera(seed, camid) for camid in range(num_cameras)]
    for pid in range(1, num_train_pids + num_test_pids + 1):
        identity = sample_identity(seed, pid)
        part = 'train'
        if pid > num_train_pids:
            part = 'val' if pid <= num_train_pids + num_test_pids // 2 else 'test'
        for camera in cameras:
            for index in range(images_per_camera):
                folder = 'bounding_box_train'
                if part != 'train':
                    folder = 'bounding_box_test' if index else 'query'
                picture, facts = render_person(identity, camera, seed, index)
                yield folder, pid, camera.camid, part, picture, attribute_vector(identity, facts)
    for index in range(num_distractors + num_junk):
        pid, camera = DISTRACTOR_PID, cameras[index % num_cameras]
        if index < num_distractors:
            picture, _ = render_person(sample_identity(seed, STRANGER_PID + index), camera, seed, 0)
        else:
            pid, picture = JUNK_PID, _draw_junk(index, camera, seed)
        yield 'bounding_box_test', pid, camera.camid, None, picture, None


def _draw_junk(index: int, camera: Camera, seed: int) -> np.ndarray:
    """Draw a box that misses most of its person: a quarter of a picture drawn twice as large."""
    large, _ = render_person(sample_identity(seed, STRANGER_PID + index), camera, seed, 0, size=(256, 128))
    top, left = 128 * (index % 2), 64 * (index // 2 % 2)
    return large[top : top + 128, left : left + 64]


def _link(source: Path, target: Path) -> None:
    """Link the file under a second name; copy it where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _write_annotation(path: Path, labels: dict[str, list]) -> None:
    """Write PA-100K's annotation.mat: names as cell columns, labels as (N, 26) uint8."""
    # Only now: most runs find the folder made.
    from scipy.io import savemat

    content = {'attributes': _cells(ATTRIBUTES)}
    for part, rows in labels.items():
        content[f'{part}_images_name'] = _cells([name for name, _ in rows])
        content[f'{part}_label'] = np.array([vector for _, vector in rows], np.uint8).reshape(-1, len(ATTRIBUTES))
    savemat(path, content, do_compression=True)
    with path.open('r+b') as file:  # the header is free text: a date there would make equal files differ
        file.write(b'MATLAB 5.0 MAT-file, mmosnet synthetic people'.ljust(116))


def _cells(strings) -> np.ndarray:
    """Return an (N, 1) cell array as MATLAB writes it."""
    column = np.empty((len(strings), 1), object)
    column[:, 0] = strings
    return column
