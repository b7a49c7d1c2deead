"""Conditions on records as Milvus writes them: a boolean expression of integers and floats, never of a user's text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from mmosnet.gallery.record_filter import RecordFilter

# Every id of Milvus is one. Unlike an empty expression, this one may be asked without a limit.
EVERYTHING = 'id >= 0'
# Numbers of images in one expression; longer lists take several.
MOST_IDS = 10_000
INT64 = range(-(2**63), 2**63)


def milvus_expressions(where: RecordFilter) -> list[str]:
    """Return expressions that together select the records that meet all conditions.

    Args:
        where: The conditions.

    Returns:
        Nothing where no record can meet them; one that selects everything without conditions; several, which share no
        record, where there are many ids.
    """
    if any(wanted == () for wanted in (where.ids, where.pids, where.camids)):
        return []
    terms = [f'{name} in {_list(wanted)}' for name, wanted in (('pid', where.pids), ('camid', where.camids)) if wanted]
    if where.not_camids:
        terms.append(f'camid not in {_list(where.not_camids)}')
    terms += _times(where)
    if where.ids is None:
        return [' and '.join(terms) or EVERYTHING]
    return [' and '.join([f'id in {_list(part)}', *terms]) for part in _parts(sorted(set(where.ids)))]


def _times(where: RecordFilter) -> list[str]:
    # Comparisons with null are never true, so that a record without a time meets none. Infinity has no literal.
    terms = []
    for sign, limit in (('>=', where.after), ('<', where.before)):
        if limit is not None and math.isfinite(limit):
            terms.append(f'time {sign} {limit!r}')
        elif limit is not None:
            met = (limit < 0) == (sign == '>=')
            terms.append('time is not null' if met else 'id < 0')
    return terms


def _parts(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), MOST_IDS):
        yield ids[start : start + MOST_IDS]


def _list(numbers: Iterable[int]) -> str:
    # What int64 cannot hold no record has, and Milvus cannot read.
    return str([int(number) for number in numbers if number in INT64])
