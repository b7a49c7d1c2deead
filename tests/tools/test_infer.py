import csv
import json
import runpy
import subprocess
import sys

import numpy as np
import pytest

from tests.apis.small_models import ATTRIBUTE_NAMES, CLASSES, JOINT, small_checkpoint, small_config
from tests.conftest import write_person
from tests.tools.conftest import REPOSITORY


@pytest.fixture
def joint(workplace):
    """Config and checkpoint of a joint model, and images."""
    small_config(JOINT).dump(workplace.folder / 'joint.py')
    small_checkpoint(workplace.folder / 'joint.pth', JOINT, attributes=ATTRIBUTE_NAMES, classes=CLASSES)
    for number in range(3):
        write_person(workplace.folder / 'crops' / f'{number}.jpg', number)
    return ('infer.py', 'joint.py', 'joint.pth')


def test_a_table_files_and_pictures(workplace, joint):
    output = workplace.succeed(*joint, 'crops', '--out', 'new/all.json', '--show-dir', 'seen', '--batch-size', 2)
    found = json.loads((workplace.folder / 'new' / 'all.json').read_text())
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
    assert 'predictions  new/all.json' in output and 'pictures     seen' in output and 'Warning' not in output
    assert [path.name for path in (workplace.folder / 'seen').iterdir()] == ['predictions_00001.jpg']


@pytest.fixture
def infer(workplace, joint, monkeypatch, capsys):
    """The tool in this process: gives its output, or its error for people."""

    def run(*arguments):
        monkeypatch.chdir(workplace.folder)
        monkeypatch.setattr(sys, 'argv', ['infer.py', *map(str, arguments)])
        try:
            runpy.run_path(str(REPOSITORY / 'tools' / 'infer.py'), run_name='__main__')
        except SystemExit as e:
            return e.code
        return capsys.readouterr().out

    return run


def test_a_row_an_image_and_options_in_another_order(workplace, infer):
    options = ('--bad-images', 'skip', '--out', 'all.csv', '--device', 'cpu')
    output = infer('joint.py', 'joint.pth', *options, 'crops/0.jpg#xywh=0,0,16,32', 'gone.jpg', 'crops/0.jpg')
    with (workplace.folder / 'all.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]['embedding.511']) == pytest.approx(float(rows[2]['embedding.511']), abs=1e-5)
    assert rows[1]['error'] == 'inputs[1]: no image or folder gone.jpg' and rows[1]['error'] in output


def test_mistakes_get_a_message(workplace, infer):
    (workplace.folder / 'broken.jpg').write_bytes(b'broken')
    joint = ('joint.py', 'joint.pth')
    assert infer(*joint, 'crops', 'broken.jpg').startswith('error: inputs[1]: broken.jpg: unreadable image')
    assert infer(*joint, 'no.jpg').startswith('error: inputs[0]: no image or folder no.jpg')
    assert infer(*joint, 'crops', '--out', 'out.txt') == 'error: out.txt: name a file that ends in .json or .csv'
    assert infer('joint.py', 'no.pth', 'crops').startswith('error: no checkpoint no.pth')
    assert 'neither a config file nor' in infer('osnet', 'released', 'crops')
    assert 'joint.py has no released weights' in infer('joint.py', 'released', 'crops')
    options = ('--cfg-options', 'model.head.heads.category.num_classes=5')
    assert 'does not fit the model: 2 entries differ' in infer(*joint, 'crops', *options)
    assert infer(*joint) == 2


def test_the_released_weights_of_a_name(workplace, infer, monkeypatch):
    monkeypatch.setenv('MMOSNET_WEIGHTS', str(workplace.folder))
    (workplace.folder / 'osnet_x0_25_market1501.pth').write_bytes(b'broken')
    error = infer('osnet-x0.25_reid-market1501', 'released', 'crops')
    assert 'osnet_x0_25_market1501.pth was not loaded' in error


def test_help_teaches_without_loading_torch():
    program = (
        'import runpy, sys; sys.argv = ["tool", "--help"]\n'
        f'try: runpy.run_path({str(REPOSITORY / "tools" / "infer.py")!r}, run_name="__main__")\n'
        'finally: assert "torch" not in sys.modules'
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert 'examples:' in result.stdout and 'INPUT' in result.stdout
