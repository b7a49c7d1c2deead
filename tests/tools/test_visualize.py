import json
import subprocess
import sys

import cv2
import torch
from mmengine.config import Config

from mmosnet.engine.trained_model import build_model
from tests.conftest import write_person
from tests.tools.conftest import REPOSITORY


def save_checkpoint(workplace, name='model.pth', **options):
    """What training leaves, without the training; another data set's head is left out."""
    torch.manual_seed(0)
    cfg = Config.fromfile(workplace.config)
    cfg.model.backbone.update(options)
    state = {name: v for name, v in build_model(cfg).state_dict().items() if not name.startswith('head')}
    torch.save(dict(state_dict=state, meta={}), workplace.folder / name)
    return name


def test_queries_of_the_data_set(workplace):
    checkpoint = save_checkpoint(workplace)
    output = workplace.succeed('visualize.py', workplace.config, checkpoint, '--num-images', 3, '--out-dir', 'new/seen')
    out_dir = workplace.folder / 'new' / 'seen'
    files = ['activation_maps.jpg', 'gate_weights.json', 'gate_weights.png']
    assert sorted(path.name for path in out_dir.iterdir()) == files
    assert all(f'new/seen/{name}' in output for name in files) and 'Warning' not in output
    report = json.loads((out_dir / 'gate_weights.json').read_text())
    assert report['checkpoint'] == checkpoint
    # Three of the four people, one query each.
    assert [image['image'].rpartition('/')[2][:4] for image in report['images']] == ['0007', '0008', '0009']
    assert report['streams'] == ['3x3', '5x5', '7x7', '9x9']
    mean, std = report['mean']['stages.2'][0], report['std']['stages.2'][0]
    assert f'stages.2         | {mean:.4f} +- {std:.4f} | ' in output
    assert cv2.imread(str(out_dir / 'activation_maps.jpg')).shape[0] > 3 * 192


def test_own_images_of_any_size_and_a_network_without_gates(workplace):
    write_person(workplace.folder / 'crops' / 'a.jpg', 1, height=64, width=32)
    write_person(workplace.folder / 'b.png', 2, height=50, width=40)
    # Neither data set nor identities are needed.
    options = ('--out-dir', 'seen', '--data-root', 'nowhere', '--cfg-options', 'model.head.num_classes=99')
    workplace.succeed('visualize.py', workplace.config, save_checkpoint(workplace), 'b.png', 'crops', *options)
    report = json.loads((workplace.folder / 'seen' / 'gate_weights.json').read_text())
    assert [image['image'] for image in report['images']] == ['b.png', 'crops/a.jpg']

    checkpoint = save_checkpoint(workplace, 'sum.pth', fusion='sum')
    options = ('--out-dir', 'plain', '--cfg-options', 'model.backbone.fusion=sum')
    output = workplace.succeed('visualize.py', workplace.config, checkpoint, 'crops', *options)
    assert 'no gate weights' in output and 'StreamSum' in output
    assert [path.name for path in (workplace.folder / 'plain').iterdir()] == ['activation_maps.jpg']


def test_mistakes_get_a_message_and_no_traceback(workplace):
    visualize = ('visualize.py', workplace.config)
    checkpoint = save_checkpoint(workplace)
    (workplace.folder / 'empty').mkdir()
    (workplace.folder / 'broken.jpg').write_bytes(b'broken')
    assert 'no checkpoint nothing.pth; ' in workplace.fail(*visualize, 'nothing.pth')
    assert 'no image or folder no.jpg' in workplace.fail(*visualize, checkpoint, 'no.jpg')
    assert 'empty holds no image' in workplace.fail(*visualize, checkpoint, 'empty')
    assert 'broken.jpg: unreadable image' in workplace.fail(*visualize, checkpoint, 'broken.jpg')
    other = ('--cfg-options', 'model.backbone.widen_factor=0.5', 'model.neck.in_channels=256')
    error = workplace.fail(*visualize, checkpoint, *other)
    assert 'model.pth does not fit the model' in error and 'backbone.stem.0.conv.weight' in error
    assert 'nowhere/query' in workplace.fail(*visualize, checkpoint, '--data-root', 'nowhere')


def test_help_teaches_without_loading_torch():
    program = (
        'import runpy, sys; sys.argv = ["tool", "--help"]\n'
        f'try: runpy.run_path({str(REPOSITORY / "tools" / "visualize.py")!r}, run_name="__main__")\n'
        'finally: assert "torch" not in sys.modules'
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert 'examples:' in result.stdout and 'IMAGE_OR_FOLDER' in result.stdout
