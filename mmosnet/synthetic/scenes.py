"""Draw videos of two cameras through which people walk, occlude each other and come back, with the truth about them.

A folder holds one scene:

    cam0.mp4 cam1.mp4    the videos, which begin at the same time
    cam0.txt cam1.txt    boxes as of a detector and a tracker, in the MOTChallenge's format
    truth.csv            who was where: camera, frame, track, pid, x, y, w, h, visibility
    synthetic.json       arguments and version of the renderer

Like a tracker that does not recognize people, the box files number the passages: whoever leaves and comes back has a
new track. A passage is a walk through one camera's view, on a line over the ground that is bent once. It is planned in
units of body heights, and projected with the horizon of the drawn background; nearer people are painted over others.
Boxes and truth are the same on every machine. The videos are compressed by the encoder that OpenCV brings.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mmosnet.errors import DataError
from mmosnet.io.video_writer import whole_video
from mmosnet.synthetic.camera import (
    OBSTACLES,
    Camera,
    ObstacleSizes,
    cast_light,
    draw_obstacle,
    drop_shadow,
    expose,
    sample_camera,
    sample_color,
)
from mmosnet.synthetic.camera import draw_scene as draw_background
from mmosnet.synthetic.datasets import DrawnFolder
from mmosnet.synthetic.identity import SCENE_STREAM, Identity, random_stream, sample_identity
from mmosnet.synthetic.people import CUT_OUT_GROUND, CUT_OUT_TALL, HEIGHT, RENDERER_VERSION, Pose, cut_out_person

SCENE_VERSION = 1  # raise it whenever boxes or truth change
NUM_CAMERAS = 2
# Limits that a user meets by a slip only: a day, a camera of 33 million pixels.
LONGEST_SECONDS, LARGEST_SIDE, MOST_PEOPLE = 86_400, 7_680, 9_999
# Identities and cameras of scenes are numbered from here in the world of their seed, beyond those of the data sets: a
# scene never shows people or places that a model was trained on.
FIRST_PID, FIRST_CAMID = 1 << 24, 1 << 16

# Walks. Lengths are body heights.
SPEED = 0.8  # per second, that of most adults
SPEED_RANGE = (0.8, 1.25)  # factors of single people
DEPTH = 3.0  # length of the ground from the furthest to the nearest line that people walk on
OUTSIDE = 0.4  # how far beyond the edge of the view people appear and disappear
STRIDES = 1.15  # pairs of steps per body height
RETURN_SIDE_PROB = 0.25  # share of passages that end at the side where they began
MOVE_PROB = 0.6  # the next passage is in the other camera
TRAVEL_SECONDS = 5.0  # shortest time from one camera to the other
ABSENCE_SECONDS = 2.0  # shortest time until a person comes back to the same camera
MEAN_DELAY = 4.0  # seconds on top of these, on average
# Rows of soles, and heights of a person of average size, far and near, as shares of the frame's height.
FAR, NEAR = (0.62, 0.34), (0.97, 0.66)
# Of a post in front of all: range of its left edge and of its width, in percent of the frame's width.
POST_PERCENT = (20, 80, 3, 6)

# What a tracker sees.
MIN_VISIBILITY = 0.25  # visible share of a person below which nobody is detected
MISSED_PROB, HIDDEN_MISSED_PROB = 0.03, 0.4  # with noise: missed people, and those less than half visible
JITTER = 0.03  # standard deviation of a box's sides, in widths and heights
FALSE_TRACKS = 0.15  # false tracks that begin per second and camera
FALSE_SECONDS = 0.8  # how long they last at most
LOST_SECONDS = 1.0  # after such a gap a person gets a new track
TRUTH_COLUMNS = ('camera', 'frame', 'track', 'pid', 'x', 'y', 'w', 'h', 'visibility')


@dataclass(frozen=True)
class Passage:
    """One walk through the view of a camera.

    Attributes:
        pid: The person, from 1.
        camid: The camera.
        start: Second in which it begins.
        corners: Three points of the ground: body heights to the right of the middle, and depth from 0 (far) to 1
            (near).
        speed: Body heights per second.
        phase: Phase of the steps at the start, in radians.
    """

    pid: int
    camid: int
    start: float
    corners: tuple[tuple[float, float], ...]
    speed: float
    phase: float

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return sum(_length(*legs) for legs in zip(self.corners, self.corners[1:], strict=False)) / self.speed

    def at(self, second: float) -> tuple[float, float, float, float]:
        """Return where the person is at a second of the scene: x, depth, yaw and phase of the steps."""
        way = walked = (second - self.start) * self.speed
        for start, end in zip(self.corners, self.corners[1:], strict=False):
            length = _length(start, end)
            if way <= length or end is self.corners[-1]:
                break
            way -= length
        across, ahead = end[0] - start[0], (end[1] - start[1]) * DEPTH
        share = way / length
        x, depth = start[0] + share * across, start[1] + share * (end[1] - start[1])
        return x, depth, math.atan2(across, ahead), self.phase + 2 * math.pi * STRIDES * walked


class SeenPerson(NamedTuple):
    """A person in a frame.

    Attributes:
        frame: Number of the frame, from 0.
        passage: Number of the passage in the plan.
        pid: The person.
        box: Left, top, width and height in whole pixels; inside of the frame.
        visibility: Share of the person's pixels that are inside of the frame and not occluded.
    """

    frame: int
    passage: int
    pid: int
    box: tuple[int, int, int, int]
    visibility: float


class TruthRow(NamedTuple):
    """A row of ``truth.csv``: a person in a frame.

    Attributes:
        camid: The camera.
        frame: Number of the frame, from 0; the file counts from 1, as the box files do.
        track: The track in the camera's box file; 0 if that has no box of the person in this frame.
        pid: The person.
        box: Left, top, width and height of the exact box, in pixels.
        visibility: Share of the person's pixels that can be seen.
    """

    camid: int
    frame: int
    track: int
    pid: int
    box: tuple[int, ...]
    visibility: float


class TrackedBox(NamedTuple):
    """A row of a box file: frame (from 0), track (from 1), box, score, and the :class:`SeenPerson` or None."""

    frame: int
    track: int
    box: tuple[float, ...]
    score: float
    person: SeenPerson | None


def draw_scene(
    folder: str | Path,
    seed: int = 0,
    num_people: int = 8,
    seconds: float = 60.0,
    fps: int = 10,
    size: tuple[int, int] = (640, 360),
    num_strangers: int = 4,
    noise: bool = False,
    step: Callable[[], object] | None = None,
) -> Path:
    """Draw the videos of two cameras with box files and truth into a folder; do nothing if it holds them already.

    Args:
        folder: Folder that does not exist yet or is empty; it appears once it is complete.
        seed: Seed of people, cameras and walks. Default: 0.
        num_people: People who come back, with the pids 1 to ``num_people``. Default: 8.
        seconds: Length of the videos, up to a day. Default: 60.
        fps: Frames per second. Default: 10.
        size: Width and height of a frame in pixels, even numbers from 160 and 90 to 7680.
        num_strangers: People who are seen in one passage only, with the next pids. Default: 4.
        noise: Whether boxes are those of an imperfect detector and tracker: inaccurate, missing, false, and with a new
            track after a second in which a person was not detected. By default there is one exact box for each person
            of whom a quarter can be seen.
        step: Called after each frame.

    Returns:
        The folder.

    Raises:
        DataError: An argument is out of its range, the folder holds another scene, or OpenCV cannot write videos here.
        FileExistsError: The folder exists and holds something else.
    """
    size = (int(size[0]), int(size[1]))
    _check_arguments(num_people, num_strangers, seconds, fps, size)
    arguments = dict(
        seed=int(seed),
        num_people=int(num_people),
        seconds=float(seconds),
        fps=int(fps),
        size=list(size),
        num_strangers=int(num_strangers),
        noise=bool(noise),
        version=[SCENE_VERSION, RENDERER_VERSION],
    )
    place = DrawnFolder(Path(folder), 'a drawn scene', arguments, ())

    def write(draft: Path) -> None:
        draft.mkdir()
        passages = plan_passages(seed, num_people, num_strangers, seconds, size)
        num_frames = scene_frames(seconds, fps)
        truth = []
        for camid in range(NUM_CAMERAS):
            view = View(seed, camid, size, passages)
            seen: list[SeenPerson] = []
            with whole_video(draft / f'cam{camid}.mp4', fps, size[::-1]) as append:
                for frame in range(num_frames):
                    picture, people = view.draw(frame, fps)
                    append(picture)
                    seen += people
                    if step is not None:
                        step()
            boxes = noisy_boxes(seen, seed, camid, num_frames, fps, size) if noise else exact_boxes(seen)
            _write_boxes(draft / f'cam{camid}.txt', boxes)
            truth += _truth_rows(camid, seen, boxes)
        with open(draft / 'truth.csv', 'w', newline='', encoding='utf-8') as file:
            csv.writer(file, lineterminator='\n').writerows([TRUTH_COLUMNS, *truth])

    place.make(write)
    return place.root


def read_truth(folder: str | Path) -> list[TruthRow]:
    """Read who is where in a drawn scene.

    Raises:
        FileNotFoundError: The folder has no ``truth.csv``.
        DataError: The file is damaged; names the row.
    """
    path = Path(folder) / 'truth.csv'
    with open(path, newline='', encoding='utf-8') as file:
        columns, *lines = list(csv.reader(file)) or [[]]
    if tuple(columns) != TRUTH_COLUMNS:
        raise DataError(f'{path}, row 1: {",".join(columns)}, not {",".join(TRUTH_COLUMNS)}: draw the scene again')
    rows = []
    for number, cells in enumerate(lines, start=2):
        try:
            camid, frame, track, pid, *box, visibility = cells
            rows.append(
                TruthRow(int(camid), int(frame) - 1, int(track), int(pid), tuple(map(int, box)), float(visibility))
            )
        except ValueError as e:
            raise DataError(f'{path}, row {number}: {",".join(cells)} is damaged: draw the scene again') from e
    return rows


def scene_frames(seconds: float, fps: int) -> int:
    """Return the number of frames per camera.

    Raises:
        DataError: A number is out of its range.
    """
    # The comparison also refuses NaN.
    if not 0 < seconds <= LONGEST_SECONDS:
        raise DataError(f'seconds is {seconds}: give a number greater than 0, {LONGEST_SECONDS:,} at most')
    if not 1 <= fps <= 120:
        raise DataError(f'fps is {fps}: give a number from 1 to 120')
    return max(1, round(seconds * fps))


def plan_passages(
    seed: int, num_people: int, num_strangers: int, seconds: float, size: tuple[int, int]
) -> list[Passage]:
    """Plan when and where everybody walks, sorted by start.

    A person is in one place at a time, and needs at least :data:`TRAVEL_SECONDS` from one camera to the other.

    Args:
        seed: Seed of the scene.
        num_people: People who come back, with the pids from 1.
        num_strangers: People with one passage each, with the next pids.
        seconds: Length of the scene.
        size: Width and height of a frame in pixels.
    """
    passages = []
    for pid in range(1, num_people + num_strangers + 1):
        rng = random_stream(seed, SCENE_STREAM, pid)
        pace = SPEED * rng.uniform(*SPEED_RANGE)
        comes_back = pid <= num_people
        start = rng.uniform(0, 0.2 * seconds) if comes_back else rng.uniform(0, 0.8 * seconds)
        camid = int(rng.randint(NUM_CAMERAS))
        while start < seconds:
            walk = Passage(pid, camid, start, _sample_corners(rng, size), pace, rng.uniform(0, 2 * math.pi))
            passages.append(walk)
            if not comes_back:
                break
            moves = rng.random_sample() < MOVE_PROB
            shortest = TRAVEL_SECONDS if moves else ABSENCE_SECONDS
            start += walk.seconds + shortest + rng.exponential(MEAN_DELAY)
            camid = (camid + 1) % NUM_CAMERAS if moves else camid
    return sorted(passages, key=lambda walk: (walk.start, walk.pid))


def _sample_corners(rng: np.random.RandomState, size: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    """Sample the way of a passage: from a side over a point in the view to a side."""
    enter = 1 if rng.random_sample() < 0.5 else -1
    leave = enter if rng.random_sample() < RETURN_SIDE_PROB else -enter
    first, middle, last = rng.uniform(0, 1, 3).tolist()
    turn = rng.uniform(-0.6, 0.6) * _half_view(middle, size)
    return (
        (enter * (_half_view(first, size) + OUTSIDE), first),
        (turn, middle),
        (leave * (_half_view(last, size) + OUTSIDE), last),
    )


def _half_view(depth: float, size: tuple[int, int]) -> float:
    """Return half the width of the view at a depth, in body heights."""
    return size[0] / 2 / _body_height(depth, size)


def _body_height(depth: float, size: tuple[int, int]) -> float:
    """Return a body height at a depth, in pixels."""
    return size[1] * (FAR[1] + depth * (NEAR[1] - FAR[1]))


def _length(start: tuple[float, float], end: tuple[float, float]) -> float:
    return math.hypot(end[0] - start[0], (end[1] - start[1]) * DEPTH)


class View:
    """What one camera sees.

    Args:
        seed: Seed of the scene.
        camid: The camera, 0 or 1.
        size: Width and height of a frame in pixels.
        passages: Those of all cameras.
    """

    def __init__(self, seed: int, camid: int, size: tuple[int, int], passages: list[Passage]) -> None:
        self.seed, self.camid, self.size = seed, camid, size
        self.camera: Camera = sample_camera(seed, FIRST_CAMID + camid)
        self.passages = [(number, walk) for number, walk in enumerate(passages) if walk.camid == camid]
        self.people: dict[int, Identity] = {
            walk.pid: sample_identity(seed, FIRST_PID + walk.pid) for _, walk in self.passages
        }
        rng = random_stream(seed, SCENE_STREAM, 0, camid)
        self.background = _fit(draw_background(self.camera), size)
        # A post in front of all: its pixels, and its colors.
        self.post = np.zeros((size[1], size[0], 3), np.uint8)
        left, right, thin, thick = (n * size[0] // 100 for n in POST_PERCENT)
        sizes = ObstacleSizes((left, right), (thin, thick + 1), (1, 2), 1, (1, 2))
        draw_obstacle(self.post, OBSTACLES[0], sample_color(rng), sizes, rng)
        self.is_post = np.ascontiguousarray(self.post.any(axis=2))

    def draw(self, frame: int, fps: int) -> tuple[np.ndarray, list[SeenPerson]]:
        """Draw a frame.

        Args:
            frame: Number of the frame, from 0.
            fps: Frames per second.

        Returns:
            The picture, ``(height, width, 3)`` uint8, BGR, and the people in it, in the order of their passages.
        """
        width, height = self.size
        second = frame / fps
        walks = [(n, walk) for n, walk in self.passages if walk.start <= second <= walk.start + walk.seconds]
        # Who is nearer is painted later.
        walks.sort(key=lambda item: (item[1].at(second)[1], item[0]))
        picture = self.background.copy()
        owner = np.zeros((height, width), np.int32)
        placed = []
        for rank, (number, walk) in enumerate(walks, start=1):
            colors, mask, left, top = self._cut_out(number, walk, second)
            x0, y0, x1, y1 = (
                max(left, 0),
                max(top, 0),
                min(left + mask.shape[1], width),
                min(top + mask.shape[0], height),
            )
            if x0 >= x1 or y0 >= y1:
                continue
            part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
            soles = top + mask.shape[0] * CUT_OUT_GROUND // HEIGHT
            self._drop_shadow(picture, left + mask.shape[1] // 2, soles, mask.shape[0])
            _blend(picture[y0:y1, x0:x1], colors[part], mask[part])
            shown = mask[part] >= 128
            owner[y0:y1, x0:x1][shown] = rank
            rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
            if len(rows):
                box = (
                    int(x0 + columns[0]),
                    int(y0 + rows[0]),
                    int(columns[-1] - columns[0] + 1),
                    int(rows[-1] - rows[0] + 1),
                )
                placed.append((rank, number, walk.pid, box, int((mask >= 128).sum())))
        cv2.copyTo(self.post, self.is_post.astype(np.uint8), picture)
        owner[self.is_post] = 0
        pixels = np.bincount(owner.ravel(), minlength=len(walks) + 1)
        seen = [
            SeenPerson(frame, number, pid, box, float(pixels[rank]) / whole)
            for rank, number, pid, box, whole in placed
            if pixels[rank]
        ]
        # Light stays as it is; the exposure changes once per second, as that of a camera that controls it.
        picture = cast_light(picture, random_stream(self.seed, SCENE_STREAM, 0, self.camid, 1))
        rng = random_stream(self.seed, SCENE_STREAM, 0, self.camid, 2, int(second))
        return expose(picture, self.camera, rng), sorted(seen, key=lambda person: person.passage)

    def _cut_out(self, number: int, walk: Passage, second: float) -> tuple[np.ndarray, np.ndarray, int, int]:
        """Return a person's colors and mask in pixels of the frame, and the column and row of the upper left corner."""
        rng = random_stream(self.seed, SCENE_STREAM, walk.pid, number, 1)
        x, depth, yaw, phase = walk.at(second)
        looks, thing = rng.uniform(-0.4, 0.4), (60, 98, 140)
        pose = Pose(yaw, phase, head_turn=looks, lean=0.015, holds=False, thing=thing)
        person = self.people[walk.pid]
        colors, mask = cut_out_person(person, pose, self.camera, rng)
        unit = _body_height(depth, self.size)
        shrink = unit * person.height / CUT_OUT_TALL
        shape = (max(1, round(mask.shape[1] * shrink)), max(1, round(mask.shape[0] * shrink)))
        soles = self.size[1] * (FAR[0] + depth * (NEAR[0] - FAR[0]))
        left = round(self.size[0] / 2 + x * unit - shape[0] / 2)
        top = round(soles - CUT_OUT_GROUND * shrink)
        colors, mask = (cv2.resize(part, shape, interpolation=cv2.INTER_LINEAR_EXACT) for part in (colors, mask))
        return colors, mask, left, top

    def _drop_shadow(self, picture: np.ndarray, column: int, row: int, tall: int) -> None:
        radii = (max(2, tall * 38 // 256), max(1, tall * 9 // 256))
        first, last = max(0, row - 2 * radii[1] - 4), min(self.size[1], row + 2 * radii[1] + 4)
        left, right = max(0, column - 2 * radii[0]), min(self.size[0], column + 2 * radii[0])
        if first < last and left < right:
            center = (column - left - self.camera.light_side * radii[0] // 3, row - first)
            drop_shadow(picture[first:last, left:right], center, radii, depth=52)


def _blend(picture: np.ndarray, colors: np.ndarray, mask: np.ndarray) -> None:
    """Put colors that are 0 outside of a soft mask into a picture, in place."""
    rest = picture.astype(np.uint16) * (255 - mask.astype(np.uint16))[..., None]
    picture[:] = np.minimum(colors + (rest + 127) // 255, 255).astype(np.uint8)


def _fit(scene: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cut the largest part of a frame's shape out of a scene and resize it; the horizon comes into the upper third."""
    height, width = scene.shape[:2]
    part = min(width, height * size[0] // size[1]), min(height, width * size[1] // size[0])
    top, left = (height - part[1]) * 3 // 4, (width - part[0]) // 2
    scene = np.ascontiguousarray(scene[top : top + part[1], left : left + part[0]])
    return cv2.resize(scene, size, interpolation=cv2.INTER_LINEAR_EXACT)


def exact_boxes(seen: list[SeenPerson]) -> list[TrackedBox]:
    """Return the boxes of a perfect detector and tracker: a track per passage, numbered by the entrance.

    Args:
        seen: The people in the frames of a camera, in the order of frames.
    """
    tracks: dict[int, int] = {}
    boxes = []
    for person in seen:
        if person.visibility >= MIN_VISIBILITY:
            track = tracks.setdefault(person.passage, len(tracks) + 1)
            boxes.append(TrackedBox(person.frame, track, person.box, 1.0, person))
    return boxes


def noisy_boxes(
    seen: list[SeenPerson], seed: int, camid: int, num_frames: int, fps: int, size: tuple[int, int]
) -> list[TrackedBox]:
    """Return the boxes of an imperfect detector and a tracker that soon forgets.

    Args:
        seen: The people in the frames of a camera, in the order of frames.
        seed: Seed of the scene.
        camid: The camera.
        num_frames: Number of frames.
        fps: Frames per second.
        size: Width and height of a frame in pixels.
    """
    found: list[tuple] = []
    for person in seen:
        rng = random_stream(seed, SCENE_STREAM, camid, person.frame, person.passage, 3)
        missed = MISSED_PROB if person.visibility >= 0.5 else HIDDEN_MISSED_PROB
        if person.visibility < MIN_VISIBILITY or rng.random_sample() < missed:
            continue
        x, y, w, h = person.box
        offset = JITTER * rng.randn(4) * (w, h, w, h)
        box = _clipped((x + offset[0], y + offset[1], x + w + offset[2], y + h + offset[3]), size)
        score = 0.5 + 0.45 * person.visibility + rng.uniform(-0.05, 0.05)
        found.append((person.frame, ('person', person.passage), box, round(score, 2), person))
    rng = random_stream(seed, SCENE_STREAM, camid, 4)
    for frame in range(num_frames):
        if rng.random_sample() < FALSE_TRACKS / fps:
            tall = size[1] * rng.uniform(FAR[1], NEAR[1])
            x, y = rng.uniform(0, size[0] - 0.4 * tall), rng.uniform(0, size[1] - tall)
            last = min(num_frames, frame + 1 + int(rng.randint(max(1, round(FALSE_SECONDS * fps)))))
            for now in range(frame, last):
                box = _clipped((x, y, x + 0.4 * tall, y + tall), size)
                found.append((now, ('false', frame), box, round(rng.uniform(0.3, 0.6), 2), None))
    found.sort(key=lambda row: (row[0], row[1]))
    tracks: dict[tuple, tuple[int, int]] = {}  # track and last frame
    boxes, last_track = [], 0
    for frame, source, box, score, person in found:
        track, before = tracks.get(source, (0, 0))
        if not track or frame - before > LOST_SECONDS * fps:
            last_track += 1
            track = last_track
        tracks[source] = (track, frame)
        boxes.append(TrackedBox(frame, track, box, score, person))
    return boxes


def _clipped(corners: tuple[float, ...], size: tuple[int, int]) -> tuple[float, ...]:
    """Return left, top, width and height in tenths of pixels, clipped to the frame; one pixel wide and high or more."""
    x0, y0 = (min(max(value, 0.0), edge - 1.0) for value, edge in zip(corners[:2], size, strict=True))
    x1, y1 = (min(max(v, low + 1), edge) for v, low, edge in zip(corners[2:], (x0, y0), size, strict=True))
    x0, y0, x1, y1 = (round(value, 1) for value in (x0, y0, x1, y1))
    return x0, y0, round(x1 - x0, 1), round(y1 - y0, 1)


def _write_boxes(path: Path, boxes: list[TrackedBox]) -> None:
    """Write boxes in the MOTChallenge's format, whose frames count from 1."""
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerows((box.frame + 1, box.track, *box.box, f'{box.score:g}', -1, -1, -1) for box in boxes)


def _truth_rows(camid: int, seen: list[SeenPerson], boxes: list[TrackedBox]) -> list[tuple]:
    """Return the rows of ``truth.csv``; frames count from 1, and track 0 marks a person without a box."""
    tracks = {(box.frame, box.person.passage): box.track for box in boxes if box.person is not None}
    return [
        (
            camid,
            person.frame + 1,
            tracks.get((person.frame, person.passage), 0),
            person.pid,
            *person.box,
            f'{person.visibility:.3f}',
        )
        for person in seen
    ]


def _check_arguments(num_people: int, num_strangers: int, seconds: float, fps: int, size: tuple[int, int]) -> None:
    if num_people < 0 or num_strangers < 0 or num_people + num_strangers < 1:
        raise DataError(
            f'{num_people} people and {num_strangers} strangers: give 0 or more of each, and one person or more in all'
        )
    if num_people + num_strangers > MOST_PEOPLE:
        raise DataError(f'{num_people} people and {num_strangers} strangers: give {MOST_PEOPLE:,} in all at most')
    scene_frames(seconds, fps)
    if not (160 <= size[0] <= LARGEST_SIDE and 90 <= size[1] <= LARGEST_SIDE) or size[0] % 2 or size[1] % 2:
        raise DataError(
            f'size is {size[0]} x {size[1]}: give an even width from 160 and an even height from 90, both up to '
            f'{LARGEST_SIDE:,}'
        )
