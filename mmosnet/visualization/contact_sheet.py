"""A contact sheet of a data set: one person a row, one camera a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mmosnet.datasets.chosen_images import spread
from mmosnet.datasets.data_check import ImageFacts, Part
from mmosnet.datasets.person_image import LoadPersonImage

# Height and width of a picture, height of a line of text, width of the captions, gap between pictures: pixels.
CELL = (128, 64)
LINE = 20
CAPTION = 120
GAP = 8
# Columns that a screen shows.
MAX_CAMERAS = 12
# BGR.
WHITE, GREY, BLACK = (255, 255, 255), (225, 225, 225), (40, 40, 40)


@dataclass(frozen=True)
class ShownPerson:
    """A row of the sheet.

    Attributes:
        name: Of the person.
        split: ``'train'`` or ``'test'``.
        records: By camera, this person's images there.
    """

    name: str
    split: str
    records: dict[int, list[dict]]


def choose_people(parts: Sequence[Part], facts: Mapping[str, ImageFacts], number: int = 12) -> list[ShownPerson]:
    """Choose people at even distances, half of them of the training split, who have an image that can be read.

    Args:
        parts: All splits; query and gallery are shown together.
        facts: Of all images, by path.
        number: Of people, at most.
    """
    groups = {'train': {}, 'test': {}}
    for part in parts:
        for record in part.records:
            if record['pid'] == part.dataset.distractor_pid or facts[record['img_path']].error:
                continue
            split = 'train' if part.split == 'train' else 'test'
            # Several data sets may number their people alike.
            key = (id(part.dataset), part.person(record['pid']))
            groups[split].setdefault(key, {}).setdefault(record['camid'], []).append(record)
    groups = {split: people for split, people in groups.items() if people}
    return [
        ShownPerson(name, split, records)
        for split, people in groups.items()
        for (_, name), records in spread(list(people.items()), number // len(groups))
    ]


def draw_contact_sheet(people: Sequence[ShownPerson]) -> np.ndarray:
    """Draw each person's first image by each camera, in its own proportions, and how many there are.

    Returns:
        ``(H, W, 3)`` uint8, BGR. Cameras beyond :data:`MAX_CAMERAS` are left out.
    """
    cameras = sorted({camid for person in people for camid in person.records})[:MAX_CAMERAS]
    header = _blank(LINE)
    strips = [np.hstack([header] + [_titled(_blank(0, CELL[1]), f'camera {camid}') for camid in cameras])]
    for person in people:
        caption = _blank(CELL[0] + LINE)
        _write(caption, f'id {person.name}', 50)
        _write(caption, person.split, 50 + LINE)
        strips.append(np.hstack([caption] + [_cell(person.records.get(camid, [])) for camid in cameras]))
    return np.vstack(strips)


def save_contact_sheet(people: Sequence[ShownPerson], path: str | Path) -> Path:
    """Draw the sheet into an image file.

    Raises:
        OSError: The file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded, data = cv2.imencode(path.suffix, draw_contact_sheet(people))
    if not encoded:
        raise OSError(f'{path}: cannot encode a picture of this kind')
    path.write_bytes(data.tobytes())
    return path


def _cell(records: Sequence[dict]) -> np.ndarray:
    picture = np.full((*CELL, 3), GREY, np.uint8)
    if records:
        image = LoadPersonImage()(dict(records[0]))['img']
        scale = min(CELL[0] / image.shape[0], CELL[1] / image.shape[1])
        height, width = (max(1, round(scale * side)) for side in image.shape[:2])
        shrunk = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        top, left = (CELL[0] - height) // 2, (CELL[1] - width) // 2
        picture[top : top + height, left : left + width] = shrunk
    return _titled(picture, f'{len(records)} images' if len(records) != 1 else '1 image')


def _titled(picture: np.ndarray, text: str) -> np.ndarray:
    """A picture with a line of text below and a gap on its right."""
    line = _blank(LINE, picture.shape[1] + GAP)
    _write(line, text, LINE - 6)
    gap = _blank(picture.shape[0], GAP)
    return np.vstack([np.hstack([picture, gap]), line])


def _blank(height: int, width: int = CAPTION) -> np.ndarray:
    return np.full((height, width, 3), WHITE, np.uint8)


def _write(strip: np.ndarray, text: str, bottom: int) -> None:
    """Write on a strip, the text cut where it is too long."""
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.4
    while len(text) > 4 and cv2.getTextSize(text, font, scale, 1)[0][0] > strip.shape[1] - 8:
        text = text[:-4] + '...'
    cv2.putText(strip, text, (4, bottom), font, scale, BLACK, 1, cv2.LINE_AA)
