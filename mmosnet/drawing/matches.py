"""The sheet of searches in a gallery: each query with its nearest images. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmosnet.drawing.sheets import LINE, MARGIN, QUERY_GAP, Line, blank, person_card, ranked_rows, text_width, write


@dataclass(frozen=True)
class ShownImage:
    """An image of the sheet.

    Attributes:
        image: ``(H, W, 3)`` uint8, BGR; None if the file is no longer there, which the card says.
        lines: Text below the image.
        same: Whether it shows the person of the query; None for queries, and where this is unknown.
    """

    image: np.ndarray | None
    lines: Sequence[str]
    same: bool | None = None

    def card(self, gap: int = 0) -> np.ndarray:
        """Draw the image with its frame and text, and with white pixels on its right."""
        lines = list(map(Line, self.lines))
        return person_card(self.image, lines, framed=True, same=self.same, gap=gap, absent=('image is', 'not there'))


def draw_matches(searches: Sequence[tuple[ShownImage, Sequence[ShownImage]]], threshold: float | None) -> np.ndarray:
    """Draw searches, one row per query.

    Images of the query's person have a green frame with a tick, others a red one with a cross. Queries, and images of
    which this is unknown, have a blue frame.

    Args:
        searches: Each query with its matches, nearest first.
        threshold: Largest distance of two images of one person, for the text; None for a gallery without a threshold.

    Returns:
        ``(H, W, 3)`` uint8, BGR.
    """
    meaning = 'No threshold.' if threshold is None else f'Ticked: same person, at most {threshold:.4g} away.'
    text = f'Below: rank and distance, person, camera, seconds. {meaning}'
    head = blank(2 * LINE + MARGIN, text_width(text) + 2 * MARGIN)
    write(head, text, MARGIN, LINE - 4)
    rows = [(query.card(QUERY_GAP), [match.card() for match in matches]) for query, matches in searches]
    return ranked_rows(rows, head, max((len(matches) for _, matches in searches), default=0))
