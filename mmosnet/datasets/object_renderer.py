"""Draw small pictures of objects as surveillance cameras see them, one of twelve categories each.

scene of a camera -> something else in the background -> shadow and object -> what stands in front -> uneven light ->
the camera's sensor -> reduced. Cameras, scenes, light and sensors are those of the drawn pedestrians. Every picture has
a random generator of its own, keyed by world, category and number, so any picture can be drawn alone, in any order,
on any machine, and comes out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from mmosnet.datasets import object_belongings, object_street
from mmosnet.datasets.object_part import Part
from mmosnet.datasets.pedestrian_camera import HORIZON, Camera, cast_light, draw_scene, expose, sample_camera
from mmosnet.datasets.pedestrian_identity import random_stream

OBJECT_RENDERER_VERSION = 1  # raise it whenever any picture changes

#: What draws each category. Labels are the places of the names, which are sorted.
SHAPES: dict[str, Callable[[np.random.RandomState], list[Part]]] = {
    'backpack': object_belongings.backpack,
    'bench': object_street.bench,
    'bicycle': object_street.bicycle,
    'bottle': object_belongings.bottle,
    'car': object_street.car,
    'chair': object_belongings.chair,
    'dog': object_belongings.dog,
    'lamp': object_street.lamp,
    'suitcase': object_belongings.suitcase,
    'traffic_light': object_street.traffic_light,
    'tree': object_street.tree,
    'umbrella': object_belongings.umbrella,
}
CATEGORIES = tuple(SHAPES)

# How hard single pictures are.
NUM_CAMERAS = 8
CLUTTER_PROB = 0.3  # a smaller object of any category somewhere else
OCCLUSION_PROB = 0.2  # something stands in front of the object
OBJECT_SIZES = (0.55, 0.95)  # larger side of the object over the picture's
MAX_OFFSET = 0.12  # of the object from the middle of the picture
MAX_ROLL = {'umbrella': 0.7, 'bottle': 0.9}  # radians that an object leans; others 0.2

OBJECT_STREAM = 4  # beside the streams of pedestrian_identity
SIDE = 128  # pixels of the drawing, which is then reduced
MARGIN = 64  # OpenCV 4 and 5 clip lines differently: objects are drawn on a larger sheet
NEUTRAL = 128  # a shade that changes nothing


def render_object(category: str, seed: int, index: int, size: int = 64) -> np.ndarray:
    """Draw one picture of a category.

    Args:
        category: One of :data:`CATEGORIES`.
        seed: World; with ``category`` and ``index`` it fixes the picture.
        index: Number of the category's picture.
        size: Side of the square picture in pixels; drawn at 128 and reduced.

    Returns:
        ``(size, size, 3)`` uint8, BGR.

    Raises:
        ValueError: An unknown category, or ``size`` outside 16 to 128.
    """
    if category not in SHAPES:
        raise ValueError(f'category={category!r}: choose from {", ".join(CATEGORIES)}')
    if not 16 <= size <= SIDE:
        raise ValueError(f'size={size}: choose 16 to {SIDE} pixels')
    rng = random_stream(seed, OBJECT_STREAM, CATEGORIES.index(category), index)
    camera = sample_camera(seed, int(rng.randint(NUM_CAMERAS)))
    picture = _background(camera, rng)
    if rng.random_sample() < CLUTTER_PROB:
        other = CATEGORIES[rng.randint(len(CATEGORIES))]
        away = rng.uniform(0.36, 0.5, 2) * (-1 if rng.randint(2) else 1, 1 if rng.randint(3) else -1)
        _paint_object(picture, other, SIDE * rng.uniform(0.22, 0.36), SIDE * away, camera, rng)
    offset = SIDE * MAX_OFFSET * rng.uniform(-1, 1, 2)
    _paint_object(picture, category, SIDE * rng.uniform(*OBJECT_SIZES), offset, camera, rng)
    if rng.random_sample() < OCCLUSION_PROB:
        _occlude(picture, rng)
    picture = expose(cast_light(picture, rng), camera, rng)
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)


def _background(camera: Camera, rng: np.random.RandomState) -> np.ndarray:
    scene = draw_scene(camera)
    top = int(rng.randint(HORIZON - 110, HORIZON + 40))
    left = int(rng.randint(0, scene.shape[1] - SIDE))
    return scene[top : top + SIDE, left : left + SIDE].copy()


def _paint_object(
    picture: np.ndarray,
    category: str,
    length: float,
    offset: Sequence[float] | np.ndarray,
    camera: Camera,
    rng: np.random.RandomState,
) -> None:
    """Paint an object into a picture in place, ``length`` pixels long and ``offset`` pixels off the middle."""
    parts = SHAPES[category](rng)
    matrix = _pose(MAX_ROLL.get(category, 0.2), rng) * length
    labels = _label_map(parts, matrix, SIDE / 2 + MARGIN + np.asarray(offset))
    labels = labels[MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE]
    table = np.zeros((len(parts) + 1, 3), np.uint8)
    table[1:] = [part.colour for part in parts]
    rows, columns = np.nonzero(labels)
    if rows.size:
        _drop_shadow(picture, (int(columns.min()), int(columns.max())), int(rows.max()), camera.light_side)
    # Brighter towards the light, and grainy.
    shade = NEUTRAL + camera.light_side * (np.arange(SIDE) - SIDE // 2) // 4
    shade = shade[None] + rng.randint(-10, 11, (SIDE // 4, SIDE // 4)).repeat(4, 0).repeat(4, 1)
    shade = cv2.merge([shade.astype(np.uint8)] * 3)
    cv2.copyTo(cv2.multiply(table[labels], shade, scale=1 / NEUTRAL), labels, picture)


def _pose(max_roll: float, rng: np.random.RandomState) -> np.ndarray:
    """Return a ``(2, 2)`` matrix that mirrors, foreshortens, shears and rolls an object; y points down."""
    wide = np.cos(rng.uniform(-0.9, 0.9)) * (1 if rng.randint(2) else -1)
    high, shear, roll = np.cos(rng.uniform(0, 0.5)), rng.uniform(-0.15, 0.15), rng.uniform(-max_roll, max_roll)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return turn @ np.array([[wide, shear], [0, -high]])


def _label_map(parts: Sequence[Part], matrix: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return the number of the part that covers each pixel of the larger sheet, counted from 1; 0 is none."""
    corners = np.concatenate([part.points for part in parts])
    low, high = corners.min(0), corners.max(0)
    extent = (high - low).max()
    scale = np.linalg.norm(matrix, axis=0).max() / extent
    labels = np.zeros((SIDE + 2 * MARGIN, SIDE + 2 * MARGIN), np.uint8)
    for number, part in enumerate(parts, 1):
        points = (part.points - (low + high) / 2) / extent @ matrix.T + centre
        points = np.rint(points).astype(np.int32)
        if part.thickness:
            cv2.polylines(labels, [points], False, number, max(1, int(np.rint(part.thickness * scale))))
        else:
            _fill(labels, points, number)
    return labels


def _fill(labels: np.ndarray, points: np.ndarray, number: int) -> None:
    """Fill a polygon and its outline, in place. Not ``fillPoly``: it rounds differently in OpenCV 4 and 5."""
    cv2.polylines(labels, [points], True, number, 1)
    (left, top), (right, bottom) = points.min(0), points.max(0)
    x, y = (points - (left, top)).T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    rows = np.arange(bottom - top)[:, None]
    crossed = (np.minimum(y, next_y) <= rows) & (rows < np.maximum(y, next_y))
    row, edge = np.nonzero(crossed)
    # The first pixel at or behind the crossing, in integers; inside is what lies behind an odd number of them.
    rise, run = (next_y - y)[edge], (next_x - x)[edge]
    column = x[edge] - -((row - y[edge]) * run * np.sign(rise)) // np.abs(rise)
    shape = (bottom - top, right - left + 1)
    crossings = np.bincount(row * shape[1] + column, minlength=shape[0] * shape[1]).reshape(shape)
    labels[top:bottom, left : right + 1][np.cumsum(crossings, axis=1) % 2 == 1] = number


def _drop_shadow(picture: np.ndarray, across: tuple[int, int], ground: int, side: int) -> None:
    """Darken the ground under an object that ends in row ``ground``, away from the light."""
    sheet = np.full((SIDE + 2 * MARGIN, SIDE + 2 * MARGIN), NEUTRAL, np.uint8)
    middle = ((across[0] + across[1]) // 2 - side * 5 + MARGIN, ground - 1 + MARGIN)
    cv2.ellipse(sheet, middle, (max(3, (across[1] - across[0]) * 9 // 16), 5), 0, 0, 360, NEUTRAL - 48, -1)
    sheet = cv2.GaussianBlur(sheet[MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE], (5, 5), 0)
    picture[:] = cv2.multiply(picture, cv2.merge([sheet] * 3), scale=1 / NEUTRAL)


def _occlude(picture: np.ndarray, rng: np.random.RandomState) -> None:
    """Draw a post, a low wall or a corner between object and camera."""
    colour = tuple(int(c) for c in rng.randint(40, 190) + rng.randint(-20, 21, 3))
    dark = tuple(max(0, c * 5 // 8) for c in colour)
    kind = rng.randint(3)
    if kind == 0:
        x, wide = int(rng.randint(24, 96)), int(rng.randint(8, 20))
        box, edge = (x, 0, x + wide, SIDE), (x + wide * 2 // 3, 0, x + wide, SIDE)
    elif kind == 1:
        y = SIDE - int(rng.randint(20, 56))
        box, edge = (0, y, SIDE, SIDE), (0, y, SIDE, y + 5)
    else:
        wide = int(rng.randint(24, 56))
        left = 0 if rng.randint(2) else SIDE - wide
        box, edge = (left, 0, left + wide, SIDE), (left, 0, left + 4, SIDE)
    cv2.rectangle(picture, box[:2], box[2:], colour, -1)
    cv2.rectangle(picture, edge[:2], edge[2:], dark, -1)
