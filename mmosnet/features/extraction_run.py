"""From people to a folder of features: the whole extraction in one call."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from mmosnet.errors import DataError, need
from mmosnet.features.embedder import Embedder
from mmosnet.features.extraction import Extraction, Part
from mmosnet.features.extraction_folder import SKIPPED, ExtractionFolder
from mmosnet.features.extraction_progress import ExtractionProgress
from mmosnet.features.extraction_report import extraction_report
from mmosnet.features.features import checked_name
from mmosnet.features.person_list import PersonList
from mmosnet.version import __version__

SHARD_SIZE = 10_000
# Threads that read images. A CPU is busy with the model.
CPU_WORKERS, GPU_WORKERS = 2, 8


def extract(
    people: PersonList,
    embedder: Embedder,
    out: str | Path,
    *,
    source: str | None = None,
    batch_size: int = 64,
    workers: int | None = None,
    shard_size: int = SHARD_SIZE,
    overwrite: bool = False,
    part: Part | None = None,
    wait: bool = False,
    cfg_options: list[str] | None = None,
) -> str:
    """Extract the features of people into a folder, or go on where an earlier call was interrupted.

    Images that cannot be used are an error, or left out and listed, as ``people.options.skip`` says.

    Args:
        people: See :func:`~mmosnet.features.list_people.list_people`.
        embedder: The model: :class:`~mmosnet.features.embedder.ExportedEmbedder` for an exported file, or
            :class:`~mmosnet.apis.embedder.TorchEmbedder` for a config and a checkpoint.
        out: The folder.
        source: Where the images are, stored with each: a path and its source identify an image in galleries. By
            default the name of this machine and, for relative paths, its working directory.
        batch_size: Images that the model gets at once.
        workers: Threads that read images; by default 2 for a model on the CPU, 8 otherwise.
        shard_size: People per file.
        overwrite: Delete the features of another extraction in the folder.
        part: The part of the shards that this process extracts; all of them by default.
        wait: Wait until the processes that extract the other parts have finished too.
        cfg_options: Overrides of the model's config, noted in ``extraction.json``: features that were extracted with
            others are another extraction.

    Returns:
        A report for people, of several lines.

    Raises:
        DataError: An argument that cannot be used, an image that cannot be read, or a folder that holds another
            extraction.
        OSError: The folder cannot be written.

    Example:
        >>> people = list_people(['crops'], ListingOptions(names='market1501'))
        >>> print(extract(people, ExportedEmbedder('osnet.onnx'), 'features'))
        >>> read_features('features').embedding.shape
        (1501, 512)
    """
    part = part or Part()
    need('pyarrow.parquet', 'gallery')
    for name, value in dict(batch_size=batch_size, workers=workers, shard_size=shard_size).items():
        if value is not None and value < 1:
            raise DataError(f'{name}={value}: give 1 or more')
    facts = dict(
        version=__version__,
        # The file stands for a model whose weights are unknown.
        model=embedder.model or embedder.source,
        kind=embedder.kind,
        preparation=embedder.preparation,
        source=embedder.source,
        dimension=embedder.dimension,
        inputs=people.inputs,
        images=len(people),
        people=people.digest(),
        names=people.names,
        origin=None if source is None else checked_name(source, '--source'),
        host=platform.node(),
        # A name that is no Unicode text is written with its bytes.
        cwd=os.fsencode(os.getcwd()).decode('utf-8', 'backslashreplace'),
        left_out=people.left_out,
        shard_size=shard_size,
        bad_images='skip' if people.options.skip else 'error',
        cfg_options=cfg_options,
    )
    folder = ExtractionFolder(out, facts, overwrite)
    people.source = folder.sources(people.path)
    workers = workers or (CPU_WORKERS if embedder.on_cpu else GPU_WORKERS)
    options = people.options
    extraction = Extraction(people, embedder, folder, batch_size, workers, options.skip, options.fps)
    own = sum(folder.sizes[part.number :: part.total])
    with ExtractionProgress(own, len(folder.sizes)) as progress:
        extraction.run(part, progress)
        progress.stop()
        if wait:
            extraction.wait(progress.say, part.total, progress.seconds)
    text = extraction_report(folder, embedder, progress, people.left_out)
    skipped = [] if folder.missing() else folder.finish()
    if len(skipped) == len(people):
        raise DataError(
            f'{folder.path}: nobody is left, all {len(skipped):,} are in {folder.path / SKIPPED}; the first: '
            f'{skipped[0][1]}'
        )
    return text
