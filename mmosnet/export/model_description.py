"""What an exported file says about itself: one JSON document under one key, whatever the format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np

from mmosnet.errors import DataError
from mmosnet.version import __version__

# In ONNX's metadata_props, OpenVINO's rt_info and TorchScript's extra files.
KEY = 'mmosnet'
INPUT = 'images'


@dataclass(frozen=True)
class ModelDescription:
    """Input and outputs of an exported model. Plain values only, so that programs without mmosnet can read them.

    Attributes:
        outputs: Names of the outputs in order, of ``embedding``, ``attributes``, ``category``.
        height: Of the images, in pixels.
        width: Of the images, in pixels.
        channel_order: Of the input's channels: ``'RGB'`` or ``'BGR'``.
        with_preprocess: The input is ``(N, height, width, 3)`` uint8; else ``(N, 3, height, width)`` float32, from
            which ``mean`` was subtracted and which was divided by ``std``.
        mean: Of each channel, in pixel units, RGB or BGR as ``channel_order`` has it without preprocessing.
        std: Likewise.
        l2_normalized: The embedding has length 1.
        attributes: Names of the attributes, in order of the scores.
        classes: Names of the categories, in order of the scores.
        precision: ``'fp32'``, ``'fp16'`` or ``'int8'``.
        version: Of mmosnet.
    """

    outputs: tuple[str, ...]
    height: int
    width: int
    channel_order: str = 'RGB'
    with_preprocess: bool = False
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    l2_normalized: bool = False
    attributes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    precision: str = 'fp32'
    version: str = __version__

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """The file's input for images: themselves, where the file normalises.

        Args:
            images: ``(N, height, width, 3)`` uint8, BGR.

        Raises:
            DataError: Other arrays.
        """
        wanted = (self.height, self.width, 3)
        if images.ndim != 4 or images.shape[1:] != wanted or images.dtype != np.uint8:
            raise DataError(f'images are {images.shape} {images.dtype}: give (N, {", ".join(map(str, wanted))}) uint8')
        if self.with_preprocess:
            return np.ascontiguousarray(images)
        if self.channel_order == 'RGB':
            images = images[..., ::-1]
        mean, std = (np.array(values, np.float32) for values in (self.mean, self.std))
        return np.ascontiguousarray(((images - mean) / std).transpose(0, 3, 1, 2), np.float32)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | None, path: object) -> ModelDescription:
        """Read :meth:`to_json`'s line.

        Args:
            text: The line; None where a file has none.
            path: The file, for the message.

        Raises:
            DataError: Not such a line.
        """
        try:
            found = json.loads(text or '')
        except json.JSONDecodeError:
            found = None
        if not isinstance(found, Mapping):
            raise DataError(f'{path} has no metadata of mmosnet: export it again with tools/export.py')
        known = {field.name for field in fields(cls)}
        # What a later version adds is left out.
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in found.items() if k in known}
        missing = {'outputs', 'height', 'width'} - set(values)
        if missing:
            raise DataError(f'{path}: its metadata lacks {", ".join(sorted(missing))}: export it again')
        return cls(**values)
