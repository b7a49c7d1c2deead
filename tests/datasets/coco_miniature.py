"""Frames with two people each, annotated in COCO format."""

import json
from pathlib import Path

import cv2
import numpy as np

FRAME = (60, 90)
# Left, top, width, height of the left and of the right person.
BOXES = ([10, 10, 20, 40], [50, 12, 20, 40])


def person_colors(person: int) -> np.ndarray:
    """Colors of the upper and the lower half of a person, BGR; never the gray of the frame."""
    return np.random.RandomState(person).randint(130, 256, (2, 3))


def write_frame(path: Path, people: tuple[int, int]) -> None:
    """Two people on a gray ground, losslessly."""
    image = np.full((*FRAME, 3), 60, np.uint8)
    for (left, top, width, height), person in zip(BOXES, people, strict=True):
        for half, color in enumerate(person_colors(person)):
            first = top + half * height // 2
            image[first : first + height // 2, left : left + width] = color
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode('.png', image)[1].tobytes())


def write_coco(root: Path, num_train: int = 6, num_test: int = 4, cameras: int = 2, frames: int = 2) -> Path:
    """``train.json``, ``query.json`` and ``gallery.json`` with their frames in ``frames``.

    People come in pairs: 0 and 1 stand in the same frames, 2 and 3, and so on. A test pair's first frame by each camera
    is in the query, the others are in the gallery.
    """
    content = {split: dict(images=[], annotations=[], categories=[]) for split in ('train', 'query', 'gallery')}
    for pair in range(0, num_train + num_test, 2):
        for camera in range(cameras):
            for frame in range(frames):
                split = 'train' if pair < num_train else 'gallery' if frame else 'query'
                add_frame(root, content[split], (pair, pair + 1), camera, frame)
    for split, entries in content.items():
        (root / f'{split}.json').write_text(json.dumps(entries))
    return root


def add_frame(root: Path, entries: dict, people: tuple[int, int], camera: int, frame: int) -> None:
    """Write a frame and add it and its two annotations."""
    name = f'{people[0]}_{camera}_{frame}.png'
    write_frame(root / 'frames' / name, people)
    image_id = len(entries['images']) + 1
    size = dict(height=FRAME[0], width=FRAME[1])
    entries['images'].append(dict(id=image_id, file_name=name, camera_id=camera, **size))
    for box, person in zip(BOXES, people, strict=True):
        left, top, width, height = box
        right, bottom = left + width, top + height
        entries['annotations'].append(
            dict(
                id=len(entries['annotations']) + 1,
                image_id=image_id,
                category_id=1,
                bbox=box,
                area=width * height,
                iscrowd=0,
                segmentation=[[left, top, right, top, right, bottom, left, bottom]],
                person_id=person,
            )
        )
