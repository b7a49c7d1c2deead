import json
from pathlib import Path

import pytest

from tests.cli.command import outcome

CONFIG = 'osnet_reid_market'
TABLE = """\
image   | parameters | mult-adds | activations
--------+------------+-----------+------------
256x128 |  2,169,508 |   978.9 M |      11.9 M
64x32   |  2,169,508 |    61.5 M |       0.7 M

left out: head, 385,263 parameters
"""


@pytest.fixture
def complexity(tmp_path, monkeypatch, capsys):
    """The command in this process, in an empty folder: gives its output, or its error."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: outcome(capsys, 'complexity', *arguments)


def test_prints_the_table_and_nothing_else(complexity):
    assert complexity(CONFIG, '--shape', 256, 128, '--shape', 64, 32, '--json', 'new/sizes.json') == TABLE
    report = json.loads(Path('new/sizes.json').read_text())
    assert [image['height'] for image in report['images']] == [256, 64]
    assert report['images'][0]['total'] == dict(parameters=2169508, mult_adds=978875392, activations=11930512)
    assert list(report['images'][0]['parts'])[:2] == ['backbone.stem', 'backbone.stages.0']
    assert report['left_out'] == dict(head=385263)


def test_a_row_for_each_stage_and_options(complexity):
    options = ('--per-stage', '--cfg-options', 'model.backbone.num_streams=2')
    lines = complexity('osnet_x0_25_reid_market.py', *options).splitlines()
    assert lines[0].startswith('256x128 ')
    assert [line.split()[0] for line in lines[2:5]] == ['backbone.stem', 'backbone.stages.0', 'backbone.transitions.0']
    # Seven of ten Lite 3x3 a block fewer, of 16, 24 and 32 channels.
    assert f'{201864 - 7 * 2 * sum(c * c + 11 * c for c in (16, 24, 32)):,}' in lines[10]


def test_mistakes_get_a_message_and_no_traceback(complexity):
    assert 'no config nowhere.py' in complexity('nowhere.py')
    assert '8x8 do not pass through this network' in complexity(CONFIG, '--shape', 8, 8)
    assert complexity(CONFIG, '--shape', 0, 8) == 2
    Path('mine.py').write_text('default_scope = "mmelsewhere"\nmodel = dict(type="Detector")\n')
    assert 'mmelsewhere, which is not installed' in complexity('mine.py')
    Path('mine.py').write_text('train_cfg = dict()\n')
    assert 'mine.py has no model' in complexity('mine.py')
