"""Videos of cameras with the boxes of people in them, read frame by frame. Needs no torch."""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features.people import InputBoxes, ListingOptions
from mmosnet.features.sources import FolderFrames, one_for_each, requested, videos_with_boxes
from mmosnet.io.coco import frame_size
from mmosnet.io.images import read_image
from mmosnet.io.media import LOGGER
from mmosnet.io.regions import Box, frame_path, region_path
from mmosnet.io.tables import LAST
from mmosnet.io.video import FrameBox, VideoFrames, read_boxes


class PersonBox(NamedTuple):
    """A person in a frame of a video.

    Attributes:
        row: The row of the box file.
        region: The part of the frame that shows the person, with its margin.
    """

    row: FrameBox
    region: Box


class CameraVideo:
    """A video, or a folder of frames, with the boxes of people in it.

    Args:
        path: Video file, or folder whose images are the frames.
        boxes: File of the boxes (:func:`~mmosnet.io.video.read_boxes`).
        camid: Number of the camera.
        start: Seconds at which the video starts; 0 if unknown (None).
        options: Further options; :attr:`ListingOptions.skip` leaves out rows that cannot be used.

    Attributes:
        path: The same as given, likewise ``boxes_path``, ``camid`` and ``start``.
        is_timed: Whether the start is known.
        fps: Frames per second.
        size: Height and width of a frame in pixels.
        boxes: The boxes by frame, frames ascending; each frame has at least one. Empty where nobody is seen.
        left_out: Number of boxes that are not among these, by reason.

    Raises:
        FileNotFoundError: No such video, or no such file of boxes.
        DataError: A damaged file, a wrong box (names its row), frames that the video does not have, or boxes of which
            none is in a frame.
    """

    def __init__(self, path: str, boxes: str, camid: int, start: float | None, options: ListingOptions) -> None:
        self.path, self.boxes_path, self.camid = path, boxes, camid
        self.start, self.is_timed = start or 0.0, start is not None
        self.left_out: Counter[str] = Counter()
        self._folder = FolderFrames(path, options.first_frame) if Path(path).is_dir() else None
        self._video: VideoFrames | None = None
        self._given_fps, self._skip = options.fps, options.skip
        rows = self._rows(options)
        if self._folder is not None:
            if options.fps is None:
                raise DataError(f'{path} is a folder of frames, which has no frame rate: give --fps')
            self.fps = options.fps
            there = [row for row in rows if self._is_there(row, options)]
            if rows and not there:
                raise DataError(f'{boxes}: no box is in a frame of {path}: is it of another video?')
            rows = there
            image = self._folder.image(rows[0]) if rows else next(iter(self._folder.files().values()))
            self.size = frame_size(image, {}, rows[0].place if rows else image)
        else:
            video = self._opened()
            self.fps, self.size = video.fps, (video.height, video.width)
            if rows:
                self._check_last(rows[-1], options)
            self.close()
        if rows and self.start + rows[-1].frame / self.fps >= LAST:
            raise DataError(f'{rows[-1].place}: frame {rows[-1].frame} at {self.fps:g} frames per second is after 2099')
        self.boxes = self._regions(rows, options)

    @property
    def is_folder(self) -> bool:
        """Whether the frames are the images of a folder."""
        return self._folder is not None

    @property
    def name(self) -> str:
        """Name of the file or folder, without its suffix."""
        path = Path(self.path)
        return (path.name if self._folder is not None else path.stem) or path.resolve().name

    def time(self, frame: int) -> float:
        """Return the time of a frame in seconds."""
        return self.start + frame / self.fps

    def read(self, frame: int) -> np.ndarray:
        """Return a frame, ``(H, W, 3)`` uint8, BGR; frames in ascending order are each decoded once.

        Raises:
            DataError: The frame is damaged.
        """
        if self._folder is None:
            return self._opened().read(frame)
        return self._image(self._folder.image(self._any_row(frame)))

    def _image(self, file: str) -> np.ndarray:
        image = read_image(file)
        if image.shape[:2] != self.size:
            (height, width), (other_height, other_width) = self.size, image.shape[:2]
            raise DataError(
                f'{file} has {other_width}x{other_height} pixels, and other frames of {self.path} have {width}x{height}'
            )
        return image

    def all_frames(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield number and image of every frame; a damaged video ends where it cannot be read.

        Raises:
            DataError: An image of a folder cannot be read, and :attr:`ListingOptions.skip` does not leave it out.
        """
        self.close()
        if self._folder is not None:
            for number, file in sorted(self._folder.files().items()):
                try:
                    image = self._image(file)
                except DataError:
                    if not self._skip:
                        raise
                else:
                    yield number, image
            return
        video, number = self._opened(), 0
        while True:
            try:
                image = video.read(number)
            except DataError:
                return
            yield number, image
            number += 1

    def region_path(self, box: PersonBox) -> str:
        """Return the path of a person's image, see :class:`~mmosnet.features.Features`."""
        if self._folder is not None:
            return region_path(self._folder.image(box.row), box.region)
        return frame_path(self.path, box.row.frame, box.region)

    def close(self) -> None:
        """Close the file; reading opens it again."""
        if self._video is not None:
            self._video.close()
            self._video = None

    def _opened(self) -> VideoFrames:
        if self._video is None:
            self._video = VideoFrames(self.path, self._given_fps)
        return self._video

    def _any_row(self, frame: int) -> FrameBox:
        return self.boxes[frame][0].row

    def _rows(self, options: ListingOptions) -> list[FrameBox]:
        """Return the requested rows that have no error, by frame."""
        # A file without boxes is that of a camera in which nobody is seen.
        all_rows = read_boxes(self.boxes_path, options.first_frame, keep_faulty=True, may_be_empty=True)
        if options.first_frame is None and all_rows and all_rows[0].number - all_rows[0].frame == 1:
            LOGGER.warning(
                f'{self.boxes_path}: frames count from 1, as in the MOTChallenge; give --first-frame 0 if they do not'
            )
        rows = []
        for row in requested(all_rows, self.boxes_path, options, self.left_out):
            if row.error:
                options.reason(DataError(row.error))
                self._leave_out()
            else:
                rows.append(row)
        if not rows and any(row.error for row in all_rows):
            others = ''.join(f'; left out {count:,} {text}' for text, count in self.left_out.items())
            raise DataError(f'{self.boxes_path} has no box of {self.path}{others}')
        return rows

    def _is_there(self, row: FrameBox, options: ListingOptions) -> bool:
        """Return whether a folder has the frame of a row."""
        try:
            self._folder.image(row)
        except DataError as e:
            options.reason(e)
            self._leave_out()
            return False
        return True

    def _check_last(self, row: FrameBox, options: ListingOptions) -> None:
        """Refuse boxes of another video before anything is computed."""
        try:
            self._opened().read(row.frame)
        except DataError as e:
            # Otherwise reading ends there.
            options.reason(
                DataError(
                    f'{row.place}: frame {row.number}, but {e}; {self.boxes_path} may be of another video, or count '
                    'frames from another number (--first-frame)'
                )
            )
        finally:
            self.close()

    def _leave_out(self) -> None:
        self.left_out[f'rows of {self.boxes_path} that cannot be used'] += 1

    def _regions(self, rows: Sequence[FrameBox], options: ListingOptions) -> dict[int, list[PersonBox]]:
        boxes: dict[int, list[PersonBox]] = defaultdict(list)
        clipper = InputBoxes(self.boxes_path, options.margin)
        outside = 0
        height, width = self.size
        for row in rows:
            left, top, box_width, box_height = row.box
            is_outside = left >= width or top >= height or left + box_width <= 0 or top + box_height <= 0
            # Trackers go on with boxes of people who have left the frame.
            if is_outside and box_width > 0 and box_height > 0:
                outside += 1
                continue
            try:
                region = clipper.region(row.box, self.size, row.place)
            except DataError as e:
                options.reason(e)
                self._leave_out()
            else:
                boxes[row.frame].append(PersonBox(row, region))
        clipper.finish()
        if rows and not boxes:
            raise DataError(
                f'{self.boxes_path}: no box has a pixel in {self.path}, whose frames are {width}x{height}, '
                f'{outside:,} lie outside: is it of another video, or in other units than pixels?'
            )
        if outside:
            self.left_out[f'boxes of {self.boxes_path} wholly outside of their frames'] += outside
        return dict(boxes)


class Track(NamedTuple):
    """A track of a video.

    Attributes:
        number: Its number in the box file.
        boxes: Its boxes, by frame.
        chosen: Those to embed, at least one.
    """

    number: int
    boxes: list[PersonBox]
    chosen: list[PersonBox]

    @property
    def decided(self) -> int:
        """Frame after which the person is decided."""
        return self.chosen[-1].row.frame


def video_tracks(video: CameraVideo, most: int, after: int | None = None) -> list[Track]:
    """Return the tracks of a video, by number.

    Args:
        video: The video. Boxes without a track are counted in its ``left_out``.
        most: Number of boxes to embed per track, evenly spread over it.
        after: Decide who it is after this number of boxes; at the end of the track by default.

    Raises:
        DataError: A track has two boxes in one frame; names the row.
    """
    by_track: dict[int, list[PersonBox]] = defaultdict(list)
    for boxes in video.boxes.values():
        for box in boxes:
            if box.row.track < 0:
                video.left_out[f'boxes of {video.boxes_path} without a track: --per frame decides on them, too'] += 1
            else:
                by_track[box.row.track].append(box)
    for number, boxes in by_track.items():
        for one, two in pairwise(boxes):
            if one.row.frame == two.row.frame:
                raise DataError(f'{two.row.place}: track {number} has a second box in frame {two.row.number}')
    return [Track(number, boxes, _spread(boxes[:after], most)) for number, boxes in sorted(by_track.items())]


def _spread(boxes: list[PersonBox], most: int) -> list[PersonBox]:
    """Return at most ``most`` boxes, evenly spread, the last among them."""
    number = min(most, len(boxes))
    return [boxes[math.ceil((step + 1) * len(boxes) / number) - 1] for step in range(number)]


def open_videos(paths: Sequence[str], options: ListingOptions) -> list[CameraVideo]:
    """Open videos, each with a file of boxes and a camera.

    Args:
        paths: Video files, or folders of frames.
        options: ``boxes`` has one file per video; ``camid`` and ``start_time`` one value for all, or one per video.

    Raises:
        FileNotFoundError: A file is missing.
        DataError: An input is no video, a number of values does not fit, one camera has two videos at the same time,
            or see :class:`CameraVideo`.
    """
    boxes = videos_with_boxes(paths, options)
    other = next((path for path in paths if path not in boxes), None)
    if other is not None:
        raise DataError(f'{other}: no video, and no folder of frames alone: give videos or folders, not both')
    if not options.camid:
        raise DataError('give --camid, the number of the camera: one for all videos, or one per video')
    camids = one_for_each('--camid', options.camid, paths, -1)
    starts = one_for_each('--start-time', options.start_time, paths, None)
    videos = [CameraVideo(path, boxes[path], camids[path], starts[path], options) for path in paths]
    _check_times(videos)
    return videos


def _check_times(videos: Sequence[CameraVideo]) -> None:
    """Refuse videos of one camera that overlap in time, in which nobody could be the same person."""
    by_time = sorted(
        (video for video in videos if video.boxes), key=lambda video: (video.camid, video.time(min(video.boxes)))
    )
    for one, two in pairwise(by_time):
        last = one.time(max(one.boxes))
        if one.camid == two.camid and two.time(min(two.boxes)) <= last:
            raise DataError(
                f'{one.path} and {two.path} are of camera {one.camid} and at the same time: give the --start-time of '
                f'each; the second one begins after {last:.2f} s'
            )


def in_order_of_time(
    videos: Sequence[CameraVideo], frames: Sequence[Iterable[int]]
) -> Iterator[tuple[float, int, int]]:
    """Yield time, number of the video, and frame, for the given frames of all videos together.

    Args:
        videos: The videos.
        frames: Frames of each, ascending.
    """

    def timed(number: int) -> Iterator[tuple[float, int, int]]:
        return ((videos[number].time(frame), number, frame) for frame in frames[number])

    return heapq.merge(*(timed(number) for number in range(len(videos))))
