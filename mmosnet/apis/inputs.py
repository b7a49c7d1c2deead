"""What a user gives an inferencer: paths, folders, arrays and lists of them, taken apart into single images.

From an image to the input of a model, as the config prepares it for testing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from mmengine.registry import TRANSFORMS, DefaultScope
from mmpretrain.structures import MultiTaskDataSample

from mmosnet.datasets import LoadPersonImage
from mmosnet.datasets.transforms import read_image
from mmosnet.errors import DataError
from mmosnet.io.images import as_image
from mmosnet.io.media import images_in
from mmosnet.io.regions import cut, split_region


@dataclass(frozen=True)
class ImageInput:
    """One image, not read yet.

    Attributes:
        place: Where in the user's inputs: ``inputs[3]``, and ``inputs[3][7]`` for the eighth image of a batch there.
        img_path: The file, or a region of it (:mod:`mmosnet.io.regions`); None for an array.
        image: ``(H, W, 3)`` uint8, BGR; None for a file.
        error: Why there is no such image.
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
            DataError: A damaged file, or a region that the image does not have.
            DataError, FileNotFoundError: :attr:`error`.
        """
        if self.error is not None:
            raise self.error
        if self.image is not None:
            # torch takes neither negative strides, as of image[:, :, ::-1], nor arrays that cannot be written to.
            return np.require(self.image, requirements=('C', 'W'))
        try:
            return read_image(self.img_path)
        except DataError as e:
            if e.__cause__ is None:
                raise DataError(f'{self.place}: {e}') from e
            # The cause alone: the text around it is advice for data sets.
            raise DataError(f'{self.name}: unreadable image ({e.__cause__})') from e


def take_apart(inputs: object, place: str = 'inputs') -> Iterator[ImageInput]:
    """Expand the inputs that a user gives into single images.

    Args:
        inputs: A path of an image, of a region of one or of a folder; an array ``(H, W, 3)`` or ``(N, H, W, 3)``; or a
            list of such. Of a folder all images, in order of their paths, those in folders below it too;
            a warning counts what else is in it.
        place: Name of the inputs in errors.

    Yields:
        The images in order, and in place of what cannot be one an :class:`ImageInput` with an error.
    """
    if isinstance(inputs, (list, tuple)):
        for i, item in enumerate(inputs):
            yield from take_apart(item, f'{place}[{i}]')
    elif isinstance(inputs, (str, PathLike)):
        yield from _files(str(inputs), place)
    elif isinstance(inputs, np.ndarray) and inputs.ndim == 4:
        for i, image in enumerate(inputs):
            yield from take_apart(image, f'{place}[{i}]')
    else:
        try:
            yield ImageInput(place, image=as_image(inputs, place))
        except DataError as e:
            yield ImageInput(place, error=e)


def _files(path: str, place: str) -> Iterator[ImageInput]:
    """List the images that a path names: one file, a region of a file, or all images in a folder."""
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


PACKERS = ('PackInputs', 'PackTasks', 'PackMultiTaskInputs')


def pipeline_of(cfg: Config | None) -> list[dict]:
    """Return the transforms of a config's test data; for a joint data set those of its first part, the people.

    Raises:
        DataError: The config has none.
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
    """A test pipeline that takes files, regions of files and arrays, and knows of no labels.

    mmpretrain's inferencers read every image by OpenCV and drop a transform called ``LoadImageFromFile``. Here the
    config's own transform reads, so that a file gives what it gives in testing, but damaged ones are refused.

    Args:
        transforms: One that loads, what is done with the image, one that packs; the first and the last may be missing.
        scope: Registry scope of the config.
        joint: Pack a ``MultiTaskDataSample``.
        rgb: Without a transform that loads, hand on RGB, as data sets have it that keep their images in memory (CIFAR).
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
        """Read an image as the loading transform gives it, ``(H, W, 3)``."""
        image = source.read()
        if self.rgb:
            return np.ascontiguousarray(image[:, :, ::-1])
        if source.img_path is None or self.load is None or isinstance(self.load, LoadPersonImage):
            return image
        # Read a second time: decoders differ, and this one is what the model is tested with.
        file, box = split_region(source.img_path)
        image = self.load(dict(img_path=file))['img']
        return image if box is None else cut(image, box, source.img_path)


def _name(transform: Mapping) -> str:
    kind = transform['type']
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__
