"""Points in time as seconds."""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone

from mmosnet.errors import DataError


def seconds(text: str, place: str) -> float:
    """Read a number of seconds, or a date as seconds since 1970.

    Args:
        text: ``12.5``, or a date and time like ``2026-05-01T12:00:00+02:00``; without zone, UTC.
        place: For the error's text.

    Raises:
        DataError: Neither.
    """
    try:
        value = float(text)
    except ValueError:
        pass
    else:
        if math.isfinite(value):
            return value
    try:
        # Python 3.10 knows no Z, and only 3 or 6 digits of a second.
        digits = re.sub(r'\.(\d{1,6})\d*', lambda found: '.' + found[1].ljust(6, '0'), text)
        date = datetime.fromisoformat(digits.removesuffix('Z') + '+00:00' * digits.endswith('Z'))
    except ValueError as e:
        raise DataError(f'{place} {text!r} is neither seconds nor a date like 2026-05-01T12:00:00+02:00') from e
    return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
