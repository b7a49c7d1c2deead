from types import SimpleNamespace

import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from mmpretrain.registry import MODELS
from torch.nn.modules.batchnorm import _BatchNorm

from mmosnet.engine import DeployHook


def classifier() -> torch.nn.Module:
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='OSNet', widen_factor=0.25),
            neck=dict(type='LinearNeck', in_channels=128, out_channels=512, gap_dim=2),
            head=dict(type='LinearClsHead', in_channels=512, num_classes=3),
        )
    ).eval()


@pytest.mark.parametrize('wrapped', [False, True])
def test_the_test_runs_a_copy(wrapped, one_process_group):
    model = classifier()
    trained = {name: value.clone() for name, value in model.state_dict().items()}
    runner = SimpleNamespace(model=MMDistributedDataParallel(model) if wrapped else model, test_dataloader=range(2))
    images = torch.rand(1, 3, 64, 32)
    expected = model(images)[0]
    hook = DeployHook()
    for batch_idx in range(2):
        hook.before_test_iter(runner, batch_idx)
        assert not any(isinstance(module, _BatchNorm) for module in model.modules())
        torch.testing.assert_close(model(images)[0], expected)
        hook.after_test_iter(runner, batch_idx)
    state = model.state_dict()
    assert state.keys() == trained.keys()
    assert all(torch.equal(state[name], trained[name]) for name in trained)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.fixture
def one_process_group(tmp_path):
    torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/group', rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()
