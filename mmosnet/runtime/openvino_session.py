"""OpenVINO's files, ``.xml`` with their ``.bin``, in OpenVINO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmosnet.errors import need
from mmosnet.runtime.model_description import KEY


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
