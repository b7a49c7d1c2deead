from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.runner.checkpoint import CheckpointLoader

from mmosnet.engine import CheckpointHook
from mmosnet.engine.launch import build_runner, check_numbers, load_config, merge_options, score_more
from mmosnet.engine.runner import bfloat16_pays
from mmosnet.errors import DataError
from mmosnet.models.build import find_config_path
from mmosnet.models.checkpoints import load_checkpoint
from mmosnet.registry import METRICS

ROOT = Path(__file__).resolve().parents[2]
SYNTHETIC = 'osnet_reid_synthetic'
JOINT = 'osnet_multitask_synthetic'
VIDEO = 'osnet_video_reid_synthetic'
# What the config writes, what only the class, the Runner or the dataclass of the settings knows, and names of the
# user's.
READ = [
    (SYNTHETIC, {'train_cfg.max_epochs': 2, 'train_dataloader.batch_size': 8, 'load_from': 'x.pth'}),
    (SYNTHETIC, {'test_evaluator.distance': 'cosine', 'test_evaluator.rerank.mode': 'released'}),
    (SYNTHETIC, {'train_dataloader.dataset.combineall': True, 'train_dataloader.dataset.max_refetch': 3}),
    (SYNTHETIC, {'train_dataloader.dataset.generation.num_train_pids': 3, 'train_dataloader.prefetch_factor': 2}),
    (SYNTHETIC, {'optim_wrapper.clip_grad.max_norm': 1, 'optim_wrapper.accumulative_counts': 2}),
    (SYNTHETIC, {'optim_wrapper.clip_grad.type': 'value', 'optim_wrapper.clip_grad.clip_value': 1}),
    (SYNTHETIC, {'optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult': 0.1}),
    (SYNTHETIC, {'optim_wrapper.optimizer.type': 'SGD', 'optim_wrapper.optimizer.momentum': 0.9}),
    (SYNTHETIC, {'model.head.metric_loss.type': 'mmosnet.TripletLoss', 'model.head.metric_loss.margin': 0.3}),
    (SYNTHETIC, {'train_dataloader.sampler': dict(_delete_=True, type='mmosnet.PKSampler', num_pids=4)}),
    (SYNTHETIC, {'default_hooks.checkpoint.published_keys': 'meta', 'default_hooks.runtime_info': None}),
    (SYNTHETIC, {'default_hooks.early.type': 'EarlyStoppingHook', 'default_hooks.early.monitor': 'reid/mAP'}),
    (SYNTHETIC, {'custom_hooks.4.key': 'reid/Rank-1', 'train_dataloader.dataset.pipeline.1.prob': 0.1}),
    (SYNTHETIC, {'train_cfg.by_epoch': False, 'randomness.seed': 1, 'env_cfg.dist_cfg.timeout': 60}),
    (SYNTHETIC, {'param_scheduler.begin': 1, 'param_scheduler.convert_to_iter_based': True, 'test_best': True}),
    (SYNTHETIC, {'model.train_cfg.augments.type': 'Mixup', 'model.data_preprocessor.mean': [1, 2, 3]}),
    (JOINT, {'val_evaluator.metrics.reid.distance': 'cosine', 'model.head.heads.category': None}),
    ('osnet_cls_imagenet', {'param_scheduler.0.end': 4, 'custom_hooks.5.interval': 2}),
    ('osnet_ain_reid_market', {'test_targets.market1501.data_root': 'x', 'test_targets.market1501.combineall': True}),
    ('osnet_reid_four_sets', {'train_dataloader.dataset.sources.0.data_root': 'x'}),
]
# What nothing reads, and the nearest that something does.
IGNORED = [
    (SYNTHETIC, 'test_evaluater.distance', 'test_evaluator.distance'),
    (SYNTHETIC, 'optim_wraper.optimizer.lr', 'optim_wrapper.optimizer.lr'),
    (SYNTHETIC, 'optim_wrapper.optimizer.lrr', 'optim_wrapper.optimizer.lr'),
    (SYNTHETIC, 'optim_wrapper.paramwise_cfg.norm_decay_mul', 'optim_wrapper.paramwise_cfg.norm_decay_mult'),
    (SYNTHETIC, 'optim_wrapper.paramwise_cfg.custom_keys.head.lrmult', 'custom_keys.head.lr_mult'),
    (SYNTHETIC, 'test_evaluator.rerank.mod', 'test_evaluator.rerank.mode'),
    (SYNTHETIC, 'model.backbone.widen_facto', 'model.backbone.widen_factor'),
    (SYNTHETIC, 'train_dataloader.dataset.combinall', 'train_dataloader.dataset.combineall'),
    (SYNTHETIC, 'train_dataloader.dataset.generation.num_train_pid', 'generation.num_train_pids'),
    (SYNTHETIC, 'train_dataloader.dataset.pipeline.1.prop', 'train_dataloader.dataset.pipeline.1.prob'),
    (SYNTHETIC, 'default_hooks.chekpoint.interval', 'default_hooks.checkpoint.interval'),
    (SYNTHETIC, 'default_hooks.checkpoint.save_bst', 'default_hooks.checkpoint.save_best'),
    (SYNTHETIC, 'env_cfg.cudnn_bench', 'env_cfg.cudnn_benchmark'),
    (SYNTHETIC, 'randomness.sed', 'randomness.seed'),
    (SYNTHETIC, 'auto_scale_lr.enabled', 'auto_scale_lr.enable'),
    (SYNTHETIC, 'batch_size', 'train_dataloader.batch_size'),
    (SYNTHETIC, 'backbone.widen_factor', 'model.backbone.widen_factor'),
    # Variables of the file, read while it is.
    (SYNTHETIC, 'max_epochs', 'train_cfg.max_epochs'),
    (SYNTHETIC, 'data_root', 'train_dataloader.dataset.data_root'),
    (SYNTHETIC, 'train_pipeline.1.prob', 'train_dataloader.dataset.pipeline.1.prob'),
    # One scheduler, no list of them, and the other way round.
    (SYNTHETIC, 'param_scheduler.0.T_max', 'param_scheduler.T_max'),
    ('osnet_cls_imagenet', 'param_scheduler.T_max', 'param_scheduler.1.T_max'),
    ('osnet_cls_imagenet', 'custom_hooks.5.momentun', 'custom_hooks.5.momentum'),
    (SYNTHETIC, 'custom_hooks.99.key', 'custom_hooks.4.key'),
    (SYNTHETIC, 'train_cfg.max_epochs.end', '10'),
    ('osnet_cls_imagenet', 'train_dataloader.dataset.data_prefix.img_pth', 'img_path'),
    (SYNTHETIC, 'env_cfg.dist_cfg.bakend', 'backend'),
    (JOINT, 'val_evaluator.metrics.atributes', 'val_evaluator.metrics.attributes'),
    (JOINT, 'model.head.heads.reid.num_clases', 'model.head.heads.reid.num_classes'),
    ('osnet_ain_reid_market', 'test_targets.marked1501.data_root', 'test_targets.market1501.data_root'),
]


@pytest.fixture(scope='module')
def configs():
    names = {name for name, *_ in [*READ, *IGNORED]}
    return {name: Config.fromfile(ROOT / 'configs' / f'{name}.py') for name in names}


@pytest.mark.parametrize(('name', 'options'), READ)
def test_what_something_reads_is_merged(configs, name, options):
    cfg = Config(configs[name]._cfg_dict.to_dict())
    merge_options(cfg, options)
    for key, value in options.items():
        node = cfg
        for step in key.split('.'):
            node = node[int(step)] if step.isdigit() else node[step]
        assert node == (value if not isinstance(value, dict) else {k: v for k, v in value.items() if k != '_delete_'})


@pytest.mark.parametrize(('name', 'key', 'nearest'), IGNORED, ids=[key for _, key, _ in IGNORED])
def test_what_nothing_reads_is_refused(configs, name, key, nearest):
    cfg = configs[name]
    before = cfg.pretty_text
    with pytest.raises(DataError) as found:
        merge_options(cfg, {'train_dataloader.num_workers': 0, key: None})
    text = str(found.value)
    assert nearest in text.partition(key)[2]
    assert '\n' not in text and cfg.pretty_text == before


def test_unknown_classes_are_refused(configs):
    with pytest.raises(DataError, match=r'mmosnet\.ReIDMetric$'):
        merge_options(configs[SYNTHETIC], {'test_evaluator.type': 'mmosnet.ReIDMetrc'})


def test_values_that_are_dicts_are_followed(configs):
    with pytest.raises(DataError, match=r'nearest: test_evaluator\.rerank\.lambda_value'):
        merge_options(configs[SYNTHETIC], dict(test_evaluator=dict(rerank=dict(lambda_valu=0.1))))


def test_the_keys_of_all_examples_are_read():
    """Each key in a command of the pages, with the config of that command, or the demo's."""
    pages = [ROOT / 'README.md', *(ROOT / 'docs').glob('*.md'), *(ROOT / 'configs').glob('**/*.py'), ROOT / '.ci/run']
    tried = 0
    for page in [*pages, *(ROOT / 'tools').glob('*.py')]:
        for line in re.sub(r'\\\n', ' ', page.read_text()).splitlines():
            _, found, rest = line.partition('--cfg-options ')
            options = dict(re.findall(r'([a-z]\w*(?:\.\w+)*)=([^\s`";,]+)', rest)) if found else {}
            config = re.search(r'\b(?:mmosnet [\w-]+ |configs/)(osnet(?:_\w+|-[\w.-]+))', line)
            if not options or 'NAME' in rest.partition('=')[0]:
                continue
            # In the header of a config, this config.
            path = Path(find_config_path(config[1])) if config else page if page.parent.name == 'configs' else None
            if path is None or not path.is_file():
                name = VIDEO if page.stem == 'video' else SYNTHETIC
                path = ROOT / f'configs/{JOINT if ".metrics." in rest or ".heads." in rest else name}.py'
            load_config(str(path), options, None, 'none')
            tried += len(options)
    assert tried >= 30


def test_further_scores_are_switched_on_in_the_test_alone():
    cfg = Config(dict(val_evaluator=dict(type='mmosnet.ReIDMetric'), test_evaluator=dict(type='mmosnet.ReIDMetric')))
    score_more(cfg, rerank=True, verification=True)
    assert cfg.test_evaluator == dict(type='mmosnet.ReIDMetric', rerank=dict(), verification=True)
    assert cfg.val_evaluator == dict(type='mmosnet.ReIDMetric')
    metric = METRICS.build(cfg.test_evaluator)
    assert (metric.rerank.k1, metric.rerank.k2, metric.rerank.lambda_value, metric.rerank.mode) == (20, 6, 0.3, 'paper')


def test_settings_of_the_config_stay():
    cfg = Config(dict(test_evaluator=[dict(type='Accuracy'), dict(type='ReIDMetric', rerank=dict(k1=7))]))
    score_more(cfg, rerank=True, verification=False)
    assert cfg.test_evaluator == [dict(type='Accuracy'), dict(type='ReIDMetric', rerank=dict(k1=7))]
    cfg.test_evaluator[1].rerank = None
    score_more(cfg, rerank=True, verification=False)
    assert cfg.test_evaluator[1].rerank == dict()


def test_another_metric_has_no_further_scores():
    cfg = Config(dict(test_evaluator=dict(type='Accuracy')))
    score_more(cfg, rerank=False, verification=False)
    with pytest.raises(DataError, match='ReIDMetric'):
        score_more(cfg, rerank=False, verification=True)


def test_metrics_by_task_are_found():
    metrics = dict(reid=[dict(type='mmosnet.ReIDMetric')], category=None, attributes=dict(type='AttributeMetric'))
    cfg = Config(dict(test_evaluator=dict(type='mmosnet.TaskEvaluator', metrics=metrics)))
    score_more(cfg, rerank=True, verification=False)
    assert cfg.test_evaluator.metrics.reid == [dict(type='mmosnet.ReIDMetric', rerank=dict())]
    assert cfg.test_evaluator.metrics.attributes == dict(type='AttributeMetric')


def test_mixed_precision_pays_by_the_abilities_of_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    for capability, pays in (('DEFAULT', False), ('AVX2', False), ('AVX512', True)):
        monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda found=capability: found)
        assert bfloat16_pays() == (pays and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def test_mixed_precision_is_refused_where_the_cpu_emulates_it():
    """oneDNN decides when it is loaded."""
    program = 'from mmosnet.engine.runner import bfloat16_pays; print(bfloat16_pays())'
    environ = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'ONEDNN_MAX_CPU_ISA': 'AVX2'}
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, env=environ)
    assert result.stdout.split()[-1] == 'False', result.stderr


@pytest.mark.parametrize(
    ('setting', 'bad', 'good'),
    [
        ('train_cfg.max_epochs', (0, -1, 2.5, '3', True), 1),
        ('train_cfg.val_interval', (0,), 1),
        ('train_dataloader.batch_size', (0, -8), 1),
        ('val_dataloader.num_workers', (-1,), 0),
        ('optim_wrapper.optimizer.lr', (-0.1, float('nan'), float('inf'), '1e-3x'), 0.1),
        ('randomness.seed', ('abc', -1, 0.5), 0),
    ],
)
def test_numbers_that_cannot_be_are_named(setting, bad, good):
    for value in (good, *bad):
        cfg = Config()
        cfg.merge_from_dict({setting: value})
        if value is good:
            check_numbers(cfg)
            continue
        with pytest.raises(DataError, match=setting) as error:
            check_numbers(cfg)
        assert repr(value) in str(error.value)


@pytest.mark.parametrize(
    ('hooks', 'expected'),
    [
        (None, CheckpointHook),
        (dict(checkpoint=dict(type='CheckpointHook', interval=3)), CheckpointHook),
        (dict(checkpoint=dict(type=MMEngineCheckpointHook, interval=3)), CheckpointHook),
        (dict(checkpoint=None), None),
    ],
)
def test_any_config_saves_by_our_hook_and_loads_safely(tmp_path, hooks, expected):
    cfg = Config(dict(model=dict(type='OSNet', widen_factor=0.25), work_dir=str(tmp_path), default_scope='mmengine'))
    cfg.experiment_name = f'hooks_{tmp_path.name}'
    if hooks is not None:
        cfg.default_hooks = hooks
    found = [hook for hook in build_runner(cfg).hooks if isinstance(hook, MMEngineCheckpointHook)]
    assert [type(hook) for hook in found] == [expected] * (expected is not None)
    assert all(hook.interval == (3 if hooks else -1) for hook in found)
    assert CheckpointLoader.load_checkpoint is load_checkpoint
