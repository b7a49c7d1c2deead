"""Run the commands of the documentation, as a reader would who types them one after the other.

Each page is run in a fresh copy of the repository, in one shell, so that it needs no other page. Pages are run side by
side, with one thread each, and printed in their order. Comments on what a command prints are not compared.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.docs_blocks import LANGUAGES, Block, changes_environment, commands_of, pages, read_blocks  # noqa: E402

# In front of the number of a command, in the output of a page's shell.
SIGN = '\x1e'
TIMEOUT = 900


@dataclass
class Step:
    """A command, or a block of Python, and what became of it.

    Attributes:
        place: Page and line.
        text: The command's first line, or ``python, N lines``.
        script: What the shell runs.
        start: Seconds on a clock; None where it was not reached.
        seconds: How long it took.
        output: What it printed, standard error included.
    """

    place: str
    text: str
    script: str
    start: float | None = None
    seconds: float = 0.0
    output: str = ''


@dataclass
class PageRun:
    """A page that was run.

    Attributes:
        page: Its path.
        steps: Its commands in their order.
        status: Of the shell: 0, or that of the command that failed.
    """

    page: str
    steps: list[Step]
    status: int = 0


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='.ci/docs', description=__doc__)
    parser.add_argument('pages', nargs='*', metavar='PAGE', help='only these, docs/gallery.md for instance (all)')
    parser.add_argument(
        '--python', default=sys.executable, help='of the environment whose programs the commands run (this one)'
    )
    parser.add_argument('--jobs', type=int, default=os.cpu_count(), help='pages at once (one for each processor)')
    parser.add_argument('--verbose', action='store_true', help='print the output of all commands')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    known = pages(REPOSITORY)
    unknown = sorted(set(args.pages) - set(known))
    if unknown:
        sys.exit(f'error: no page {", ".join(unknown)}; there are {", ".join(known)}')
    blocks = [
        block
        for page in args.pages or known
        for block in read_blocks(page, (REPOSITORY / page).read_text(encoding='utf-8'))
        if block.language in LANGUAGES
    ]
    check_environment_stays(blocks)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='docs') as scratch, ThreadPoolExecutor(args.jobs) as pool:
        runs = [PageRun(page, steps_of(blocks, page)) for page in dict.fromkeys(b.page for b in blocks if b.is_run)]
        tasks = [pool.submit(run_page, run, Path(scratch), args.python) for run in runs]
        for run, task in zip(runs, tasks, strict=True):
            task.result()
            print(page_report(run, args.verbose), flush=True)
    failed = [run.page for run in runs if run.status]
    print(left_out_report(blocks))
    number = sum(len(run.steps) for run in runs)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = f'{used.ru_utime + used.ru_stime:.0f} s of processor time'
    print(f'\n{number} commands of {len(runs)} pages, {time.monotonic() - began:.0f} s, {processor}')
    if failed:
        sys.exit(f'error: commands failed in {", ".join(failed)}')


def check_environment_stays(blocks: Sequence[Block]) -> None:
    """Refuse, before anything is run, blocks that would change the environment."""
    found = [f'{block.page}:{block.line}' for block in blocks if changes_environment(block)]
    if found:
        sys.exit(
            f'error: {", ".join(found)} would change the environment that all pages run in: put the line '
            '<!-- not run: REASON --> before the block'
        )


def steps_of(blocks: Sequence[Block], page: str) -> list[Step]:
    """What is run of a page."""
    steps = []
    for block in blocks:
        if block.page != page or not block.is_run:
            continue
        if block.language == 'bash':
            steps += [Step(f'{page}:{c.line}', _first_line(c.text), c.text) for c in commands_of(block)]
        else:
            text = f'python, {len(block.text.splitlines())} lines'
            # From a file, so that processes that the code starts find its functions.
            script = f"cat > .docs_block.py <<'END_OF_BLOCK'\n{block.text}END_OF_BLOCK\npython .docs_block.py"
            steps.append(Step(f'{page}:{block.line}', text, script))
    return steps


def _first_line(command: str) -> str:
    first, *others = command.splitlines()
    return first + f'  (and {len(others)} lines)' * bool(others)


def run_page(run: PageRun, scratch: Path, python: str) -> None:
    """Run a page's commands in a copy of the repository; fill in its steps and its status."""
    folder = scratch / run.page.replace('/', '_')
    copy_repository(folder)
    script = 'set -euo pipefail\n' + ''.join(
        f"printf '\\n{SIGN}{number}\\n'\n{step.script}\n" for number, step in enumerate(run.steps)
    )
    environment = dict(os.environ, OMP_NUM_THREADS='1', MKL_NUM_THREADS='1', PYTHONUNBUFFERED='1')
    environment.pop('PYTHONPATH', None)
    # Whatever gets past check_environment_stays: pip says what it would do, and does nothing.
    environment['PIP_DRY_RUN'] = '1'
    environment['PATH'] = f'{Path(python).absolute().parent}{os.pathsep}{os.environ["PATH"]}'
    (folder / '.docs_page.sh').write_text(script, encoding='utf-8')
    with subprocess.Popen(
        ['timeout', str(TIMEOUT), 'bash', '.docs_page.sh'],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
    ) as shell:
        step = None
        for line in shell.stdout:
            if line.startswith(SIGN):
                step = end_and_start(step, run.steps[int(line[1:])])
            elif step is not None:
                step.output += line
    end_and_start(step, None)
    run.status = shell.returncode
    shutil.rmtree(folder)


def copy_repository(folder: Path) -> None:
    """Copy what git knows or would add: in a clean clone the clone, else the work in progress."""
    command = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for name in filter(None, dict.fromkeys(listed.split('\0'))):
        source, target = REPOSITORY / name, folder / name
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def end_and_start(step: Step | None, following: Step | None) -> Step | None:
    """Note the time at which one command ended and the next one began."""
    now = time.monotonic()
    if step is not None:
        step.seconds = now - step.start
    if following is not None:
        following.start = now
    return following


def page_report(run: PageRun, verbose: bool) -> str:
    """Page, line, command and seconds of each command; the output of one that failed."""
    lines = [f'\n== {run.page}, {sum(step.seconds for step in run.steps):.1f} s ==']
    last = max((index for index, step in enumerate(run.steps) if step.start is not None), default=-1)
    for index, step in enumerate(run.steps[: last + 1]):
        lines.append(f'{step.place}  {step.seconds:5.1f} s  {step.text}')
        if verbose or (run.status and index == last):
            lines += [f'    {line}' for line in step.output.splitlines()]
    if run.status:
        place = run.steps[last].place if run.steps and last >= 0 else run.page
        why = f'not done within {TIMEOUT} s' if run.status == 124 else f'status {run.status}'
        lines.append(f'FAILED ({why}): {place}; {len(run.steps) - last - 1} commands after it were not run')
    return '\n'.join(lines)


def left_out_report(blocks: Sequence[Block]) -> str:
    """The blocks that are not run here, each with the reason."""
    lines = ['\n== not run here ==']
    for block in blocks:
        if not block.is_run:
            lines.append(f'{block.page}:{block.line}  {block.reason or f".ci/run runs it: {block.job}"}')
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
