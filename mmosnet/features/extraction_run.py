"""What ``tools/extract.py`` does, from its arguments to its report."""

from __future__ import annotations

import argparse
import math
import os
import platform
import re
from collections.abc import Mapping, Sequence

from mmosnet.errors import DataError
from mmosnet.features.embedder import Embedder, ExportedEmbedder
from mmosnet.features.extraction import Extraction, Part
from mmosnet.features.extraction_folder import SKIPPED, ExtractionFolder
from mmosnet.features.extraction_progress import ExtractionProgress
from mmosnet.features.extraction_report import extraction_report
from mmosnet.features.features import checked_name
from mmosnet.features.list_people import list_people
from mmosnet.features.listing_options import ListingOptions
from mmosnet.features.person_list import PersonList
from mmosnet.features.seconds import seconds
from mmosnet.optional_package import need
from mmosnet.user_errors import user_line
from mmosnet.version import __version__

PART = re.compile(r'([0-9]+)/([0-9]+)')
# Threads that read images. A CPU is busy with the model.
CPU_WORKERS, GPU_WORKERS = 2, 8


def extract(args: argparse.Namespace, environ: Mapping[str, str]) -> str:
    """Extract features.

    Args:
        args: Arguments of the command.
        environ: The environment, in which torchrun says which process this is.

    Returns:
        The report; empty but for the first process of torchrun.

    Raises:
        FileNotFoundError, DataError: Mistakes in arguments or data.
    """
    need('pyarrow.parquet', 'gallery')
    _check_numbers(args)
    part = _part(args.shard, environ)
    if args.overwrite and part.total > 1:
        raise DataError(
            f'--overwrite by one of {part.total} processes may delete what the others write: delete {args.out}'
        )
    model, inputs = _model_and_inputs(args)
    people = list_people(inputs, _listing_options(args))
    embedder = _embedder(args, model, environ)
    folder = ExtractionFolder(args.out, _facts(args, inputs, people, embedder), args.overwrite)
    people.source = folder.sources(people.path)
    workers = args.workers or (CPU_WORKERS if embedder.on_cpu else GPU_WORKERS)
    extraction = Extraction(people, embedder, folder, args.batch_size, workers, args.bad_images == 'skip', args.fps)
    own = sum(folder.sizes[part.number :: part.total])
    try:
        with ExtractionProgress(own, len(folder.sizes)) as progress:
            extraction.run(part, progress)
            progress.stop()
            if 'RANK' in environ and part.number == 0:
                extraction.wait(progress.say, part.total, progress.seconds)
        return _report(folder, extraction, progress) if 'RANK' not in environ or not part.number else ''
    except OSError as e:
        if e.errno is None:
            raise
        # The file, the cause and the remedy, as other commands say them.
        raise DataError(f'{user_line(e)}. Finished shards stay: the same command goes on with the others') from e


def _report(folder: ExtractionFolder, extraction: Extraction, progress: ExtractionProgress) -> str:
    text = extraction_report(folder, extraction.embedder, progress, extraction.people.left_out)
    skipped = [] if folder.missing() else folder.finish()
    if len(skipped) == len(extraction.people):
        raise DataError(
            f'{folder.path}: nobody is left, all {len(skipped):,} are in {folder.path / SKIPPED}; the first: '
            f'{skipped[0][1]}'
        )
    return text


def _model_and_inputs(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Split the arguments into config and checkpoint, or nothing, and the inputs."""
    if not args.exported:
        if len(args.inputs) < 3:
            raise DataError('give CONFIG, CHECKPOINT and at least one INPUT; or --exported FILE and INPUT')
        return args.inputs[:2], args.inputs[2:]
    given = [f'--{name}' for name in ('device', 'amp', 'cfg_options') if getattr(args, name)]
    if given:
        raise DataError(f'{given[0].replace("_", "-")} is for a config and a checkpoint, not for --exported')
    return [], args.inputs


def _embedder(args: argparse.Namespace, model: Sequence[str], environ: Mapping[str, str]) -> Embedder:
    if args.exported:
        return ExportedEmbedder(args.exported)
    # Only now: torch takes seconds, and may not be there.
    need('torch', 'lite')
    from mmosnet.apis.torch_embedder import TorchEmbedder, configured

    name, weights = model
    cfg, checkpoint = configured(name, weights, args.cfg_options)
    return TorchEmbedder(cfg, checkpoint, args.device, args.amp, environ.get('LOCAL_RANK'))


def _facts(
    args: argparse.Namespace, inputs: Sequence[str], people: PersonList, embedder: Embedder
) -> dict[str, object]:
    """Return the content of ``extraction.json``."""
    return dict(
        version=__version__,
        # Of an unknown model its file stands for it.
        model=embedder.model or embedder.source,
        kind=embedder.kind,
        preparation=embedder.preparation,
        source=embedder.source,
        dimension=embedder.dimension,
        inputs=list(inputs),
        images=len(people),
        people=people.digest(),
        names=people.names,
        origin=None if args.source is None else checked_name(args.source, '--source'),
        host=platform.node(),
        # A name that is no Unicode text is written with its bytes.
        cwd=os.fsencode(os.getcwd()).decode('utf-8', 'backslashreplace'),
        left_out=people.left_out,
        shard_size=args.shard_size,
        bad_images=args.bad_images,
        cfg_options=args.cfg_options,
    )


def _listing_options(args: argparse.Namespace) -> ListingOptions:
    same = (
        'names',
        'camid',
        'root',
        'split',
        'category',
        'id_key',
        'camera_key',
        'margin',
        'boxes',
        'min_score',
        'first_frame',
    )
    return ListingOptions(
        **{name: getattr(args, name) for name in (*same, 'tracks_as_pids', 'frame_step', 'fps')},
        start_time=[seconds(text, '--start-time') for text in args.start_time],
        skip=args.bad_images == 'skip',
    )


def _part(text: str | None, environ: Mapping[str, str]) -> Part:
    """Return the part that ``--shard`` or torchrun assigns to this process.

    Raises:
        DataError: Both, or no such part.
    """
    if text is None:
        return Part(int(environ.get('RANK', 0)), int(environ.get('WORLD_SIZE', 1)))
    if int(environ.get('WORLD_SIZE', 1)) > 1:
        raise DataError('--shard is for processes that are started one by one; torchrun shares the work by itself')
    match = PART.fullmatch(text)
    number, total = map(int, match.groups()) if match else (0, 0)
    if number >= total:
        raise DataError(f'--shard {text}: give I/N with I from 0 to N - 1, 0/4 to 3/4 for four processes')
    return Part(number, total)


def _check_numbers(args: argparse.Namespace) -> None:
    for name in ('batch_size', 'workers', 'shard_size', 'frame_step', 'fps'):
        value = getattr(args, name)
        if value is not None and not 0 < value < math.inf:
            raise DataError(f'--{name.replace("_", "-")} {value}: give a number above 0')
    if not 0 <= args.margin <= 10:
        raise DataError(f'--margin {args.margin}: give a share of the box, from 0 to 10')
    for camid in args.camid:
        if not 0 <= camid < 10**9:
            raise DataError(f'--camid {camid}: give a number from 0 up, below 1,000,000,000')
    if args.first_frame is not None and args.first_frame < 0:
        raise DataError(f'--first-frame {args.first_frame}: give the number of the first frame, 0 or 1 for instance')
    if args.min_score is not None and not math.isfinite(args.min_score):
        raise DataError(f'--min-score {args.min_score}: give a number')
