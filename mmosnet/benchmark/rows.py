"""All rows of the benchmark, in the order of the table."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from mmosnet.benchmark import (
    best_inference,
    data_loading,
    epoch,
    evaluation,
    gpu,
    inference,
    re_ranking,
    start_up,
    training_step,
)
from mmosnet.benchmark.row import Row
from mmosnet.benchmark.target import Target
from mmosnet.errors import DataError

ROWS = (
    Row(
        'inference-eager',
        'deploy form, x1.0 and x0.25, 256x128, batch 1 and 32, CPU',
        Target(ratio=1.6, mean_ratio=2),
        inference.eager_cases,
    ),
    Row(
        'inference-compiled',
        'the same with torch.compile of our backbone; the peer eager',
        Target(ratio=2.2, mean_ratio=2.7),
        inference.compiled_cases,
    ),
    Row(
        'inference-best',
        'the fastest file that we export, the peer eager; every one, the peer exported and run in the same way',
        Target(ratio=4),
        best_inference.cases,
    ),
    Row(
        'training-step',
        'x1.0 and x0.25, batch 32: forward, backward, optimiser, CPU',
        Target(ratio=1.5),
        training_step.cases,
    ),
    Row(
        'gpu-inference',
        'x1.0 and x0.25, batch 1, 64, 512; fp32 and bf16, eager, compiled, CUDA graphs',
        Target(ratio=2),
        gpu.inference_cases,
        device='cuda',
    ),
    Row(
        'gpu-training-step',
        'x1.0 and x0.25, batch 64, 512; fp32 and bf16, eager, compiled',
        Target(ratio=2),
        gpu.training_cases,
        device='cuda',
    ),
    Row(
        'evaluation',
        'features to mAP and CMC at the size of Market-1501, against the Python of the peer',
        Target(ratio=100, at_most={'peak GiB': 0.5}),
        evaluation.cases,
    ),
    Row(
        'evaluation-large',
        'the same at the size of MSMT17 and of Market-1501 + 500k; growth with Q x G',
        Target(at_most={'peak GiB': 2}),
        evaluation.large_cases,
    ),
    Row('re-ranking', '10,000 features; then the size of MSMT17', Target(ratio=10), re_ranking.cases),
    Row('data-loading', 'JPEG crops to training batches, 2 workers', Target(ratio=1), data_loading.cases),
    Row('epoch', 'a training epoch of x0.25 end to end, CPU', Target(ratio=1.6), epoch.cases),
    Row('start-up', '--help; start to first iteration on the demo', Target(), start_up.cases),
)


def select_rows(names: Sequence[str] | None, device: str | None, rows: Sequence[Row] = ROWS) -> list[Row]:
    """The rows that are asked for, in their own order.

    Args:
        names: Names, their beginnings, or patterns as ``'*step'``; all for None.
        device: ``'cpu'`` or ``'cuda'``; both for None.
        rows: To choose from.

    Raises:
        DataError: A name that no row has.
    """
    chosen = set()
    for name in names or ['*']:
        found = [row.name for row in rows if row.name == name]
        found = found or [row.name for row in rows if row.name.startswith(name) or fnmatchcase(row.name, name)]
        if not found:
            raise DataError(f'no row {name!r} in the benchmark, choose from {", ".join(row.name for row in rows)}')
        chosen.update(found)
    selected = [row for row in rows if row.name in chosen and device in (None, row.device)]
    if not selected:
        raise DataError(f'none of {", ".join(sorted(chosen))} runs on {device}')
    return selected
