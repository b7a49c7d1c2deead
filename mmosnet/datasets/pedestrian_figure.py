"""The canvas that a pedestrian is painted on, and the moment of the walk that is painted.

Lengths are body heights (x to the person's left, y up, z ahead); the person's yaw and the camera's
pitch project them onto a drawing. Parts are painted far to near into a map of materials and a map
of shading; whoever asks for the figure turns materials into colours and patterns, over whole maps
at once, which is what makes this fast.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from mmosnet.datasets.pedestrian_camera import Camera
from mmosnet.datasets.pedestrian_identity import BELONGING_PALETTE

HOLD_PROB = 0.1  # share of people who carry something before them
VIEW_FREEDOM = 0.5  # share of people who do not follow the camera's walkway

HEIGHT, WIDTH = 256, 128  # of the drawing, twice the default crop
FIXED = 16  # OpenCV's fixed-point coordinates: 4 fractional bits

# Materials.
SKIN, HAIR, UPPER, UPPER2, UPPER3, LOWER, LOWER2 = range(1, 8)
SHOE, BAG, STRAP, HAT, DARK, INNER, THING = range(8, 15)
CIRCLE = [(math.cos(k * math.pi / 8), math.sin(k * math.pi / 8)) for k in range(16)]
NEUTRAL = 128  # shading that leaves a colour as it is


@dataclass(frozen=True)
class Pose:
    """One moment of a walk. Angles are radians; yaw 0 faces the camera, pi turns its back on it."""

    yaw: float
    phase: float
    head_turn: float
    lean: float
    holds: bool
    thing: tuple[int, int, int]

    @property
    def viewpoint(self) -> str:
        """Side that faces the camera: ``front``, ``side`` or ``back``."""
        ahead = math.cos(self.yaw)
        return 'front' if ahead > 0.6 else 'back' if ahead < -0.6 else 'side'


def sample_pose(rng: np.random.RandomState, facing: float) -> Pose:
    """Draw a pose; most people walk along `facing`, one way or the other."""
    if rng.random_sample() < VIEW_FREEDOM:
        yaw = rng.uniform(-math.pi, math.pi)
    else:
        yaw = facing + math.pi * rng.randint(2) + rng.uniform(-0.35, 0.35)
    return Pose(
        yaw=yaw,
        phase=rng.uniform(0, 2 * math.pi),
        head_turn=rng.uniform(-0.5, 0.5),
        lean=rng.uniform(-0.03, 0.04),
        holds=bool(rng.random_sample() < HOLD_PROB) and math.cos(yaw) > -0.2,
        thing=BELONGING_PALETTE[rng.randint(len(BELONGING_PALETTE))],
    )


class Figure:
    """The material and shading maps of one person, and the projection onto them."""

    def __init__(self, pose: Pose, camera: Camera, centre: float, ground: float, scale: float) -> None:
        self.labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        self.shade = np.full((HEIGHT, WIDTH), NEUTRAL, np.uint8)
        self.sin, self.cos = math.sin(pose.yaw), math.cos(pose.yaw)
        self.tilt, self.roll, self.lean = math.sin(camera.pitch), camera.roll, pose.lean
        self.centre, self.ground, self.scale = centre, ground, scale
        self.light = 0.3 * camera.light_side

    def project(self, point: tuple[float, float, float]) -> tuple[float, float]:
        """Convert body coordinates to pixels of the drawing."""
        x, y, z = point
        z += self.lean * y
        across, depth = x * self.cos + z * self.sin, self.depth(point)
        near = 1 + self.tilt * (0.5 * y - 0.2)  # a camera above sees the head larger than the feet
        px = self.centre + self.scale * (across * near + self.roll * y)
        return px, self.ground - self.scale * (y * (1 - 0.12 * self.tilt * y) - self.tilt * depth)

    def depth(self, point: tuple[float, float, float]) -> float:
        """Return how far a point is in front of the body's axis, towards the camera."""
        return point[2] * self.cos - point[0] * self.sin

    def fill(self, label: int, points: list[tuple[float, float]], shade: int | None = None) -> None:
        """Paint a polygon of drawing pixels; `shade` None keeps the shading below it.

        No row may cross the outline more than twice. That is all that fillConvexPoly needs, and it
        draws the same in OpenCV 4 and 5, which fillPoly does not.
        """
        outline = np.rint(np.array(points) * FIXED).astype(np.int32)
        if label:
            cv2.fillConvexPoly(self.labels, outline, label, cv2.LINE_8, 4)
        if shade is not None:
            cv2.fillConvexPoly(self.shade, outline, shade, cv2.LINE_8, 4)

    def limb(self, segments: list[tuple], light: int = 0) -> None:
        """Draw rounded segments (material, start, end, radius, end radius), joined without a seam."""
        glosses = []
        for label, start, end, radius, end_radius in segments:
            (ax, ay), (bx, by) = self.project(start), self.project(end)
            angle = math.atan2(by - ay, bx - ax)
            outer, inner = [], []
            for k in range(10):
                turn = angle + math.pi / 2 + (k if k < 5 else k - 1) * math.pi / 4
                x, y, r = (ax, ay, radius) if k < 5 else (bx, by, end_radius)
                r *= self.scale
                dx, dy = r * math.cos(turn), r * math.sin(turn)
                outer.append((x + dx, y + dy))
                inner.append((x + 0.55 * dx + self.light * r, y + 0.55 * dy))
            self.fill(label, outer, NEUTRAL - 34 + light)
            glosses.append(inner)
        for inner in glosses:
            self.fill(0, inner, NEUTRAL + 12 + light)

    def ball(self, label: int, centre: tuple[float, float], rx: float, ry: float, light: int = 0) -> None:
        """Draw a shaded ellipse around a pixel of the drawing; radii are in body heights."""
        cx, cy = centre
        rx, ry = rx * self.scale, ry * self.scale
        self.fill(label, [(cx + rx * c, cy + ry * s) for c, s in CIRCLE], NEUTRAL - 30 + light)
        cx += self.light * rx
        gloss = [(cx + 0.6 * rx * c, cy + ry * (0.65 * s - 0.15)) for c, s in CIRCLE]
        self.fill(0, gloss, NEUTRAL + 12 + light)

    def trunk(self, label: int, rings: list[tuple[float, float, float]], light: int = 0) -> None:
        """Draw the silhouette of elliptic cross-sections (height, half width, half depth)."""
        left, right, inner_left, inner_right = [], [], [], []
        for y, a, b in rings:
            px, py = self.project((0.0, y, 0.0))
            half = self.scale * math.hypot(a * self.cos, b * self.sin)
            left.append((px - half, py))
            right.append((px + half, py))
            inner_left.append((px + half * (1.1 * self.light - 0.55), py))
            inner_right.append((px + half * (1.1 * self.light + 0.55), py))
        self.fill(label, left + right[::-1], NEUTRAL - 30 + light)
        self.fill(0, inner_left + inner_right[::-1], NEUTRAL + 10 + light)

    def box(
        self,
        label: int,
        middle: float,
        half: float,
        top: float,
        bottom: float,
        shade: int | None = None,
    ) -> None:
        """Draw an upright rectangle in pixels of the drawing."""
        left, right = middle - half, middle + half
        self.fill(label, [(left, top), (right, top), (right, bottom), (left, bottom)], shade)

    def patch(self, label: int, corners: list[tuple[float, float, float]], shade: int | None = None) -> None:
        """Draw a flat shape given by body points."""
        self.fill(label, [self.project(corner) for corner in corners], shade)

    def ribbon(self, label: int, start: tuple, end: tuple, half: float) -> None:
        """Draw a flat band between two body points that keeps the shading below it."""
        (ax, ay), (bx, by) = self.project(start), self.project(end)
        half *= self.scale
        self.fill(label, [(ax - half, ay), (ax + half, ay), (bx + half, by), (bx - half, by)])
