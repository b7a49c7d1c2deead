"""What a gallery knows about a person's image, and what a search finds."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """An image in a gallery.

    Attributes:
        id: Number of the image in the gallery; numbers are never reused.
        path: Path of the image; may name a region, ``frame.jpg#xywh=120,80,64,190``.
        pid: The identity, -1 if unknown.
        camid: The camera, counted from 0, -1 if unknown.
        time: Seconds, on whatever clock the features were extracted with; nan if unknown.
        name: Name of the person; empty where there is only a number.
        camera: Name of the camera; empty where there is only the number.
        source: Where the path is: host and folder, as ``mmosnet extract`` noted them; empty if unknown.
    """

    id: int
    path: str
    pid: int = -1
    camid: int = -1
    time: float = math.nan
    name: str = ''
    camera: str = ''
    source: str = ''


@dataclass(frozen=True)
class Match(Record):
    """An image that a search found.

    Attributes:
        distance: Distance to the query, as :class:`~mmosnet.gallery.Gallery` defines it.
        same_person: Whether the distance is at most the gallery's threshold; None for a gallery without one.
    """

    distance: float = math.nan
    same_person: bool | None = None
