"""What stands in streets: each function draws one category, another object with other random numbers."""

from __future__ import annotations

import numpy as np

from mmosnet.datasets.object_part import (
    COLOURS,
    CREAM,
    DARK,
    GLASS,
    LEAVES,
    POSTS,
    SIGNALS,
    STEEL,
    WOODS,
    Colour,
    Part,
    arc,
    area,
    box,
    chance,
    disc,
    dye,
    pick,
    stroke,
    tone,
)


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
    frame, tyre = dye(rng, COLOURS), dye(rng, (DARK, (60, 60, 64)))
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
    paint = dye(rng, COLOURS)
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


def _car_front(rng: np.random.RandomState, paint: Colour) -> list[Part]:
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
    shade, wide, tall = dye(rng, (CREAM, *COLOURS)), rng.uniform(0.17, 0.28), rng.uniform(0.2, 0.34)
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
        colour = SIGNALS[lamp if lamps == 3 else 2 * lamp]
        y = 1.0 - 0.02 - radius * 1.25 - lamp * radius * 2.5
        parts.append(disc(colour if lamp == lit else tone(colour, 28), 0, y, radius))
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
