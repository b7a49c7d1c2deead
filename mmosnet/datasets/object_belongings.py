"""What belongs to people: each function draws one category, another object with other random numbers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mmosnet.datasets.object_part import (
    COLOURS,
    CREAM,
    DARK,
    FURS,
    GLASSES,
    POSTS,
    STEEL,
    WOODS,
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


def backpack(rng: np.random.RandomState) -> list[Part]:
    main, second = dye(rng, COLOURS), dye(rng, COLOURS)
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
    parts.append(box(dye(rng, COLOURS), -neck * 1.2, 0.92, neck * 1.2, 1.0))
    if chance(rng, 0.7):
        low = rng.uniform(0.08, 0.2)
        parts.append(box(dye(rng, (CREAM, *COLOURS)), -half, low, half, low + rng.uniform(0.14, 0.3)))
    return [*parts, stroke(tone(glass, 150), 0.03, (-half * 0.55, 0.1), (-half * 0.55, shoulder))]


def chair(rng: np.random.RandomState) -> list[Part]:
    seat_colour, frame = dye(rng, (*WOODS, *COLOURS)), dye(rng, (*WOODS, *POSTS))
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
        parts.append(box(seat_colour, -half * 0.95 + lean * 1.2, low, half * 0.95 + lean * 1.2, back, 0.03))
    else:
        for y in np.linspace(seat + 0.2, back - 0.04, int(rng.randint(2, 4))):
            parts.append(stroke(seat_colour, 0.06, (-half * 0.95 + lean * 1.3, y), (half * 0.95 + lean * 1.3, y)))
    front = seat - depth
    parts.append(
        area(seat_colour, (-half, front), (half, front), (half + lean, seat + 0.03), (-half + lean, seat + 0.03))
    )
    parts.append(stroke(tone(seat_colour, 60), 0.05, (-half, front), (half, front)))
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
    main = dye(rng, COLOURS)
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
    cloth, second = dye(rng, COLOURS), dye(rng, COLOURS)
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
