"""Make a gallery of people, add to it, delete from it, and see what is in it.

A gallery is a folder, searched by FAISS; or a file NAME.db or an address http://HOST:PORT, searched by Milvus. It holds
the features that "mmosnet extract" writes: embeddings with path, person, camera and time, and no images. "mmosnet
search" searches it, "mmosnet calibrate" finds its threshold.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmosnet.features import Features, FeatureShards
    from mmosnet.gallery import Gallery

EXAMPLES = """\
  mmosnet gallery create work_dirs/gallery work_dirs/features       with all that is in the folder of features
  mmosnet gallery enroll work_dirs/gallery today/ yesterday/        what is enrolled already is left out
  mmosnet gallery delete work_dirs/gallery --pid 17 anna            two people, by number and by name
  mmosnet gallery info work_dirs/gallery --people                   with numbers and names of all people
  mmosnet gallery create --help                                     options and examples of a sub-command

in Python:
  from mmosnet.gallery import Gallery
  with Gallery.open('work_dirs/gallery') as gallery:
      gallery.search(embeddings, top_k=10, not_camids=[3])

needs the extra "gallery", or "milvus" for Milvus
docs/gallery.md says which index to take and what is stored.
"""
PAGE = 'gallery.md'
INDEX_KINDS = ('exact', 'ivfpq', 'hnsw')
DIMENSION = 512
# Images per file of an export.
SHARD_SIZE = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands and their arguments."""
    commands = parser.add_subparsers(dest='command', required=True, metavar='SUBCOMMAND')

    def add(name: str, text: str, run: Callable, *examples: str) -> argparse.ArgumentParser:
        lines = '\n'.join(f'  mmosnet gallery {name} {example}' for example in examples)
        added = commands.add_parser(
            name,
            help=text,
            description=f'{text[0].upper()}{text[1:]}.',
            epilog=f'examples:\n{lines}',
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        added.add_argument('gallery', metavar='GALLERY', help='folder, file NAME.db, or address')
        return added

    create_parser = add(
        'create',
        'make a gallery, of features if they are given',
        create,
        'work_dirs/gallery work_dirs/features      with all that is in the folder of features',
        'big --index ivfpq --dimension 512         empty, for millions of images',
        'http://milvus:19530#people features       in a Milvus server, as collection "people"',
    )
    create_parser.add_argument(
        'features', nargs='*', metavar='FEATURES', help='folder or .parquet file of mmosnet extract'
    )
    create_parser.add_argument('--index', choices=INDEX_KINDS, default='exact', help='how it is searched (exact)')
    create_parser.add_argument(
        '--distance', choices=('cosine', 'euclidean'), default='cosine', help='between embeddings (cosine)'
    )
    create_parser.add_argument(
        '--dimension', type=int, metavar='D', help='numbers per embedding (that of the features, 512)'
    )
    enroll_parser = add(
        'enroll',
        'add features; images that are enrolled already are left out',
        enroll,
        'work_dirs/gallery today/ yesterday/       two folders of features',
        'work_dirs/gallery today/ --again          images that are there already are added once more',
    )
    enroll_parser.add_argument(
        'features', nargs='+', metavar='FEATURES', help='folder or .parquet file of mmosnet extract'
    )
    enroll_parser.add_argument(
        '--again', action='store_true', help='also images whose path and source are in the gallery already'
    )
    delete_parser = add(
        'delete',
        'delete the images that meet all conditions given',
        delete,
        'work_dirs/gallery --pid 17 anna           two people, by number and by name',
        'work_dirs/gallery --camid 3 --before 2026-05-01T00:00:00+02:00',
    )
    delete_parser.add_argument('--id', type=int, nargs='+', metavar='N', help='images by their ids')
    delete_parser.add_argument(
        '--pid', nargs='+', metavar='P', help='people, by number or name; -1 for all unknown ones'
    )
    delete_parser.add_argument('--camid', nargs='+', metavar='C', help='cameras, likewise')
    delete_parser.add_argument('--before', metavar='T', help='seen before: seconds, or 2026-05-01T12:00:00+02:00')
    add(
        'compact',
        'erase what was deleted and make the index anew',
        compact,
        'work_dirs/gallery                        the embeddings of deleted people are gone afterwards',
    )
    add(
        'check',
        'compare all records, embeddings and files with their checksums',
        check,
        'work_dirs/gallery                          lists what is damaged; ends with 1 if anything is',
    )
    info_parser = add(
        'info',
        'show what is in a gallery, and its settings',
        info,
        'work_dirs/gallery',
        'work_dirs/gallery --people --json           all people, for a program',
    )
    info_parser.add_argument('--people', action='store_true', help='list all people')
    info_parser.add_argument('--json', action='store_true', help='as JSON')
    export_parser = add(
        'export',
        'write all images as features',
        export,
        'work_dirs/gallery work_dirs/features      for another gallery, or to calibrate on',
    )
    export_parser.add_argument('folder', metavar='FOLDER', help='where the features go, as of mmosnet extract')


def run(args: argparse.Namespace) -> None:
    """Run a sub-command, and print its report."""
    print(args.run(args))


def create(args: argparse.Namespace) -> str:
    """Create a gallery, with or without features."""
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
                # So that the same command may be given again.
                gallery.discard()
            raise
        return enrolled + info_table(gallery.info())


def enroll(args: argparse.Namespace) -> str:
    """Add features."""
    from mmosnet.gallery import Gallery
    from mmosnet.gallery.report import info_table

    shards = _shards(args.features)
    with Gallery.open(args.gallery) as gallery:
        return _enroll(gallery, shards, args.again) + info_table(gallery.info())


def delete(args: argparse.Namespace) -> str:
    """Delete images."""
    from mmosnet.errors import DataError
    from mmosnet.gallery import Gallery
    from mmosnet.gallery.milvus_connection import keeps_milvus
    from mmosnet.io.tables import seconds

    before = None if args.before is None else seconds(args.before, '--before')
    if all(value is None for value in (args.id, args.pid, args.camid, before)):
        raise DataError('give --id, --pid, --camid or --before; a whole gallery is deleted as a folder')
    with Gallery.open(args.gallery) as gallery:
        deleted = gallery.delete(args.id, args.pid, args.camid, before)
        advice = ''
        if deleted and not keeps_milvus(args.gallery):
            advice = f'\n`mmosnet gallery compact {args.gallery}` erases their embeddings'
        return f'{deleted:,} images deleted, {len(gallery):,} left{advice}'


def compact(args: argparse.Namespace) -> str:
    """Erase what was deleted."""
    from mmosnet.gallery import Gallery
    from mmosnet.gallery.report import info_table

    with Gallery.open(args.gallery) as gallery:
        gallery.compact()
        return info_table(gallery.info())


def check(args: argparse.Namespace) -> str:
    """Look for damage.

    Raises:
        DataError: There is some; says what to do, after the table.
    """
    from mmosnet.errors import DataError
    from mmosnet.gallery import Gallery
    from mmosnet.gallery.report import MOST_SHOWN, check_table

    with Gallery.open(args.gallery) as gallery:
        found = gallery.check()
    table = check_table(found)
    if found.is_sound:
        return table
    print(table)
    remedies = []
    if found.damaged:
        some = ' '.join(str(image.id) for image in found.damaged[:MOST_SHOWN])
        remedies.append(f'`mmosnet gallery delete {args.gallery} --id {some}`, and enroll these images again')
    broken = [name for name, problem in found.files.items() if problem]
    if any(name.startswith('index-') for name in broken):
        remedies.append(f'`mmosnet gallery compact {args.gallery}` makes the index anew')
    if any(not name.startswith('index-') for name in broken):
        remedies.insert(0, 'restore the folder, or create the gallery anew')
    raise DataError(
        f'{args.gallery}: {len(found.damaged):,} of {found.images:,} images and {len(broken)} files are damaged: '
        + '; '.join(remedies)
    )


def export(args: argparse.Namespace) -> str:
    """Write all images as features."""
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
    """Show what is in a gallery."""
    import json

    from mmosnet.gallery import Gallery
    from mmosnet.gallery.report import info_table, people_table

    with Gallery.open(args.gallery) as gallery:
        facts = gallery.info()
        people = [(pid, gallery.names['pid'].get(pid, ''), images) for pid, images in gallery.pids().items()]
        if args.json:
            keys = ('pid', 'name', 'images')
            more = dict(people=[dict(zip(keys, one, strict=True)) for one in people]) if args.people else {}
            return json.dumps(facts | dict(facts=gallery.facts) | more, indent=1)
        found = ''.join(f'\n{name:>20s}  {value}' for name, value in gallery.facts.items())
        return info_table(facts) + found + (f'\n\n{people_table(people)}' if args.people else '')


def _shards(paths: Sequence[str]) -> list[FeatureShards]:
    """Return the features; all of them are looked for before the first is read."""
    from mmosnet.features import FeatureShards

    return [FeatureShards(path) for path in paths]


def _enroll(gallery: Gallery, shards: Sequence[FeatureShards], again: bool) -> str:
    """Enroll shard by shard; what was enrolled before an error stays, and is skipped the next time."""
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
            f'{elsewhere:,} have a path that was there already, of features without a source, which an older mmosnet '
            'extracted: whether they are the same images is unknown\n'
        )
    names = gallery.names['pid']
    if names and numbered:
        text += (
            f'{len(numbered):,} people that were there before have only numbers: whether somebody with a name is one '
            'of them is unknown\n'
        )
    alike = alike_text(names.get(pid, str(pid)) for pid in gallery.pids() if pid >= 0) if names else ''
    return text + f'{alike}\n' * bool(alike) + '\n'


def _number_from_unknown_places(gallery: Gallery, features: Features) -> int:
    """Return how many images are new, with a path that is in the gallery, where one of both has no source."""
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
