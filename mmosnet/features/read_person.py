"""The picture behind any path in extracted features."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from mmosnet.features.video_frames import VideoFrames
from mmosnet.features.video_path import split_frame
from mmosnet.runtime.image_reading import read_image
from mmosnet.runtime.image_region import cut


def read_person(path: str) -> np.ndarray:
    """Read the image that a path of :class:`~mmosnet.features.Features` names.

    Args:
        path: An image, a region of one (``frame.jpg#xywh=120,80,64,190``: left, top, width, height), or a frame of a
            video, whole or a region (``video.mp4#frame=7&xywh=120,80,64,190``).

    Returns:
        ``(H, W, 3)`` uint8, BGR.

    Raises:
        FileNotFoundError: No such video.
        DataError: A missing or damaged image, no such frame or region; names the path.
    """
    file, frame, box = split_frame(path)
    if frame is None:
        return read_image(path)
    video = VideoFrames(file)
    with closing(video):
        image = video.read(frame)
    return image if box is None else np.ascontiguousarray(cut(image, box, path))
