"""Paths that name a frame of a video, or a region of one: ``video.mp4#frame=120&xywh=120,80,64,190``.

Frames count from 0. The region is written as in :mod:`mmosnet.runtime.image_region`.
"""

from __future__ import annotations

import re

from mmosnet.runtime.image_region import Box

FRAME = re.compile(r'(.+)#frame=(\d+)(?:&xywh=(\d+),(\d+),(\d+),(\d+))?', re.DOTALL)


def frame_path(path: str, frame: int, box: Box) -> str:
    """Return the path of a region of a frame; :func:`split_frame` is the inverse."""
    return f'{path}#frame={frame}&xywh={box.left},{box.top},{box.width},{box.height}'


def split_frame(path: str) -> tuple[str, int | None, Box | None]:
    """Split a path into the file, the frame if it names one, and the region if it names one."""
    match = FRAME.fullmatch(path)
    if match is None:
        return path, None, None
    file, frame, *box = match.groups()
    return file, int(frame), None if box[0] is None else Box(*map(int, box))
