"""Make a gallery of people, add to it, delete from it, and see what is in it.

A gallery is a folder, searched by FAISS, or a file NAME.db or an address http://HOST:PORT, searched by Milvus. It holds
the features that "mmosnet extract" writes: embeddings with path, person, camera, time and track, but no images.
"mmosnet search" searches it, and "mmosnet calibrate" finds its thresholds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mmosnet.cli import options

if TYPE_CHECKING:
    from mmosnet.features import Features, FeatureShards
    from mmosnet.gallery import Gallery

EXAMPLES = """\
  mmosnet gallery create work_dirs/gallery work_dirs/features       with all features of a folder
  mmosnet gallery enroll work_dirs/gallery today/ yesterday/        images that are enrolled already are skipped
  mmosnet gallery delete work_dirs/gallery --pid 17 anna            two people, by number and by name
  mmosnet gallery info work_dirs/gallery --people                   with numbers and names of all people
  mmosnet gallery create --help                                     options and examples of a sub-command

in Python:
  from mmosnet.gallery import Gallery
  with Gallery.open('work_dirs/gallery') as gallery:
      gallery.search(embeddings, top_k=10, not_camids=[3])

needs the extra "gallery", or "milvus" for Milvus
"""
PAGE = 'gallery.md'
INDEX_KINDS = ('exact', 'ivfpq', 'hnsw')
DIMENSION = 512
# Images per file of an export.
SHARD_SIZE = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands and their arguments."""
    commands = parser.add_subparsers(dest='command', required=True, metavar='SUBCOMMAND')

    def add(run: Callable, *examples: str) -> argparse.ArgumentParser:
        command = options.add_command(commands, run, *examples)
        command.add_argument('gallery', metavar='GALLERY', help='folder, file NAME.db, or address')
        return command

    features: dict[str, Any] = dict(metavar='FEATURES', help='folder or .parquet file of mmosnet extract')
    command = add(
        create,
        'work_dirs/gallery work_dirs/features      with all features of a folder',
        'big --index ivfpq --dimension 512         empty, for millions of images',
        'http://milvus:19530#people features       in a Milvus server, as collection "people"',
    )
    command.add_argument('features', nargs='*', **features)
    command.add_argument('--index', choices=INDEX_KINDS, default='exact', help='kind of index (exact)')
    command.add_argument(
        '--distance', choices=('cosine', 'euclidean'), default='cosine', help='distance between embeddings (cosine)'
    )
    command.add_argument(
        '--dimension', type=int, metavar='D', help='numbers per embedding (those of the features; 512)'
    )
    command = add(
        enroll,
        'work_dirs/gallery today/ yesterday/       two folders of features',
        'work_dirs/gallery today/ --again          also images that are enrolled already',
    )
    command.add_argument('features', nargs='+', **features)
    command.add_argument(
        '--again', action='store_true', help='also images whose path and source are in the gallery already'
    )
    command = add(
        delete,
        'work_dirs/gallery --pid 17 anna           two people, by number and by name',
        'work_dirs/gallery --camid 3 --before 2026-05-01T00:00:00+02:00',
        'work_dirs/gallery --track 7 12 --camid 3  two tracks of one camera',
    )
    command.add_argument('--id', type=int, nargs='+', metavar='N', help='images by their ids')
    command.add_argument('--pid', nargs='+', metavar='P', help='people, by number or name; -1 for all unknown ones')
    command.add_argument('--camid', nargs='+', metavar='C', help='cameras, likewise')
    command.add_argument(
        '--track', nargs='+', metavar='T', help='tracks by name; trackers number anew in each video: see --camid'
    )
    command.add_argument('--before', metavar='T', help='images seen before: seconds, or 2026-05-01T12:00:00+02:00')
    add(compact, 'work_dirs/gallery                        afterwards the embeddings of deleted people are gone')
    add(check, 'work_dirs/gallery                          list what is damaged')
    command = add(info, 'work_dirs/gallery', 'work_dirs/gallery --people --json           all people, as JSON')
    command.add_argument('--people', action='store_true', help='list all people')
    command.add_argument('--json', action='store_true', help='print JSON')
    command = add(export, 'work_dirs/gallery work_dirs/features      for another gallery, or to calibrate on')
    command.add_argument('folder', metavar='FOLDER', help='folder for the features, in the format of mmosnet extract')


def run(args: argparse.Namespace) -> None:
    """Run a sub-command, and print its report."""
    print(args.run(args))


def create(args: argparse.Namespace) -> str:
    """Make a gallery, of features if they are given."""
    from mmosnet.gallery import Gallery
    from mmosnet.gallery.report import info_table

    shards = _shards(args.features)
    dimension = args.dimension
    if shards and dimension is None:
        dimension = next(iter(shards[0])).dimension
    with Gallery.create(args.gallery, dimension or DIMENSION, args.index, args.distance) as gallery:
        try:
            enrolled = _enroll(gallery, shards, again=False) if shards else ''
        except BaseException:
            if len(gallery):
                _say(f'{len(gallery):,} images are enrolled; `mmosnet gallery enroll {args.gallery} ...` goes on')
            else:
                # The same command can then be given again.
                gallery.discard()
            raise
        return enrolled + info_table(gallery.info())


def enroll(args: argparse.Namespace) -> str:
    """Add features; images that are enrolled already are left out."""
    from mmosnet.gallery import Gallery
    from mmosnet.gallery.report import info_table

    shards = _shards(args.features)
    with Gallery.open(args.gallery) as gallery:
        return _enroll(gallery, shards, args.again) + info_table(gallery.info())


def delete(args: argparse.Namespace) -> str:
    """Delete the images that meet all conditions given."""
    from mmosnet.errors import DataError
    from mmosnet.gallery import Gallery
    from mmosnet.gallery.milvus_connection import keeps_milvus
    from mmosnet.io.tables import seconds

    before = None if args.before is None else seconds(args.before, '--before')
    if all(value is None for value in (args.id, args.pid, args.camid, before, args.track)):
        raise DataError('give --id, --pid, --camid, --track or --before; a whole gallery is deleted as a folder')
    with Gallery.open(args.gallery) as gallery:
        deleted = gallery.delete(args.id, args.pid, args.camid, before, args.track)
        advice = ''
        if deleted and not keeps_milvus(args.gallery):
            advice = f'\n`mmosnet gallery compact {args.gallery}` erases their embeddings'
        return f'{deleted:,} images deleted, {len(gallery):,} left{advice}'


def compact(args: argparse.Namespace) -> str:
    """Erase what was deleted, and build a new index."""
    from mmosnet.gallery import Gallery
    from mmosnet.gallery.report import info_table

    with Gallery.open(args.gallery) as gallery:
        gallery.compact()
        return info_table(gallery.info())


def check(args: argparse.Namespace) -> str:
    """Compare all records, embeddings and files with their checksums; end with 1 if something is damaged."""
    from mmosnet.errors import DataError
    from mmosnet.gallery import Gallery
    from mmosnet.gallery.report import MOST_SHOWN, check_table

    with Gallery.open(args.gallery) as gallery:
        checked = gallery.check()
    table = check_table(checked)
    if checked.is_sound:
        return table
    print(table)
    remedies = []
    if checked.damaged:
        some = ' '.join(str(image.id) for image in checked.damaged[:MOST_SHOWN])
        remedies.append(f'`mmosnet gallery delete {args.gallery} --id {some}`, and enroll these images again')
    broken = [name for name, problem in checked.files.items() if problem]
    if any(name.startswith('index-') for name in broken):
        remedies.append(f'`mmosnet gallery compact {args.gallery}` builds a new index')
    if any(not name.startswith('index-') for name in broken):
        remedies.insert(0, 'restore the folder, or create the gallery anew')
    raise DataError(
        f'{args.gallery}: {len(checked.damaged):,} of {checked.images:,} images and {len(broken)} files are damaged: '
        + '; '.join(remedies)
    )


def export(args: argparse.Namespace) -> str:
    """Write the features of all images."""
    from pathlib import Path

    from mmosnet.errors import DataError
    from mmosnet.features import write_shard
    from mmosnet.features.shards import shard_name
    from mmosnet.gallery import Gallery

    folder = Path(args.folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f'{folder} exists and is not empty: name another folder')
    with Gallery.open(args.gallery) as gallery:
        ids = gallery.ids()
        parts = [ids[start : start + SHARD_SIZE] for start in range(0, len(ids), SHARD_SIZE)] or [ids]
        for number, part in enumerate(parts):
            write_shard(folder / shard_name(number, len(parts)), gallery.features(part))
    return f'{len(ids):,} images written to {folder}'


def info(args: argparse.Namespace) -> str:
    """Show the contents of a gallery, and its settings."""
    import json

    from mmosnet.gallery import Gallery
    from mmosnet.gallery.report import info_table, people_table

    with Gallery.open(args.gallery) as gallery:
        entries = gallery.info()
        people = [(pid, gallery.names['pid'].get(pid, ''), images) for pid, images in gallery.pids().items()]
        if args.json:
            keys = ('pid', 'name', 'images')
            more = dict(people=[dict(zip(keys, one, strict=True)) for one in people]) if args.people else {}
            return json.dumps(entries | dict(facts=gallery.facts, track_facts=gallery.track_facts) | more, indent=1)
        calibration = ''.join(f'\n{name:>20s}  {value}' for name, value in gallery.facts.items())
        if gallery.track_facts:
            facts = ''.join(f'\n{name:>20s}  {value}' for name, value in gallery.track_facts.items())
            calibration += f'\ntrack threshold:{facts}'
        return info_table(entries) + calibration + (f'\n\n{people_table(people)}' if args.people else '')


def _shards(paths: Sequence[str]) -> list[FeatureShards]:
    """Open all features, so that a missing one is reported before the first is read."""
    from mmosnet.features import FeatureShards

    return [FeatureShards(path) for path in paths]


def _enroll(gallery: Gallery, shards: Sequence[FeatureShards], again: bool) -> str:
    """Enroll shard by shard. Images enrolled before an error stay, and the next call leaves them out."""
    from mmosnet.io.tables import alike_text

    added = known = elsewhere = 0
    numbered = [] if gallery.names['pid'] else [pid for pid in gallery.pids() if pid >= 0]
    files = sum(len(shard.files) for shard in shards)
    for number, features in enumerate(_each(shards), 1):
        elsewhere += _number_from_unknown_places(gallery, features)
        enrolled = len(gallery.enroll(features, skip_known=not again))
        added += enrolled
        known += len(features) - enrolled
        if files > 1:
            _say(f'file {number} of {files}: {added:,} images enrolled')
    left_out = f', {known:,} left out that were there already (--again enrolls them too)' if known else ''
    text = f'{added:,} images enrolled{left_out}\n'
    if elsewhere:
        text += (
            f'{elsewhere:,} have the path of an image that was there already, and one of both has no source (an older '
            'mmosnet extracted it): they may be the same images\n'
        )
    names = gallery.names['pid']
    if names and numbered:
        text += (
            f'{len(numbered):,} people that were there before have only numbers: people with names may be among them\n'
        )
    alike = alike_text(names.get(pid, str(pid)) for pid in gallery.pids() if pid >= 0) if names else ''
    return text + f'{alike}\n' * bool(alike) + '\n'


def _number_from_unknown_places(gallery: Gallery, features: Features) -> int:
    """Count new images whose path is in the gallery already, if the new or the old one has no source."""
    import numpy as np

    rows = np.flatnonzero(gallery.known(features.path) & ~gallery.known(features.path, features.source))
    if not len(rows):
        return 0
    paths = [features.path[row] for row in rows]
    unknown = gallery.known(paths, [''] * len(paths)) | np.array([not features.source[row] for row in rows])
    return int(unknown.sum())


def _each(shards: Sequence[FeatureShards]) -> Iterator[Features]:
    for shard in shards:
        yield from shard


def _say(text: str) -> None:
    import sys

    print(text, file=sys.stderr, flush=True)
