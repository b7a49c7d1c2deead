import json
import os
import re
import signal
import subprocess
import sys

import cv2
import pytest
import torch

from mmosnet.engine.runner import bfloat16_pays
from mmosnet.models.checkpoints import load_file
from tests.cli.conftest import REPOSITORY
from tests.conftest import write_market

TORCHRUN = ('-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2')


def weights(path):
    return load_file(path, map_location='cpu')


def assert_same_weights(a, b):
    a, b = weights(a), weights(b)
    assert a['state_dict'].keys() == b['state_dict'].keys()
    for name, value in a['state_dict'].items():
        assert torch.equal(value, b['state_dict'][name]), name
    for mine, theirs in zip(a['optimizer']['state'].values(), b['optimizer']['state'].values(), strict=True):
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_a_run_leaves_table_numbers_picture_and_few_checkpoints(workplace):
    output = workplace.succeed('train.py', workplace.config, '--work-dir', 'run', fresh=True)
    run = workplace.folder / 'run'
    assert re.search(r'train +\| +24 \| +6', output)
    for text in ('eta:', 'lr:', 'loss_id', 'last (epoch 4)', 'best (epoch'):
        assert text in output, text
    results = json.loads((run / 'results.json').read_text())
    assert results['last']['epoch'] == 4
    best = results['best']['metrics']['reid/mAP']
    assert best >= results['last']['metrics']['reid/mAP']
    assert f'| {best:7.4f} ' in output
    assert cv2.imread(str(run / 'ranked_lists.jpg')).shape[1] > 800
    checkpoints = sorted(path.name for path in run.glob('*.pth'))
    assert checkpoints == [f'best_reid_mAP_epoch_{results["best"]["epoch"]}.pth', 'epoch_3.pth', 'epoch_4.pth']
    assert list(run.rglob('events.out.tfevents*')), 'TensorBoard is installed and must have been used'
    assert 'UserWarning' not in output and 'FutureWarning' not in output
    # What a person reads: the environment is looked up in the log, the config in its own file.
    for text in ('System environment', 'Hooks will be', 'Config:', 'FileClient', 'HardDiskBackend', 'Exp name'):
        assert text not in output, text
    # 12 iterations, 4 checkpoints, 2 evaluations, two data sets with 3 warnings, the result.
    assert len(output.splitlines()) < 50
    (log,) = run.glob('*/*.log')
    assert str(log) in output and 'System environment' in log.read_text()
    assert 'optim_wrapper' in (log.parent / 'vis_data' / 'config.py').read_text()

    output = workplace.succeed('test.py', workplace.config, 'run/epoch_4.pth', '--work-dir', 'tested')
    tested = json.loads((workplace.folder / 'tested' / 'results.json').read_text())
    assert tested['checkpoint'] == 'run/epoch_4.pth'
    assert tested['metrics']['reid/mAP'] == pytest.approx(results['last']['metrics']['reid/mAP'], abs=1e-6)
    assert (workplace.folder / 'tested' / 'ranked_lists.jpg').is_file()

    more = ('--rerank', '--verification', '--work-dir', 'more')
    output = workplace.succeed('test.py', workplace.config, 'run/epoch_4.pth', *more)
    for text in ('test, rerank ', 'verification |', 'distance@1e-3'):
        assert text in output, text
    scores = json.loads((workplace.folder / 'more' / 'results.json').read_text())['metrics']
    assert {key: scores[key] for key in tested['metrics']} == tested['metrics']
    assert 0 < scores['reid/rerank/mAP'] <= 1 and 0 <= scores['reid/verification/AUC'] <= 1


@pytest.mark.parametrize('hook', ['mmengine.EMAHook', 'mmpretrain.EMAHook'])
def test_averaged_weights_are_what_is_tested(workplace, hook):
    with workplace.config.open('a') as file:
        file.write(f"custom_hooks = [*_base_.custom_hooks, dict(type='{hook}', momentum=0.3, update_buffers=True)]\n")
        file.write('test_best = True\n')
    options = ('--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1')
    workplace.succeed('train.py', workplace.config, '--work-dir', 'run', *options)
    state = weights(workplace.folder / 'run/epoch_1.pth')
    last = {name.removeprefix('module.'): value for name, value in state['ema_state_dict'].items()}
    name = 'backbone.stages.0.0.reduce.conv.weight'
    assert not torch.equal(state['state_dict'][name], last[name])
    # What export, inference and embedding read.
    from mmosnet.models.checkpoints import read_checkpoint

    assert torch.equal(read_checkpoint(workplace.folder / 'run/epoch_1.pth').state[name], state['state_dict'][name])

    def results(folder, key):
        return json.loads((workplace.folder / folder / 'results.json').read_text())[key]

    validated = results('run', 'last')['metrics']
    # Folded and not, whatever the order of the hooks: the average, as validation.
    workplace.succeed('test.py', workplace.config, 'run/epoch_1.pth', '--work-dir', 'folded')
    workplace.succeed('test.py', workplace.config, 'run/epoch_1.pth', '--work-dir', 'plain', '--training-form')
    for folder in ('run/test', 'folded', 'plain'):
        assert results(folder, 'metrics') == pytest.approx(validated, abs=1e-6)


def test_one_folder_for_several_targets_is_a_mistake(workplace):
    config = REPOSITORY / 'configs' / 'osnet_ain_reid_market.py'
    error = workplace.fail('test.py', config, 'none.pth', '--data-root', workplace.data)
    assert 'tested on market1501, dukemtmc' in error and 'test_targets.NAME.data_root=FOLDER' in error


@pytest.mark.parametrize('workers', [0, 2])
def test_a_resumed_run_equals_an_uninterrupted_one(workplace, workers):
    options = [f'train_dataloader.num_workers={workers}', f'train_dataloader.persistent_workers={workers > 0}']
    whole = ['train.py', workplace.config, '--no-validate', '--cfg-options', *options]
    # Without workers also in another process, with nothing in common.
    workplace.succeed(*whole, '--work-dir', 'whole', fresh=not workers)
    workplace.succeed(*whole, 'train_cfg.max_epochs=2', '--work-dir', 'parts')
    # Workers restart with every epoch in the second half: even that must not change a bit.
    options = [f'train_dataloader.num_workers={workers}', 'train_dataloader.persistent_workers=False']
    output = workplace.succeed(
        'train.py', workplace.config, '--no-validate', '--resume', '--work-dir', 'parts', '--cfg-options', *options
    )
    assert 'resumed epoch: 2' in output
    assert_same_weights(workplace.folder / 'whole/epoch_4.pth', workplace.folder / 'parts/epoch_4.pth')
    if workers:
        workplace.succeed('train.py', workplace.config, '--no-validate', '--work-dir', 'alone')
        assert_same_weights(workplace.folder / 'whole/epoch_4.pth', workplace.folder / 'alone/epoch_4.pth')


def test_two_processes_train_and_evaluate_like_one(workplace):
    with workplace.config.open('a') as file:
        file.write("custom_hooks = [*_base_.custom_hooks, dict(type='mmosnet.BaseFreezeHook', num_epochs=1)]\n")
    # Enough people for the scores to tell slightly different batch statistics apart.
    write_market(workplace.data, num_test=40, cameras=3)
    command = ('train.py', workplace.config, '--launcher', 'pytorch', '--work-dir', 'two')
    options = ('--cfg-options', 'train_cfg.max_epochs=3', 'train_dataloader.batch_size=6', 'param_scheduler.T_max=99')
    output = workplace.succeed(*command, *options, launcher=TORCHRUN)
    assert 'BaseFreezeHook: the whole model trains' in output
    assert 'UserWarning' not in output and 'FutureWarning' not in output
    two = json.loads((workplace.folder / 'two/results.json').read_text())['last']['metrics']
    # An odd number of images on two processes: one is evaluated twice, and must count once.
    workplace.succeed('test.py', workplace.config, 'two/epoch_3.pth', '--work-dir', 'one')
    one = json.loads((workplace.folder / 'one/results.json').read_text())['metrics']
    assert one == pytest.approx(two, abs=1e-6)
    test = ('test.py', workplace.config, 'two/epoch_3.pth', '--launcher', 'pytorch', '--work-dir', 'both')
    workplace.succeed(*test, processes=2)
    both = json.loads((workplace.folder / 'both/results.json').read_text())['metrics']
    assert both == pytest.approx(one, abs=1e-6)


def test_mixed_precision_on_a_cpu_and_metric_loss(workplace):
    with workplace.config.open('a') as file:
        file.write("model['head']['metric_loss'] = dict(type='mmosnet.TripletLoss')\n")
        file.write(
            "train_dataloader['sampler'] = dict(_delete_=True, type='mmosnet.PKSampler', num_pids=4, num_instances=2)\n"
        )
    options = ('--cfg-options', 'train_cfg.max_epochs=1')
    if not bfloat16_pays():
        assert 'AVX-512' in workplace.fail('train.py', workplace.config, '--amp')
        options += ('optim_wrapper.type=mmosnet.AutocastOptimWrapper',)
    amp = ('--amp',) if bfloat16_pays() else ()
    output = workplace.succeed('train.py', workplace.config, *amp, '--no-validate', '--work-dir', 'amp', *options)
    assert 'loss_metric' in output and 'No evaluation in this run' in output
    state = weights(workplace.folder / 'amp/epoch_1.pth')['state_dict']
    assert all(value.isfinite().all() for value in state.values())


def test_auto_scale_lr(workplace):
    options = ('--cfg-options', 'train_cfg.max_epochs=1')
    output = workplace.succeed(
        'train.py', workplace.config, '--auto-scale-lr', '--no-validate', '--work-dir', 'scaled', *options
    )
    # Batch 8 instead of the recipe's 64.
    assert 'lr: 1.8750e-04' in output


def test_mistakes_get_a_message_and_no_traceback(workplace, monkeypatch):
    train = ('train.py', workplace.config, '--work-dir', 'bad', '--cfg-options')
    assert 'no config nowhere.py' in workplace.fail('train.py', 'nowhere.py')
    error = workplace.fail('train.py', workplace.config, '--work-dir', 'bad', '--data-root', 'nowhere')
    assert 'nowhere/bounding_box_train' in error and 'https://' in error
    assert 'model.head.num_classes=6' in workplace.fail(*train, 'model.head.num_classes=751')
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    monkeypatch.setenv('TORCH_HOME', str(workplace.folder))
    error = workplace.fail(*train, 'load_from=torchreid://osnet_x1_0_imagenet')
    assert 'osnet_reid_market_scratch.py' in error and 'MODEL_ZOO' in error
    assert 'nothing.pth' in workplace.fail('test.py', workplace.config, 'nothing.pth')
    assert "arch='resnet' is unknown" in workplace.fail(*train, 'model.backbone.arch=resnet')


def test_training_that_has_failed_ends_and_is_not_resumed(workplace):
    train = ('train.py', workplace.config, '--work-dir', 'run', '--cfg-options')
    error = workplace.fail(*train, 'optim_wrapper.optimizer.lr=1e30')
    assert 'loss_id is nan' in error and 'epoch 1, iteration 2 of 3' in error and '1e+30' in error
    assert error.count('.jpg') == 8
    assert not list((workplace.folder / 'run').glob('*.pth'))
    # Left by another program: not gone on from.
    workplace.succeed(*train, 'train_cfg.max_epochs=1')
    path = workplace.folder / 'run' / 'epoch_1.pth'
    content = weights(path)
    next(iter(content['state_dict'].values())).fill_(float('nan'))
    torch.save(content, path)
    error = workplace.fail('train.py', workplace.config, '--work-dir', 'run', '--resume')
    assert 'epoch_1.pth (' in error and next(iter(content['state_dict'])) in error


def test_ctrl_c_ends_in_one_line_that_names_the_checkpoint(workplace):
    """Sent to the workers of the loader too, as a terminal does, while the second epoch runs."""
    options = ('train_cfg.max_epochs=400', 'train_dataloader.num_workers=2')
    command = [sys.executable, str(REPOSITORY / 'tools' / 'train.py'), str(workplace.config), '--work-dir', 'run']
    process = subprocess.Popen(
        [*command, '--no-validate', '--cfg-options', *options],
        cwd=workplace.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in process.stdout:
        if '[2][1/3]' in line:
            os.killpg(process.pid, signal.SIGINT)
            break
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    (line,) = [line for line in err.splitlines() if 'mmengine' not in line]
    assert line.startswith('interrupted: ') and 'run/epoch_' in line and '--resume' in line
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_resume_without_a_checkpoint_keeps_the_pretrained_weights(workplace):
    train = ('train.py', workplace.config, '--no-validate', '--work-dir')
    workplace.succeed(*train, 'first', '--cfg-options', 'train_cfg.max_epochs=1')
    with workplace.config.open('a') as file:
        file.write("load_from = 'first/epoch_1.pth'\n")
    output = workplace.succeed(*train, 'second', '--resume', '--cfg-options', 'train_cfg.max_epochs=1')
    assert 'Nothing to resume in second' in output and 'Load checkpoint from first/epoch_1.pth' in output
    # A checkpoint of another network is no base.
    options = ('model.backbone.widen_factor=0.5', 'model.neck.in_channels=256')
    error = workplace.fail(*train, 'third', '--cfg-options', *options)
    assert 'first/epoch_1.pth does not fit the model' in error


def test_damaged_image_is_named_from_a_worker(workplace):
    path = sorted((workplace.data / 'bounding_box_train').iterdir())[3]
    path.write_bytes(path.read_bytes()[:-50])
    train = (
        'train.py',
        workplace.config,
        '--no-validate',
        '--work-dir',
        'run',
        '--cfg-options',
        'train_cfg.max_epochs=1',
    )
    error = workplace.fail(*train, 'train_dataloader.num_workers=1')
    assert str(path) in error and "bad_images='skip'" in error
    output = workplace.succeed(*train, 'train_dataloader.dataset.bad_images=skip')
    assert 'skipped 1 of 24 train images' in output


def test_single_camera_data_fail_at_once_and_name_the_option(workplace):
    for folder in ('query', 'bounding_box_test'):
        for path in (workplace.data / folder).glob('*_c2*'):
            path.unlink()
    train = ('train.py', workplace.config, '--work-dir', 'run')
    error = workplace.fail(*train)
    assert 'ANOTHER camera' in error and 'same_camera=keep' in error
    assert not list((workplace.folder / 'run').glob('*.pth')), 'no epoch must have been spent'
    options = ('val_evaluator.same_camera=keep', 'test_evaluator.same_camera=keep', 'train_cfg.max_epochs=1')
    workplace.succeed(*train, '--cfg-options', *options)


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_scripts_parse_and_tell_their_usage(script):
    path = REPOSITORY / 'tools' / script
    assert subprocess.run(['bash', '-n', str(path)]).returncode == 0
    result = subprocess.run(['bash', str(path)], capture_output=True, text=True)
    assert result.returncode != 0 and 'usage' in result.stderr


def test_only_what_fits_is_resumed(workplace):
    """Other settings, and what the error must name of the first entry that differs."""
    plain = workplace.config.with_name('plain.py')
    plain.write_text(workplace.config.read_text())
    with workplace.config.open('a') as file:
        file.write("custom_hooks = [*_base_.custom_hooks, dict(type='EMAHook', momentum=0.3)]\n")
    train = ('train.py', workplace.config, '--no-validate', '--work-dir', 'run')
    workplace.succeed(*train, '--cfg-options', 'train_cfg.max_epochs=1')
    for number, (options, named) in enumerate(
        {
            ('model.head.bnneck=True',): ['head.bnneck.weight', '(512,)', 'nothing'],
            ('model.backbone.widen_factor=0.5', 'model.neck.in_channels=256'): ['(32, 3, 7, 7)', '(16, 3, 7, 7)'],
            ('optim_wrapper.paramwise_cfg.norm_decay_mult=0',): ['param_groups', 'checkpoint 1 groups'],
            (
                'optim_wrapper.optimizer.type=SGD',
                'optim_wrapper.optimizer._delete_=True',
                'optim_wrapper.optimizer.lr=1',
            ): ['SGD', 'momentum', 'betas'],
        }.items()
    ):
        error = workplace.fail(*train, '--resume', '--cfg-options', *options)
        assert 'epoch_1.pth cannot be resumed' in error and 'load_from=' in error
        assert all(text in error for text in named), (number, error)
    error = workplace.fail('train.py', plain, '--work-dir', 'run', '--resume')
    assert 'EMAHook' in error and 'ema_state_dict' in error
    # More and fewer identities.
    for number in (8, 4):
        data = write_market(workplace.folder / f'market{number}', num_train=number)
        options = ('--cfg-options', f'model.head.num_classes={number}')
        error = workplace.fail(*train, '--resume', '--data-root', data, *options)
        assert f'head.classifier.weight: model ({number}, 512), checkpoint (6, 512)' in error
    # Larger batches are no other model; what is left must not count back.
    output = workplace.succeed(*train, '--resume', '--cfg-options', 'train_dataloader.batch_size=24')
    assert 'eta: -' not in output and 'counting from iteration 1' in output
