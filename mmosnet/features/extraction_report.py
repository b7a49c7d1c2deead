"""What an extraction made, as text."""

from __future__ import annotations

from collections.abc import Mapping

from mmosnet.drawing.tables import fact_table
from mmosnet.features.embedder import Embedder
from mmosnet.features.extraction_folder import SKIPPED, ExtractionFolder
from mmosnet.features.extraction_progress import ExtractionProgress

# Skipped images that are named.
MOST_NAMED = 5


def extraction_report(
    folder: ExtractionFolder,
    embedder: Embedder,
    progress: ExtractionProgress,
    left_out: Mapping[str, int] | None = None,
) -> str:
    """Lay out a finished or partial extraction; ``skipped.csv`` is written when it is finished.

    Args:
        folder: Folder of the features.
        embedder: The model.
        progress: Progress of this run.
        left_out: Number of entries of the inputs that were not requested, by kind.

    Returns:
        The lines, joined.
    """
    missing = folder.missing()
    people, total = sum(folder.sizes), len(folder.sizes)
    left_out = left_out or {}
    rows = []
    if missing:
        rows.append(
            ('shards', f'{total - len(missing)} of {total}; the others are those of other processes, or not begun')
        )
    else:
        skipped = folder.finish()
        if skipped or left_out:
            rows.append(('read', f'{people + sum(left_out.values()):,}'))
        rows.append(('people', f'{people - len(skipped):,}'))
        if skipped:
            rows.append(('skipped', f'{len(skipped):,}, listed in {folder.path / SKIPPED}'))
            rows += [('', f'{path}: {reason}') for path, reason in skipped[:MOST_NAMED]]
        rows += [('left out', f'{count:,} {text}') for text, count in left_out.items()]
        rows.append(('shards', f'{total}, of up to {folder.shard_size:,} people'))
    rows.append(('dimension', str(embedder.dimension)))
    rows.append(('model', f'{embedder.source} ({embedder.kind}), weights {embedder.model or "unknown"}'))
    there = f'; {progress.before:,} were there' if progress.before else ''
    speed = f'{progress.rate:.1f} images a second, {progress.done:,} in {progress.seconds:.0f} s{there}'
    rows += [('speed', speed), ('folder', str(folder.path))]
    return fact_table(rows)
