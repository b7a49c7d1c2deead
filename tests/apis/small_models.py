"""Configs of a narrow OSNet with any head for 64x32 images, and untrained checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmosnet.models.build import build_model

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'

REID = dict(type='mmosnet.ReIDHead', num_classes=6)
ATTRIBUTES = dict(type='mmosnet.AttributeHead', num_classes=3)
CATEGORY = dict(type='LinearClsHead', num_classes=4, in_channels=512)
JOINT = dict(type='mmosnet.JointHead', heads=dict(reid=REID, attributes=ATTRIBUTES, category=CATEGORY))

ATTRIBUTE_NAMES = ['hat', 'bag', 'long hair']
CLASSES = ['bicycle', 'bench', 'cart', 'sign']

LOAD = dict(type='mmosnet.LoadPersonImage')
RESIZE = dict(type='Resize', scale=(32, 64), interpolation='bilinear')
PACK = dict(type='PackInputs', algorithm_keys=('pid', 'camid', 'split'))


def small_config(head: dict, pipeline: list[dict] | None = None) -> Config:
    """Return a config for testing; its data set need not exist."""
    cfg = Config.fromfile(CONFIGS / 'osnet_x0_25_reid_market.py')
    cfg.model.head = head
    cfg.test_dataloader.dataset.pipeline = [LOAD, RESIZE, PACK] if pipeline is None else pipeline
    return cfg


def small_checkpoint(path: Path, head: dict, **dataset_meta) -> str:
    """Write a checkpoint with the names of a data set; return its path."""
    torch.manual_seed(0)
    model = build_model(small_config(head))
    with torch.no_grad():
        # So large that images are told apart.
        model.neck.fc.weight *= 20
        for name, parameter in model.head.named_parameters():
            parameter *= 2 if name.endswith('fc.weight') else 1
    torch.save(dict(state_dict=model.state_dict(), meta=dict(epoch=1, dataset_meta=dataset_meta)), path)
    return str(path)


def assert_close(found: dict, expected: dict, tolerance: float = 1e-5) -> None:
    """Assert that two entries of an inferencer's results are equal up to a tolerance."""
    assert found.keys() == expected.keys()
    if 'embedding' in expected:
        np.testing.assert_allclose(found['embedding'], expected['embedding'], rtol=tolerance, atol=tolerance)
    assert found.get('attributes') == pytest.approx(expected.get('attributes'), abs=tolerance)
    if 'category' in expected:
        assert found['category'] == dict(
            expected['category'], score=pytest.approx(expected['category']['score'], abs=tolerance)
        )
