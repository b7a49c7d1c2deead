from __future__ import annotations

import pytest
from mmengine.config import Config

from mmosnet.apis.inputs import ImagePreparation, pipeline_facts, pipeline_of
from tests.apis.small_models import CONFIGS, LOAD, PACK

OPENCV = dict(type='LoadImageFromFile')
RESIZE = dict(type='Resize', width=128, height=256, keep_ratio=False, interpolation='bilinear', backend='pillow')


def facts(transforms):
    return tuple(pipeline_facts(ImagePreparation(transforms, 'mmpretrain', rgb=True)).values())


@pytest.mark.parametrize(
    ('config', 'steps'),
    [
        ('osnet_reid_market', (RESIZE,)),
        ('osnet_attr_peta', (RESIZE,)),
        ('osnet_multitask_synthetic', (dict(RESIZE, width=64, height=128),)),
        (
            'osnet_cls_imagenet',
            (
                dict(type='ResizeEdge', scale=256, edge='short', interpolation='bilinear', backend='pillow'),
                dict(type='CenterCrop', width=224, height=224),
            ),
        ),
        ('osnet_cls_cifar10', ()),
    ],
)
def test_configs(config, steps):
    assert facts(pipeline_of(Config.fromfile(CONFIGS / f'{config}.py'))) == (False, steps, ())


def test_opencv_reads_and_resizes_where_a_pipeline_says_so():
    by_opencv = (dict(RESIZE, backend='cv2'),)
    assert facts([OPENCV, dict(type='Resize', scale=(128, 256)), PACK]) == (True, by_opencv, ())


@pytest.mark.parametrize(
    ('transforms', 'others'),
    [
        ([LOAD, dict(type='Resize', scale=64), dict(type='Pad', size=(64, 64)), PACK], ('Pad',)),
        ([LOAD, dict(type='Resize', scale_factor=0.5), PACK], ('Resize',)),
        ([LOAD, dict(type='CenterCrop', crop_size=64, auto_pad=True), PACK], ('CenterCrop',)),
        ([LOAD, dict(type='EfficientNetCenterCrop', crop_size=64), PACK], ('EfficientNetCenterCrop',)),
        ([dict(OPENCV, imdecode_backend='pillow'), PACK], ('LoadImageFromFile',)),
        (
            [dict(OPENCV, color_type='unchanged'), dict(type='RandomFlip', prob=0.5), PACK],
            ('LoadImageFromFile', 'RandomFlip'),
        ),
    ],
)
def test_what_the_runtime_has_not(transforms, others):
    _, steps, found = facts(transforms)
    assert found == others and steps == ()
