"""Draw people.

The canvas that a pedestrian is painted on, and the moment of the walk that is painted.

Lengths are body heights (x to the person's left, y up, z ahead); the person's yaw and the camera's
pitch project them onto a drawing. Parts are painted far to near into a map of materials and a map
of shading; whoever asks for the figure turns materials into colours and patterns, over whole maps
at once, which is what makes this fast.

A drawn pedestrian's head: face, hair, hat and glasses.

A drawn pedestrian's body: limbs, garments and bags, painted from far to near.

Draw small pictures of walking people as surveillance cameras see them.

scene of the camera -> bystander -> shadow and person -> what stands in front -> uneven light ->
reduced to the crop -> the camera's sensor. Every picture has a random generator of its own, keyed
by world, person, camera and image, so any picture can be drawn alone, in any order, on any machine,
and comes out the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from mmosnet.synthetic.camera import HORIZON, Camera, cast_light, draw_scene, expose
from mmosnet.synthetic.identity import BELONGING_PALETTE, IMAGE_STREAM, Identity, random_stream, sample_identity

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


def draw_head(fig: Figure, who: Identity, pose: Pose) -> None:
    """Draw head, hair, hat and glasses; the face shows as far as the head is turned to the camera."""
    yaw = pose.yaw + pose.head_turn
    ahead, aside = math.cos(yaw), math.sin(yaw)
    rx, ry = 0.046 * who.head, 0.062 * who.head
    cx, cy = fig.project((0.0, 0.5 * who.leg + 0.325 + 0.05 + ry, 0.012))
    s = fig.scale
    if who.hair == 'ponytail' and ahead > -0.5:
        fig.ball(HAIR, (cx - aside * 0.05 * s, cy + 0.02 * s), 0.022, 0.05, -8)
    if who.hair in ('bun', 'ponytail'):
        fig.ball(HAIR, (cx - aside * 0.03 * s, cy - ry * 0.85 * s), 0.026, 0.024)
    bulk = {'bald': 1.0, 'short': 1.06, 'afro': 1.5}.get(who.hair, 1.14)
    bare = who.hair == 'bald'
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
        if who.glasses and glasses_visible(pose):
            bridge = cx + aside * 0.6 * rx * s
            fig.box(DARK, bridge, 0.74 * rx * s, eye - 0.5, eye + 0.5)
            for k in (-0.4, 0.4):
                fig.box(DARK, bridge + k * rx * s, 0.28 * rx * s, eye - 1.5, eye + 2.5, NEUTRAL)
    if who.hair in ('long', 'bob') and ahead < 0.6:  # hair over the back and over the turned side
        low = 0.15 if who.hair == 'long' else 0.075
        mid, wide = cx - aside * rx * 0.55 * s, rx * (1.0 if ahead < -0.3 else 0.62) * s
        fig.box(HAIR, mid, wide, cy, cy + low * s, NEUTRAL - 14)
    if who.hair == 'ponytail' and ahead <= -0.5:
        fig.ball(HAIR, (cx, cy + 0.06 * s), 0.022, 0.07)
    _draw_hat(fig, who, cx, cy, (ahead, aside))


def glasses_visible(pose: Pose) -> bool:
    """Return whether the head is turned so that glasses would show."""
    return math.cos(pose.yaw + pose.head_turn) > -0.1


def _draw_hat(fig: Figure, who: Identity, cx: float, cy: float, facing: tuple[float, float]) -> None:
    if who.hat == 'none':
        return
    s, rx, ry = fig.scale, 0.05 * who.head, 0.064 * who.head
    crown = [(cx + 1.12 * rx * c * s, cy - 0.2 * ry * s + 1.05 * ry * min(v, 0.12) * s) for c, v in CIRCLE]
    fig.fill(HAT, crown, NEUTRAL - 16)
    fig.fill(
        0,
        [(0.5 * (x + cx) + fig.light * 8, 0.6 * y + 0.4 * (cy - 0.7 * ry * s)) for x, y in crown],
        NEUTRAL + 12,
    )
    ahead, aside = facing
    brow = cy - 0.22 * ry * s
    if who.hat == 'cap':
        mid, half = cx + aside * rx * 1.1 * s, rx * (0.5 + 0.4 * abs(ahead)) * s
        if ahead > -0.5:
            fig.box(HAT, mid, half, brow - 4, brow + 4, NEUTRAL - 34)
    elif who.hat == 'brim':
        fig.ball(HAT, (cx, brow), rx * 1.9, ry * 0.26, -12)


def draw_hair_behind(fig: Figure, who: Identity, pose: Pose) -> None:
    """Draw long hair that falls behind the shoulders of a person who faces the camera."""
    if who.hair not in ('long', 'bob') or math.cos(pose.yaw + pose.head_turn) < 0.0:
        return
    s, rx, low = fig.scale, 0.046 * who.head, (0.19 if who.hair == 'long' else 0.105)
    cx, cy = fig.project((0.0, 0.5 * who.leg + 0.43, -0.02))
    half = rx * 1.25 * s
    fig.box(HAIR, cx, half, cy, cy + low * s, NEUTRAL - 24)


def standing_height(who: Identity, camera: Camera) -> float:
    """Return the height from the soles to the crown in body heights, as the camera sees it."""
    top = 0.5 * who.leg + 0.375 + 0.13 * who.head
    return top * (1 - 0.12 * math.sin(camera.pitch) * top)


def _draw_leg(fig: Figure, who: Identity, pose: Pose, side: int) -> None:
    swing = 0.45 * who.stride * math.sin(pose.phase + (0 if side > 0 else math.pi))
    bend = 0.15 + 0.55 * max(0.0, math.cos(pose.phase + (0 if side > 0 else math.pi))) * who.stride
    hip = (side * 0.046 * who.hip, 0.49 * who.leg, 0.0)
    thigh, shin = 0.225 * who.leg, 0.215 * who.leg
    knee = (hip[0], hip[1] - thigh * math.cos(swing), thigh * math.sin(swing))
    ankle = (
        hip[0],
        knee[1] - shin * math.cos(swing - bend),
        knee[2] + shin * math.sin(swing - bend),
    )
    light = int(max(-26, min(4, 160 * fig.depth(knee))))
    thick = math.sqrt(who.girth)
    heel = (ankle[0], ankle[1] - 0.03, ankle[2] - 0.018)
    toe = (ankle[0] * 1.15, ankle[1] - 0.034 + 0.02 * max(0.0, swing), ankle[2] + 0.072)
    fig.limb([(SHOE, heel, toe, 0.024, 0.02)], light)
    covered, bare = who.lower == 'trousers', who.lower in ('skirt', 'dress')
    wide = who.lower_width if covered else 0.86
    last = ankle if covered else tuple(0.25 * h + 0.75 * k for h, k in zip(hip, knee, strict=True))
    cloth = LOWER if covered else SKIN
    leg: list[tuple] = [
        (cloth, knee, ankle, 0.037 * thick * wide, 0.034 * wide if covered else 0.024),
        (cloth, hip, knee, 0.052 * thick, 0.038 * thick * wide),
    ]
    if who.lower == 'shorts':
        leg.append((LOWER, hip, last, 0.055 * thick, 0.046 * thick * who.lower_width))
    if who.boots:
        top = tuple(0.55 * k + 0.45 * a for k, a in zip(knee, ankle, strict=True))
        leg.append((SHOE, top, ankle, 0.042, 0.034))
    fig.limb(leg, light)
    if who.lower_pattern == 'stripe' and not bare:
        joints = (hip, knee, last) if covered else (hip, last)
        for start, end in pairwise((x + side * 0.03, y, z) for x, y, z in joints):
            fig.ribbon(LOWER2, start, end, 0.016)


def _draw_arm(fig: Figure, who: Identity, pose: Pose, side: int) -> None:
    shoulder = (side * (0.098 * who.shoulder), 0.5 * who.leg + 0.3, 0.0)
    swing = -0.5 * who.arm_swing * math.sin(pose.phase + (0 if side > 0 else math.pi))
    bend, inward = 0.25 + max(0.0, swing) * 0.8, -0.25
    if pose.holds:
        swing, bend, inward = 0.3, 1.35, 0.55
    elif who.bag == 'hand' and side == who.bag_side:
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
    thick = math.sqrt(who.girth)
    sleeve = UPPER2 if who.pattern == 'splice' and who.pattern_form in (1, 3) else UPPER
    if who.bag == 'hand' and side == who.bag_side and not pose.holds:
        _draw_hand_bag(fig, who, hand)
    fig.ball(SKIN, fig.project(hand), 0.021, 0.024, light)
    wide = 1.25 if who.coat else 1.12 if who.sleeve == 'long' else 0.95
    cloth = sleeve if who.sleeve == 'long' else SKIN
    arm: list[tuple] = [
        (cloth, elbow, hand, 0.027 * thick * wide, 0.021),
        (cloth, shoulder, elbow, 0.031 * thick * wide, 0.027 * thick * wide),
    ]
    if who.sleeve == 'short':
        end = tuple(0.3 * s + 0.7 * e for s, e in zip(shoulder, elbow, strict=True))
        arm.append((sleeve, shoulder, end, 0.037 * thick, 0.036 * thick))
    fig.limb(arm, light)


def _draw_hand_bag(fig: Figure, who: Identity, hand: tuple) -> None:
    x, y, z = hand
    w, h = 0.055 * who.bag_size, 0.1 * who.bag_size
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


def _draw_shoulder_bag(fig: Figure, who: Identity) -> None:
    x, y = who.bag_side * 0.11 * max(who.hip, 1.0), 0.5 * who.leg + 0.02
    w, h = 0.07 * who.bag_size, 0.055 * who.bag_size
    px, py = fig.project((x, y, 0.0))
    half = fig.scale * max(0.035, math.hypot(w * fig.sin, 0.035 * fig.cos))
    tall = h * fig.scale
    fig.box(BAG, px, half, py - tall, py + tall, NEUTRAL - 20)
    fig.box(0, px, half * 0.6, py - tall, py, NEUTRAL + 14)


def _draw_backpack(fig: Figure, who: Identity) -> None:
    top, bottom = 0.5 * who.leg + 0.31, 0.5 * who.leg + 0.31 - 0.2 * who.bag_size
    half, thick = 0.075 * who.bag_size, 0.05 * who.bag_size
    z = -0.09 if fig.cos < -0.75 else -0.06 * who.girth - thick
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


def _draw_torso(fig: Figure, who: Identity) -> None:
    hip = 0.5 * who.leg
    slim = 1 / who.height
    a, b = slim * 0.094 * who.shoulder, slim * 0.06 * who.girth
    waist = slim * (0.068 if who.female else 0.08) * (0.5 + 0.5 * who.girth)
    hips = slim * 0.086 * who.hip
    armhole = 0.85 if who.sleeve == 'none' else 1.06
    rings = [
        (hip + 0.345, 0.03, 0.03),
        (hip + 0.325, a * armhole, b * 0.8),
        (hip + 0.24, a, b * 1.05),
        (hip + 0.12, waist, b),
        (hip + 0.01, hips, b * 1.08),
    ]
    if who.coat:
        rings += [(hip - 0.1, hips * 1.15, b * 1.35), (hip - 0.26, hips * 1.25, b * 1.6)]
    elif who.lower == 'dress':
        rings += [(hip - 0.12, hips * 1.3, b * 1.6), (hip - 0.2, hips * 1.45, b * 1.8)]
    else:
        rings += [(hip - 0.02 - who.hem, hips * 1.02, b * 1.1)]
    fig.trunk(UPPER, rings)
    if who.open_front and who.lower != 'dress' and fig.cos > -0.1:
        last = hip - (0.2 if who.coat else 0.0)
        fig.ribbon(INNER, (0.0, hip + 0.33, b), (0.0, last, b), 0.026 * max(fig.cos, 0.3))
    if who.pattern == 'logo' and logo_visible(fig.cos, who):
        _draw_logo(fig, who, b)


def logo_visible(ahead: float, who: Identity) -> bool:
    """Return whether a logo on chest or back faces the camera; `ahead` is the cosine of the yaw."""
    if who.pattern_back:
        return who.pattern == 'logo' and ahead < -0.25 and who.bag != 'backpack'
    return who.pattern == 'logo' and ahead > 0.25


def _draw_logo(fig: Figure, who: Identity, depth: float) -> None:
    z = -depth if who.pattern_back else depth
    x = (0.0, 0.035, 0.0)[who.pattern_place]
    y = 0.5 * who.leg + (0.21, 0.23, 0.13)[who.pattern_place]
    r = 0.034 + 0.022 * who.pattern_size
    shapes = (
        [(c, s) for c, s in CIRCLE],
        [(-1, -0.8), (1, -0.8), (1, 0.8), (-1, 0.8)],
        [(0, 1.1), (-1.1, -0.9), (1.1, -0.9)],
        [(-1.3, 0.35), (1.3, 0.35), (1.3, -0.35), (-1.3, -0.35)],
    )
    fig.patch(UPPER2, [(x + r * u, y + r * v, z) for u, v in shapes[who.pattern_form]])


def _draw_skirt(fig: Figure, who: Identity) -> None:
    hip, hips, b = 0.5 * who.leg, 0.084 * who.hip / who.height, 0.066 * who.girth
    length = 0.15 + 0.12 * (who.lower_width - 0.85) / 0.45
    rings = [
        (hip + 0.05, hips * 0.9, b),
        (hip, hips * 1.08, b * 1.15),
        (hip - length, hips * 1.4, b * 1.7),
    ]
    fig.trunk(LOWER, rings, -4)
    if who.lower_pattern == 'stripe':
        low = hip - length
        fig.trunk(LOWER2, [(low + 0.05, hips * 1.3, b * 1.5), (low + 0.02, hips * 1.36, b * 1.6)])


def _draw_straps(fig: Figure, who: Identity) -> None:
    top, hip = 0.5 * who.leg + 0.325, 0.5 * who.leg
    depth = 0.06 * who.girth * (1 if fig.cos > 0 else -1)
    if who.bag == 'backpack' and fig.cos > -0.2:
        for x in (-0.06, 0.06):
            fig.ribbon(STRAP, (x, top, depth), (x * 1.1, top - 0.17, depth), 0.013)
    elif who.bag == 'shoulder':
        start = (-who.bag_side * 0.06, top, depth * 0.5)
        fig.ribbon(STRAP, start, (who.bag_side * 0.1, hip + 0.05, depth), 0.012)


def draw_figure(who: Identity, pose: Pose, camera: Camera, centre: float, ground: float, scale: float) -> Figure:
    """Paint a person into fresh maps of materials and shading.

    Args:
        who (Identity): The person.
        pose (Pose): What the person does.
        camera (Camera): Who looks: pitch, roll and side of the light.
        centre (float): Column of the body's axis in pixels of the drawing.
        ground (float): Row of the feet in pixels of the drawing.
        scale (float): Pixels of the drawing per body height.

    Returns:
        Figure: Its `labels` and `shade` are (HEIGHT, WIDTH) uint8; label 0 marks the background.
    """
    fig = Figure(pose, camera, centre, ground, scale)
    sides = sorted((-1, 1), key=lambda side: fig.depth((side, 0.0, 0.0)))
    to_camera = fig.cos > 0
    if who.bag == 'backpack' and to_camera:
        _draw_backpack(fig, who)
    for side in sides:
        if fig.depth((0.1 * side, 0.0, 0.0)) < -0.04:
            _draw_arm(fig, who, pose, side)
    for side in sides:
        _draw_leg(fig, who, pose, side)
    if who.bag == 'shoulder' and who.bag_side == sides[0]:
        _draw_shoulder_bag(fig, who)
    if who.lower == 'skirt':
        _draw_skirt(fig, who)
    neck = 0.5 * who.leg + 0.33
    draw_hair_behind(fig, who, pose)
    fig.limb([(SKIN, (0.0, neck, 0.0), (0.0, neck + 0.06, 0.008), 0.03, 0.027)], -14)
    _draw_torso(fig, who)
    _draw_straps(fig, who)
    if who.bag == 'backpack' and not to_camera:
        _draw_backpack(fig, who)
    draw_head(fig, who, pose)
    for side in sides:
        if fig.depth((0.1 * side, 0.0, 0.0)) >= -0.04:
            _draw_arm(fig, who, pose, side)
    if who.bag == 'shoulder' and who.bag_side == sides[1]:
        _draw_shoulder_bag(fig, who)
    if pose.holds:
        thing = (0.0, 0.5 * who.leg + 0.14, 0.17)
        fig.ball(THING, fig.project(thing), 0.05 * abs(fig.cos) + 0.035, 0.045)
    return fig


RENDERER_VERSION = 1  # raise it whenever any picture changes

# How hard single pictures are.
OCCLUSION_PROB = 0.14  # something stands in front of the person
BYSTANDER_PROB = 0.2  # another person further back
BOX_JITTER = 0.05  # how far, in crop sizes, the detector's box is off
BAD_BOX_PROB = 0.08  # a box so tight that head or feet are cut

BYSTANDER_PID = 1 << 20  # bystanders are nobody of the data set


def _weave(fig: Figure, who: Identity) -> None:
    """Recolor parts of the garments with their second and third color, following their pattern."""
    rows = (fig.ground - np.arange(HEIGHT)) / fig.scale  # heights above ground
    columns = (np.arange(WIDTH) - fig.centre) / fig.scale
    upper = fig.labels == UPPER
    chest = 0.5 * who.leg + 0.33 - rows
    if who.pattern == 'stripe':
        period = 0.055 + 0.05 * who.pattern_size
        if who.pattern_form == 2:
            mark = np.broadcast_to(columns % period < period * 0.45, upper.shape)
        elif who.pattern_form == 3:  # one broad band
            low = 0.09 + 0.05 * who.pattern_place
            mark = np.broadcast_to(((chest > low) & (chest < low + period))[:, None], upper.shape)
        else:
            mark = np.broadcast_to((chest % period < period * 0.45)[:, None], upper.shape)
        fig.labels[upper & mark] = UPPER2
    elif who.pattern == 'plaid':
        period = 0.055 + 0.035 * who.pattern_size
        across, down = columns % period < period * 0.4, chest % period < period * 0.4
        fig.labels[upper & (across[None] ^ down[:, None])] = UPPER3
        fig.labels[upper & (across[None] & down[:, None])] = UPPER2
    elif who.pattern == 'splice' and who.pattern_form != 1:
        if who.pattern_form == 0:
            mark = np.broadcast_to((chest > 0.11 + 0.06 * who.pattern_place)[:, None], upper.shape)
        elif who.pattern_form == 2:
            mark = np.broadcast_to((columns > 0.0) == (fig.cos > 0), upper.shape)
        else:
            mark = np.broadcast_to((chest < 0.08)[:, None], upper.shape)
        fig.labels[upper & mark] = UPPER2
    if who.lower_pattern == 'check':
        cell = 0.04
        mark = ((rows // cell).astype(np.int16)[:, None] + (columns // cell).astype(np.int16)[None]) & 1
        fig.labels[(fig.labels == LOWER) & (mark == 1)] = LOWER2


def _colours(who: Identity, pose: Pose) -> np.ndarray:
    """Return the color of each material, (256, 3) uint8."""
    table = np.zeros((256, 3), np.uint8)
    table[SKIN], table[HAIR] = who.skin, who.hair_colour
    table[UPPER], table[UPPER2] = who.upper_colour, who.upper_colour2
    table[UPPER3] = [(a + b) // 2 for a, b in zip(who.upper_colour, who.upper_colour2, strict=True)]
    table[LOWER], table[LOWER2] = who.lower_colour, who.lower_colour2
    table[SHOE], table[BAG], table[THING] = who.shoe_colour, who.bag_colour, pose.thing
    table[STRAP] = [c * 3 // 5 for c in who.bag_colour]
    table[HAT] = who.lower_colour2 if who.hat == 'beanie' else who.bag_colour
    table[DARK], table[INNER] = (26, 24, 28), who.upper_colour2
    return table


def _paint(picture: np.ndarray, fig: Figure, who: Identity, pose: Pose, rng: np.random.RandomState) -> None:
    """Put a figure into a picture, in place."""
    _weave(fig, who)
    top = int(fig.ground - fig.scale * 0.85)
    middle = min(max(int(fig.centre), 0), WIDTH)
    for _ in range(6):  # folds; inside the drawing, since OpenCV 4 and 5 clip lines differently
        x, y = middle + rng.randint(-18, 19), top + rng.randint(0, max(2, int(fig.scale * 0.8)))
        ends = np.array([(x, y), (x + rng.randint(-14, 15), y + rng.randint(-8, 14))])
        start, end = np.clip(ends, 2, (WIDTH - 3, HEIGHT - 3)).tolist()
        cv2.line(fig.shade, start, end, NEUTRAL - 44 if rng.randint(3) else NEUTRAL + 26, 2)
    shade = cv2.GaussianBlur(fig.shade, (5, 5), 0)
    cloth = np.take(_colours(who, pose), fig.labels, axis=0)
    cv2.copyTo(cv2.multiply(cloth, cv2.merge([shade] * 3), scale=1 / NEUTRAL), fig.labels, picture)


def _drop_shadow(picture: np.ndarray, centre: float, ground: float, side: int) -> None:
    top = max(0, min(HEIGHT - 40, int(ground) - 24))
    strip = picture[top:]
    shadow = np.full(strip.shape[:2], NEUTRAL, np.uint8)
    middle = (int(centre) - side * 12, int(ground) - top - 2)
    cv2.ellipse(shadow, middle, (38, 9), 0, 0, 360, NEUTRAL - 52, -1)
    shadow = cv2.GaussianBlur(shadow, (5, 5), 0)
    strip[:] = cv2.multiply(strip, cv2.merge([shadow] * 3), scale=1 / NEUTRAL)


def _draw_bystander(picture: np.ndarray, camera: Camera, rng: np.random.RandomState, front: bool) -> None:
    """Draw another person: small and behind, or in front and cut off by the crop's edge."""
    who = sample_identity(camera.key[0], BYSTANDER_PID + int(rng.randint(1 << 20)))
    pose = sample_pose(rng, camera.facing)
    away = -1 if rng.random_sample() < 0.5 else 1
    if front:
        centre, scale = 64 + away * rng.uniform(46, 66), rng.uniform(225, 265)
        ground = rng.uniform(252, 280)
    else:
        centre, scale = 64 + away * rng.uniform(22, 62), rng.uniform(110, 200)
        ground = 110 + scale * rng.uniform(0.5, 0.62)
    fig = draw_figure(who, pose, camera, centre, ground, scale)
    _paint(picture, fig, who, pose, rng)


def _occlude(picture: np.ndarray, camera: Camera, rng: np.random.RandomState) -> None:
    """Draw a post, a low wall, a corner or a passer-by between person and camera."""
    kind = rng.randint(4)
    if kind == 0:
        _draw_bystander(picture, camera, rng, front=True)
        return
    colour = tuple(int(c) for c in rng.randint(40, 190) + rng.randint(-20, 21, 3))
    dark = tuple(max(0, c * 5 // 8) for c in colour)
    if kind == 1:
        x, wide = int(rng.randint(20, 100)), int(rng.randint(8, 22))
        box, edge = (x, 0, x + wide, HEIGHT), (x + wide * 2 // 3, 0, x + wide, HEIGHT)
    elif kind == 2:
        y = HEIGHT - int(rng.randint(34, 96))
        box, edge = (0, y, WIDTH, HEIGHT), (0, y, WIDTH, y + 7)
    else:
        wide = int(rng.randint(20, 50))
        left = 0 if rng.randint(2) else WIDTH - wide
        box, edge = (left, 0, left + wide, HEIGHT), (left, 0, left + 4, HEIGHT)
    cv2.rectangle(picture, box[:2], box[2:], colour, -1)
    cv2.rectangle(picture, edge[:2], edge[2:], dark, -1)


def _background(camera: Camera, rng: np.random.RandomState) -> np.ndarray:
    scene = draw_scene(camera)
    top = int(rng.randint(HORIZON - 150, HORIZON - 60))
    left = int(rng.randint(0, scene.shape[1] - WIDTH))
    return scene[top : top + HEIGHT, left : left + WIDTH].copy()


def render_person(
    identity: Identity,
    camera: Camera,
    seed: int,
    image_index: int,
    size: tuple[int, int] = (128, 64),
) -> tuple[np.ndarray, dict]:
    """Draw one picture of a person under a camera.

    Args:
        identity (Identity): The person, from `sample_identity`.
        camera (Camera): The camera, from `sample_camera`.
        seed (int): World; with `identity.pid`, `camera.camid` and `image_index` it fixes the
            picture.
        image_index (int): Number of the person's picture under this camera.
        size (tuple[int, int]): Height and width in pixels; drawn at 256x128 and reduced.

    Returns:
        tuple[np.ndarray, dict]: (height, width, 3) BGR uint8, and the facts of this view:
        `viewpoint` (front, side or back), `holds_object`, `glasses` and `logo` (whether they can be
        seen).

    Raises:
        ValueError: if `size` is smaller than 16 pixels either way.
    """
    if min(size) < 16:
        raise ValueError(f'size must be at least (16, 16) pixels (height, width), got {size}')
    rng = random_stream(seed, IMAGE_STREAM, identity.pid, camera.camid, image_index)
    picture = _background(camera, rng)
    if rng.random_sample() < BYSTANDER_PROB:
        _draw_bystander(picture, camera, rng, front=False)
    pose = sample_pose(rng, camera.facing)
    tall = HEIGHT * 0.9 * camera.scale * (1 + BOX_JITTER * rng.uniform(-1, 1))
    if rng.random_sample() < BAD_BOX_PROB:
        tall *= 1.2
    centre = WIDTH / 2 + WIDTH * BOX_JITTER * rng.uniform(-1, 1)
    ground = (HEIGHT + tall) / 2 + HEIGHT * BOX_JITTER * rng.uniform(-0.5, 0.5)
    _drop_shadow(picture, centre, ground, camera.light_side)
    fig = draw_figure(identity, pose, camera, centre, ground, tall / standing_height(identity, camera))
    _paint(picture, fig, identity, pose, rng)
    if rng.random_sample() < OCCLUSION_PROB:
        _occlude(picture, camera, rng)
    picture = cast_light(picture, rng)
    height, width = size
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    facts = dict(
        viewpoint=pose.viewpoint,
        holds_object=pose.holds,
        glasses=identity.glasses and glasses_visible(pose),
        logo=logo_visible(float(np.cos(pose.yaw)), identity),
    )
    return expose(picture, camera, rng), facts
