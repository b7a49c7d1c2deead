"""Draw small pictures of walking people as surveillance cameras see them.

scene of the camera -> bystander -> shadow and person -> what stands in front -> uneven light -> reduced to the crop ->
the camera's sensor. Every picture has a random generator of its own, keyed by world, person, camera and image, so any
picture can be drawn alone, in any order, on any machine, and comes out the same.

Lengths are body heights (x to the person's left, y up, z ahead); the person's yaw and the camera's pitch project them
onto a drawing. Parts are painted far to near into a map of materials and a map of shading; materials then become
colors and patterns over whole maps at once, which is what makes this fast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from mmosnet.synthetic.camera import (
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
    sample_color,
)
from mmosnet.synthetic.identity import BELONGING_PALETTE, IMAGE_STREAM, Identity, random_stream, sample_identity

RENDERER_VERSION = 1  # raise it whenever any picture changes

# How hard single pictures are.
HOLD_PROB = 0.1  # share of people who carry something in front of them
VIEW_FREEDOM = 0.5  # share of people who do not follow the camera's walkway
OCCLUSION_PROB = 0.14  # something stands in front of the person
BYSTANDER_PROB = 0.2  # another person further back
BOX_JITTER = 0.05  # how far, in crop sizes, the detector's box is off
BAD_BOX_PROB = 0.08  # a box so tight that head or feet are cut

BYSTANDER_PID = 1 << 20  # the first pid of bystanders, who are not in the data set

HEIGHT, WIDTH = 256, 128  # of the drawing, twice the default crop
# Possible upper edges of a background, relative to the horizon.
SCENE_ROWS = (-150, -60)
OBSTACLE_SIZES = ObstacleSizes((20, 100), (8, 22), wall_height=(34, 96), wall_edge=7, corner_width=(20, 50))
FIXED = 16  # OpenCV's fixed-point coordinates: 4 fractional bits

# Row of the soles in a person who is cut out, and rows from there to the crown.
CUT_OUT_GROUND, CUT_OUT_TALL = 240, 212

# Materials.
SKIN, HAIR, UPPER, UPPER2, UPPER3, LOWER, LOWER2 = range(1, 8)
SHOE, BAG, STRAP, HAT, DARK, INNER, THING = range(8, 15)
CIRCLE = [(math.cos(k * math.pi / 8), math.sin(k * math.pi / 8)) for k in range(16)]


@dataclass(frozen=True)
class Pose:
    """One moment of a walk. Angles are radians; yaw 0 faces the camera, pi faces away from it."""

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
    """Sample a pose; most people walk along the direction ``facing`` in radians, one way or the other."""
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

    def __init__(self, pose: Pose, camera: Camera, center: float, ground: float, scale: float) -> None:
        self.labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        self.shade = np.full((HEIGHT, WIDTH), NEUTRAL, np.uint8)
        self.sin, self.cos = math.sin(pose.yaw), math.cos(pose.yaw)
        self.tilt, self.roll, self.lean = math.sin(camera.pitch), camera.roll, pose.lean
        self.center, self.ground, self.scale = center, ground, scale
        self.light = 0.3 * camera.light_side

    def project(self, point: tuple[float, float, float]) -> tuple[float, float]:
        """Convert body coordinates to pixels of the drawing."""
        x, y, z = point
        z += self.lean * y
        across, depth = x * self.cos + z * self.sin, self.depth(point)
        near = 1 + self.tilt * (0.5 * y - 0.2)  # a camera above sees the head larger than the feet
        px = self.center + self.scale * (across * near + self.roll * y)
        return px, self.ground - self.scale * (y * (1 - 0.12 * self.tilt * y) - self.tilt * depth)

    def depth(self, point: tuple[float, float, float]) -> float:
        """Return how far a point is in front of the body's axis, towards the camera."""
        return point[2] * self.cos - point[0] * self.sin

    def fill(self, label: int, points: list[tuple[float, float]], shade: int | None = None) -> None:
        """Paint a polygon of drawing pixels; ``shade`` None keeps the shading below it.

        No row may cross the outline more than twice. That is all that ``fillConvexPoly`` needs; it draws the same in
        OpenCV 4 and 5, and ``fillPoly`` does not.
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

    def ball(self, label: int, center: tuple[float, float], rx: float, ry: float, light: int = 0) -> None:
        """Draw a shaded ellipse around a pixel of the drawing; radii are in body heights."""
        cx, cy = center
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


def draw_head(fig: Figure, person: Identity, pose: Pose) -> None:
    """Draw head, hair, hat and glasses; the face shows as far as the head is turned to the camera."""
    yaw = pose.yaw + pose.head_turn
    ahead, aside = math.cos(yaw), math.sin(yaw)
    rx, ry = 0.046 * person.head, 0.062 * person.head
    cx, cy = fig.project((0.0, 0.5 * person.leg + 0.325 + 0.05 + ry, 0.012))
    s = fig.scale
    if person.hair == 'ponytail' and ahead > -0.5:
        fig.ball(HAIR, (cx - aside * 0.05 * s, cy + 0.02 * s), 0.022, 0.05, -8)
    if person.hair in ('bun', 'ponytail'):
        fig.ball(HAIR, (cx - aside * 0.03 * s, cy - ry * 0.85 * s), 0.026, 0.024)
    bulk = {'bald': 1.0, 'short': 1.06, 'afro': 1.5}.get(person.hair, 1.14)
    bare = person.hair == 'bald'
    fig.ball(SKIN if bare else HAIR, (cx, cy - 0.004 * s), rx * bulk, ry * (bulk if bulk < 1.3 else 1.25))
    if ahead > -0.45:
        turn = min(1.0, (ahead + 0.45) / 0.9)
        face = (cx + aside * rx * 0.42 * s, cy + ry * 0.18 * s)
        fig.ball(SKIN, face, rx * (0.55 + 0.3 * turn), ry * 0.84, 4)
        eye = cy + 0.02 * ry * s
        for k in (-0.42, 0.42):
            ex = cx + (aside * 0.75 + k * max(ahead, 0.0) * 1.1) * rx * s
            fig.box(DARK, ex, 2, eye - 1, eye + 1.5)
        lip = cy + ry * 0.62 * s
        fig.box(0, cx + aside * rx * 0.75 * s, 2.5, lip, lip + 2, NEUTRAL - 30)
        if person.glasses and glasses_visible(pose):
            bridge = cx + aside * 0.6 * rx * s
            fig.box(DARK, bridge, 0.74 * rx * s, eye - 0.5, eye + 0.5)
            for k in (-0.4, 0.4):
                fig.box(DARK, bridge + k * rx * s, 0.28 * rx * s, eye - 1.5, eye + 2.5, NEUTRAL)
    if person.hair in ('long', 'bob') and ahead < 0.6:  # hair over the back and over the turned side
        low = 0.15 if person.hair == 'long' else 0.075
        mid, wide = cx - aside * rx * 0.55 * s, rx * (1.0 if ahead < -0.3 else 0.62) * s
        fig.box(HAIR, mid, wide, cy, cy + low * s, NEUTRAL - 14)
    if person.hair == 'ponytail' and ahead <= -0.5:
        fig.ball(HAIR, (cx, cy + 0.06 * s), 0.022, 0.07)
    _draw_hat(fig, person, cx, cy, (ahead, aside))


def glasses_visible(pose: Pose) -> bool:
    """Return whether the head is turned so that glasses would show."""
    return math.cos(pose.yaw + pose.head_turn) > -0.1


def _draw_hat(fig: Figure, person: Identity, cx: float, cy: float, facing: tuple[float, float]) -> None:
    if person.hat == 'none':
        return
    s, rx, ry = fig.scale, 0.05 * person.head, 0.064 * person.head
    crown = [(cx + 1.12 * rx * c * s, cy - 0.2 * ry * s + 1.05 * ry * min(v, 0.12) * s) for c, v in CIRCLE]
    fig.fill(HAT, crown, NEUTRAL - 16)
    fig.fill(
        0,
        [(0.5 * (x + cx) + fig.light * 8, 0.6 * y + 0.4 * (cy - 0.7 * ry * s)) for x, y in crown],
        NEUTRAL + 12,
    )
    ahead, aside = facing
    brow = cy - 0.22 * ry * s
    if person.hat == 'cap':
        mid, half = cx + aside * rx * 1.1 * s, rx * (0.5 + 0.4 * abs(ahead)) * s
        if ahead > -0.5:
            fig.box(HAT, mid, half, brow - 4, brow + 4, NEUTRAL - 34)
    elif person.hat == 'brim':
        fig.ball(HAT, (cx, brow), rx * 1.9, ry * 0.26, -12)


def draw_hair_behind(fig: Figure, person: Identity, pose: Pose) -> None:
    """Draw long hair that falls behind the shoulders of a person who faces the camera."""
    if person.hair not in ('long', 'bob') or math.cos(pose.yaw + pose.head_turn) < 0.0:
        return
    s, rx, low = fig.scale, 0.046 * person.head, (0.19 if person.hair == 'long' else 0.105)
    cx, cy = fig.project((0.0, 0.5 * person.leg + 0.43, -0.02))
    half = rx * 1.25 * s
    fig.box(HAIR, cx, half, cy, cy + low * s, NEUTRAL - 24)


def standing_height(person: Identity, camera: Camera) -> float:
    """Return the height from the soles to the crown in body heights, as the camera sees it."""
    top = 0.5 * person.leg + 0.375 + 0.13 * person.head
    return top * (1 - 0.12 * math.sin(camera.pitch) * top)


def _draw_leg(fig: Figure, person: Identity, pose: Pose, side: int) -> None:
    swing = 0.45 * person.stride * math.sin(pose.phase + (0 if side > 0 else math.pi))
    bend = 0.15 + 0.55 * max(0.0, math.cos(pose.phase + (0 if side > 0 else math.pi))) * person.stride
    hip = (side * 0.046 * person.hip, 0.49 * person.leg, 0.0)
    thigh, shin = 0.225 * person.leg, 0.215 * person.leg
    knee = (hip[0], hip[1] - thigh * math.cos(swing), thigh * math.sin(swing))
    ankle = (
        hip[0],
        knee[1] - shin * math.cos(swing - bend),
        knee[2] + shin * math.sin(swing - bend),
    )
    light = int(max(-26, min(4, 160 * fig.depth(knee))))
    thick = math.sqrt(person.girth)
    heel = (ankle[0], ankle[1] - 0.03, ankle[2] - 0.018)
    toe = (ankle[0] * 1.15, ankle[1] - 0.034 + 0.02 * max(0.0, swing), ankle[2] + 0.072)
    fig.limb([(SHOE, heel, toe, 0.024, 0.02)], light)
    covered, bare = person.lower == 'trousers', person.lower in ('skirt', 'dress')
    wide = person.lower_width if covered else 0.86
    last = ankle if covered else tuple(0.25 * h + 0.75 * k for h, k in zip(hip, knee, strict=True))
    cloth = LOWER if covered else SKIN
    leg: list[tuple] = [
        (cloth, knee, ankle, 0.037 * thick * wide, 0.034 * wide if covered else 0.024),
        (cloth, hip, knee, 0.052 * thick, 0.038 * thick * wide),
    ]
    if person.lower == 'shorts':
        leg.append((LOWER, hip, last, 0.055 * thick, 0.046 * thick * person.lower_width))
    if person.boots:
        top = tuple(0.55 * k + 0.45 * a for k, a in zip(knee, ankle, strict=True))
        leg.append((SHOE, top, ankle, 0.042, 0.034))
    fig.limb(leg, light)
    if person.lower_pattern == 'stripe' and not bare:
        joints = (hip, knee, last) if covered else (hip, last)
        for start, end in pairwise((x + side * 0.03, y, z) for x, y, z in joints):
            fig.ribbon(LOWER2, start, end, 0.016)


def _draw_arm(fig: Figure, person: Identity, pose: Pose, side: int) -> None:
    shoulder = (side * (0.098 * person.shoulder), 0.5 * person.leg + 0.3, 0.0)
    swing = -0.5 * person.arm_swing * math.sin(pose.phase + (0 if side > 0 else math.pi))
    bend, inward = 0.25 + max(0.0, swing) * 0.8, -0.25
    if pose.holds:
        swing, bend, inward = 0.3, 1.35, 0.55
    elif person.bag == 'hand' and side == person.bag_side:
        swing, bend = swing * 0.3, 0.1
    elbow = (
        shoulder[0] + side * 0.024,
        shoulder[1] - 0.15 * math.cos(swing),
        0.15 * math.sin(swing),
    )
    reach = 0.135 * math.sin(swing + bend)
    hand = (
        elbow[0] - side * 0.08 * inward * (inward > 0),
        elbow[1] - 0.135 * math.cos(swing + bend),
        elbow[2] + reach,
    )
    light = int(max(-24, min(6, 130 * fig.depth(elbow))))
    thick = math.sqrt(person.girth)
    sleeve = UPPER2 if person.pattern == 'splice' and person.pattern_form in (1, 3) else UPPER
    if person.bag == 'hand' and side == person.bag_side and not pose.holds:
        _draw_hand_bag(fig, person, hand)
    fig.ball(SKIN, fig.project(hand), 0.021, 0.024, light)
    wide = 1.25 if person.coat else 1.12 if person.sleeve == 'long' else 0.95
    cloth = sleeve if person.sleeve == 'long' else SKIN
    arm: list[tuple] = [
        (cloth, elbow, hand, 0.027 * thick * wide, 0.021),
        (cloth, shoulder, elbow, 0.031 * thick * wide, 0.027 * thick * wide),
    ]
    if person.sleeve == 'short':
        end = tuple(0.3 * s + 0.7 * e for s, e in zip(shoulder, elbow, strict=True))
        arm.append((sleeve, shoulder, end, 0.037 * thick, 0.036 * thick))
    fig.limb(arm, light)


def _draw_hand_bag(fig: Figure, person: Identity, hand: tuple) -> None:
    x, y, z = hand
    w, h = 0.055 * person.bag_size, 0.1 * person.bag_size
    half = math.hypot(w * fig.sin, 0.025) if abs(fig.sin) > 0.3 else w * 0.75
    px, py = fig.project((x, y - 0.02, z))
    half, tall = half * fig.scale, h * fig.scale
    fig.fill(STRAP, [(px - half * 0.6, py + 10), (px, py - 4), (px + half * 0.6, py + 10)], NEUTRAL)
    box = [
        (px - half * 0.85, py + 7),
        (px + half * 0.85, py + 7),
        (px + half, py + 7 + tall),
        (px - half, py + 7 + tall),
    ]
    fig.fill(BAG, box, NEUTRAL - 22)
    gloss = [(x * 0.6 + px * 0.4, y * 0.7 + (py + 7 + tall / 2) * 0.3) for x, y in box]
    fig.fill(0, gloss, NEUTRAL + 12)


def _draw_shoulder_bag(fig: Figure, person: Identity) -> None:
    x, y = person.bag_side * 0.11 * max(person.hip, 1.0), 0.5 * person.leg + 0.02
    w, h = 0.07 * person.bag_size, 0.055 * person.bag_size
    px, py = fig.project((x, y, 0.0))
    half = fig.scale * max(0.035, math.hypot(w * fig.sin, 0.035 * fig.cos))
    tall = h * fig.scale
    fig.box(BAG, px, half, py - tall, py + tall, NEUTRAL - 20)
    fig.box(0, px, half * 0.6, py - tall, py, NEUTRAL + 14)


def _draw_backpack(fig: Figure, person: Identity) -> None:
    top, bottom = 0.5 * person.leg + 0.31, 0.5 * person.leg + 0.31 - 0.2 * person.bag_size
    half, thick = 0.075 * person.bag_size, 0.05 * person.bag_size
    z = -0.09 if fig.cos < -0.75 else -0.06 * person.girth - thick
    px, py = fig.project((0.0, top, z))
    _, qy = fig.project((0.0, bottom, z))
    wide = fig.scale * math.hypot(half * fig.cos, thick * fig.sin)
    corner = wide * 0.35
    outline = [
        (px - wide, py + corner),
        (px - wide + corner, py),
        (px + wide - corner, py),
        (px + wide, py + corner),
    ]
    fig.fill(BAG, [*outline, (px + wide, qy), (px - wide, qy)], NEUTRAL - 26)
    fig.box(0, px + wide * 0.07, wide * 0.62, py + corner, qy - 8, NEUTRAL + 12)
    pocket = (py + 2 * qy) / 3
    fig.box(STRAP, px, wide * 0.8, pocket, pocket + 4)


def _draw_torso(fig: Figure, person: Identity) -> None:
    hip = 0.5 * person.leg
    slim = 1 / person.height
    a, b = slim * 0.094 * person.shoulder, slim * 0.06 * person.girth
    waist = slim * (0.068 if person.female else 0.08) * (0.5 + 0.5 * person.girth)
    hips = slim * 0.086 * person.hip
    armhole = 0.85 if person.sleeve == 'none' else 1.06
    rings = [
        (hip + 0.345, 0.03, 0.03),
        (hip + 0.325, a * armhole, b * 0.8),
        (hip + 0.24, a, b * 1.05),
        (hip + 0.12, waist, b),
        (hip + 0.01, hips, b * 1.08),
    ]
    if person.coat:
        rings += [(hip - 0.1, hips * 1.15, b * 1.35), (hip - 0.26, hips * 1.25, b * 1.6)]
    elif person.lower == 'dress':
        rings += [(hip - 0.12, hips * 1.3, b * 1.6), (hip - 0.2, hips * 1.45, b * 1.8)]
    else:
        rings += [(hip - 0.02 - person.hem, hips * 1.02, b * 1.1)]
    fig.trunk(UPPER, rings)
    if person.open_front and person.lower != 'dress' and fig.cos > -0.1:
        last = hip - (0.2 if person.coat else 0.0)
        fig.ribbon(INNER, (0.0, hip + 0.33, b), (0.0, last, b), 0.026 * max(fig.cos, 0.3))
    if person.pattern == 'logo' and logo_visible(fig.cos, person):
        _draw_logo(fig, person, b)


def logo_visible(ahead: float, person: Identity) -> bool:
    """Return whether a logo on chest or back faces the camera; ``ahead`` is the cosine of the yaw."""
    if person.pattern_back:
        return person.pattern == 'logo' and ahead < -0.25 and person.bag != 'backpack'
    return person.pattern == 'logo' and ahead > 0.25


def _draw_logo(fig: Figure, person: Identity, depth: float) -> None:
    z = -depth if person.pattern_back else depth
    x = (0.0, 0.035, 0.0)[person.pattern_place]
    y = 0.5 * person.leg + (0.21, 0.23, 0.13)[person.pattern_place]
    r = 0.034 + 0.022 * person.pattern_size
    shapes = (
        [(c, s) for c, s in CIRCLE],
        [(-1, -0.8), (1, -0.8), (1, 0.8), (-1, 0.8)],
        [(0, 1.1), (-1.1, -0.9), (1.1, -0.9)],
        [(-1.3, 0.35), (1.3, 0.35), (1.3, -0.35), (-1.3, -0.35)],
    )
    fig.patch(UPPER2, [(x + r * u, y + r * v, z) for u, v in shapes[person.pattern_form]])


def _draw_skirt(fig: Figure, person: Identity) -> None:
    hip, hips, b = 0.5 * person.leg, 0.084 * person.hip / person.height, 0.066 * person.girth
    length = 0.15 + 0.12 * (person.lower_width - 0.85) / 0.45
    rings = [
        (hip + 0.05, hips * 0.9, b),
        (hip, hips * 1.08, b * 1.15),
        (hip - length, hips * 1.4, b * 1.7),
    ]
    fig.trunk(LOWER, rings, -4)
    if person.lower_pattern == 'stripe':
        low = hip - length
        fig.trunk(LOWER2, [(low + 0.05, hips * 1.3, b * 1.5), (low + 0.02, hips * 1.36, b * 1.6)])


def _draw_straps(fig: Figure, person: Identity) -> None:
    top, hip = 0.5 * person.leg + 0.325, 0.5 * person.leg
    depth = 0.06 * person.girth * (1 if fig.cos > 0 else -1)
    if person.bag == 'backpack' and fig.cos > -0.2:
        for x in (-0.06, 0.06):
            fig.ribbon(STRAP, (x, top, depth), (x * 1.1, top - 0.17, depth), 0.013)
    elif person.bag == 'shoulder':
        start = (-person.bag_side * 0.06, top, depth * 0.5)
        fig.ribbon(STRAP, start, (person.bag_side * 0.1, hip + 0.05, depth), 0.012)


def draw_figure(person: Identity, pose: Pose, camera: Camera, center: float, ground: float, scale: float) -> Figure:
    """Paint a person into fresh maps of materials and shading.

    Args:
        person: The person.
        pose: What the person does.
        camera: The camera: its pitch, its roll and the side of the light.
        center: Column of the body's axis in pixels of the drawing.
        ground: Row of the feet in pixels of the drawing.
        scale: Pixels of the drawing per body height.

    Returns:
        The figure; its ``labels`` and ``shade`` are ``(HEIGHT, WIDTH)`` uint8, and label 0 marks the background.
    """
    fig = Figure(pose, camera, center, ground, scale)
    sides = sorted((-1, 1), key=lambda side: fig.depth((side, 0.0, 0.0)))
    to_camera = fig.cos > 0
    if person.bag == 'backpack' and to_camera:
        _draw_backpack(fig, person)
    for side in sides:
        if fig.depth((0.1 * side, 0.0, 0.0)) < -0.04:
            _draw_arm(fig, person, pose, side)
    for side in sides:
        _draw_leg(fig, person, pose, side)
    if person.bag == 'shoulder' and person.bag_side == sides[0]:
        _draw_shoulder_bag(fig, person)
    if person.lower == 'skirt':
        _draw_skirt(fig, person)
    neck = 0.5 * person.leg + 0.33
    draw_hair_behind(fig, person, pose)
    fig.limb([(SKIN, (0.0, neck, 0.0), (0.0, neck + 0.06, 0.008), 0.03, 0.027)], -14)
    _draw_torso(fig, person)
    _draw_straps(fig, person)
    if person.bag == 'backpack' and not to_camera:
        _draw_backpack(fig, person)
    draw_head(fig, person, pose)
    for side in sides:
        if fig.depth((0.1 * side, 0.0, 0.0)) >= -0.04:
            _draw_arm(fig, person, pose, side)
    if person.bag == 'shoulder' and person.bag_side == sides[1]:
        _draw_shoulder_bag(fig, person)
    if pose.holds:
        thing = (0.0, 0.5 * person.leg + 0.14, 0.17)
        fig.ball(THING, fig.project(thing), 0.05 * abs(fig.cos) + 0.035, 0.045)
    return fig


def _weave(fig: Figure, person: Identity) -> None:
    """Recolor parts of the garments with their second and third color, following their pattern."""
    rows = (fig.ground - np.arange(HEIGHT)) / fig.scale  # heights above ground
    columns = (np.arange(WIDTH) - fig.center) / fig.scale
    upper = fig.labels == UPPER
    chest = 0.5 * person.leg + 0.33 - rows
    if person.pattern == 'stripe':
        period = 0.055 + 0.05 * person.pattern_size
        if person.pattern_form == 2:
            mark = np.broadcast_to(columns % period < period * 0.45, upper.shape)
        elif person.pattern_form == 3:  # one broad band
            low = 0.09 + 0.05 * person.pattern_place
            mark = np.broadcast_to(((chest > low) & (chest < low + period))[:, None], upper.shape)
        else:
            mark = np.broadcast_to((chest % period < period * 0.45)[:, None], upper.shape)
        fig.labels[upper & mark] = UPPER2
    elif person.pattern == 'plaid':
        period = 0.055 + 0.035 * person.pattern_size
        across, down = columns % period < period * 0.4, chest % period < period * 0.4
        fig.labels[upper & (across[None] ^ down[:, None])] = UPPER3
        fig.labels[upper & (across[None] & down[:, None])] = UPPER2
    elif person.pattern == 'splice' and person.pattern_form != 1:
        if person.pattern_form == 0:
            mark = np.broadcast_to((chest > 0.11 + 0.06 * person.pattern_place)[:, None], upper.shape)
        elif person.pattern_form == 2:
            mark = np.broadcast_to((columns > 0.0) == (fig.cos > 0), upper.shape)
        else:
            mark = np.broadcast_to((chest < 0.08)[:, None], upper.shape)
        fig.labels[upper & mark] = UPPER2
    if person.lower_pattern == 'check':
        cell = 0.04
        mark = ((rows // cell).astype(np.int16)[:, None] + (columns // cell).astype(np.int16)[None]) & 1
        fig.labels[(fig.labels == LOWER) & (mark == 1)] = LOWER2


def _colors(person: Identity, pose: Pose) -> np.ndarray:
    """Return the color of each material, (256, 3) uint8."""
    table = np.zeros((256, 3), np.uint8)
    table[SKIN], table[HAIR] = person.skin, person.hair_color
    table[UPPER], table[UPPER2] = person.upper_color, person.upper_color2
    table[UPPER3] = [(a + b) // 2 for a, b in zip(person.upper_color, person.upper_color2, strict=True)]
    table[LOWER], table[LOWER2] = person.lower_color, person.lower_color2
    table[SHOE], table[BAG], table[THING] = person.shoe_color, person.bag_color, pose.thing
    table[STRAP] = [c * 3 // 5 for c in person.bag_color]
    table[HAT] = person.lower_color2 if person.hat == 'beanie' else person.bag_color
    table[DARK], table[INNER] = (26, 24, 28), person.upper_color2
    return table


def _paint(picture: np.ndarray, fig: Figure, person: Identity, pose: Pose, rng: np.random.RandomState) -> None:
    """Put a figure into a picture, in place."""
    _weave(fig, person)
    top = int(fig.ground - fig.scale * 0.85)
    middle = min(max(int(fig.center), 0), WIDTH)
    for _ in range(6):  # folds; inside the drawing, since OpenCV 4 and 5 clip lines differently
        x, y = middle + rng.randint(-18, 19), top + rng.randint(0, max(2, int(fig.scale * 0.8)))
        ends = np.array([(x, y), (x + rng.randint(-14, 15), y + rng.randint(-8, 14))])
        start, end = np.clip(ends, 2, (WIDTH - 3, HEIGHT - 3)).tolist()
        cv2.line(fig.shade, start, end, NEUTRAL - 44 if rng.randint(3) else NEUTRAL + 26, 2)
    shade = cv2.GaussianBlur(fig.shade, (5, 5), 0)
    cloth = np.take(_colors(person, pose), fig.labels, axis=0)
    cv2.copyTo(apply_shade(cloth, shade), fig.labels, picture)


def _draw_bystander(picture: np.ndarray, camera: Camera, rng: np.random.RandomState, front: bool) -> None:
    """Draw another person: small and behind, or in front and cut off by the crop's edge."""
    person = sample_identity(camera.key[0], BYSTANDER_PID + int(rng.randint(1 << 20)))
    pose = sample_pose(rng, camera.facing)
    away = -1 if rng.random_sample() < 0.5 else 1
    if front:
        center, scale = 64 + away * rng.uniform(46, 66), rng.uniform(225, 265)
        ground = rng.uniform(252, 280)
    else:
        center, scale = 64 + away * rng.uniform(22, 62), rng.uniform(110, 200)
        ground = 110 + scale * rng.uniform(0.5, 0.62)
    fig = draw_figure(person, pose, camera, center, ground, scale)
    _paint(picture, fig, person, pose, rng)


def _occlude(picture: np.ndarray, camera: Camera, rng: np.random.RandomState) -> None:
    """Draw a passer-by or an obstacle between person and camera, in place."""
    choice = rng.randint(1 + len(OBSTACLES))
    if choice == 0:
        _draw_bystander(picture, camera, rng, front=True)
    else:
        color = sample_color(rng)
        draw_obstacle(picture, OBSTACLES[choice - 1], color, OBSTACLE_SIZES, rng)


def cut_out_person(
    identity: Identity, pose: Pose, camera: Camera, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a standing or walking person without anything around, to be put into a larger picture.

    Args:
        identity: The person.
        pose: What the person does.
        camera: The camera: its pitch, its roll and the side of the light.
        rng: Generator of the folds of the clothes; the same one in each frame of a walk keeps them where they are.

    Returns:
        The colors ``(HEIGHT, WIDTH, 3)`` uint8, BGR, 0 outside of the person, and the mask ``(HEIGHT, WIDTH)`` uint8,
        255 on the person. The soles are in row :data:`CUT_OUT_GROUND` below the middle column, and the crown is
        :data:`CUT_OUT_TALL` rows higher.
    """
    scale = CUT_OUT_TALL / standing_height(identity, camera)
    fig = draw_figure(identity, pose, camera, WIDTH / 2, CUT_OUT_GROUND, scale)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    _paint(picture, fig, identity, pose, rng)
    return picture, np.where(fig.labels, np.uint8(255), np.uint8(0))


def render_person(
    identity: Identity,
    camera: Camera,
    seed: int,
    image_index: int,
    size: tuple[int, int] = (128, 64),
) -> tuple[np.ndarray, dict]:
    """Draw one picture of a person under a camera.

    Args:
        identity: The person, from :func:`~mmosnet.synthetic.identity.sample_identity`.
        camera: The camera, from :func:`~mmosnet.synthetic.camera.sample_camera`.
        seed: World; with ``identity.pid``, ``camera.camid`` and ``image_index`` it fixes the picture.
        image_index: Number of the person's picture under this camera.
        size: Height and width in pixels, at least 16; drawn at 256x128 and reduced.

    Returns:
        The picture, ``(height, width, 3)`` uint8, BGR, and what can be seen in it: ``viewpoint`` (front, side or back),
        ``holds_object``, ``glasses`` and ``logo``.

    Raises:
        ValueError: ``size`` is smaller than 16 pixels either way.
    """
    if min(size) < 16:
        raise ValueError(f'size must be at least (16, 16) pixels (height, width), got {size}')
    rng = random_stream(seed, IMAGE_STREAM, identity.pid, camera.camid, image_index)
    picture = crop_scene(camera, (HEIGHT, WIDTH), SCENE_ROWS, rng)
    if rng.random_sample() < BYSTANDER_PROB:
        _draw_bystander(picture, camera, rng, front=False)
    pose = sample_pose(rng, camera.facing)
    tall = HEIGHT * 0.9 * camera.scale * (1 + BOX_JITTER * rng.uniform(-1, 1))
    if rng.random_sample() < BAD_BOX_PROB:
        tall *= 1.2
    center = WIDTH / 2 + WIDTH * BOX_JITTER * rng.uniform(-1, 1)
    ground = (HEIGHT + tall) / 2 + HEIGHT * BOX_JITTER * rng.uniform(-0.5, 0.5)
    drop_shadow(picture, (int(center) - camera.light_side * 12, int(ground) - 2), (38, 9), depth=52)
    fig = draw_figure(identity, pose, camera, center, ground, tall / standing_height(identity, camera))
    _paint(picture, fig, identity, pose, rng)
    if rng.random_sample() < OCCLUSION_PROB:
        _occlude(picture, camera, rng)
    picture = cast_light(picture, rng)
    height, width = size
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    view = dict(
        viewpoint=pose.viewpoint,
        holds_object=pose.holds,
        glasses=identity.glasses and glasses_visible(pose),
        logo=logo_visible(float(np.cos(pose.yaw)), identity),
    )
    return expose(picture, camera, rng), view
