"""Trainings that are killed at moments aimed at, and resumed."""

import json

from tests.cli.conftest import REPOSITORY
from tests.cli.test_train import assert_same_weights, weights

# Ends the process as a kill does, in the middle of a step; what comes after the moment's name goes to tools/train.py.
KILLER = """
import os, runpy, sys
from pathlib import Path

moment, name = sys.argv[1].split(':')
sys.argv = ['{train}', *sys.argv[2:]]
write_bytes, write_text, replace, unlink = Path.write_bytes, Path.write_text, Path.replace, os.remove

def die():
    os._exit(137)

def written(path, content):
    if moment == 'write' and path.name.endswith(name):
        with path.open('wb') as file:
            file.write(content[:100])
        die()
    return write_bytes(path, content)

def renamed(path, target):
    target = Path(target)
    content = path.read_bytes() if target.suffix in ('', '.json') else b''
    hit = target.name.startswith(name) or name.encode() in content
    if moment == 'before_rename' and hit:
        die()
    result = replace(path, target)
    if moment == 'after_rename' and hit:
        die()
    return result

def removed(path, *arguments, **options):
    if moment == 'remove' and Path(path).name.startswith(name):
        die()
    return unlink(path, *arguments, **options)

Path.write_bytes, Path.replace, os.remove = written, renamed, removed
if moment == 'evaluation':
    import mmosnet
    compute, left = mmosnet.ReIDMetric.compute_metrics, [int(name)]

    def evaluated(*arguments, **options):
        left[0] -= 1
        if not left[0]:
            die()
        return compute(*arguments, **options)

    mmosnet.ReIDMetric.compute_metrics = evaluated
runpy.run_path(sys.argv[0], run_name='__main__')
"""
OPTIONS = ('train_cfg.max_epochs=3', 'train_cfg.val_interval=1', 'default_hooks.checkpoint.max_keep_ckpts=1')


def results(folder):
    found = json.loads((folder / 'results.json').read_text())
    return {key: found[key] for key in ('last', 'best')}


def train(workplace, moment, folder, *more):
    """Train with a kill at a moment, or to the end without one."""
    arguments = (workplace.config, '--work-dir', folder, *more, '--cfg-options', *OPTIONS)
    if moment is None:
        return workplace.succeed('train.py', *arguments)
    killer = workplace.folder / 'killer.py'
    killer.write_text(KILLER.format(train=REPOSITORY / 'tools' / 'train.py'))
    result = workplace.run(killer, moment, *arguments)
    assert result.returncode == 137, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout + result.stderr


def check_resumed(workplace, moment, whole, folder='run'):
    """Kill and resume a training; what it leaves must be that of a whole one."""
    train(workplace, moment, folder)
    output = train(workplace, None, folder, '--resume')
    run = workplace.folder / folder
    assert_same_weights(whole / 'epoch_3.pth', run / 'epoch_3.pth')
    assert results(run) == results(whole)
    best = f'best_reid_mAP_epoch_{results(run)["best"]["epoch"]}.pth'
    assert sorted(path.name for path in run.rglob('*.pth')) == sorted(['epoch_3.pth', best]), moment
    mine, theirs = (weights(path / best)['state_dict'] for path in (run, whole))
    assert all(value.equal(theirs[name]) for name, value in mine.items())
    assert (run / 'last_checkpoint').read_text().endswith('epoch_3.pth')
    said = [json.loads((path / 'last_evaluation.json').read_text()) for path in (run, whole)]
    assert said[0]['best']['best_score'] == said[1]['best']['best_score'] and said[0]['epoch'] == said[1]['epoch'] == 3
    assert not [path for path in run.iterdir() if path.name.startswith('.draft-') and path.suffix == '.pth']
    return output


MOMENTS = {
    # The name of a file, and what the resumed run says.
    'write:epoch_2.pth': 'epoch 1',
    'before_rename:last_checkpoint': 'epoch_1.pth',
    'remove:epoch_2': 'epoch_3.pth',
    'evaluation:3': 'evaluating it now',
    'before_rename:results.json': 'evaluating it now',
}


def test_a_killed_training_is_resumed_to_equal_bits(workplace):
    train(workplace, None, 'whole')
    for number, (moment, said) in enumerate(MOMENTS.items()):
        output = check_resumed(workplace, moment, workplace.folder / 'whole', f'run{number}')
        assert said in output, moment
    # What is finished is left alone.
    output = train(workplace, None, 'whole', '--resume')
    assert 'evaluating' not in output and 'Epoch(val)' not in output


def test_a_hook_that_a_config_names_writes_each_checkpoint_once(workplace):
    """mmengine writes it again after an evaluation that is the best."""
    with workplace.config.open('a') as file:
        file.write("default_hooks['checkpoint'] = dict(type='CheckpointHook', interval=1, save_best='reid/mAP')\n")
        file.write("default_hooks['checkpoint'].update(rule='greater', published_keys=['meta', 'state_dict'])\n")
    with (workplace.folder / 'count.py').open('w') as file:
        file.write(
            'import runpy, sys\nfrom pathlib import Path\nreplace = Path.replace\n'
            'def counted(path, target):\n    print("renamed", Path(target).name)\n    return replace(path, target)\n'
            f'Path.replace = counted\nsys.argv = [{str(REPOSITORY / "tools" / "train.py")!r}, *sys.argv[1:]]\n'
            'runpy.run_path(sys.argv[0], run_name="__main__")\n'
        )
    options = ('--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1')
    output = workplace.succeed(workplace.folder / 'count.py', workplace.config, '--work-dir', 'run', *options)
    assert output.count('renamed epoch_1.pth') == output.count('renamed best_reid_mAP_epoch_1.pth') == 1
    published = list((workplace.folder / 'run').glob('epoch_1-*.pth'))
    assert len(published) == 1 and weights(published[0]).keys() == {'meta', 'state_dict'}
    assert f'renamed {published[0].name}' in output
