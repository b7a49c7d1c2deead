"""Run exported files.

ONNX files in ONNX Runtime.

OpenVINO's files, ``.xml`` with their ``.bin``, in OpenVINO.

TorchScript files in torch, the only part of the runtime that needs it.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmosnet.errors import DataError, need
from mmosnet.runtime.description import INPUT, KEY

# The key of the entry that names a file, in protobuf.
EXTERNAL_DATA = b'\n\x08location\x12'


class OnnxSession:
    """An ONNX file in ONNX Runtime, on the CPU.

    Args:
        path: The file.
        threads: Number of threads; ONNX Runtime's choice by default.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        runtime = need('onnxruntime', 'onnx')
        # ONNX Runtime would read them, in some versions from any folder.
        if EXTERNAL_DATA in path.read_bytes():
            raise DataError(f'{path} has weights in other files, which are not read: export it with `mmosnet export`')
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = threads
        self._session = runtime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
        self.metadata = self._session.get_modelmeta().custom_metadata_map.get(KEY)

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        """Return the outputs in the file's order."""
        return self._session.run(None, {INPUT: inputs})


class OpenVinoSession:
    """An OpenVINO file on the CPU.

    Args:
        path: The ``.xml`` file.
        threads: Number of threads; OpenVINO's choice by default.
        bf16: Compute in bfloat16, where the CPU can; else in float32.
        batch_size: Take this many images at once only.
    """

    def __init__(
        self, path: Path, threads: int | None = None, bf16: bool = False, batch_size: int | None = None
    ) -> None:
        openvino = need('openvino', 'openvino')
        graph = openvino.Core().read_model(path)
        if batch_size is not None:
            graph.reshape([batch_size, *list(graph.input(0).partial_shape)[1:]])
        self.metadata = graph.get_rt_info(KEY).astype(str) if graph.has_rt_info(KEY) else None
        options: dict[str, Any] = dict(PERFORMANCE_HINT='LATENCY', INFERENCE_PRECISION_HINT='bf16' if bf16 else 'f32')
        if threads:
            options['INFERENCE_NUM_THREADS'] = threads
        self._request = openvino.compile_model(graph, 'CPU', options).create_infer_request()

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        """Return the outputs in the file's order."""
        return list(self._request.infer([inputs], share_inputs=True, share_outputs=False).values())


class TorchScriptSession:
    """A TorchScript file, on the CPU.

    Args:
        path: The file.
        threads: Number of threads of the whole process; it is only set if given.
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
