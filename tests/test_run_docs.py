"""The script behind .ci/docs: commands run in order, in one shell, and a failure says where."""

import importlib.util
import sys

import pytest

from tests.docs_blocks import REPOSITORY, read_blocks

TICK = '```'


@pytest.fixture
def script(monkeypatch):
    """``.ci/run_docs.py``, without copies of the repository."""
    spec = importlib.util.spec_from_file_location('run_docs', REPOSITORY / '.ci' / 'run_docs.py')
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, 'run_docs', module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'copy_repository', lambda folder: folder.mkdir())
    return module


def run(script, folder, text: str):
    blocks = read_blocks('docs/page.md', text)
    page = script.PageRun('docs/page.md', script.steps_of(blocks, 'docs/page.md'))
    script.run_page(page, folder, sys.executable)
    return page, blocks


def test_commands_share_a_shell_and_python_blocks_run_in_their_place(script, tmp_path):
    text = (
        f'{TICK}bash\nname=somebody\necho "hello $name" > greeting\n{TICK}\n'
        f"{TICK}python\nprint(open('greeting').read() * 2)\n{TICK}\n"
        f'{TICK}bash\nrm greeting; python --version\n{TICK}\n{TICK}\noutput\n{TICK}\n'
    )
    page, _ = run(script, tmp_path, text)
    assert (page.status, len(page.steps)) == (0, 4)
    assert page.steps[2].output.split() == ['hello', 'somebody'] * 2
    assert page.steps[3].output.split() == ['Python', '.'.join(map(str, sys.version_info[:3]))]
    report = script.page_report(page, verbose=False)
    assert 'docs/page.md:2 ' in report and 'docs/page.md:6 ' in report and 'hello somebody' not in report
    assert 'hello somebody' in script.page_report(page, verbose=True)


@pytest.mark.parametrize('failing', ['ls nowhere', 'ls nowhere | cat', 'echo $undefined'])
def test_a_failing_command_ends_the_page_and_shows_its_output(script, tmp_path, failing):
    page, _ = run(script, tmp_path, f'{TICK}bash\necho before\n{failing}\necho after > {tmp_path}/reached\n{TICK}\n')
    assert page.status != 0
    assert not (tmp_path / 'reached').exists()
    report = script.page_report(page, verbose=False)
    assert f'FAILED (status {page.status}): docs/page.md:3; 1 commands after it were not run' in report
    assert 'nowhere' in report.partition('docs/page.md:3')[2] or 'undefined' in report
    assert '\n    before' not in report


def test_what_is_left_out_is_listed_with_its_reason(script, tmp_path):
    text = (
        f'<!-- not run: needs a GPU -->\n{TICK}bash\nexit 1\n{TICK}\n<!-- ci: tests -->\n{TICK}bash\nexit 1\n{TICK}\n'
    )
    page, blocks = run(script, tmp_path, text)
    assert (page.status, page.steps) == (0, [])
    report = script.left_out_report(blocks)
    assert 'docs/page.md:3  needs a GPU' in report and 'docs/page.md:7  .ci/run runs it: tests' in report
