"""Pictures of predictions: images, each with its category and attributes beside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmosnet.evaluation.attributes import THRESHOLD
from mmosnet.visualization.sheet import BLACK, BLUE, GREY, blank, fitted, lengthened, save, write

# Height and width of a picture, height of a line, width of the text beside, gap below: pixels.
CELL = (160, 80)
LINE = 18
TEXT = 230
GAP = 12
COLUMNS = 4
PER_SHEET = 32
STEM = 'predictions_'


def told_attributes(result: Mapping) -> list[tuple[str, float]]:
    """Return the attributes that a person is predicted to have, surest first, with their scores."""
    told = [(name, score) for name, score in result.get('attributes', {}).items() if score >= THRESHOLD]
    return sorted(told, key=lambda entry: -entry[1])


class PredictionSheets:
    """Draws results as they come, 32 on a sheet, into files numbered on from those in the folder.

    mmpretrain's ``UniversalVisualizer`` writes over the image, which a person's crop is too small for, and a file an
    image.

    Args:
        folder: Made if it is missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        numbers = [path.stem.removeprefix(STEM) for path in self.folder.glob(f'{STEM}*.jpg')]
        self.number = max((int(number) for number in numbers if number.isdecimal()), default=0)
        self.cells: list[np.ndarray] = []

    def add(self, image: np.ndarray | None, result: Mapping) -> None:
        """Add an image ``(H, W, 3)``, BGR, with an entry of :class:`~mmosnet.apis.PersonInferencer`'s results.

        The category is blue, attributes are black.

        Args:
            image: Image; None if it could not be read.
            result: Prediction for the image.
        """
        lines = [(str(result['img_path'] or 'array').rpartition('/')[2], BLACK)]
        if 'error' in result:
            lines.append(('no image', BLACK))
        if 'category' in result:
            lines.append((f'{result["category"]["score"]:.2f} {result["category"]["name"]}', BLUE))
        lines += [(f'{score:.2f} {name}', BLACK) for name, score in told_attributes(result)]
        text = blank(max(CELL[0], LINE * len(lines) + 4), TEXT)
        for number, (line, color) in enumerate(lines, 1):
            write(text[:, :-6], line, 6, LINE * number - 4, color)
        picture = blank(*CELL, GREY) if image is None else fitted(image, CELL)
        self.cells.append(np.hstack([lengthened(picture, text.shape[0]), text]))
        if len(self.cells) == PER_SHEET:
            self.finish()

    def finish(self) -> None:
        """Write the last sheet, if it holds anything.

        Raises:
            OSError: The file cannot be written.
        """
        if not self.cells:
            return
        rows = []
        for start in range(0, len(self.cells), COLUMNS):
            row = self.cells[start : start + COLUMNS]
            row += [blank(1, row[0].shape[1])] * (min(COLUMNS, len(self.cells)) - len(row))
            height = max(cell.shape[0] for cell in row) + GAP
            rows.append(np.hstack([lengthened(cell, height) for cell in row]))
        self.number += 1
        save(np.vstack(rows), self.folder / f'{STEM}{self.number:05d}.jpg')
        self.cells = []
