"""One epoch of each data set's config on a miniature in the official format, evaluated with its protocol."""

import json
from pathlib import Path

import pytest
from mmengine.runner import Runner

from mmosnet.engine.report import evaluate_targets
from tests.conftest import write_market
from tests.datasets.official_formats import write_cuhk03, write_grid, write_msmt17, write_viper
from tests.datasets.video_formats import write_duke_video, write_ilids, write_mars, write_prid
from tests.small_configs import small_config

# Config, what writes its miniature, identities to train on.
RUNS = [
    ('osnet_reid_duke', write_market, 6),
    ('osnet_reid_msmt17', write_msmt17, 6),
    ('osnet_reid_msmt17_scratch', write_msmt17, 6),
    ('osnet_reid_cuhk03_detected', write_cuhk03, 4),
    ('osnet_reid_cuhk03_labeled', write_cuhk03, 4),
    ('osnet_reid_cuhk03_classic', write_cuhk03, 5),
    ('osnet_reid_viper', write_viper, 316),
    ('osnet_reid_grid', write_grid, 125),
    ('osnet_video_reid_mars', write_mars, 2),
    ('osnet_video_reid_mars_torchreid', write_mars, 2),
    ('osnet_video_reid_ilidsvid', write_ilids, 150),
    ('osnet_video_reid_prid2011', write_prid, 3),
    ('osnet_video_reid_dukev', write_duke_video, 2),
]
MULTI_SOURCE = [('osnet_reid_four_sets', 21), ('osnet_ibn_reid_ms_d_c', 15), ('osnet_ain_reid_ms_d_m', 17)]


@pytest.mark.parametrize(('name', 'write', 'num_classes'), RUNS, ids=[run[0] for run in RUNS])
def test_one_epoch(tmp_path, name, write, num_classes):
    roots = {f'{loader}_dataloader.dataset.data_root': str(tmp_path / 'data') for loader in ('train', 'val', 'test')}
    write(tmp_path / 'data')
    options = {'model.head.num_classes': num_classes, **roots}
    if 'video' in name:
        # A batch of the miniatures' few tracklets.
        options['train_dataloader.batch_size'] = 4
    Runner.from_cfg(small_config(name, tmp_path / 'run', **options)).train()
    metrics = json.loads((tmp_path / 'run' / 'results.json').read_text())['last']['metrics']
    assert 0 < metrics['reid/mAP'] <= 1 and 0 <= metrics['reid/Rank-1'] <= metrics['reid/Rank-20'] <= 1


@pytest.fixture(scope='module')
def four_sets(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    write_market(root / 'market1501')
    write_market(root / 'dukemtmc-reid', num_train=5)
    write_msmt17(root / 'msmt17')
    write_cuhk03(root / 'cuhk03')
    return root


@pytest.mark.parametrize(('name', 'num_classes'), MULTI_SOURCE)
def test_several_sources(tmp_path, four_sets, name, num_classes):
    cfg = small_config(name, tmp_path / 'run', **{'model.head.num_classes': num_classes})
    cfg.train_dataloader.dataset.data_root = str(four_sets)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(four_sets / Path(loader.dataset.data_root).name)
    Runner.from_cfg(cfg).train()
    assert (tmp_path / 'run' / 'results.json').is_file()


def test_several_targets_give_a_row_each(tmp_path, four_sets):
    cfg = small_config('osnet_ain_reid_market', tmp_path / 'run', **{'model.head.num_classes': 6})
    cfg.train_dataloader.dataset.data_root = str(four_sets / 'market1501')
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(four_sets / 'market1501')
    Runner.from_cfg(cfg).train()
    for target in cfg.test_targets.values():
        target.data_root = str(four_sets / Path(target.data_root).name)
    cfg.load_from = str(tmp_path / 'run' / 'epoch_1.pth')
    cfg.work_dir = str(tmp_path / 'test')
    evaluate_targets(cfg)
    results = json.loads((tmp_path / 'test' / 'results.json').read_text())
    assert list(results['targets']) == ['market1501', 'dukemtmc']
    assert all(0 < metrics['reid/mAP'] <= 1 for metrics in results['targets'].values())
    assert (tmp_path / 'test' / 'dukemtmc' / 'ranked_lists.jpg').is_file()
