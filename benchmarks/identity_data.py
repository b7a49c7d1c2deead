"""People in the order in which cameras see them, with the truth: drawn scenes, and tracks of labeled images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmosnet.errors import DataError
from mmosnet.io.images import read_image
from mmosnet.io.video import VideoFrames, read_boxes
from mmosnet.synthetic.scenes import NUM_CAMERAS, draw_scene, read_truth

Embed = Callable[..., np.ndarray]  # of mmosnet.Embedder: a frame and boxes (N, 4) to (N, D)
NOBODY = 0  # pid of a box without a person

# Of a test scene and of a scene to calibrate on, whose seeds begin far from each other.
SCENE = dict(num_people=12, num_strangers=8, seconds=60.0, fps=3, size=(640, 360), noise=True)
CALIBRATION_SCENE = dict(SCENE, num_people=40, num_strangers=0, seconds=40.0, fps=2)
CALIBRATION_SEED = 1000
# In a sequence of images, people follow each other at this interval in seconds, and so do the images of one.
TRACK_SECONDS, IMAGE_SECONDS = 60.0, 1.0


@dataclass(frozen=True)
class Sightings:
    """N boxes with embeddings, in the order of time, and what is true about them.

    Attributes:
        embedding: ``(N, D)`` float32.
        moment: Number of the frame of a camera that the box is in, ``(N,)`` int64; not descending.
        track: Number of the track, ``(N,)`` int64, different in different cameras.
        camid: ``(N,)`` int64.
        time: Seconds, ``(N,)`` float64.
        pid: The person, ``(N,)`` int64; :data:`NOBODY` for a false box.
        overlap: Intersection over union with the exact box of the person, ``(N,)`` float64.
        missed_pid: People in frames who have no box, ``(K,)`` int64.
        missed_moment: The frames of these, ``(K,)`` int64.
    """

    embedding: np.ndarray
    moment: np.ndarray
    track: np.ndarray
    camid: np.ndarray
    time: np.ndarray
    pid: np.ndarray
    overlap: np.ndarray
    missed_pid: np.ndarray
    missed_moment: np.ndarray

    def __len__(self) -> int:
        return len(self.pid)

    def of_people(self, pids: np.ndarray) -> Sightings:
        """Return the sightings of some people."""
        rows = np.isin(self.pid, pids)
        parts = {
            name: getattr(self, name)[rows]
            for name in ('embedding', 'moment', 'track', 'camid', 'time', 'pid', 'overlap')
        }
        missed = np.isin(self.missed_pid, pids)
        return replace(self, **parts, missed_pid=self.missed_pid[missed], missed_moment=self.missed_moment[missed])


def scene_sightings(folder: str | Path, embedder: Embed) -> Sightings:
    """Embed the boxes of a drawn scene.

    Args:
        folder: Folder of :func:`~mmosnet.synthetic.scenes.draw_scene`.
        embedder: Called with a frame and its boxes ``(N, 4)``, left, top, right, bottom.

    Returns:
        The boxes by time; at the same time, those of camera 0 first.
    """
    folder = Path(folder)
    truth = {(row.camid, row.frame, row.track): row for row in read_truth(folder) if row.track}
    missed = [(row.frame * NUM_CAMERAS + row.camid, row.pid) for row in read_truth(folder) if not row.track]
    rows: list[tuple] = []
    for camid in range(NUM_CAMERAS):
        video = VideoFrames(folder / f'cam{camid}.mp4')
        boxes = read_boxes(folder / f'cam{camid}.txt')
        with closing(video):
            for frame in sorted({box.frame for box in boxes}):
                here = [box for box in boxes if box.frame == frame]
                corners = np.array([box.box for box in here], np.float64)
                corners[:, 2:] += corners[:, :2]
                for box, embedding in zip(here, embedder(video.read(frame), corners), strict=True):
                    person = truth.get((camid, frame, box.track))
                    moment = frame * NUM_CAMERAS + camid
                    rows.append(
                        (
                            moment,
                            embedding,
                            box.track * NUM_CAMERAS + camid,
                            camid,
                            frame / video.fps,
                            NOBODY if person is None else person.pid,
                            0.0 if person is None else overlap(box.box, person.box),
                        )
                    )
    rows.sort(key=lambda row: row[0])
    return _sightings(rows, missed)


def draw_and_embed(folder: Path, seed: int, settings: dict, embedder: Embed) -> Sightings:
    """Draw a scene, unless the folder has it, and embed its boxes."""
    return scene_sightings(draw_scene(folder, seed, **settings), embedder)


@dataclass(frozen=True)
class LabeledTracks:
    """Images of a re-identification data set, grouped into tracks: all images of a person by a camera.

    Attributes:
        embedding: ``(N, D)`` float32; the images of a track in their order.
        track: Number of the track, ``(N,)`` int64.
        pid: ``(N,)`` int64.
        camid: ``(N,)`` int64.
    """

    embedding: np.ndarray
    track: np.ndarray
    pid: np.ndarray
    camid: np.ndarray

    def of_people(self, pids: np.ndarray) -> LabeledTracks:
        """Return the tracks of some people."""
        rows = np.isin(self.pid, pids)
        return LabeledTracks(self.embedding[rows], self.track[rows], self.pid[rows], self.camid[rows])

    def shuffled(self, seed: int) -> Sightings:
        """Return the tracks one after the other, in a random order; each image is a frame of its own."""
        order = np.random.default_rng(seed).permutation(np.unique(self.track))
        rows = []
        for number, track in enumerate(order):
            for k, row in enumerate(np.flatnonzero(self.track == track)):
                time = number * TRACK_SECONDS + k * IMAGE_SECONDS
                rows.append((len(rows), self.embedding[row], number, self.camid[row], time, self.pid[row], 1.0))
        return _sightings(rows, [])


def labeled_tracks(folder: str | Path, splits: Sequence[str], embedder: Embed) -> LabeledTracks:
    """Embed whole images of a data set in Market-1501's layout.

    Args:
        folder: The data set.
        splits: Folders of it.
        embedder: Called with an image and one box, the whole image.

    Raises:
        DataError: There is no image.
    """
    found: list[tuple[int, int, str, Path]] = []
    for split in splits:
        for path in sorted((Path(folder) / split).glob('*.jpg')):
            person, camera, frame, *_ = path.stem.split('_')
            if int(person) > 0:
                found.append((int(person), int(camera[1]) - 1, frame, path))
    if not found:
        raise DataError(f'{folder}: no images of known people in {", ".join(splits)}')
    found.sort()
    images = (read_image(str(path)) for *_, path in found)
    embedding = np.concatenate([embedder(image, [[0, 0, *image.shape[1::-1]]]) for image in images])
    pid, camid = (np.array([row[k] for row in found], np.int64) for k in (0, 1))
    _, track = np.unique(np.stack([pid, camid]), axis=1, return_inverse=True)
    return LabeledTracks(embedding, track.reshape(-1), pid, camid)


def pooled(embedding: np.ndarray, track: np.ndarray) -> np.ndarray:
    """Return the mean of each track's normalized embeddings ``(T, D)`` float32, by ascending track."""
    unit = embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.stack([unit[track == number].mean(axis=0) for number in np.unique(track)]).astype(np.float32)


def overlap(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the intersection over union of two boxes: left, top, width, height."""
    sides = [
        max(0.0, min(a + size, b + other) - max(a, b))
        for a, size, b, other in zip(first[:2], first[2:], second[:2], second[2:], strict=True)
    ]
    shared = sides[0] * sides[1]
    return shared / (first[2] * first[3] + second[2] * second[3] - shared)


def _sightings(rows: list[tuple], missed: list[tuple[int, int]]) -> Sightings:
    moment, embedding, track, camid, time, pid, overlaps = zip(*rows, strict=True)
    gone = np.array(missed, np.int64).reshape(-1, 2)
    return Sightings(
        embedding=np.stack(embedding).astype(np.float32),
        moment=np.array(moment, np.int64),
        track=np.array(track, np.int64),
        camid=np.array(camid, np.int64),
        time=np.array(time, np.float64),
        pid=np.array(pid, np.int64),
        overlap=np.array(overlaps, np.float64),
        missed_pid=gone[:, 1],
        missed_moment=gone[:, 0],
    )
