"""The commands ``mmosnet gallery``: one function per command, which returns a report."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mmosnet.datasets.name_numbers import alike_text
from mmosnet.errors import DataError
from mmosnet.features import Features, FeatureShards, write_shard
from mmosnet.features.feature_shards import shard_name
from mmosnet.features.seconds import seconds
from mmosnet.gallery.gallery import Gallery
from mmosnet.gallery.gallery_benchmark import GalleryBenchmark
from mmosnet.gallery.gallery_report import MOST_SHOWN, benchmark_table, check_table, info_table, people_table
from mmosnet.gallery.milvus_connection import keeps_milvus

DIMENSION = 512
# Images in a file of an export.
SHARD_SIZE = 10_000


def create(args: argparse.Namespace) -> str:
    """Create a gallery, with or without features."""
    shards = _shards(args.features)
    dimension = args.dimension
    if shards and dimension is None:
        dimension = next(iter(shards[0])).dimension
    with Gallery.create(args.gallery, dimension or DIMENSION, args.index, args.distance) as gallery:
        try:
            enrolled = _enroll(gallery, shards, again=False) if shards else ''
        except BaseException:
            if len(gallery):
                _say(
                    f'{len(gallery):,} images are enrolled; `python tools/gallery.py enroll {args.gallery} ...` goes on'
                )
            else:
                # So that the same command may be given again.
                gallery._discard()
            raise
        return enrolled + info_table(gallery.info())


def enroll(args: argparse.Namespace) -> str:
    """Add features."""
    shards = _shards(args.features)
    with Gallery.open(args.gallery) as gallery:
        return _enroll(gallery, shards, args.again) + info_table(gallery.info())


def delete(args: argparse.Namespace) -> str:
    """Delete images."""
    before = None if args.before is None else seconds(args.before, '--before')
    if all(value is None for value in (args.id, args.pid, args.camid, before)):
        raise DataError('give --id, --pid, --camid or --before; a whole gallery is deleted as a folder')
    with Gallery.open(args.gallery) as gallery:
        deleted = gallery.delete(args.id, args.pid, args.camid, before)
        advice = (
            f'\n`python tools/gallery.py compact {args.gallery}` erases their embeddings'
            if deleted and not keeps_milvus(args.gallery)
            else ''
        )
        return f'{deleted:,} images deleted, {len(gallery):,} left{advice}'


def compact(args: argparse.Namespace) -> str:
    """Erase what was deleted."""
    with Gallery.open(args.gallery) as gallery:
        gallery.compact()
        return info_table(gallery.info())


def check(args: argparse.Namespace) -> str:
    """Look for damage.

    Raises:
        DataError: There is some; says what to do, after the table.
    """
    with Gallery.open(args.gallery) as gallery:
        found = gallery.check()
    table = check_table(found)
    if found.is_sound:
        return table
    sys.stdout.write(table + '\n')
    remedies = []
    if found.damaged:
        some = ' '.join(str(image.id) for image in found.damaged[:MOST_SHOWN])
        remedies.append(f'`python tools/gallery.py delete {args.gallery} --id {some}`, and enroll these images again')
    broken = [name for name, problem in found.files.items() if problem]
    if any(name.startswith('index-') for name in broken):
        remedies.append(f'`python tools/gallery.py compact {args.gallery}` makes the index anew')
    if any(not name.startswith('index-') for name in broken):
        remedies.insert(0, 'restore the folder, or create the gallery anew')
    raise DataError(
        f'{args.gallery}: {len(found.damaged):,} of {found.images:,} images and {len(broken)} files are damaged: '
        + '; '.join(remedies)
    )


def export(args: argparse.Namespace) -> str:
    """Write all images as features."""
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
    """Return the summary of a gallery."""
    with Gallery.open(args.gallery) as gallery:
        facts = gallery.info()
        people = [(pid, gallery.names['pid'].get(pid, ''), images) for pid, images in gallery.pids().items()]
        if args.json:
            keys = ('pid', 'name', 'images')
            more = dict(people=[dict(zip(keys, one, strict=True)) for one in people]) if args.people else {}
            return json.dumps(facts | dict(facts=gallery.facts) | more, indent=1)
        found = ''.join(f'\n{name:>20s}  {value}' for name, value in gallery.facts.items())
        return info_table(facts) + found + (f'\n\n{people_table(people)}' if args.people else '')


def _say_enrolled(index: str, rows: int) -> None:
    _say(f'{index}: {rows:,} enrolled')


def benchmark(args: argparse.Namespace) -> str:
    """Measure galleries of random embeddings."""
    results = []
    for index in args.index:
        if keeps_milvus(args.gallery):
            # Only now: it is another package.
            from mmosnet.gallery.milvus_benchmark import MilvusBenchmark

            folder = args.gallery
            measured = MilvusBenchmark(args.gallery, index, args.vectors, args.dimension)
        else:
            folder = Path(args.gallery) / f'{index}-{args.vectors}x{args.dimension}'
            measured = GalleryBenchmark(folder, index, args.vectors, args.dimension, args.threads)
        complete = measured.build(args.seconds, partial(_say_enrolled, index))
        if not complete:
            return f'{folder}: {args.seconds:g} seconds are over; the same command goes on'
        results.append(measured.search(args.queries))
    return benchmark_table(results)


def _shards(paths: Sequence[str]) -> list[FeatureShards]:
    """Open the shards of all paths, so that a missing one is found before the first is read."""
    return [FeatureShards(path) for path in paths]


def _enroll(gallery: Gallery, shards: Sequence[FeatureShards], again: bool) -> str:
    """Enroll shard by shard; what was enrolled before an error stays, and is skipped the next time."""
    added = known = elsewhere = 0
    numbered = [] if gallery.names['pid'] else [pid for pid in gallery.pids() if pid >= 0]
    files = sum(len(shard.files) for shard in shards)
    for number, features in enumerate(_each(shards), 1):
        # Nobody else may enroll the same in between.
        with gallery._writing():
            there = gallery.known(features.path, features.source)
            chosen = features if again else features[~there]
            elsewhere += _number_from_unknown_places(gallery, features, there)
            added += len(gallery.enroll(chosen))
        known += len(features) - len(chosen)
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


def _number_from_unknown_places(gallery: Gallery, features: Features, there: np.ndarray) -> int:
    """Count images whose path is in the gallery while one of the two has no source."""
    rows = np.flatnonzero(~there & gallery.known(features.path))
    if not len(rows):
        return 0
    paths = [features.path[row] for row in rows]
    unknown = gallery.known(paths, [''] * len(paths)) | np.array([not features.source[row] for row in rows])
    return int(unknown.sum())


def _each(shards: Sequence[FeatureShards]) -> Iterator:
    for shard in shards:
        yield from shard


def _say(text: str) -> None:
    sys.stderr.write(text + '\n')
    sys.stderr.flush()


COMMANDS = dict(
    create=create,
    enroll=enroll,
    delete=delete,
    compact=compact,
    check=check,
    info=info,
    export=export,
    benchmark=benchmark,
)
