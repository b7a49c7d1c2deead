"""Where a network responds: heat maps of its feature maps over the image.

As the released code of OSNet draws them (torchreid, ``tools/visualize_actmap.py``): the squares of a feature map summed
over its channels, stretched to the range of the image. There for the last map, here for each stage, in colours that
everybody tells apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from mmosnet.drawing.sheets import TITLE_SIZE, blank, save, text_width, write

# Height of a picture in the sheet, of a line of text, and the gap between pictures: pixels.
HEIGHT = 192
LINE = 20
GAP = 6
# Share of the heat map in a picture.
OPACITY = 0.55
# From dark to bright whatever one's colour vision; the released code's runs from blue through green to red.
COLOR_MAP = cv2.COLORMAP_INFERNO
# Height of a line of the title.
TITLE = 24
# Height and width of the scale.
SCALE = (10, 120)


@dataclass(frozen=True)
class MappedImage:
    """An image and where each stage responds to it.

    Attributes:
        name: Caption.
        image: ``(H, W, 3)`` uint8, BGR, as the network saw it.
        maps: Maps by name of the stage, ``(h, w)`` in [0, 1].
    """

    name: str
    image: np.ndarray
    maps: dict[str, np.ndarray]


def activation_maps(feature_maps: Tensor) -> np.ndarray:
    """Compute the energy at each place of each image, from 0 at its weakest place to 1 at its strongest.

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
    """Lay a heat map over an image: dark where the activation is 0, bright where it is 1.

    Args:
        image: ``(H, W, 3)`` uint8, BGR.
        activation: ``(h, w)`` in [0, 1]; enlarged to the image.
    """
    enlarged = cv2.resize(activation, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    heat = cv2.applyColorMap(np.round(255 * enlarged).astype(np.uint8), COLOR_MAP)
    return cv2.addWeighted(heat, OPACITY, image, 1 - OPACITY, 0)


def draw_activation_sheet(images: Sequence[MappedImage], title: Sequence[str] = ()) -> np.ndarray:
    """Draw one image per row: the picture, and the heat map of each stage over it.

    Args:
        images: All with the same stages.
        title: Lines above.

    Returns:
        ``(H, W, 3)`` uint8, BGR.
    """
    width = max(round(HEIGHT * image.image.shape[1] / image.image.shape[0]) for image in images)
    stages = list(images[0].maps)
    titles = ['image', *stages]
    header = _header(GAP + len(titles) * (width + GAP), title)
    for column, name in enumerate(titles):
        left = GAP + column * (width + GAP)
        write(header[:, : left + width], name, left, header.shape[0] - 6)
    rows = [header]
    for mapped in images:
        # Enlarged before the heat map is laid over it, which would be coarse otherwise.
        image = _fitted(mapped.image)
        cells = [image, *(overlay(image, mapped.maps[stage]) for stage in stages)]
        row = blank(HEIGHT, header.shape[1])
        for column, cell in enumerate(cells):
            left = GAP + column * (width + GAP)
            row[:, left : left + cell.shape[1]] = cell
        caption = blank(LINE + GAP, header.shape[1])
        write(caption, _shortened(mapped.name, header.shape[1] - 2 * GAP), GAP, LINE - 6)
        rows += [row, caption]
    return np.vstack(rows)


def save_activation_sheet(images: Sequence[MappedImage], path: str | Path, title: Sequence[str] = ()) -> Path:
    """Draw the sheet into an image file.

    Raises:
        OSError: The file cannot be written.
    """
    return save(draw_activation_sheet(images, title), path)


def _header(width: int, title: Sequence[str]) -> np.ndarray:
    """Draw title, color scale and room for the column names; widened to its text."""
    words = ('weakest', "strongest response of an image's stage")
    scale = GAP + text_width(words[0]) + 8 + SCALE[1] + 8 + text_width(words[1]) + GAP
    header = blank(
        TITLE * (len(title) + 1) + LINE, max(width, scale, *(text_width(line, TITLE_SIZE) + 2 * GAP for line in title))
    )
    for number, line in enumerate(title, 1):
        write(header, line, GAP, TITLE * number - 7, size=TITLE_SIZE)
    bottom = TITLE * (len(title) + 1) - 9
    write(header, words[0], GAP, bottom)
    left = GAP + text_width(words[0]) + 8
    ramp = np.tile(np.linspace(0, 255, SCALE[1]).astype(np.uint8), (SCALE[0], 1))
    header[bottom - SCALE[0] + 1 : bottom + 1, left : left + SCALE[1]] = cv2.applyColorMap(ramp, COLOR_MAP)
    write(header, words[1], left + SCALE[1] + 8, bottom)
    return header


def _fitted(image: np.ndarray) -> np.ndarray:
    width = max(1, round(HEIGHT * image.shape[1] / image.shape[0]))
    shrinks = image.shape[0] > HEIGHT
    return cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _shortened(text: str, width: int) -> str:
    """Return a path, cut on its left side where it is too long: its end is more informative."""
    shown = text
    while len(shown) > 4 and text_width(shown) > width:
        shown = '...' + shown[4:]
    return shown
