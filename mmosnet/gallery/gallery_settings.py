"""What a gallery was made for: dimension, distance, index, model, and the threshold of its distances."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields

from mmosnet.errors import DataError

DISTANCES = ('cosine', 'euclidean')
INDEX_KINDS = ('exact', 'ivfpq', 'hnsw')
# Version of the format; a newer one is refused. 2 has names, sources and, in folders, checksums; older mmosnets refuse
# it.
VERSION, WITH_CHECKSUMS = 2, 2


@dataclass(frozen=True)
class GallerySettings:
    """Settings of a gallery; back ends store them as JSON.

    Attributes:
        dimension: Dimension of the embeddings.
        distance: ``'cosine'``, 1 - cos; or ``'euclidean'``, not squared.
        index: ``'exact'``, ``'ivfpq'`` or ``'hnsw'``.
        model: Digest of the weights that make the embeddings; empty if unknown.
        threshold: Largest distance at which two images count as one person; None before calibration.
        facts: About the threshold: how it was found. Anything that JSON can hold.
        version: Version of the format.

    Raises:
        DataError: A value that cannot be.
    """

    dimension: int
    distance: str = 'cosine'
    index: str = 'exact'
    model: str = ''
    threshold: float | None = None
    facts: dict = field(default_factory=dict)
    version: int = 1

    def __post_init__(self) -> None:
        if not _is(self.version, int) or self.version > VERSION:
            raise DataError(f'version={self.version!r}: this mmosnet reads up to {VERSION}; upgrade it')
        if not _is(self.dimension, int) or self.dimension < 1:
            raise DataError(f'dimension={self.dimension!r}: give the length of the embeddings')
        for name, allowed in (('distance', DISTANCES), ('index', INDEX_KINDS)):
            if getattr(self, name) not in allowed:
                raise DataError(f'{name}={getattr(self, name)!r}: choose from {", ".join(allowed)}')
        if not isinstance(self.model, str):
            raise DataError(f"model={self.model!r}: give a digest of weights, or ''")
        threshold = self.threshold
        if threshold is not None and not (_is(threshold, float, int) and math.isfinite(threshold) and threshold >= 0):
            raise DataError(f'threshold={threshold!r}: give a distance, 0 or more')
        if not isinstance(self.facts, dict):
            raise DataError(f'facts={self.facts!r}: give a dict')

    def to_json(self) -> str:
        """Return the settings as JSON text.

        Raises:
            DataError: JSON cannot hold the facts.
        """
        try:
            return json.dumps(asdict(self), indent=1) + '\n'
        except (TypeError, ValueError) as e:
            raise DataError(f'facts of the threshold: {e}: give numbers, texts, lists and dicts') from e

    @classmethod
    def from_json(cls, text: str, place: str) -> GallerySettings:
        """Parse the text that :meth:`to_json` returns.

        Args:
            text: JSON.
            place: The file, for the error's text.

        Raises:
            DataError: Damaged, or of a newer version.
        """
        remedy = 'restore the file, or create the gallery anew'
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as e:
            raise DataError(f'{place}: damaged ({e}): {remedy}') from e
        names = [f.name for f in fields(cls)]
        if not isinstance(content, dict) or 'dimension' not in content:
            raise DataError(f'{place}: not the settings of a gallery: {remedy}')
        try:
            return cls(**{name: content[name] for name in names if name in content})
        except DataError as e:
            raise DataError(f'{place}: {e}, or {remedy}') from e


def _is(value: object, *kinds: type) -> bool:
    """Return whether a value has one of the types; True and False are not numbers."""
    return isinstance(value, kinds) and not isinstance(value, bool)
