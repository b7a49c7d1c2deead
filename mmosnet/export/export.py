"""Time per image of exported files beside the model in PyTorch.

What an export came to, as a table.

From a trained model to a checked file.
"""

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

# Seconds for each batch size, and calls at least.
SECONDS, CALLS = 1.0, 5


def time_per_image(exported: ExportedModel, model: nn.Module, batch_size: int) -> tuple[float, float]:
    """Measure median times per image of both, called in turn, without preprocessing.

    Args:
        exported: The file.
        model: Model that the file was exported from.
        batch_size: Images at once.

    Returns:
        Milliseconds an image of the file, and of the model's deploy form in PyTorch.
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

    works: list[Callable[[], object]] = [lambda: exported.run(inputs), eager]
    times: list[list[float]] = [[], []]
    for work in works:
        # The first call builds, the second settles.
        work()
        work()
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times[0]) < CALLS:
        for work, found in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            found.append(time.perf_counter() - start)
    ours, torchs = (median(found) * 1000 / batch_size for found in times)
    return ours, torchs


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
    # As many as PyTorch has, or the comparison would not be one.
    exported = ExportedModel(path, threads=torch.get_num_threads())
    description = exported.description
    files = [Path(path), *([Path(path).with_suffix('.bin')] if Path(path).suffix == '.xml' else [])]
    layout = f'(N, {description.height}, {description.width}, 3) uint8, not normalised'
    if not description.with_preprocess:
        layout = f'(N, 3, {description.height}, {description.width}) float32, normalised'
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
        ours, eager = time_per_image(exported, model, batch_size)
        rows.append(
            (
                f'batch {batch_size}',
                f'{ours:.2f} ms an image, PyTorch (deploy form) {eager:.2f} ms: {eager / ours:.2f} times as fast',
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
