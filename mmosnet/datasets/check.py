"""Check a re-identification data set before training: read every image once, compare all, and report what is wrong."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, DefaultScope

from mmosnet.datasets.base import ReIDDataset, in_threads
from mmosnet.datasets.transforms import LoadPersonImage, read_image
from mmosnet.errors import DataError
from mmosnet.io.media import find_files, images_in, spread
from mmosnet.io.regions import split_region
from mmosnet.io.text_tables import text_table
from mmosnet.progress import tracked

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# Examples that a line names.
NUM_NAMED = 5


@dataclass(frozen=True)
class Part:
    """One split of one data set.

    Attributes:
        name: ``'train'``, ``'query'``, ``'gallery'``; the splits of a second data set are called ``'query 2'`` etc.
        split: The name without the number.
        dataset: The data set.
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

    def images(self) -> Iterator[tuple[str, dict]]:
        """Yield the path of each image with its record; those of a tracklet are its frames."""
        for record in self.records:
            for path in images_of(record):
                yield path, record


def images_of(record: dict) -> Sequence[str]:
    """Return the paths of the frames of a tracklet, or of the one image of another record."""
    return record.get('frame_paths') or [record['img_path']]


@dataclass(frozen=True)
class ImageFacts:
    """Size and content of an image.

    Attributes:
        height: Height in pixels.
        width: Width in pixels.
        digest: Digest of size and pixels, to compare images.
        error: Why it cannot be read; empty if it can.
    """

    height: int
    width: int
    digest: str
    error: str = ''


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


def name_fields(cfg: Config, **fields: str | None) -> None:
    """Set the names of annotation fields in a config's COCO data sets.

    Args:
        cfg: Config, changed in place.
        **fields: ``id_key``, ``camera_key``; None keeps the config's.

    Raises:
        DataError: A field is given, but the config has no COCO data set.
    """
    named = {key: value for key, value in fields.items() if value is not None}
    coco_sets = [
        settings
        for name in LOADERS
        for settings in _single_sets((cfg.get(name) or {}).get('dataset'))
        if settings['type'].rpartition('.')[2] == 'CocoPerson'
    ]
    if named and not coco_sets:
        option = '--' + next(iter(named)).replace('_', '-')
        raise DataError(f'{option} needs a config with mmosnet.CocoPerson, as configs/osnet_reid_coco.py')
    for settings in coco_sets:
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
                # Damaged images are listed here, whatever training does with them; tracklets count, not their clips.
                for option in ('bad_images', 'clip_length'):
                    kept.pop(option, None)
                if kept in seen:
                    continue
                seen.append(kept)
                try:
                    dataset = DATASETS.build(dict(kept, test_mode=True))
                except (DataError, FileNotFoundError) as e:
                    # All splits of a table raise the same error.
                    errors += [str(e)] if str(e) not in errors else []
                    continue
                if not isinstance(dataset, ReIDDataset):
                    raise DataError(f'{settings["type"]} in {name} is no re-identification data set')
                parts += _parts_of(dataset, [part.name for part in parts])
    return parts, errors


def camera_rule(cfg: Config) -> str:
    """Return how the config's evaluation treats matches by the query's own camera."""
    evaluators = cfg.get('test_evaluator') or cfg.get('val_evaluator') or []
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        if 'same_camera' in evaluator:
            return evaluator['same_camera']
    return 'drop'


def image_facts(record: dict, path: str | None = None) -> ImageFacts:
    """Read one image as training would, and return its size and digest.

    Args:
        record: Record of a data set.
        path: One of its images; the record's by default.
    """
    try:
        image = LoadPersonImage()(dict(record, img_path=path or record['img_path']))['img']
    except DataError as e:
        return ImageFacts(0, 0, '', str(e))
    height, width = image.shape[:2]
    digest = hashlib.blake2b(f'{height}x{width}'.encode(), digest_size=16)
    digest.update(image.data)
    return ImageFacts(height, width, digest.hexdigest())


def read_images(parts: Sequence[Part], num_workers: int | None = None) -> dict[str, ImageFacts]:
    """Read all images, each path once, with their progress on stderr; of tracklets all frames.

    Threads are used and not processes: decoders run in parallel, and a process with torch is not forked.

    Args:
        parts: Splits from :func:`load_parts`.
        num_workers: Number of threads; by default one per processor.

    Returns:
        Size and content of each image by its path.
    """
    records = {path: record for part in parts for path, record in part.images()}
    contents = in_threads(lambda item: image_facts(item[1], item[0]), list(records.items()), num_workers)
    return dict(zip(records, tracked(contents, 'images', len(records)), strict=True))


def _of(parts: Sequence[Part], *splits: str) -> list[Part]:
    return [part for part in parts if part.split in splits]


def _evaluated(parts: Sequence[Part]) -> list[tuple[Part, Part]]:
    """Return the pairs of a query set and its gallery."""
    pairs = product(_of(parts, 'query'), _of(parts, 'gallery'))
    return [(query, gallery) for query, gallery in pairs if query.dataset is gallery.dataset]


def _unlisted(part: Part, parts: Sequence[Part]) -> list[str]:
    """Return the images beside a table or annotation file that it does not name."""
    if not any(getattr(part.dataset, name, None) for name in ('ann_file', 'ann_files')):
        return []
    folder = part.dataset.data_prefix['img_path']
    # A split that could not be loaded may list the others.
    siblings = [other for other in parts if other.dataset.data_prefix['img_path'] == folder]
    if {'train', 'query', 'gallery'} - {other.split for other in siblings}:
        return []
    listed = {os.path.normpath(split_region(record['img_path'])[0]) for other in siblings for record in other.records}
    files = find_files(folder).files
    unlisted = [str(file) for file in files if os.path.normpath(file) not in listed]
    if not unlisted:
        return []
    return [f'{len(unlisted):,} of {len(files):,} images in {folder} are in no split, the first {unlisted[0]}']


def _range_of(values: Sequence[int]) -> dict[str, float]:
    """Return the smallest value, the median and the largest value."""
    if not len(values):
        return dict(min=0, median=0, max=0)
    return dict(min=int(min(values)), median=float(np.median(values)), max=int(max(values)))


def _numbers(part: Part, contents: Mapping[str, ImageFacts]) -> dict:
    people = Counter(record['pid'] for record in part.records)
    distractors = people.pop(part.dataset.distractor_pid, 0)
    single = sorted(pid for pid, number in people.items() if number == 1)
    cameras = defaultdict(set)
    for record in part.records:
        cameras[record['camid']].add(record['pid'])
    facts = [contents[path] for path, _ in part.images()]
    sizes = [fact for fact in facts if not fact.error]
    items = part.dataset.items
    tracklets = {}
    if items == 'tracklets':
        lengths = [len(images_of(record)) for record in part.records]
        tracklets = dict(tracklets=len(part.records), frames_per_tracklet=_range_of(lengths))
    return dict(
        items=items,
        images=len(facts),
        **tracklets,
        identities=len(people),
        distractors=distractors,
        identities_per_camera={
            camid: len(pids - {part.dataset.distractor_pid}) for camid, pids in sorted(cameras.items())
        },
        **{f'{items}_per_identity': _range_of(list(people.values()))},
        **{f'with_one_{items.removesuffix("s")}': [part.person(pid) for pid in single]},
        height=_range_of([fact.height for fact in sizes]),
        width=_range_of([fact.width for fact in sizes]),
    )


def _duplicates(part: Part, contents: Mapping[str, ImageFacts]) -> list[dict]:
    """Return the groups of images with equal pixels and the people that they are labeled with.

    Frames of one tracklet may be equal: a person stands still, or a camera sends a picture twice.
    """
    groups = defaultdict(list)
    for number, record in enumerate(part.records):
        for path in images_of(record):
            if not contents[path].error:
                groups[contents[path].digest].append((path, number))
    return [
        dict(
            images=[path for path, _ in group],
            people=sorted({part.person(part.records[number]['pid']) for _, number in group}),
        )
        for group in groups.values()
        if len({number for _, number in group}) > 1
    ]


def _leakage(train: Part, test: Part, contents: Mapping[str, ImageFacts]) -> dict:
    """Return the images and identities that are in both a training and a test split."""
    seen = {contents[path].digest: path for path, _ in train.images()}
    seen.pop('', None)
    digests = {path: contents[path].digest for path, _ in test.images()}
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


def _queries(query: Part, gallery: Part, contents: Mapping[str, ImageFacts], same_camera: str) -> dict:
    """Return the queries that have no match, and the queries that match themselves."""
    cameras, places = defaultdict(set), defaultdict(set)
    for record in gallery.records:
        cameras[record['pid']].add(record['camid'])
        for path in images_of(record):
            places[contents[path].digest, record['pid']].add(record['camid'])
    places = {key: value for key, value in places.items() if key[0]}
    absent, one_camera, themselves = [], [], []
    for record in query.records:
        path, pid, camid = record['img_path'], record['pid'], record['camid']
        dropped = {camid} if same_camera == 'drop' else set()
        if pid not in cameras:
            absent.append(path)
        elif not cameras[pid] - dropped:
            one_camera.append(path)
        if any(places.get((contents[image].digest, pid), set()) - dropped for image in images_of(record)):
            themselves.append(path)
    return dict(
        query=query.name,
        same_camera=same_camera,
        number=len(query.records),
        not_in_gallery=absent,
        only_by_their_own_camera=one_camera,
        match_themselves=themselves,
    )


def find_all(parts: Sequence[Part], contents: Mapping[str, ImageFacts], same_camera: str = 'drop') -> dict:
    """Summarize a data set and compare its images.

    Args:
        parts: Splits of the data set.
        contents: Size and content of all images by path, from :func:`read_images`.
        same_camera: Camera rule of the evaluation, as in :class:`~mmosnet.evaluation.ReIDMetric`.

    Returns:
        A dict for JSON: ``parts`` (numbers of each split), ``notes`` (what the data sets left out), ``unreadable``
        (errors by path), ``duplicates`` (groups of equal images of each split), ``leakage`` (for each pair of a
        training and a test split) and ``queries``.
    """
    return dict(
        parts={part.name: _numbers(part, contents) for part in parts},
        notes=list(dict.fromkeys(note for part in parts for note in (*part.dataset.notes, *_unlisted(part, parts)))),
        unreadable={path: fact.error for path, fact in contents.items() if fact.error},
        duplicates={part.name: _duplicates(part, contents) for part in parts},
        leakage=[_leakage(*pair, contents) for pair in product(_of(parts, 'train'), _of(parts, 'query', 'gallery'))],
        queries=[_queries(*pair, contents, same_camera) for pair in _evaluated(parts)],
    )


def broken_things(findings: dict) -> list[str]:
    """Return the findings that make training or testing fail.

    Images that cannot be read, a training split with a single identity, and an evaluation without a match.
    """
    broken = list(findings['unreadable'].values())
    for name, part in findings['parts'].items():
        if name.startswith('train') and part['identities'] + bool(part['distractors']) < 2:
            broken.append(f'{name}: only one identity; training needs two or more to distinguish')
    for queries in findings['queries']:
        unanswered = len(queries['not_in_gallery']) + len(queries['only_by_their_own_camera'])
        if unanswered == queries['number']:
            broken.append(
                f'{queries["query"]}: none of the {unanswered} queries has a match; the protocol counts matches by '
                'another camera only. For a single camera: val_evaluator.same_camera=keep '
                'test_evaluator.same_camera=keep'
            )
    return broken


def _some(items: Sequence[str]) -> str:
    return ', '.join(items[:NUM_NAMED]) + (f' and {len(items) - NUM_NAMED} more' if len(items) > NUM_NAMED else '')


def _equal(paths: Sequence[str]) -> str:
    more = f' and {len(paths) - NUM_NAMED} more' if len(paths) > NUM_NAMED else ''
    return ' = '.join(paths[:NUM_NAMED]) + more


def _pictures(part: dict) -> str:
    return 'frames' if 'tracklets' in part else 'images'


def _duplicate_warnings(name: str, groups: list[dict], pictures: str) -> list[str]:
    warnings = []
    if groups:
        equal = [_equal(group['images']) for group in groups]
        warnings.append(f'{name}: {len(groups)} groups of equal {pictures}: {_some(equal)}')
    torn = [_equal(group['images']) for group in groups if len(group['people']) > 1]
    if torn:
        warnings.append(f'{name}: {len(torn)} groups of equal {pictures} under several identities: {_some(torn)}')
    return warnings


def _leakage_warnings(leak: dict, pictures: str) -> list[str]:
    both, warnings = f'{leak["train"]} and {leak["test"]}', []
    if leak['images']:
        pairs = [' = '.join(pair) for pair in leak['images']]
        warnings.append(f'{both}: {len(pairs)} {pictures} are in both: {_some(pairs)}')
    if leak['identities']:
        text = f'{both}: {len(leak["identities"])} identities are in both: {_some(leak["identities"])}'
        if not leak['identities_certain']:
            text += ' (leakage, unless test identities have separate numbers, which is unknown for this data set)'
        warnings.append(text)
    return warnings


def _query_warnings(queries: dict) -> list[str]:
    meanings = dict(
        not_in_gallery='have no match in the gallery and do not count',
        only_by_their_own_camera='are in the gallery by their own camera only and do not count',
        match_themselves='are in the gallery themselves, pixel for pixel, and count as matches',
    )
    return [
        f'{queries["query"]}: {len(queries[key])} of {queries["number"]} queries {meaning}: {_some(queries[key])}'
        for key, meaning in meanings.items()
        if queries[key]
    ]


def warnings_of(findings: dict, num_classes: int | None = None) -> list[str]:
    """Return the findings that deserve a look.

    Args:
        findings: Result of :func:`find_all`.
        num_classes: Number of classes of the model's head; None without one.
    """
    warnings = []
    train = {name: part for name, part in findings['parts'].items() if name.startswith('train')}
    for name, part in train.items():
        number = part['identities'] + bool(part['distractors'])
        if num_classes not in (None, number) and len(train) == 1:
            warnings.append(
                f'{name}: {number} identities, but the head has {num_classes} classes; train with --cfg-options '
                f'model.head.num_classes={number}'
            )
        items = part['items']
        one = items.removesuffix('s')
        people = part[f'with_one_{one}']
        if people:
            warnings.append(f'{name}: {len(people)} identities have one {one} only: {_some(people)}')
        if len(part['identities_per_camera']) == 1:
            warnings.append(f'{name}: all {items} are by one camera; the model cannot learn to match across cameras')
    for name, groups in findings['duplicates'].items():
        warnings += _duplicate_warnings(name, groups, _pictures(findings['parts'][name]))
    for leak in findings['leakage']:
        warnings += _leakage_warnings(leak, _pictures(findings['parts'][leak['test']]))
    for queries in findings['queries']:
        warnings += _query_warnings(queries)
    return warnings


def _range_text(values: dict) -> str:
    return f'{values["min"]} / {values["median"]:g} / {values["max"]}'


def _columns(part: dict) -> list[str]:
    """Return the keys of a split's numbers for a report."""
    return [key for key in ('tracklets', 'images', 'identities', 'distractors') if key in part]


def _ranges(part: dict) -> list[str]:
    """Return the keys of what a report gives as smallest, median and largest number."""
    keys = (f'{part["items"]}_per_identity', 'frames_per_tracklet', 'height', 'width')
    return [key for key in keys if key in part]


def report_lines(findings: dict, broken: Sequence[str], warnings: Sequence[str]) -> list[str]:
    """Return the lines of a report for a terminal."""
    parts = findings['parts']
    tables: dict[str, list[list[str]]] = {}
    for name, part in parts.items():
        numbers = [f'{part[key]:,}' for key in _columns(part)]
        ranges = [_range_text(part[key]) for key in _ranges(part)]
        tables.setdefault(part['items'], []).append([name, *numbers, *ranges])
    cameras = sorted({camid for part in parts.values() for camid in part['identities_per_camera']})
    counts = [
        [str(camid), *(str(part['identities_per_camera'].get(camid, 0)) for part in parts.values())]
        for camid in cameras
    ]
    lines = []
    if parts:
        lines += ['', 'smallest / median / largest, pixels']
        for rows in tables.values():
            part = parts[rows[0][0]]
            titles = ['split', *_columns(part), *_ranges(part)]
            titles = [title.replace('_', ' ') for title in titles]
            if 'tracklets' in part:
                titles[titles.index('images')] = 'frames'
            lines += text_table(titles, rows, 'r', indent=2).splitlines()
        lines += ['', 'identities by camera', *text_table(['camera', *parts], counts, 'r', indent=2).splitlines()]
    for title, texts in (('note', findings['notes']), ('warning', warnings), ('broken', broken)):
        lines += ['', *(f'{title}: {text}' for text in texts)] if texts else []
    return lines


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
    # The first image of each person, then the second image of each person ...
    rounds = max(len(images) for images in people.values())
    in_turn = [images[i] for i in range(rounds) for images in people.values() if i < len(images)]
    return in_turn[:number]


def image_files(paths: Sequence[str], number: int) -> list[str]:
    """List the images that a user names; folders contribute at most ``number`` images at even distances.

    Raises:
        FileNotFoundError: A file or folder is missing.
        DataError: A folder has no images, or an image cannot be read.
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
