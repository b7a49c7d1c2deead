"""Search a gallery for people: rank the nearest images for each query.

Prints one table per query. If the gallery has a threshold ("mmosnet calibrate" finds one), the table says of each image
whether it shows the same person. --out draws the ranked lists.

With --per track, all images together are one query, a track of one person. Tracks may also come from a video and a file
of boxes: each is a query, and --track chooses some.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mmosnet.cli import options
from mmosnet.cli.embedder import add_model, build_embedder

if TYPE_CHECKING:
    from mmosnet.drawing.matches import ShownImage
    from mmosnet.gallery import Match

EXAMPLES = """\
  mmosnet search CONFIG CHECKPOINT work_dirs/gallery query.jpg --out ranked.jpg
  mmosnet search CONFIG CHECKPOINT work_dirs/gallery 'frame.jpg#xywh=120,80,64,190' --top-k 5
  mmosnet search osnet-x0.25_multitask-synthetic released work_dirs/gallery a.jpg b.jpg --not-camids 0
  mmosnet search CONFIG CHECKPOINT work_dirs/gallery query.jpg --attributes backpack hat      both
  mmosnet search CONFIG CHECKPOINT work_dirs/gallery 1.jpg 2.jpg 3.jpg --per track            three images of one person
  mmosnet search CONFIG CHECKPOINT work_dirs/gallery door.mp4 --boxes tracks.txt --track 7    a track of a video
  mmosnet search --exported osnet.onnx work_dirs/gallery query.jpg --json        without torch
  mmosnet search CONFIG CHECKPOINT work_dirs/gallery query.jpg --after 2026-05-01T12:00:00+02:00

The model must be the one that extracted the gallery's features.
needs the extra "gallery", and for --exported also "onnx" or "openvino"
"""
PAGE = 'gallery.md'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.usage = '%(prog)s (CONFIG CHECKPOINT | --exported FILE) GALLERY QUERY [QUERY ...] [options]'
    arguments = parser.add_argument(
        'arguments',
        nargs='+',
        metavar='GALLERY QUERY',
        help='gallery of mmosnet gallery, and images: whole, a region (frame.jpg#xywh=120,80,64,190), or one of a '
        'frame of a video (video.mp4#frame=7&xywh=120,80,64,190); in front a config ("mmosnet configs" lists them) '
        'and a checkpoint file or "released", unless --exported is given',
    )
    options.complete_by_configs(arguments)
    add_model(parser.add_argument_group('model'))
    what = parser.add_argument_group('search')
    what.add_argument('--top-k', type=options.positive, default=10, metavar='K', help='images per query (10)')
    what.add_argument('--camids', nargs='+', metavar='C', help='only images of these cameras, by number or name')
    what.add_argument('--not-camids', nargs='+', metavar='C', help='no images of these cameras')
    what.add_argument(
        '--after', metavar='T', help='only images seen then or later: seconds, or 2026-05-01T12:00:00+02:00'
    )
    what.add_argument('--before', metavar='T', help='only images seen before, likewise')
    what.add_argument(
        '--attributes',
        nargs='+',
        metavar='NAME',
        help='only images with all these attributes, which a joint model predicted when it extracted them',
    )
    tracks = parser.add_argument_group('tracks')
    options.add_per(tracks, 'search for each image (default), or for all of them as a track of one person')
    tracks.add_argument(
        '--boxes',
        metavar='FILE',
        help='boxes with tracks of the query, a video or a folder of frames; sets --per track',
    )
    tracks.add_argument('--track', nargs='+', metavar='T', help='only these tracks of --boxes, one query each (all)')
    tracks.add_argument(
        '--first-frame',
        type=int,
        metavar='N',
        help='number of the first frame in --boxes (0 if the first row names the columns, else 1)',
    )
    output = parser.add_argument_group('output')
    output.add_argument('--out', metavar='FILE', help='image file for a picture of the ranked lists')
    output.add_argument('--json', action='store_true', help='print JSON instead of tables')


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    import json
    import sys
    from contextlib import redirect_stdout

    from mmosnet.gallery import Gallery
    from mmosnet.gallery.report import matches_as_json, search_table
    from mmosnet.gallery.search import search, search_tracks
    from mmosnet.io.tables import seconds

    model, uri, queries = _model_gallery_queries(args)
    tracks = _tracks(args, queries)
    if args.out:
        _check_picture(args.out)
    times = dict(after=args.after, before=args.before)
    after, before = (text if text is None else seconds(text, f'--{name}') for name, text in times.items())
    with Gallery.open(uri) as gallery:
        # mmengine logs to stdout, which is for the result.
        with redirect_stdout(sys.stderr):
            embedder = build_embedder(args, model)
        conditions = dict(top_k=args.top_k, camids=args.camids, not_camids=args.not_camids, after=after, before=before)
        conditions |= dict(attributes=args.attributes)
        if tracks:
            ranked = search_tracks(gallery, embedder, list(tracks.values()), args.pool, **conditions)
        else:
            ranked = search(gallery, embedder, queries, **conditions)
        threshold = gallery.threshold_of('track' if tracks else 'image')
    searches = list(zip(tracks or queries, ranked, strict=True))
    if args.out:
        from mmosnet.drawing.matches import draw_matches
        from mmosnet.drawing.sheets import save_sheet

        save_sheet(draw_matches([_shown_search(*one, tracks) for one in searches], threshold), args.out)
    if args.json:
        report = dict(threshold=threshold, searches=[matches_as_json(*one) for one in searches])
        print(json.dumps(report, indent=1))
        return
    for one in searches:
        print(search_table(*one) + '\n')
    if threshold is None:
        command = 'mmosnet calibrate' + ' --per track' * bool(tracks)
        print(
            f'no threshold{" for tracks" * bool(tracks)}: `{command}` finds the distance at which "same person" is said'
        )
    else:
        print(f'same person: at a distance of at most {threshold:.4f}')
    if args.out:
        print(f'picture: {args.out}')


def _model_gallery_queries(args: argparse.Namespace) -> tuple[list[str], str, list[str]]:
    """Return config and checkpoint (empty with ``--exported``), the gallery, and the queries.

    Raises:
        DataError: There are too few arguments.
        FileNotFoundError: The file of a query is missing.
    """
    from pathlib import Path

    from mmosnet.errors import DataError
    from mmosnet.io.regions import split_region

    given = args.arguments
    number = 0 if args.exported else 2
    if len(given) < number + 2:
        raise DataError('give CONFIG CHECKPOINT GALLERY QUERY, or --exported FILE and GALLERY QUERY')
    if args.exported and (args.device or args.cfg_options):
        raise DataError('--device and --cfg-options are for a config and a checkpoint, not for --exported')
    queries = given[number + 1 :]
    if args.boxes:
        # The list of people checks the video.
        return given[:number], given[number], queries
    for query in queries:
        if Path(query).is_dir():
            raise DataError(f'{query} is a folder: name the images in it')
        if '#' not in query and not Path(split_region(query)[0]).is_file():
            raise FileNotFoundError(f'no image {query}')
    return given[:number], given[number], queries


def _tracks(args: argparse.Namespace, queries: Sequence[str]) -> dict[str, list[str]]:
    """Return the images of each query that is a track, by the text that names it; empty if the queries are images.

    Raises:
        DataError: Options do not fit together, or there is no such track.
        FileNotFoundError: The video or the file of boxes is missing.
    """
    from mmosnet.errors import DataError
    from mmosnet.features.people import ListingOptions
    from mmosnet.features.sources import list_people

    if not args.boxes:
        given = [name for name in ('track', 'first_frame') if getattr(args, name) is not None]
        if given:
            raise DataError(f'--{given[0].replace("_", "-")} is for the tracks of a video: give --boxes too')
        if args.per == 'image':
            return {}
        name = queries[0] if len(queries) == 1 else f'{queries[0]} and {len(queries) - 1} more'
        return {name: list(queries)}
    if len(queries) != 1:
        raise DataError(f'--boxes {args.boxes}: give one video or folder of frames, not {len(queries)}')
    people = list_people(queries, ListingOptions(boxes=[args.boxes], first_frame=args.first_frame))
    tracks: dict[str, list[str]] = {}
    for path, track in zip(people.path, people.track, strict=True):
        if track:
            tracks.setdefault(track, []).append(path)
    wanted = list(tracks) if args.track is None else args.track
    for track in wanted:
        if track not in tracks:
            known = ', '.join(list(tracks)[:10]) + ' ...' * (len(tracks) > 10)
            raise DataError(f'--track {track}: {args.boxes} has no such track; there are {known or "none"}')
    if not wanted:
        raise DataError(f'{args.boxes}: no box has a track that could be a query')
    return {f'{queries[0]}, track {track}': tracks[track] for track in wanted}


def _check_picture(path: str) -> None:
    """Check that a picture can be drawn, before anything is computed.

    Raises:
        DataError: The suffix names no image format, or matplotlib is missing, as on a device without OpenMMLab.
    """
    import os
    from importlib.util import find_spec
    from pathlib import Path

    import cv2

    from mmosnet.errors import DataError

    # OpenCV ends the process at names that are not UTF-8.
    if not cv2.haveImageWriter(os.fsencode(Path(path).name).decode('utf-8', 'replace')):
        raise DataError(f'--out {path}: name a file that ends in .jpg or .png')
    if find_spec('matplotlib') is None:
        raise DataError('--out draws with matplotlib: pip install matplotlib')


def _shown_search(
    query: str, matches: Sequence[Match], tracks: Mapping[str, Sequence[str]]
) -> tuple[ShownImage, list[ShownImage]]:
    """Return a query and its matches for the picture, with the text below each; of a track the first image."""
    from pathlib import Path

    from mmosnet.gallery.report import camera_of, known_time, person_of

    shown = []
    for rank, match in enumerate(matches, 1):
        person, camera = match.name or f'pid {person_of(match) or "unknown"}', camera_of(match)
        lines = [f'{rank}: {match.distance:.3f}', person]
        lines += [match.camera or (camera and f'camera {camera}'), known_time(match.time)]
        shown.append(_shown(match.path, lines, match.same_person))
    return _shown(tracks[query][0] if tracks else query, [Path(query).name]), shown


def _shown(path: str, lines: list[str], same: bool | None = None) -> ShownImage:
    from mmosnet.drawing.matches import ShownImage
    from mmosnet.errors import DataError
    from mmosnet.io.video import read_person

    try:
        image = read_person(path)
    except (DataError, FileNotFoundError):
        # A gallery holds no images, and theirs may have been deleted.
        image = None
    return ShownImage(image, lines, same)
