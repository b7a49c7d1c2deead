"""From a trained model to a checked file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from torch import nn

from mmosnet.errors import DataError
from mmosnet.export.exportable_model import ExportableModel
from mmosnet.export.model_images import ModelImages
from mmosnet.export.onnx_format import write_onnx
from mmosnet.export.openvino_format import write_openvino
from mmosnet.export.parity import BATCH_SIZES, LIMITS, Parity, check_parity
from mmosnet.export.torchscript_format import write_torchscript
from mmosnet.io.files import add_checksum, draft_folder, whole_file
from mmosnet.runtime.model import ExportedModel

WRITERS = {'.onnx': write_onnx, '.xml': write_openvino, '.pt': write_torchscript}
CALIBRATION_IMAGES = 200


def export_model(
    model: nn.Module,
    path: str | Path,
    precision: str = 'fp32',
    images: str | Path | None = None,
    size: Sequence[int] | None = None,
    l2_normalize: bool = False,
    with_preprocess: bool = False,
    calibration_images: int = CALIBRATION_IMAGES,
) -> list[Parity]:
    """Write a model to a file and compare the file with the model.

    Args:
        model: An ``ImageClassifier`` with its config, of :func:`~mmosnet.models.build.load_model`.
        path: ``.onnx``, ``.xml`` (OpenVINO) or ``.pt`` (TorchScript); an older file stays until the new one
            was found right.
        precision: ``'fp32'``, ``'fp16'`` or ``'int8'``.
        images: Folder of images to check with and, for int8, to calibrate on; drawn noise by default, not for int8.
        size: Height and width of the images; by default the test pipeline's.
        l2_normalize: Give embeddings of length 1.
        with_preprocess: The file takes ``(N, H, W, 3)`` uint8, BGR, and normalises. Resizing stays outside: the test
            pipeline's cv2.resize rounds to whole numbers in its own way, and no runtime's layer does the same;
            :meth:`~mmosnet.runtime.ExportedModel.predict` takes the same steps.
        calibration_images: Largest number of images for calibration.

    Returns:
        How near the file comes to the model, for batches of 1, 2 and 7 images.

    Raises:
        DataError: Another suffix, precision or model, a missing package, int8 without images, or a file that disagrees
            with the model; it is not kept.
        FileNotFoundError: No such folder of images.
    """
    path = Path(path)
    if path.suffix not in WRITERS or precision not in LIMITS:
        raise DataError(f'{path} in {precision}: choose from {", ".join(WRITERS)} and from {", ".join(LIMITS)}')
    if precision == 'int8' and images is None:
        raise DataError('int8 needs images to calibrate on, a few hundred as the camera gives them: --images FOLDER')
    if precision == 'int8' and calibration_images < 1:
        raise DataError(f'--calibration-images {calibration_images}: give 1 or more')
    prepared = ModelImages(model, size)
    exportable = ExportableModel(
        model, prepared.height, prepared.width, l2_normalize, with_preprocess, not prepared.rgb
    )
    exportable.description = replace(exportable.description, precision=precision, **prepared.facts)
    with tempfile.TemporaryDirectory() as drawn:
        sources, calibration = prepared.draw(drawn, max(BATCH_SIZES)), None
        if images is not None:
            chosen = prepared.choose(images, calibration_images if precision == 'int8' else max(BATCH_SIZES))
            if precision == 'int8':
                calibration = exportable.description.prepare(prepared.prepare(chosen))
            # Drawn ones fill up a small folder.
            sources = [*chosen, *sources]
        sources = sources[: max(BATCH_SIZES)]
        pictures = prepared.prepare(sources)
        with _replacing(path) as written:
            WRITERS[path.suffix](exportable, written, calibration)
            add_checksum(written)
            return check_parity(ExportedModel(written), model, prepared, sources, pictures, path)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a file of this name in a folder beside it, and move it into place if nothing went wrong.

    Nobody shall deploy what was not found right, and what was there before is better than nothing.
    """
    # The graph takes its place last, and has checksums of the weights (.bin): a half replacement does not load.
    with whole_file(path) as draft, draft_folder(path) as folder:
        yield folder / path.name
        for file in folder.iterdir():
            if file.name != path.name:
                with whole_file(path.with_name(file.name)) as beside:
                    file.replace(beside)
        (folder / path.name).replace(draft)
