import json

import cv2
import pytest
import torch
from mmengine.config import Config

from mmosnet.cli.main import main
from mmosnet.models.build import build_model
from tests.cli.command import outcome
from tests.cli.conftest import Workplace
from tests.conftest import write_person
from tests.visualization.test_training import evaluation, train, write_start


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with a miniature data set and a config for it, in which commands run."""
    monkeypatch.chdir(tmp_path)
    return Workplace(tmp_path, None)


@pytest.fixture
def visualize(workplace, capsys):
    """The command in this process: gives its output, or its error for people."""
    return lambda *arguments: outcome(capsys, 'visualize', *arguments)


def save_checkpoint(workplace, name='model.pth', seed=0, **options):
    """Write a checkpoint as a training leaves it, but without the head, which would be another data set's."""
    torch.manual_seed(seed)
    cfg = Config.fromfile(workplace.config)
    cfg.model.backbone.update(options)
    state = {name: v for name, v in build_model(cfg).state_dict().items() if not name.startswith('head')}
    torch.save(dict(state_dict=state, meta={}), workplace.folder / name)
    return name


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_results_of_the_test_set(visualize, workplace):
    tool, checkpoint = ('ranked', workplace.config), save_checkpoint(workplace)
    output = visualize(*tool, checkpoint, '--worst', '--num-queries', 3, '--top-k', 4)
    # Beside the training's results, in the folder of the config.
    out_dir = workplace.folder / 'work_dirs' / 'tiny' / 'visualize'
    assert files(out_dir) == ['ranked_lists_worst.jpg', 'ranked_lists_worst.json']
    assert all(f'work_dirs/tiny/visualize/{name}' in output for name in files(out_dir))
    report = json.loads((out_dir / 'ranked_lists_worst.json').read_text())
    assert len(report['queries']) == 3 and report['checkpoint'] == checkpoint
    assert cv2.imread(str(out_dir / 'ranked_lists_worst.jpg')).shape[0] > 3 * 160

    save_checkpoint(workplace, 'other.pth', seed=1)
    tool = ('cmc', workplace.config, checkpoint, 'other.pth', '--max-rank', 5)
    output = visualize(*tool, '--rerank', '--out-dir', 'a')
    assert files(workplace.folder / 'a') == ['cmc.csv', 'cmc.json', 'cmc.png']
    names = [curve['name'] for curve in json.loads((workplace.folder / 'a' / 'cmc.json').read_text())['curves']]
    assert names == ['model', 'model, re-ranked', 'other', 'other, re-ranked'] and 'other, re-ranked | ' in output

    output = visualize('roc', workplace.config, checkpoint, '--det', '--out-dir', 'a')
    assert 'TPR@1e-2' in output and {'det.png', 'roc.csv', 'roc.json'} < set(files(workplace.folder / 'a'))
    output = visualize('roc', '--saved', 'a/roc.json', 'a/roc.json', '--names', 'x', 'y')
    assert 'picture  work_dirs/visualize/roc.png' in output and '\nx | ' in output and '\ny | ' in output


def test_a_look_inside(visualize, workplace):
    checkpoint = save_checkpoint(workplace)
    tool = ('gates', workplace.config, checkpoint, '--num-images', 3)
    output = visualize(*tool, '--out-dir', 'new/seen')
    out_dir = workplace.folder / 'new' / 'seen'
    assert files(out_dir) == ['gate_weights.json', 'gate_weights.png']
    report = json.loads((out_dir / 'gate_weights.json').read_text())
    assert report['checkpoint'] == checkpoint
    # Three of the four people, one query each.
    assert [image['image'].rpartition('/')[2][:4] for image in report['images']] == ['0007', '0008', '0009']
    assert report['streams'] == ['3x3', '5x5', '7x7', '9x9']
    mean, std = report['mean']['stages.2'][0], report['std']['stages.2'][0]
    assert f'stages.2         | {mean:.4f} +- {std:.4f} | ' in output

    visualize('activation', workplace.config, checkpoint, '--num-images', 3, '--out-dir', 'a')
    assert cv2.imread(str(workplace.folder / 'a' / 'activation_maps.jpg')).shape[0] > 3 * 192


def test_own_images_of_any_size_and_a_network_without_gates(visualize, workplace):
    write_person(workplace.folder / 'crops' / 'a.jpg', 1, height=64, width=32)
    write_person(workplace.folder / 'b.png', 2, height=50, width=40)
    # Neither data set nor identities are needed.
    options = ('--out-dir', 'seen', '--data-root', 'nowhere', '--cfg-options', 'model.head.num_classes=99')
    images = ('b.png', *options[:2], 'crops')
    visualize('gates', workplace.config, save_checkpoint(workplace), *images, *options[2:])
    report = json.loads((workplace.folder / 'seen' / 'gate_weights.json').read_text())
    assert [image['image'] for image in report['images']] == ['b.png', 'crops/a.jpg']

    checkpoint = save_checkpoint(workplace, 'sum.pth', fusion='sum')
    plain = (workplace.config, checkpoint, 'crops', '--out-dir', 'plain', '--cfg-options', 'model.backbone.fusion=sum')
    assert 'no gate weights: ' in visualize('gates', *plain)
    visualize('activation', *plain)
    assert files(workplace.folder / 'plain') == ['activation_maps.jpg']


def test_training_needs_no_config(visualize, workplace):
    write_start(workplace.folder / 'run', '20260101_000000', [train(1, 10), evaluation(1)], tail='{"lr"')
    output = visualize('training', 'run', '--metrics', 'mAP')
    assert files(workplace.folder / 'run' / 'visualize') == ['training.csv', 'training.png']
    assert '| reid/mAP | 0.5000 |' in output
    assert 'note: run: run/20260101_000000/vis_data/scalars.json: its last line is damaged' in output
    # Its own folder is none of a start.
    visualize('training', 'run')
    assert 'no score mA in the logs' in visualize('training', 'run', '--metrics', 'mA')
    assert 'crops holds no log' in visualize('training', make(workplace.folder / 'crops'))


def make(folder):
    folder.mkdir()
    return folder


def test_mistakes_get_a_message_and_no_traceback(visualize, workplace):
    checkpoint = save_checkpoint(workplace)
    config = workplace.config
    make(workplace.folder / 'empty')
    (workplace.folder / 'broken.jpg').write_bytes(b'broken')

    def fail(command, *arguments):
        return visualize(command, config, *arguments)

    assert 'no checkpoint nothing.pth; ' in fail('activation', 'nothing.pth')
    assert 'no image or folder no.jpg' in fail('activation', checkpoint, 'no.jpg')
    assert 'empty holds no image' in fail('activation', checkpoint, 'empty')
    assert 'broken.jpg: unreadable image' in fail('activation', checkpoint, 'broken.jpg')
    other = ('--cfg-options', 'model.backbone.widen_factor=0.5', 'model.neck.in_channels=256')
    error = fail('ranked', checkpoint, *other)
    assert 'model.pth does not fit the model' in error and 'backbone.stem.0.conv.weight' in error
    assert 'nowhere/query' in fail('roc', checkpoint, '--data-root', 'nowhere')
    error = fail('attributes', checkpoint)
    assert 'needs AttributeMetric' in error and 'fit this config: ranked, cmc, roc, activation' in error
    assert 'no config nothing.py' in visualize('confusion', 'nothing.py', checkpoint)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'visualize'),
        (['config.py', 'model.pth'], "invalid choice: 'config.py'"),
        (['cmc'], 'cmc needs CONFIG CHECKPOINT, or --saved FILE'),
        (['roc', 'config.py'], 'roc needs a checkpoint behind config.py'),
        (['ranked', 'config.py', 'model.pth', '--num-queries', 'x'], 'invalid int value'),
    ],
)
def test_commands_that_cannot_be_understood(arguments, message, capsys):
    assert main(['visualize', *arguments]) == 2 and message in capsys.readouterr().err
