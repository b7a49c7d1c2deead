"""Run exported files in ONNX Runtime, OpenVINO or torch, on the CPU; each package is imported on use.

A session has

- ``metadata``: the description that ``mmosnet export`` stored in the file; None without one
- ``prepares_sizes``: whether the first batch of a size takes several times as long, because the runtime prepares its
  kernels for the size
- ``run``, which several threads may call at once
"""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from mmosnet.errors import DataError, need
from mmosnet.runtime.description import INPUT, KEY

# Key of the protobuf entry that names a file with weights.
EXTERNAL_DATA = b'\n\x08location\x12'


class OnnxSession:
    """Run an ONNX file in ONNX Runtime.

    Args:
        path: The ``.onnx`` file.
        threads: Number of threads; ONNX Runtime's choice by default.
    """

    prepares_sizes = False

    def __init__(self, path: Path, threads: int | None = None) -> None:
        runtime = need('onnxruntime', 'onnx')
        # ONNX Runtime would read these files, in some versions from any folder.
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
    """Run an OpenVINO file.

    Args:
        path: The ``.xml`` file; its ``.bin`` lies beside it.
        threads: Number of threads; OpenVINO's choice by default.
        bf16: Compute in bfloat16 where the CPU supports it; by default in float32.
        batch_size: Fixed number of images per call; any number by default.
    """

    prepares_sizes = True

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
        self._compiled = openvino.compile_model(graph, 'CPU', options)
        # A request refuses a second thread while it computes.
        self._local = threading.local()

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        """Return the outputs in the file's order."""
        if not hasattr(self._local, 'request'):
            self._local.request = self._compiled.create_infer_request()
        return list(self._local.request.infer([inputs], share_inputs=True, share_outputs=False).values())


class TorchScriptSession:
    """Run a TorchScript file in torch.

    Args:
        path: The ``.pt`` file.
        threads: Number of threads of the whole process; unchanged by default.
    """

    prepares_sizes = False

    def __init__(self, path: Path, threads: int | None = None) -> None:
        import torch

        if threads:
            torch.set_num_threads(threads)
        extra = {KEY: ''}
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            self._script = torch.jit.load(str(path), map_location='cpu', _extra_files=extra)
        stored = extra[KEY]
        self.metadata = stored.decode() if isinstance(stored, bytes) else stored

    def run(self, inputs: np.ndarray) -> list[np.ndarray]:
        """Return the outputs in the file's order."""
        import torch

        with torch.inference_mode():
            return [output.numpy() for output in self._script(torch.from_numpy(inputs))]


# Sessions by the suffix of the exported file.
SESSIONS = {'.onnx': OnnxSession, '.xml': OpenVinoSession, '.pt': TorchScriptSession}
