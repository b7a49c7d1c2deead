"""All rows of the benchmark, in the order of the table."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from benchmarks import cases_cpu, cases_data, cases_evaluation, cases_gpu, cases_video
from benchmarks.measure import Row, Target
from mmosnet.errors import DataError

ROWS = (
    Row(
        'inference-eager',
        'deploy form, x1.0 and x0.25, 256x128, batch 1 and 32, CPU',
        Target(ratio=1.6, mean_ratio=2),
        cases_cpu.eager_inference_cases,
    ),
    Row(
        'inference-compiled',
        'the same with torch.compile of our backbone; the peer eager',
        Target(ratio=2.2, mean_ratio=2.7),
        cases_cpu.compiled_inference_cases,
    ),
    Row(
        'inference-best',
        'the fastest file that we export, the peer eager; every one, the peer exported and run in the same way',
        Target(ratio=4),
        cases_cpu.best_inference_cases,
    ),
    Row(
        'training-step',
        'x1.0 and x0.25, batch 32: forward, backward, optimiser, CPU',
        Target(ratio=1.5),
        cases_cpu.training_step_cases,
    ),
    Row(
        'gpu-inference',
        'x1.0 and x0.25, batch 1, 64, 512; fp32 and bf16, eager, compiled, CUDA graphs',
        Target(ratio=2),
        cases_gpu.gpu_inference_cases,
        device='cuda',
    ),
    Row(
        'gpu-training-step',
        'x1.0 and x0.25, batch 64, 512; fp32 and bf16, eager, compiled',
        Target(ratio=2),
        cases_gpu.gpu_training_cases,
        device='cuda',
    ),
    Row(
        'evaluation',
        'features to mAP and CMC at the size of Market-1501, against the Python of the peer',
        Target(ratio=100, at_most={'peak GiB': 0.5}),
        cases_evaluation.evaluation_cases,
    ),
    Row(
        'evaluation-large',
        'the same at the size of MSMT17 and of Market-1501 + 500k; growth with Q x G',
        Target(at_most={'peak GiB': 2}),
        cases_evaluation.large_evaluation_cases,
    ),
    Row(
        'video-evaluation',
        'embeddings of all frames to mAP and CMC at the size of MARS; the network is left out',
        Target(),
        cases_video.video_evaluation_cases,
    ),
    Row('re-ranking', '10,000 features; then the size of MSMT17', Target(ratio=10), cases_evaluation.re_ranking_cases),
    Row('data-loading', 'JPEG crops to training batches, 2 workers', Target(ratio=1), cases_data.data_loading_cases),
    Row('epoch', 'a training epoch of x0.25 end to end, CPU', Target(ratio=1.6), cases_data.epoch_cases),
    Row('start-up', '--help; start to first iteration on the demo', Target(), cases_data.start_up_cases),
)


def select_rows(names: Sequence[str] | None, device: str | None, rows: Sequence[Row] = ROWS) -> list[Row]:
    """Return rows by name, in the order of the table.

    Args:
        names: Names, beginnings of names, or patterns such as ``'*step'``; None for all.
        device: ``'cpu'`` or ``'cuda'``; both for None.
        rows: Rows to choose from.

    Raises:
        DataError: No row has such a name.
    """
    chosen = set()
    for name in names or ['*']:
        matching = [row.name for row in rows if row.name == name]
        matching = matching or [row.name for row in rows if row.name.startswith(name) or fnmatchcase(row.name, name)]
        if not matching:
            raise DataError(f'no row {name!r} in the benchmark, choose from {", ".join(row.name for row in rows)}')
        chosen.update(matching)
    selected = [row for row in rows if row.name in chosen and device in (None, row.device)]
    if not selected:
        raise DataError(f'none of {", ".join(sorted(chosen))} runs on {device}')
    return selected
