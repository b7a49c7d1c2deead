"""Expand a user's inputs into single images, and prepare each as the config does for testing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform, CenterCrop, LoadImageFromFile, Resize
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from mmengine.registry import TRANSFORMS, DefaultScope
from mmpretrain.datasets import ResizeEdge
from mmpretrain.structures import MultiTaskDataSample

from mmosnet.datasets import LoadPersonImage
from mmosnet.datasets.transforms import read_image
from mmosnet.errors import DataError
from mmosnet.io.images import as_image
from mmosnet.io.media import images_in
from mmosnet.io.regions import cut, split_region
from mmosnet.runtime.description import INTERPOLATIONS

# Transforms that pack an image and its labels.
PACKERS = ('PackInputs', 'PackTasks', 'PackMultiTaskInputs')


@dataclass(frozen=True)
class ImageInput:
    """One image that has not been read yet.

    Attributes:
        place: Place in the user's inputs: ``inputs[3]``, or ``inputs[3][7]`` for the eighth image of a batch there.
        img_path: A file, or a region of one (:mod:`mmosnet.io.regions`); None for an array.
        image: ``(H, W, 3)`` uint8, BGR; None for a file.
        error: Why the input is not an image; None if no reason is known.
    """

    place: str
    img_path: str | None = None
    image: np.ndarray | None = None
    error: DataError | FileNotFoundError | None = None

    @property
    def name(self) -> str:
        """Name of the input in error messages."""
        return self.place if self.img_path is None else f'{self.place}: {self.img_path}'

    def read(self) -> np.ndarray:
        """Read the image as ``(H, W, 3)`` uint8, BGR.

        Raises:
            DataError: The file is damaged, or the image has no such region; or :attr:`error`.
            FileNotFoundError: :attr:`error`.
        """
        if self.error is not None:
            raise self.error
        if self.image is not None:
            # torch takes neither negative strides, as in image[:, :, ::-1], nor read-only arrays.
            return np.require(self.image, requirements=('C', 'W'))
        try:
            return read_image(self.img_path)
        except DataError as e:
            if e.__cause__ is None:
                raise DataError(f'{self.place}: {e}') from e
            # Only the cause: the rest of the text is about data sets.
            raise DataError(f'{self.name}: unreadable image ({e.__cause__})') from e


def expand_inputs(inputs: object, place: str = 'inputs') -> Iterator[ImageInput]:
    """Expand a user's inputs into single images.

    Args:
        inputs: The path of an image, a region or a folder; an array ``(H, W, 3)`` or ``(N, H, W, 3)``; a Pillow image;
            or a list of such. A folder stands for all images in it and below it, in the order of their paths; a warning
            counts its other files.
        place: Name of the inputs in errors. Default: ``'inputs'``.

    Yields:
        The images in order; an item that cannot be an image has an error.
    """
    if isinstance(inputs, (list, tuple)):
        for i, item in enumerate(inputs):
            yield from expand_inputs(item, f'{place}[{i}]')
    elif isinstance(inputs, (str, PathLike)):
        yield from _files(str(inputs), place)
    elif isinstance(inputs, np.ndarray) and inputs.ndim == 4:
        for i, image in enumerate(inputs):
            yield from expand_inputs(image, f'{place}[{i}]')
    else:
        try:
            yield ImageInput(place, image=as_image(inputs, place))
        except DataError as e:
            yield ImageInput(place, error=e)


def _files(path: str, place: str) -> Iterator[ImageInput]:
    """Return the images of a path: one file, a region of a file, or all images in a folder."""
    if Path(path).is_dir():
        try:
            for file in images_in(path, MMLogger.get_current_instance().warning):
                yield ImageInput(place, file)
        except DataError as e:
            yield ImageInput(place, path, error=DataError(f'{place}: {e}'))
    elif Path(split_region(path)[0]).is_file():
        yield ImageInput(place, path)
    else:
        yield ImageInput(place, path, error=FileNotFoundError(f'{place}: no image or folder {split_region(path)[0]}'))


def pipeline_of(cfg: Config | None) -> list[dict]:
    """Return the transforms of a config's test data; for a joint data set those of its first part.

    Raises:
        DataError: The config has no such transforms.
    """
    dataset = ((cfg or {}).get('test_dataloader') or {}).get('dataset') or {}
    while dataset.get('pipeline') is None:
        parts = dataset.get('datasets') or [dataset.get('dataset')]
        parts = [part for part in (parts.values() if isinstance(parts, Mapping) else parts) if part is not None]
        if not parts:
            name = 'the model has no config' if cfg is None else f'{cfg.filename or "the config"} has none'
            raise DataError(f'{name} with test_dataloader.dataset.pipeline, which prepares the images: give pipeline=')
        dataset = parts[0]
    return dataset['pipeline']


class ImagePreparation:
    """A test pipeline for files, regions of files and arrays, without labels.

    mmpretrain's inferencers read every image by OpenCV and drop a transform called ``LoadImageFromFile``. Here the
    config's own transform reads files, so that they give the same numbers as in testing; damaged files are refused.

    Args:
        transforms: Transforms that load, change and pack an image; those that load and pack may be missing.
        scope: Registry scope of the config.
        joint: Whether to pack a ``MultiTaskDataSample``. Default: False.
        rgb: Whether to convert images to RGB if no transform loads them, as for data sets in memory (CIFAR). Default:
            False.
    """

    def __init__(self, transforms: Sequence[dict], scope: str, joint: bool = False, rgb: bool = False) -> None:
        loading = [t for t in transforms if _name(t).startswith('Load')]
        rest = [t for t in transforms if t not in loading and _name(t) not in PACKERS]
        with DefaultScope.overwrite_default_scope(scope):
            self.load = TRANSFORMS.build(loading[0]) if loading else None
            self.transforms = Compose([*rest, dict(type='mmpretrain.PackInputs')])
        self.joint = joint
        self.rgb = rgb and not loading

    def __call__(self, source: ImageInput) -> dict:
        """Prepare one image.

        Returns:
            ``inputs``, ``(3, H, W)`` uint8, and ``data_samples``.

        Raises:
            DataError: The image cannot be read.
        """
        image = self.read(source)
        record = dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        if source.img_path is not None:
            record['img_path'] = source.img_path
        packed = self.transforms(record)
        if self.joint:
            packed['data_samples'] = MultiTaskDataSample(metainfo=packed['data_samples'].metainfo)
        return packed

    def read(self, source: ImageInput) -> np.ndarray:
        """Read an image with the loading transform, ``(H, W, 3)`` uint8."""
        image = source.read()
        if self.rgb:
            return np.ascontiguousarray(image[:, :, ::-1])
        if source.img_path is None or self.load is None or isinstance(self.load, LoadPersonImage):
            return image
        # A second read: decoders differ, and the model is tested with this one.
        file, box = split_region(source.img_path)
        image = self.load(dict(img_path=file))['img']
        return image if box is None else cut(image, box, source.img_path)


def pipeline_facts(preparation: ImagePreparation) -> dict[str, Any]:
    """Return the fields of a description that say how the runtime reproduces a pipeline.

    Args:
        preparation: The pipeline.

    Returns:
        ``read_by_opencv``, ``resize`` and ``other_transforms`` of a
        :class:`~mmosnet.runtime.ModelDescription`. If there are other transforms, which the runtime cannot reproduce,
        ``resize`` is empty.
    """
    load, others, steps = preparation.load, [], []
    by_opencv = type(load) is LoadImageFromFile
    plain = by_opencv and (load.color_type, load.imdecode_backend, load.to_float32) == ('color', 'cv2', False)
    if not plain and type(load) not in (LoadPersonImage, type(None)):
        others.append(type(load).__name__)
    # The last one packs.
    for transform in preparation.transforms.transforms[:-1]:
        step = resize_step(transform)
        if step is None:
            others.append(type(transform).__name__)
        else:
            steps.append(step)
    return dict(read_by_opencv=by_opencv, resize=() if others else tuple(steps), other_transforms=tuple(others))


def resize_step(transform: BaseTransform) -> dict | None:
    """Convert a transform to a step of :mod:`mmosnet.runtime.description`; None if there is no such step."""
    transform_type = type(transform)
    if transform_type is CenterCrop and not transform.auto_pad:
        width, height = transform.crop_size
        return dict(type='CenterCrop', width=width, height=height)
    if transform_type not in (Resize, ResizeEdge):
        return None
    if transform.backend == 'cv2' and transform.interpolation not in INTERPOLATIONS:
        return None
    method = dict(interpolation=transform.interpolation, backend=transform.backend)
    if transform_type is ResizeEdge:
        return dict(type='ResizeEdge', scale=transform.scale, edge=transform.edge, **method)
    if transform.scale is None:
        return None
    width, height = transform.scale
    return dict(type='Resize', width=width, height=height, keep_ratio=transform.keep_ratio, **method)


def _name(transform: Mapping) -> str:
    """Return the class name of a transform, without scope."""
    type_ = transform['type']
    return type_.rpartition('.')[2] if isinstance(type_, str) else type_.__name__
