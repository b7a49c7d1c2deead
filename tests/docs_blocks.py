"""The code blocks of the project's Markdown pages: what .ci/docs runs, and what tests/test_docs.py checks.

A line before a block says who runs it::

    <!-- not run: needs Market-1501 -->     nobody, for this reason
    <!-- ci: tests -->                      .ci/run, by this name

All other blocks of ``bash`` and ``python`` are run by .ci/docs. Blocks of other kinds show output and files. Only the
standard library is imported here: .ci/docs runs with any Python.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
LANGUAGES = ('bash', 'python')
FENCE = re.compile(r'\s*(```+)\s*(\w*)\s*$')
MARK = re.compile(r'\s*<!-- (not run|ci): (.+?) -->\s*$')
OPERATORS = '|&;<>()'
# An editable installation from a page's copy would turn the environment of all pages, and of whoever runs them, to it.
INSTALLERS = re.compile(
    r'\b(pip3?|pipx|uv|mim|conda|mamba|apt|apt-get)\b[^\n|;&]*\b(install|uninstall|sync|download)\b'
)


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        page: Path of the page below the repository.
        line: Of the first line inside the block, from 1.
        language: ``'bash'``, ``'python'``, or another one, or empty.
        text: What is inside.
        reason: Why it is not run; None where it is run.
        job: Name under which .ci/run runs it; None where it does not.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str | None = None
    job: str | None = None

    @property
    def is_run(self) -> bool:
        """Whether .ci/docs runs it."""
        return self.language in LANGUAGES and self.reason is None and self.job is None


@dataclass(frozen=True)
class Command:
    """A shell command of a block, which may go over several lines.

    Attributes:
        line: Of its first line in the page, from 1.
        text: The command, comments included.
    """

    line: int
    text: str


def pages(repository: Path = REPOSITORY) -> list[str]:
    """All Markdown pages that git knows or would add: the front page, docs/ in the order of its index, then others."""
    command = ['git', 'ls-files', '--cached', '--others', '--exclude-standard', '*.md']
    listed = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout.splitlines()
    found = [page for page in dict.fromkeys(listed) if (repository / page).is_file()]
    index = repository / 'docs' / 'README.md'
    order = re.findall(r'\]\((\w+\.md)', index.read_text(encoding='utf-8')) if index.is_file() else []
    first = ['README.md', 'docs/README.md', *(f'docs/{name}' for name in order)]
    return sorted(found, key=lambda page: (first.index(page) if page in first else len(first), page))


def read_blocks(page: str, text: str) -> list[Block]:
    """Find the code blocks of a page.

    Args:
        page: Its name, for the blocks.
        text: Its Markdown.

    Raises:
        ValueError: A block is not closed, or a mark has no block behind it.
    """
    blocks, lines = [], text.splitlines()
    mark, fence, start = None, None, 0
    for number, line in enumerate(lines, start=1):
        found = FENCE.match(line)
        if fence is not None:
            if found and found[1] == fence[1] and not found[2]:
                block = '\n'.join(lines[start : number - 1]) + '\n'
                kind, value = mark or (None, None)
                reason, job = (value if kind == name else None for name in ('not run', 'ci'))
                blocks.append(Block(page, start + 1, fence[2], block, reason, job))
                mark = fence = None
        elif found:
            fence, start = found, number
        elif MARK.match(line):
            mark = MARK.match(line).groups()
        elif mark is not None and line.strip():
            raise ValueError(f'{page}:{number}: no code block follows the mark "{mark[0]}: {mark[1]}"')
    if fence is not None:
        raise ValueError(f'{page}:{start}: the code block is not closed')
    return blocks


def commands_of(block: Block) -> list[Command]:
    """Cut a block of ``bash`` into commands. A loop, a here document or a continued line is one command.

    Raises:
        ValueError: The block's end is not the end of a command.
    """
    found, pending, first = [], [], 0
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        if not pending and (not line.strip() or line.lstrip().startswith('#')):
            continue
        first = first if pending else number
        pending.append(line)
        if _is_complete('\n'.join(pending)):
            found.append(Command(first, '\n'.join(pending)))
            pending = []
    if pending:
        raise ValueError(f'{block.page}:{first}: bash does not understand this command: {" ".join(pending)}')
    return found


def _is_complete(text: str) -> bool:
    if text.endswith('\\'):
        return False
    checked = subprocess.run(['bash', '-n'], input=text + '\n', capture_output=True, text=True)
    # A here document without its end is a warning only.
    return checked.returncode == 0 and not checked.stderr


def changes_environment(block: Block) -> bool:
    """Whether a block would be run and installs or removes packages, which it must not."""
    code = '\n'.join(line for line in block.text.splitlines() if not line.lstrip().startswith('#'))
    return block.is_run and INSTALLERS.search(code.replace('\\\n', ' ')) is not None


def tool_calls(command: str) -> list[list[str]]:
    """The calls of the project's tools in a shell command, each as the words from the script on.

    Examples:
        >>> tool_calls('FORCE=1 python tools/train.py configs/a.py --amp | tee log && ls')
        [['tools/train.py', 'configs/a.py', '--amp']]
    """
    splitter = shlex.shlex(command.replace('\\\n', ' '), posix=True, punctuation_chars=OPERATORS)
    splitter.whitespace_split = True
    calls, words = [], []
    for word in [*splitter, ';']:
        if not set(word) <= set(OPERATORS):
            words.append(word)
            continue
        while words and re.fullmatch(r'\w+=.*', words[0], re.DOTALL):
            words = words[1:]
        if words and words[0] in ('python', 'python3', 'bash') and words[1:]:
            words = words[1:] if words[1] != '-m' else words[2:]
            if words and (words[0].startswith('tools/') or words[0] == 'mmosnet'):
                calls.append(words)
        words = []
    return calls
