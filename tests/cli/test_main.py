"""The command ``mmosnet``: what it lists, what it imports for that, how it ends."""

import os
import re
import subprocess
import sys

import pytest

from mmosnet.cli.main import NAMES, build_parser, load, main, summary
from mmosnet.version import __version__
from tests.cli.conftest import REPOSITORY


def output(capsys, *argv):
    assert main(argv) == 0
    return capsys.readouterr().out


def test_the_list_begins_with_what_needs_no_data_and_has_all_commands(capsys):
    text = output(capsys)
    assert text == output(capsys, '--help') == output(capsys, '-h')
    assert 'mmosnet train osnet_reid_synthetic' in text.splitlines()[3]
    for name in NAMES:
        assert re.search(rf'^  {name} +{re.escape(summary(load(name)))}$', text, re.MULTILINE), name
    files = (REPOSITORY / 'mmosnet' / 'cli').glob('*.py')
    assert {name.replace('-', '_') for name in NAMES} == {f.stem for f in files if '\ndef run(' in f.read_text()}


@pytest.mark.parametrize('name', NAMES)
def test_every_command_teaches(capsys, name):
    text = ' '.join(output(capsys, name, '--help').split())
    module = load(name)
    assert text.startswith(f'usage: mmosnet {name} ') and summary(module) in text
    assert f'examples: mmosnet {name}' in text
    assert f'more: docs/{module.PAGE}' in text and (REPOSITORY / 'docs' / module.PAGE).is_file()
    # The library and the help of commands know no scripts.
    assert 'tools/' not in text


def test_help_imports_nothing_that_takes_time():
    program = (
        'import sys\nfrom mmosnet.cli.main import NAMES, main\n'
        'for argv in ([], ["--help"], ["--version"], *([name, "--help"] for name in NAMES)):\n'
        '    assert main(argv) == 0\n'
        '    heavy = {"torch", "mmengine", "numpy", "cv2", "yaml", "argcomplete"} & set(sys.modules)\n'
        '    assert not heavy, (argv, heavy)\n'
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_versions_are_those_of_the_stack(capsys):
    lines = output(capsys, '--version').splitlines()
    assert lines[0] == f'mmosnet {__version__}' and lines[1] == f'Python {sys.version.split()[0]}'
    import torch

    assert f'torch {torch.__version__.partition("+")[0]}' in ' '.join(lines)
    assert re.search(r'^mmcv(-lite)? \d|^onedl-mmcv \d', '\n'.join(lines), re.MULTILINE)


@pytest.mark.parametrize(
    ('argv', 'named'),
    [
        (['trian'], 'did you mean train'),
        (['check_data'], 'did you mean check-data'),
        (['--verbose'], '--verbose'),
        (['xyz'], 'calibrate'),
        (['train'], 'CONFIG'),
        (['train', 'a', '--cfg-options', 'b'], "'b'"),
        (['check-data', 'a', '--num-workers', '0'], 'at least 1'),
    ],
)
def test_arguments_that_make_no_sense_end_with_2(capsys, argv, named):
    assert main(argv) == 2
    assert named in capsys.readouterr().err


def test_a_mistake_is_one_line_and_code_1(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(['train', 'osnet_reid_sythetic']) == 1
    out, err = capsys.readouterr()
    assert out == '' and err.startswith('error: ') and err.count('\n') == 1
    assert 'osnet_reid_sythetic' in err and 'osnet_reid_synthetic' in err
    # A list that does not end is DictAction's mistake with a value, not a fault in the code.
    assert main(['complexity', 'osnet_reid_synthetic', '--cfg-options', 'a=[1,(2']) == 1
    assert 'a=[1,(2' in capsys.readouterr().err


@pytest.mark.parametrize('command', ['demo', 'check-data x', 'calibrate x', 'configs osnet_reid_market --copy'])
def test_a_missing_stack_is_one_line_with_the_remedy(tmp_path, command):
    program = (
        'import sys\nfrom importlib.machinery import PathFinder\nfind = PathFinder.find_spec\n'
        'def without(name, path=None, target=None):\n'
        '    missing = name.partition(".")[0] in ("torch", "torchvision", "mmengine", "mmcv", "mmpretrain")\n'
        '    return None if missing else find(name, path, target)\n'
        'PathFinder.find_spec = without\nfrom mmosnet.cli.main import main\nsys.exit(main(sys.argv[1:]))\n'
    )
    argv = [sys.executable, '-c', program, *command.split()]
    done = subprocess.run(
        argv, cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ, PYTHONPATH=str(REPOSITORY))
    )
    assert done.returncode == 1 and done.stderr.startswith('error: mmosnet needs torch'), done.stderr
    assert done.stderr.count('\n') == 1 and 'pip install' in done.stderr


def test_a_closed_standard_output_is_no_error(monkeypatch):
    # As Python sets it after `>&-`.
    monkeypatch.setattr(sys, 'stdout', None)
    monkeypatch.setattr(sys, 'stderr', None)
    assert main(['configs', 'osnet_reid_market']) == 0
    assert main(['trian']) == 2


def test_options_of_several_commands_are_read_as_mmengine_reads_them():
    from mmengine.config import DictAction

    from mmosnet.cli.options import parse_cfg_options

    pairs = ['a.b=1', 'c=0.5', 'd=None', 'e=true', 'f=[(1,2),x]', 'g=1,2', 'a.b=3', 'h=x=y']
    parser = build_parser('train', load('train'))
    args = parser.parse_args(['c.py', '--cfg-options', *pairs[:4], '--cfg-options', *pairs[4:]])
    assert args.cfg_options == pairs
    parser.add_argument('--theirs', nargs='+', action=DictAction)
    theirs = parser.parse_args(['c.py', '--theirs', *pairs]).theirs
    assert parse_cfg_options(pairs) == theirs and theirs['a.b'] == 3 and theirs['f'] == [(1, 2), 'x']
    assert parse_cfg_options(None) == {}


def completions(line: str) -> set[str]:
    """Return what the shell offers at the end of a line, by argcomplete's protocol."""
    pytest.importorskip('argcomplete')
    environ = dict(os.environ, _ARGCOMPLETE='1', COMP_LINE=line, COMP_POINT=str(len(line)), COMP_TYPE='9')
    environ |= dict(_ARGCOMPLETE_IFS='\n', _ARGCOMPLETE_SUPPRESS_SPACE='1', _ARGCOMPLETE_STDOUT_FILENAME='/dev/stdout')
    done = subprocess.run([sys.executable, '-m', 'mmosnet'], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_shell_completes_commands_options_and_names():
    assert {'train', 'train-splits'} == completions('mmosnet tra')
    assert {'--data-root'} == completions('mmosnet train x --data')
    assert {'osnet_reid_market', 'osnet-x1.0_reid-market1501'} <= completions('mmosnet train osnet') | completions(
        'mmosnet configs osnet-x1.0_reid-m'
    )
    assert {'osnet_reid_grid'} == completions('mmosnet search osnet_reid_g')
    # The marker that argcomplete's own activation looks for, and the script.
    assert 'PYTHON_ARGCOMPLETE_OK' in (REPOSITORY / 'mmosnet' / 'cli' / 'main.py').read_text()[:1024]


def test_tools_are_the_commands(tmp_path):
    for path in (REPOSITORY / 'tools').glob('*.py'):
        if path.stem in ('benchmark', 'export_table'):
            continue
        name = path.stem.removesuffix('_torchreid').replace('_', '-')
        assert f"main(['{name}', *sys.argv[1:]])" in path.read_text(), path
        assert name in NAMES
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / 'tools' / 'complexity.py'), 'nowhere'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and done.stderr.startswith("error: 'nowhere'")
