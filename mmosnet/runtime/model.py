"""Predict images with an exported file of any format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from os import PathLike, fspath
from pathlib import Path

import numpy as np
from PIL import Image

from mmosnet.errors import DataError
from mmosnet.io.files import check_checksum
from mmosnet.io.images import TAKEN, as_image, read_image
from mmosnet.io.media import file_kind
from mmosnet.io.regions import split_region
from mmosnet.runtime.description import ModelDescription
from mmosnet.runtime.sessions import SESSIONS

# Sizes of the batches in :meth:`ExportedModel.run_any`. The next size has 13% more images on average, up to 32; the
# last size limits the memory.
PART_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


class ExportedModel:
    """Run a model that ``mmosnet export`` wrote; only TorchScript files need torch.

    Args:
        path: ``.onnx``, ``.xml`` (OpenVINO, the ``.bin`` beside it) or ``.pt`` (TorchScript).
        threads: Number of threads; the runtime's choice by default.
        bf16: Compute in bfloat16; OpenVINO only.
        batch_size: Fixed number of images per call, which is faster; any number by default. OpenVINO only.

    Raises:
        FileNotFoundError: No such file.
        DataError: Another kind of file, one without metadata of mmosnet, or a runtime that is not installed.

    Example:
        >>> model = ExportedModel('osnet.onnx')
        >>> model.predict(['crop.jpg', 'frame.jpg#xywh=120,80,64,190', frame[80:270, 120:184]])['embedding'].shape
        (3, 512)
    """

    def __init__(
        self, path: str | Path, threads: int | None = None, bf16: bool = False, batch_size: int | None = None
    ) -> None:
        self.path = Path(path)
        if self.path.suffix not in SESSIONS:
            raise DataError(f'{path}: name a file that ends in {", ".join(SESSIONS)}')
        if not self.path.is_file():
            raise FileNotFoundError(f'no exported model {path}; `mmosnet export` writes them')
        if self.path.suffix == '.pt' and find_spec('torch') is None:
            raise DataError(f'{path} needs torch (pip install torch): without it run models exported to ONNX')
        options = {name: value for name, value in dict(bf16=bf16, batch_size=batch_size).items() if value}
        if options and self.path.suffix != '.xml':
            raise DataError(f'{path}: {" and ".join(options)} are for OpenVINO; export with --format openvino')
        weights = self.path.with_suffix('.bin')
        lacks_weights = self.path.suffix == '.xml' and not weights.is_file()
        has_checksum = not lacks_weights and check_checksum(self.path)
        # A runtime's own error for a web page or a Git LFS pointer would not name the cause.
        kind = file_kind(self.path)
        if kind.remedy:
            raise DataError(f'{path} is {kind}')
        if lacks_weights:
            raise FileNotFoundError(f'no {weights}, which has the weights of {self.path.name}')
        try:
            self._session = SESSIONS[self.path.suffix](self.path, threads, **options)
        except (DataError, ImportError):
            raise
        # Every runtime has its own errors for damaged files.
        except Exception as e:
            beside = ', with the .bin beside it' if self.path.suffix == '.xml' else ''
            reason = (str(e).strip().splitlines() or [type(e).__name__])[-1].strip()
            raise DataError(f'{path} cannot be read ({reason}): copy or export it again{beside}') from e
        self._batch_size = batch_size
        self.description = ModelDescription.from_json(self._session.metadata, path)
        if self.description.checksum and not has_checksum:
            raise DataError(f'{path} is damaged, its checksum at the end is missing: copy or export it again')

    def predict(
        self, images: Iterable[np.ndarray | Image.Image | str | PathLike], batch_size: int = 32
    ) -> dict[str, np.ndarray]:
        """Predict images of any size; they are resized, reordered to RGB or BGR and normalized first.

        Args:
            images: A list, a generator or a batch ``(N, H, W, 3)``. Each image is an array ``(H, W, 3)`` uint8, BGR as
                in OpenCV, of any size; a Pillow image; the path of a file; or the path of a region,
                ``frame.jpg#xywh=120,80,64,190``. An empty list is allowed.
            batch_size: Number of images that are read and computed at once. Default: 32.

        Returns:
            The file's outputs by name, float32: ``embedding`` ``(N, D)``, and the scores from 0 to 1 ``attributes``
            ``(N, A)`` and ``category`` ``(N, C)``.

        Raises:
            FileNotFoundError: An image is missing.
            DataError: An image is damaged, an item is not an image, or the file does not say how to resize it.
        """
        if batch_size < 1:
            raise DataError(f'batch_size={batch_size}: give 1 or more')
        if isinstance(images, (str, PathLike)):
            raise DataError(f'images is the path {fspath(images)!r}: give a list of paths or arrays')
        if isinstance(images, np.ndarray) and images.ndim != 4:
            raise DataError(f'images is one array of shape {images.shape}: give a list of images, or (N, H, W, 3)')
        if not isinstance(images, Iterable) or isinstance(images, (bytes, bytearray, Mapping)):
            raise DataError(f'images is of the type {type(images).__name__}: give a list of images; of each {TAKEN}')
        size, remaining, chunks, done = self._batch_size or batch_size, iter(images), [], 0
        while batch := list(islice(remaining, size)):
            chunks.append(self._predict(batch, done))
            done += len(batch)
        # Without images the outputs still have their widths.
        empty = [{name: value[:0] for name, value in self._predict([self._blank()], 0).items()}] if not chunks else []
        return {name: np.concatenate([chunk[name] for chunk in chunks or empty]) for name in self.description.outputs}

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Predict images that already have the model's size.

        Args:
            images: ``(N, H, W, 3)`` uint8, BGR, of the size in :attr:`description`.

        Returns:
            The same as :meth:`predict`.

        Raises:
            DataError: An array of another shape or type.
        """
        if not isinstance(images, np.ndarray):
            raise DataError(
                f'images is of the type {type(images).__name__}: give an array (N, H, W, 3) uint8, or predict()'
            )
        return self.run(self.description.prepare(images))

    def run(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Compute the outputs for inputs that :meth:`ModelDescription.prepare` returned."""
        return dict(zip(self.description.outputs, self._session.run(inputs), strict=True))

    def run_any(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Compute as :meth:`run` does, whatever the number of images, in bounded memory.

        Where a runtime prepares its kernels for each size of a batch, a part is filled up to the next of few sizes.

        Args:
            inputs: One image or more, as :meth:`run` takes them.
        """
        sizes = (self._batch_size,) if self._batch_size else PART_SIZES
        is_filled = bool(self._batch_size) or self._session.prepares_sizes
        results = []
        for start in range(0, len(inputs), sizes[-1]):
            part = inputs[start : start + sizes[-1]]
            number = len(part)
            if is_filled:
                missing = next(size for size in sizes if size >= number) - number
                part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)])
            results.append({name: value[:number] for name, value in self.run(part).items()})
        return {name: np.concatenate([result[name] for result in results]) for name in self.description.outputs}

    def _predict(self, images: Sequence, start: int) -> dict[str, np.ndarray]:
        """Predict one batch; fill it up if the session has a fixed batch size.

        Args:
            images: Images as in :meth:`predict`.
            start: Number of the first image, for errors.
        """
        sized = list(self._sized(images, start))
        sized += [self._blank()] * ((self._batch_size or len(sized)) - len(sized))
        return {name: value[: len(images)] for name, value in self(np.stack(sized)).items()}

    def _sized(self, images: Sequence, start: int) -> Iterator[np.ndarray]:
        for number, image in enumerate(images, start):
            if isinstance(image, (str, PathLike)):
                name = fspath(image)
                image = self._read(name)
            else:
                name = f'images[{number}]'
                image = as_image(image, name)
            yield self.description.resized(image, name)

    def _read(self, path: str) -> np.ndarray:
        if self.description.other_transforms:
            raise DataError(
                f"{path}: {self.path} takes arrays only, prepared by its test pipeline's "
                f'{", ".join(self.description.other_transforms)}, which the runtime lacks'
            )
        if not Path(split_region(path)[0]).is_file():
            raise FileNotFoundError(f'no image {split_region(path)[0]}')
        return read_image(path, by_opencv=self.description.read_by_opencv)

    def _blank(self) -> np.ndarray:
        return np.zeros((self.description.height, self.description.width, 3), np.uint8)
