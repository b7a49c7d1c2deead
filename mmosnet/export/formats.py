"""Write models as ONNX, OpenVINO (``.xml`` with its ``.bin``) and TorchScript files."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmosnet.errors import DataError, need
from mmosnet.export.prepare import ExportableModel, with_graph_gates
from mmosnet.runtime.description import INPUT, KEY

# The first opset with all operators of the graph; ONNX Runtime has it since 1.14.
OPSET = 17
# Names of the nodes of gates in OpenVINO.
GATES = '.*/gate/.*'


def write_onnx(model: ExportableModel, path: Path, calibration: np.ndarray | None = None) -> None:
    """Write a model to an ONNX file in the precision of its description.

    Args:
        model: Model to write.
        path: The file.
        calibration: Inputs on which the ranges of all activations are measured for int8.

    Raises:
        DataError: The extra ``onnx`` is not installed.
    """
    onnx = need('onnx', 'onnx')
    need('onnxruntime', 'onnx')
    description = model.description
    trace(model, path, 'onnx')
    if description.precision == 'int8':
        with quiet():
            _quantize(path, calibration)
    graph = onnx.load(path)
    if description.precision == 'fp16':
        half = need('onnxruntime.transformers.float16', 'onnx')
        graph = half.convert_float_to_float16(graph, keep_io_types=True)
    onnx.helper.set_model_props(graph, {KEY: description.to_json()})
    onnx.save(graph, path)


def trace(model: ExportableModel, path: Path, extra: str) -> None:
    """Write the graph of a model in float32, with named input and outputs, for batches of any size.

    torch's older exporter takes 0.5 s where the newer one takes 3 to 12 s, and needs one package less.
    """
    need('onnx', extra)
    names = model.description.outputs
    with quiet(), torch.no_grad():
        torch.onnx.export(
            with_graph_gates(model),
            (model.example(),),
            str(path),
            input_names=[INPUT],
            output_names=list(names),
            dynamic_axes={name: {0: 'batch'} for name in (INPUT, *names)},
            opset_version=OPSET,
            dynamo=False,
        )


def _quantize(path: Path, calibration: np.ndarray) -> None:
    """Quantize weights and activations to 8 bits with ONNX Runtime's static quantization."""
    quantization = need('onnxruntime.quantization', 'onnx')
    shape_inference = need('onnxruntime.quantization.shape_inference', 'onnx')
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        prepared = Path(folder) / 'prepared.onnx'
        shape_inference.quant_pre_process(str(path), str(prepared))
        quantization.quantize_static(
            str(prepared),
            str(path),
            _CalibrationReader(calibration),
            quant_format=quantization.QuantFormat.QDQ,
            # One scale per output channel: depthwise weights differ from channel to channel.
            per_channel=True,
            # Weights in 7 bits: without VNNI, a CPU clips sums of two products of 8 bits to 16 bits.
            reduce_range=True,
        )


class _CalibrationReader:
    """Calibration data reader of ONNX Runtime: one input per call, then None."""

    def __init__(self, inputs: np.ndarray) -> None:
        self._left = iter(inputs)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next input."""
        image = next(self._left, None)
        return None if image is None else {INPUT: image[None]}


@contextmanager
def quiet() -> Iterator[None]:
    """Hide warnings about tracing: the comparison with the model finds the faults that they warn of."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(level)


def write_openvino(model: ExportableModel, path: Path, calibration: np.ndarray | None = None) -> None:
    """Write a model for OpenVINO in the precision of its description.

    ``fp16`` halves the size of the file; OpenVINO computes in float32 or bfloat16.

    Args:
        model: Model to write.
        path: The ``.xml`` file; the weights are written to a ``.bin`` file beside it.
        calibration: Inputs on which NNCF measures the ranges of all activations for int8.

    Raises:
        DataError: The extra ``openvino`` is not installed.
    """
    openvino = need('openvino', 'openvino')
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        # OpenVINO's own reader of torch modules takes 6 s, this 0.5 s.
        trace(model, Path(folder) / 'graph.onnx', 'openvino')
        graph = openvino.Core().read_model(Path(folder) / 'graph.onnx')
    if model.description.precision == 'int8':
        graph = _quantized(graph, calibration)
    graph.set_rt_info(model.description.to_json(), KEY)
    openvino.save_model(graph, path, compress_to_fp16=model.description.precision == 'fp16')


def _quantized(graph: Any, calibration: np.ndarray) -> Any:
    """Quantize weights and activations to 8 bits with NNCF's post-training quantization, without progress bars."""
    with quiet(), redirect_stdout(io.StringIO()):
        nncf = need('nncf', 'openvino')
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


def write_torchscript(model: ExportableModel, path: Path, calibration: np.ndarray | None = None) -> None:
    """Write a model as TorchScript, which torch alone loads and runs, without mmosnet.

    Args:
        model: Model to write, in fp32.
        path: The file.
        calibration: Unused; all writers have the same arguments.

    Raises:
        DataError: The precision is not fp32.
    """
    if model.description.precision != 'fp32':
        raise DataError(f'TorchScript in {model.description.precision} is not offered: choose onnx or openvino')
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        script = torch.jit.freeze(torch.jit.trace(model, model.example(), check_trace=False))
        # Saved to memory first: if saving to a file fails, torch ends the whole process.
        content = io.BytesIO()
        torch.jit.save(script, content, _extra_files={KEY: model.description.to_json()})
    path.write_bytes(content.getbuffer())
