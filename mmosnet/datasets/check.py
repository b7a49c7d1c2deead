"""Check a data set before training.

A few images to look at: of a data set's people, or of files and folders.

What there is to find in a data set whose images were read: numbers, equal images, leakage, unanswered queries.

The findings of a data check as a table and sentences: what is broken, and what is worth a look.

What can be wrong with a data set, found before a network trains on it: reads every image once and compares all.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, DefaultScope

from mmosnet.datasets.base import ReIDDataset
from mmosnet.datasets.transforms import LoadPersonImage, read_image
from mmosnet.drawing.tables import text_table
from mmosnet.errors import DataError
from mmosnet.io.media import find_files, images_in
from mmosnet.io.regions import split_region
from mmosnet.progress import tracked


def spread(items: Sequence, number: int) -> list:
    """Choose at most ``number`` items at even distances, the first one included."""
    number = min(number, len(items))
    return [items[i * len(items) // number] for i in range(number)]


def spread_over_people(records: Sequence[dict], number: int) -> list[dict]:
    """Choose images of as many people as possible, at even distances in the data set.

    Args:
        records: Records of a data set with ``img_path``; without ``pid`` each image counts as a separate person. If
            there are queries, only queries are chosen.
        number: Number of images.
    """
    queries = [record for record in records if record.get('split') == 'query'] or records
    people: dict[int | str, list[dict]] = {}
    for record in queries:
        people.setdefault(record.get('pid', record['img_path']), []).append(record)
    if number <= len(people):
        return [images[0] for images in spread(list(people.values()), number)]
    # Everybody's first image, then everybody's second image ...
    rounds = max(len(images) for images in people.values())
    in_turn = [images[i] for i in range(rounds) for images in people.values() if i < len(images)]
    return in_turn[:number]


def image_files(paths: Sequence[str], number: int) -> list[str]:
    """List the images that a user names, of folders at most ``number`` images at even distances.

    Raises:
        FileNotFoundError: No such file or folder.
        DataError: A folder without images, or a file that cannot be read.
    """
    files = []
    for path in map(Path, paths):
        if path.is_dir():
            files += spread(images_in(path, MMLogger.get_current_instance().warning), number)
        elif path.is_file():
            files.append(str(path))
        else:
            raise FileNotFoundError(f'no image or folder {path}')
    for file in files:
        read_image(file)
    return files


def find_all(parts: Sequence[Part], facts: Mapping[str, ImageFacts], same_camera: str = 'drop') -> dict:
    """Summarize a data set and compare its images.

    Args:
        parts: Splits of the data set.
        facts: Facts of all images by path.
        same_camera: The evaluation's camera rule, as of :class:`~mmosnet.evaluation.ReIDMetric`.

    Returns:
        What JSON can hold: ``parts`` (numbers of each split), ``notes`` (what the data sets left out), ``unreadable``
        (errors by path), ``duplicates`` (groups of equal images of each split), ``leakage`` (for each pair of a
        training and a test split) and ``queries``.
    """
    return dict(
        parts={part.name: _numbers(part, facts) for part in parts},
        notes=list(dict.fromkeys(note for part in parts for note in (*part.dataset.notes, *_unlisted(part, parts)))),
        unreadable={path: fact.error for path, fact in facts.items() if fact.error},
        duplicates={part.name: _duplicates(part, facts) for part in parts},
        leakage=[_leakage(*pair, facts) for pair in product(_of(parts, 'train'), _of(parts, 'query', 'gallery'))],
        queries=[_queries(*pair, facts, same_camera) for pair in _evaluated(parts)],
    )


def _unlisted(part: Part, parts: Sequence[Part]) -> list[str]:
    """Return the images beside a table or annotation file that it does not name."""
    if not any(getattr(part.dataset, name, None) for name in ('ann_file', 'ann_files')):
        return []
    folder = part.dataset.data_prefix['img_path']
    # A split that could not be loaded names images too.
    alike = [other for other in parts if other.dataset.data_prefix['img_path'] == folder]
    if {'train', 'query', 'gallery'} - {other.split for other in alike}:
        return []
    listed = {os.path.normpath(split_region(record['img_path'])[0]) for other in alike for record in other.records}
    files = find_files(folder).files
    unlisted = [str(file) for file in files if os.path.normpath(file) not in listed]
    if not unlisted:
        return []
    return [f'{len(unlisted):,} of {len(files):,} images in {folder} are in no split, the first {unlisted[0]}']


def _of(parts: Sequence[Part], *splits: str) -> list[Part]:
    return [part for part in parts if part.split in splits]


def _evaluated(parts: Sequence[Part]) -> list[tuple[Part, Part]]:
    """Return the query sets, each with its gallery."""
    pairs = product(_of(parts, 'query'), _of(parts, 'gallery'))
    return [(query, gallery) for query, gallery in pairs if query.dataset is gallery.dataset]


def _spread(values: Sequence[int]) -> dict[str, float]:
    """Return the smallest, the middle and the largest value."""
    if not len(values):
        return dict(min=0, median=0, max=0)
    return dict(min=int(min(values)), median=float(np.median(values)), max=int(max(values)))


def _numbers(part: Part, facts: Mapping[str, ImageFacts]) -> dict:
    images = Counter(record['pid'] for record in part.records)
    distractors = images.pop(part.dataset.distractor_pid, 0)
    single = sorted(pid for pid, number in images.items() if number == 1)
    cameras = defaultdict(set)
    for record in part.records:
        cameras[record['camid']].add(record['pid'])
    sizes = [facts[record['img_path']] for record in part.records]
    sizes = [fact for fact in sizes if not fact.error]
    return dict(
        images=len(part.records),
        identities=len(images),
        distractors=distractors,
        identities_per_camera={
            camid: len(pids - {part.dataset.distractor_pid}) for camid, pids in sorted(cameras.items())
        },
        images_per_identity=_spread(list(images.values())),
        with_one_image=[part.person(pid) for pid in single],
        height=_spread([fact.height for fact in sizes]),
        width=_spread([fact.width for fact in sizes]),
    )


def _duplicates(part: Part, facts: Mapping[str, ImageFacts]) -> list[dict]:
    """Return the groups of images with equal pixels and the people that they are labeled with."""
    groups = defaultdict(list)
    for record in part.records:
        fact = facts[record['img_path']]
        if not fact.error:
            groups[fact.digest].append(record)
    return [
        dict(
            images=[record['img_path'] for record in group],
            people=sorted({part.person(record['pid']) for record in group}),
        )
        for group in groups.values()
        if len(group) > 1
    ]


def _leakage(train: Part, test: Part, facts: Mapping[str, ImageFacts]) -> dict:
    """Return the images and identities that are in both training and testing."""
    seen = {facts[record['img_path']].digest: record['img_path'] for record in train.records}
    seen.pop('', None)
    digests = {record['img_path']: facts[record['img_path']].digest for record in test.records}
    common = set()
    if (type(train.dataset), train.dataset.data_root) == (type(test.dataset), test.dataset.data_root):
        common = train.pids() & test.pids()
    shared = train.dataset.shared_pids
    return dict(
        train=train.name,
        test=test.name,
        images=[[seen[digest], path] for path, digest in digests.items() if digest in seen],
        identities=[] if shared is False else [train.person(pid) for pid in sorted(common)],
        # Whether equal numbers are equal people.
        identities_certain=shared is True,
    )


def _queries(query: Part, gallery: Part, facts: Mapping[str, ImageFacts], same_camera: str) -> dict:
    """Return the queries that have no match, and the queries that match themselves."""
    cameras, places = defaultdict(set), defaultdict(set)
    for record in gallery.records:
        cameras[record['pid']].add(record['camid'])
        places[facts[record['img_path']].digest, record['pid']].add(record['camid'])
    places = {key: value for key, value in places.items() if key[0]}
    absent, one_camera, themselves = [], [], []
    for record in query.records:
        path, pid, camid = record['img_path'], record['pid'], record['camid']
        dropped = {camid} if same_camera == 'drop' else set()
        if pid not in cameras:
            absent.append(path)
        elif not cameras[pid] - dropped:
            one_camera.append(path)
        if places.get((facts[path].digest, pid), set()) - dropped:
            themselves.append(path)
    return dict(
        query=query.name,
        same_camera=same_camera,
        number=len(query.records),
        not_in_gallery=absent,
        only_by_their_own_camera=one_camera,
        match_themselves=themselves,
    )


# Examples named in a line.
NUM_NAMED = 5


def broken_things(findings: dict) -> list[str]:
    """Return the findings that make training or testing fail.

    Images that cannot be read, a training split with a single identity, and an evaluation without a match.
    """
    found = list(findings['unreadable'].values())
    for name, part in findings['parts'].items():
        if name.startswith('train') and part['identities'] + bool(part['distractors']) < 2:
            found.append(f'{name}: one identity alone; to learn to tell people apart needs two or more')
    for queries in findings['queries']:
        unanswered = len(queries['not_in_gallery']) + len(queries['only_by_their_own_camera'])
        if unanswered == queries['number']:
            found.append(
                f'{queries["query"]}: none of the {unanswered} queries has a match; the protocol counts matches by '
                'another camera only. For a single camera: val_evaluator.same_camera=keep '
                'test_evaluator.same_camera=keep'
            )
    return found


def warnings_of(findings: dict, num_classes: int | None = None) -> list[str]:
    """Return the findings that deserve a look.

    Args:
        findings: Result of :func:`~mmosnet.datasets.check.find_all`.
        num_classes: Number of classes of the model's head; None without one.
    """
    found = []
    train = {name: part for name, part in findings['parts'].items() if name.startswith('train')}
    for name, part in train.items():
        number = part['identities'] + bool(part['distractors'])
        if num_classes not in (None, number) and len(train) == 1:
            found.append(
                f'{name}: {number} identities, but the head has {num_classes} classes; train with --cfg-options '
                f'model.head.num_classes={number}'
            )
        if part['with_one_image']:
            people = part['with_one_image']
            found.append(f'{name}: {len(people)} identities have one image only: {_some(people)}')
        if len(part['identities_per_camera']) == 1:
            found.append(f'{name}: all images are by one camera; nothing teaches to match across cameras')
    for name, groups in findings['duplicates'].items():
        found += _duplicate_warnings(name, groups)
    for leak in findings['leakage']:
        found += _leakage_warnings(leak)
    for queries in findings['queries']:
        found += _query_warnings(queries)
    return found


def _some(items: Sequence[str]) -> str:
    return ', '.join(items[:NUM_NAMED]) + (f' and {len(items) - NUM_NAMED} more' if len(items) > NUM_NAMED else '')


def _duplicate_warnings(name: str, groups: list[dict]) -> list[str]:
    found = []
    if groups:
        equal = [' = '.join(group['images']) for group in groups]
        found.append(f'{name}: {len(groups)} groups of equal images: {_some(equal)}')
    torn = [' = '.join(group['images']) for group in groups if len(group['people']) > 1]
    if torn:
        found.append(f'{name}: {len(torn)} groups of equal images under several identities: {_some(torn)}')
    return found


def _leakage_warnings(leak: dict) -> list[str]:
    both, found = f'{leak["train"]} and {leak["test"]}', []
    if leak['images']:
        pairs = [' = '.join(pair) for pair in leak['images']]
        found.append(f'{both}: {len(pairs)} images are in both: {_some(pairs)}')
    if leak['identities']:
        text = f'{both}: {len(leak["identities"])} identities are in both: {_some(leak["identities"])}'
        if not leak['identities_certain']:
            text += ' (leakage, unless test identities are numbered anew, which this data set does not say)'
        found.append(text)
    return found


def _query_warnings(queries: dict) -> list[str]:
    meanings = dict(
        not_in_gallery='have nobody to match in the gallery and do not count',
        only_by_their_own_camera='are in the gallery by their own camera only and do not count',
        match_themselves='are in the gallery themselves, pixel for pixel, and count as matches',
    )
    return [
        f'{queries["query"]}: {len(queries[key])} of {queries["number"]} queries {meaning}: {_some(queries[key])}'
        for key, meaning in meanings.items()
        if queries[key]
    ]


def report_lines(findings: dict, broken: Sequence[str], warnings: Sequence[str]) -> list[str]:
    """Lay out the findings for a terminal."""
    parts = findings['parts']
    rows = [
        [
            name,
            *(f'{part[key]:,}' for key in ('images', 'identities', 'distractors')),
            *(_range(part[key]) for key in ('images_per_identity', 'height', 'width')),
        ]
        for name, part in parts.items()
    ]
    titles = ['split', 'images', 'identities', 'distractors', 'images per identity', 'height', 'width']
    cameras = sorted({camid for part in parts.values() for camid in part['identities_per_camera']})
    counts = [
        [str(camid), *(str(part['identities_per_camera'].get(camid, 0)) for part in parts.values())]
        for camid in cameras
    ]
    lines = []
    if parts:
        lines += ['', 'smallest / median / largest, pixels', *text_table(titles, rows, 'r', indent=2).splitlines()]
        lines += ['', 'identities by camera', *text_table(['camera', *parts], counts, 'r', indent=2).splitlines()]
    for title, found in (('note', findings['notes']), ('warning', warnings), ('broken', broken)):
        lines += ['', *(f'{title}: {text}' for text in found)] if found else []
    return lines


def _range(spread: dict) -> str:
    return f'{spread["min"]} / {spread["median"]:g} / {spread["max"]}'


LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@dataclass(frozen=True)
class Part:
    """One split of one data set.

    Attributes:
        name: ``'train'``, ``'query'``, ``'gallery'``; a second data set's splits are called ``'query 2'`` and so on.
        split: Without the number.
        dataset: Data set that it comes from.
        records: Records of this split.
    """

    name: str
    split: str
    dataset: ReIDDataset
    records: list[dict]

    def person(self, pid: int) -> str:
        """Return the name of an identity, or its number where it has no name."""
        return self.dataset.pid_names.get(pid, str(pid))

    def pids(self) -> set[int]:
        """Return the identities, distractors excluded."""
        return {record['pid'] for record in self.records} - {self.dataset.distractor_pid}


@dataclass(frozen=True)
class ImageFacts:
    """What reading an image tells.

    Attributes:
        height: Height in pixels.
        width: Width in pixels.
        digest: Equal for images with equal pixels.
        error: Why it cannot be read; empty if it can.
    """

    height: int
    width: int
    digest: str
    error: str = ''


def name_fields(cfg: Config, **fields: str | None) -> None:
    """Return the name fields of the annotations in a config's COCO data sets.

    Args:
        cfg: Changed in place.
        **fields: ``id_key``, ``camera_key``; None leaves the config's.

    Raises:
        DataError: A field is named, but the config has no COCO data set.
    """
    named = {key: value for key, value in fields.items() if value is not None}
    found = [
        settings
        for name in LOADERS
        for settings in _single_sets((cfg.get(name) or {}).get('dataset'))
        if settings['type'].rpartition('.')[2] == 'CocoPerson'
    ]
    if named and not found:
        option = '--' + next(iter(named)).replace('_', '-')
        raise DataError(f'{option} needs a config with mmosnet.CocoPerson, as configs/osnet_reid_coco.py')
    for settings in found:
        settings.update(named)


def load_parts(cfg: Config) -> tuple[list[Part], list[str]]:
    """Build every different data set of a config's loaders once, without its pipeline.

    Returns:
        The splits, and the errors of data sets that could not be built.
    """
    parts, errors, seen = [], [], []
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        for name in LOADERS:
            for settings in _single_sets((cfg.get(name) or {}).get('dataset')):
                kept = {key: value for key, value in settings.items() if key not in ('pipeline', 'test_mode')}
                # Bad images are listed here, whatever training does with them.
                kept.pop('bad_images', None)
                if kept in seen:
                    continue
                seen.append(kept)
                try:
                    dataset = DATASETS.build(dict(kept, test_mode=True))
                except (DataError, FileNotFoundError) as e:
                    # The splits of a table are refused for the same row.
                    errors += [str(e)] if str(e) not in errors else []
                    continue
                if not isinstance(dataset, ReIDDataset):
                    raise DataError(f'{settings["type"]} in {name} is no re-identification data set')
                parts += _parts_of(dataset, [part.name for part in parts])
    return parts, errors


def _single_sets(settings: ConfigDict | None) -> Iterator[ConfigDict]:
    """List the data sets inside wrappers such as ``ConcatDataset`` and ``RepeatDataset``."""
    if settings is None:
        return
    inner = settings.get('datasets') or ([settings['dataset']] if 'dataset' in settings else [])
    if not inner:
        yield settings
    for each in inner:
        yield from _single_sets(each)


def _parts_of(dataset: ReIDDataset, taken: list[str]) -> list[Part]:
    by_split = defaultdict(list)
    for index in range(len(dataset)):
        record = dataset.get_data_info(index)
        by_split[record['split']].append(record)
    parts = []
    for split, records in by_split.items():
        number = 1 + sum(name.split()[0] == split for name in taken)
        parts.append(Part(split if number == 1 else f'{split} {number}', split, dataset, records))
    return parts


def image_facts(record: dict) -> ImageFacts:
    """Read one image as training would, and return its size and digest."""
    try:
        image = LoadPersonImage()(dict(record))['img']
    except DataError as e:
        return ImageFacts(0, 0, '', str(e))
    height, width = image.shape[:2]
    digest = hashlib.blake2b(f'{height}x{width}'.encode(), digest_size=16)
    digest.update(image.data)
    return ImageFacts(height, width, digest.hexdigest())


def read_images(parts: Sequence[Part], num_workers: int | None = None) -> dict[str, ImageFacts]:
    """Read all images, each path once, with their progress on stderr.

    Threads and not processes: the decoders run side by side, and nothing is forked under a running torch.

    Args:
        parts: Result of :func:`load_parts`.
        num_workers: Threads; one for each processor by default.

    Returns:
        Facts by path.
    """
    records = {record['img_path']: record for part in parts for record in part.records}
    with ThreadPoolExecutor(num_workers or os.cpu_count()) as pool:
        facts = pool.map(image_facts, records.values())
        return dict(zip(records, tracked(facts, 'images', len(records)), strict=True))


def camera_rule(cfg: Config) -> str:
    """Return how the config's evaluation treats matches by the query's own camera."""
    evaluators = cfg.get('test_evaluator') or cfg.get('val_evaluator') or []
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        if 'same_camera' in evaluator:
            return evaluator['same_camera']
    return 'drop'
