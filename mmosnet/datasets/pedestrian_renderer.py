"""Draw small pictures of walking people as surveillance cameras see them.

scene of the camera -> bystander -> shadow and person -> what stands in front -> uneven light ->
reduced to the crop -> the camera's sensor. Every picture has a random generator of its own, keyed
by world, person, camera and image, so any picture can be drawn alone, in any order, on any machine,
and comes out the same.
"""

import cv2
import numpy as np

from mmosnet.datasets.pedestrian_body import draw_figure, logo_visible, standing_height
from mmosnet.datasets.pedestrian_camera import (
    HORIZON,
    Camera,
    cast_light,
    draw_scene,
    expose,
    sample_camera,
)
from mmosnet.datasets.pedestrian_figure import (
    BAG,
    DARK,
    HAIR,
    HAT,
    HEIGHT,
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
    UPPER3,
    WIDTH,
    Figure,
    Pose,
    sample_pose,
)
from mmosnet.datasets.pedestrian_head import glasses_visible
from mmosnet.datasets.pedestrian_identity import (
    ATTRIBUTES,
    IMAGE_STREAM,
    Identity,
    attribute_vector,
    random_stream,
    sample_identity,
)

__all__ = [
    'ATTRIBUTES',
    'RENDERER_VERSION',
    'Camera',
    'Identity',
    'attribute_vector',
    'render_person',
    'sample_camera',
    'sample_identity',
]

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
