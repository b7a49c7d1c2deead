"""A drawn pedestrian's head: face, hair, hat and glasses."""

import math

from mmosnet.datasets.pedestrian_figure import CIRCLE, DARK, HAIR, HAT, NEUTRAL, SKIN, Figure, Pose
from mmosnet.datasets.pedestrian_identity import Identity


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
