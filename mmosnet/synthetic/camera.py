"""What a camera adds to a synthetic picture: scene, viewpoint, obstacles, light and sensor.

Once the parameters are sampled, all arithmetic is integer or fixed-point on uint8, so that pictures are equal on all
machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from mmosnet.synthetic.identity import CAMERA_STREAM, Color, random_stream

# How far cameras differ. Casts and light are what keeps pixel colors from matching across cameras.
COLOR_CAST = 0.1  # log2 gain of each color channel, up to + or - this
GAMMA_RANGE = 0.16  # log2 gamma, up to + or - this: washed-out or dark cameras
CONTRAST_RANGE = (0.85, 1.1)
SATURATION_RANGE = (11, 18)  # sixteenths
MAX_NOISE = 10  # gray levels, peak
MIN_RESOLUTION = 10  # sixteenths of the crop's pixels that the sensor really resolved
MAX_PITCH = 0.3  # radians a camera looks down
EXPOSURE_JITTER = 0.1  # log2 gain from image to image, up to + or - this
LIGHT_PATCH_STRENGTH = 0.2  # darkest shadow or brightest spot over a picture

SCENE_SIZE = (512, 768)  # height, width in drawing pixels
HORIZON = 200  # row where the ground of a scene begins
SCENES = ('brick', 'facade', 'park', 'corridor', 'shops', 'plaza')
NEUTRAL = 128  # a shade that changes nothing
MARGIN = 64  # OpenCV 4 and 5 clip shapes differently: they are drawn on a sheet this much larger on each side


@dataclass(frozen=True)
class Camera:
    """One camera. ``key`` seeds its scene; gains are BGR; angles are radians."""

    camid: int
    key: tuple[int, int]
    scene: str
    gains: tuple[float, float, float]
    gamma: float
    contrast: float
    black_level: int
    saturation: int
    blur: int
    resolution: int
    noise: int
    pitch: float
    roll: float
    scale: float
    light_side: int
    facing: float


def sample_camera(seed: int, camid: int) -> Camera:
    """Sample the camera ``camid`` (0-based) of the world ``seed``; consecutive cameras differ in scene."""
    rng = random_stream(seed, CAMERA_STREAM, camid)
    first = random_stream(seed, CAMERA_STREAM).randint(len(SCENES))
    gains = 2.0 ** (COLOR_CAST * rng.uniform(-1.0, 1.0, 3)) * 2.0 ** rng.uniform(-0.3, 0.1)
    return Camera(
        camid=camid,
        key=(seed, camid),
        scene=SCENES[(first + camid) % len(SCENES)],
        gains=tuple(gains.tolist()),
        gamma=2.0 ** rng.uniform(-GAMMA_RANGE, GAMMA_RANGE),
        contrast=rng.uniform(*CONTRAST_RANGE),
        black_level=int(rng.randint(0, 24)),
        saturation=int(rng.randint(SATURATION_RANGE[0], SATURATION_RANGE[1] + 1)),
        blur=int(rng.randint(0, 3)),
        resolution=int(rng.randint(MIN_RESOLUTION, 17)),
        noise=int(rng.randint(2, MAX_NOISE + 1)),
        pitch=rng.uniform(0.02, MAX_PITCH),
        roll=rng.uniform(-0.05, 0.05),
        scale=rng.uniform(0.94, 1.04),
        light_side=1 if rng.random_sample() < 0.5 else -1,
        facing=rng.uniform(-np.pi, np.pi),
    )


def sample_color(rng: np.random.RandomState) -> Color:
    """Sample a dull color for an obstacle."""
    return tuple(int(c) for c in rng.randint(40, 190) + rng.randint(-20, 21, 3))


def tone(color: Color, percent: int) -> Color:
    """Return a darker or lighter color: ``percent`` of each channel, at most 255."""
    return tuple(min(255, c * percent // 100) for c in color)


def _grain(picture: np.ndarray, rng: np.random.RandomState, strength: int) -> None:
    """Roughen a surface in place, with fine and with soft grain."""
    height, width = picture.shape[:2]
    fine = rng.randint(-strength, strength + 1, (height, width)).astype(np.int16)
    coarse = rng.randint(0, 256, (height // 16 + 1, width // 16 + 1)).astype(np.uint8)
    coarse = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR_EXACT).astype(np.int16)
    grain = fine + (coarse - 128) * strength // 64
    picture[:] = np.clip(picture.astype(np.int16) + grain[..., None], 0, 255).astype(np.uint8)


def _draw_ground(scene: np.ndarray, rng: np.random.RandomState, color: Color, tiled: bool) -> None:
    height, width = scene.shape[:2]
    scene[HORIZON:] = color
    _grain(scene[HORIZON:], rng, 9)
    if not tiled:
        return
    # Seams of slabs, in integers: OpenCV 4 and 5 clip lines that leave the picture differently.
    seam = np.zeros((height - HORIZON, width), bool)
    for step in range(1, 14):  # rows get further apart towards the camera
        seam[2 * step * step : 2 * step * step + 1 + step // 5] = True
    vanish, spacing = int(rng.randint(200, 560)), 110 + int(rng.randint(60))
    away = np.arange(60, height - HORIZON + 60)[:, None]
    seam |= (np.arange(width) - vanish)[None] * away[-1] // away % spacing < 4
    scene[HORIZON:][seam] = tone(color, 76)
    cv2.rectangle(scene, (0, HORIZON), (width, HORIZON + 7), tone(color, 62), -1)


def _draw_bricks(scene: np.ndarray, rng: np.random.RandomState, color: Color) -> None:
    scene[:HORIZON] = color
    for row, y in enumerate(range(0, HORIZON, 13)):
        cv2.line(scene, (0, y), (scene.shape[1], y), tone(color, 72), 2)
        for x in range((row % 2) * 16, scene.shape[1], 32):
            if rng.randint(4) == 0:
                cv2.rectangle(scene, (x, y), (x + 32, y + 12), tone(color, int(rng.randint(80, 118))), -1)
            cv2.line(scene, (x, y), (x, y + 12), tone(color, 72), 2)


def _draw_openings(scene: np.ndarray, rng: np.random.RandomState, color: Color, shop: bool) -> None:
    """Draw windows, doors or shop fronts into the wall above the ground."""
    x, wide = int(rng.randint(0, 40)), 100 if shop else 46
    while x < scene.shape[1] - wide:
        top, bottom = (46, HORIZON - 6) if shop else (40, 118)
        if not shop and rng.randint(3) == 0:
            bottom = HORIZON
        pane = tuple(int(c) for c in rng.randint(30, 110, 3)) if rng.randint(3) else (190, 205, 210)
        cv2.rectangle(scene, (x - 4, top - 4), (x + wide + 4, bottom + 3), tone(color, 65), -1)
        cv2.rectangle(scene, (x, top), (x + wide, bottom), pane, -1)
        for _ in range(6 if shop else 2):  # what stands behind the glass
            px, py = x + int(rng.randint(0, wide - 16)), int(rng.randint(top, bottom - 24))
            thing = tuple(int(c) for c in rng.randint(20, 240, 3))
            cv2.rectangle(scene, (px, py), (px + 14, py + int(rng.randint(8, 24))), thing, -1)
        cv2.line(scene, (x + wide // 2, top), (x + wide // 2, bottom), tone(color, 80), 3)
        if shop:
            sign = tuple(int(c) for c in rng.randint(40, 220, 3))
            cv2.rectangle(scene, (x - 4, 14), (x + wide + 4, 40), sign, -1)
        x += wide + int(rng.randint(24, 80))


def _draw_greenery(scene: np.ndarray, rng: np.random.RandomState) -> None:
    scene[:HORIZON] = (170, 160, 140)
    for _ in range(700):
        center = (int(rng.randint(0, scene.shape[1])), int(rng.randint(-10, HORIZON)))
        leaf = (int(rng.randint(20, 70)), int(rng.randint(60, 140)), int(rng.randint(30, 90)))
        cv2.circle(scene, center, int(rng.randint(6, 22)), leaf, -1)
    for x in range(30, scene.shape[1], 130):
        x += int(rng.randint(-30, 30))
        cv2.rectangle(scene, (x, 30), (x + int(rng.randint(10, 24)), HORIZON + 14), (40, 56, 72), -1)


def _draw_furniture(scene: np.ndarray, rng: np.random.RandomState) -> None:
    """Draw posts, bins and outlines of bicycles and cars on the pavement."""
    for _ in range(rng.randint(3, 7)):
        x, y = int(rng.randint(0, scene.shape[1] - 80)), HORIZON + int(rng.randint(10, 110))
        color = tuple(int(c) for c in rng.randint(20, 200, 3))
        kind = rng.randint(4)
        if kind == 0:
            cv2.rectangle(scene, (x, 0), (x + 9, y), (90, 92, 92), -1)
        elif kind == 1:
            cv2.rectangle(scene, (x, y - 60), (x + 34, y), color, -1)
            cv2.rectangle(scene, (x, y - 60), (x + 34, y - 50), tone(color, 60), -1)
        elif kind == 2:
            for wheel in (x, x + 58):
                cv2.circle(scene, (wheel, y), 22, (40, 40, 40), 3)
            cv2.polylines(
                scene,
                [np.array([(x, y), (x + 20, y - 34), (x + 58, y)], np.int32)],
                True,
                color,
                4,
            )
        else:
            cv2.rectangle(scene, (x, y - 44), (x + 150, y - 8), color, -1)
            cv2.rectangle(scene, (x + 28, y - 72), (x + 120, y - 44), tone(color, 55), -1)
            for wheel in (x + 30, x + 118):
                cv2.circle(scene, (wheel, y - 6), 15, (28, 28, 28), -1)


@lru_cache(maxsize=32)
def draw_scene(camera: Camera) -> np.ndarray:
    """Draw the empty scene that a camera looks at: ``(*SCENE_SIZE, 3)`` uint8, BGR; shared, so read-only."""
    rng = random_stream(camera.key[0], CAMERA_STREAM, camera.key[1], 1)
    scene = np.empty((*SCENE_SIZE, 3), np.uint8)
    wall = tuple(int(c) for c in rng.randint(90, 200) + rng.randint(-25, 26, 3))
    ground = tuple(int(c) for c in rng.randint(100, 190) + rng.randint(-14, 15, 3))
    scene[:] = wall
    if camera.scene == 'brick':
        _draw_bricks(scene, rng, (70, 88, 140))
    elif camera.scene == 'park':
        _draw_greenery(scene, rng)
        ground = (84, 128, 104)
    elif camera.scene == 'corridor':
        for x in range(0, scene.shape[1], 64):
            cv2.line(scene, (x, 0), (x, HORIZON), tone(wall, 78), 3)
        cv2.rectangle(scene, (0, 150), (scene.shape[1], 162), tone(wall, 60), -1)
        _draw_openings(scene, rng, wall, shop=False)
    elif camera.scene != 'plaza':
        _draw_openings(scene, rng, wall, shop=camera.scene == 'shops')
    _grain(scene[:HORIZON], rng, 7)
    _draw_ground(scene, rng, ground, tiled=camera.scene != 'park')
    if camera.scene != 'corridor':
        _draw_furniture(scene, rng)
    if camera.scene == 'plaza':  # far buildings and parked cars, out of focus
        _draw_openings(scene, rng, wall, shop=False)
        _draw_furniture(scene, rng)
    # Dull, so that the people are what stands out.
    scene = cv2.addWeighted(cv2.GaussianBlur(scene, (5, 5), 0), 0.75, np.full_like(scene, 112), 0.25, 0)
    scene.setflags(write=False)
    return scene


def crop_scene(camera: Camera, size: tuple[int, int], rows: tuple[int, int], rng: np.random.RandomState) -> np.ndarray:
    """Cut a background out of a camera's scene at a random place.

    Args:
        camera: The camera.
        size: Height and width of the background in pixels.
        rows: First and last possible row of its upper edge, relative to the horizon; the last is exclusive.
        rng: The image's own generator.

    Returns:
        ``(height, width, 3)`` uint8, BGR, a copy.
    """
    scene = draw_scene(camera)
    top = int(rng.randint(HORIZON + rows[0], HORIZON + rows[1]))
    left = int(rng.randint(0, scene.shape[1] - size[1]))
    return scene[top : top + size[0], left : left + size[1]].copy()


def apply_shade(picture: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """Darken and brighten a picture ``(H, W, 3)`` by a shade ``(H, W)``, both uint8; 128 changes nothing."""
    return cv2.multiply(picture, cv2.merge([shade] * 3), scale=1 / NEUTRAL)


def drop_shadow(picture: np.ndarray, center: tuple[int, int], radii: tuple[int, int], depth: int) -> None:
    """Darken an ellipse of the ground, in place.

    Args:
        picture: ``(H, W, 3)`` uint8.
        center: Column and row of the ellipse's center.
        radii: Radii of the ellipse across and down, in pixels.
        depth: How much darker it is, from 0 to 128.
    """
    height, width = picture.shape[:2]
    sheet = np.full((height + 2 * MARGIN, width + 2 * MARGIN), NEUTRAL, np.uint8)
    cv2.ellipse(sheet, (center[0] + MARGIN, center[1] + MARGIN), radii, 0, 0, 360, NEUTRAL - depth, -1)
    shade = cv2.GaussianBlur(sheet[MARGIN : MARGIN + height, MARGIN : MARGIN + width], (5, 5), 0)
    picture[:] = apply_shade(picture, shade)


@dataclass(frozen=True)
class ObstacleSizes:
    """Ranges of the sizes of obstacles in pixels; the last value of each is exclusive.

    Attributes:
        post_left: Left edge of a post.
        post_width: Width of a post.
        wall_height: Height of a low wall.
        wall_edge: Height of the wall's dark upper edge, a single value.
        corner_width: Width of a building's corner at one side of the picture.
    """

    post_left: tuple[int, int]
    post_width: tuple[int, int]
    wall_height: tuple[int, int]
    wall_edge: int
    corner_width: tuple[int, int]


OBSTACLES = ('post', 'wall', 'corner')


def draw_obstacle(
    picture: np.ndarray, shape: str, color: Color, sizes: ObstacleSizes, rng: np.random.RandomState
) -> None:
    """Draw a post, a low wall or the corner of a building in front of a picture, in place.

    Args:
        picture: ``(H, W, 3)`` uint8, BGR.
        shape: One of :data:`OBSTACLES`.
        color: BGR.
        sizes: Ranges of the sizes.
        rng: The image's own generator.
    """
    height, width = picture.shape[:2]
    if shape == 'post':
        x, wide = int(rng.randint(*sizes.post_left)), int(rng.randint(*sizes.post_width))
        box, edge = (x, 0, x + wide, height), (x + wide * 2 // 3, 0, x + wide, height)
    elif shape == 'wall':
        y = height - int(rng.randint(*sizes.wall_height))
        box, edge = (0, y, width, height), (0, y, width, y + sizes.wall_edge)
    else:
        wide = int(rng.randint(*sizes.corner_width))
        left = 0 if rng.randint(2) else width - wide
        box, edge = (left, 0, left + wide, height), (left, 0, left + 4, height)
    cv2.rectangle(picture, box[:2], box[2:], color, -1)
    cv2.rectangle(picture, edge[:2], edge[2:], tuple(c * 5 // 8 for c in color), -1)


def cast_light(picture: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Apply uneven light to a picture: soft patches, and sometimes the straight edge of a building's shadow.

    Args:
        picture: ``(H, W, 3)`` uint8, BGR.
        rng: The image's own generator.

    Returns:
        A new picture of the same shape.
    """
    height, width = picture.shape[:2]
    spread = int(NEUTRAL * LIGHT_PATCH_STRENGTH)
    coarse = rng.randint(NEUTRAL - spread, NEUTRAL + spread * 2 // 3, (4, 2)).astype(np.uint8)
    light = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    if rng.random_sample() < 0.25:
        edge = np.array(
            [(0, 0), (rng.randint(0, width), 0), (rng.randint(0, width), height), (0, height)],
            np.int32,
        )
        shadow = np.full((height, width), NEUTRAL, np.uint8)
        cv2.fillConvexPoly(shadow, edge, NEUTRAL - spread * 3 // 4)
        light = cv2.multiply(light, cv2.GaussianBlur(shadow, (5, 5), 0), scale=1 / NEUTRAL)
    return apply_shade(picture, light)


def expose(picture: np.ndarray, camera: Camera, rng: np.random.RandomState) -> np.ndarray:
    """Apply the camera's sensor to a picture: resolution, saturation, color cast, contrast, noise.

    Args:
        picture (np.ndarray): (H, W, 3) BGR uint8.
        camera (Camera): The camera.
        rng (np.random.RandomState): The image's own generator.

    Returns:
        np.ndarray: A new picture of the same shape.
    """
    height, width = picture.shape[:2]
    if camera.resolution < 16:
        small = (width * camera.resolution // 16, height * camera.resolution // 16)
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_LINEAR_EXACT)
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    if camera.blur:
        picture = cv2.GaussianBlur(picture, (1 + 2 * camera.blur, 1 + 2 * camera.blur), 0)
    values = picture.astype(np.int16)
    gray = (values[..., 0] + 2 * values[..., 1] + values[..., 2]) >> 2
    values = gray[..., None] + (((values - gray[..., None]) * camera.saturation) >> 4)
    picture = cv2.LUT(np.clip(values, 0, 255).astype(np.uint8), _response(camera, rng))
    top, left = rng.randint(0, 256 - 128), rng.randint(0, 256 - 64)
    bank = _noise_bank(camera.noise)
    if bank.shape[0] < top + height or bank.shape[1] < left + width:
        bank, top, left = np.tile(bank, (height // 256 + 2, width // 256 + 2, 1)), 0, 0
    noisy = picture.astype(np.int16) + bank[top : top + height, left : left + width]
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _response(camera: Camera, rng: np.random.RandomState) -> np.ndarray:
    """Return the (1, 256, 3) tone curve of one exposure."""
    level = np.arange(256, dtype=np.float64) / 255
    exposure = 2.0 ** rng.uniform(-EXPOSURE_JITTER, EXPOSURE_JITTER)
    curve = 0.45 + camera.contrast * (level**camera.gamma - 0.45)
    channels = [camera.black_level + 255 * exposure * gain * curve for gain in camera.gains]
    return np.clip(np.rint(np.stack(channels, -1)), 0, 255).astype(np.uint8)[None]


@lru_cache(maxsize=64)
def _noise_bank(strength: int) -> np.ndarray:
    """Return (256, 256, 3) int16 sensor noise to cut from, half of it shared by the channels."""
    rng = random_stream(strength, CAMERA_STREAM, 0, 2)
    own = rng.randint(-strength, strength + 1, (256, 256, 3))
    common = rng.randint(-strength, strength + 1, (256, 256, 1))
    bank = ((own + common) >> 1).astype(np.int16)
    bank.setflags(write=False)
    return bank
