import errno
import json
import os
from itertools import count
from pathlib import Path

import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.model import BaseModel
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmosnet.engine import CheckpointHook, safe_checkpoint
from mmosnet.engine.checkpoint_hook import MissedEvaluationHook

SCORES = (0.1, 0.3, 0.2, 0.4)
# Runners of one process need different names.
NUMBERS = count()


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, inputs, mode='tensor'):
        loss = self.layer(inputs).sum()
        return dict(loss=loss) if mode == 'loss' else [torch.zeros(1)]


class Score(BaseMetric):
    """The score of an epoch; the epochs that were evaluated are noted."""

    def __init__(self, runner):
        super().__init__()
        self.runner = runner
        self.evaluated = []

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        self.evaluated.append(self.runner[0].epoch)
        return dict(a=SCORES[self.runner[0].epoch - 1], b=-SCORES[self.runner[0].epoch - 1])


def build(folder, epochs, **saving):
    held = []
    metric = Score(held)
    data = [dict(inputs=torch.ones(1))] * 4
    model = Model()
    runner = Runner(
        model,
        str(folder),
        train_dataloader=DataLoader(data, 2, sampler=DefaultSampler(data)),
        val_dataloader=DataLoader(data, 2, sampler=DefaultSampler(data, shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        val_cfg=dict(),
        val_evaluator=Evaluator(metric),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(checkpoint=dict(type='mmosnet.CheckpointHook', interval=1, **saving)),
        default_scope='mmengine',
        experiment_name=f'toy{next(NUMBERS)}',
        resume=epochs > 1 and Path(folder).is_dir(),
    )
    held.append(runner)
    return runner, metric


def names(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def test_mmengines_name_means_mmengines_hook():
    assert type(HOOKS.build(dict(type='mmosnet.CheckpointHook'))) is CheckpointHook
    for name in ('CheckpointHook', 'mmengine.CheckpointHook'):
        assert type(HOOKS.build(dict(type=name))) is MMEngineCheckpointHook


@pytest.mark.parametrize('save_best', [['a'], ['a', 'b']])
def test_new_ones_are_whole_before_old_ones_go(tmp_path, monkeypatch, save_best):
    steps = []
    replace, remove = Path.replace, os.remove
    monkeypatch.setattr(Path, 'replace', lambda a, b: (replace(a, b), steps.append(f'+{Path(b).name}'))[0])
    monkeypatch.setattr(os, 'remove', lambda a: (remove(a), steps.append(f'-{Path(a).name}'))[0])
    folder = tmp_path / 'run'
    runner, _ = build(folder, 4, max_keep_ckpts=2, save_best=save_best, rule='greater')
    runner.train()
    second = 2 if len(save_best) == 1 else 3
    expected = [
        *('+epoch_1.pth', '+last_checkpoint', '+best_a_epoch_1.pth', '+best_b_epoch_1.pth', '+last_evaluation.json'),
        *('+epoch_2.pth', '+last_checkpoint', '+best_a_epoch_2.pth', '-best_a_epoch_1.pth', '+last_evaluation.json'),
        *('+epoch_3.pth', '+last_checkpoint', '-epoch_1.pth', '+last_evaluation.json'),
        *('+epoch_4.pth', '+last_checkpoint', '-epoch_2.pth'),
        *('+best_a_epoch_4.pth', '-best_a_epoch_2.pth', '+last_evaluation.json'),
    ]
    assert steps == [step for step in expected if second == 3 or 'best_b' not in step]
    best = json.loads((folder / 'last_evaluation.json').read_text())['best']
    key = 'best_score' if len(save_best) == 1 else 'best_score_a'
    assert best[key] == 0.4


@pytest.mark.parametrize('epochs', [2, 3])
def test_a_missed_evaluation_is_made_up_for_once(tmp_path, epochs):
    folder = tmp_path / 'run'
    saving = dict(save_best='a', rule='greater', max_keep_ckpts=1)
    runner, metric = build(folder, 2, **saving)
    metric.compute_metrics = lambda results: dict(a=0.1) if runner.epoch == 1 else 1 / 0
    with pytest.raises(ZeroDivisionError):
        runner.train()
    assert names(folder) == ['best_a_epoch_1.pth', 'epoch_2.pth']
    # The folder was moved meanwhile.
    folder = folder.rename(tmp_path / 'moved')
    runner, metric = build(folder, epochs, **saving)
    runner.train()
    assert metric.evaluated == list(range(2, epochs + 1))
    assert names(folder) == ['best_a_epoch_2.pth', f'epoch_{epochs}.pth']
    assert runner.message_hub.get_info('best_ckpt') == str(folder / 'best_a_epoch_2.pth')
    assert sum(isinstance(hook, MissedEvaluationHook) for hook in runner.hooks) == 1
    # What was evaluated is not evaluated again, and its score is known.
    runner, metric = build(folder, epochs, **saving)
    runner.train()
    assert metric.evaluated == [] and runner.message_hub.get_info('best_score') == 0.3
    assert (folder / 'last_checkpoint').read_text() == str(folder / f'epoch_{epochs}.pth')


@pytest.mark.parametrize('content', ['', '[1]', '{"epoch": 2}', '{"epoch": 2, "best": 3}', '[' * 99999])
def test_a_damaged_note_of_the_evaluation_costs_another_one(tmp_path, content):
    folder = tmp_path / 'run'
    build(folder, 2)[0].train()
    (folder / 'last_evaluation.json').write_text(content)
    runner, metric = build(folder, 2)
    runner.train()
    assert metric.evaluated == [2]


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    safe_checkpoint.save_checkpoint(dict(a=1), str(tmp_path / 'a.pth'))
    before = (tmp_path / 'a.pth').read_bytes()

    def fail(path, content):
        with path.open('wb') as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(Path, 'write_bytes', fail)
    with pytest.raises(OSError, match=r'a\.pth') as error:
        safe_checkpoint.save_checkpoint(dict(a=2), str(tmp_path / 'a.pth'))
    assert error.value.errno == errno.ENOSPC
    assert [path.name for path in tmp_path.iterdir()] == ['a.pth'] and (tmp_path / 'a.pth').read_bytes() == before
