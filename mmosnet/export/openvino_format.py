"""OpenVINO's format, ``.xml`` with its ``.bin``: written and run by OpenVINO."""

from __future__ import annotations

import io
import logging
import os
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from mmosnet.export.exportable_model import ExportableModel
from mmosnet.export.model_description import KEY
from mmosnet.export.onnx_format import quiet, trace
from mmosnet.export.optional_package import need

EXTRA = 'openvino'


def write_openvino(model: ExportableModel, path: Path, calibration: np.ndarray | None = None) -> None:
    """Write a model in the precision of its description; ``fp16`` halves the file and computes in float32 or bfloat16.

    Args:
        model: To write.
        path: The ``.xml`` file; the weights go to a ``.bin`` beside it.
        calibration: Inputs, for int8: NNCF measures the ranges of all activations on them.

    Raises:
        DataError: Without the extra ``openvino``.
    """
    openvino = need('openvino', EXTRA)
    with tempfile.TemporaryDirectory() as folder:
        # OpenVINO's own reader of torch modules took 6 s for what this does in 0.5 s.
        trace(model, Path(folder) / 'graph.onnx', EXTRA)
        graph = openvino.Core().read_model(Path(folder) / 'graph.onnx')
    if model.description.precision == 'int8':
        graph = _quantized(graph, calibration)
    graph.set_rt_info(model.description.to_json(), KEY)
    openvino.save_model(graph, path, compress_to_fp16=model.description.precision == 'fp16')


def _quantized(graph: object, calibration: np.ndarray) -> object:
    """Weights and activations in 8 bits, as NNCF's post-training quantisation has it, without its progress bars."""
    # Else NNCF reports its use over the network.
    os.environ.setdefault('NNCF_CI', '1')
    with quiet(), redirect_stdout(io.StringIO()):
        nncf = need('nncf', EXTRA)
        nncf.set_log_level(logging.ERROR)
        return nncf.quantize(graph, nncf.Dataset([image[None] for image in calibration]))


class OpenVinoSession:
    """An OpenVINO file on the CPU.

    Args:
        path: The ``.xml`` file.
        threads: To compute with; OpenVINO's choice by default.
        bf16: Compute in bfloat16, where the CPU can; else in float32.
        batch_size: Take this many images at once only.
    """

    def __init__(
        self, path: Path, threads: int | None = None, bf16: bool = False, batch_size: int | None = None
    ) -> None:
        openvino = need('openvino', EXTRA)
        graph = openvino.Core().read_model(path)
        if batch_size is not None:
            graph.reshape([batch_size, *list(graph.input(0).partial_shape)[1:]])
        self.metadata = graph.get_rt_info(KEY).astype(str) if graph.has_rt_info(KEY) else None
        options = dict(PERFORMANCE_HINT='LATENCY', INFERENCE_PRECISION_HINT='bf16' if bf16 else 'f32')
        if threads:
            options['INFERENCE_NUM_THREADS'] = threads
        self._request = openvino.compile_model(graph, 'CPU', options).create_infer_request()

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs in the file's order."""
        return list(self._request.infer([inputs], share_inputs=True, share_outputs=False).values())
