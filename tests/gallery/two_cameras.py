"""Two videos through which people of single colors walk, with tracks as trackers write them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH, FPS = 96, 128, 10
COLORS = {1: (200, 30, 30), 2: (30, 200, 30), 3: (30, 30, 220), 4: (200, 200, 30)}
# Camera: person, track, first and last frame.
WALKS = {
    'door': ((1, 1, 0, 14), (2, 2, 5, 19), (1, 3, 22, 29)),
    'hall': ((2, 1, 0, 9), (3, 2, 4, 16), (1, 3, 12, 24)),
}
SECONDS = 3.0


class MeanColors:
    """Embed a box as the mean color of its middle, like :class:`mmosnet.Embedder`."""

    source, model, dimension, attributes = 'colors', '0123456789abcdef', 3, ()

    def __init__(self) -> None:
        self.boxes = 0

    def __call__(self, frame: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Return ``(N, 3)`` float32."""
        self.boxes += len(boxes)
        crops = [frame[top:bottom, left:right] for left, top, right, bottom in np.asarray(boxes).tolist()]
        means = [crop[crop.shape[0] // 4 : -crop.shape[0] // 4].mean(axis=(0, 1)) for crop in crops]
        return (np.array(means, np.float32).reshape(-1, 3) - 90) / 100


def write_cameras(folder: Path, tracks: bool = True) -> None:
    """Write ``door.mp4``, ``hall.mp4`` and a file of boxes for each.

    Args:
        folder: Folder for the files.
        tracks: Whether the files of boxes have tracks.
    """
    for name, walks in WALKS.items():
        last = max(walk[3] for walk in walks)
        writer = cv2.VideoWriter(
            str(folder / f'{name}.mp4'), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*'mp4v'), FPS, (WIDTH, HEIGHT)
        )
        rows = ['frame,x,y,w,h' + ',track' * tracks]
        for number in range(last + 2):
            frame = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            for place, (pid, track, first, end) in enumerate(walks):
                if first <= number <= end:
                    left, top = 5 + 40 * place + (number - first) // 2, 20
                    frame[top : top + 60, left : left + 24] = COLORS[pid]
                    rows.append(f'{number},{left},{top},24,60' + f',{track}' * tracks)
            writer.write(frame)
        writer.release()
        (folder / f'{name}.csv').write_text('\n'.join(rows) + '\n')
