"""TorchScript: torch alone, without mmosnet, loads and runs the file."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import torch

from mmosnet.errors import DataError
from mmosnet.export.exportable_model import ExportableModel
from mmosnet.runtime.description import KEY


def write_torchscript(model: ExportableModel, path: Path, calibration: np.ndarray | None = None) -> None:
    """Write a model.

    Args:
        model: Model to write, in fp32.
        path: The file.
        calibration: Unused, so that all writers have the same arguments.

    Raises:
        DataError: Another precision.
    """
    if model.description.precision != 'fp32':
        raise DataError(f'TorchScript in {model.description.precision} is not offered: choose onnx or openvino')
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        script = torch.jit.freeze(torch.jit.trace(model, model.example(), check_trace=False))
        # Not into the file: where that fails, torch ends the whole process.
        content = io.BytesIO()
        torch.jit.save(script, content, _extra_files={KEY: model.description.to_json()})
    path.write_bytes(content.getbuffer())
