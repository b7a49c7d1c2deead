"""Galleries and searches as tables for users, and searches as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mmosnet.errors import in_one_line
from mmosnet.gallery.settings import Match, Record
from mmosnet.gallery.vectors import GalleryCheck
from mmosnet.io.text_tables import fact_table, text_table

# Damaged images that a check lists.
MOST_SHOWN = 100
NAMES = dict(uri='gallery', bytes='size', track_threshold='track threshold')


def info_table(info: Mapping) -> str:
    """Return the table of :meth:`mmosnet.gallery.Gallery.info`, one line per entry."""
    rows = dict(info)
    for name, command in (('threshold', 'mmosnet calibrate'), ('track_threshold', 'mmosnet calibrate --per track')):
        if rows[name] is None:
            rows[name] = f'none: `{command}` finds one'
    if 'bytes' in rows:
        rows['bytes'] = f'{rows["bytes"] / 1e6:,.2f} MB'
    named = {NAMES.get(name, name): f'{value:,}' if type(value) is int else str(value) for name, value in rows.items()}
    return fact_table(list(named.items()))


def check_table(check: GalleryCheck) -> str:
    """Return the table of :meth:`mmosnet.gallery.Gallery.check`, and the first :data:`MOST_SHOWN` damaged images."""
    bad = {part: sum(image.part == part for image in check.damaged) for part in ('record', 'row', 'embedding')}
    rows = [
        ('records', f'{check.images:,}', f'{bad["record"] + bad["row"]:,} damaged'),
        ('embeddings', f'{check.images:,}', f'{bad["embedding"]:,} damaged'),
        *((name, 'file', problem or 'sound') for name, problem in check.files.items()),
        *((name, 'no checksum', reason) for name, reason in check.unchecked.items()),
    ]
    text = text_table(('checked', '', 'found'), rows, 'l')
    if check.damaged:
        shown = check.damaged[:MOST_SHOWN]
        text += '\n\n' + text_table(
            ('damaged id', 'part', 'path'), [(str(image.id), image.part, image.path) for image in shown], 'rl'
        )
        if len(shown) < len(check.damaged):
            text += f'\n... and {len(check.damaged) - len(shown):,} more'
    return text


def search_table(query: str, matches: Sequence[Match]) -> str:
    """Return the ranked list of one query as a table, one line per image."""
    if not matches:
        return f'{query}: no image in the gallery meets the conditions'
    titles = ['rank', 'distance', 'same person', 'pid', 'camid', 'time', 'path']
    # Attributes are in the JSON: there may be dozens.
    more = [name for name in ('track', 'frames') if any(_cell(match, name) for match in matches)]
    rows = []
    for rank, match in enumerate(matches, 1):
        same = '' if match.same_person is None else 'yes' if match.same_person else 'no'
        cells = (person_of(match), camera_of(match), known_time(match.time))
        own = [_cell(match, name) for name in more]
        rows.append((str(rank), f'{match.distance:.4f}', same, *cells, *own, match.path))
    return (
        f'{in_one_line(query)}\n{text_table([*titles[:-1], *more, titles[-1]], rows, "rrlllr" + "l" * len(more) + "l")}'
    )


def _cell(match: Match, name: str) -> str:
    """Return the track, or the number of its images, as text; empty for a single image."""
    return match.track if name == 'track' else str(match.frames) if match.frames > 1 else ''


def matches_as_json(query: str, matches: Sequence[Match]) -> dict:
    """Return a search as JSON values: unknown values and missing names are null."""

    def plain(match: Match) -> dict:
        unknown = {name for name in ('pid', 'camid') if getattr(match, name) < 0}
        unknown |= {name for name in ('name', 'camera', 'source', 'track') if not getattr(match, name)}
        unknown |= {'time'} if math.isnan(match.time) else set()
        return {name: None if name in unknown else value for name, value in vars(match).items()}

    return dict(query=query, matches=[dict(rank=rank, **plain(match)) for rank, match in enumerate(matches, 1)])


def people_table(people: Sequence[tuple[int, str, int]]) -> str:
    """Return the table of people.

    Args:
        people: pid, name and number of images of each.
    """
    rows = [(known(pid) or 'unknown', name, f'{images:,}') for pid, name, images in people]
    return text_table(('pid', 'name', 'images'), rows, 'rlr')


def person_of(record: Record) -> str:
    """Return the name of the person with the number, or the number alone; empty if unknown."""
    return f'{in_one_line(record.name)} ({record.pid})' if record.name else known(record.pid)


def camera_of(record: Record) -> str:
    """Return the name of the camera with the number, or the number alone; empty if unknown."""
    return f'{in_one_line(record.camera)} ({record.camid})' if record.camera else known(record.camid)


def known(number: int) -> str:
    """Return a pid or camid as text; empty for an unknown one."""
    return '' if number < 0 else str(number)


def known_time(time: float) -> str:
    """Return seconds as text; empty for an unknown time."""
    return '' if math.isnan(time) else f'{time:.2f}'
