"""Each classification config builds its network, and trains and evaluates an epoch on a miniature of its data set."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmosnet.models.build import build_model
from mmosnet.registry import DATASETS
from mmosnet.synthetic.objects import CATEGORIES
from tests.datasets.category_miniatures import write_cifar, write_imagenet
from tests.small_configs import CONFIGS, LOADERS, small_config

# Config, categories, side of the images to try, parameters. Those with 1000 categories are the paper's.
NETWORKS = [
    ('osnet_cls_imagenet', 1000, 64, 2_682_508),
    ('osnet_x0_75_cls_imagenet', 1000, 64, 1_798_754),
    ('osnet_x0_5_cls_imagenet', 1000, 64, 1_143_034),
    ('osnet_x0_25_cls_imagenet', 1000, 64, 714_864),
    # A 3x3 stem has 64 * 3 * (49 - 9) weights less; 513 weights a category.
    ('osnet_cls_cifar10', 10, 32, 2_169_508 - 7_680 + 10 * 513),
    ('osnet_cls_cifar100', 100, 32, 2_169_508 - 7_680 + 100 * 513),
    ('osnet_cls_synthetic', 12, 64, 201_864 + 12 * 513),
]
NAMES = [network[0] for network in NETWORKS]


def small_cls(name: str, work_dir: Path, data_root: Path, **options) -> Config:
    cfg = small_config(name, work_dir, data_root, **{'train_dataloader.batch_size': 8, **options})
    sizes = dict(RandomResizedCrop=('scale', (64, 64)), ResizeEdge=('scale', 72), CenterCrop=('crop_size', (64, 64)))
    for loader in LOADERS:
        for transform in cfg[f'{loader}_dataloader'].dataset.pipeline:
            if transform.type in sizes:
                key, size = sizes[transform.type]
                transform[key] = size
    return cfg


def imagenet_options(categories: int) -> dict:
    """Options of :func:`small_cls` for :func:`write_imagenet`'s folders."""
    names = {f'{loader}_dataloader.dataset.classes': [str(i) for i in range(categories)] for loader in LOADERS}
    return {'model.head.num_classes': categories, **names}


@pytest.mark.parametrize(('name', 'categories', 'side', 'parameters'), NETWORKS, ids=NAMES)
def test_network(name, categories, side, parameters):
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    assert f'mmosnet train {name}' in (CONFIGS / f'{name}.py').read_text()
    model = build_model(cfg)
    assert sum(p.numel() for p in model.parameters()) == parameters
    model.init_weights()
    images = torch.randn(2, 3, side, side)
    logits = model.eval()(images)
    assert logits.shape == (2, categories)
    # 8x8 pixels at the end of a 32x32 image, 4x4 of a 64x64 one.
    (feature_map,) = model.backbone(images)
    assert feature_map.shape[2:] == {32: (8, 8), 64: (4, 4)}[side]


@pytest.mark.parametrize('name', NAMES)
def test_backbone_and_neck_are_those_of_re_identification(name):
    cls, reid = (Config.fromfile(CONFIGS / f'{config}.py').model for config in (name, 'osnet_reid_market'))
    assert cls.neck == {**reid.neck, 'in_channels': int(512 * cls.backbone.widen_factor)}
    options = {key: value for key, value in cls.backbone.items() if key != 'stem'}
    assert options == {**reid.backbone, 'widen_factor': cls.backbone.widen_factor}


@pytest.mark.parametrize('name', NAMES)
def test_top1_decides(name):
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    hooks = {hook.type.rpartition('.')[2]: hook for hook in cfg.custom_hooks}
    assert cfg.default_hooks.checkpoint.save_best == hooks['ReportHook'].key == 'accuracy/top1'
    default = Config.fromfile(CONFIGS / '_base_' / 'default_runtime.py').custom_hooks
    assert set(hooks) >= {hook.type.rpartition('.')[2] for hook in default}
    assert cfg.val_evaluator == cfg.test_evaluator == dict(type='mmosnet.CategoryMetric', topk=(1, 5))


def test_smaller_networks_are_regularised_less():
    crops, smoothing, decay = [], [], []
    for width in ('', '_x0_75', '_x0_5', '_x0_25'):
        cfg = Config.fromfile(CONFIGS / f'osnet{width}_cls_imagenet.py')
        assert (cfg.optim_wrapper.optimizer.lr, cfg.train_cfg.max_epochs) == (0.4, 120)
        assert cfg.auto_scale_lr == dict(base_batch_size=1024, enable=True)
        pipeline = cfg.train_dataloader.dataset.pipeline
        assert [t.type for t in pipeline[1:]] == ['RandomResizedCrop', 'RandomFlip', 'PackInputs']
        crops.append(pipeline[1].crop_ratio_range[0])
        smoothing.append(cfg.model.head.loss.get('label_smooth_val', 0))
        decay.append(cfg.optim_wrapper.optimizer.weight_decay)
    assert crops == sorted(crops) and crops[0] == 0.08
    assert smoothing == sorted(smoothing, reverse=True) and decay == sorted(decay, reverse=True)


def test_cifar_schedule_is_the_reported_one():
    for name in ('osnet_cls_cifar10', 'osnet_cls_cifar100'):
        cfg = Config.fromfile(CONFIGS / f'{name}.py')
        assert (cfg.optim_wrapper.optimizer.lr, cfg.train_cfg.max_epochs) == (0.1, 300)
        assert cfg.param_scheduler[-1].milestones == [150, 225]


def metrics_of(work_dir: Path) -> dict:
    metrics = json.loads((work_dir / 'results.json').read_text())['last']['metrics']
    assert set(metrics) == {'accuracy/top1', 'accuracy/top5'}
    assert 0 <= metrics['accuracy/top1'] <= metrics['accuracy/top5'] <= 100
    return metrics


@pytest.mark.parametrize('name', ['osnet_cls_imagenet', 'osnet_x0_25_cls_imagenet'])
def test_one_epoch_on_imagenet_folders(tmp_path, name):
    write_imagenet(tmp_path / 'data')
    runner = Runner.from_cfg(small_cls(name, tmp_path / 'run', tmp_path / 'data', **imagenet_options(6)))
    runner.train()
    metrics_of(tmp_path / 'run')
    (metric,) = runner.val_loop.evaluator.metrics
    assert metric.confusion.sum() == 12 and metric.confusion.sum(1).tolist() == [2] * 6
    # The rate follows the batch, and only matrices that are not depthwise decay.
    for group in runner.optim_wrapper.optimizer.param_groups:
        assert group['initial_lr'] == pytest.approx(0.4 * 8 / 1024)
        (parameter,) = group['params']
        assert bool(group['weight_decay']) == (parameter.ndim > 1 and (parameter.ndim == 2 or parameter.shape[1] > 1))


def test_one_epoch_on_cifar10(tmp_path, monkeypatch):
    write_cifar(tmp_path / 'data', monkeypatch, images=8)
    Runner.from_cfg(small_cls('osnet_cls_cifar10', tmp_path / 'run', tmp_path / 'data')).train()
    metrics_of(tmp_path / 'run')


def test_one_epoch_on_cifar100(tmp_path, monkeypatch):
    write_cifar(tmp_path / 'data', monkeypatch, categories=100, images=24)
    runner = Runner.from_cfg(small_cls('osnet_cls_cifar100', tmp_path / 'run', tmp_path / 'data'))
    runner.train()
    metrics_of(tmp_path / 'run')
    (metric,) = runner.val_loop.evaluator.metrics
    # The key of a sample has no path here.
    assert metric.confusion.shape == (100, 100) and metric.confusion.sum() == 24


def test_training_and_test_on_drawn_objects(tmp_path):
    generation = {f'{loader}_dataloader.dataset.generation': dict(num_train=2, num_val=1) for loader in LOADERS}
    cfg = small_cls('osnet_cls_synthetic', tmp_path / 'run', tmp_path / 'data', **generation)
    Runner.from_cfg(cfg).train()
    trained = metrics_of(tmp_path / 'run')
    cfg.load_from = str(tmp_path / 'run' / 'epoch_1.pth')
    cfg.work_dir = str(tmp_path / 'test')
    cfg.experiment_name += '_test'
    runner = Runner.from_cfg(cfg)
    assert runner.test() == trained
    (metric,) = runner.test_loop.evaluator.metrics
    assert metric.classes == list(CATEGORIES) and metric.confusion.sum() == 12


def test_drawn_objects_are_used_as_they_are_drawn(tmp_path):
    dataset = Config.fromfile(CONFIGS / 'osnet_cls_synthetic.py').train_dataloader.dataset
    dataset.update(data_root=str(tmp_path / 'objects'), generation=dict(num_train=1, num_val=1))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        item = DATASETS.build(dataset)[0]
    assert item['inputs'].shape == (3, 64, 64) and item['inputs'].dtype == torch.uint8
