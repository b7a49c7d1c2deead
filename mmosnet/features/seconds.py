"""Points in time as seconds."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from mmosnet.errors import DataError

NUMBER = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?', re.ASCII)
# 20260501 and 20260501120000, which are numbers too.
BARE_DATE = re.compile(r'(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(\d{6})?', re.ASCII)
# 2100-01-01; anything later is in another unit, or no time.
LAST = 4_102_444_800.0
# 2001-09-09. Parts of a second since 1970 are told by the time that they would be.
RECENT = 1e9
UNITS = dict(milliseconds=1e3, microseconds=1e6, nanoseconds=1e9)
FORM = 'give seconds, since 1970 or since the start, or a date like 2026-05-01T12:00:00+02:00'


def seconds(text: str, place: str) -> float:
    """Parse a number of seconds, or a date as seconds since 1970.

    Args:
        text: ``12.5``, or a date and time like ``2026-05-01T12:00:00+02:00``; without zone, UTC.
        place: Place to name in errors.

    Returns:
        From 0 to the end of the year 2099.

    Raises:
        DataError: Neither, or before 1970 or after 2099; says which unit a number looks like.
    """
    if NUMBER.fullmatch(text):
        if BARE_DATE.fullmatch(text):
            raise DataError(f'{place} {text!r} looks like a date: write it with hyphens, {_hyphenated(text)}')
        value = float(text)
    else:
        value = _of_date(text, place)
    check_seconds(value, f'{place} {text!r}')
    return value


def check_seconds(value: float, name: str) -> None:
    """Refuse a value that is no time from 1970 to 2099.

    Args:
        value: Seconds; NaN, an unknown time, passes.
        name: Place and value, for the error's text.

    Raises:
        DataError: Says which unit the number looks like.
    """
    if value < 0:
        raise DataError(f'{name} is before 1970: {FORM}')
    if value >= LAST:
        unit = next((name for name, parts in UNITS.items() if RECENT <= value / parts <= LAST), None)
        hint = f'these look like {unit}: {FORM}' if unit else FORM
        raise DataError(f'{name} is after the year 2099; {hint}')


def _of_date(text: str, place: str) -> float:
    try:
        # Python 3.10 knows no Z, and only 3 or 6 digits of a second.
        digits = re.sub(r'\.(\d{1,6})\d*', lambda found: '.' + found[1].ljust(6, '0'), text)
        date = datetime.fromisoformat(digits.removesuffix('Z') + '+00:00' * digits.endswith('Z'))
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError) as e:
        raise DataError(f'{place} {text!r} is neither seconds nor a date like 2026-05-01T12:00:00+02:00') from e


def _hyphenated(text: str) -> str:
    date = f'{text[:4]}-{text[4:6]}-{text[6:8]}'
    return f'{date}T{text[8:10]}:{text[10:12]}:{text[12:]}' if len(text) > 8 else date
