"""Trainings that a tool starts one after the other, each in a process of its own, and may be asked for again."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.config import Config

from mmosnet.engine.results_file import read_results
from mmosnet.engine.resume import checkpoint_files
from mmosnet.errors import DataError
from mmosnet.whole_file import whole_file

# Exit codes of a tool that was interrupted, before and after it has prepared for it.
INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)
# How long an interrupted tool may take to end.
END_SECONDS = 30
# What an interrupted series of trainings says.
GOES_ON = 'the same command goes on from here'

# Settings that may differ between a training and its continuation.
MAY_DIFFER = ('work_dir', 'visualizer', 'train_cfg.max_epochs')


def trained_metrics(work_dir: Path) -> dict | None:
    """Return the metrics of the last evaluation in a training's work directory; None without one."""
    last = read_results(work_dir).get('last')
    return None if last is None else last['metrics']


def train(name: str, cfg: Config, work_dir: Path, train_tool: Path) -> bool:
    """Train a config in a separate process or resume it where it was interrupted; skip finished trainings.

    Args:
        name: Name of this training: its config is written as ``work_dir/name.py``, its results go to ``work_dir/name``.
        cfg: The config.
        work_dir: Work directory of all trainings of the command.
        train_tool: ``tools/train.py``.

    Returns:
        Whether there was something to train.

    Raises:
        DataError: The training failed; says why. Or an earlier one with other settings is there.
        KeyboardInterrupt: It was interrupted.
    """
    last = read_results(work_dir / name).get('last')
    if last is not None or checkpoint_files(work_dir / name):
        _check_same(name, cfg, work_dir)
        if last is not None and last['epoch'] == cfg.train_cfg.max_epochs:
            return False
    config = _write_config(name, cfg, work_dir)
    run_tool(f'training {name}', train_tool, config, '--work-dir', work_dir / name, '--resume')
    return True


def _check_same(name: str, cfg: Config, work_dir: Path) -> None:
    """Refuse to reuse or resume a training that has other settings."""
    path = work_dir / f'{name}.py'
    if not path.is_file():
        return
    with TemporaryDirectory() as folder:
        # Dumped and read again as the other was: lists and tuples, dicts of different classes.
        cfg.dump(Path(folder) / path.name)
        before, now = (_flat(Config.fromfile(file).to_dict()) for file in (path, Path(folder) / path.name))
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if changed:
        raise DataError(
            f'{work_dir / name} was trained with other settings ({", ".join(changed[:3])}); give another --work-dir, '
            'or delete it'
        )


def _flat(settings: dict, prefix: str = '') -> dict:
    """Return settings by dotted name."""
    flat = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f'{prefix}{key}.')
        else:
            flat[prefix + str(key)] = value
    return {
        key: value for key, value in flat.items() if not key.startswith(('work_dir', 'visualizer', 'train_cfg.max'))
    }


def evaluate(name: str, cfg: Config, work_dir: Path, test_tool: Path, checkpoint: str | Path) -> None:
    """Evaluate a checkpoint in a separate process; the results are those of :func:`train`.

    Raises:
        DataError: The evaluation failed; says why.
    """
    config = _write_config(name, cfg, work_dir)
    run_tool(f'testing {name}', test_tool, config, checkpoint, '--work-dir', work_dir / name)


def _write_config(name: str, cfg: Config, work_dir: Path) -> Path:
    with whole_file(work_dir / f'{name}.py') as draft:
        cfg.dump(draft)
    return work_dir / f'{name}.py'


def run_tool(what: str, *command: str | Path) -> None:
    """Run one of our tools.

    Raises:
        DataError: It failed.
        KeyboardInterrupt: It was interrupted.
    """
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], stderr=subprocess.PIPE, text=True, errors='replace'
    )
    fault = 'see above'
    try:
        for line in process.stderr:
            # Its last line becomes part of ours; of an interruption ours says more.
            if line.startswith('error: '):
                fault = line.removeprefix('error: ').strip()
            elif not line.startswith('interrupted'):
                print(line, end='', file=sys.stderr, flush=True)
        code = process.wait()
    except BaseException:
        # Ctrl-C in a terminal has reached it too, and a second kind of signal does no more. A signal to this process
        # alone has not.
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    if code in INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise DataError(f'{what} failed: {fault}; once mended, {GOES_ON}')
