"""People in the frames of a video to extract features of, by a file of their boxes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mmosnet.datasets.crop_person import box_with_margin
from mmosnet.errors import DataError
from mmosnet.features.boxes_file import FrameBox, read_boxes
from mmosnet.features.listing_options import ListingOptions
from mmosnet.features.person_box import ImageSizes, boxed_person
from mmosnet.features.person_list import ListedPerson
from mmosnet.features.video_frames import VideoFrames
from mmosnet.features.video_path import frame_path
from mmosnet.runtime.media_files import images_in


def people_in_video(
    path: str, boxes: str, camid: int, start_time: float, options: ListingOptions
) -> Iterator[ListedPerson]:
    """List the boxes of a video, or of a folder with its frames as images.

    A person's time is that of the frame: ``start_time`` and its number by the frame rate; of a folder it is unknown
    without ``options.fps``.

    Args:
        path: Of the video, or the folder, whose images in order of their names and the numbers in these are the
            frames.
        boxes: File of the boxes (:func:`~mmosnet.features.boxes_file.read_boxes`).
        camid: Of the camera.
        start_time: Seconds at which the video starts.
        options: The rest.

    Raises:
        FileNotFoundError: No such video, or no such file of boxes.
        DataError: A damaged file, or a box that is wrong; names its row.
    """
    rows = list(_chosen(read_boxes(boxes), options))
    images = sorted(images_in(path), key=_by_number) if Path(path).is_dir() else None
    sizes = ImageSizes()
    if images is None:
        video = VideoFrames(path, options.fps)
        with closing(video):
            frame_size, fps = (video.height, video.width), video.fps
    else:
        fps = options.fps
    for row in rows:
        pid = row.track if options.tracks_as_pids else -1
        person = ListedPerson(path, pid, camid, start_time + row.frame / fps if fps else math.nan)
        if images is None:
            yield _in_frame(person, row, frame_size, options)
        elif row.frame < len(images):
            person = person._replace(path=images[row.frame])
            yield boxed_person(person, row.box, sizes, row.place, options)
        else:
            yield _faulty(person, f'{row.place}: frame {row.frame} counted from 0, of {len(images)} in {path}', options)


def _chosen(rows: list[FrameBox], options: ListingOptions) -> Iterator[FrameBox]:
    for row in rows:
        if row.frame % options.frame_step:
            continue
        if options.min_score is not None:
            if math.isnan(row.score):
                raise DataError(f'{row.place}: no score, on which --min-score {options.min_score:g} could decide')
            if row.score < options.min_score:
                continue
        yield row


def _in_frame(
    person: ListedPerson, row: FrameBox, frame_size: tuple[int, int], options: ListingOptions
) -> ListedPerson:
    try:
        box, _ = box_with_margin(row.box, frame_size, options.margin, row.place)
    except DataError as e:
        return _faulty(person, str(e), options)
    return person._replace(path=frame_path(person.path, row.frame, box))


def _faulty(person: ListedPerson, text: str, options: ListingOptions) -> ListedPerson:
    if not options.skip:
        raise DataError(text)
    return person._replace(error=text)


def _by_number(path: str) -> list[str | int]:
    """Sorts 2.jpg before 10.jpg."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split('([0-9]+)', path))]
