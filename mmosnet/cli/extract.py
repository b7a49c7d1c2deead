"""Extract features of people: embeddings with path, identity, camera, time, track and attributes.

Inputs are images, folders of images, CSV tables, COCO files, and videos with files of boxes. The features are written
to a folder of Parquet files, in shards of 10,000 people. A shard is written completely or not at all, and the same
command resumes an interrupted extraction. Several processes, on one machine or on machines with a common folder, share
the shards.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmosnet.cli import options
from mmosnet.cli.embedder import add_model, build_embedder

if TYPE_CHECKING:
    from mmosnet.features.extraction import Part
    from mmosnet.features.people import ListingOptions

EXAMPLES = """\
  mmosnet extract CONFIG CHECKPOINT crops/ --out features
  mmosnet extract osnet-x0.25_reid-market1501 released data/market1501/query --names market1501 --out query
  mmosnet extract CONFIG CHECKPOINT people.csv --split gallery --out gallery     columns path,pid,camid ...
  mmosnet extract CONFIG CHECKPOINT annotations.json --root frames --out people  COCO: boxes in frames
  mmosnet extract CONFIG CHECKPOINT door.mp4 hall.mp4 --boxes door.csv hall.txt --camid 0 1 --out today
  mmosnet extract CONFIG CHECKPOINT door.mp4 --boxes tracks.txt --per track --out today           a row per track
  mmosnet extract --exported osnet.onnx crops/ --out features                    without torch
  torchrun --nproc_per_node 4 -m mmosnet extract CONFIG CHECKPOINT crops/ --out features      on 4 GPUs
  mmosnet extract CONFIG CHECKPOINT crops/ --out /shared/features --shard 0/8    on the first of 8 machines

in Python:
  from mmosnet.features import read_features
  features = read_features('features')     features.embedding (N, D), .path, .pid, .camid, .time

needs the extra "gallery", and for --exported also "onnx" or "openvino"
"""
PAGE = 'features.md'
PART = re.compile(r'([0-9]+)/([0-9]+)')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.usage = '%(prog)s (CONFIG CHECKPOINT | --exported FILE) INPUT [INPUT ...] --out FOLDER [options]'
    inputs = parser.add_argument(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help='image, region of one (frame.jpg#xywh=120,80,64,190), folder, .csv, COCO .json, or video with --boxes; '
        'in front a config ("mmosnet configs" lists them) and a checkpoint file or "released", unless --exported is '
        'given',
    )
    options.complete_by_configs(inputs)
    parser.add_argument('--out', required=True, metavar='FOLDER', help='folder for the features')
    parser.add_argument('--overwrite', action='store_true', help='delete features of another extraction in the folder')
    model = parser.add_argument_group('model')
    add_model(model)
    options.add_amp(model)
    _add_people(parser.add_argument_group('people'))
    _add_video(parser.add_argument_group('video'))
    _add_work(parser.add_argument_group('work'))


def _add_people(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--names', choices=('market1501',), default='', help='file names hold pid and camera: 0002_c1s1_...'
    )
    group.add_argument(
        '--camid', type=int, nargs='+', default=(), metavar='N', help='camera of all inputs, or one per input'
    )
    group.add_argument(
        '--source',
        metavar='NAME',
        help='name of the place where the images are: galleries identify an image by path and source (host name and, '
        'for relative paths, the working directory; name it where these change, as in containers)',
    )
    group.add_argument(
        '--root', metavar='FOLDER', help="folder that paths in .csv and .json are relative to (the file's folder)"
    )
    group.add_argument('--split', help='only this split of .csv and .json: query, gallery ...')
    group.add_argument('--category', metavar='NAME', help='only boxes of this category in COCO files')
    group.add_argument('--id-key', default='person_id', help='field of the identity in COCO files (person_id)')
    group.add_argument('--camera-key', default='camera_id', help='field of the camera in COCO files (camera_id)')
    group.add_argument(
        '--margin',
        type=float,
        default=0.0,
        metavar='SHARE',
        help='margin around boxes, as a share of their size: 0.1 for a tenth on each side (0)',
    )
    options.add_per(
        group,
        'write a row per image (default) or per track: tracks of --boxes, or of the column "track" of a table; people '
        'without a track keep a row each',
    )
    group.add_argument(
        '--bad-images',
        choices=('error', 'skip'),
        default='error',
        help='stop at missing or damaged images and at invalid rows, or leave them out and list them (error)',
    )


def _add_video(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--boxes',
        nargs='+',
        default=(),
        metavar='FILE',
        help='one file per video or folder of frames: CSV with frame,x,y,w,h[,track][,score], or rows in the format of '
        'the MOTChallenge (det.txt, gt.txt)',
    )
    options.add_frames(group)
    group.add_argument('--tracks-as-pids', action='store_true', help='take numbers of tracks as identities')


def _add_work(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--batch-size', type=options.positive, default=64, metavar='N', help='images at once (64)')
    group.add_argument(
        '--workers', type=options.positive, metavar='N', help='threads that read images (2 on a CPU, 8 for a GPU)'
    )
    group.add_argument(
        '--shard-size', type=options.positive, default=10_000, metavar='N', help='people per file (10000)'
    )
    group.add_argument(
        '--shard', metavar='I/N', help='process I of N, counted from 0: only shards I, I + N, I + 2N ...'
    )


def run(args: argparse.Namespace) -> None:
    """Run the command; under torchrun, the first process prints the report."""
    args.interruption.advice = lambda: 'the same command goes on from here'
    from mmosnet.errors import DataError, need, user_line
    from mmosnet.features.extraction import extract
    from mmosnet.features.sources import list_people

    need('pyarrow.parquet', 'gallery')
    part = _part(args.shard, os.environ)
    if args.overwrite and part.total > 1:
        raise DataError(
            f'--overwrite by one of {part.total} processes may delete what the others write: delete {args.out}'
        )
    model, inputs = _model_and_inputs(args)
    people = list_people(inputs, _listing_options(args))
    embedder = build_embedder(args, model, os.environ.get('LOCAL_RANK'))
    launched = 'RANK' in os.environ
    try:
        report = extract(
            people,
            embedder,
            args.out,
            source=args.source,
            batch_size=args.batch_size,
            workers=args.workers,
            shard_size=args.shard_size,
            overwrite=args.overwrite,
            part=part,
            wait=launched and part.number == 0,
            cfg_options=args.cfg_options,
            per=args.per,
            pool=args.pool,
        )
    except OSError as e:
        if e.errno is None:
            raise
        # Name the file, the cause and the remedy, as other commands do.
        raise DataError(f'{user_line(e)}. Finished shards stay: the same command goes on with the others') from e
    if not launched or part.number == 0:
        print(report)


def _model_and_inputs(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return config and checkpoint (empty with ``--exported``), and the inputs."""
    from mmosnet.errors import DataError

    if not args.exported:
        if len(args.inputs) < 3:
            raise DataError('give CONFIG, CHECKPOINT and at least one INPUT; or --exported FILE and INPUT')
        return args.inputs[:2], args.inputs[2:]
    given = [f'--{name}' for name in ('device', 'amp', 'cfg_options') if getattr(args, name)]
    if given:
        raise DataError(f'{given[0].replace("_", "-")} is for a config and a checkpoint, not for --exported')
    return [], args.inputs


def _listing_options(args: argparse.Namespace) -> ListingOptions:
    """Return the options of the listing of people."""
    from mmosnet.features.people import ListingOptions
    from mmosnet.io.tables import seconds

    return ListingOptions(
        names=args.names,
        camid=args.camid,
        root=args.root,
        split=args.split,
        category=args.category,
        id_key=args.id_key,
        camera_key=args.camera_key,
        margin=args.margin,
        boxes=args.boxes,
        first_frame=args.first_frame,
        min_score=args.min_score,
        tracks_as_pids=args.tracks_as_pids,
        frame_step=args.frame_step,
        fps=args.fps,
        start_time=[seconds(text, '--start-time') for text in args.start_time],
        skip=args.bad_images == 'skip',
    )


def _part(text: str | None, environ: Mapping[str, str]) -> Part:
    """Return this process's part of the work, from ``--shard`` or from torchrun's environment.

    Raises:
        DataError: Both are given, or there is no such part.
    """
    from mmosnet.errors import DataError
    from mmosnet.features.extraction import Part

    if text is None:
        return Part(int(environ.get('RANK', 0)), int(environ.get('WORLD_SIZE', 1)))
    if int(environ.get('WORLD_SIZE', 1)) > 1:
        raise DataError('--shard is for processes that are started one by one; torchrun shares the work by itself')
    match = PART.fullmatch(text)
    number, total = map(int, match.groups()) if match else (0, 0)
    if number >= total:
        raise DataError(f'--shard {text}: give I/N with I from 0 to N - 1, 0/4 to 3/4 for four processes')
    return Part(number, total)
