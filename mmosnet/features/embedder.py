"""Turn images of people into embeddings: the interface, and its implementation by an exported file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features.crops import FrameCrops, cut_region
from mmosnet.io.images import as_image, read_image
from mmosnet.runtime.model import ExportedModel


class ImageEmbedder(ABC):
    """A model that prepares images one by one, in any thread, and embeds them in batches.

    Attributes:
        source: File of the model, for reports.
        model: Digest of its weights; empty if unknown.
        kind: Kind of computation, as text: whatever changes the numbers by more than rounding.
        preparation: Preparation of the images, as text: two models with the same weights may differ in it.
        dimension: Dimension D of the embeddings.
        on_cpu: Whether the model computes on the CPU.
    """

    source: str
    model: str
    kind: str
    preparation: str
    dimension: int
    on_cpu = True

    def read_file(self, path: str) -> np.ndarray:
        """Read an image file, ``(H, W, 3)`` uint8, BGR, with the decoder that the model was tested with.

        Raises:
            DataError: The file is missing or damaged.
        """
        return read_image(path)

    @abstractmethod
    def prepare(self, path: str, image: np.ndarray) -> Any:
        """Convert one image to the form that :meth:`embed` takes.

        Args:
            path: Path of the image, for errors.
            image: ``(H, W, 3)`` uint8, BGR.

        Raises:
            DataError: The image cannot be used.
        """

    @abstractmethod
    def embed(self, items: Sequence[Any]) -> list[np.ndarray | DataError]:
        """Return the embedding ``(D,)`` float32 of each prepared image, or the error that prevented it."""

    def embed_regions(
        self, frame: np.ndarray, regions: np.ndarray, names: Sequence[str], rgb: bool = False
    ) -> np.ndarray:
        """Embed regions of one frame, up to rounding as if each were an image of its own.

        Args:
            frame: ``(H, W, 3)`` uint8.
            regions: ``(N, 4)`` left, top, right, bottom in whole pixels within the frame, the last two exclusive; one
                or more.
            names: Name of each region in errors.
            rgb: Whether the frame is in RGB. Default: False, BGR.

        Returns:
            ``(N, D)`` float32.

        Raises:
            DataError: A region cannot be used.
        """
        items = [
            self.prepare(name, cut_region(frame, region, swap=rgb)) for name, region in zip(names, regions, strict=True)
        ]
        embeddings = []
        for embedding in self.embed(items):
            if isinstance(embedding, Exception):
                raise embedding
            embeddings.append(embedding)
        return np.stack(embeddings)

    def embed_batch(self, items: Sequence[Any]) -> list[np.ndarray | DataError]:
        """Embed the images in a batch of :class:`~mmosnet.features.batches.PersonBatches`; keep the errors in it."""
        images = [item for item in items if not isinstance(item, DataError)]
        embedded = iter(self.embed(images) if images else ())
        return [item if isinstance(item, DataError) else next(embedded) for item in items]


class ExportedEmbedder(ImageEmbedder):
    """An exported file as embedder; ONNX and OpenVINO files need neither torch nor OpenMMLab.

    Args:
        path: Exported file, see :class:`~mmosnet.runtime.ExportedModel`.
        threads: Number of threads; the runtime's choice by default.

    Raises:
        FileNotFoundError: No such file.
        DataError: Not an exported file, one without embedding, or one whose images need more than resizing.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self._model = ExportedModel(path, threads)
        self._description = self._model.description
        if 'embedding' not in self._description.outputs:
            raise DataError(
                f'{path} predicts {", ".join(self._description.outputs)} and no embedding: export a model trained for '
                're-identification'
            )
        if self._description.other_transforms:
            raise DataError(
                f'{path}: images need {", ".join(self._description.other_transforms)} of the test pipeline, which the '
                'runtime lacks: give CONFIG and CHECKPOINT instead'
            )
        self.source = str(path)
        self.model = self._description.weights
        length = ', embeddings of length 1' * self._description.l2_normalized
        self.kind = f'{Path(path).suffix[1:]} {self._description.precision}{length}'
        pixels = f'{self._description.width}x{self._description.height} pixels'
        opencv = ', read by OpenCV' * self._description.read_by_opencv
        numbers = f'mean {self._description.mean}, std {self._description.std}, {self._description.channel_order}'
        self.preparation = f'{self._description.preparation()}, {pixels}{opencv}, {numbers}'
        self.dimension = self._model.predict([])['embedding'].shape[1]
        size = self._description.height, self._description.width
        self._crops = FrameCrops(self._description.resized, *size, threads=threads)

    def read_file(self, path: str) -> np.ndarray:
        """Read an image file; see :meth:`ImageEmbedder.read_file`."""
        return read_image(path, by_opencv=self._description.read_by_opencv)

    def prepare(self, path: str, image: np.ndarray) -> np.ndarray:
        """Prepare an image; see :meth:`ImageEmbedder.prepare`."""
        return self._description.resized(as_image(image, path), path)

    def embed(self, items: Sequence[np.ndarray]) -> list[np.ndarray | DataError]:
        """Compute embeddings; see :meth:`ImageEmbedder.embed`."""
        return list(self._model(np.stack(items))['embedding'])

    def embed_regions(
        self, frame: np.ndarray, regions: np.ndarray, names: Sequence[str], rgb: bool = False
    ) -> np.ndarray:
        """Embed regions of one frame; see :meth:`ImageEmbedder.embed_regions`."""
        images = self._crops(frame, regions, names, swap=rgb)
        return self._model.run_any(self._description.prepare(images))['embedding']
