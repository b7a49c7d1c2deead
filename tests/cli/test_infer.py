import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.apis.small_models import ATTRIBUTE_NAMES, CLASSES, JOINT, small_checkpoint, small_config
from tests.cli.command import outcome
from tests.conftest import write_person

MODEL = ('joint.py', 'joint.pth')


@pytest.fixture
def infer(tmp_path, monkeypatch, capsys):
    """The command in this process, in a folder with a joint model and images: gives its output, or its error."""
    monkeypatch.chdir(tmp_path)
    small_config(JOINT).dump('joint.py')
    small_checkpoint(tmp_path / 'joint.pth', JOINT, attributes=ATTRIBUTE_NAMES, classes=CLASSES)
    for number in range(3):
        write_person(tmp_path / 'crops' / f'{number}.jpg', number)
    return lambda *arguments: outcome(capsys, 'infer', *arguments)


def test_a_table_files_and_pictures(infer):
    output = infer(*MODEL, 'crops', '--out', 'new/all.json', '--show-dir', 'seen', '--batch-size', 2)
    found = json.loads(Path('new/all.json').read_text())
    assert (found['config'], found['checkpoint']) == ('joint.py', 'joint.pth')
    assert [result['img_path'] for result in found['results']] == [f'crops/{number}.jpg' for number in range(3)]
    lines = output.splitlines()
    for result in found['results']:
        (line,) = (line for line in lines if line.startswith(result['img_path']))
        norm = np.linalg.norm(np.array(result['embedding'], np.float32))
        category = result['category']
        assert f'{norm:.4f}' in line and f'{category["name"]} {category["score"]:.2f}' in line
        for name, score in result['attributes'].items():
            assert (f'{name} {score:.2f}' in line) == (score >= 0.5)
    assert 'predictions  new/all.json' in output and 'pictures     seen' in output
    assert [path.name for path in Path('seen').iterdir()] == ['predictions_00001.jpg']


def test_a_row_an_image_and_options_in_another_order(infer):
    options = ('--bad-images', 'skip', '--out', 'all.csv', '--device', 'cpu')
    output = infer(*MODEL, *options, 'crops/0.jpg#xywh=0,0,16,32', 'gone.jpg', 'crops/0.jpg')
    with Path('all.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]['embedding.511']) == pytest.approx(float(rows[2]['embedding.511']), abs=1e-5)
    assert rows[1]['error'] == 'inputs[1]: no image or folder gone.jpg' and rows[1]['error'] in output


def test_mistakes_get_a_message(infer):
    Path('broken.jpg').write_bytes(b'broken')
    assert infer(*MODEL, 'crops', 'broken.jpg').startswith('error: inputs[1]: broken.jpg: unreadable image')
    assert infer(*MODEL, 'no.jpg').startswith('error: inputs[0]: no image or folder no.jpg')
    assert infer(*MODEL, 'crops', '--out', 'out.txt') == 'error: out.txt: name a file that ends in .json or .csv'
    assert infer('joint.py', 'no.pth', 'crops').startswith('error: no checkpoint no.pth')
    assert 'neither a config file nor' in infer('osnet', 'released', 'crops')
    assert 'joint.py has no released weights' in infer('joint.py', 'released', 'crops')
    options = ('--cfg-options', 'model.head.heads.category.num_classes=5')
    assert 'does not fit the model: 2 entries differ' in infer(*MODEL, 'crops', *options)
    assert infer(*MODEL) == 2


def test_the_released_weights_of_a_name(infer, monkeypatch):
    monkeypatch.setenv('MMOSNET_WEIGHTS', os.getcwd())
    Path('osnet_x0_25_market1501.pth').write_bytes(b'broken')
    error = infer('osnet-x0.25_reid-market1501', 'released', 'crops')
    assert 'osnet_x0_25_market1501.pth was not loaded' in error
