import json
import subprocess
import sys

from tests.tools.conftest import REPOSITORY

CONFIG = REPOSITORY / 'configs' / 'osnet_reid_market.py'
TABLE = """\
image   | parameters | mult-adds | activations
--------+------------+-----------+------------
256x128 |  2,169,508 |   978.9 M |      11.9 M
64x32   |  2,169,508 |    61.5 M |       0.7 M

left out: head, 385,263 parameters
"""


def test_prints_the_table_and_nothing_else(workplace):
    result = workplace.run('complexity.py', CONFIG, '--shape', 256, 128, '--shape', 64, 32, '--json', 'new/sizes.json')
    assert (result.returncode, result.stdout, result.stderr) == (0, TABLE, '')
    report = json.loads((workplace.folder / 'new' / 'sizes.json').read_text())
    assert [image['height'] for image in report['images']] == [256, 64]
    assert report['images'][0]['total'] == dict(parameters=2169508, mult_adds=978875392, activations=11930512)
    assert list(report['images'][0]['parts'])[:2] == ['backbone.stem', 'backbone.stages.0']
    assert report['left_out'] == dict(head=385263)


def test_a_row_for_each_stage_and_options(workplace):
    options = ('--per-stage', '--cfg-options', 'model.backbone.num_streams=2')
    output = workplace.succeed('complexity.py', workplace.config, *options)
    lines = output.splitlines()
    assert lines[0].startswith('256x128 ')
    assert [line.split()[0] for line in lines[2:5]] == ['backbone.stem', 'backbone.stages.0', 'backbone.transitions.0']
    # Seven of ten Lite 3x3 a block fewer, of 16, 24 and 32 channels.
    assert f'{201864 - 7 * 2 * sum(c * c + 11 * c for c in (16, 24, 32)):,}' in lines[10]


def test_mistakes_get_a_message_and_no_traceback(workplace):
    assert 'no config nowhere.py' in workplace.fail('complexity.py', 'nowhere.py')
    assert '8x8 do not pass through this network' in workplace.fail('complexity.py', CONFIG, '--shape', 8, 8)
    workplace.config.write_text('default_scope = "mmelsewhere"\nmodel = dict(type="Detector")\n')
    assert 'mmelsewhere, which is not installed' in workplace.fail('complexity.py', workplace.config)
    workplace.config.write_text('train_cfg = dict()\n')
    assert f'{workplace.config} has no model' in workplace.fail('complexity.py', workplace.config)


def test_help_teaches_without_loading_torch():
    program = (
        'import runpy, sys; sys.argv = ["tool", "--help"]\n'
        f'try: runpy.run_path({str(REPOSITORY / "tools" / "complexity.py")!r}, run_name="__main__")\n'
        'finally: assert "torch" not in sys.modules'
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert 'examples:' in result.stdout and '--shape H W' in result.stdout
