import re
import runpy
import sys

import pytest

from tests.apis.small_models import REID, small_checkpoint, small_config
from tests.cli.conftest import REPOSITORY
from tests.conftest import write_market


@pytest.fixture
def table(tmp_path, monkeypatch, capsys):
    """The tool in this process: gives its lines, or its error for people."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['export_table.py', *arguments])
        capsys.readouterr()
        try:
            runpy.run_path(str(REPOSITORY / 'tools' / 'export_table.py'), run_name='__main__')
        except SystemExit as e:
            return e.code
        return [line for line in capsys.readouterr().out.splitlines() if line.startswith('|')]

    return run


def test_scores(table, tmp_path, monkeypatch):
    from benchmarks import export_tables

    ways = {name: export_tables.WAYS[name] for name in ('ONNX Runtime, int8', 'TorchScript, fp32')}
    monkeypatch.setattr(export_tables, 'WAYS', ways)
    small_config(REID).dump(tmp_path / 'reid.py')
    checkpoint = small_checkpoint(tmp_path / 'reid.pth', REID)
    write_market(tmp_path / 'market')
    options = ('--images', 'market/bounding_box_train', '--calibration-images', '12', '--data-root', 'market')
    metrics = ('--metrics', 'reid/mAP', 'reid/Rank-1')
    title, _, *rows = table('scores', 'reid.py', checkpoint, *options, *metrics)
    assert title == '|  | MB | reid/mAP | reid/Rank-1 |'
    assert [row.split(' | ')[0] for row in rows] == ['| PyTorch, fp32', *(f'| {name}' for name in ways)]
    assert re.search(r'\(\+0\.0000\) \|$', rows[2]) and re.search(r'\([+-]\d\.\d{4}\) \|$', rows[1])
    assert 'there are reid/mAP, reid/Rank-1' in table('scores', 'reid.py', checkpoint, *options, '--metrics', 'mA')


def test_parity(table, monkeypatch):
    from benchmarks import export_tables

    monkeypatch.setattr(export_tables, 'FORMATS', dict(torchscript='.pt'))
    network = ('--archs', 'osnet_ibn', '--widths', '0.25', '--tasks', 'reid')
    lines = table('parity', *network, '--size', '64', '32')
    assert lines[0] == '| network | torchscript |'
    assert re.fullmatch(r'\| osnet_ibn x0\.25, reid \| \d\.\de-\d\d \|', lines[2])


def test_mistakes(table, tmp_path):
    small_config(REID).dump(tmp_path / 'reid.py')
    assert table('scores', 'reid.py', 'gone.pth', '--images', '.').startswith('error: no checkpoint gone.pth')
    assert 'has no released weights' in table('scores', 'reid.py', 'released', '--images', '.')
    assert table() == 2
