"""One epoch of each attribute config on a miniature in the official format, the best epoch tested at the end."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.registry import MODELS

from mmosnet.engine.report import evaluate_best
from mmosnet.errors import DataError
from mmosnet.models.checkpoints import read_state_dict
from tests.conftest import write_market
from tests.datasets.attribute_formats import write_market_attributes, write_pa100k, write_peta, write_rap
from tests.small_configs import CONFIGS, small_config


def write_market_with_attributes(root):
    write_market(root, num_train=12)
    write_market_attributes(root / 'market_attribute.mat', range(1, 13), range(13, 17))


# Name of the config, what writes its miniature, attributes.
RUNS = [
    ('pa100k', write_pa100k, 26),
    ('peta', write_peta, 35),
    ('rap', write_rap, 51),
    ('market', write_market_with_attributes, 30),
]
NAMES = [run[0] for run in RUNS]


def small(name: str, work_dir: Path, **options) -> Config:
    cfg = small_config(
        f'osnet_attr_{name}', work_dir, work_dir.parent / 'data', **{'train_dataloader.batch_size': 4, **options}
    )
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        if 'val_share' in loader.dataset:
            # A tenth of a miniature is a single person, who either has an attribute or not.
            loader.dataset.val_share = 0.3
    return cfg


@pytest.mark.parametrize(('name', 'write', 'num_attributes'), RUNS, ids=NAMES)
def test_one_epoch(tmp_path, name, write, num_attributes):
    write(tmp_path / 'data')
    runner = Runner.from_cfg(small(name, tmp_path / 'run'))
    runner.train()
    dataset, head = runner.train_dataloader.dataset, runner.model.head
    assert head.num_classes == num_attributes == len(dataset.metainfo['attributes'])
    assert head.loss_module.pos_ratio.tolist() == pytest.approx(dataset.metainfo['pos_ratio'])
    results = json.loads((tmp_path / 'run' / 'results.json').read_text())
    assert results['best'] == results['last']

    # Validation chose it, test reports it.
    assert (tmp_path / 'run' / 'best_attributes_mA_epoch_1.pth').is_file()
    metrics = evaluate_best(runner)
    assert set(metrics) == {f'attributes/{key}' for key in ('mA', 'Accuracy', 'Precision', 'Recall', 'F1', 'mAP')}
    assert all(0 <= value <= 1 for value in metrics.values()) and metrics['attributes/mA'] > 0
    tested = json.loads((tmp_path / 'run' / 'test' / 'results.json').read_text())
    assert tested['metrics'] == metrics and tested['checkpoint'].endswith('best_attributes_mA_epoch_1.pth')


def test_demo(tmp_path):
    options = {'train_dataloader.batch_size': 8}
    generation = dict(num_train_pids=4, num_test_pids=4, num_cameras=2, images_per_camera=2)
    for loader in ('train', 'val', 'test'):
        options[f'{loader}_dataloader.dataset.generation'] = generation
    runner = Runner.from_cfg(small('synthetic', tmp_path / 'run', **options))
    runner.train()
    assert runner.model.head.loss_module.pos_ratio.isfinite().all()
    assert 0 < evaluate_best(runner)['attributes/mA'] < 1
    metric = runner.val_loop.evaluator.metrics[0]
    assert [row.name for row in metric.per_attribute][:3] == ['Female', 'AgeOver60', 'Age18-60']
    assert all(Path(person.img_path).is_file() for person in metric.shown)


def test_released_recipe():
    cfg = Config.fromfile(CONFIGS / 'osnet_attr_pa100k.py')
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=0.065, momentum=0.9, weight_decay=5e-4)
    schedule = cfg.param_scheduler
    assert (cfg.train_cfg.max_epochs, schedule.milestones, schedule.gamma) == (50, [30, 40], 0.1)
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 32
    assert (cfg.model.neck.pooling, cfg.model.head.loss.mode) == ('max', 'released')
    assert [transform.type for transform in cfg.train_dataloader.dataset.pipeline[1:-1]] == [
        'Resize',
        'mmosnet.Random2DTranslation',
        'RandomFlip',
    ]
    assert cfg.load_from is None
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    # Backbone and embedding layer, and the classifier.
    assert sum(p.numel() for p in model.parameters()) == 2_169_508 + 26 * 513


@pytest.mark.parametrize('name', [*NAMES, 'synthetic'])
def test_chosen_on_val_and_reported_on_test(name):
    cfg = Config.fromfile(CONFIGS / f'osnet_attr_{name}.py')
    assert cfg.test_best
    splits = [loader.dataset.split for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)]
    assert splits == ['train', 'val', 'test']
    assert len({loader.dataset.get('val_share') for loader in (cfg.train_dataloader, cfg.val_dataloader)}) == 1
    command = f'mmosnet test osnet_attr_{name} work_dirs/osnet_attr_{name}/best_attributes_mA_epoch_'
    assert command in (CONFIGS / f'osnet_attr_{name}.py').read_text()


def test_weights_of_re_identification_are_a_start(tmp_path):
    write_market_with_attributes(tmp_path / 'data')
    reid = Config.fromfile(CONFIGS / 'osnet_reid_market.py').model
    reid.backbone.widen_factor, reid.neck.in_channels = 0.25, 128
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(reid)
    model.init_weights()
    torch.save(dict(meta={}, state_dict=model.state_dict()), tmp_path / 'reid.pth')
    cfg = small('market', tmp_path / 'run', load_from=str(tmp_path / 'reid.pth'))
    cfg.train_cfg.max_epochs = 2
    cfg.custom_hooks[6].num_epochs = 1
    Runner.from_cfg(cfg).train()
    # All but the head is frozen in the first epochs.
    trained = read_state_dict(str(tmp_path / 'run' / 'epoch_1.pth'))
    assert all(torch.equal(trained[k], v) for k, v in model.state_dict().items() if k.startswith(('backbone', 'neck')))


def test_a_data_set_without_shares_is_refused_before_the_first_batch(tmp_path):
    write_pa100k(tmp_path / 'data')
    cfg = small('pa100k', tmp_path / 'run')
    cfg.train_dataloader.dataset.split = 'val'
    with pytest.raises(DataError, match="metainfo\\['pos_ratio'\\]"):
        Runner.from_cfg(cfg).train()
