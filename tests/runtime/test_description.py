"""The runtime's steps give the same pixels as the transforms."""

from __future__ import annotations

import numpy as np
import pytest
import torchvision.transforms
from mmcv.transforms import CenterCrop, Resize
from mmpretrain.datasets import ResizeEdge
from PIL import Image

from mmosnet.apis.inputs import resize_step
from mmosnet.runtime.description import resized

SIZES = [(64, 32), (101, 37), (37, 101), (50, 50), (7, 9), (256, 128), (133, 66)]
TRANSFORMS = [
    [Resize((32, 64))],
    [Resize(48, interpolation='bicubic')],
    [Resize((32, 64), interpolation='area'), CenterCrop((31, 20))],
    [Resize((32, 64), interpolation='nearest', keep_ratio=True)],
    [Resize((64, 33), interpolation='lanczos', keep_ratio=True), CenterCrop(33)],
    [Resize((32, 64), backend='pillow'), CenterCrop(99)],
    *([ResizeEdge(57, edge), CenterCrop((24, 31))] for edge in ('short', 'long', 'width', 'height')),
    [ResizeEdge(40, backend='pillow', interpolation='bicubic'), CenterCrop(40)],
    [],
]


@pytest.mark.parametrize('transforms', TRANSFORMS, ids=lambda ts: '-'.join(type(t).__name__ for t in ts))
def test_equal_to_the_transforms(transforms):
    steps = [resize_step(transform) for transform in transforms]
    random = np.random.RandomState(0)
    for size in SIZES:
        image = random.randint(0, 256, (*size, 3), dtype=np.uint8)
        results = dict(img=image)
        for transform in transforms:
            results = transform(results)
        np.testing.assert_array_equal(resized(image, steps), results['img'], err_msg=str(size))


def test_pillow_resizes_as_the_released_code(tmp_path):
    """torchreid resizes by torchvision's ``Resize`` of Pillow images."""
    steps = [resize_step(Resize((128, 256), backend='pillow'))]
    released = torchvision.transforms.Resize((256, 128))
    for number, size in enumerate([(640, 211), (512, 256), (256, 128), (128, 64), (300, 90)]):
        image = np.random.RandomState(number).randint(0, 256, (*size, 3), dtype=np.uint8)
        np.testing.assert_array_equal(resized(image, steps), released(Image.fromarray(image)), err_msg=str(size))
