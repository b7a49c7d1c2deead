"""A drawn pedestrian's body: limbs, garments and bags, painted from far to near."""

import math
from itertools import pairwise

from mmosnet.datasets.pedestrian_camera import Camera
from mmosnet.datasets.pedestrian_figure import (
    BAG,
    CIRCLE,
    INNER,
    LOWER,
    LOWER2,
    NEUTRAL,
    SHOE,
    SKIN,
    STRAP,
    THING,
    UPPER,
    UPPER2,
    Figure,
    Pose,
)
from mmosnet.datasets.pedestrian_head import draw_hair_behind, draw_head
from mmosnet.datasets.pedestrian_identity import Identity


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
