"""What an export came to, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from torch import nn

from mmosnet.drawing.tables import fact_table
from mmosnet.export.export_timing import time_per_image
from mmosnet.export.exported_scores import ExportedPredictor, scores_on_test_set
from mmosnet.export.model_images import ModelImages
from mmosnet.export.parity import Parity
from mmosnet.runtime.model import ExportedModel


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
