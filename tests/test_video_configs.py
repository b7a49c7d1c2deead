"""Video configs end to end: training, testing, and the commands that read a data set of tracklets."""

from __future__ import annotations

import json

import pytest
from mmengine.runner import Runner

from mmosnet.datasets import PKSampler
from mmosnet.synthetic import SyntheticTracklets
from tests.small_configs import LOADERS, small_config

SMALL = dict(num_train_pids=4, num_test_pids=3, num_cameras=2, frames=(2, 5), num_distractors=1)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'tracklets'
    SyntheticTracklets(str(root), SMALL)
    return root


def config(work_dir, root, **options):
    cfg = small_config(
        'osnet_video_reid_synthetic',
        work_dir,
        **{'model.head.num_classes': 4, 'train_dataloader.batch_size': 4},
        **{f'{loader}_dataloader.dataset.data_root': str(root) for loader in LOADERS},
        **options,
    )
    for loader in LOADERS:
        cfg[f'{loader}_dataloader'].dataset.generation = SMALL
        for transform in cfg[f'{loader}_dataloader'].dataset.pipeline[0].transforms:
            if transform.type == 'Resize':
                transform.scale = (32, 64)
    return cfg


def scores(folder):
    return json.loads((folder / 'results.json').read_text())


@pytest.fixture(scope='module')
def trained(tmp_path_factory, root):
    folder = tmp_path_factory.mktemp('run') / 'video'
    Runner.from_cfg(config(folder, root)).train()
    return folder


def test_training_and_testing(tmp_path, root, trained):
    expected = scores(trained)['last']['metrics']
    assert 0 < expected['reid/mAP'] <= 1 and (trained / 'ranked_lists.jpg').is_file()
    # Clips of two frames, and tracklets whole: the same scores.
    for name, length in (('clips', 2), ('whole', None)):
        cfg = config(tmp_path / name, root, **{'test_dataloader.dataset.clip_length': length})
        cfg.load_from = str(trained / 'epoch_1.pth')
        found = Runner.from_cfg(cfg).test()
        assert found == pytest.approx(expected, abs=1e-6)


def test_identities_and_tracklets_per_batch(tmp_path, root):
    sampler = dict(type='mmosnet.PKSampler', num_pids=2, num_instances=2)
    cfg = config(tmp_path / 'run', root, **{'model.head.train_on': 'tracklets'})
    cfg.train_dataloader.sampler = sampler
    cfg.model.head.metric_loss = dict(type='mmosnet.TripletLoss', margin=0.3)
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert isinstance(runner.train_dataloader.sampler, PKSampler)
    batch = next(iter(runner.train_dataloader))
    pids = [sample.pid for sample in batch['data_samples']]
    assert sorted(map(pids.count, set(pids))) == [2, 2] and batch['inputs'][0].shape == (2, 3, 128, 64)
