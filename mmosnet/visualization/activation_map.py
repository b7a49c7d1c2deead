"""Where a network responds: heat maps of its feature maps over the image.

As the released code of OSNet draws them (torchreid, ``tools/visualize_actmap.py``): the squares of a feature map summed
over its channels, stretched to the range of the image. There for the last map, here for each stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

# Height of a picture in the sheet, of a line of text, and the gap between pictures: pixels.
HEIGHT = 192
LINE = 20
GAP = 6
# Share of the heat map in a picture.
OPACITY = 0.5
# BGR.
WHITE, BLACK = (255, 255, 255), (40, 40, 40)


@dataclass(frozen=True)
class MappedImage:
    """An image and where each stage responds to it.

    Attributes:
        name: Caption.
        image: ``(H, W, 3)`` uint8, BGR, as the network saw it.
        maps: By name of the stage, ``(h, w)`` in [0, 1].
    """

    name: str
    image: np.ndarray
    maps: dict[str, np.ndarray]


def activation_maps(feature_maps: Tensor) -> np.ndarray:
    """Energy at each place of each image, from 0 at an image's weakest place to 1 at its strongest.

    Args:
        feature_maps: ``(N, C, H, W)``.

    Returns:
        ``(N, H, W)`` float32; all 0 for an image that responds alike everywhere.
    """
    energy = feature_maps.float().square().sum(1)
    low, high = energy.amin((1, 2), keepdim=True), energy.amax((1, 2), keepdim=True)
    spread = high - low
    return ((energy - low) / spread.where(spread > 0, 1)).cpu().numpy()


def overlay(image: np.ndarray, activation: np.ndarray) -> np.ndarray:
    """Lay a heat map over an image: blue where the activation is 0, red where it is 1.

    Args:
        image: ``(H, W, 3)`` uint8, BGR.
        activation: ``(h, w)`` in [0, 1]; enlarged to the image.
    """
    enlarged = cv2.resize(activation, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    heat = cv2.applyColorMap(np.round(255 * enlarged).astype(np.uint8), cv2.COLORMAP_JET)
    return cv2.addWeighted(heat, OPACITY, image, 1 - OPACITY, 0)


def draw_activation_sheet(images: Sequence[MappedImage]) -> np.ndarray:
    """Draw one image a row: the picture, and the heat map of each stage over it.

    Args:
        images: All with the same stages.

    Returns:
        ``(H, W, 3)`` uint8, BGR.
    """
    width = max(round(HEIGHT * image.image.shape[1] / image.image.shape[0]) for image in images)
    stages = list(images[0].maps)
    titles = ['image', *stages]
    header = _blank(LINE, GAP + len(titles) * (width + GAP))
    for column, title in enumerate(titles):
        _write(header, title, GAP + column * (width + GAP), width)
    rows = [header]
    for mapped in images:
        # Enlarged before the heat map is laid over it, which would be coarse otherwise.
        image = _fitted(mapped.image)
        cells = [image, *(overlay(image, mapped.maps[stage]) for stage in stages)]
        row = _blank(HEIGHT, header.shape[1])
        for column, cell in enumerate(cells):
            left = GAP + column * (width + GAP)
            row[:, left : left + cell.shape[1]] = cell
        caption = _blank(LINE + GAP, header.shape[1])
        _write(caption, mapped.name, GAP, header.shape[1] - 2 * GAP)
        rows += [row, caption]
    return np.vstack(rows)


def save_activation_sheet(images: Sequence[MappedImage], path: str | Path) -> Path:
    """Draw the sheet into an image file.

    Raises:
        OSError: The file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded, data = cv2.imencode(path.suffix, draw_activation_sheet(images))
    if not encoded:
        raise OSError(f'{path}: cannot encode a picture of this kind')
    path.write_bytes(data.tobytes())
    return path


def _fitted(image: np.ndarray) -> np.ndarray:
    width = max(1, round(HEIGHT * image.shape[1] / image.shape[0]))
    shrinks = image.shape[0] > HEIGHT
    return cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), WHITE, np.uint8)


def _write(strip: np.ndarray, text: str, left: int, width: int) -> None:
    """Write on a strip, the text cut on its left side where it is too long."""
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.4
    shown = text
    while len(shown) > 4 and cv2.getTextSize(shown, font, scale, 1)[0][0] > width:
        shown = '...' + shown[4:]
    cv2.putText(strip, shown, (left, LINE - 6), font, scale, BLACK, 1, cv2.LINE_AA)
