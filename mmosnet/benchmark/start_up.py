"""How long a user waits: for ``--help``, and from starting a training to the end of its first iteration."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from mmosnet.benchmark.drawn_images import DrawnImages, drawn_images
from mmosnet.benchmark.epoch import PEER_TRAINING
from mmosnet.benchmark.fresh_process import child_environment
from mmosnet.benchmark.peer import has_peer, why_no_peer
from mmosnet.benchmark.row import Case, Contest, Lap, NotMeasured, Settings
from mmosnet.benchmark.target import Target
from mmosnet.errors import DataError

REPOSITORY = Path(__file__).resolve().parents[2]
# The demo: x0.25, 128x64, batch 32, one worker.
DEMO = 'osnet_reid_synthetic.py'
HEIGHT, WIDTH, BATCH, WORKERS = 128, 64, 32, 1
NUM_PIDS, QUICK_PIDS = 54, 2
# What each side logs after its first iteration.
OUR_LINE, PEER_LINE = r'Epoch\(train\)\s+\[1\]\[\s*1/', r'epoch: \[1/1\]\[1/'
PATIENCE = 300


def cases(settings: Settings) -> Sequence[Case]:
    """``--help`` and the first iteration of the demo."""
    return [
        Case('tools/train.py --help', partial(help_contest, settings), Target(seconds=1)),
        Case('first iteration of the demo', partial(first_iteration_contest, settings), Target(ratio=1)),
    ]


def help_contest(settings: Settings) -> Contest:
    """Ours alone: the peer's package has no command."""
    command = [sys.executable, str(_tool('train.py')), '--help']
    return Contest(ours=lambda: seconds_until(command, 'usage: ', settings.threads, to_end=True), repeats=9)


def first_iteration_contest(settings: Settings) -> Contest:
    """Both sides train the same network on the same images with their own loaders."""
    images = drawn_images(settings, QUICK_PIDS if settings.quick else NUM_PIDS)
    images.make()
    numbers = map(str, (HEIGHT, WIDTH, BATCH, WORKERS, 1))
    peer = [sys.executable, '-u', str(PEER_TRAINING), str(images.root), *numbers]
    return Contest(
        ours=lambda: our_first_iteration(images, settings.threads),
        peer=(lambda: seconds_until(peer, PEER_LINE, settings.threads)) if has_peer() else None,
        no_peer=why_no_peer(),
        repeats=5,
    )


def our_first_iteration(images: DrawnImages, threads: int) -> Lap:
    """``tools/train.py`` with the demo's config until it has logged its first iteration."""
    with TemporaryDirectory() as work_dir:
        loaders = ('train', 'val', 'test')
        command = [
            *(sys.executable, '-u', str(_tool('train.py')), str(REPOSITORY / 'configs' / DEMO)),
            *('--work-dir', work_dir, '--data-root', str(images.folder), '--cfg-options'),
            *('default_hooks.logger.interval=1', f'model.head.num_classes={images.num_pids}'),
            # The demo would draw people of its own into the folder.
            *(f'{loader}_dataloader.dataset.type=mmosnet.Market1501' for loader in loaders),
            *(f'{loader}_dataloader.dataset.check_counts=False' for loader in loaders),
        ]
        return seconds_until(command, OUR_LINE, threads)


def seconds_until(command: Sequence[str], pattern: str, threads: int, to_end: bool = False) -> Lap:
    """Start a command and wait for a line of its output; then end it, unless it is to end by itself.

    Raises:
        NotMeasured: It ended without such a line; gives its last one.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        list(command),
        env=child_environment(threads),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # With its workers it is a group of processes, ended together.
        start_new_session=True,
    )
    line, found = '', False
    try:
        for line in process.stdout:
            found = found or re.search(pattern, line) is not None
            if found and not to_end:
                break
        if to_end:
            process.wait(PATIENCE)
        seconds = time.perf_counter() - start
    finally:
        _end(process)
    if not found:
        raise NotMeasured(f'{Path(command[-1]).name} ended without the line waited for: {line.strip()}')
    return Lap(seconds)


def _end(process: subprocess.Popen) -> None:
    """End a process and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def _tool(name: str) -> Path:
    path = REPOSITORY / 'tools' / name
    if not path.is_file():
        raise DataError(f'no tools/{name}: run the benchmark in a clone of the repository')
    return path
