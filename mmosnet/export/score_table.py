"""What formats and precisions cost in the scores of a test set."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from torch import nn

from mmosnet.export.exported_scores import ExportedPredictor, scores_on_test_set
from mmosnet.export.model_export import export_model
from mmosnet.export.model_images import ModelImages
from mmosnet.runtime.exported_model import ExportedModel

# Suffix and precision of the file, and whether it is run in bfloat16.
WAYS = {
    'ONNX Runtime, fp32': ('.onnx', 'fp32', False),
    'ONNX Runtime, fp16': ('.onnx', 'fp16', False),
    'ONNX Runtime, int8': ('.onnx', 'int8', False),
    'OpenVINO, fp32': ('.xml', 'fp32', False),
    'OpenVINO, fp16': ('.xml', 'fp16', False),
    'OpenVINO, bf16': ('.xml', 'fp32', True),
    'OpenVINO, int8': ('.xml', 'int8', False),
    'TorchScript, fp32': ('.pt', 'fp32', False),
}


def score_rows(
    cfg: Config, model: nn.Module, images: str | Path, calibration_images: int
) -> Iterator[tuple[str, float, dict[str, float]]]:
    """Score the model, and each way to export it, on the config's test set.

    Args:
        cfg: Config with a test set.
        model: Model of the config.
        images: Images to calibrate int8 on.
        calibration_images: Largest number of images for calibration.

    Yields:
        Name, megabytes of the file (0 for the model itself), and the scores.

    Raises:
        DataError, FileNotFoundError: No test set, no images, or a file that disagrees with the model.
    """
    yield 'PyTorch, fp32', 0.0, scores_on_test_set(cfg, model)
    rgb = ModelImages(model).rgb
    for name, (suffix, precision, bf16) in WAYS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f'model{suffix}'
            export_model(model, path, precision, images=images, calibration_images=calibration_images)
            size = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
            exported = ExportedModel(path, bf16=bf16)
            yield name, size, scores_on_test_set(cfg, ExportedPredictor(exported, model, rgb))
