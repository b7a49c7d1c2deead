"""ONNX files in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmosnet.errors import DataError, need
from mmosnet.runtime.model_description import INPUT, KEY

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
