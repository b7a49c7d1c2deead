"""An exported file of any format, from images to named outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmosnet.errors import DataError
from mmosnet.export.model_description import ModelDescription
from mmosnet.export.onnx_format import OnnxSession
from mmosnet.export.openvino_format import OpenVinoSession
from mmosnet.export.torchscript_format import TorchScriptSession

SESSIONS = {'.onnx': OnnxSession, '.xml': OpenVinoSession, '.pt': TorchScriptSession}


class ExportedModel:
    """Runs what :func:`~mmosnet.export.export_model` wrote. The network itself needs the file's own runtime alone.

    Args:
        path: ``.onnx``, ``.xml`` (OpenVINO, the ``.bin`` beside it) or ``.pt`` (TorchScript).
        threads: To compute with; the runtime's choice by default.
        bf16: OpenVINO computes in bfloat16.
        batch_size: OpenVINO takes this many images at once only, and is faster for it.

    Raises:
        FileNotFoundError: No such file.
        DataError: Another kind of file, one without our metadata, or a runtime that is not installed.

    Example:
        >>> model = ExportedModel('osnet.onnx')
        >>> model(images)['embedding'].shape  # images: (N, 256, 128, 3) uint8, as cv2.imread and cv2.resize give them
        (N, 512)
    """

    def __init__(
        self, path: str | Path, threads: int | None = None, bf16: bool = False, batch_size: int | None = None
    ) -> None:
        self.path = Path(path)
        if self.path.suffix not in SESSIONS:
            raise DataError(f'{path}: name a file that ends in {", ".join(SESSIONS)}')
        if not self.path.is_file():
            raise FileNotFoundError(f'no exported model {path}; tools/export.py writes them')
        options = {name: value for name, value in dict(bf16=bf16, batch_size=batch_size).items() if value}
        if options and self.path.suffix != '.xml':
            raise DataError(f'{path}: {" and ".join(options)} are for OpenVINO; export with --format openvino')
        self._session = SESSIONS[self.path.suffix](self.path, threads, **options)
        self.description = ModelDescription.from_json(self._session.metadata, path)

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Predict.

        Args:
            images: ``(N, H, W, 3)`` uint8, BGR, of the size that :attr:`description` says.

        Returns:
            ``embedding`` ``(N, D)``, ``attributes`` ``(N, A)``, ``category`` ``(N, C)``, as far as the file has them.

        Raises:
            DataError: Other arrays.
        """
        return self.run(self.description.prepare(images))

    def run(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs for inputs as the file has them, see :meth:`ModelDescription.prepare`."""
        return dict(zip(self.description.outputs, self._session.run(inputs), strict=True))
