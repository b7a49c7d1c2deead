"""Drawn tracklets: a person walks past a camera, frame after frame, as a tracker's boxes cut them out.

One frame tells little: the person turns away, a post or a passer-by is in front, the box is off, the picture is
blurred. The frames of a tracklet together tell more, as in real video. Every tracklet has a random generator of its
own, keyed by world, person, camera and number, so any of them can be drawn alone and comes out the same.

The folder is written on first use, in the layout of DukeMTMC-VideoReID:

    train/ query/ gallery/    0001/0003/0001_C3_F0001_X00001.jpg: person 1, tracklet 3, camera 3, frame 1; D for
                              distractors
    synthetic.json            arguments and version of the renderer
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmosnet.datasets.video_sets import DukeMTMCVideoReID
from mmosnet.errors import DataError
from mmosnet.registry import DATASETS
from mmosnet.synthetic.camera import (
    HORIZON,
    Camera,
    cast_light,
    draw_scene,
    drop_shadow,
    expose,
    sample_camera,
    sample_color,
)
from mmosnet.synthetic.datasets import STRANGER_PID, DrawnFolder, log_progress, write_jpeg
from mmosnet.synthetic.identity import Identity, random_stream, sample_identity
from mmosnet.synthetic.people import (
    BYSTANDER_PID,
    CUT_OUT_GROUND,
    CUT_OUT_TALL,
    HEIGHT,
    SCENE_ROWS,
    WIDTH,
    cut_out_person,
    sample_pose,
)

TRACKLET_RENDERER_VERSION = 1  # raise it whenever any frame changes
TRACKLET_STREAM = 5  # beside the streams of mmosnet.synthetic.identity

STRIDE = 2 * math.pi / 9  # radians of the gait from frame to frame
PIXELS_PER_FRAME = 5  # how far the background moves behind the person
MOST_TURN = 1.2  # radians that a person turns during a tracklet, to either side
BOX_DRIFT = 0.03  # change of the box from frame to frame, in crop sizes
BAD_BOX_PROB = 0.12  # frames whose box is so tight that head or feet are cut
BLUR_PROB = 0.2  # frames that are out of focus or blurred by motion
CROSSING_PROB = 0.7  # tracklets during which something passes in front of the person
POST_PROB = 0.5  # share of it that are posts; the others are people
VIDEO_FOLDERS = ('train', 'query', 'gallery')
CROSSING_FRAMES = (4, 9)  # how many frames it takes; the last is exclusive


@dataclass(frozen=True)
class Crossing:
    """Something that passes between person and camera.

    Attributes:
        start: Its column at frame 0, in pixels of the drawing.
        speed: Columns per frame.
        colors: Its picture, or the color of a post ``(3,)``.
        mask: Its mask; None for a post.
        width: Width of a post in pixels of the drawing.
    """

    start: float
    speed: float
    colors: np.ndarray
    mask: np.ndarray | None
    width: int

    def draw(self, picture: np.ndarray, frame: int) -> None:
        """Draw it in front of a picture, in place."""
        column = round(self.start + self.speed * frame)
        if self.mask is not None:
            _paste(picture, self.colors, self.mask, column, HEIGHT + 14, 1.15)
            return
        left, right = max(column - self.width // 2, 0), min(column + self.width // 2, WIDTH)
        if left < right:
            picture[:, left:right] = self.colors
            picture[:, max(right - 4, left) : right] = self.colors * 5 // 8


def _sample_crossing(camera: Camera, rng: np.random.RandomState, length: int) -> Crossing:
    side = 1 if rng.randint(2) else -1
    speed = side * (WIDTH + 90) / rng.randint(*CROSSING_FRAMES)
    start = WIDTH / 2 - speed * rng.uniform(0, length)
    if rng.random_sample() < POST_PROB:
        return Crossing(start, speed / 2, np.array(sample_color(rng), np.int64), None, int(rng.randint(26, 70)))
    person = sample_identity(camera.key[0], BYSTANDER_PID + int(rng.randint(1 << 20)))
    pose = replace(sample_pose(rng, 0.0), yaw=side * math.pi / 2)
    return Crossing(start, speed, *cut_out_person(person, pose, camera, rng), 0)


def _paste(picture: np.ndarray, colors: np.ndarray, mask: np.ndarray, column: int, ground: int, scale: float) -> None:
    """Put a person who was cut out into a picture of any size, soles at ``(ground, column)``, in place."""
    # The exact filter, which gives equal pixels on all machines.
    size = (round(WIDTH * scale), round(HEIGHT * scale))
    colors = cv2.resize(colors, size, interpolation=cv2.INTER_LINEAR_EXACT)
    mask = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR_EXACT)
    top, left = ground - round(CUT_OUT_GROUND * scale), column - size[0] // 2
    rows = slice(max(top, 0), min(top + size[1], picture.shape[0]))
    columns = slice(max(left, 0), min(left + size[0], picture.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    source = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    region = picture[rows, columns]
    seen = mask[source] > 127
    region[seen] = colors[source][seen]


def _background(camera: Camera, top: int, left: int) -> np.ndarray:
    """Cut a background out of a camera's scene; columns beyond its edge are mirrored."""
    scene = draw_scene(camera)
    columns = np.arange(left, left + WIDTH) % (2 * scene.shape[1])
    columns = np.where(columns < scene.shape[1], columns, 2 * scene.shape[1] - 1 - columns)
    return scene[top : top + HEIGHT][:, columns]


def _blurred(picture: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    if rng.randint(2):
        size = 2 * int(rng.randint(5, 10)) + 1
        return cv2.blur(picture, (size, 1))
    size = 2 * int(rng.randint(3, 6)) + 1
    return cv2.blur(cv2.blur(picture, (size, size)), (size, size))


def render_tracklet(
    identity: Identity,
    camera: Camera,
    seed: int,
    number: int,
    length: int,
    size: tuple[int, int] = (128, 64),
) -> Iterator[np.ndarray]:
    """Draw the frames of one tracklet.

    Args:
        identity: The person, from :func:`~mmosnet.synthetic.identity.sample_identity`.
        camera: The camera, from :func:`~mmosnet.synthetic.camera.sample_camera`.
        seed: World; with the person, the camera and ``number`` it fixes the frames.
        number: Number of the tracklet of this person under this camera.
        length: Number of frames.
        size: Height and width in pixels; drawn at 256x128 and reduced.

    Yields:
        ``(height, width, 3)`` uint8, BGR.
    """
    rng = random_stream(seed, TRACKLET_STREAM, identity.pid, camera.camid, number)
    pose = sample_pose(rng, camera.facing)
    turn = rng.uniform(-MOST_TURN, MOST_TURN) / length
    top = HORIZON + int(rng.randint(*SCENE_ROWS))
    left, pace = int(rng.randint(0, 640)), PIXELS_PER_FRAME * (1 if math.sin(pose.yaw) > 0 else -1)
    tall = HEIGHT * 0.9 * camera.scale
    drift = np.zeros(3)
    crossing = _sample_crossing(camera, rng, length) if rng.random_sample() < CROSSING_PROB else None
    folds = rng.randint(1 << 30)
    for frame in range(length):
        moment = replace(
            pose,
            yaw=pose.yaw + turn * frame,
            phase=pose.phase + STRIDE * frame,
            head_turn=pose.head_turn * math.cos(0.3 * frame),
        )
        # The box follows the person with some delay, as that of a tracker does.
        drift = 0.8 * drift + BOX_DRIFT * rng.uniform(-1, 1, 3)
        scale = tall / CUT_OUT_TALL * (1 + drift[0]) * (1.25 if rng.random_sample() < BAD_BOX_PROB else 1)
        ground = round((HEIGHT + CUT_OUT_TALL * scale) / 2 + HEIGHT * drift[1] / 2)
        column = round(WIDTH / 2 + WIDTH * drift[2])
        picture = _background(camera, top, left + pace * frame)
        drop_shadow(picture, (column - camera.light_side * 12, ground - 2), (38, 9), depth=52)
        cut_out = cut_out_person(identity, moment, camera, np.random.RandomState(folds))
        _paste(picture, *cut_out, column, ground, scale)
        if crossing is not None:
            crossing.draw(picture, frame)
        picture = cast_light(picture, rng)
        if rng.random_sample() < BLUR_PROB:
            picture = _blurred(picture, rng)
        picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
        yield expose(picture, camera, rng)


def write_synthetic_tracklets(
    root: str | Path,
    num_train_pids: int = 100,
    num_test_pids: int = 100,
    num_cameras: int = 4,
    frames: tuple[int, int] = (6, 16),
    num_distractors: int = 40,
    seed: int = 0,
) -> None:
    """Draw tracklets and write them below ``root`` in the layout of DukeMTMC-VideoReID.

    Every person passes every camera once. Training people have the pids 1 to ``num_train_pids``, test people the next
    ones. Of a test person, half of the tracklets are queries and the others gallery; distractors are gallery tracklets
    of people who are in no query, with pids of their own.

    The folder appears complete or not at all, also when several processes write it together. A complete folder made
    with the same arguments is left as it is.

    Args:
        root: Folder to create, with its parents.
        num_train_pids: Number of training people.
        num_test_pids: Number of test people, at least 2.
        num_cameras: Number of cameras, 2 to 8, as in the layout.
        frames: Fewest and most frames of a tracklet.
        num_distractors: Number of gallery tracklets of people who are in no query.
        seed: World: another seed draws other people and other cameras.

    Raises:
        DataError: An argument is out of range, or ``root`` holds a set that is incomplete or was made with other
            arguments or by another version of the renderer.
        FileExistsError: ``root`` exists, is not empty and is not a synthetic set.
    """
    least_and_most = tuple(frames) if isinstance(frames, (list, tuple)) else ()
    if not (
        len(least_and_most) == 2
        and all(isinstance(number, int) for number in least_and_most)
        and 1 <= least_and_most[0] <= least_and_most[1] <= 9999
    ):
        raise DataError(f'frames={frames!r}: give the fewest and the most frames of a tracklet, 1 to 9999, ascending')
    arguments: dict[str, Any] = dict(
        num_train_pids=num_train_pids,
        num_test_pids=num_test_pids,
        num_cameras=num_cameras,
        frames=list(frames),
        num_distractors=num_distractors,
        seed=seed,
    )
    ranges = dict(num_train_pids=(1, 9999), num_test_pids=(2, 9999), num_cameras=(2, 8), num_distractors=(0, 9999))
    for name, (least, most) in ranges.items():
        if not isinstance(arguments[name], int) or not least <= arguments[name] <= most:
            raise DataError(f'{name}={arguments[name]!r}: choose {least} to {most}')
    if num_train_pids + num_test_pids + num_distractors > 9999:
        raise DataError('num_train_pids + num_test_pids + num_distractors must be at most 9999 (names of folders)')
    manifest = dict(tracklet_renderer_version=TRACKLET_RENDERER_VERSION, arguments=arguments)
    folder = DrawnFolder(Path(root), 'synthetic tracklets', manifest, VIDEO_FOLDERS, pattern='*/*/*.jpg')
    folder.make(lambda unfinished: _write_tracklets(unfinished, **arguments))


def _write_tracklets(
    root: Path,
    num_train_pids: int,
    num_test_pids: int,
    num_cameras: int,
    frames: tuple[int, int],
    num_distractors: int,
    seed: int,
) -> None:
    """Write all frames into a folder that other processes do not see yet."""
    cameras = [sample_camera(seed, camid) for camid in range(num_cameras)]
    people, jobs = num_train_pids + num_test_pids, []
    for pid in range(1, people + 1):
        for camera in cameras:
            # Half of the cameras, other ones for each person.
            asked = (camera.camid + pid) % num_cameras < num_cameras // 2
            split = 'train' if pid <= num_train_pids else 'query' if asked else 'gallery'
            jobs.append((split, pid, pid, camera))
    for index in range(num_distractors):
        jobs.append(('gallery', people + 1 + index, STRANGER_PID + index, cameras[index % num_cameras]))
    for split in VIDEO_FOLDERS:
        (root / split).mkdir(parents=True)
    for split, pid, identity, camera in log_progress(jobs, 'synthetic tracklets', 'tracklets'):
        folder = root / split / f'{pid:04d}' / f'{camera.camid + 1:04d}'
        folder.mkdir(parents=True)
        length = int(random_stream(seed, TRACKLET_STREAM, identity, camera.camid).randint(frames[0], frames[1] + 1))
        pictures = render_tracklet(sample_identity(seed, identity), camera, seed, 0, length)
        for frame, picture in enumerate(pictures, 1):
            kind = 'D' if pid > people else 'X'
            name = f'{pid:04d}_C{camera.camid + 1}_F{frame:04d}_{kind}{frame:05d}.jpg'
            write_jpeg(folder / name, picture)


@DATASETS.register_module()
class SyntheticTracklets(DukeMTMCVideoReID):
    """Drawn tracklets of pedestrians; ``data_root`` is written if it does not exist.

    Args:
        data_root: Folder of the data set.
        generation: Arguments of :func:`write_synthetic_tracklets`.
        **kwargs: Same as in :class:`~mmosnet.datasets.VideoReIDDataset`.
    """

    def __init__(self, data_root: str, generation: dict | None = None, **kwargs) -> None:
        write_synthetic_tracklets(data_root, **(generation or {}))
        super().__init__(data_root=data_root, **kwargs)

    def published_counts(self) -> dict[str, tuple[int | None, int]]:
        """Return no counts: users choose the size."""
        return {}
