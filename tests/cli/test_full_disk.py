"""Every tool on a full disk: one line, exit code 1, what was there stays and nothing half is left."""

from pathlib import Path

import pytest

from mmosnet.features import write_shard
from tests.apis.small_models import ATTRIBUTE_NAMES, CLASSES, JOINT, REID, small_checkpoint, small_config
from tests.cli.conftest import Workplace
from tests.cli.test_visualize import save_checkpoint
from tests.conftest import write_person
from tests.gallery.random_people import people
from tests.visualization.test_training import evaluation, train, write_start

pytest.importorskip('resource')

MODEL, REID_MODEL, TRAINED = ('joint.py', 'joint.pth'), ('reid.py', 'reid.pth'), ('tiny.py', 'tiny.pth')
EXPORT = ('export.py', *REID_MODEL, '--no-timing', '--out')
# The largest file in bytes, what was there before, the command. More than nothing lets a command come to its outputs:
# what takes long asks before if the disk takes anything.
CASES = {
    'infer, json': (5000, 'old/a.json', ('infer.py', *MODEL, 'crops', '--out', 'old/a.json')),
    'infer, csv': (5000, 'old/a.csv', ('infer.py', *MODEL, 'crops', '--out', 'old/a.csv')),
    'infer, nothing at all': (0, 'old/a.csv', ('infer.py', *MODEL, 'crops', '--out', 'old/a.csv')),
    'infer, pictures': (100, 'old/predictions_00001.jpg', ('infer.py', *MODEL, 'crops', '--show-dir', 'old')),
    'ranked': (5000, 'old/ranked_lists.jpg', ('visualize.py', 'ranked', *TRAINED, '--out-dir', 'old')),
    'activation': (5000, 'old/activation_maps.jpg', ('visualize.py', 'activation', *TRAINED, '--out-dir', 'old')),
    'gates': (5000, 'old/gate_weights.png', ('visualize.py', 'gates', *TRAINED, '--out-dir', 'old')),
    'attributes': (
        *(5000, 'old/attributes_predicted.jpg'),
        ('visualize.py', 'attributes', *MODEL, 'crops', '--out-dir', 'old'),
    ),
    'training': (0, 'old/training.png', ('visualize.py', 'training', 'log', '--out-dir', 'old')),
    'check_data': (5000, 'old/contact_sheet.jpg', ('check_data.py', 'tiny.py', '--out-dir', 'old')),
    # Not even mmengine's temporary files for reading a config.
    'complexity': (0, 'old/a.json', ('complexity.py', 'tiny.py', '--json', 'old/a.json')),
    'onnx': (100_000, 'old/a.onnx', (*EXPORT, 'old/a.onnx')),
    'openvino': (800_000, 'old/a.xml', (*EXPORT, 'old/a.xml', '--format', 'openvino')),
    'torchscript': (100_000, 'old/a.pt', (*EXPORT, 'old/a.pt', '--format', 'torchscript')),
    'calibrate': (5000, 'old/a.png', ('calibrate.py', 'labeled.parquet', '--figure', 'old/a.png')),
    'train, log': (6000, 'old/results.json', ('train.py', 'tiny.py', '--work-dir', 'old')),
    'test': (20_000, 'old/ranked_lists.jpg', ('test.py', *TRAINED, '--work-dir', 'old')),
    'extract': (6000, 'old/a.txt', ('extract.py', *MODEL, 'crops', '--out', 'old/new')),
    'gallery': (0, 'old/a.txt', ('gallery.py', 'create', 'old/new', 'labeled.parquet')),
    'convert_torchreid': (
        *(0, 'old/a.pth'),
        ('convert_torchreid.py', 'tiny.pth', 'old/a.pth', '--to-torchreid', '--force'),
    ),
}


@pytest.fixture(scope='module')
def workplace(tmp_path_factory, warm_process):
    """Models, images, features and a log, made once."""
    workplace = Workplace(tmp_path_factory.mktemp('workplace'), warm_process)
    folder = workplace.folder
    for name, head in dict(joint=JOINT, reid=REID).items():
        small_config(head).dump(folder / f'{name}.py')
        small_checkpoint(folder / f'{name}.pth', head, attributes=ATTRIBUTE_NAMES, classes=CLASSES)
    save_checkpoint(workplace, 'tiny.pth')
    for number in range(3):
        write_person(folder / 'crops' / f'{number}.jpg', number)
    write_shard(folder / 'labeled.parquet', people(40))
    write_start(folder / 'log', '20260101_000000', [train(1, 1), evaluation(1)])
    return workplace


@pytest.mark.parametrize(('size', 'old', 'command'), CASES.values(), ids=CASES)
def test_one_line_and_nothing_lost(workplace, tmp_path, size, old, command):
    # The folder of the outputs alone is of this test.
    command = [part.replace('old', str(tmp_path / 'old')) for part in command]
    old = tmp_path / old
    older = [old, old.with_suffix('.bin')] if old.suffix == '.xml' else [old]
    old.parent.mkdir()
    for path in older:
        path.write_text('{}')
    result = workplace.run(*command, limits=dict(RLIMIT_FSIZE=size))
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith('error: '), result.stderr
    assert [path.read_text() for path in older] == ['{}'] * len(older)
    assert not [path for path in Path(tmp_path).rglob('*') if path.name.startswith(('.draft-', '.export-'))]


def test_a_training_goes_on_when_there_is_space(workplace):
    command = ('train.py', 'tiny.py', '--work-dir', 'run')
    error = workplace.fail(*command, limits=dict(RLIMIT_FSIZE=100_000))
    assert 'run/epoch_1.pth' in error and not list((workplace.folder / 'run').glob('*.pth'))
    assert not list((workplace.folder / 'run').glob('.draft-*'))
    assert 'best (epoch' in workplace.succeed(*command, '--resume')
