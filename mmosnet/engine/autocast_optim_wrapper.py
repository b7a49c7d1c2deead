"""Mixed precision where there is no GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn

from mmosnet.registry import OPTIM_WRAPPERS

SLOW_BFLOAT16 = (
    'bfloat16 on this CPU is emulated and about 10 times slower than float32: it has no AVX-512 (or the variables '
    'ATEN_CPU_CAPABILITY, ONEDNN_MAX_CPU_ISA hide it)'
)


def bfloat16_pays() -> bool:
    """Return whether mixed precision costs no time: on a GPU, or on a CPU with native bfloat16 kernels.

    oneDNN has them from AVX-512 on, with or without its extension for bfloat16.
    """
    if torch.cuda.is_available():
        return True
    if torch.backends.cpu.get_cpu_capability() in ('DEFAULT', 'AVX2') or not torch.backends.mkldnn.is_available():
        return False
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def warn_slow_bfloat16() -> None:
    """Warn where mixed precision makes training slower."""
    if not bfloat16_pays():
        MMLogger.get_current_instance().warning(SLOW_BFLOAT16)


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Run the forward pass in bfloat16, on any device.

    mmengine's ``AmpOptimWrapper`` refuses CPUs. bfloat16 has float32's range, so no loss scaling is needed. Warns where
    the CPU emulates it.

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
