"""Write small videos whose frames show their numbers."""

import struct
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH, FPS = 48, 64, 25


def write_video(path: Path, frames: int = 60, codec: str = 'mp4v') -> Path:
    """Write gray frames with a white bar, whose place and height depend on the frame number."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), FPS, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for number in range(frames):
        image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
        image[: 8 + number // 2 % 40, number % 8 * 8 : number % 8 * 8 + 8] = 230
        writer.write(image)
    writer.release()
    return path


def vary_frame_rate(path: Path) -> None:
    """Halve the duration of two thirds of the frames of an MP4 file (ISO/IEC 14496-12, box ``stts``)."""
    data = bytearray(path.read_bytes())
    place = data.rindex(b'stts')
    entries, number, duration = struct.unpack_from('>III', data, place + 8)
    assert entries == 1
    third = number // 3
    data[place + 8 : place + 20] = struct.pack('>IIIII', 2, third, duration, number - third, duration // 2)
    for box in (b'stts', b'stbl', b'minf', b'mdia', b'trak', b'moov'):
        start = data.rindex(box, 0, place + 4) - 4
        struct.pack_into('>I', data, start, struct.unpack_from('>I', data, start)[0] + 8)
    path.write_bytes(data)


def turn_video(path: Path) -> None:
    """Mark an MP4 file as rotated clockwise by 90 degrees (ISO/IEC 14496-12, box ``tkhd``)."""
    data = bytearray(path.read_bytes())
    # Behind version, times, number, duration, layer, group and volume.
    place = data.rindex(b'tkhd') + 4 + 40
    assert struct.unpack_from('>9i', data, place)[::4] == (1 << 16, 1 << 16, 1 << 30)
    struct.pack_into('>9i', data, place, 0, 1 << 16, 0, -1 << 16, 0, 0, HEIGHT << 16, 0, 1 << 30)
    path.write_bytes(data)


def all_frames(path: Path) -> list[np.ndarray]:
    """Return all frames, read from the start."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        found, frame = capture.read()
        if not found:
            return frames
        frames.append(frame)
