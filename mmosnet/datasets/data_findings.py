"""What there is to find in a data set whose images were read: numbers, equal images, leakage, unanswered queries."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from mmosnet.datasets.data_check import ImageFacts, Part
from mmosnet.io.media import find_files
from mmosnet.io.regions import split_region


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
