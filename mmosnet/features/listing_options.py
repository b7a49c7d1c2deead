"""What is known about the images to extract features of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmosnet.errors import DataError


@dataclass(frozen=True)
class ListingOptions:
    """Options of :func:`~mmosnet.features.list_people.list_people`.

    Attributes:
        names: ``'market1501'``: names of images like ``0002_c1s1_000451_03.jpg`` tell pid and camera; ``''``: they tell
            nothing.
        camid: Camera of the people whose records name none; one for all inputs, or one per input.
        root: Folder where the paths in tables and annotation files start; by default the file's own.
        split: Split of tables and annotation files to read; all by default.
        category: Name of the category whose boxes are read from COCO files.
        id_key: Field of the identity in COCO files.
        camera_key: Field of the camera in COCO files.
        margin: Added to boxes on each side, as a share of their width and height.
        boxes: A file of boxes for each video.
        first_frame: What files of boxes call the first frame of a video; by default 0 where their first row names the
            columns, 1 where not, as in the MOTChallenge.
        min_score: Smallest score of boxes to read from box files.
        tracks_as_pids: Numbers of tracks in files of boxes are identities.
        frame_step: Read only every n-th frame of a video, counted from its first.
        fps: Frames a second of videos, instead of what the files state; needed for folders of frames.
        start_time: Seconds at which videos start; one for all, or one for each.
        skip: Boxes and files that cannot be used are noted with the person, instead of raised.

    Raises:
        DataError: A number that cannot be.

    Example:
        >>> list_people(['people.csv', 'door.mp4'], ListingOptions(boxes=['door.csv'], split='gallery'))
    """

    names: str = ''
    camid: Sequence[int] = ()
    root: str | None = None
    split: str | None = None
    category: str | None = None
    id_key: str = 'person_id'
    camera_key: str = 'camera_id'
    margin: float = 0.0
    boxes: Sequence[str] = ()
    first_frame: int | None = None
    min_score: float | None = None
    tracks_as_pids: bool = False
    frame_step: int = 1
    fps: float | None = None
    start_time: Sequence[float] = ()
    skip: bool = False

    def __post_init__(self) -> None:
        for name in ('frame_step', 'fps'):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise DataError(f'--{name.replace("_", "-")} {value}: give a number above 0')
        if not 0 <= self.margin <= 10:
            raise DataError(f'--margin {self.margin}: give a share of the box, from 0 to 10')
        for camid in self.camid:
            if not 0 <= camid < 10**9:
                raise DataError(f'--camid {camid}: give a number from 0 up, below 1,000,000,000')
        if self.first_frame is not None and self.first_frame < 0:
            raise DataError(
                f'--first-frame {self.first_frame}: give the number of the first frame, 0 or 1 for instance'
            )
        if self.min_score is not None and not math.isfinite(self.min_score):
            raise DataError(f'--min-score {self.min_score}: give a number')

    def reason(self, error: DataError) -> str:
        """Return the reason for leaving somebody out.

        Raises:
            DataError: Nobody is to be left out.
        """
        if not self.skip:
            raise DataError(f'{error}. --bad-images skip goes on without it') from error
        return str(error)
