"""A contact sheet of a data set: one person per row, one camera per column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmosnet.datasets.check import ImageFacts, Part
from mmosnet.datasets.transforms import LoadPersonImage
from mmosnet.drawing.sheets import GREY, blank, fitted, save, write
from mmosnet.io.media import spread

# Height and width of a picture, height of a line of text, width of the captions, gap between pictures: pixels.
CELL = (128, 64)
LINE = 20
CAPTION = 120
GAP = 8
# Columns that a screen shows.
MAX_CAMERAS = 12


@dataclass(frozen=True)
class ShownPerson:
    """A row of the sheet.

    Attributes:
        name: Name of the person.
        split: ``'train'`` or ``'test'``.
        records: Images of this person by camera.
    """

    name: str
    split: str
    records: dict[int, list[dict]]


def choose_people(parts: Sequence[Part], facts: Mapping[str, ImageFacts], number: int = 12) -> list[ShownPerson]:
    """Choose people with a readable image at even distances, half of them from the training split.

    Args:
        parts: All splits; query and gallery are shown together.
        facts: Facts of all images by path.
        number: Largest number of people.
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
    """Draw each person's first image per camera, in its own proportions, with the number of images.

    Returns:
        ``(H, W, 3)`` uint8, BGR. Cameras beyond :data:`MAX_CAMERAS` are left out.
    """
    cameras = sorted({camid for person in people for camid in person.records})[:MAX_CAMERAS]
    header = blank(LINE, CAPTION)
    strips = [np.hstack([header] + [_titled(blank(0, CELL[1]), f'camera {camid}') for camid in cameras])]
    for person in people:
        caption = blank(CELL[0] + LINE, CAPTION)
        write(caption[:, :-4], f'id {person.name}', 4, 50)
        write(caption[:, :-4], person.split, 4, 50 + LINE)
        strips.append(np.hstack([caption] + [_cell(person.records.get(camid, [])) for camid in cameras]))
    return np.vstack(strips)


def save_contact_sheet(people: Sequence[ShownPerson], path: str | Path) -> Path:
    """Draw the sheet into an image file.

    Raises:
        OSError: The file cannot be written.
    """
    return save(draw_contact_sheet(people), path)


def _cell(records: Sequence[dict]) -> np.ndarray:
    picture = fitted(LoadPersonImage()(dict(records[0]))['img'], CELL) if records else blank(*CELL, GREY)
    return _titled(picture, f'{len(records)} images' if len(records) != 1 else '1 image')


def _titled(picture: np.ndarray, text: str) -> np.ndarray:
    """Return a picture with a line of text below and a gap on its right."""
    line = blank(LINE, picture.shape[1] + GAP)
    write(line, text, 4, LINE - 6)
    return np.vstack([np.hstack([picture, blank(picture.shape[0], GAP)]), line])
