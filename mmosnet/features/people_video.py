"""People in the frames of a video to extract features of, by a file of their boxes."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mmosnet.errors import DataError
from mmosnet.features.listing_options import ListingOptions
from mmosnet.features.person_box import InputBoxes
from mmosnet.features.person_list import ListedPerson
from mmosnet.io.media import LOGGER, images_in
from mmosnet.io.regions import frame_path
from mmosnet.io.tables import LAST
from mmosnet.io.video import FORMS, FrameBox, VideoFrames, read_boxes

# The last number in the name of a file, behind and before what is equal in all names.
NUMBERED = re.compile(r'(.*?)(\d+)(\D*)', re.ASCII)


def people_in_video(
    path: str, boxes: str, camid: int, start_time: float, options: ListingOptions, left_out: Counter[str]
) -> Iterator[ListedPerson]:
    """List the boxes of a video, or of a folder with its frames as images.

    A person's time is that of the frame: ``start_time`` and its number by the frame rate; of a folder it is unknown
    without ``options.fps``.

    Args:
        path: Video file, or folder whose images are the frames.
        boxes: File of the boxes (:func:`~mmosnet.io.video.read_boxes`).
        camid: Number of the camera.
        start_time: Seconds at which the video starts.
        options: The rest.
        left_out: Counts the boxes that are not asked for.

    Raises:
        FileNotFoundError: No such video, or no such file of boxes.
        DataError: A damaged file, frames whose numbers do not tell their order, or a box that is wrong; names its row.
    """
    read = read_boxes(boxes, options.first_frame, keep_faulty=True)
    wrong = next((row for row in read if row.error), None)
    if wrong is not None and not options.skip:
        options.reason(DataError(wrong.error))
    if options.tracks_as_pids and not any(row.track >= 0 for row in read):
        raise DataError(f'{boxes}: no box has a track, which --tracks-as-pids could take: {FORMS}')
    if options.first_frame is None and read[0].number - read[0].frame == 1:
        LOGGER.warning(f'{boxes}: frames count from 1, as in the MOTChallenge; give --first-frame 0 if they do not')
    rows = list(_chosen(read, boxes, options, left_out))
    images = _Frames(path, options.first_frame) if Path(path).is_dir() else None
    found = InputBoxes(boxes, options.margin)
    if images is None:
        video = VideoFrames(path, options.fps)
        with closing(video):
            frame_size, fps = (video.height, video.width), video.fps
    else:
        fps = options.fps
    for row in rows:
        pid = row.track if options.tracks_as_pids else -1
        time = start_time + row.frame / fps if fps and not row.error else math.nan
        person = ListedPerson(path, pid, camid, time, place=row.place)
        try:
            if row.error:
                raise DataError(row.error)
            if fps and time >= LAST:
                raise DataError(f'{row.place}: frame {row.frame} at {fps:g} frames per second is after the year 2099')
            if images is None:
                yield person._replace(path=frame_path(path, row.frame, found.region(row.box, frame_size, row.place)))
            else:
                yield found.person(person._replace(path=images.image(row)), row.box, row.place)
        except DataError as e:
            yield person._replace(error=options.reason(e))
    found.finish()


def _chosen(rows: list[FrameBox], boxes: str, options: ListingOptions, left_out: Counter[str]) -> Iterator[FrameBox]:
    for row in rows:
        if row.error:
            yield row
        elif row.frame % options.frame_step:
            left_out[f'boxes of {boxes} in frames between those of --frame-step {options.frame_step}'] += 1
        elif options.min_score is not None and math.isnan(row.score):
            raise DataError(f'{row.place}: no score, on which --min-score {options.min_score:g} could decide')
        elif options.min_score is not None and row.score < options.min_score:
            left_out[f'boxes of {boxes} with a score below {options.min_score:g}'] += 1
        else:
            yield row


class _Frames:
    """The images of a folder as the frames of a video.

    Numbers in the names count: 000007.jpg is frame 7 where frame 6 is missing too. Names without numbers, or with
    several as dates have, are frames in order of the names.

    Args:
        folder: Folder of the frames.
        first_frame: What the boxes call the first, if that was said.

    Raises:
        DataError: Names of which it is not clear which frame they are.
    """

    def __init__(self, folder: str, first_frame: int | None) -> None:
        self._folder = folder
        images = sorted(images_in(folder), key=_natural)
        names = [NUMBERED.fullmatch(Path(image).stem) for image in images]
        bare = [name is not None and name[0].isdigit() for name in names]
        if any(bare) and not all(bare):
            numbered, other = images[bare.index(True)], images[bare.index(False)]
            raise DataError(f'{other} has no number as {numbered} has, so that it is not clear which frame it is')
        self._by_number = dict(enumerate(images))
        if None in names or len({(name[1], name[3]) for name in names}) > 1:
            return
        numbers = [int(name[2]) for name in names]
        start = min(numbers)
        if start > 1 and first_frame != start:
            raise DataError(
                f'{folder}: the frames count from {start}: give --first-frame {start} if the boxes have the same '
                'numbers; else rename the images, to count from 0 or 1'
            )
        self._by_number = {}
        for number, image in zip(numbers, images, strict=True):
            if number - start in self._by_number:
                raise DataError(f'{image} and {self._by_number[number - start]} are both frame {number}: leave one')
            self._by_number[number - start] = image

    def image(self, row: FrameBox) -> str:
        """Return the image file of a box's frame.

        Raises:
            DataError: There is none.
        """
        if row.frame not in self._by_number:
            first = row.number - row.frame
            last, number = max(self._by_number) + first, len(self._by_number)
            text = f'{row.place}: frame {row.number} of {self._folder}, whose {number} images are {first} to {last}'
            wrong = first == 0 and row.frame == number
            raise DataError(text + '; if the boxes count from 1, give --first-frame 1' * wrong)
        return self._by_number[row.frame]


def _natural(path: str) -> list[str | int]:
    """Return a sort key by which 2.jpg precedes 10.jpg."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split('([0-9]+)', path))]
