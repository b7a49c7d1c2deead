"""The machine and the software that figures belong to."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from mmosnet.version import __version__

PACKAGES = (
    'torch',
    'torchvision',
    'mmengine',
    'mmcv',
    'mmcv-lite',
    'mmpretrain',
    'numpy',
    'scipy',
    'pillow',
    'opencv-python',
    'torchreid',
    'onnxruntime',
    'openvino',
)
# Of x86 processors, those that decide how fast convolutions are.
INSTRUCTION_SETS = ('avx2', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'avx_vnni', 'amx_bf16', 'amx_int8')


def num_cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def describe_machine(threads: int) -> dict:
    """Describe the machine and the software, without names of people or places.

    Args:
        threads: Given to PyTorch and the runtimes.
    """
    cpu = _read('/proc/cpuinfo')
    model = re.search(r'^model name\s*: (.+)$', cpu, re.M)
    flags = re.search(r'^flags\s*: (.+)$', cpu, re.M)
    found = set(flags[1].split()) if flags else set()
    memory = re.search(r'MemTotal:\s+(\d+) kB', _read('/proc/meminfo'))
    cuda = torch.cuda.is_available()
    return dict(
        cpu=model[1] if model else platform.processor() or platform.machine(),
        instruction_sets=[name for name in INSTRUCTION_SETS if name in found],
        cores=num_cores(),
        threads=threads,
        memory_gib=round(int(memory[1]) / 2**20, 1) if memory else None,
        gpu=torch.cuda.get_device_name() if cuda else None,
        cuda=torch.version.cuda if cuda else None,
        os=f'{platform.system()} {platform.release()}',
        python=platform.python_version(),
        mmosnet=__version__,
        revision=revision(),
        packages={name: found for name in PACKAGES if (found := installed_version(name)) is not None},
    )


def installed_version(package: str) -> str | None:
    """Version of a package, None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def revision() -> str | None:
    """The git revision of this package's repository, with ``-dirty`` if files differ; None outside one."""
    command = ['git', 'describe', '--always', '--dirty', '--exclude=*']
    try:
        result = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return None
    return result.stdout.strip() or None if result.returncode == 0 else None


def _read(path: str) -> str:
    """A file of Linux; empty elsewhere."""
    return Path(path).read_text() if Path(path).is_file() else ''
