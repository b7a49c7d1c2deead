"""Run the code blocks of Markdown pages as tests: ``pytest -p tests.documentation PAGE ...``, or ``.ci/docs``.

Sybil finds the blocks. Those of ``bash`` and ``python`` run in their order, each in a process of its own, in a copy of
the repository that belongs to the page: blocks share files, and no page needs another one. After a failure the rest of
the page is skipped. A line before a block keeps it from being run here::

    <!-- not run: needs Market-1501 -->     for this reason
    <!-- ci: tests -->                      .ci/run runs it, by this name
    <!-- needs: norfair -->                 where these packages are installed
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser

REPOSITORY = Path(__file__).resolve().parents[1]
LANGUAGES = ('bash', 'python')
MARK = re.compile(r'^\s*<!-- (not run|ci|needs): (.+?) -->\s*$', re.MULTILINE)
#: Seconds for one block.
TIMEOUT = 900
# An editable installation from a page's copy would turn the environment that runs the pages to that copy.
INSTALLERS = re.compile(
    r'^[^#\n]*\b(pip3?|pipx|uv|mim|conda|mamba|apt|apt-get)\b[^\n|;&]*\b(install|uninstall|sync|download)\b',
    re.MULTILINE,
)


def pages() -> list[str]:
    """Return the paths of all Markdown pages that git tracks or would add, sorted."""
    return sorted(name for name in tracked_files() if name.endswith('.md'))


def tracked_files() -> list[str]:
    """Return the paths of all files that git tracks or would add, below the repository."""
    command = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split('\0')
    return [name for name in dict.fromkeys(listed) if name and os.path.lexists(REPOSITORY / name)]


def mark_of(example: Example) -> tuple[str, str] | None:
    """Return kind and text of the mark on the line before a block; None where there is none."""
    above = example.document.text[: example.start].rstrip()
    mark = MARK.match(above[above.rfind('\n') + 1 :])
    return mark.groups() if mark else None


def installs(example: Example) -> bool:
    """Return whether a block installs or removes packages."""
    return INSTALLERS.search(str(example.parsed).replace('\\\n', ' ')) is not None


def run_block(example: Example) -> None:
    """Run a block in the page's copy of the repository; skip it if a mark says so, or an earlier block failed."""
    mark = mark_of(example)
    if mark is not None and mark[0] == 'needs':
        if missing := [name for name in mark[1].split() if find_spec(name) is None]:
            pytest.skip(f'not installed: {", ".join(missing)}')
    elif mark is not None:
        pytest.skip(mark[1] if mark[0] == 'not run' else f'.ci/run runs it: {mark[1]}')
    page = example.namespace
    if page.get('failed'):
        pytest.skip(f'line {page["failed"]} failed')
    page['failed'] = example.line
    if installs(example):
        pytest.fail('changes the environment: put <!-- not run: REASON --> on the line before the block', pytrace=False)
    if 'folder' not in page:
        page['folder'] = copy_repository()
    if example.region.lexemes['arguments'] == 'python':
        # From a file, so that processes that the code starts find its functions.
        (page['folder'] / '.docs_block.py').write_text(example.parsed, encoding='utf-8')
        command = [sys.executable, '.docs_block.py']
    else:
        command = ['bash', '-euxo', 'pipefail', '-c', example.parsed]
    environment = dict(os.environ, OMP_NUM_THREADS='1', MKL_NUM_THREADS='1', PYTHONUNBUFFERED='1', PIP_DRY_RUN='1')
    environment.pop('PYTHONPATH', None)
    environment['PATH'] = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    done = subprocess.run(
        ['timeout', str(TIMEOUT), *command],
        cwd=page['folder'],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
    )
    print(done.stdout)
    if done.returncode:
        why = f'not done within {TIMEOUT} s' if done.returncode == 124 else f'status {done.returncode}'
        pytest.fail(f'{example.path}:{example.line}: {why}', pytrace=False)
    page['failed'] = None


def copy_repository() -> Path:
    """Copy what git tracks or would add into a new folder: in a clean clone the clone, else the work in progress."""
    folder = Path(tempfile.mkdtemp(prefix='docs'))
    for name in tracked_files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, target, follow_symlinks=False)
    return folder


def remove_copy(page: dict) -> None:
    """Remove the copy of a page, if one was made."""
    if 'folder' in page:
        shutil.rmtree(page['folder'], ignore_errors=True)


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser(language, run_block) for language in LANGUAGES],
    path='/',
    pattern='*.md',
    teardown=remove_copy,
).pytest()
