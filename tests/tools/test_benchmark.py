import json
import runpy
import subprocess
import sys
from importlib import import_module

import pytest

from benchmarks import cases_evaluation
from benchmarks.measure import Lap
from tests.cli.conftest import REPOSITORY

TOOL = REPOSITORY / 'tools' / 'benchmark.py'


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs the tool in this process and in an empty folder; gives its exit code and what it printed."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, 'argv', ['benchmark.py', *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
        except SystemExit as e:
            code = e.code
        return code, *capsys.readouterr()

    return run


def run_here(function, threads, **arguments):
    """Do in this process what run_fresh does in a fresh one."""
    module, name = function.split(':')
    found = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))
    return Lap(**json.loads(json.dumps(found)))


def test_quick_run_from_the_command_to_the_table(run, tmp_path, monkeypatch):
    # Four processes are four times the imports; test_process.py has one.
    monkeypatch.setattr(cases_evaluation, 'run_fresh', run_here)
    code, out, err = run(
        *('--quick', '--only', 'evaluation', 'gpu-inference', '--repeats', 1, '--threads', 1),
        *('--json', 'found/cpu.json', '--markdown', 'docs/benchmarks.md'),
    )
    assert code == 0, out + err
    assert out.startswith('Quick run with small sizes')
    lines = [[cell.strip() for cell in line.split('|')] for line in out.splitlines()]
    row = next(line for line in lines if line[:2] == ['evaluation', '200 x 1,000 x 512'])
    assert row[2].endswith('s') and row[6] == '>= 100x, peak GiB < 0.5'
    assert 'evaluation: 200 x 1,000 x 512' in err.splitlines()
    content = json.loads((tmp_path / 'found' / 'cpu.json').read_text())
    assert content['quick'] and content['machine']['threads'] == 1
    assert content['command'].startswith('python tools/benchmark.py --quick --only evaluation')
    found = content['measurements'][-1]
    assert (found['row'], len(found['ours'])) == ('evaluation', 1)
    # The same table again from what was written.
    assert run('--render', 'found/cpu.json')[:2] == (0, out)
    page = (tmp_path / 'docs' / 'benchmarks.md').read_text()
    assert ['evaluation', '200 x 1,000 x 512'] in [
        [cell.strip() for cell in line.split('|')][1:3] for line in page.splitlines()
    ]


def test_mistakes_get_one_line(run):
    code, out, _ = run('--only', 'speed')
    assert code.startswith("error: no row 'speed' in the benchmark, choose from inference-eager, ")
    assert not out and '\n' not in code
    assert 'no file nowhere.json' in run('--render', 'nowhere.json')[0]
    assert run('--repeats', 0)[0] == 2


def test_list_shows_all_rows(run):
    code, out, _ = run('--list')
    lines = out.splitlines()
    assert code == 0
    assert [lines[0].split()[0], lines[-1].split()[0]] == ['inference-eager', 'start-up']
    assert any(line.startswith('training-step ') and '>= 1.5x' in line for line in lines)


def test_help_teaches_without_loading_torch():
    program = (
        'import runpy, sys; sys.argv = ["tool", "--help"]\n'
        f'try: runpy.run_path({str(TOOL)!r}, run_name="__main__")\n'
        'finally: assert "torch" not in sys.modules'
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert 'examples:' in result.stdout and '--only ROW' in result.stdout


def test_galleries(run, tmp_path):
    options = ('--vectors', 300, '--dimension', 16, '--queries', 4, '--index', 'exact')
    code, out, err = run('gallery', 'random', *options)
    assert code == 0 and 'exact: 300 enrolled' in err.splitlines()
    assert [cell.strip() for cell in out.splitlines()[2].split('|')][:2] == ['exact', '300 x 16']
    assert (tmp_path / 'random' / 'exact-300x16' / 'benchmark.json').is_file()
    # Options of the other benchmark are not dropped silently.
    assert run('--quick', 'gallery', 'random')[0] == 2
    assert run('gallery', 'random', '--vectors', 0)[0] == 2


@pytest.mark.parametrize('arguments', [['benchmark.py', '--list'], ['export_table.py', 'parity']])
def test_from_a_wheel_it_says_where_it_runs(tmp_path, arguments):
    tools = tmp_path / 'mmosnet' / '.mim' / 'tools'
    tools.mkdir(parents=True)
    tool = tools / arguments[0]
    tool.write_text((REPOSITORY / 'tools' / arguments[0]).read_text())
    done = subprocess.run([sys.executable, str(tool), arguments[1]], capture_output=True, text=True)
    assert done.returncode == 1 and 'clone' in done.stderr and len(done.stderr.splitlines()) == 1


def test_identities(run):
    pytest.importorskip('trackeval', reason="needs the extra 'peer'")
    error, _, _ = run('identities', 'scenes', '--variants', 'No margin')
    assert 'No margin' in error and 'no margin, no band' in error
    assert run('--quick', 'identities', 'scenes')[0] == 2
