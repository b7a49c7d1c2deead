"""Trainings that a command starts one after the other, each in a process of its own, and may be asked for again."""

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
from mmosnet.io.files import whole_file

# How a command is started: works from a clone and from a wheel.
COMMAND = (sys.executable, '-m', 'mmosnet')
# Exit codes of a command that was interrupted, before and after it has prepared for it.
INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)
# How long an interrupted command may take to end.
END_SECONDS = 30
# What an interrupted series of trainings says.
GOES_ON = 'the same command goes on from here'

# Settings that may differ between a training and its continuation.
MAY_DIFFER = ('work_dir', 'visualizer', 'train_cfg.max_epochs')


def trained_metrics(work_dir: Path) -> dict | None:
    """Return the metrics of the last evaluation in a training's work directory; None without one."""
    last = read_results(work_dir).get('last')
    return None if last is None else last['metrics']


def train(name: str, cfg: Config, work_dir: Path) -> bool:
    """Train a config in a process of its own, or go on where it was interrupted; do nothing if it is finished.

    Args:
        name: Name of this training: its config is written as ``work_dir/name.py``, its results go to ``work_dir/name``.
        cfg: The config.
        work_dir: Of all trainings of the command.

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
    run_command(f'training {name}', 'train', config, '--work-dir', work_dir / name, '--resume')
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


def evaluate(name: str, cfg: Config, work_dir: Path, checkpoint: Path) -> None:
    """Evaluate a checkpoint in a process of its own; results as of :func:`train`.

    Raises:
        DataError: The evaluation failed; says why.
    """
    config = _write_config(name, cfg, work_dir)
    run_command(f'testing {name}', 'test', config, checkpoint, '--work-dir', work_dir / name)


def _write_config(name: str, cfg: Config, work_dir: Path) -> Path:
    with whole_file(work_dir / f'{name}.py') as draft:
        cfg.dump(draft)
    return work_dir / f'{name}.py'


def run_command(what: str, *command: str | Path) -> None:
    """Run a command of ``mmosnet`` in a process of its own.

    Args:
        what: What it does, for errors.
        command: Its name and arguments.

    Raises:
        DataError: It failed.
        KeyboardInterrupt: It was interrupted.
    """
    process = subprocess.Popen([*COMMAND, *map(str, command)], stderr=subprocess.PIPE, text=True, errors='replace')
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
