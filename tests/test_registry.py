import os
import subprocess
import sys
from importlib import import_module

import pytest
from mmengine.registry import DefaultScope, Registry

import mmosnet.registry
from mmosnet.models import OSNet

REGISTRIES = {name: value for name, value in vars(mmosnet.registry).items() if isinstance(value, Registry)}

MODEL = dict(
    type='mmpretrain.ImageClassifier',
    data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor'),
    backbone=dict(type='OSNet', widen_factor=0.25),
    neck=dict(type='mmpretrain.LinearNeck', in_channels=128, out_channels=512, gap_dim=2),
    head=dict(type='mmosnet.ReIDHead', num_classes=5),
)


@pytest.mark.parametrize('name', REGISTRIES)
def test_locations_import_and_parent_is_mmpretrains(name):
    registry = REGISTRIES[name]
    assert registry.scope == 'mmosnet'
    assert registry.parent.scope == 'mmpretrain'
    assert registry._locations[0].startswith('mmpretrain.')
    for location in registry._locations:
        import_module(location)


def test_every_registry_of_mmpretrain_has_a_child():
    import mmpretrain.registry

    assert set(mmpretrain.registry.__all__) == set(REGISTRIES)


@pytest.mark.parametrize('scope', ['mmengine', 'mmpretrain', 'mmosnet'])
def test_full_model_with_plain_osnet_builds_in_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        model = mmosnet.registry.MODELS.build(dict(MODEL))
        assert isinstance(model.backbone, OSNet)


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmosnet'])
def test_unprefixed_model_builds_in_scope(scope):
    cfg = dict(MODEL, type='ImageClassifier', neck=dict(MODEL['neck'], type='LinearNeck'))
    with DefaultScope.overwrite_default_scope(scope):
        assert isinstance(mmosnet.registry.MODELS.build(cfg).backbone, OSNet)


def test_mmengine_root_builds_the_full_model():
    from mmengine.registry import MODELS

    with DefaultScope.overwrite_default_scope('mmengine'):
        assert isinstance(MODELS.build(dict(MODEL)).backbone, OSNet)


def test_import_by_a_prefixed_type_is_silent_and_downloads_nothing(tmp_path):
    program = (
        'import socket, sys\n'
        'def refuse(*arguments): raise RuntimeError("network")\n'
        'socket.socket.connect = refuse\n'
        'from mmengine.registry import METRICS\n'
        'assert "mmosnet" not in sys.modules\n'
        'kind = type(METRICS.build(dict(type="mmosnet.ReIDMetric")))\n'
        'assert kind.__module__ == "mmosnet.evaluation.metrics"\n'
        'assert "huggingface_hub" not in sys.modules\n'
    )
    # torch 2.6 leaves a temporary folder to the interpreter's exit.
    warnings = ('error', 'ignore::DeprecationWarning', 'ignore::ResourceWarning')
    result = subprocess.run(
        [sys.executable, *(f'-W{warning}' for warning in warnings), '-c', program],
        env=dict(os.environ, TORCH_HOME=str(tmp_path / 'cache')),
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, '', '')
    assert not (tmp_path / 'cache').exists()
