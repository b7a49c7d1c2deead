"""ONNX files, written by torch."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from mmosnet.errors import need
from mmosnet.export.exportable_model import ExportableModel
from mmosnet.export.graph_gate import with_graph_gates
from mmosnet.runtime.description import INPUT, KEY

EXTRA = 'onnx'
# The first with everything that the graph uses; ONNX Runtime has it since 1.14.
OPSET = 17


def write_onnx(model: ExportableModel, path: Path, calibration: np.ndarray | None = None) -> None:
    """Write a model in the precision of its description.

    Args:
        model: Model to write.
        path: The file.
        calibration: Inputs, for int8: the ranges of all activations are measured on them.

    Raises:
        DataError: Without the extra ``onnx``.
    """
    onnx = need('onnx', EXTRA)
    need('onnxruntime', EXTRA)
    description = model.description
    trace(model, path, EXTRA)
    if description.precision == 'int8':
        with quiet():
            _quantize(path, calibration)
    graph = onnx.load(path)
    if description.precision == 'fp16':
        half = need('onnxruntime.transformers.float16', EXTRA)
        graph = half.convert_float_to_float16(graph, keep_io_types=True)
    onnx.helper.set_model_props(graph, {KEY: description.to_json()})
    onnx.save(graph, path)


def trace(model: ExportableModel, path: Path, extra: str) -> None:
    """Write the graph of a model in float32, with names of input and outputs and any number of images.

    By torch's older exporter: 0.5 s where the newer takes 3 to 12 s for the same convolutions, and no third package.
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
    quantization = need('onnxruntime.quantization', EXTRA)
    shape_inference = need('onnxruntime.quantization.shape_inference', EXTRA)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        prepared = Path(folder) / 'prepared.onnx'
        shape_inference.quant_pre_process(str(path), str(prepared))
        quantization.quantize_static(
            str(prepared),
            str(path),
            _batches(calibration),
            quant_format=quantization.QuantFormat.QDQ,
            # One scale for each output channel: depthwise weights differ from channel to channel.
            per_channel=True,
            # Weights in 7 bits: without VNNI sums of two products of 8 bits are clipped to 16 bits.
            reduce_range=True,
        )


class _batches:
    """What ONNX Runtime calls a calibration data reader: an input at a time, then None."""

    def __init__(self, inputs: np.ndarray) -> None:
        self._left = iter(inputs)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next input."""
        image = next(self._left, None)
        return None if image is None else {INPUT: image[None]}


@contextmanager
def quiet() -> Iterator[None]:
    """Hide warnings about tracing from users: the parity check finds what they warn of."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(level)
