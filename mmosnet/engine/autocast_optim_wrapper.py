"""Mixed precision where there is no GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn

from mmosnet.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Run the forward pass in bfloat16, on any device.

    mmengine's ``AmpOptimWrapper`` refuses CPUs. bfloat16 has float32's range, so no loss scaling is needed.

    Args:
        dtype: Name of the torch dtype to compute in.
        **kwargs: Of mmengine's ``OptimWrapper``.
    """

    def __init__(self, *args, dtype: str = 'bfloat16', **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.cast_dtype = getattr(torch, dtype)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The context of one forward pass in training."""
        with super().optim_context(model), autocast(dtype=self.cast_dtype):
            yield
