from pathlib import Path

from mmengine.config import Config

from mmosnet.engine.cross_domain import target_configs

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def test_each_target_takes_the_place_of_the_test_data():
    cfg = Config.fromfile(CONFIGS / 'osnet_ain_reid_market.py')
    cfg.work_dir = 'out'
    pipeline = cfg.test_dataloader.dataset.pipeline
    configs = target_configs(cfg)
    assert list(configs) == ['market1501', 'dukemtmc']
    duke = configs['dukemtmc']
    assert duke.test_dataloader.dataset == dict(
        type='mmosnet.DukeMTMCreID',
        data_root='data/dukemtmc-reid',
        split=('query', 'gallery'),
        test_mode=True,
        pipeline=pipeline,
    )
    assert duke.test_evaluator.distance == 'cosine' and duke.work_dir == 'out/dukemtmc'
    assert len({config.experiment_name for config in configs.values()}) == 2
    assert cfg.test_dataloader.dataset.type == 'mmosnet.Market1501'


def test_without_targets_there_is_the_test_data():
    cfg = Config.fromfile(CONFIGS / 'osnet_reid_market.py')
    assert target_configs(cfg) == {'test': cfg}
