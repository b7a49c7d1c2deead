"""Transforms that load images of people, augment them, and pack them with the labels of several tasks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from PIL import Image

from mmosnet.compatibility import supported_stack
from mmosnet.errors import DataError
from mmosnet.io import images as image_reading
from mmosnet.io.coco import without_background
from mmosnet.registry import TRANSFORMS

with supported_stack():
    from mmpretrain.datasets import PackInputs
    from mmpretrain.structures import DataSample, MultiTaskDataSample

REMEDY = "Replace the file, or set bad_images='skip' in the data set to leave such files out"
# Attempts to sample a rectangle that fits; most fit at once, and 100 is the released code's limit.
MAX_ATTEMPTS = 100
BACKENDS = ('pillow', 'cv2')
# BGR. The released code erases images that are normalized already, and fills them with ImageNet's mean of 0.485, 0.456,
# 0.406 (RGB), which are these pixels: 255 * (mean + mean * std). The mean color itself is 0 in a normalized image.
FILLS = dict(released=(127, 142, 152), mean=(104, 116, 124))


def read_image(path: str | Path) -> np.ndarray:
    """Read an image by :func:`mmosnet.io.images.read_image`; errors name the option that skips damaged files.

    Whole images may also be in a remote storage that mmengine reads: ``s3://bucket/image.jpg``.
    """
    if '://' not in str(path):
        return image_reading.read_image(path, REMEDY)
    try:
        return image_reading.decode_image(fileio.get(str(path)))
    except (OSError, SyntaxError, ValueError) as e:
        if image_reading.is_machine_fault(e):
            raise
        raise DataError(f'{path}: unreadable image ({e}). {REMEDY}') from e


@TRANSFORMS.register_module()
class LoadPersonImage(BaseTransform):
    """:func:`read_image` as a transform, for images of people and of anything else.

    mmcv's ``LoadImageFromFile`` accepts truncated files and does not name unreadable ones. A path that names a region
    yields the crop; if the record has a mask (``CocoPerson`` with ``mask_background``), the background is painted over.

    **Required Keys:** img_path

    **Optional Keys:** segmentation (run lengths of the whole frame, with an ``img_path`` that names a region)

    **Added Keys:** img, img_shape, ori_shape
    """

    def transform(self, results: dict) -> dict:
        if 'img_path' not in results and 'img' in results:
            # mmpretrain's inferencers have loaded the image already.
            return results
        image = read_image(results['img_path'])
        if 'segmentation' in results:
            image = without_background(image, results['segmentation'], results['img_path'])
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results


def _check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise DataError(f'{name}={value} is no probability')


def _check_rectangle(area: tuple[float, float], min_aspect: float) -> None:
    if not 0 < area[0] <= area[1] <= 1:
        raise DataError(f'area={area} must be two ascending shares of the image')
    if not 0 < min_aspect <= 1:
        raise DataError(f'min_aspect={min_aspect} must be within (0, 1]')


def _check_choice(name: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise DataError(f'{name}={value!r}: choose from {", ".join(choices)}')


def _sample_size(shape: tuple[int, int], area: tuple[float, float], min_aspect: float) -> tuple[int, int] | None:
    """Sample height and width of a rectangle smaller than an image in both, as the released code does.

    The area is uniform in ``area``, height / width uniform from ``min_aspect`` to its inverse. A rectangle that does
    not fit is sampled again.

    Args:
        shape: Height and width of the image.
        area: Smallest and largest area, as shares of the image.
        min_aspect: Smallest height / width.

    Returns:
        Height and width; None if none of 100 rectangles fits.
    """
    height, width = shape
    for _ in range(MAX_ATTEMPTS):
        pixels = np.random.uniform(*area) * height * width
        aspect = np.random.uniform(min_aspect, 1 / min_aspect)
        rows, columns = round((pixels * aspect) ** 0.5), round((pixels / aspect) ** 0.5)
        if 0 < rows < height and 0 < columns < width:
            return rows, columns
    return None


def _sample_corner(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Sample top and left of a rectangle of ``size`` in an image of ``shape``, last row and column included."""
    return np.random.randint(shape[0] - size[0] + 1), np.random.randint(shape[1] - size[1] + 1)


@TRANSFORMS.register_module()
class Random2DTranslation(BaseTransform):
    """Enlarge the image by an eighth and crop it to its old size at a random place.

    The released code's ``Random2DTranslation``, with its distribution of places: the outermost ones are half as likely
    as the others. mmpretrain's ``RandomCrop`` pads instead of enlarging, and its ``RandomResizedCrop`` changes the
    aspect ratio.

    **Required Keys:** img (H, W, 3) uint8

    **Modified Keys:** img

    Args:
        prob: Probability that an image is changed.
        scale: Factor of the enlargement.
        backend: Library that resizes bilinearly: ``'pillow'`` or ``'cv2'``.
    """

    def __init__(self, prob: float = 0.5, scale: float = 1.125, backend: str = 'pillow') -> None:
        _check_probability('prob', prob)
        if scale < 1:
            raise DataError(f'scale={scale} must be at least 1')
        _check_choice('backend', backend, BACKENDS)
        self.prob = prob
        self.scale = scale
        self.backend = backend

    def transform(self, results: dict) -> dict:
        if np.random.rand() >= self.prob:
            return results
        image = results['img']
        height, width = image.shape[:2]
        large_height, large_width = round(height * self.scale), round(width * self.scale)
        large = mmcv.imresize(image, (large_width, large_height), backend=self.backend)
        left = round(np.random.uniform(0, large_width - width))
        top = round(np.random.uniform(0, large_height - height))
        results['img'] = large[top : top + height, left : left + width]
        return results


@TRANSFORMS.register_module()
class RandomErasing(BaseTransform):
    """Fill a random rectangle with one color (Zhong et al., arXiv 1708.04896), as the released code does.

    mmpretrain's ``RandomErasing`` comes closest. It differs in three ways: the aspect ratio is uniform in its
    logarithm, a rectangle that does not fit is clipped instead of sampled again, and only clipped rectangles reach the
    last row or column.

    **Required Keys:** img (H, W, 3) uint8, BGR

    **Modified Keys:** img

    Args:
        prob: Probability that an image is changed.
        area: Smallest and largest area of the rectangle, as shares of the image.
        min_aspect: Smallest height / width of the rectangle; the largest is its inverse.
        fill: ``'released'`` fills with the color of the released code, (152, 142, 127) in RGB: ImageNet's mean, put
            into images that are normalized already. ``'mean'`` fills with the mean color itself, (124, 116, 104),
            which normalization makes 0: the common way, and the paper's.
    """

    def __init__(
        self,
        prob: float = 0.5,
        area: tuple[float, float] = (0.02, 0.4),
        min_aspect: float = 0.3,
        fill: str = 'released',
    ) -> None:
        _check_probability('prob', prob)
        _check_rectangle(area, min_aspect)
        _check_choice('fill', fill, FILLS)
        self.prob = prob
        self.area = area
        self.min_aspect = min_aspect
        self.fill = fill

    def transform(self, results: dict) -> dict:
        if np.random.rand() >= self.prob:
            return results
        shape = results['img'].shape[:2]
        size = _sample_size(shape, self.area, self.min_aspect)
        if size is None:
            return results
        top, left = _sample_corner(shape, size)
        image = results['img'].copy()
        image[top : top + size[0], left : left + size[1]] = FILLS[self.fill]
        results['img'] = image
        return results


@TRANSFORMS.register_module()
class RandomPatch(BaseTransform):
    """Paste a piece of another training image (Zhou et al., arXiv 1910.06827, section 4).

    The released code keeps a pool of pieces from the images that each worker has processed, so that its output depends
    on the number of workers and on all earlier images. Here the piece is cut from a random image of the data set: the
    distribution is the same, and the output depends on the random state alone.

    **Required Keys:** img (H, W, 3) uint8, dataset (put there by
    :class:`~mmosnet.datasets.ReIDDataset` in training)

    **Modified Keys:** img

    Args:
        prob: Probability that an image is changed.
        area: Smallest and largest area of the piece, as shares of the image.
        min_aspect: Smallest height / width of the piece; the largest is its inverse.
        rotate_prob: Probability that the piece is rotated, by up to 10 degrees.
        flip_prob: Probability that the piece is mirrored.
        backend: Library that resizes the other image bilinearly, ``'pillow'`` or ``'cv2'``; use that of the
            pipeline's ``Resize``.
    """

    max_degrees = 10

    def __init__(
        self,
        prob: float = 0.5,
        area: tuple[float, float] = (0.01, 0.5),
        min_aspect: float = 0.1,
        rotate_prob: float = 0.5,
        flip_prob: float = 0.5,
        backend: str = 'pillow',
    ) -> None:
        for name, value in dict(prob=prob, rotate_prob=rotate_prob, flip_prob=flip_prob).items():
            _check_probability(name, value)
        _check_rectangle(area, min_aspect)
        _check_choice('backend', backend, BACKENDS)
        self.prob = prob
        self.area = area
        self.min_aspect = min_aspect
        self.rotate_prob = rotate_prob
        self.flip_prob = flip_prob
        self.backend = backend

    def transform(self, results: dict) -> dict:
        if np.random.rand() >= self.prob:
            return results
        image = results['img'].copy()
        shape = image.shape[:2]
        size = _sample_size(shape, self.area, self.min_aspect)
        if size is None:
            return results
        patch = self._cut_patch(results['dataset'], shape, size)
        top, left = _sample_corner(shape, size)
        image[top : top + size[0], left : left + size[1]] = patch
        results['img'] = image
        return results

    def _cut_patch(self, dataset, shape: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
        """Cut a piece of ``size`` out of a random image of the data set, resized to ``shape``."""
        donor = read_image(dataset.get_data_info(np.random.randint(len(dataset)))['img_path'])
        donor = mmcv.imresize(donor, shape[::-1], backend=self.backend)
        top, left = _sample_corner(shape, size)
        patch = donor[top : top + size[0], left : left + size[1]]
        if np.random.rand() < self.flip_prob:
            patch = patch[:, ::-1]
        if np.random.rand() < self.rotate_prob:
            degrees = np.random.randint(-self.max_degrees, self.max_degrees + 1)
            # Black corners and the nearest pixel, as in the released code.
            patch = np.asarray(Image.fromarray(np.ascontiguousarray(patch)).rotate(degrees))
        return patch


@TRANSFORMS.register_module()
class PackTasks(BaseTransform):
    """Pack the image and the labels of all tasks.

    mmpretrain's ``PackMultiTaskInputs`` needs every label as a dict by task; records of our data sets have plain ones.

    **Required Keys:** img

    **Added Keys:** inputs (``(3, H, W)`` uint8), data_samples (``MultiTaskDataSample``)

    Args:
        tasks: For each task, the keys of the record that its data sample gets, or a dict from the sample's names to
            the record's keys: ``dict(reid=('pid', 'camid', 'split', 'gt_label'), attributes=('gt_score',),
            category=dict(gt_label='gt_category'))``. A record without the first of them has no labels of the task;
            the others may be missing, as ``gt_label`` in testing.

    Raises:
        DataError: A task without keys.
    """

    def __init__(self, tasks: Mapping[str, Sequence[str] | Mapping[str, str]]) -> None:
        self.tasks = {}
        for task, keys in tasks.items():
            names = dict(keys) if isinstance(keys, Mapping) else {key: key for key in keys}
            if not names:
                raise DataError(f'PackTasks: tasks.{task} names no key')
            self.tasks[task] = names

    def transform(self, results: dict) -> dict:
        """Pack a record."""
        sample = MultiTaskDataSample()
        for task, names in self.tasks.items():
            if next(iter(names.values())) in results:
                labels = {name: results[key] for name, key in names.items() if key in results}
                sample.set_field(self._part(labels, results), task)
        return dict(inputs=PackInputs.format_input(results['img']), data_samples=sample)

    @staticmethod
    def _part(labels: dict, results: dict) -> DataSample:
        part = DataSample(metainfo={key: results[key] for key in PackInputs.DEFAULT_META_KEYS if key in results})
        for name, value in labels.items():
            if name == 'gt_label':
                part.set_gt_label(value)
            elif name == 'gt_score':
                part.set_gt_score(value)
            else:
                part.set_field(value, name)
        return part
