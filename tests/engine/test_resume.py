import os

import pytest
import torch
from mmengine import runner
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmosnet.engine.launch import resume_from
from mmosnet.engine.resume import find_newest
from mmosnet.engine.safe_checkpoint import install_safe_checkpoints
from mmosnet.errors import DataError

CONFIG = dict(
    model=dict(type='ImageClassifier', head=dict(type='LinearClsHead', topk=(1, 5))),
    train_dataloader=dict(batch_size=8, num_workers=2, dataset=dict(data_root='data/market1501')),
    train_cfg=dict(by_epoch=True, max_epochs=4),
    optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.1)),
    param_scheduler=[dict(type='CosineAnnealingLR', T_max=4)],
    randomness=dict(seed=0),
    launcher='none',
)


def write(path, epoch=1, iteration=None, **changes):
    """Write what a training of mmengine writes."""
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([parameter], lr=0.1)
    parameter.sum().backward()
    optimizer.step()
    path.parent.mkdir(parents=True, exist_ok=True)
    content = dict(
        meta=dict(epoch=epoch, iter=iteration or 3 * epoch, cfg=Config(CONFIG).pretty_text, world_size=1),
        state_dict={'backbone.weight': torch.ones(3)},
        message_hub=dict(log_scalars={}, runtime_info={}, resumed_keys={}),
        optimizer=optimizer.state_dict(),
    )
    torch.save(content | changes, path)
    return path


@pytest.fixture
def said(monkeypatch):
    lines = []
    logger = MMLogger.get_current_instance()
    for name in ('info', 'warning'):
        monkeypatch.setattr(logger, name, lines.append)
    return lines


def flip(path):
    content = bytearray(path.read_bytes())
    content[content.index(torch.ones(3).numpy().tobytes())] ^= 1
    path.write_bytes(content)


DAMAGE = {
    'empty': (lambda path: path.write_bytes(b''), 'empty'),
    'cut': (lambda path: path.write_bytes(path.read_bytes()[:-200]), 'damaged'),
    'zeros': (lambda path: path.write_bytes(bytes(path.stat().st_size)), 'zeros'),
    'flipped': (flip, 'checksum'),
    'page': (lambda path: path.write_text('<html>'), 'web page'),
    'nan': (lambda path: write(path, state_dict={'backbone.weight': torch.tensor([torch.nan])}), 'NaN'),
    'average': (lambda path: write(path, ema_state_dict={'module.weight': torch.tensor([torch.inf])}), 'infinit'),
    'moments': (
        lambda path: write(
            path, optimizer=dict(state={0: dict(exp_avg=torch.tensor([torch.nan]))}, param_groups=[dict(params=[0])])
        ),
        'exp_avg of parameter 0',
    ),
    'alone': (
        lambda path: torch.save(dict(state_dict={'w': torch.ones(1)}, meta=dict(epoch=1, iter=3)), path),
        'alone',
    ),
    'no_meta': (lambda path: write(path, meta='text'), 'epoch'),
    'text_epoch': (lambda path: write(path, meta=dict(epoch='3', iter=9)), "'3'"),
    'negative': (lambda path: write(path, meta=dict(epoch=-3, iter=9)), '-3'),
    'optimizer': (lambda path: write(path, optimizer=dict(param_groups=3, state={})), 'optimizer'),
    'optimizers': (lambda path: write(path, optimizer=[1, 2]), 'optimizer'),
    'hub': (lambda path: write(path, message_hub=[1]), ''),
}


@pytest.mark.parametrize('name', DAMAGE)
def test_what_cannot_be_resumed_is_passed_over_and_refused_by_name(tmp_path, said, name):
    damage, named = DAMAGE[name]
    for epoch in (8, 9, 10):
        write(tmp_path / f'epoch_{epoch}.pth', epoch)
    damage(tmp_path / 'epoch_10.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_10.pth'))
    assert find_newest(tmp_path).path == str(tmp_path / 'epoch_9.pth')
    (line,) = said
    assert all(text in line for text in ('epoch_9.pth', 'epoch_10.pth', named))
    cfg = Config(dict(CONFIG, work_dir=str(tmp_path)))
    with pytest.raises(DataError, match=r'epoch_10\.pth') as error:
        resume_from(cfg, str(tmp_path / 'epoch_10.pth'))
    assert named in str(error.value) and '\n' not in str(error.value)
    assert 'resume' not in cfg and 'load_from' not in cfg
    # None that loads is no reason to begin anew.
    for epoch in (8, 9):
        (tmp_path / f'epoch_{epoch}.pth').unlink()
    with pytest.raises(DataError, match=r'epoch_10\.pth') as error:
        resume_from(cfg, 'auto')
    assert named in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize(
    'content', [None, b'', b'junk', b'\0\xff\n' * 9, b'x' * 9999, b'/gone/run/epoch_3.pth', b'epoch_7.pth', b'/', b'.']
)
def test_the_folder_counts_and_not_last_checkpoint(tmp_path, said, content):
    write(tmp_path / 'run' / 'epoch_1.pth', 1)
    write(tmp_path / 'run' / 'epoch_2.pth', 2)
    write(tmp_path / 'run' / '.draft-1-epoch_3.pth', 3)
    torch.save({}, tmp_path / 'run' / 'best_reid_mAP_epoch_2.pth')
    if content is not None:
        (tmp_path / 'run' / 'last_checkpoint').write_bytes(content)
    assert find_newest(tmp_path / 'run').path == str(tmp_path / 'run' / 'epoch_2.pth')
    assert len(said) == 1 and 'epoch_2.pth' in said[0] and '\n' not in said[0]
    install_safe_checkpoints()
    # mmengine's own name for it.
    assert runner.find_latest_checkpoint(str(tmp_path / 'run')) == str(tmp_path / 'run' / 'epoch_2.pth')


def test_last_checkpoint_may_lead_elsewhere_where_the_folder_has_none(tmp_path, said):
    (tmp_path / 'run').mkdir()
    assert find_newest(tmp_path / 'run') is None and find_newest(tmp_path / 'missing') is None
    path = write(tmp_path / 'other' / 'epoch_2.pth', 2)
    (tmp_path / 'run' / 'last_checkpoint').write_text(str(path))
    assert find_newest(tmp_path / 'run').path == str(path)
    # Best checkpoints have no optimizer: they are no reason to begin anew.
    torch.save(dict(state_dict={}, meta=dict(epoch=1, iter=1)), tmp_path / 'run' / 'best_epoch_1.pth')
    with pytest.raises(DataError, match=r'best_epoch_1.*load_from'):
        find_newest(tmp_path / 'run')


def test_names_and_folders_of_the_hook(tmp_path, said):
    for number in (900, 1000):
        write(tmp_path / 'run' / f'iter_{number}.pth', 0, number)
    assert find_newest(tmp_path / 'run').path.endswith('iter_1000.pth')
    write(tmp_path / 'run' / 'epoch_2000.pth', 2)
    assert find_newest(tmp_path / 'run', dict(by_epoch=False)).path.endswith('iter_1000.pth')
    write(tmp_path / 'kept' / 'run' / 'model-7.pt', 7)
    saving = dict(out_dir=str(tmp_path / 'kept'), filename_tmpl='model-{}.pt')
    assert find_newest(tmp_path / 'run', saving).path == str(tmp_path / 'kept' / 'run' / 'model-7.pt')


def changed(**changes):
    cfg = Config(CONFIG)
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in changes.items()})
    return cfg


def test_equal_settings_are_not_mentioned_and_others_are_said_one_by_one(tmp_path, said):
    write(tmp_path / 'epoch_2.pth', 2)
    for cfg in (changed(), changed(train_dataloader__num_workers=4, work_dir='elsewhere', log_level='DEBUG')):
        said.clear()
        resume_from(cfg, str(tmp_path / 'epoch_2.pth'))
        assert [line for line in said if 'other settings' in line] == []
        assert cfg.resume and cfg.load_from == str(tmp_path / 'epoch_2.pth')
    for key, value, then, holds in (
        ('optim_wrapper.optimizer.lr', 0.5, '0.1', True),
        ('randomness.seed', 3, '0', True),
        ('param_scheduler.0.T_max', 9, '4', True),
        ('train_dataloader.batch_size', 16, '8', False),
        ('train_dataloader.dataset.data_root', 'elsewhere', "'data/market1501'", False),
        ('train_cfg.max_epochs', 9, '4', False),
        ('optim_wrapper.type', 'AmpOptimWrapper', "'OptimWrapper'", False),
        ('model.head.type', 'StackedLinearClsHead', "'LinearClsHead'", False),
    ):
        said.clear()
        resume_from(changed(**{key: value}), str(tmp_path / 'epoch_2.pth'))
        (line,) = [line for line in said if 'other settings' in line]
        assert f'{key} was {then}, is {value!r}' in line and ("checkpoint's holds" in line) == holds
    said.clear()
    os.environ['WORLD_SIZE'] = '2'
    try:
        resume_from(changed(launcher='pytorch'), str(tmp_path / 'epoch_2.pth'))
    finally:
        del os.environ['WORLD_SIZE']
    assert any('number of processes was 1, is 2' in line for line in said)


def test_fewer_epochs_and_other_schedules_are_refused_before_anything_is_touched(tmp_path, said):
    write(tmp_path / 'epoch_3.pth', 3)
    before = sorted(tmp_path.iterdir())
    for options, named in (
        ({'train_cfg.max_epochs': 2}, 'max_epochs is 2'),
        ({'param_scheduler.0.type': 'MultiStepLR'}, 'MultiStepLR'),
        ({'param_scheduler': []}, 'CosineAnnealingLR'),
    ):
        cfg = changed(**options)
        with pytest.raises(DataError, match='epoch_3.pth.*' + named):
            resume_from(cfg, str(tmp_path / 'epoch_3.pth'))
        assert 'resume' not in cfg and sorted(tmp_path.iterdir()) == before
    resume_from(changed(train_cfg__max_epochs=3), str(tmp_path / 'epoch_3.pth'))


@pytest.mark.parametrize('text', [None, 3, '', 'model = (', '(' * 9999, 'import os\nos.mkdir("mark")'])
def test_the_text_of_a_config_in_a_checkpoint_is_not_executed(tmp_path, said, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / 'epoch_3.pth', meta=dict(epoch=3, iter=9, cfg=text))
    resume_from(changed(), str(tmp_path / 'epoch_3.pth'))
    call = changed().pretty_text + '\ncustom_hooks = __import__("os").mkdir("mark")'
    write(tmp_path / 'epoch_4.pth', meta=dict(epoch=4, iter=9, cfg=call))
    resume_from(changed(), str(tmp_path / 'epoch_4.pth'))
    assert not (tmp_path / 'mark').exists()


def test_hooks_that_the_tool_adds_are_no_other_settings(tmp_path, said):
    before = Config(dict(CONFIG, custom_hooks=[dict(type='mmosnet.DivergenceHook')]))
    write(tmp_path / 'epoch_1.pth', meta=dict(epoch=1, iter=3, cfg=before.pretty_text))
    resume_from(Config(CONFIG), str(tmp_path / 'epoch_1.pth'))
    assert said == []


def test_going_back_says_which_checkpoint_is_newer(tmp_path, said):
    for epoch in (1, 2):
        write(tmp_path / f'epoch_{epoch}.pth', epoch)
    for epoch in (2, 1):
        assert said == []
        resume_from(Config(dict(CONFIG, work_dir=str(tmp_path))), str(tmp_path / f'epoch_{epoch}.pth'))
    assert len(said) == 1 and 'epoch_2.pth' in said[0]
