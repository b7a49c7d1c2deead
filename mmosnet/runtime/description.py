"""The description that an exported model carries: one JSON document under one key, whatever the format.

It includes the steps that resize an image to the model's size, with the same pixels as the test pipeline. A step is a
dict of plain values:

- ``{'type': 'Resize', 'width', 'height', 'keep_ratio', 'interpolation', 'backend'}``: resize to this size, or with
  ``keep_ratio`` to the largest size that fits into it in either orientation (mmcv's ``Resize``)
- ``{'type': 'ResizeEdge', 'scale', 'edge', 'interpolation', 'backend'}``: resize one edge to this length, the other in
  proportion (mmpretrain's ``ResizeEdge``)
- ``{'type': 'CenterCrop', 'width', 'height'}``: crop the center to at most this size (mmcv's ``CenterCrop``)

``backend`` is ``'pillow'``, which averages pixels when it shrinks an image and with which the published figures were
computed, or ``'cv2'``, which does not average and is faster.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import cv2
import numpy as np
from PIL import Image

from mmosnet.errors import DataError
from mmosnet.version import __version__

# Key of the description in ONNX's metadata_props, OpenVINO's rt_info and TorchScript's extra files.
KEY = 'mmosnet'
INPUT = 'images'
# Longest side of a network's input in pixels: it limits the memory that a file's description can request.
MAX_SIDE = 8192
TASKS = dict(embedding='reid', attributes='attributes', category='category')
INTERPOLATIONS = dict(
    nearest=cv2.INTER_NEAREST,
    bilinear=cv2.INTER_LINEAR,
    bicubic=cv2.INTER_CUBIC,
    area=cv2.INTER_AREA,
    lanczos=cv2.INTER_LANCZOS4,
)


def resized(image: np.ndarray, steps: Sequence[Mapping]) -> np.ndarray:
    """Return the image after all steps.

    Args:
        image: ``(H, W, 3)`` uint8.
        steps: Steps in order, see :mod:`mmosnet.runtime.description`.

    Raises:
        KeyError: A step of another type.
    """
    for step in steps:
        image = STEPS[step['type']](image, step)
    return image


def fixed_size(steps: Sequence[Mapping]) -> tuple[int, int] | None:
    """Return the height and width to which the last step resizes images of all sizes; None if it does not."""
    last = steps[-1] if steps else {}
    return (last['height'], last['width']) if last.get('type') == 'Resize' and not last['keep_ratio'] else None


def _resize(image: np.ndarray, step: Mapping) -> np.ndarray:
    size = step['width'], step['height']
    if step['keep_ratio']:
        sides = image.shape[1], image.shape[0]
        factor = min(max(size) / max(sides), min(size) / min(sides))
        size = int(sides[0] * factor + 0.5), int(sides[1] * factor + 0.5)
    return _to_size(image, size, step)


def _resize_edge(image: np.ndarray, step: Mapping) -> np.ndarray:
    height, width = image.shape[:2]
    edge, scale = step['edge'], step['scale']
    by_width = edge == 'width' or (edge == 'short' and width < height) or (edge == 'long' and width > height)
    size = (scale, int(scale * height / width)) if by_width else (int(scale * width / height), scale)
    return _to_size(image, size, step)


def _center_crop(image: np.ndarray, step: Mapping) -> np.ndarray:
    # round() moves half a pixel to the even side, as in mmcv.
    top, left = (max(0, round((image.shape[axis] - step[side]) / 2)) for axis, side in enumerate(('height', 'width')))
    return image[top : top + step['height'], left : left + step['width']]


def _to_size(image: np.ndarray, size: tuple[int, int], step: Mapping) -> np.ndarray:
    if step['backend'] == 'pillow':
        return np.array(Image.fromarray(image).resize(size, Image.Resampling[step['interpolation'].upper()]))
    return cv2.resize(image, size, interpolation=INTERPOLATIONS[step['interpolation']])


STEPS = dict(Resize=_resize, ResizeEdge=_resize_edge, CenterCrop=_center_crop)


@dataclass(frozen=True)
class ModelDescription:
    """Input and outputs of an exported model, in plain values that programs without mmosnet can read.

    Attributes:
        outputs: Names of the outputs in order: some of ``embedding``, ``attributes``, ``category``.
        height: Height of the images in pixels.
        width: Width of the images in pixels.
        channel_order: Order of the input's channels: ``'RGB'`` or ``'BGR'``.
        with_preprocess: The input is ``(N, height, width, 3)`` uint8; else ``(N, 3, height, width)`` float32, from
            which ``mean`` was subtracted and which was divided by ``std``.
        mean: Mean of each channel in pixel units, in the order ``channel_order``.
        std: Standard deviation of each channel, likewise.
        l2_normalized: Whether the embedding has length 1.
        attributes: Names of the attributes, in the order of the scores.
        classes: Names of the categories, in the order of the scores.
        resize: Steps from an image of any size to ``(height, width)``, see :mod:`mmosnet.runtime.description`; empty
            if images must have that size already.
        other_transforms: Further transforms of the model's test pipeline, which the runtime lacks.
        read_by_opencv: Whether files are decoded by OpenCV alone, see :func:`mmosnet.runtime.read_image`.
        weights: Digest of the weights (:mod:`mmosnet.models.weights`): embeddings by two files with the same digest
            are comparable.
        precision: ``'fp32'``, ``'fp16'`` or ``'int8'``.
        checksum: ``'sha256'`` if the file ends with a checksum (:mod:`mmosnet.io.files`), else empty.
        version: Version of mmosnet.
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
    resize: tuple[dict, ...] = ()
    other_transforms: tuple[str, ...] = ()
    read_by_opencv: bool = False
    weights: str = ''
    precision: str = 'fp32'
    checksum: str = ''
    version: str = __version__

    @property
    def task(self) -> str:
        """Task of the model: ``'reid'``, ``'attributes'``, ``'category'``, or ``'multitask'`` for several."""
        return TASKS[self.outputs[0]] if len(self.outputs) == 1 else 'multitask'

    def preparation(self) -> str:
        """Return a text that says how images of any size are resized to the file's size."""
        if self.other_transforms:
            return f'prepared outside: the runtime lacks {", ".join(self.other_transforms)}'
        steps = [
            f'{step["type"]}({", ".join(f"{k}={v}" for k, v in step.items() if k != "type")})' for step in self.resize
        ]
        return ', '.join(steps) or 'not resized'

    def resized(self, image: np.ndarray, name: str) -> np.ndarray:
        """Resize an image to the file's size, ``(height, width, 3)`` uint8.

        Args:
            image: ``(H, W, 3)`` uint8.
            name: Name of the image in errors.

        Raises:
            DataError: The steps lead to another size.
        """
        result = resized(image, self.resize)
        if result.shape[:2] == (self.height, self.width):
            return result
        size, result_size, model_size = (
            f'{shape[1]}x{shape[0]}' for shape in (image.shape, result.shape, (self.height, self.width))
        )
        if self.resize:
            raise DataError(
                f'{name} is {size}; resized as in training it is {result_size}, the exported model takes {model_size} '
                '(width x height): give an image of another shape'
            )
        reason = 'the file names no steps of resizing'
        if self.other_transforms:
            reason = f"the runtime lacks its test pipeline's {', '.join(self.other_transforms)}"
        raise DataError(
            f'{name} is {size}, the exported model takes {model_size} (width x height), and {reason}: give images of '
            'that size'
        )

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Return images as the file's input; unchanged if the file normalizes them itself.

        Args:
            images: ``(N, height, width, 3)`` uint8, BGR.

        Raises:
            DataError: An array of another shape or type.
        """
        if images.ndim != 4 or images.shape[1:] != (self.height, self.width, 3) or images.dtype != np.uint8:
            raise DataError(f'images are {images.shape} {images.dtype}: give (N, {self.height}, {self.width}, 3) uint8')
        if self.with_preprocess:
            return np.ascontiguousarray(images)
        inputs = np.empty((len(images), 3, self.height, self.width), np.float32)
        # Channel by channel: NumPy is ten times slower along an axis of three numbers.
        for channel, (mean, std) in enumerate(zip(self.mean, self.std, strict=True)):
            plane = inputs[:, channel]
            source = images[..., 2 - channel if self.channel_order == 'RGB' else channel]
            np.subtract(source, np.float32(mean), out=plane, dtype=np.float32)
            plane /= np.float32(std)
        return inputs

    def to_json(self) -> str:
        """Return the description as one line of JSON."""
        return json.dumps(dict(task=self.task, **asdict(self)), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | None, path: object) -> ModelDescription:
        """Parse the line that :meth:`to_json` returns.

        Args:
            text: The line; None if a file has none.
            path: The file, for errors.

        Raises:
            DataError: No such line, or impossible values in it.
        """
        try:
            stored = json.loads(text or '')
        except (ValueError, RecursionError):
            stored = None
        if not isinstance(stored, Mapping):
            raise DataError(f'{path} has no metadata of mmosnet: export it again with `mmosnet export`')
        known = {field.name for field in fields(cls)}
        # Entries that a later version adds are ignored.
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items() if k in known}
        missing = {'outputs', 'height', 'width'} - set(values)
        if missing:
            raise DataError(f'{path}: its metadata lacks {", ".join(sorted(missing))}: export it again')
        fault = _fault(values)
        if fault:
            raise DataError(f'{path}: its metadata are damaged ({fault}): export it again')
        return cls(**values)


def _fault(values: Mapping[str, object]) -> str:
    """Return what is invalid in the metadata of an exported model; empty if nothing is."""
    steps = values.get('resize', ())
    if not isinstance(steps, tuple) or not all(isinstance(step, dict) and step.get('type') in STEPS for step in steps):
        return f'resize={steps!r:.60}'
    sides = [values['height'], values['width']]
    sides += [step[key] for step in steps for key in ('height', 'width', 'scale') if key in step]
    if not all(type(side) is int and 0 < side <= MAX_SIDE for side in sides):
        return f'sides {sides!r:.60}, of 1 to {MAX_SIDE} pixels'
    outputs = values['outputs']
    if not isinstance(outputs, tuple) or not outputs or not all(isinstance(o, str) and o in TASKS for o in outputs):
        return f'outputs={outputs!r:.60}'
    for key in ('mean', 'std'):
        numbers = values.get(key, (1, 1, 1))
        if not isinstance(numbers, tuple) or [type(n) in (int, float) and abs(n) < 1e6 for n in numbers] != [True] * 3:
            return f'{key}={numbers!r:.60}'
    for key in ('attributes', 'classes', 'other_transforms'):
        names = values.get(key, ())
        if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
            return f'{key}={names!r:.60}'
    return ''
