"""OpenVINO's format, ``.xml`` with its ``.bin``, written by OpenVINO."""

from __future__ import annotations

import io
import logging
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from mmosnet.errors import need
from mmosnet.export.exportable_model import ExportableModel
from mmosnet.export.onnx_format import quiet, trace
from mmosnet.runtime.description import KEY

EXTRA = 'openvino'
# Names of nodes.
GATES = '.*/gate/.*'


def write_openvino(model: ExportableModel, path: Path, calibration: np.ndarray | None = None) -> None:
    """Write a model in the precision of its description; ``fp16`` halves the file and computes in float32 or bfloat16.

    Args:
        model: Model to write.
        path: The ``.xml`` file; the weights go to a ``.bin`` beside it.
        calibration: Inputs, for int8: NNCF measures the ranges of all activations on them.

    Raises:
        DataError: Without the extra ``openvino``.
    """
    openvino = need('openvino', EXTRA)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        # OpenVINO's own reader of torch modules took 6 s for what this does in 0.5 s.
        trace(model, Path(folder) / 'graph.onnx', EXTRA)
        graph = openvino.Core().read_model(Path(folder) / 'graph.onnx')
    if model.description.precision == 'int8':
        graph = _quantized(graph, calibration)
    graph.set_rt_info(model.description.to_json(), KEY)
    openvino.save_model(graph, path, compress_to_fp16=model.description.precision == 'fp16')


def _quantized(graph: Any, calibration: np.ndarray) -> Any:
    """Quantize weights and activations to 8 bits with NNCF's post-training quantization, without progress bars."""
    with quiet(), redirect_stdout(io.StringIO()):
        nncf = need('nncf', EXTRA)
        nncf.set_log_level(logging.ERROR)
        # Gates work on a few numbers per image: converting those to 8 bits and back takes longer than it saves. Without
        # them x0.25 is 1.23 times as fast, for one image and for 32, and its scores are no worse (docs/deployment.md).
        gates = nncf.IgnoredScope(patterns=[GATES], validate=False)
        return nncf.quantize(
            graph,
            nncf.Dataset([image[None] for image in calibration]),
            ignored_scope=gates,
            # Weights in 7 bits: a CPU without VNNI adds two products of 8 bits in 16 bits and clips the sum.
            # 2 x 255 x 127 does not fit, 2 x 255 x 64 does, so the file gives the same on every CPU.
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
        )
