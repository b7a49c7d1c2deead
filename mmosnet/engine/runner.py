"""Runner with a short log, mixed precision on CPUs, and start and supervision of distributed runs."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from multiprocessing import active_children

import torch
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmengine.runner.amp import autocast
from torch import distributed, nn

from mmosnet.engine.checks import ALL_FILES
from mmosnet.errors import DataError
from mmosnet.registry import OPTIM_WRAPPERS

SLOW_BFLOAT16 = (
    'bfloat16 on this CPU is emulated and about 10 times slower than float32: it has no AVX-512 (or the variables '
    'ATEN_CPU_CAPABILITY, ONEDNN_MAX_CPU_ISA hide it)'
)


def bfloat16_pays() -> bool:
    """Return whether mixed precision is not slower: on a GPU, or on a CPU with native bfloat16 kernels.

    oneDNN has such kernels for AVX-512, with or without its extension for bfloat16.
    """
    if torch.cuda.is_available():
        return True
    if torch.backends.cpu.get_cpu_capability() in ('DEFAULT', 'AVX2') or not torch.backends.mkldnn.is_available():
        return False
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def warn_slow_bfloat16() -> None:
    """Warn if mixed precision makes training slower."""
    if not bfloat16_pays():
        MMLogger.get_current_instance().warning(SLOW_BFLOAT16)


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Run the forward pass in bfloat16, on any device.

    mmengine's ``AmpOptimWrapper`` refuses CPUs. bfloat16 has float32's range, so no loss scaling is needed. Warns if
    the CPU emulates bfloat16.

    Args:
        dtype: Name of the torch dtype to compute in.
        **kwargs: Arguments of mmengine's ``OptimWrapper``.
    """

    def __init__(self, *args, dtype: str = 'bfloat16', **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.cast_dtype = getattr(torch, dtype)
        warn_slow_bfloat16()

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Return the context of one forward pass in training."""
        with super().optim_context(model), autocast(dtype=self.cast_dtype):
            yield


# Environment variables that a launcher sets and a process reads, and the programs that set them.
VARIABLES = dict(
    pytorch=('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
    slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    mpi=('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_SIZE', 'MASTER_ADDR'),
)
STARTERS = dict(
    pytorch='torchrun --nproc_per_node=N in the place of python, or tools/dist_train.sh, tools/dist_test.sh',
    slurm='srun, or tools/slurm_train.sh',
    mpi='mpirun -x MASTER_ADDR=HOST',
)
# Seconds without a heartbeat after which a process counts as missing. Heartbeats come from a thread of their own, so
# that a long evaluation in one process does not matter.
MISSING_SECONDS = 90.0
# Last heartbeats of a process.
DONE, FAILED = 'done', 'failed'
# Seconds that processes wait for each other: torch's default for GPUs; for CPUs it is half an hour.
WAIT_SECONDS = 600


def check_launcher(launcher: str, environ: Mapping[str, str]) -> None:
    """Check that a process was started as ``--launcher`` says.

    Args:
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.
        environ: The process's environment.

    Raises:
        DataError: It was not, or there are fewer GPUs; names the variable and the program to start with.
    """
    if launcher == 'none':
        return
    names = VARIABLES[launcher]
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise DataError(
            f'--launcher {launcher}: {", ".join(missing)} {"is" if len(missing) == 1 else "are"} not set, so '
            f'nothing of that kind has started this. Start with {STARTERS[launcher]}; one process needs no --launcher'
        )
    numbers = {}
    for name in (*names, 'LOCAL_RANK', 'SLURM_LOCALID'):
        if name in environ and name not in ('MASTER_ADDR', 'SLURM_NODELIST'):
            if not environ[name].isdecimal():
                raise DataError(f'--launcher {launcher}: {name}={environ[name]!r} is no number')
            numbers[name] = int(environ[name])
    size = next(name for name in names if name in ('WORLD_SIZE', 'SLURM_NTASKS', 'OMPI_COMM_WORLD_SIZE'))
    if numbers[names[0]] >= numbers[size]:
        raise DataError(f'{names[0]}={numbers[names[0]]} with {size}={numbers[size]}: processes are counted from 0')
    gpus = torch.cuda.device_count()
    local = dict(pytorch='LOCAL_RANK', slurm='SLURM_LOCALID', mpi='OMPI_COMM_WORLD_LOCAL_RANK')[launcher]
    if gpus and numbers.get(local, 0) >= gpus:
        raise DataError(
            f'process {numbers[names[0]]} needs GPU {numbers[local]} of its machine, and there are {gpus}: start no '
            'more processes on a machine than it has GPUs'
        )


def start_gloo(timeout: float | None) -> None:
    """Start the process group of a run on CPUs.

    Args:
        timeout: Seconds that processes wait for each other; None for :data:`WAIT_SECONDS`.
    """
    with connection_errors():
        distributed.init_process_group('gloo', timeout=timedelta(seconds=timeout or WAIT_SECONDS))


@contextmanager
def connection_errors() -> Iterator[None]:
    """Turn the errors that torch raises for unreachable processes into one line for the user.

    Raises:
        DataError: Names this process, and the port if another program uses it.
    """
    try:
        yield
    except RuntimeError as e:
        if not isinstance(e, distributed.DistError) and 'gloo' not in str(e):
            raise
        # Without the line of gloo's source before the message and the guesses after it.
        text = re.sub(r'^\[\S*\] ', '', str(e)).partition('\n')[0].partition('. ')[0]
        rank, port = os.environ.get('RANK', '?'), os.environ.get('MASTER_PORT', '')
        if 'EADDRINUSE' in str(e):
            raise DataError(
                f'process {rank}: port {port} is taken by another program. Choose another one: PORT={int(port) + 1} '
                'bash tools/dist_train.sh, or torchrun --master_port'
            ) from e
        raise DataError(
            f'process {rank} has lost the connection to another one, which has ended or takes longer than '
            f'env_cfg.dist_cfg.timeout; its own message tells more ({text})'
        ) from e


@contextmanager
def watched_processes(timeout: float | None = None) -> Iterator[None]:
    """End this process if another process of a distributed run stops responding.

    Torch would wait for it for up to half an hour, and not name it. Each process writes heartbeats to the store of the
    process group, in a thread, and reads those of the others. A process with a long computation continues to write
    them; one that was stopped, or whose machine is gone, does not.

    Args:
        timeout: Seconds that processes wait for each other (``env_cfg.dist_cfg.timeout``). A process is missing after
            0.7 of them, and after :data:`MISSING_SECONDS` at most.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        yield
        return
    # Earlier than the operation that waits for the process: its error would not name the process.
    watch = _Watch(min(MISSING_SECONDS, 0.7 * (timeout or WAIT_SECONDS)))
    reader = threading.Thread(target=watch.read, name='signs of processes', daemon=True)
    reader.start()
    threading.Thread(target=watch.judge, name='missing processes', daemon=True).start()
    sign = FAILED
    try:
        with connection_errors():
            yield
        sign = DONE
    finally:
        watch.ended.set()
        # Python may crash at exit while a thread is in torch.
        reader.join(2 * watch.interval)
        # Otherwise the reader waits for a store that does not answer.
        if not reader.is_alive():
            watch.give(sign)


class _Watch:
    """Heartbeats of all processes.

    Args:
        limit: Seconds without a heartbeat after which a process is missing.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.interval = min(5.0, limit / 10)
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        # A separate connection: torch's is blocked while an operation of the main thread waits.
        self.store = distributed.TCPStore(
            os.environ['MASTER_ADDR'],
            int(os.environ['MASTER_PORT']),
            is_master=False,
            timeout=timedelta(seconds=limit),
        )
        self.ended = threading.Event()
        self.others = [rank for rank in range(self.size) if rank != self.rank]
        self.signs = dict.fromkeys(self.others, '')
        # Times of each process's last new heartbeat, and of the store's last answer.
        self.seen = dict.fromkeys(self.others, time.monotonic())
        self.answered = time.monotonic()
        self.give('0')

    def key(self, rank: int) -> str:
        return f'mmosnet/sign/{rank}'

    def give(self, sign: str) -> None:
        """Write a heartbeat of this process to the store."""
        # The process that keeps the store may have ended already.
        with suppress(RuntimeError):
            self.store.set(self.key(self.rank), sign)

    def read(self) -> None:
        """Write heartbeats and read those of the others, in a thread: a store that does not answer blocks it."""
        count, present = 0, []
        while not self.ended.wait(self.interval):
            count += 1
            self.give(str(count))
            try:
                # The others may start later, and reading a missing key waits.
                present += [r for r in self.others if r not in present and self.store.check([self.key(r)])]
                values = self.store.multi_get([self.key(rank) for rank in present])
            except RuntimeError:
                return
            self.answered = time.monotonic()
            for rank, sign in zip(present, map(bytes.decode, values), strict=True):
                if sign != self.signs[rank] or sign == DONE:
                    self.signs[rank], self.seen[rank] = sign, self.answered

    def judge(self) -> None:
        """End this process if heartbeats of another one stop, in a second thread."""
        before = time.monotonic()
        while not self.ended.wait(self.interval):
            now = time.monotonic()
            if now - before > self.limit / 2:
                # This process was stopped itself, perhaps with the others.
                self.answered, self.seen = now, dict.fromkeys(self.others, now)
            before = now
            failed = [rank for rank, sign in self.signs.items() if sign == FAILED]
            # Usually the operation that waits for it fails, or torchrun ends all processes. If not:
            if failed and not self.ended.wait(self.interval):
                self.end(f'process {failed[0]} has ended, its own message says why')
            if now - self.answered > self.limit:
                self.miss(self.keeper())
            begun = [rank for rank in self.others if self.signs[rank]]
            if missing := [rank for rank in begun if now - self.seen[rank] > self.limit]:
                self.miss(f'process {", ".join(map(str, missing))}')

    @staticmethod
    def keeper() -> str:
        """Name the process that holds the store."""
        return 'torchrun' if os.environ.get('TORCHELASTIC_USE_AGENT_STORE') == 'True' else 'process 0'

    def miss(self, process: str) -> None:
        """End this process because another one does not respond."""
        self.end(
            f'no sign of life of {process} (of 0 to {self.size - 1}) for {self.limit:.0f} s: it was stopped, or its '
            'machine is gone. Start all again, with --resume'
        )

    def end(self, why: str) -> None:
        """End this process at once: its main thread may be waiting outside of Python."""
        print(f'error: process {self.rank}: {why}', file=sys.stderr, flush=True)
        for child in active_children():
            child.kill()
        os._exit(1)


# Starts of mmengine's messages that are not logged: the order of hooks, a batch normalization that no model here has,
# mmengine's deprecated aliases. The config is in a file, vis_data/config.py beside the log.
NOT_LOGGED = (
    'Hooks will be executed in the following order',
    'Config:\n',
    'Distributed training is not used, all SyncBatchNorm',
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
)
# Starts of messages that only go to the log file: the environment, the experiment's name per epoch, long lists.
FILE_ONLY = ('\n' + '-' * 60 + '\nSystem environment:', 'Exp name: ', ALL_FILES)


class MessageFilter(logging.Filter):
    """Drop messages by their start.

    Args:
        starts: Starts of the messages to drop.
    """

    def __init__(self, starts: tuple[str, ...]) -> None:
        super().__init__()
        self.starts = starts

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record passes."""
        return not record.getMessage().startswith(self.starts)


def end_at_fault(handler: logging.FileHandler, record: logging.LogRecord) -> None:
    """End the run when its log cannot be written, instead of printing a traceback per log line.

    Args:
        handler: Handler of the log file.
        record: Record that could not be written.

    Raises:
        OSError: On a full disk, for example; names the log file.
    """
    error = sys.exc_info()[1]
    if isinstance(error, OSError):
        raise OSError(error.errno, error.strerror, handler.baseFilename) from error
    logging.FileHandler.handleError(handler, record)


class QuietRunner(Runner):
    """mmengine's Runner with filters on its logger: it writes some 280 lines before the first epoch."""

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """Build the logger; see the base class."""
        logger = super().build_logger(*args, **kwargs)
        logger.addFilter(MessageFilter(NOT_LOGGED))
        files = [handler for handler in logger.handlers if isinstance(handler, logging.FileHandler)]
        for handler in logger.handlers:
            if handler not in files:
                handler.addFilter(MessageFilter(FILE_ONLY))
        for handler in files:
            handler.handleError = partial(end_at_fault, handler)  # type: ignore[method-assign]
        if files:
            logger.info(f'Environment and log: {files[0].baseFilename}; settings: vis_data/config.py beside it')
        return logger
