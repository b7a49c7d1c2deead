"""Export a trained model to a file, and report the file beside the model."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from mmosnet.errors import DataError
from mmosnet.export.formats import write_onnx, write_openvino, write_torchscript
from mmosnet.export.parity import BATCH_SIZES, LIMITS, ExportedPredictor, Parity, check_parity, scores_on_test_set
from mmosnet.export.prepare import ExportableModel, ModelImages
from mmosnet.io.files import add_checksum, draft_folder, whole_file
from mmosnet.io.text_tables import fact_table
from mmosnet.models.deploy import switch_to_deploy
from mmosnet.runtime.model import ExportedModel

WRITERS = {'.onnx': write_onnx, '.xml': write_openvino, '.pt': write_torchscript}
CALIBRATION_IMAGES = 200
# Least time in seconds per batch size, and least number of calls, when measuring speed.
SECONDS, CALLS = 1.0, 5


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a path of this name in a folder beside it, and move the file into place if no error occurs.

    A file that has not passed the comparison must not be deployed, and an older file is better than none.
    """
    # The graph is moved last, and has checksums of the weights (.bin): a half replacement does not load.
    with whole_file(path) as draft, draft_folder(path) as folder:
        yield folder / path.name
        for file in folder.iterdir():
            if file.name != path.name:
                with whole_file(path.with_name(file.name)) as beside:
                    file.replace(beside)
        (folder / path.name).replace(draft)


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
        path: File ending in ``.onnx``, ``.xml`` (OpenVINO) or ``.pt`` (TorchScript). An older file stays until the new
            one has passed the comparison.
        precision: ``'fp32'``, ``'fp16'`` or ``'int8'``.
        images: Folder of images to compare on and, for int8, to calibrate on. By default random noise, except for int8,
            which needs images.
        size: Height and width of the images; by default those of the test pipeline.
        l2_normalize: Give embeddings of length 1.
        with_preprocess: The file takes ``(N, H, W, 3)`` uint8, BGR, and normalizes. Resizing stays outside, since no
            runtime rounds as cv2.resize does in the test pipeline;
            :meth:`~mmosnet.runtime.ExportedModel.predict` resizes in the same way.
        calibration_images: Largest number of images for calibration.

    Returns:
        Differences of file and model, for batches of 1, 2 and 7 images.

    Raises:
        DataError: The suffix, the precision or the model is not supported, a package is missing, there are no images
            for int8, or the file disagrees with the model and is not kept.
        FileNotFoundError: There is no such folder of images.
    """
    path = Path(path)
    if path.suffix not in WRITERS or precision not in LIMITS:
        raise DataError(f'{path} in {precision}: choose from {", ".join(WRITERS)} and from {", ".join(LIMITS)}')
    if precision == 'int8' and images is None:
        raise DataError('int8 needs images to calibrate on, a few hundred from the camera: --images FOLDER')
    if precision == 'int8' and calibration_images < 1:
        raise DataError(f'--calibration-images {calibration_images}: give 1 or more')
    prepared = ModelImages(model, size)
    exportable = ExportableModel(
        model, prepared.height, prepared.width, l2_normalize, with_preprocess, not prepared.rgb
    )
    exportable.description = replace(exportable.description, precision=precision, **prepared.facts)
    with tempfile.TemporaryDirectory() as folder:
        sources, calibration = prepared.write_noise(folder, max(BATCH_SIZES)), None
        if images is not None:
            chosen = prepared.choose(images, calibration_images if precision == 'int8' else max(BATCH_SIZES))
            if precision == 'int8':
                calibration = exportable.description.prepare(prepared.prepare(chosen))
            # Noise completes a folder with fewer images.
            sources = [*chosen, *sources]
        sources = sources[: max(BATCH_SIZES)]
        pictures = prepared.prepare(sources)
        with _replacing(path) as written:
            WRITERS[path.suffix](exportable, written, calibration)
            add_checksum(written)
            return check_parity(ExportedModel(written), model, prepared, sources, pictures, path)


def time_per_image(exported: ExportedModel, model: nn.Module, batch_size: int) -> tuple[float, float]:
    """Measure the median time per image of file and model, called in turn, without preprocessing.

    Args:
        exported: The file.
        model: Model that the file was exported from.
        batch_size: Images per call.

    Returns:
        Milliseconds per image of the file, and of the model's deploy form in PyTorch.
    """
    description = exported.description
    pictures = np.random.RandomState(0).randint(
        0, 256, (batch_size, description.height, description.width, 3), dtype=np.uint8
    )
    inputs = description.prepare(pictures)
    images = torch.randn(batch_size, 3, description.height, description.width)
    network = switch_to_deploy(copy.deepcopy(model))

    def eager() -> None:
        with torch.inference_mode():
            network.head(network.extract_feat(images))

    calls: list[Callable[[], object]] = [lambda: exported.run(inputs), eager]
    times: list[list[float]] = [[], []]
    for call in calls:
        # The first calls allocate memory and choose kernels.
        call()
        call()
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times[0]) < CALLS:
        for call, seconds in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    of_file, of_model = (median(seconds) * 1000 / batch_size for seconds in times)
    return of_file, of_model


def export_report(
    path: str | Path,
    model: nn.Module,
    parities: Sequence[Parity],
    batch_sizes: Sequence[int] = (),
    cfg: Config | None = None,
) -> str:
    """Return lines that report the file, its parity with the model, its speed and its scores.

    Args:
        path: The file.
        model: Model that the file was exported from.
        parities: Results of :func:`~mmosnet.export.export_model`.
        batch_sizes: Batch sizes to time.
        cfg: Config on whose test set file and model are scored.
    """
    # As many threads as PyTorch has, so that both can be compared.
    exported = ExportedModel(path, threads=torch.get_num_threads())
    description = exported.description
    files = [Path(path), *([Path(path).with_suffix('.bin')] if Path(path).suffix == '.xml' else [])]
    layout = f'(N, {description.height}, {description.width}, 3) uint8, not normalized'
    if not description.with_preprocess:
        layout = f'(N, 3, {description.height}, {description.width}) float32, normalized'
    outputs = [
        name + ' of length 1' * (name == 'embedding' and description.l2_normalized) for name in description.outputs
    ]
    rows = [
        ('file', f'{path}, {sum(file.stat().st_size for file in files) / 1e6:.2f} MB, {description.precision}'),
        ('input', f'{layout}, {description.channel_order}'),
        ('images', description.preparation()),
        ('outputs', ', '.join(outputs)),
        ('weights', description.weights),
    ]
    rows += [
        (
            f'batch {parity.batch_size}',
            f'largest difference {parity.difference:.1e} of the largest number, smallest cosine {parity.cosine:.6f}',
        )
        for parity in parities
    ]
    for batch_size in batch_sizes:
        of_file, of_model = time_per_image(exported, model, batch_size)
        rows.append(
            (
                f'batch {batch_size}',
                f'{of_file:.2f} ms per image, PyTorch (deploy form) {of_model:.2f} ms: '
                f'{of_model / of_file:.2f} times as fast',
            )
        )
    if cfg is not None:
        rgb = ModelImages(model, (description.height, description.width)).rgb
        before = scores_on_test_set(cfg, model)
        after = scores_on_test_set(cfg, ExportedPredictor(exported, model, rgb))
        rows += [
            (name, f'{after[name]:.4f}, PyTorch {before[name]:.4f}, {after[name] - before[name]:+.4f}')
            for name in after
        ]
    return fact_table(rows)
