"""Report what is installed here, what is missing, and what will be slow and why.

Lists versions and whether they are supported, optional packages and their use, the processor, the GPU, and folders that
must be writable. The exit code is 1 if something that training needs is missing or broken, or a folder is not writable.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any

from mmosnet.cli.table import table
from mmosnet.compatibility import config_files, config_folder
from mmosnet.version import __version__

PAGE = 'getting_started.md'
EXAMPLES = """
  mmosnet doctor
  mmosnet doctor --json          the report as JSON
"""
# The parts of the stack with the distributions that provide them: one of several forks and variants is installed.
STACK = {
    'torch': ('torch',),
    'torchvision': ('torchvision',),
    'mmengine': ('mmengine', 'onedl-mmengine'),
    'mmcv': ('mmcv-lite', 'mmcv', 'onedl-mmcv'),
    'mmpretrain': ('mmpretrain', 'onedl-mmpretrain'),
    'opencv': (
        'opencv-python',
        'opencv-python-headless',
        'opencv-contrib-python',
        'opencv-contrib-python-headless',
    ),
    'numpy': ('numpy',),
}
#: Use of each extra of the distribution, except those for developers.
EXTRAS = {
    'lite': 'training: mmengine, mmcv-lite and mmpretrain, the last releases of OpenMMLab',
    'onedl': 'training: the maintained forks of these three; take one of the two',
    'weights': "download of the authors' released weights",
    'matlab': 'CUHK03 as downloaded',
    'onnx': 'export to ONNX, and inference without torch',
    'openvino': 'export to OpenVINO, the fastest on CPUs, also in 8 bits',
    'gallery': 'extraction of features, and galleries to search',
    'milvus': 'galleries in Milvus',
    'demo': 'the page of "mmosnet demo"',
    'trackers': 'the trackers of docs/trackers.md',
    'completion': 'shell completion of commands and names of configs',
}
# Seconds for the process that imports torch and the rest of the stack. A broken build may end that process.
PROBE_SECONDS = 120
PROBE = """
import json, sys
import torch
report = dict(threads=torch.get_num_threads(), capability=torch.backends.cpu.get_cpu_capability(), gpus=[])
if torch.cuda.is_available():
    report['gpus'] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
report['cuda'] = torch.version.cuda
print(json.dumps(report), flush=True)
from mmosnet.engine.runner import bfloat16_pays
print(json.dumps(dict(bfloat16=bfloat16_pays())), flush=True)
"""
FLAGS = dict(avx2='AVX2', avx512f='AVX-512', avx512_bf16='AVX-512 bf16', amx_bf16='AMX bf16', asimd='NEON', bf16='bf16')
# Bytes. Workers of a data loader pass batches in shared memory, of which a container has 64 MB by default.
SHARED_MEMORY = 1 << 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument('--json', action='store_true', help='print JSON')


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    report = examine()
    print(json.dumps(report, indent=2) if args.json else '\n'.join(report_lines(report)))
    return 1 if report['problems'] else 0


def version_lines() -> list[str]:
    """Return the versions of the stack for ``mmosnet --version``, without importing it."""
    rows = [('mmosnet', __version__), ('Python', platform.python_version())]
    rows += [(part['distribution'] or part['name'], part['version'] or 'missing') for part in stack()]
    return [f'{name} {number}' for name, number in rows]


def stack() -> list[dict]:
    """Return name, distribution, version, supported window and problem of each part of the stack."""
    windows = {requirement.name: str(requirement.specifier) for requirement in _requirements()}
    parts = []
    for name, distributions in STACK.items():
        installed = [distribution for distribution in distributions if _version(distribution)]
        distribution = installed[0] if installed else None
        number = _version(distribution) if distribution else None
        window = next((windows[d] for d in [*installed, *distributions] if d in windows), '')
        problem = ''
        if distribution is None:
            problem = f'missing: pip install "{distributions[0]}{window}"'
        elif not _inside(number, window):
            problem = f'not supported: pip install "{distribution}{window}"'
        elif len(installed) > 1:
            problem = f'{" and ".join(installed)} install the same files: pip uninstall all but one'
        parts.append(dict(name=name, distribution=distribution, window=window, problem=problem, version=number))
    return parts


def extras() -> list[dict]:
    """Return name, use, packages and missing packages of each extra, from the metadata of the distribution."""
    listed = []
    for name, use in EXTRAS.items():
        packages = [requirement for requirement in _requirements() if _belongs(requirement, name)]
        missing = [f'{r.name}{r.specifier}' for r in packages if not _version(r.name)]
        if packages:
            listed.append(dict(name=name, use=use, packages=[r.name for r in packages], missing=missing))
    return listed


def examine() -> dict:
    """Return the whole report."""
    report: dict[str, Any] = dict(mmosnet=__version__, python=platform.python_version(), stack=stack(), extras=extras())
    report['others_missing'] = _missing_others()
    report['processor'] = processor()
    report['torch'] = probe()
    report['folders'] = folders()
    report['configs'] = dict(folder=str(config_folder()), number=len(config_files()))
    report['problems'] = list(_problems(report))
    report['slow'] = list(_slow(report))
    return report


def processor() -> dict:
    """Return the machine, the number of processors that this process may use, and their vector instructions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    try:
        text = Path('/proc/cpuinfo').read_text()
    except OSError:
        # macOS and Windows do not have it; the report then takes what torch says.
        text = ''
    match = re.search(r'^(?:flags|Features)\s*:(.*)$', text, re.MULTILINE)
    flags = set(match[1].split()) if match else set()
    return dict(
        machine=platform.machine(),
        system=platform.system(),
        cores=cores,
        features=[name for flag, name in FLAGS.items() if flag in flags],
        threads_variable=os.environ.get('OMP_NUM_THREADS'),
    )


def probe() -> dict:
    """Return what torch reports about this machine, or an ``error`` if torch or the stack cannot be imported."""
    if _version('torch') is None:
        return {}
    report: dict = {}
    try:
        done = subprocess.run(
            [sys.executable, '-c', PROBE], capture_output=True, text=True, errors='replace', timeout=PROBE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return dict(error=f'importing torch and mmosnet takes more than {PROBE_SECONDS} seconds')
    for line in done.stdout.splitlines():
        if line.startswith('{'):
            report |= json.loads(line)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        ended = f'the process ended with {done.returncode}'
        report['error'] = lines[-1] if lines and done.returncode > 0 else ended
    return report


def folders() -> list[dict]:
    """Return use, path and problem of each folder that must be writable."""
    checked = []
    for use, name in (('home', '~'), ('temporary files', None), ('this folder', '.')):
        problem = ''
        try:
            folder = Path(tempfile.gettempdir() if name is None else name).expanduser().resolve()
            with tempfile.TemporaryFile(dir=folder):
                pass
        except (OSError, RuntimeError) as e:
            folder, problem = Path(name or 'TMPDIR'), str(e)
        checked.append(dict(use=use, folder=str(folder), problem=problem))
    return checked


def report_lines(report: dict) -> Iterator[str]:
    """Yield the lines of the report."""
    rows = [('installed', 'version', 'supported', '')]
    rows += [('mmosnet', report['mmosnet'], '', ''), ('Python', report['python'], _python_window(), '')]
    for part in report['stack']:
        rows.append((part['distribution'] or part['name'], part['version'] or '-', part['window'], part['problem']))
    yield from table(rows)
    yield ''
    extra_rows = [('extra', 'use', 'state')]
    for extra in report['extras']:
        state = f'pip install {" ".join(map(_quoted, extra["missing"]))}' if extra['missing'] else 'installed'
        extra_rows.append((extra['name'], extra['use'], state))
    yield from table(extra_rows)
    yield ''
    cpu, torch = report['processor'], report['torch']
    features = ', '.join(cpu['features']) or torch.get('capability') or 'unknown'
    yield f'processor  {cpu["system"]} {cpu["machine"]}, {cpu["cores"]} cores for this process, {features}'
    if 'threads' in torch:
        yield f'torch      {torch["threads"]} threads, kernels for {torch["capability"]}'
        gpus = ', '.join(torch['gpus']) or ('none' if torch['cuda'] else 'none, and this torch is built without CUDA')
        yield f'GPU        {gpus}'
        if 'bfloat16' in torch:
            yield f'--amp      {"pays" if torch["bfloat16"] else "leave it out: bfloat16 is emulated here"}'
    for folder in report['folders']:
        yield f'folder     {folder["folder"]} ({folder["use"]}): {folder["problem"] or "writable"}'
    yield f'configs    {report["configs"]["number"]} in {report["configs"]["folder"]}'
    for title, lines in (('slow here', report['slow']), ('problems', report['problems'])):
        yield ''
        yield f'{title}: {"" if lines else "none"}'.rstrip()
        yield from (f'- {line}' for line in lines)


def _problems(report: dict) -> Iterator[str]:
    """Yield the problems that keep commands from working."""
    window = _python_window()
    if not _inside(report['python'], window):
        yield f'Python {report["python"]} is not supported: {window}'
    for part in report['stack']:
        if part['problem']:
            yield f'{part["name"]}: {part["problem"]}'
    if report['others_missing']:
        yield f'missing: pip install {" ".join(map(_quoted, report["others_missing"]))}'
    if any(part['problem'] for part in report['stack']):
        yield 'until then, exported models, extraction with them and galleries work: these need no torch'
    if 'error' in report['torch']:
        yield f'torch, or what builds on it, cannot be imported: {report["torch"]["error"]}'
    for folder in report['folders']:
        if folder['problem']:
            yield f'{folder["folder"]} ({folder["use"]}) is not writable: {folder["problem"]}'
    if not report['configs']['number']:
        yield f'no configs in {report["configs"]["folder"]}: install mmosnet again'


def _slow(report: dict) -> Iterator[str]:
    """Yield the reasons why something will be slow."""
    cpu, torch = report['processor'], report['torch']
    if 'threads' in torch and not torch['gpus']:
        yield (
            'no GPU: recipes of 150 epochs and more take days to weeks; the synthetic configs, x0.25, inference and '
            'export are made for a CPU'
        )
    if torch.get('bfloat16') is False:
        yield 'no AVX-512: bfloat16 is emulated, about 10 times slower than float32; leave --amp out'
    if cpu['threads_variable'] and torch.get('threads', cpu['cores']) < cpu['cores']:
        yield (
            f'OMP_NUM_THREADS={cpu["threads_variable"]}: torch computes with {torch.get("threads")} threads, there '
            f'are {cpu["cores"]} cores'
        )
    elif torch.get('threads', cpu['cores']) < cpu['cores'] // 2:
        yield f'torch computes with {torch["threads"]} threads, there are {cpu["cores"]} cores: set OMP_NUM_THREADS'
    if cpu['cores'] == 1:
        yield 'one core: loading images waits for computing'
    missing = {extra['name']: extra['missing'] for extra in report['extras'] if extra['missing']}
    if 'openvino' in missing and not torch.get('gpus'):
        yield 'no openvino: it runs exported models faster than ONNX Runtime or torch on most CPUs'
    if not _version('simplejpeg'):
        yield 'no simplejpeg: JPEG files are read more slowly; pip install simplejpeg'
    shared = _shared_memory()
    if shared is not None and shared < SHARED_MEMORY:
        yield (
            f'shared memory of {shared >> 20} MB: loaders with many workers run out of it (docker run --shm-size=8g, '
            'or fewer train_dataloader.num_workers)'
        )


def _shared_memory() -> int | None:
    """Return the size of shared memory in bytes; None on other systems than Linux."""
    try:
        system = os.statvfs('/dev/shm')
    except (OSError, AttributeError):
        return None
    return system.f_blocks * system.f_frsize


def _requirements() -> list:
    """Return the requirements of the distribution, extras included; none if mmosnet is not installed."""
    try:
        # A bare device may lack packaging, which is a dependency of the stack.
        from packaging.requirements import Requirement

        return [Requirement(line) for line in requires('mmosnet') or []]
    except (ModuleNotFoundError, PackageNotFoundError):
        return []


def _belongs(requirement, extra: str) -> bool:
    """Return whether a requirement belongs to an extra on this system."""
    marker = requirement.marker
    return bool(marker) and marker.evaluate({'extra': extra}) and not marker.evaluate({'extra': ''})


def _missing_others() -> list[str]:
    """Return the requirements of the distribution that are not installed, except those of the stack."""
    known = {name for names in STACK.values() for name in names}
    required = [r for r in _requirements() if r.marker is None or r.marker.evaluate({'extra': ''})]
    return [f'{r.name}{r.specifier}' for r in required if r.name not in known and not _version(r.name)]


def _python_window() -> str:
    try:
        return metadata('mmosnet')['Requires-Python'] or ''
    except PackageNotFoundError:
        return ''


def _inside(number: str, window: str) -> bool:
    """Return whether a version lies in a window such as ``>=2.6,<3``."""
    if not window:
        return True
    # A window was read, hence packaging is installed.
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(window).contains(number, prereleases=True)


def _version(name: str) -> str | None:
    """Return the version of a distribution; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _quoted(requirement: str) -> str:
    """Return a requirement, quoted for the shell if necessary, also on Windows."""
    return f'"{requirement}"' if re.search('[<>!~;]', requirement) else requirement
