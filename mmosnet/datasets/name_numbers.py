"""Names of people and cameras as files write them, and numbers for them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from mmosnet.errors import DataError
from mmosnet.runtime.media_files import same_name

UNKNOWN = ('', '-1', '-1.0')
# As programs write an empty cell, or a number that is none; a person may be called Nan.
NO_NAME = re.compile(r'nan|NaN|NAN|null|NULL|None|<NA>|#N/A|N/A|[+-]?(inf|Infinity)')
NUMBER = re.compile(r'[+-]?(\d+)(\.\d*)?([eE][+-]?\d+)?', re.ASCII)
# A spreadsheet's number in many languages; 1,000 may also be a thousand.
DECIMAL_COMMA = re.compile(r'[+-]?\d+,\d*', re.ASCII)
# Of cameras; nine digits fit into every integer type.
MAX_DIGITS = 9
# Groups of names that are mixed up, of which that many are shown.
MOST_NAMED = 5


def identity(text: str, place: str) -> str | int:
    """Normalize a pid or camera from a file: a name, or a number that may have got a decimal point.

    Returns:
        The name in one Unicode spelling, ``'12'`` of ``'12.0'``; -1 where it is unknown.

    Raises:
        DataError: A number that is none of an identity, or what programs write where there is none.
    """
    if text in UNKNOWN:
        return -1
    match = NUMBER.fullmatch(text)
    if NO_NAME.fullmatch(text):
        raise DataError(f'{place} is {text!r}, no identity: leave it empty, or -1, where it is unknown')
    if DECIMAL_COMMA.fullmatch(text):
        raise DataError(f'{place} is {text[:60]!r}: write whole numbers without a comma')
    if match is None:
        return same_name(text)
    whole = int(match[1]) if len(match[1]) < 20 else 2**63
    if text[0] in '+-' or match[3] or (match[2] or '').strip('.0') or whole >= 2**63:
        raise DataError(f'{place} is {text[:60]!r}: identities are names or whole numbers from 0 to 2**63 - 1')
    # The name stays as it is written: 007 and 7 may be two people.
    return match[1]


def camera_number(text: str, place: str) -> int:
    """Parse a camera number from a table cell, to which a spreadsheet may have added a decimal point.

    Returns:
        The number; -1 where it is unknown.

    Raises:
        DataError: No whole number from 0 up, or one of more than nine digits.
    """
    if text in UNKNOWN:
        return -1
    match = NUMBER.fullmatch(text)
    if match is None or not text[0].isdigit() or (match[2] or '').strip('.0') or match[3]:
        raise DataError(f'{place}: camid {text[:60]!r} is not a whole number from 0 up')
    if len(match[1].lstrip('0')) > MAX_DIGITS:
        raise DataError(f'{place}: camid {text[:60]!r} is too large: cameras have numbers below 1,000,000,000')
    return int(match[1])


def number_in_name(text: str, what: str, path: str, first: int = 0) -> int:
    """Parse a pid or camera from a file name.

    Args:
        text: Digits, with or without a sign.
        what: ``'pid'`` or ``'camera'``.
        path: The file, for the error's text.
        first: The lowest that there is.

    Raises:
        DataError: A lower number, or one of more than nine digits; names the file.
    """
    number = int(text) if len(text) <= 2 * MAX_DIGITS else 10**MAX_DIGITS
    if not first <= number < 10**MAX_DIGITS:
        raise DataError(f'{path}: the name states {what} {text[:30]}, not one from {first} to 999,999,999; rename it')
    return number


def number_names(names: Iterable[str]) -> dict[str, int]:
    """Assign numbers to names: whole numbers keep their value, if all names are such and no two are equal.

    Otherwise the names count from 1 in alphabetical order.
    """
    ordered = sorted(set(names))
    kept = {name: int(name) for name in ordered if name.isascii() and name.isdigit() and len(name) <= MAX_DIGITS}
    if len(set(kept.values())) == len(ordered):
        return kept
    return {name: number for number, name in enumerate(ordered, start=1)}


def alike_names(names: Iterable[str]) -> list[list[str]]:
    """Find names that differ only in case, blanks or leading zeros."""
    groups = defaultdict(set)
    for name in names:
        key = ' '.join(name.split()).casefold()
        groups[(key.lstrip('0') or '0') if key.isdigit() else key].add(name)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def alike_text(names: Iterable[str]) -> str:
    """Return a sentence that lists the names of :func:`alike_names`; empty if there are none."""
    alike = alike_names(names)
    if not alike:
        return ''
    shown = '; '.join(', '.join(map(repr, group)) for group in alike[:MOST_NAMED])
    more = f' and {len(alike) - MOST_NAMED} more' if len(alike) > MOST_NAMED else ''
    return (
        'names that differ in capitals, blanks or zeros in front alone are different people: '
        f'{shown}{more}. If they are not, rename them'
    )
