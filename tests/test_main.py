"""``python -m mmosnet`` lists what there is."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mmosnet.command_list import EXTRAS, JOBS

from mmosnet import __main__ as program
from tests.docs_blocks import REPOSITORY, tool_calls


def output(monkeypatch, capsys, folder: Path) -> str:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, 'argv', ['mmosnet'])
    program.main()
    return capsys.readouterr().out


def test_commands_as_they_are_typed_in_the_project(monkeypatch, capsys):
    lines = output(monkeypatch, capsys, REPOSITORY).splitlines()
    for job in JOBS:
        assert any(job.title in line and job.command in line and f'docs/{job.page}' in line for line in lines)
    assert not any('$TOOLS' in line for line in lines)
    (torch,) = (line for line in lines if line.startswith('torch '))
    assert re.fullmatch(r'torch +\d+\.\d+\.\S+', torch)


def test_elsewhere_it_says_where_the_tools_are(monkeypatch, capsys, tmp_path):
    text = output(monkeypatch, capsys, tmp_path)
    assert f'First       TOOLS={REPOSITORY / "tools"}' in text
    assert f'a file in {REPOSITORY / "configs"}' in text
    assert 'python $TOOLS/train.py CONFIG' in text and ' tools/' not in text and ' configs/osnet' not in text


def test_an_installed_wheel_brings_its_tools_along(monkeypatch, capsys, tmp_path):
    package = tmp_path / 'site-packages' / 'mmosnet'
    monkeypatch.setattr(program, 'PACKAGE', package)
    text = output(monkeypatch, capsys, tmp_path)
    assert f'First       TOOLS={package / ".mim" / "tools"}' in text
    assert 'does not hold' in text and 'docs/' not in text
    # Where mim and the wheel have them.
    assert (REPOSITORY / 'mmosnet' / '.mim' / 'tools' / 'train.py').is_file()


def test_every_tool_is_listed_and_every_page_is_there():
    listed = {Path(call[0]).name for job in JOBS for call in tool_calls(job.command)}
    assert listed == {path.name for path in (REPOSITORY / 'tools').iterdir() if path.suffix in ('.py', '.sh')}
    for job in JOBS:
        assert (REPOSITORY / 'docs' / job.page).is_file(), job


def test_the_index_of_the_documentation_has_the_same_commands():
    index = (REPOSITORY / 'docs' / 'README.md').read_text()
    for job in JOBS:
        assert re.search(rf'\| `{re.escape(job.command)}` \| \[[\w ]+\]\({job.page}', index), job


def test_extras_are_those_of_the_package():
    config = configparser.ConfigParser()
    config.read(REPOSITORY / 'setup.cfg')
    declared = {
        extra: {re.match(r'[\w-]+', line)[0] for line in lines.splitlines() if line.strip()}
        for extra, lines in config['options.extras_require'].items()
    }
    # What a user chooses from: not mmcv-lite, which is in the table of versions, nor those of developers.
    chosen = set(declared) - {'lite', 'tests', 'peer', 'all'}
    assert {extra: set(names) for extra, names in EXTRAS.items()} == {extra: declared[extra] for extra in chosen}


def test_what_is_missing_comes_with_its_command(monkeypatch):
    monkeypatch.setattr(program, 'installed', lambda name: {'mmengine': '0.10.7', 'pyarrow': '21.0'}.get(name))
    lines = list(program.version_lines())
    assert any(re.match(r'mmcv or mmcv-lite +missing', line) for line in lines)
    assert any(re.match(r"gallery .*'mmosnet\[gallery\]' \(missing: faiss-cpu, tabulate\)", line) for line in lines)
    assert any(re.match(r"onnx .* pip install 'mmosnet\[onnx\]'$", line) for line in lines)


def test_nothing_is_imported_to_list_it():
    code = (
        "import sys, types; package = types.ModuleType('mmosnet'); package.__path__ = ['mmosnet']; "
        "sys.modules['mmosnet'] = package; sys.argv = ['mmosnet']; import mmosnet.__main__ as program; program.main(); "
        "assert not {'torch', 'mmengine', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'tools/train.py' in done.stdout


def test_help(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['mmosnet', '--help'])
    with pytest.raises(SystemExit) as end:
        program.main()
    assert end.value.code == 0
    assert 'usage: python -m mmosnet' in capsys.readouterr().out
