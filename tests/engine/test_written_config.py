"""The text of a config is that of mmengine's, before and after a change."""

import copy
import pickle
from pathlib import Path

from mmengine.config import Config

from mmosnet.engine.written_config import WrittenConfig

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'osnet_reid_synthetic.py'


def test_text_follows_the_settings():
    plain = Config.fromfile(CONFIG)
    cfg = WrittenConfig(Config.fromfile(CONFIG))
    assert cfg.pretty_text == plain.pretty_text
    for config in (plain, cfg):
        config.model.backbone.widen_factor = 0.5
        config.merge_from_dict({'default_hooks.logger.interval': 1})
    assert cfg.pretty_text == plain.pretty_text
    assert 'widen_factor=0.5' in cfg.pretty_text
    assert (cfg.filename, cfg.text) == (plain.filename, plain.text)


def test_laid_out_once_for_equal_settings(monkeypatch):
    calls = []
    layout = Config.pretty_text.fget
    monkeypatch.setattr(Config, 'pretty_text', property(lambda cfg: calls.append(1) or layout(cfg)))
    cfg = WrittenConfig(Config(dict(a=1)))
    texts = {cfg.pretty_text, cfg.pretty_text, copy.deepcopy(cfg).pretty_text}
    assert texts == {'a = 1\n'}
    assert len(calls) == 1


def test_copies_change_alone():
    cfg = WrittenConfig(Config(dict(a=1)))
    assert cfg.pretty_text == 'a = 1\n'
    other = copy.deepcopy(cfg)
    other.a = 2
    assert (cfg.pretty_text, other.pretty_text) == ('a = 1\n', 'a = 2\n')
    assert pickle.loads(pickle.dumps(cfg)).pretty_text == 'a = 1\n'
