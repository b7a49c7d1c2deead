"""Draw small pictures of objects as surveillance cameras see them, one of twelve categories each.

scene of a camera -> something else in the background -> shadow and object -> what stands in front -> uneven light ->
the camera's sensor -> reduced. Cameras, scenes, light and sensors are those of the synthetic people. Every picture has
a random generator of its own, keyed by world, category and number, so any picture can be drawn alone, in any order,
on any machine, and comes out the same.

An object is a list of parts, colored strokes and areas, that are painted in their order. Each function of a category
draws another object of it with other random numbers. Coordinates are the object's own: x to the right, y upwards, any
unit; the renderer centers and scales them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from mmosnet.synthetic.camera import (
    MARGIN,
    NEUTRAL,
    OBSTACLES,
    Camera,
    ObstacleSizes,
    apply_shade,
    cast_light,
    crop_scene,
    draw_obstacle,
    drop_shadow,
    expose,
    sample_camera,
    sample_color,
    tone,
)
from mmosnet.synthetic.identity import BELONGING_PALETTE, UPPER_PALETTE, Color, pick, random_stream, shift_color

OBJECT_RENDERER_VERSION = 1  # raise it whenever any picture changes

# How hard single pictures are.
NUM_CAMERAS = 8
CLUTTER_PROB = 0.3  # a smaller object of any category somewhere else
OCCLUSION_PROB = 0.2  # something stands in front of the object
OBJECT_SIZES = (0.55, 0.95)  # larger side of the object over the picture's
MAX_OFFSET = 0.12  # of the object from the middle of the picture
MAX_ROLL = {'umbrella': 0.7, 'bottle': 0.9}  # radians that an object leans; others 0.2

# Beside the streams of mmosnet.synthetic.identity; that of scenes has the same number, and draws other things.
OBJECT_STREAM = 4
SIDE = 128  # pixels of the drawing, which is then reduced
# Possible upper edges of a background, relative to the horizon.
SCENE_ROWS = (-110, 40)
OBSTACLE_SIZES = ObstacleSizes((24, 96), (8, 20), wall_height=(20, 56), wall_edge=5, corner_width=(24, 56))

# BGR. Most colors are any category's, so that they give little away.
COLORS = (*UPPER_PALETTE, *BELONGING_PALETTE)
DARK, GLASS, STEEL, CREAM = (34, 32, 34), (150, 140, 118), (150, 148, 146), (190, 220, 236)
WOODS = ((60, 92, 130), (90, 140, 178), (44, 60, 84), (96, 104, 108))
LEAVES = ((48, 110, 62), (40, 84, 70), (70, 140, 92), (44, 120, 176), (60, 96, 110))
FURS = ((52, 70, 96), (36, 36, 40), (120, 160, 196), (200, 206, 210), (84, 112, 150))
POSTS = ((70, 72, 74), (120, 122, 122), (58, 76, 62), (40, 40, 44))
GLASSES = ((60, 110, 60), (40, 66, 104), (150, 160, 140), (150, 84, 60), (60, 60, 160))
SIGNALS = ((40, 40, 220), (40, 190, 235), (90, 200, 60))


@dataclass(frozen=True)
class Part:
    """One stroke or area.

    Attributes:
        points: ``(K, 2)``, x and y.
        color: BGR.
        thickness: Thickness of a stroke through the points in the object's unit; 0 fills the outline.
    """

    points: np.ndarray
    color: Color
    thickness: float = 0.0


def area(color: Color, *points: tuple[float, float]) -> Part:
    return Part(np.array(points, float), color)


def stroke(color: Color, thickness: float, *points: tuple[float, float]) -> Part:
    return Part(np.array(points, float), color, thickness)


def box(color: Color, left: float, bottom: float, right: float, top: float, cut: float = 0.0) -> Part:
    """Return a rectangle with its corners cut off."""
    if not cut:
        return area(color, (left, bottom), (right, bottom), (right, top), (left, top))
    return area(
        color,
        *((left + cut, bottom), (right - cut, bottom), (right, bottom + cut), (right, top - cut)),
        *((right - cut, top), (left + cut, top), (left, top - cut), (left, bottom + cut)),
    )


def arc(x: float, y: float, rx: float, ry: float, start: float = 0.0, end: float = 360.0) -> list[tuple]:
    angles = np.radians(np.linspace(start, end, 21))
    return list(zip(x + rx * np.cos(angles), y + ry * np.sin(angles), strict=True))


def disc(color: Color, x: float, y: float, rx: float, ry: float | None = None) -> Part:
    return area(color, *arc(x, y, rx, rx if ry is None else ry))


def chance(rng: np.random.RandomState, probability: float) -> bool:
    return bool(rng.random_sample() < probability)


def dye(rng: np.random.RandomState, options) -> Color:
    """Return one of the colors, slightly shifted."""
    return shift_color(rng, pick(rng, options), 16)


def backpack(rng: np.random.RandomState) -> list[Part]:
    main, second = dye(rng, COLORS), dye(rng, COLORS)
    wide, shoulder = rng.uniform(0.28, 0.4), rng.uniform(0.12, 0.24)
    crown = arc(0, 1 - shoulder, wide * 0.92, shoulder, 180, 0)
    parts = [stroke(tone(main, 60), 0.05, *arc(0, 1, 0.09, 0.09, 180, 0))]
    if chance(rng, 0.35):  # straps at the sides
        parts += [stroke(second, 0.07, (s * wide, 0.78), (s * (wide + 0.1), 0.45), (s * wide, 0.12)) for s in (-1, 1)]
    parts += [area(main, (-wide, 0.06), (-wide * 0.9, 0), (wide * 0.9, 0), (wide, 0.06), *crown[::-1])]
    if chance(rng, 0.3):  # seen from behind: two straps on the back
        parts += [stroke(tone(second, 70), 0.1, (s * 0.1, 0.9), (s * 0.2, 0.55), (s * 0.17, 0.1)) for s in (-1, 1)]
        return parts
    pocket = rng.uniform(0.3, 0.5)
    parts += [box(pick(rng, (second, tone(main, 72))), -wide * 0.72, 0.06, wide * 0.72, pocket, 0.05)]
    parts += [stroke(DARK, 0.025, (-wide * 0.6, pocket - 0.08), (wide * 0.6, pocket - 0.08))]
    zip_line = arc(0, 1 - shoulder, wide * 0.7, shoulder * 0.7, 180, 0)
    return [*parts, stroke(DARK, 0.025, (-wide * 0.7, 0.6), *zip_line, (wide * 0.7, 0.6))]


def bottle(rng: np.random.RandomState) -> list[Part]:
    glass, half = dye(rng, GLASSES), rng.uniform(0.13, 0.2)
    neck, shoulder = rng.uniform(0.05, 0.08), rng.uniform(0.5, 0.68)
    top = rng.uniform(shoulder + 0.1, 0.84)
    outline = [(half * 0.9, 0), (half, 0.05), (half, shoulder), (neck, top), (neck, 0.95)]
    parts = [area(glass, *outline, *[(-x, y) for x, y in reversed(outline)])]
    parts.append(box(dye(rng, COLORS), -neck * 1.2, 0.92, neck * 1.2, 1.0))
    if chance(rng, 0.7):
        low = rng.uniform(0.08, 0.2)
        parts.append(box(dye(rng, (CREAM, *COLORS)), -half, low, half, low + rng.uniform(0.14, 0.3)))
    return [*parts, stroke(tone(glass, 150), 0.03, (-half * 0.55, 0.1), (-half * 0.55, shoulder))]


def chair(rng: np.random.RandomState) -> list[Part]:
    seat_color, frame = dye(rng, (*WOODS, *COLORS)), dye(rng, (*WOODS, *POSTS))
    half, seat, lean, depth = rng.uniform(0.2, 0.28), rng.uniform(0.42, 0.5), rng.uniform(-0.14, 0.14), 0.1
    back, bar = rng.uniform(0.9, 1.1), rng.uniform(0.045, 0.07)
    if chance(rng, 0.3):  # on castors
        parts = [stroke(DARK, 0.06, (0, seat), (0, 0.12))]
        parts += [stroke(DARK, 0.05, (0, 0.14), (x, y)) for x, y in ((-0.3, 0.03), (0.3, 0.03), (-0.13, 0), (0.13, 0))]
    else:
        parts = [stroke(tone(frame, 72), bar, (s * half + lean, seat), (s * half + lean, depth)) for s in (-1, 1)]
        parts += [stroke(frame, bar, (s * half, seat - depth), (s * half, 0)) for s in (-1, 1)]
    parts += [stroke(frame, bar, (s * half * 0.95 + lean, seat), (s * half * 0.9 + lean * 1.4, back)) for s in (-1, 1)]
    if chance(rng, 0.5):
        low = seat + rng.uniform(0.08, 0.2)
        parts.append(box(seat_color, -half * 0.95 + lean * 1.2, low, half * 0.95 + lean * 1.2, back, 0.03))
    else:
        for y in np.linspace(seat + 0.2, back - 0.04, int(rng.randint(2, 4))):
            parts.append(stroke(seat_color, 0.06, (-half * 0.95 + lean * 1.3, y), (half * 0.95 + lean * 1.3, y)))
    front = seat - depth
    parts.append(
        area(seat_color, (-half, front), (half, front), (half + lean, seat + 0.03), (-half + lean, seat + 0.03))
    )
    parts.append(stroke(tone(seat_color, 60), 0.05, (-half, front), (half, front)))
    if chance(rng, 0.3):
        for s in (-1, 1):
            parts.append(
                stroke(frame, bar, (s * half, front), (s * half, front + 0.24), (s * half + lean, seat + 0.24))
            )
    return parts


def dog(rng: np.random.RandomState) -> list[Part]:
    fur = dye(rng, FURS)
    shade = tone(fur, 74)
    leg, long, deep = rng.uniform(0.28, 0.42), rng.uniform(0.36, 0.5), rng.uniform(0.14, 0.2)
    y, thick = leg + deep * 0.8, rng.uniform(0.07, 0.1)
    head = (long + rng.uniform(0.12, 0.2), y + rng.uniform(0.16, 0.34))
    tail = (-long - rng.uniform(0.1, 0.24), y + rng.uniform(-0.1, 0.36))
    step = rng.uniform(0.0, 0.12)
    if chance(rng, 0.25):  # sitting
        rise = rng.uniform(0.5, 0.62)
        head = (0.26, rise + 0.3)
        parts = [stroke(shade, 0.08, (-0.3, 0.08), (-0.5, 0.04), (-0.62, 0.16))]
        parts += [
            disc(fur, -0.14, 0.2, 0.24, 0.2),
            area(fur, (-0.34, 0.2), (0.1, 0.12), (0.28, rise), (0.05, rise + 0.16)),
        ]
        parts += [stroke(c, thick, (0.16, rise - 0.1), (x, 0.02)) for x, c in ((0.12, shade), (0.22, fur))]
    else:
        parts = [stroke(shade, thick, (s * long * 0.7, y), (s * long * 0.7 - step, 0)) for s in (-1, 1)]
        parts += [stroke(shade, 0.06, (-long * 0.9, y + 0.06), ((-long + tail[0]) / 2, y + 0.12), tail)]
        parts += [disc(fur, 0, y, long, deep), disc(fur, long * 0.55, y + 0.03, long * 0.42, deep * 1.15)]
        parts += [stroke(fur, thick, (s * long * 0.75, y), (s * long * 0.75 + step, 0)) for s in (-1, 1)]
        parts += [stroke(fur, 0.17, (long * 0.7, y + 0.06), head)]
    size = rng.uniform(0.11, 0.15)
    snout = (head[0] + rng.uniform(0.18, 0.26), head[1] - 0.05)
    parts += [disc(fur, *head, size), stroke(fur, 0.1, head, snout), disc(DARK, *snout, 0.04)]
    ear = (head[0] - 0.04, head[1] + size * 0.5)
    tip = (ear[0] - 0.1, ear[1] - 0.2) if chance(rng, 0.5) else (ear[0] - 0.05, ear[1] + 0.17)
    return [
        *parts,
        area(shade, (ear[0] - 0.06, ear[1]), (ear[0] + 0.06, ear[1]), tip),
        disc(DARK, head[0] + 0.05, head[1] + 0.04, 0.025),
    ]


def suitcase(rng: np.random.RandomState) -> list[Part]:
    main = dye(rng, COLORS)
    trim = pick(rng, (DARK, tone(main, 60), STEEL))
    if chance(rng, 0.25):  # carried by its handle, broader than high
        half, top = rng.uniform(0.44, 0.56), rng.uniform(0.6, 0.72)
        parts = [stroke(trim, 0.06, (-0.12, top), (-0.1, top + 0.1), (0.1, top + 0.1), (0.12, top))]
        parts += [box(main, -half, 0, half, top, 0.05), stroke(trim, 0.03, (-half, top * 0.6), (half, top * 0.6))]
        return parts + [
            box(trim, s * half * 0.6 - 0.04, top * 0.52, s * half * 0.6 + 0.04, top * 0.68) for s in (-1, 1)
        ]
    half, top = rng.uniform(0.26, 0.36), rng.uniform(0.72, 0.84)
    parts = [disc(DARK, s * half * 0.75, 0.04, 0.06) for s in (-1, 1)]
    if chance(rng, 0.75):
        parts.append(stroke(STEEL, 0.035, (-0.12, top), (-0.12, 1.05), (0.12, 1.05), (0.12, top)))
        parts.append(stroke(DARK, 0.06, (-0.14, 1.05), (0.14, 1.05)))
    parts.append(box(main, -half, 0.07, half, top, rng.uniform(0.03, 0.09)))
    if chance(rng, 0.6):
        for x in np.linspace(-half * 0.7, half * 0.7, int(rng.randint(3, 6))):
            parts.append(stroke(tone(main, 70), 0.025, (x, 0.12), (x, top - 0.05)))
    else:
        parts += [box(tone(main, 78), -half * 0.75, 0.14, half * 0.75, top * 0.48, 0.04)]
        parts += [stroke(trim, 0.03, (-half * 0.8, top * 0.62), (half * 0.8, top * 0.62))]
    return [*parts, stroke(trim, 0.05, (-0.1, top - 0.02), (0.1, top - 0.02))]


def umbrella(rng: np.random.RandomState) -> list[Part]:
    cloth, second = dye(rng, COLORS), dye(rng, COLORS)
    if not chance(rng, 0.4):
        second = tone(cloth, 78)
    rib = dye(rng, (DARK, STEEL, WOODS[0]))
    if chance(rng, 0.15):  # closed
        parts = [
            stroke(rib, 0.035, *arc(0.06, 0.06, 0.06, 0.06, 340, 180), (0, 0.3)),
            stroke(rib, 0.03, (0, 0.9), (0, 1.02)),
        ]
        half = rng.uniform(0.06, 0.1)
        outline = [(-0.02, 0.26), (-half, 0.4), (-0.02, 0.95), (0.02, 0.95), (half, 0.4), (0.02, 0.26)]
        return [*parts, area(cloth, *outline), stroke(second, 0.03, (-half, 0.45), (half, 0.5))]
    wide, rise, rim = rng.uniform(0.46, 0.58), rng.uniform(0.26, 0.42), rng.uniform(0.55, 0.62)
    parts = [
        stroke(rib, 0.035, (0, rim + rise + 0.06), (0, 0.08)),
        stroke(rib, 0.045, *arc(0.07, 0.08, 0.07, 0.08, 180, 350)),
    ]
    panels = int(rng.randint(4, 7))
    edges = wide * np.sin(np.linspace(-np.pi / 2, np.pi / 2, panels + 1))
    for k, (left, right) in enumerate(pairwise(edges)):
        sides = [[(x * np.cos(a), rim + rise * np.sin(a)) for a in np.linspace(0, np.pi / 2, 8)] for x in (left, right)]
        hem = ((left + right) / 2, rim + 0.05)
        parts.append(area((cloth, second)[k % 2], *sides[0], *reversed(sides[1]), hem))
    return parts


def bench(rng: np.random.RandomState) -> list[Part]:
    wood, iron = dye(rng, WOODS), dye(rng, POSTS)
    half, seat, depth = rng.uniform(0.75, 1.05), rng.uniform(0.4, 0.5), rng.uniform(0.08, 0.2)
    lean = rng.uniform(-0.12, 0.12)
    back = rng.uniform(0.75, 1.0) if chance(rng, 0.75) else 0.0
    legs = np.linspace(-half * 0.88, half * 0.88, int(rng.randint(2, 4)))
    parts = [stroke(tone(iron, 75), 0.06, (x + lean, seat), (x + lean, depth)) for x in legs]
    if back:
        parts += [stroke(iron, 0.06, (x + lean, seat), (x + lean * 1.3, back)) for x in legs]
        for y in np.linspace(seat + 0.14, back, int(rng.randint(2, 4))):
            parts.append(stroke(wood, rng.uniform(0.07, 0.11), (-half + lean, y), (half + lean, y)))
    edge = seat - depth
    parts += [stroke(iron, 0.07, (x, edge), (x, 0)) for x in legs]
    parts += [area(wood, (-half, edge), (half, edge), (half + lean, seat + 0.02), (-half + lean, seat + 0.02))]
    parts += [stroke(tone(wood, 62), 0.05, (-half, edge), (half, edge))]
    if chance(rng, 0.4):
        for x in legs[[0, -1]]:
            parts.append(stroke(iron, 0.05, (x, edge), (x, edge + 0.24), (x + lean, seat + 0.24)))
    return parts


def bicycle(rng: np.random.RandomState) -> list[Part]:
    frame, tyre = dye(rng, COLORS), dye(rng, (DARK, (60, 60, 64)))
    r, base, tube = rng.uniform(0.3, 0.36), rng.uniform(0.5, 0.58), rng.uniform(0.045, 0.075)
    rear, front, crank = (-base, r), (base, r), (rng.uniform(-0.1, 0.02), r * 0.85)
    saddle, head = (rng.uniform(-0.26, -0.18), 0.86), (rng.uniform(0.3, 0.38), 0.82)
    parts = []
    for x, y in (rear, front):
        if chance(rng, 0.6):
            parts += [stroke(STEEL, 0.012, (x - r, y), (x + r, y)), stroke(STEEL, 0.012, (x, y - r), (x, y + r))]
        parts += [stroke(tyre, rng.uniform(0.055, 0.085), *arc(x, y, r, r))]
    low = (head[0] + 0.03, head[1] - 0.2)
    top = low if chance(rng, 0.35) else saddle  # without a top tube, or with one
    parts += [
        stroke(tone(frame, 80), tube * 0.8, rear, (saddle[0] + 0.05, 0.7), rear, crank),
        stroke(frame, tube, crank, saddle),
        stroke(frame, tube, top, head, low, crank),
        stroke(frame, tube, head, front),
        disc(DARK, *crank, 0.07),
        stroke(DARK, 0.075, (saddle[0] - 0.1, saddle[1]), (saddle[0] + 0.08, saddle[1])),
    ]
    grip = (head[0] - 0.16, head[1] + 0.16) if chance(rng, 0.6) else (head[0] + 0.14, head[1] - 0.02)
    parts.append(stroke(DARK, 0.05, head, (head[0] - 0.02, head[1] + 0.15), grip))
    if chance(rng, 0.3):
        parts.append(box(dye(rng, WOODS), head[0] + 0.02, head[1] - 0.06, head[0] + 0.26, head[1] + 0.12))
    return parts


def car(rng: np.random.RandomState) -> list[Part]:
    paint = dye(rng, COLORS)
    if chance(rng, 0.25):
        return _car_front(rng, paint)
    belt, roof, wheel = rng.uniform(0.42, 0.52), rng.uniform(0.74, 0.98), rng.uniform(0.14, 0.19)
    front, rear = rng.uniform(0.35, 0.55), rng.uniform(0.5, 1.0)  # where the windows begin and end
    cabin = [(-rear, belt), (-rear + rng.uniform(0.05, 0.25), roof), (front - 0.3, roof), (front, belt)]
    hood = belt - rng.uniform(0.02, 0.1)
    body = [(-1, 0.14), (1, 0.14), (1, hood - 0.1), (0.93, hood), (front, belt), (-0.96, belt), (-1, belt - 0.1)]
    parts = [area(paint, *cabin), area(paint, *body)]
    middle = (front - rear) / 2 - 0.1
    inner = [(x * 0.9 + middle * 0.1, y - 0.05 if y > belt else y + 0.01) for x, y in cabin]
    parts += [area(pick(rng, (GLASS, DARK)), *inner), stroke(paint, 0.06, (middle, belt), (middle, roof))]
    parts += [stroke(tone(paint, 60), 0.03, (-0.95, 0.3), (0.95, 0.3))]
    for x in (rng.uniform(-0.66, -0.56), rng.uniform(0.56, 0.66)):
        parts += [disc(DARK, x, wheel, wheel), disc(STEEL, x, wheel, wheel * 0.5)]
    return [*parts, disc(CREAM, 0.93, hood - 0.1, 0.06), disc((40, 40, 190), -0.95, belt - 0.12, 0.05)]


def _car_front(rng: np.random.RandomState, paint: Color) -> list[Part]:
    roof, belt = rng.uniform(0.8, 1.05), rng.uniform(0.5, 0.6)
    slant = rng.uniform(0.08, 0.2)
    light = CREAM if chance(rng, 0.6) else (40, 40, 190)  # front or rear
    parts = [box(DARK, s - 0.09, 0, s + 0.09, 0.3) for s in (-0.44, 0.44)]
    parts += [area(paint, (-0.54, belt), (-0.54 + slant, roof), (0.54 - slant, roof), (0.54, belt))]
    parts += [box(paint, -0.6, 0.12, 0.6, belt, 0.06)]
    parts += [
        area(
            GLASS, (-0.46, belt + 0.03), (-0.48 + slant, roof - 0.06), (0.48 - slant, roof - 0.06), (0.46, belt + 0.03)
        )
    ]
    parts += [disc(light, s, belt - 0.13, 0.11, 0.07) for s in (-0.44, 0.44)]
    return [*parts, box(tone(paint, 40), -0.26, belt - 0.2, 0.26, belt - 0.08), box(CREAM, -0.16, 0.16, 0.16, 0.24)]


def lamp(rng: np.random.RandomState) -> list[Part]:
    post, glow = dye(rng, POSTS), dye(rng, (CREAM, (150, 226, 250), (210, 210, 210)))
    thick = rng.uniform(0.03, 0.05)
    kind = rng.randint(3)
    if kind == 0:  # in a street, with one arm or two
        parts = [stroke(post, thick * 1.4, (0, 0), (0, 0.9)), box(tone(post, 70), -0.05, 0, 0.05, 0.14)]
        for s in (-1, 1)[: 2 if chance(rng, 0.3) else 1]:
            reach = s * rng.uniform(0.2, 0.34)
            parts += [stroke(post, thick, (0, 0.88), (reach * 0.4, 0.99), (reach, 0.97))]
            parts += [stroke(tone(post, 60), 0.05, (reach * 0.8, 0.965), (reach * 1.5, 0.95))]
            parts += [stroke(glow, 0.03, (reach * 0.9, 0.93), (reach * 1.4, 0.92))]
        return parts
    if kind == 1:  # in a park: a globe or a lantern
        size = rng.uniform(0.08, 0.13)
        parts = [stroke(post, thick, (0, 0), (0, 0.85)), box(post, -0.06, 0, 0.06, 0.08)]
        if chance(rng, 0.5):
            return [*parts, disc(glow, 0, 0.85 + size, size)]
        lantern = area(glow, (-size * 0.6, 0.82), (size * 0.6, 0.82), (size, 1.0), (-size, 1.0))
        return [*parts, lantern, area(tone(post, 60), (-size * 1.2, 1.0), (size * 1.2, 1.0), (0, 1.1))]
    shade, wide, tall = dye(rng, (CREAM, *COLORS)), rng.uniform(0.17, 0.28), rng.uniform(0.2, 0.34)
    narrow = wide * rng.uniform(0.4, 0.8)
    parts = [
        disc(tone(post, 70), 0, 0.03, rng.uniform(0.12, 0.2), 0.035),
        stroke(post, thick, (0, 0.03), (0, 1 - tall)),
    ]
    parts += [area(shade, (-wide, 1 - tall), (wide, 1 - tall), (narrow, 1), (-narrow, 1))]
    return [*parts, stroke(glow, 0.03, (-wide, 1 - tall), (wide, 1 - tall))]


def traffic_light(rng: np.random.RandomState) -> list[Part]:
    case, post = dye(rng, (DARK, DARK, (50, 170, 200), (60, 80, 60))), dye(rng, POSTS)
    lamps = 2 if chance(rng, 0.25) else 3
    radius = rng.uniform(0.075, 0.1)
    half, height = radius * rng.uniform(1.35, 1.7), lamps * radius * 2.5 + 0.04
    bottom = 1.0 - height
    parts = [stroke(post, rng.uniform(0.05, 0.08), (0, 0), (0, bottom))] if chance(rng, 0.8) else []
    if chance(rng, 0.25):
        parts.append(stroke(post, 0.06, (0.0, 0.8), (rng.uniform(0.3, 0.5), 0.82)))
    if chance(rng, 0.35):  # a board behind it
        parts.append(box((210, 212, 214), -half - 0.05, bottom - 0.05, half + 0.05, 1.05))
        parts.append(box(DARK, -half - 0.03, bottom - 0.03, half + 0.03, 1.03))
    parts.append(box(case, -half, bottom, half, 1.0, 0.03))
    lit = rng.randint(lamps)
    for lamp in range(lamps):
        color = SIGNALS[lamp if lamps == 3 else 2 * lamp]
        y = 1.0 - 0.02 - radius * 1.25 - lamp * radius * 2.5
        parts.append(disc(color if lamp == lit else tone(color, 28), 0, y, radius))
    return parts


def tree(rng: np.random.RandomState) -> list[Part]:
    bark, leaf = dye(rng, WOODS), dye(rng, LEAVES)
    trunk = rng.uniform(0.06, 0.11)
    if chance(rng, 0.25):  # a conifer
        parts = [stroke(bark, trunk, (0, 0), (0, 0.3))]
        for k in range(3):
            low, wide = 0.15 + 0.25 * k, rng.uniform(0.3, 0.36) * (1 - 0.24 * k)
            parts.append(area(tone(leaf, 86 + 8 * k), (-wide, low), (wide, low), (0, low + 0.42)))
        return parts
    fork = rng.uniform(0.3, 0.5)
    ends = [(rng.uniform(-0.3, 0.3), rng.uniform(0.7, 0.95)) for _ in range(5)]
    parts = [stroke(bark, trunk, (0, 0), (0, fork))]
    parts += [stroke(bark, trunk * 0.5, (0, fork - 0.05), end) for end in ends]
    if chance(rng, 0.12):  # without leaves
        for x, y in ends:
            parts += [stroke(bark, 0.025, (x * 0.6, (fork + y) / 2), (x + d, y + 0.02)) for d in (-0.14, 0.12)]
        return parts
    wide, tall = rng.uniform(0.26, 0.42), rng.uniform(0.24, 0.34)
    for k in range(int(rng.randint(9, 15))):
        angle, out = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.8)
        x, y = wide * out * np.cos(angle), 0.68 + tall * out * np.sin(angle)
        parts.append(disc(tone(leaf, 72 + 4 * k), x, y, rng.uniform(0.1, 0.2), rng.uniform(0.09, 0.16)))
    return parts


#: What draws each category. Labels are the places of the names, which are sorted.
SHAPES: dict[str, Callable[[np.random.RandomState], list[Part]]] = {
    'backpack': backpack,
    'bench': bench,
    'bicycle': bicycle,
    'bottle': bottle,
    'car': car,
    'chair': chair,
    'dog': dog,
    'lamp': lamp,
    'suitcase': suitcase,
    'traffic_light': traffic_light,
    'tree': tree,
    'umbrella': umbrella,
}
CATEGORIES = tuple(SHAPES)


def fill_polygon(labels: np.ndarray, points: np.ndarray, number: int) -> None:
    """Fill a polygon and its outline, in place, by the even-odd rule.

    ``fillPoly`` is not used, because it rounds differently in OpenCV 4 and 5.

    Args:
        labels: ``(H, W)`` uint8.
        points: ``(K, 2)`` integers, x and y, within ``labels``.
        number: Value of the filled pixels.
    """
    cv2.polylines(labels, [points], True, number, 1)
    (left, top), (right, bottom) = points.min(0), points.max(0)
    x, y = (points - (left, top)).T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    rows = np.arange(bottom - top)[:, None]
    crossed = (np.minimum(y, next_y) <= rows) & (rows < np.maximum(y, next_y))
    row, edge = np.nonzero(crossed)
    # The first pixel at or right of each crossing, in integers; a pixel right of an odd number of them is inside.
    rise, run = (next_y - y)[edge], (next_x - x)[edge]
    column = x[edge] - -((row - y[edge]) * run * np.sign(rise)) // np.abs(rise)
    shape = (bottom - top, right - left + 1)
    crossings = np.bincount(row * shape[1] + column, minlength=shape[0] * shape[1]).reshape(shape)
    labels[top:bottom, left : right + 1][np.cumsum(crossings, axis=1) % 2 == 1] = number


def label_map(parts: Sequence[Part], matrix: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Return the number of the part that covers each pixel of the larger sheet, counted from 1; 0 is none."""
    corners = np.concatenate([part.points for part in parts])
    low, high = corners.min(0), corners.max(0)
    extent = (high - low).max()
    scale = np.linalg.norm(matrix, axis=0).max() / extent
    labels = np.zeros((SIDE + 2 * MARGIN, SIDE + 2 * MARGIN), np.uint8)
    for number, part in enumerate(parts, 1):
        points = (part.points - (low + high) / 2) / extent @ matrix.T + center
        points = np.rint(points).astype(np.int32)
        if part.thickness:
            cv2.polylines(labels, [points], False, number, max(1, int(np.rint(part.thickness * scale))))
        else:
            fill_polygon(labels, points, number)
    return labels


def _pose(max_roll: float, rng: np.random.RandomState) -> np.ndarray:
    """Return a ``(2, 2)`` matrix that mirrors, foreshortens, shears and rolls an object; y points down."""
    wide = np.cos(rng.uniform(-0.9, 0.9)) * (1 if rng.randint(2) else -1)
    high, shear, roll = np.cos(rng.uniform(0, 0.5)), rng.uniform(-0.15, 0.15), rng.uniform(-max_roll, max_roll)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return turn @ np.array([[wide, shear], [0, -high]])


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
    labels = label_map(parts, matrix, SIDE / 2 + MARGIN + np.asarray(offset))
    labels = labels[MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE]
    table = np.zeros((len(parts) + 1, 3), np.uint8)
    table[1:] = [part.color for part in parts]
    rows, columns = np.nonzero(labels)
    if rows.size:
        left, right = int(columns.min()), int(columns.max())
        center = ((left + right) // 2 - camera.light_side * 5, int(rows.max()) - 1)
        drop_shadow(picture, center, (max(3, (right - left) * 9 // 16), 5), depth=48)
    # Brighter towards the light, and grainy.
    shade = NEUTRAL + camera.light_side * (np.arange(SIDE) - SIDE // 2) // 4
    shade = shade[None] + rng.randint(-10, 11, (SIDE // 4, SIDE // 4)).repeat(4, 0).repeat(4, 1)
    cv2.copyTo(apply_shade(table[labels], shade.astype(np.uint8)), labels, picture)


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
    picture = crop_scene(camera, (SIDE, SIDE), SCENE_ROWS, rng)
    if rng.random_sample() < CLUTTER_PROB:
        other = CATEGORIES[rng.randint(len(CATEGORIES))]
        away = rng.uniform(0.36, 0.5, 2) * (-1 if rng.randint(2) else 1, 1 if rng.randint(3) else -1)
        _paint_object(picture, other, SIDE * rng.uniform(0.22, 0.36), SIDE * away, camera, rng)
    offset = SIDE * MAX_OFFSET * rng.uniform(-1, 1, 2)
    _paint_object(picture, category, SIDE * rng.uniform(*OBJECT_SIZES), offset, camera, rng)
    if rng.random_sample() < OCCLUSION_PROB:
        color = sample_color(rng)
        draw_obstacle(picture, OBSTACLES[rng.randint(len(OBSTACLES))], color, OBSTACLE_SIZES, rng)
    picture = expose(cast_light(picture, rng), camera, rng)
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
