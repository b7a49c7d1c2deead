from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmosnet.errors import DataError
from mmosnet.models.build import build_model, find_config, load_model, load_weights

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


def test_testing_needs_the_heads_and_keeps_the_names(cfg, tmp_path):
    cfg.model.head = dict(type='LinearClsHead', num_classes=3, in_channels=512)
    model = build_model(cfg)
    state = model.state_dict()
    names = dict(classes=['a', 'b', 'c'])
    torch.save(dict(state_dict=state, meta=dict(dataset_meta=names)), tmp_path / 'a.pth')
    assert load_model(cfg, str(tmp_path / 'a.pth'), testing=True)._dataset_meta == names
    state['head.fc.weight'] = torch.ones(4, 512)
    path = saved(tmp_path / 'b.pth', state)
    load_weights(model, path)
    assert model._dataset_meta == {}
    with pytest.raises(DataError, match=r'b\.pth does not fit .*head\.fc\.weight: model \(3, 512\)'):
        load_weights(model, path, testing=True)


def test_configs_by_path_and_by_name():
    found, weights = find_config(CONFIG)
    assert found.filename == str(CONFIG) and weights is None
    found, weights = find_config('osnet-x0.25_reid-market1501')
    assert Path(found.filename).name == CONFIG.name and weights == 'torchreid://osnet_x0_25_market1501'
    with pytest.raises(FileNotFoundError, match=r'configs/gone\.py; .*mmosnet configs'):
        find_config('configs/gone.py')
    with pytest.raises(DataError, match=r"'osnet-x0.25_reid-market' .*osnet-x0\.25_reid-market1501"):
        find_config('osnet-x0.25_reid-market')
