"""From an image to the input of a model, as the config prepares it for testing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS, DefaultScope
from mmpretrain.structures import MultiTaskDataSample

from mmosnet.apis.image_input import ImageInput
from mmosnet.datasets import LoadPersonImage
from mmosnet.errors import DataError
from mmosnet.io.regions import cut, split_region

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
