"""Identify the people in videos of cameras: write who was where.

Inputs are videos, or folders of frames, each with a file of boxes as detectors and trackers write them. A gallery keeps
the people. Each track is compared with them: it is a known person, or a new one who gets the next number and is kept
in the gallery, or unsure. Several videos are taken together in order of time. --out gets sightings.csv with a row per
sighting, and per video its boxes with people as ids (NAME.mot.txt), the video with labeled boxes (NAME.mp4), and in
people/ a sheet per person. The same command resumes an interrupted run.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mmosnet.cli import options

if TYPE_CHECKING:
    from mmosnet.features.people import ListingOptions
    from mmosnet.frames import Embedder
    from mmosnet.gallery import Gallery

EXAMPLES = """\
  mmosnet identify MODEL work_dirs/people door.mp4 --boxes door.txt --camid 0 --threshold 0.3 --out today
  mmosnet identify MODEL work_dirs/people door.mp4 hall.mp4 --boxes door.txt hall.txt --camid 0 1 \\
      --start-time 2026-05-01T12:00:00+02:00 2026-05-01T12:00:30+02:00 --travel-time 0:1=20 --out today
  mmosnet identify osnet.onnx work_dirs/people door.mp4 --boxes door.csv --camid 0 --out today      without torch
  mmosnet identify CONFIG --checkpoint FILE work_dirs/people frames/ --boxes det.txt --fps 25 --camid 3 --out today

MODEL is the name of a model with released weights, a config with --checkpoint, or a file of mmosnet export.
The gallery is created if it does not exist. It needs a threshold: "mmosnet calibrate" finds one, or give --threshold.
needs the extra "gallery", and for an exported file also "onnx" or "openvino"
"""
PAGE = 'who_was_where.md'
TRAVEL = re.compile(r'(\d+):(\d+)=(\d+(?:\.\d+)?)', re.ASCII)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.usage = '%(prog)s MODEL GALLERY VIDEO [VIDEO ...] --boxes FILE [FILE ...] --camid N [N ...] --out FOLDER'
    model = parser.add_argument(
        'model', metavar='MODEL', help='name of a model or config ("mmosnet configs" lists them), or exported file'
    )
    options.complete_by_configs(model)
    parser.add_argument('gallery', metavar='GALLERY', help='folder, file NAME.db, or address; created if there is none')
    parser.add_argument('videos', nargs='+', metavar='VIDEO', help='video, or folder of frames')
    parser.add_argument('--out', required=True, metavar='FOLDER', help='folder for the results')
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='take back what was decided about these videos before, if it is the last in the log of the gallery',
    )
    parser.add_argument('--checkpoint', metavar='FILE', help='weights of MODEL (its released ones)')
    options.add_device(parser)
    _add_video(parser.add_argument_group('video'))
    _add_people(parser.add_argument_group('people'))
    _add_output(parser.add_argument_group('output'))


def _add_output(output: argparse._ArgumentGroup) -> None:
    output.add_argument('--no-video', action='store_true', help='do not write videos with labeled boxes')
    output.add_argument('--no-sheets', action='store_true', help='do not write a sheet per person')


def _add_video(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--boxes',
        nargs='+',
        required=True,
        metavar='FILE',
        help='one file per video: CSV with frame,x,y,w,h[,track][,score], or rows in the format of the MOTChallenge',
    )
    group.add_argument(
        '--camid', type=int, nargs='+', required=True, metavar='N', help='camera of all videos, or one per video'
    )
    options.add_frames(group)
    group.add_argument(
        '--box-margin',
        type=float,
        default=0.0,
        metavar='SHARE',
        help='margin around boxes, as a share of their size: 0.1 for a tenth on each side (0)',
    )
    group.add_argument(
        '--bad-images',
        choices=('error', 'skip'),
        default='error',
        help='stop at damaged frames and at rows that cannot be used, or leave them out and count them (error)',
    )


def _add_people(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--per',
        choices=('track', 'frame'),
        help='decide once per track, or anew in each frame (track, if the boxes have tracks)',
    )
    group.add_argument('--frames', type=options.positive, default=16, metavar='N', help='boxes to embed per track (16)')
    group.add_argument(
        '--decide-after',
        type=options.positive,
        metavar='N',
        help='decide a track after N boxes, as a live system would (at the end of the track)',
    )
    group.add_argument(
        '--shortest-track',
        type=options.positive,
        metavar='N',
        help='tracks of fewer than N boxes, often false ones, get no person and are "too short" (3, or N of '
        '--decide-after if that is smaller)',
    )
    group.add_argument(
        '--threshold', type=float, metavar='D', help='largest distance to a known person (that of the gallery)'
    )
    group.add_argument(
        '--margin',
        type=float,
        metavar='D',
        help='unsure where the second nearest person is not further away by this distance',
    )
    group.add_argument(
        '--travel-time',
        nargs='+',
        default=(),
        metavar='A:B=SECONDS',
        help='shortest time from camera A to camera B and back: nobody is seen in both within less; 0 for cameras that '
        'see the same place (without one, nobody is in two cameras at the same time)',
    )
    group.add_argument(
        '--log', metavar='FILE', help='log of the decisions about the gallery (people.sqlite in its folder)'
    )


def run(args: argparse.Namespace) -> None:
    """Run the command; messages of mmengine go to standard error."""
    args.interruption.advice = lambda: 'decisions so far are kept: the same command goes on from here'
    import sys
    from contextlib import redirect_stdout
    from importlib.util import find_spec

    from mmosnet.errors import DataError
    from mmosnet.features.videos import open_videos
    from mmosnet.frames import Embedder
    from mmosnet.gallery.identify import IdentifyOptions, identify
    from mmosnet.gallery.people import People
    from mmosnet.gallery.people_verdicts import Limits

    if find_spec('matplotlib') is None and not (args.no_video and args.no_sheets):
        raise DataError('pictures are drawn with matplotlib: pip install matplotlib, or give --no-video --no-sheets')
    options = IdentifyOptions(
        per=args.per,
        frames=args.frames,
        after=args.decide_after,
        shortest_track=args.shortest_track,
        draw_videos=not args.no_video,
        draw_sheets=not args.no_sheets,
        overwrite=args.overwrite,
        skip=args.bad_images == 'skip',
    )
    # Before a gallery is created.
    Limits.of(args.threshold or 0.0, None, args.margin)
    limits = dict(threshold=args.threshold, margin=args.margin, travel_times=_travel_times(args.travel_time))
    videos = open_videos(args.videos, _listing_options(args))
    # mmengine logs to stdout, which is for the result.
    with redirect_stdout(sys.stderr):
        embedder = Embedder(args.model, args.checkpoint, args.device)
    with _gallery(args, embedder) as gallery:
        if args.threshold is None and gallery.threshold is None:
            # A track of one box is an image, for which a gallery that was calibrated per track has no threshold.
            limits['threshold'] = gallery.track_threshold
        with People(gallery, args.log, model=embedder.model, **limits) as people:
            print(identify(videos, people, embedder, args.out, options))


@contextmanager
def _gallery(args: argparse.Namespace, embedder: Embedder) -> Iterator[Gallery]:
    """Open the gallery, or create it."""
    from mmosnet.errors import DataError
    from mmosnet.gallery import Gallery

    try:
        gallery = Gallery.open(args.gallery)
    except FileNotFoundError as e:
        if args.threshold is None:
            raise DataError(
                f'no gallery {args.gallery}: to create it, give --threshold; or make it with `mmosnet gallery create '
                f'{args.gallery} FEATURES`, and find the threshold with `mmosnet calibrate`'
            ) from e
        gallery = Gallery.create(args.gallery, embedder.dimension, model=embedder.model)
    with gallery:
        yield gallery


def _listing_options(args: argparse.Namespace) -> ListingOptions:
    """Return the options of the boxes."""
    from mmosnet.features.people import ListingOptions
    from mmosnet.io.tables import seconds

    return ListingOptions(
        camid=args.camid,
        boxes=args.boxes,
        margin=args.box_margin,
        first_frame=args.first_frame,
        min_score=args.min_score,
        frame_step=args.frame_step,
        fps=args.fps,
        start_time=[seconds(text, '--start-time') for text in args.start_time],
        skip=args.bad_images == 'skip',
    )


def _travel_times(texts: Sequence[str]) -> dict[tuple[int, int], float]:
    """Return the shortest time between cameras by their numbers.

    Raises:
        DataError: A text has not the form ``A:B=SECONDS``, or a pair comes twice.
    """
    from mmosnet.errors import DataError

    times: dict[tuple[int, int], float] = {}
    for text in texts:
        match = TRAVEL.fullmatch(text)
        if match is None:
            raise DataError(f'--travel-time {text}: give A:B=SECONDS, 0:1=20 for 20 s between the cameras 0 and 1')
        pair = min(int(match[1]), int(match[2])), max(int(match[1]), int(match[2]))
        if pair[0] == pair[1] or pair in times:
            what = 'one camera' if pair[0] == pair[1] else 'given twice'
            raise DataError(f'--travel-time {text}: {what}; give each pair of two cameras once')
        times[pair] = float(match[3])
    return times
