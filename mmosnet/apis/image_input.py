"""What a user gives an inferencer: paths, folders, arrays and lists of them, taken apart into single images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger

from mmosnet.datasets.transforms import read_image
from mmosnet.errors import DataError
from mmosnet.io.images import as_image
from mmosnet.io.media import images_in
from mmosnet.io.regions import split_region


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
