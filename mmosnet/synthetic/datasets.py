"""Data sets of drawn people and objects, whose folders are written on first use.

A folder is complete or absent, also when several processes write it. That of people serves two tasks, because both data
sets read it with their own official layout:

    bounding_box_train/ query/ bounding_box_test/   Market-1501: 0001_c1s1_000001_00.jpg
    data/ annotation/annotation.mat                 PA-100K: the same pictures under running numbers
    synthetic.json                                  arguments and version of the renderer

Objects are in ImageNet's layout:

    train/backpack/00000.jpg ... val/umbrella/00039.jpg
    synthetic.json
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from mmengine.logging import MMLogger

from mmosnet.datasets.attributes import PA100K, PA100K_ANNOTATIONS, PA100K_IMAGES, read_pa100k
from mmosnet.datasets.base import DISTRACTOR_PID, JUNK_PID
from mmosnet.datasets.categories import ImageNet
from mmosnet.datasets.market1501 import Market1501
from mmosnet.errors import DataError
from mmosnet.io.files import draft_folder, read_json
from mmosnet.registry import DATASETS
from mmosnet.synthetic.camera import Camera, sample_camera
from mmosnet.synthetic.identity import ATTRIBUTES, attribute_vector, sample_identity
from mmosnet.synthetic.objects import CATEGORIES, OBJECT_RENDERER_VERSION, render_object
from mmosnet.synthetic.people import RENDERER_VERSION, render_person

T = TypeVar('T')

JPEG_QUALITY = 92
MANIFEST = 'synthetic.json'
LOG_INTERVAL = 1000  # pictures
MARKET_FOLDERS = ('bounding_box_train', 'query', 'bounding_box_test')
# Distractors and the people of junk images have pids that no split reaches.
STRANGER_PID = 1 << 16
# Validation pictures are numbered from here: their number and content do not depend on that of training pictures.
FIRST_VAL_INDEX = 1 << 16
SPLITS = ('train', 'val')


@dataclass(frozen=True)
class DrawnFolder:
    """A folder of drawn images, with the settings that fix its content.

    Args:
        root: The folder.
        content: Description of the content for messages: ``'synthetic people'``.
        manifest: Settings of the pictures; equal manifests mean equal pictures.
        image_folders: Folders of the images below ``root``.
        pattern: Pattern of the images below each of these.
    """

    root: Path
    content: str
    manifest: dict
    image_folders: Sequence[str]
    pattern: str = '*.jpg'

    def make(self, write: Callable[[Path], None]) -> None:
        """Create the folder unless it is complete; other processes see it only once it is complete.

        Args:
            write: Called with a folder that does not exist yet; creates it with everything but the manifest.

        Raises:
            DataError: The folder holds a set that is incomplete or was made with something else.
            FileExistsError: The folder exists, is not empty and has no manifest.
        """
        if self.is_complete():
            return
        with draft_folder(self.root) as scratch:
            # A folder inside, because it is moved away.
            unfinished = scratch / self.root.name
            write(unfinished)
            manifest = dict(self.manifest, num_images=self._count_images(unfinished))
            (unfinished / MANIFEST).write_text(json.dumps(manifest, indent=2) + '\n', encoding='utf-8')
            try:
                os.rename(unfinished, self.root)  # replaces an empty folder, never a full one
            except OSError:
                # Another process may have been faster; its pictures are the same.
                if not self.is_complete():
                    raise

    def is_complete(self) -> bool:
        """Return whether the folder holds this data set; False if it is missing or empty.

        Raises:
            DataError, FileExistsError: It holds something else, as in :meth:`make`.
        """
        root = self.root
        if not root.exists() or (root.is_dir() and not any(root.iterdir())):
            return False
        if not (root / MANIFEST).is_file():
            raise FileExistsError(
                f'{root} exists and is not a folder of {self.content} (it has no {MANIFEST}): choose another folder'
            )
        remedy = f'delete the folder {root} or choose another'
        manifest = read_json(root / MANIFEST, remedy)
        if not isinstance(manifest, dict):
            raise DataError(f'{root / MANIFEST} is damaged (a {type(manifest).__name__}, not an object): {remedy}')
        counts = manifest.pop('num_images', None)
        if manifest != self.manifest:
            raise DataError(
                f'{root} holds {self.content} made with {manifest}, but {self.manifest} was asked for: {remedy}'
            )
        images = self._count_images(root)
        if counts != images:
            raise DataError(f'{root} should hold {counts} images but holds {images}: {remedy}')
        return True

    def _count_images(self, root: Path) -> dict[str, int]:
        return {name: sum(1 for _ in (root / name).glob(self.pattern)) for name in self.image_folders}


def write_jpeg(path: Path, picture: np.ndarray) -> None:
    """Write an ``(H, W, 3)`` BGR picture.

    Raises:
        OSError: OpenCV cannot encode it.
    """
    # Not imwrite, which on Windows cannot open paths with characters outside the code page.
    done, data = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise OSError(f'OpenCV could not encode {path.name}')
    path.write_bytes(data.tobytes())


def log_progress(items: Iterable[T], content: str, unit: str = 'images') -> Iterator[T]:
    """Pass on images, or what ``unit`` says, and log their number, at intervals and at the end."""
    logger, number = MMLogger.get_current_instance(), 0
    for number, item in enumerate(items, 1):
        yield item
        if number % LOG_INTERVAL == 0:
            logger.info('%s: %d %s drawn', content, number, unit)
    logger.info('%s: %d %s in all', content, number, unit)


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
    """Draw people and write them below ``root`` in the layouts of Market-1501 and PA-100K.

    Training people have the pids 1 to ``num_train_pids``, test people the next ones. The query split has the first
    picture of each test person under each camera, the gallery the others, distractors (pid 0, each another person) and
    junk (pid -1, boxes that miss their person). In the attribute data, val and test have half of the test people each;
    distractors and junk are left out.

    The folder appears complete or not at all, also when several processes write it together. A complete folder made
    with the same arguments is left as it is.

    Args:
        root: Folder to create, with its parents.
        num_train_pids: Number of training people.
        num_test_pids: Number of test people, at least 2.
        num_cameras: Number of cameras, 2 to 9 (one digit in Market-1501's file names).
        images_per_camera: Pictures per person and camera, at least 2.
        num_distractors: Number of gallery pictures of people who are in no query.
        num_junk: Number of gallery pictures that loaders drop.
        seed: World: another seed draws other people and other cameras.

    Raises:
        DataError: An argument is out of range, or ``root`` holds a set that is incomplete or was made with other
            arguments or by another version of the renderer.
        FileExistsError: ``root`` exists, is not empty and is not a synthetic set.
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
    folder.make(lambda unfinished: _write_people(unfinished, arguments))


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


def _write_people(root: Path, arguments: dict) -> None:
    """Write all images of people and their annotation into a folder that other processes do not see yet."""
    for name in (*MARKET_FOLDERS, 'data', 'annotation'):
        (root / name).mkdir(parents=True)
    labels: dict[str, list] = {'train': [], 'val': [], 'test': []}
    annotated = 0
    images = enumerate(log_progress(_draw_people(**arguments), 'synthetic people'), 1)
    for number, (folder, pid, camid, split, picture, attributes) in images:
        path = root / folder / f'{pid:04d}_c{camid + 1}s1_{number:06d}_00.jpg'
        write_jpeg(path, picture)
        if split is not None:
            annotated += 1
            name = f'{annotated:06d}.jpg'
            _link(path, root / 'data' / name)
            labels[split].append((name, attributes))
    _write_annotation(root / 'annotation' / 'annotation.mat', labels)


def _draw_people(
    num_train_pids: int,
    num_test_pids: int,
    num_cameras: int,
    images_per_camera: int,
    num_distractors: int,
    num_junk: int,
    seed: int,
) -> Iterator[tuple]:
    """Yield folder, pid, camid, attribute split or None, picture, and attributes or None of each image."""
    cameras = [sample_camera(seed, camid) for camid in range(num_cameras)]
    for pid in range(1, num_train_pids + num_test_pids + 1):
        identity = sample_identity(seed, pid)
        split = 'train'
        if pid > num_train_pids:
            split = 'val' if pid <= num_train_pids + num_test_pids // 2 else 'test'
        for camera in cameras:
            for index in range(images_per_camera):
                folder = 'bounding_box_train'
                if split != 'train':
                    folder = 'bounding_box_test' if index else 'query'
                picture, view = render_person(identity, camera, seed, index)
                yield folder, pid, camera.camid, split, picture, attribute_vector(identity, view)
    for index in range(num_distractors + num_junk):
        pid, camera = DISTRACTOR_PID, cameras[index % num_cameras]
        if index < num_distractors:
            picture, _ = render_person(sample_identity(seed, STRANGER_PID + index), camera, seed, 0)
        else:
            pid, picture = JUNK_PID, _draw_junk(index, camera, seed)
        yield 'bounding_box_test', pid, camera.camid, None, picture, None


def _draw_junk(index: int, camera: Camera, seed: int) -> np.ndarray:
    """Draw a box that misses most of its person: a quarter of a picture of double size."""
    large, _ = render_person(sample_identity(seed, STRANGER_PID + index), camera, seed, 0, size=(256, 128))
    top, left = 128 * (index % 2), 64 * (index // 2 % 2)
    return large[top : top + 128, left : left + 64]


def _link(source: Path, target: Path) -> None:
    """Link a file under a second name; copy it where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _write_annotation(path: Path, labels: dict[str, list]) -> None:
    """Write PA-100K's annotation.mat: names as columns of cells, labels as ``(N, 26)`` uint8."""
    # Imported on use: scipy is slow to import, and most runs find a complete folder.
    from scipy.io import savemat

    content = {'attributes': _cells(ATTRIBUTES)}
    for split, rows in labels.items():
        content[f'{split}_images_name'] = _cells([name for name, _ in rows])
        content[f'{split}_label'] = np.array([vector for _, vector in rows], np.uint8).reshape(-1, len(ATTRIBUTES))
    savemat(path, content, do_compression=True)
    # The header is free text; scipy writes the date there, which would make equal files differ.
    with path.open('r+b') as file:
        file.write(b'MATLAB 5.0 MAT-file, mmosnet synthetic people'.ljust(116))


def _cells(strings) -> np.ndarray:
    """Return texts as an ``(N, 1)`` cell array of MATLAB."""
    column = np.empty((len(strings), 1), object)
    column[:, 0] = strings
    return column


def write_synthetic_objects(root: str | Path, num_train: int = 150, num_val: int = 40, seed: int = 0) -> None:
    """Draw objects of twelve categories and write them under ``root`` in ImageNet's folder layout.

    The folder appears complete or not at all, also when several processes write it together. A complete folder made
    with the same arguments is left as it is.

    Args:
        root: Folder to create, with its parents.
        num_train: Training pictures per category.
        num_val: Validation pictures per category.
        seed: World: another seed draws other objects and other cameras.

    Raises:
        DataError: An argument is out of range, or ``root`` holds a set that is incomplete or was made with other
            arguments or by another version of the renderer.
        FileExistsError: ``root`` exists, is not empty and is not a synthetic set.
    """
    for name, value in (('num_train', num_train), ('num_val', num_val)):
        if not 1 <= value <= FIRST_VAL_INDEX:
            raise DataError(f'{name}={value}: choose 1 to {FIRST_VAL_INDEX}')
    arguments = dict(num_train=num_train, num_val=num_val, seed=seed)
    manifest = dict(object_renderer_version=OBJECT_RENDERER_VERSION, arguments=arguments)
    folders = [f'{split}/{category}' for split in SPLITS for category in CATEGORIES]
    folder = DrawnFolder(Path(root), 'synthetic objects', manifest, folders)
    folder.make(lambda unfinished: _write_objects(unfinished, **arguments))


def _write_objects(root: Path, num_train: int, num_val: int, seed: int) -> None:
    """Write all images of objects into a folder that other processes do not see yet."""
    for split, category in product(SPLITS, CATEGORIES):
        (root / split / category).mkdir(parents=True)
    counts = dict(train=num_train, val=num_val)
    images = [(split, category, index) for split in SPLITS for category in CATEGORIES for index in range(counts[split])]
    for split, category, index in log_progress(images, 'synthetic objects'):
        picture = render_object(category, seed, index + (FIRST_VAL_INDEX if split == 'val' else 0))
        write_jpeg(root / split / category / f'{index:05d}.jpg', picture)


@DATASETS.register_module()
class SyntheticAttributes(PA100K):
    """Drawn pedestrians with PA-100K's 26 attributes; ``data_root`` is written if it does not exist.

    The folder is that of :class:`~mmosnet.synthetic.SyntheticPeople`, with the same pictures.

    Args:
        data_root: Folder of the data set.
        generation: Arguments of :func:`write_synthetic_people`.
        **kwargs: Same as in :class:`~mmosnet.datasets.AttributeDataset`.
    """

    def __init__(self, data_root: str, generation: dict | None = None, **kwargs) -> None:
        write_synthetic_people(data_root, **(generation or {}))
        super().__init__(data_root=data_root, **kwargs)

    def published_counts(self) -> dict[str, int]:
        """Return no counts: users choose the size."""
        return {}


@DATASETS.register_module()
class SyntheticObjects(ImageNet):
    """Drawn objects, 64x64; ``data_root`` is written if it does not exist.

    mmpretrain's ``ImageNet`` reads the same layout and its ``CustomDataset`` any folders, but neither makes any.

    Args:
        data_root: Folder of the data set.
        split: ``'train'`` or ``'val'``.
        generation: Arguments of :func:`write_synthetic_objects`.
        **kwargs: Arguments of mmpretrain's ``ImageNet``: ``pipeline``, ``test_mode`` ...

    Raises:
        DataError: Another split, or same as in :func:`write_synthetic_objects`.
    """

    METAINFO = dict(classes=CATEGORIES)

    def __init__(self, data_root: str, split: str = 'train', generation: dict | None = None, **kwargs) -> None:
        if split not in SPLITS:
            raise DataError(f'split={split!r}: choose from {", ".join(SPLITS)}')
        write_synthetic_objects(data_root, **(generation or {}))
        super().__init__(data_root=data_root, split=split, **kwargs)


@DATASETS.register_module()
class SyntheticPeople(Market1501):
    """Drawn pedestrians in Market-1501 layout; ``data_root`` is written if it does not exist.

    Args:
        data_root: Folder of the data set.
        generation: Arguments of :func:`write_synthetic_people`.
        attributes: Give the records of people ``gt_score``, the labels that
            :class:`~mmosnet.synthetic.SyntheticAttributes` has for the same pictures. Distractors have none.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`.
    """

    def __init__(self, data_root: str, generation: dict | None = None, attributes: bool = False, **kwargs) -> None:
        write_synthetic_people(data_root, **(generation or {}))
        self.with_attributes = attributes
        super().__init__(data_root=data_root, **kwargs)

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Return no counts: users choose the size."""
        return {}

    def load_data_list(self) -> list[dict]:
        """Load the attributes if they are asked for, then load as the base class does."""
        if self.with_attributes:
            root = Path(self.data_root)
            annotation = read_pa100k(root / PA100K_ANNOTATIONS[0], root / PA100K_IMAGES)
            self.score_names = annotation.attributes
            columns = annotation.columns()
            self._scores = {
                Path(record['img_path']).stem: record['gt_score']
                for split in annotation.splits.values()
                for record in split.records(self.score_names, columns)
            }
        return super().load_data_list()

    def load_split(self, split: str) -> list[dict]:
        """List one split; see the base class.

        A picture has the same number in both layouts: ``0001_c1s1_000017_00.jpg`` is ``data/000017.jpg``. Distractors
        and junk, which have no attributes, are numbered after all others.
        """
        records = super().load_split(split)
        if self.with_attributes:
            for record in records:
                number = Path(record['img_path']).name.split('_')[2]
                if number in self._scores:
                    record['gt_score'] = self._scores[number]
        return records
