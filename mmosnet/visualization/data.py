"""A contact sheet of a data set: one person per row, one camera per column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmosnet.datasets.check import ImageFacts, Part
from mmosnet.datasets.transforms import LoadPersonImage
from mmosnet.drawing.sheets import CAPTION_LINE, MARGIN, Line, beside, blank, person_card, save_sheet, stacked, write
from mmosnet.io.media import spread

# Height and width of a picture, width of the captions, gap between pictures: pixels.
CELL = (128, 64)
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
    head = blank(CAPTION_LINE + MARGIN, CAPTION + len(cameras) * (CELL[1] + GAP))
    for column, camid in enumerate(cameras):
        write(head, f'camera {camid}', CAPTION + column * (CELL[1] + GAP) + MARGIN, CAPTION_LINE - 2)
    rows = [head]
    for person in people:
        caption = blank(CELL[0], CAPTION)
        for line, text in enumerate((f'id {person.name}', person.split)):
            write(caption[:, :-4], text, MARGIN, 50 + 20 * line)
        rows.append(beside([caption, *(_card(person.records.get(camid, [])) for camid in cameras)]))
    return stacked(rows)


def _card(records: Sequence[dict]) -> np.ndarray:
    """Draw a person's first image by one camera, with the number of images."""
    image = LoadPersonImage()(dict(records[0]))['img'] if records else None
    text = '1 image' if len(records) == 1 else f'{len(records)} images'
    return person_card(image, [Line(text)], cell=CELL, gap=GAP)


def save_contact_sheet(people: Sequence[ShownPerson], path: str | Path) -> Path:
    """Write the sheet of :func:`draw_contact_sheet` into an image file.

    Raises:
        OSError: The file cannot be written.
    """
    return save_sheet(draw_contact_sheet(people), path)
