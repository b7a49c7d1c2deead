"""Augmentations of the re-identification recipes that mmpretrain and mmcv do not have."""

from __future__ import annotations

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmosnet.datasets.person_image import read_image
from mmosnet.errors import DataError
from mmosnet.registry import TRANSFORMS


def _check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise DataError(f'{name}={value} is no probability')


@TRANSFORMS.register_module()
class Random2DTranslation(BaseTransform):
    """Enlarge the image by an eighth and cut its old size out at a random place.

    The released code's ``Random2DTranslation``. mmpretrain's ``RandomCrop`` pads instead of enlarging, and its
    ``RandomResizedCrop`` changes the aspect ratio.

    **Required Keys:** img (H, W, 3) uint8

    **Modified Keys:** img

    Args:
        prob: How often; else the image stays as it is.
        scale: Factor of the enlargement.
    """

    def __init__(self, prob: float = 0.5, scale: float = 1.125) -> None:
        _check_probability('prob', prob)
        if scale < 1:
            raise DataError(f'scale={scale} must be at least 1')
        self.prob = prob
        self.scale = scale

    def transform(self, results: dict) -> dict:
        if np.random.rand() >= self.prob:
            return results
        image = results['img']
        height, width = image.shape[:2]
        large_height, large_width = round(height * self.scale), round(width * self.scale)
        large = cv2.resize(image, (large_width, large_height), interpolation=cv2.INTER_LINEAR)
        top = np.random.randint(large_height - height + 1)
        left = np.random.randint(large_width - width + 1)
        results['img'] = large[top : top + height, left : left + width]
        return results


@TRANSFORMS.register_module()
class RandomPatch(BaseTransform):
    """Paste a piece of another training image (Zhou et al., arXiv 1910.06827, section 4).

    The released code keeps a pool of pieces from the images that each worker has seen, so that its output depends
    on the number of workers and on everything before. Here the piece is cut from an image drawn from the data
    set: the same distribution, and a function of the random state alone.

    **Required Keys:** img (H, W, 3) uint8, dataset (put there by
    :class:`~mmosnet.datasets.ReIDDataset` in training)

    **Modified Keys:** img

    Args:
        prob: How often.
        area: Smallest and largest area of the piece, as shares of the image.
        min_aspect: Smallest height / width of the piece; the largest is its inverse.
        rotate_prob: How often the piece is rotated, by up to 10 degrees.
        flip_prob: How often the piece is mirrored.
    """

    max_degrees = 10
    # Most draws fit at once; 100 is the released code's limit.
    max_attempts = 100

    def __init__(
        self,
        prob: float = 0.5,
        area: tuple[float, float] = (0.01, 0.5),
        min_aspect: float = 0.1,
        rotate_prob: float = 0.5,
        flip_prob: float = 0.5,
    ) -> None:
        for name, value in dict(prob=prob, rotate_prob=rotate_prob, flip_prob=flip_prob).items():
            _check_probability(name, value)
        if not 0 < area[0] <= area[1] <= 1:
            raise DataError(f'area={area} must be two ascending shares of the image')
        if not 0 < min_aspect <= 1:
            raise DataError(f'min_aspect={min_aspect} must be within (0, 1]')
        self.prob = prob
        self.area = area
        self.min_aspect = min_aspect
        self.rotate_prob = rotate_prob
        self.flip_prob = flip_prob

    def transform(self, results: dict) -> dict:
        if np.random.rand() >= self.prob:
            return results
        image = results['img'].copy()
        height, width = image.shape[:2]
        size = self._draw_size(height, width)
        if size is None:
            return results
        patch = self._draw_patch(results['dataset'], (height, width), size)
        top = np.random.randint(height - size[0] + 1)
        left = np.random.randint(width - size[1] + 1)
        image[top : top + size[0], left : left + size[1]] = patch
        results['img'] = image
        return results

    def _draw_size(self, height: int, width: int) -> tuple[int, int] | None:
        for _ in range(self.max_attempts):
            area = np.random.uniform(*self.area) * height * width
            aspect = np.random.uniform(self.min_aspect, 1 / self.min_aspect)
            patch_height, patch_width = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
            if 0 < patch_height < height and 0 < patch_width < width:
                return patch_height, patch_width
        return None

    def _draw_patch(self, dataset, shape: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
        """Cut a piece of ``size`` out of a random image of the data set, resized to ``shape``."""
        donor = read_image(dataset.get_data_info(np.random.randint(len(dataset)))['img_path'])
        donor = cv2.resize(donor, shape[::-1], interpolation=cv2.INTER_LINEAR)
        top = np.random.randint(shape[0] - size[0] + 1)
        left = np.random.randint(shape[1] - size[1] + 1)
        patch = donor[top : top + size[0], left : left + size[1]]
        if np.random.rand() < self.flip_prob:
            patch = patch[:, ::-1]
        if np.random.rand() < self.rotate_prob:
            degrees = np.random.uniform(-self.max_degrees, self.max_degrees)
            turn = cv2.getRotationMatrix2D((size[1] / 2, size[0] / 2), degrees, 1)
            patch = cv2.warpAffine(np.ascontiguousarray(patch), turn, size[::-1])
        return patch
