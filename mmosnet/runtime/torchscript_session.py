"""TorchScript files in torch, the only part of the runtime that needs it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from mmosnet.runtime.model_description import KEY


class TorchScriptSession:
    """A TorchScript file, on the CPU.

    Args:
        path: The file.
        threads: To compute with: of the whole process, so only set where given.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        if threads:
            torch.set_num_threads(threads)
        extra = {KEY: ''}
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            self._script = torch.jit.load(str(path), map_location='cpu', _extra_files=extra)
        found = extra[KEY]
        self.metadata = found.decode() if isinstance(found, bytes) else found

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        """Return the outputs in the file's order."""
        with torch.inference_mode():
            return [output.numpy() for output in self._script(torch.from_numpy(inputs))]
