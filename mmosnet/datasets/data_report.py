"""The findings of a data check as a table and sentences: what is broken, and what is worth a look."""

from __future__ import annotations

from collections.abc import Sequence

from mmosnet.visualization.text_table import text_table

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
        findings: Result of :func:`~mmosnet.datasets.data_findings.find_all`.
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
