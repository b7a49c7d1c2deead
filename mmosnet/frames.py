"""From a frame and its boxes to embeddings, by a trained model or by an exported file."""

from __future__ import annotations

import threading
from os import PathLike
from pathlib import Path

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features.embedder import ExportedEmbedder, ImageEmbedder
from mmosnet.io.boxes import as_boxes, pixel_boxes
from mmosnet.io.images import image_fault
from mmosnet.runtime.sessions import SESSIONS

CHANNEL_ORDERS = ('bgr', 'rgb')


class Embedder:
    """Embed the people in a frame of a video or a camera: one call per frame, for trackers.

    A box with fractions is rounded outwards to whole pixels and clipped to the frame. Its region is then resized and
    normalized as the model's test pipeline does with a crop, so that the embedding is that of the crop.

    An exported ONNX or OpenVINO file needs neither torch nor OpenMMLab. One object may be used by several threads.

    Args:
        model: A name in ``model-index.yml``, the name or path of a config, or an exported file (``.onnx``, ``.xml``,
            ``.pt``).
        checkpoint: Weights of a config or a name; by default those that the index has for it.
        device: Device to compute on; None for a GPU if there is one. Default: ``'cpu'``.
        channel_order: ``'bgr'`` (default) for frames as OpenCV gives them, ``'rgb'`` otherwise.
        normalize: Whether to scale the embeddings to length 1. Default: False.

    Attributes:
        source: File of the weights or the exported file.
        model: Digest of the weights.
        dimension: Dimension D of the embeddings.
        attributes: Names of the attributes that a joint model predicts, too; empty for other models.

    Raises:
        FileNotFoundError: There is no such config, checkpoint or file.
        DataError: There is no such name, device or order, or the model has no weights or predicts no embedding.

    Example:
        >>> embedder = Embedder('osnet-x0.25_multitask-synthetic')
        >>> embedder(frame, [[120, 80, 184, 270], [300, 75.5, 371.2, 280]]).shape
        (2, 512)
    """

    def __init__(
        self,
        model: str | Path,
        checkpoint: str | Path | None = None,
        device: str | None = 'cpu',
        *,
        channel_order: str = 'bgr',
        normalize: bool = False,
    ) -> None:
        if channel_order not in CHANNEL_ORDERS:
            raise DataError(f'channel_order={channel_order!r}: give {" or ".join(map(repr, CHANNEL_ORDERS))}')
        self._rgb = channel_order == 'rgb'
        self._normalize = normalize
        self._embedder = _image_embedder(model, checkpoint, device)
        self.source, self.model = self._embedder.source, self._embedder.model
        self.dimension = self._embedder.dimension
        self.attributes = self._embedder.attributes
        self._local = threading.local()

    @property
    def last_valid(self) -> np.ndarray:
        """Which boxes of this thread's last call had a pixel in the frame, ``(N,)`` bool; empty before a call."""
        return getattr(self._local, 'valid', np.zeros(0, bool))

    def __call__(self, frame: np.ndarray, boxes: object) -> np.ndarray:
        """Embed the people in a frame.

        Args:
            frame: ``(H, W, 3)`` uint8.
            boxes: ``(N, 4)`` left, top, right, bottom in pixels, fractions allowed: a NumPy array, a tensor on any
                device, nested lists, or an object with such an array as ``xyxy``, like ``supervision.Detections``.

        Returns:
            ``(N, D)`` float32; zeros for a box without a pixel in the frame, see :attr:`last_valid`.

        Raises:
            DataError: The frame is no image, or a box has a number that is not finite or swapped corners, or the model
                gives numbers that are not finite; names the row.
        """
        self._local.valid = np.zeros(0, bool)
        _check_frame(frame)
        regions = pixel_boxes(as_boxes(boxes), *frame.shape[:2])
        valid = regions[:, 2] > 0
        rows = np.flatnonzero(valid)
        embeddings = np.zeros((len(regions), self.dimension), np.float32)
        if len(rows):
            names = [f'boxes[{row}]' for row in rows]
            embeddings[rows] = self._embedder.embed_regions(frame, regions[rows], names, self._rgb)
        if not np.isfinite(embeddings).all():
            row = int(np.isfinite(embeddings).all(1).argmin())
            raise DataError(f'{self.source} gives boxes[{row}] numbers that are not finite: use other weights')
        if self._normalize:
            embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True).clip(np.finfo(np.float32).tiny)
        self._local.valid = valid
        return embeddings

    def attributes_of(self, frame: np.ndarray) -> tuple[str, ...]:
        """Return the attributes that a joint model predicts for a person who fills a frame; empty for other models.

        Args:
            frame: ``(H, W, 3)`` uint8, the person's region of a frame.

        Raises:
            DataError: The image cannot be used.
        """
        if not self.attributes:
            return ()
        _check_frame(frame)
        image = np.ascontiguousarray(frame[..., ::-1] if self._rgb else frame)
        (predicted,) = self._embedder.predict([self._embedder.prepare('frame', image)])
        if isinstance(predicted, Exception):
            raise predicted
        return predicted.attributes


def _check_frame(frame: object) -> None:
    if not isinstance(frame, np.ndarray):
        raise DataError(f'frame is a {type(frame).__name__}: give an array (H, W, 3) uint8')
    if fault := image_fault(frame):
        raise DataError(f'frame is {fault}')


def _image_embedder(model: str | Path, checkpoint: str | Path | None, device: str | None) -> ImageEmbedder:
    """Load the model that a user names."""
    if not isinstance(model, (str, PathLike)):
        raise DataError(f'model is a {type(model).__name__}: give a name, a config or an exported file')
    if Path(model).suffix in SESSIONS:
        if checkpoint is not None:
            raise DataError(f'checkpoint={str(checkpoint)!r}: {model} is an exported file, which has its own weights')
        if device not in (None, 'cpu'):
            raise DataError(f'device={device!r}: {model} is an exported file, which runs on the CPU only')
        return ExportedEmbedder(model)
    from mmosnet.apis.embedder import TorchEmbedder
    from mmosnet.models.build import find_trained

    cfg, weights = find_trained(model, None if checkpoint is None else str(checkpoint))
    return TorchEmbedder(cfg, weights, device)
