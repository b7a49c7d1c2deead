from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmosnet.engine.trained_model import build_model, load_model
from mmosnet.errors import DataError

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'osnet_x0_25_reid_market.py'


@pytest.fixture
def cfg():
    return Config.fromfile(CONFIG)


def saved(path, state):
    torch.save(dict(state_dict=state), path)
    return str(path)


def test_builds_in_the_scope_of_the_config_for_evaluation(cfg):
    model = build_model(cfg)
    assert type(model).__name__ == 'ImageClassifier' and not model.training
    with pytest.raises(DataError, match='has no model'):
        build_model(Config(dict(default_scope='mmpretrain')))
    with pytest.raises(DataError, match='for mmelsewhere, which is not installed'):
        build_model(Config(dict(default_scope='mmelsewhere', model=dict(type='X'))))


def test_a_preprocessor_beside_the_model_is_used(cfg):
    preprocessor = cfg.model.pop('data_preprocessor')
    assert build_model(Config(cfg._cfg_dict | dict(data_preprocessor=preprocessor))).data_preprocessor.mean.numel() == 3


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_loads_everything_that_fits(cfg, tmp_path, prefix):
    torch.manual_seed(1)
    state = {name: torch.randn(v.shape).to(v.dtype) for name, v in build_model(cfg).state_dict().items()}
    state['head.classifier.bias'] = torch.zeros(5)
    path = saved(tmp_path / 'a.pth', {prefix + name: value for name, value in state.items()})
    loaded = load_model(cfg, path).state_dict()
    assert loaded['head.classifier.bias'].shape == (751,)
    for name in set(state) - {'head.classifier.bias'}:
        assert torch.equal(loaded[name], state[name]), name


def test_another_network_is_refused(cfg, tmp_path):
    state = build_model(cfg).state_dict()
    del state['backbone.final_conv.conv.weight']
    state['neck.fc.bias'] = torch.zeros(3)
    path = saved(tmp_path / 'b.pth', state)
    with pytest.raises(DataError, match=r'b\.pth does not fit .*: 2 entries .* backbone\.final_conv\.conv\.weight'):
        load_model(cfg, path)
    with pytest.raises(FileNotFoundError, match=r'no checkpoint nothing\.pth'):
        load_model(cfg, 'nothing.pth')
