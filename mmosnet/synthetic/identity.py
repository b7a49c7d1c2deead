"""Sample the people of a synthetic world: body, clothes, belongings and their PA-100K attributes.

Clothing colors come from a short palette, so that many identities share them and differ in pattern, cut, bag, hair and
proportions as well: color alone must not solve re-identification.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Difficulty of distinguishing identities. With fewer colors, more people are dressed alike.
UPPER_PALETTE_SIZE = 8
LOWER_PALETTE_SIZE = 5
COLOR_JITTER = 8  # +- gray levels that one person's dye differs from the palette
PLAIN_UPPER_PROB = 0.3
BAG_PROB = 0.6

# BGR. Order matters: a smaller palette keeps the first entries.
UPPER_PALETTE = (
    (38, 36, 40),  # black
    (226, 228, 230),  # white
    (136, 136, 138),  # gray
    (48, 44, 176),  # red
    (130, 74, 40),  # blue
    (92, 128, 84),  # green
    (70, 186, 220),  # yellow
    (178, 130, 206),  # pink
    (168, 186, 206),  # beige
    (150, 84, 120),  # purple
    (196, 170, 110),  # light blue
    (50, 106, 210),  # orange
)
LOWER_PALETTE = (
    (40, 38, 42),  # black
    (118, 84, 56),  # jeans
    (128, 128, 126),  # gray
    (128, 162, 190),  # khaki
    (62, 70, 96),  # brown
    (214, 216, 218),  # white
    (60, 84, 66),  # olive
    (60, 50, 140),  # wine
)
BELONGING_PALETTE = (
    (30, 28, 34),
    (60, 60, 190),
    (60, 98, 140),
    (160, 96, 40),
    (200, 206, 210),
    (70, 140, 70),
    (60, 190, 230),
)
SKIN_TONES = ((168, 196, 232), (140, 172, 216), (104, 140, 190), (70, 100, 146), (46, 64, 96))
HAIR_COLORS = ((24, 22, 26), (30, 40, 62), (44, 74, 116), (96, 156, 206), (40, 60, 140))
GRAY_HAIR = (150, 152, 154)

# The official order of PA-100K, its spelling included ('UpperStride' is striped).
ATTRIBUTES = (
    'Female',
    'AgeOver60',
    'Age18-60',
    'AgeLess18',
    'Front',
    'Side',
    'Back',
    'Hat',
    'Glasses',
    'HandBag',
    'ShoulderBag',
    'Backpack',
    'HoldObjectsInFront',
    'ShortSleeve',
    'LongSleeve',
    'UpperStride',
    'UpperLogo',
    'UpperPlaid',
    'UpperSplice',
    'LowerStripe',
    'LowerPattern',
    'LongCoat',
    'Trousers',
    'Shorts',
    'Skirt&Dress',
    'boots',
)

Color = tuple[int, ...]

# Random streams of different purpose; those of one drawing never share a key.
IDENTITY_STREAM, CAMERA_STREAM, IMAGE_STREAM, SCENE_STREAM = 1, 2, 3, 4


def random_stream(seed: int, purpose: int, *keys: int) -> np.random.RandomState:
    """Return a separate generator for these keys; numpy guarantees that RandomState streams never change."""
    return np.random.RandomState([int(key) & 0xFFFFFFFF for key in (seed, purpose, *keys)])


@dataclass(frozen=True)
class Identity:
    """One person. Colors are BGR, lengths are factors on the average body; ``pid`` seeds the images."""

    pid: int
    female: bool
    age: str  # child, adult, senior
    height: float
    shoulder: float
    hip: float
    girth: float
    leg: float
    head: float
    skin: Color
    hair: str  # bald, short, bob, long, ponytail, bun, afro
    hair_color: Color
    hat: str  # none, cap, beanie, brim
    glasses: bool
    upper_color: Color
    upper_color2: Color
    sleeve: str  # none, short, long
    pattern: str  # plain, stripe, plaid, splice, logo
    pattern_form: int  # 0..3: which stripe direction, splice cut or logo shape
    pattern_size: float  # 0..1: fine to coarse
    pattern_place: int  # 0..2: where a logo or a cut sits
    pattern_back: bool  # a logo on the back instead of the chest
    coat: bool
    open_front: bool
    hem: float
    lower: str  # trousers, shorts, skirt, dress
    lower_color: Color
    lower_color2: Color
    lower_pattern: str  # plain, stripe, check
    lower_width: float
    boots: bool
    shoe_color: Color
    bag: str  # none, hand, shoulder, backpack
    bag_color: Color
    bag_size: float
    bag_side: int  # +1 left or -1 right of the body
    stride: float
    arm_swing: float


def pick(rng: np.random.RandomState, options, probs=None):
    """Return one of the options, by default each with equal probability; probabilities need not sum to 1."""
    if probs is None:
        return options[rng.randint(len(options))]
    edges = np.cumsum(probs)
    return options[int(np.searchsorted(edges, rng.random_sample() * edges[-1], side='right'))]


def shift_color(rng: np.random.RandomState, color: Color, most: int = COLOR_JITTER) -> Color:
    """Return a color whose channels are shifted by up to ``most`` levels."""
    shift = rng.randint(-most, most + 1, 3)
    return tuple(int(np.clip(c + s, 0, 255)) for c, s in zip(color, shift, strict=True))


def _two_colors(rng: np.random.RandomState, palette: tuple[Color, ...]) -> tuple[Color, Color]:
    """Return two palette colors that differ clearly in a small picture."""
    first = palette[rng.randint(len(palette))]
    far = [c for c in palette if sum(abs(a - b) for a, b in zip(c, first, strict=True)) > 130]
    return shift_color(rng, first), shift_color(rng, far[rng.randint(len(far))])


def _sample_body(rng: np.random.RandomState, female: bool, age: str) -> dict:
    child = age == 'child'
    return dict(
        height=rng.uniform(0.93, 1.05) - 0.04 * female - 0.1 * child,
        shoulder=rng.uniform(0.85, 1.18) - 0.08 * female - 0.04 * child,
        hip=rng.uniform(0.85, 1.15) + 0.06 * female,
        girth=rng.uniform(0.8, 1.4) - 0.05 * child,
        leg=rng.uniform(0.94, 1.06) - 0.05 * child,
        head=rng.uniform(0.92, 1.1) + 0.2 * child,
        skin=pick(rng, SKIN_TONES, (4, 4, 3, 2, 1)),
        stride=rng.uniform(0.8, 1.15),
        arm_swing=rng.uniform(0.6, 1.2),
    )


def _sample_head(rng: np.random.RandomState, female: bool, age: str) -> dict:
    styles = ('bald', 'short', 'bob', 'long', 'ponytail', 'bun', 'afro')
    hair_color = pick(rng, HAIR_COLORS, (5, 4, 2, 2, 1))
    return dict(
        hair=pick(rng, styles, (0, 1, 2, 4, 3, 1.5, 0.5) if female else (1.5, 6, 0.7, 0.5, 0.3, 0, 0.7)),
        hair_color=GRAY_HAIR if age == 'senior' else hair_color,
        hat=pick(rng, ('none', 'cap', 'beanie', 'brim'), (0.72, 0.14, 0.08, 0.06)),
        glasses=bool(rng.random_sample() < 0.25),
    )


def _sample_clothes(rng: np.random.RandomState, female: bool) -> dict:
    upper, upper2 = _two_colors(rng, UPPER_PALETTE[:UPPER_PALETTE_SIZE])
    lower, lower2 = _two_colors(rng, LOWER_PALETTE[:LOWER_PALETTE_SIZE])
    coat = bool(rng.random_sample() < 0.12)
    garments = ('trousers', 'shorts', 'skirt', 'dress')
    garment = pick(rng, garments, (5, 1.5, 2, 1.5) if female else (7, 3, 0, 0))
    if coat:  # it would hide anything shorter
        garment = 'trousers'
    if garment == 'dress':
        lower, lower2 = upper, upper2
    rest = (1 - PLAIN_UPPER_PROB) / 4
    sleeve = 'long' if coat else pick(rng, ('none', 'short', 'long'), (0.12, 0.44, 0.44))
    form = int(rng.randint(4))
    lower_pattern = pick(rng, ('plain', 'stripe', 'check'), (0.66, 0.18, 0.16))
    patterns = ('plain', 'stripe', 'plaid', 'splice', 'logo')
    return dict(
        upper_color=upper,
        upper_color2=upper2,
        sleeve=sleeve,
        pattern=pick(rng, patterns, (PLAIN_UPPER_PROB, rest, rest, rest, rest)),
        pattern_form=0 if sleeve == 'none' and form == 1 else form,  # 1: sleeves of another color
        pattern_size=rng.random_sample(),
        pattern_place=int(rng.randint(3)),
        pattern_back=bool(rng.random_sample() < 0.4),
        coat=coat,
        open_front=coat or bool(rng.random_sample() < 0.2),
        hem=rng.uniform(-0.02, 0.045),
        lower=garment,
        lower_color=lower,
        lower_color2=lower2,
        lower_pattern='plain' if garment == 'dress' else lower_pattern,
        lower_width=rng.uniform(0.85, 1.3),
        boots=bool(rng.random_sample() < (0.25 if female else 0.1)) and garment != 'shorts',
        shoe_color=shift_color(rng, pick(rng, BELONGING_PALETTE[:5], (5, 1, 2, 1, 4))),
    )


def sample_identity(seed: int, pid: int) -> Identity:
    """Sample the person ``pid`` of the world ``seed``: the same on every machine, in any order."""
    rng = random_stream(seed, IDENTITY_STREAM, pid)
    female = bool(rng.random_sample() < 0.48)
    age = pick(rng, ('child', 'adult', 'senior'), (0.12, 0.74, 0.14))
    bags = ('none', 'hand', 'shoulder', 'backpack')
    return Identity(
        pid=pid,
        female=female,
        age=age,
        **_sample_body(rng, female, age),
        **_sample_head(rng, female, age),
        **_sample_clothes(rng, female),
        bag=pick(rng, bags, (1 - BAG_PROB, BAG_PROB * 0.3, BAG_PROB * 0.35, BAG_PROB * 0.35)),
        bag_color=shift_color(rng, pick(rng, BELONGING_PALETTE)),
        bag_size=rng.uniform(0.8, 1.3),
        bag_side=1 if rng.random_sample() < 0.5 else -1,
    )


def attribute_vector(identity: Identity, view: dict) -> np.ndarray:
    """Return the 26 PA-100K labels of one drawn image.

    Args:
        identity: The person.
        view: What can be seen in the picture, from :func:`~mmosnet.synthetic.people.render_person`: ``viewpoint``
            (front, side or back), and whether there is an object held in front (``holds_object``), ``glasses`` and the
            ``logo``. Belongings and clothes count even if a passer-by hides them, as annotators count them.

    Returns:
        ``(26,)`` uint8 of 0 and 1 in the order of :data:`ATTRIBUTES`.
    """
    true = {
        'Female': identity.female,
        'AgeOver60': identity.age == 'senior',
        'Age18-60': identity.age == 'adult',
        'AgeLess18': identity.age == 'child',
        view['viewpoint'].capitalize(): True,
        'Hat': identity.hat != 'none',
        'Glasses': view['glasses'],
        'HandBag': identity.bag == 'hand' and not view['holds_object'],  # both hands are full
        'ShoulderBag': identity.bag == 'shoulder',
        'Backpack': identity.bag == 'backpack',
        'HoldObjectsInFront': view['holds_object'],
        'ShortSleeve': identity.sleeve != 'long',
        'LongSleeve': identity.sleeve == 'long',
        'UpperStride': identity.pattern == 'stripe',
        'UpperLogo': view['logo'],
        'UpperPlaid': identity.pattern == 'plaid',
        'UpperSplice': identity.pattern == 'splice',
        'LowerStripe': identity.lower_pattern == 'stripe',
        'LowerPattern': identity.lower_pattern == 'check',
        'LongCoat': identity.coat,
        'Trousers': identity.lower == 'trousers',
        'Shorts': identity.lower == 'shorts',
        'Skirt&Dress': identity.lower in ('skirt', 'dress'),
        'boots': identity.boots,
    }
    unknown = set(true) - set(ATTRIBUTES)
    if unknown:
        raise ValueError(f'viewpoint must be front, side or back, got {view["viewpoint"]!r}')
    return np.array([true.get(name, False) for name in ATTRIBUTES], np.uint8)
