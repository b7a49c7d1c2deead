"""Runs of the tools on a miniature data set, as a user starts them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.warm_process import TIMEOUT, WarmProcess
from tests.conftest import write_market

REPOSITORY = Path(__file__).resolve().parents[2]

CONFIG = """
_base_ = [
    '{configs}/models/osnet_reid.py',
    '{configs}/datasets/market1501.py',
    '{configs}/schedules/amsgrad_cosine_250e.py',
    '{configs}/default_runtime.py',
]
model = dict(backbone=dict(widen_factor=0.25), neck=dict(in_channels=128), head=dict(num_classes=6))
train_pipeline = [
    dict(type='mmosnet.LoadPersonImage'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='mmosnet.Random2DTranslation', prob=0.5),
    dict(type='mmosnet.RandomPatch', prob=0.5),
    dict(type='RandomErasing', erase_prob=0.5, mode='rand'),
    dict(type='ColorJitter', brightness=0.2, contrast=0.15),
    dict(type='PackInputs', algorithm_keys=('pid', 'camid', 'split')),
]
test_pipeline = [
    dict(type='mmosnet.LoadPersonImage'),
    dict(type='PackInputs', algorithm_keys=('pid', 'camid', 'split')),
]
train_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False,
                        dataset=dict(data_root='{data}', pipeline=train_pipeline))
val_dataloader = dict(batch_size=5, num_workers=0, persistent_workers=False,
                      dataset=dict(data_root='{data}', pipeline=test_pipeline))
test_dataloader = val_dataloader
param_scheduler = dict(T_max=4, end=4)
train_cfg = dict(max_epochs=4, val_interval=2)
default_hooks = dict(logger=dict(interval=1))
"""


class Workplace:
    """A folder with a miniature data set and a config for it, in which tools are run."""

    def __init__(self, folder: Path, warm_process: WarmProcess) -> None:
        self.folder = folder
        self.warm_process = warm_process
        self.data = write_market(folder / 'market')
        self.config = folder / 'tiny.py'
        self.config.write_text(CONFIG.format(configs=REPOSITORY / 'configs' / '_base_', data=self.data))

    def run(
        self,
        *arguments: str | Path,
        fresh: bool = False,
        launcher: tuple[str, ...] = (),
        processes: int = 1,
        limits: dict[str, int] | None = None,
    ) -> subprocess.CompletedProcess:
        """Run a tool in a process of its own.

        Args:
            arguments: The tool and its arguments.
            fresh: Share not even the imports with other runs; slower by these.
            launcher: Arguments of Python before the tool; the process is fresh then.
            processes: Number of processes of a distributed run.
            limits: Limits of the process, as in :meth:`WarmProcess.run`; not with ``fresh`` or a launcher.
        """
        tool, *rest = map(str, arguments)
        command = [str(REPOSITORY / 'tools' / tool), *rest]
        if not fresh and not launcher:
            return self.warm_process.run(command, self.folder, processes, limits)
        command = [sys.executable, *launcher, *command]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=TIMEOUT)

    def succeed(self, *arguments: str | Path, **options: object) -> str:
        """Run a tool that must end well; give its output. Options are those of :meth:`run`."""
        result = self.run(*arguments, **options)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout + result.stderr

    def fail(self, *arguments: str | Path, **options: object) -> str:
        """Run a tool that must end with an error for people; give its message."""
        result = self.run(*arguments, **options)
        assert result.returncode == 1
        assert 'Traceback' not in result.stderr
        error = result.stderr.strip().splitlines()[-1]
        assert error.startswith('error: ')
        return error


@pytest.fixture
def workplace(tmp_path: Path, warm_process: WarmProcess) -> Workplace:
    return Workplace(tmp_path, warm_process)
