import os
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.runner.checkpoint import CheckpointLoader

from mmosnet.engine import CheckpointHook
from mmosnet.engine.autocast_optim_wrapper import bfloat16_pays
from mmosnet.engine.launch import build_runner, check_numbers, score_more
from mmosnet.errors import DataError
from mmosnet.models.checkpoints import load_checkpoint
from mmosnet.registry import METRICS


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
    program = 'from mmosnet.engine.autocast_optim_wrapper import bfloat16_pays; print(bfloat16_pays())'
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
