"""What drawn objects are made of: coloured strokes and areas, and the colours that they may have.

Coordinates are the object's own: x to the right, y upwards, any unit; the renderer centres and scales them. Parts are
painted in their order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmosnet.datasets.pedestrian_identity import BELONGING_PALETTE, UPPER_PALETTE, Colour

# BGR. Most colours are any category's, so that they give little away.
COLOURS = (*UPPER_PALETTE, *BELONGING_PALETTE)
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
        colour: BGR.
        thickness: Thickness of a stroke through the points in the object's unit; 0 fills the outline.
    """

    points: np.ndarray
    colour: Colour
    thickness: float = 0.0


def area(colour: Colour, *points: tuple[float, float]) -> Part:
    return Part(np.array(points, float), colour)


def stroke(colour: Colour, thickness: float, *points: tuple[float, float]) -> Part:
    return Part(np.array(points, float), colour, thickness)


def box(colour: Colour, left: float, bottom: float, right: float, top: float, cut: float = 0.0) -> Part:
    """Return a rectangle with its corners cut off."""
    if not cut:
        return area(colour, (left, bottom), (right, bottom), (right, top), (left, top))
    return area(
        colour,
        *((left + cut, bottom), (right - cut, bottom), (right, bottom + cut), (right, top - cut)),
        *((right - cut, top), (left + cut, top), (left, top - cut), (left, bottom + cut)),
    )


def arc(x: float, y: float, rx: float, ry: float, start: float = 0.0, end: float = 360.0) -> list[tuple]:
    angles = np.radians(np.linspace(start, end, 21))
    return list(zip(x + rx * np.cos(angles), y + ry * np.sin(angles), strict=True))


def disc(colour: Colour, x: float, y: float, rx: float, ry: float | None = None) -> Part:
    return area(colour, *arc(x, y, rx, rx if ry is None else ry))


def pick(rng: np.random.RandomState, options):
    return options[rng.randint(len(options))]


def chance(rng: np.random.RandomState, probability: float) -> bool:
    return bool(rng.random_sample() < probability)


def tone(colour: Colour, percent: int) -> Colour:
    return tuple(min(255, c * percent // 100) for c in colour)


def dye(rng: np.random.RandomState, options) -> Colour:
    """Return one of the colors, slightly shifted."""
    return tuple(int(np.clip(c + d, 0, 255)) for c, d in zip(pick(rng, options), rng.randint(-16, 17, 3), strict=True))
