"""Who was where: the decisions about people in videos, their journal, and their files. Needs no torch.

A decision is written to the journal, ``identify.jsonl``, as soon as it is made, so that an interrupted run goes on
where it has ended. The results, ``sightings.csv`` and a file in the MOTChallenge's format per video, are written from
it.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from mmosnet.errors import DataError
from mmosnet.features.videos import CameraVideo, PersonBox
from mmosnet.io.files import whole_file
from mmosnet.io.text_tables import fact_table, text_table
from mmosnet.version import __version__

JOURNAL, TABLE = 'identify.jsonl', 'sightings.csv'
KNOWN, NEW, UNSURE, TOO_SHORT = 'known', 'new', 'unsure', 'too short'
VERDICTS = (KNOWN, NEW, UNSURE, TOO_SHORT)
# Seconds without a person after which they are seen once more, where boxes have no tracks.
PAUSE = 1.0
COLUMNS = (
    'video', 'camid', 'camera', 'track', 'pid', 'name', 'verdict', 'first_frame', 'last_frame', 'boxes', 'start', 'end',
    'nearest', 'distance', 'runner_up', 'confidence', 'reason', 'attributes', 'image',
)  # fmt: skip


@dataclass(frozen=True)
class Decision:
    """Who a track or a box shows.

    Attributes:
        video: Number of the video, in the order in which the videos were given.
        frame: Frame after which it was decided.
        track: Track; -1 for a single box.
        box: Number of the box within its frame, for a single box; 0 for a track.
        verdict: ``'known'``, ``'new'``, ``'unsure'``, or ``'too short'`` for a track that was not compared.
        pid: The person; -1 where unsure or too short.
        nearest: The person that ``distance`` belongs to; -1 for none.
        distance: Distance to the known person, or else to the nearest one; None where there is none.
        runner_up: Distance to the nearest other person; None where there is none.
        confidence: From 0 to 1; see :class:`~mmosnet.gallery.people_input.Sighting`, as for ``reason``.
        reason: Reason for the verdict; empty where too short.
        image: Path of the image that shows the person best.
        shown: Frame of this image.
        attributes: Names of the attributes that a joint model predicts for a track, by the largest image.
    """

    video: int
    frame: int
    track: int
    box: int
    verdict: str
    pid: int
    nearest: int
    distance: float | None
    runner_up: float | None
    confidence: float
    reason: str
    image: str
    shown: int
    attributes: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[int, int, int]:
        """What was decided: the video with the track, or with frame and box."""
        return (self.video, self.track, -1) if self.track >= 0 else (self.video, self.frame, self.box)


@dataclass(frozen=True)
class SeenPerson:
    """A row of ``sightings.csv``: a person in front of a camera for some time.

    Attributes:
        decision: The decision about the track, or the surest one about the boxes in a row.
        first: First frame, from 0.
        last: Last frame.
        boxes: Number of boxes.
    """

    decision: Decision
    first: int
    last: int
    boxes: int


class Journal:
    """The decisions of a run, in a file to which each is appended at once.

    Args:
        folder: Folder of the results; it is created.
        run: What the decisions depend on, in JSON values.

    Attributes:
        decisions: All decisions, in their order.
        keys: Their :attr:`Decision.key`.

    Raises:
        DataError: The folder holds another run, or the file is damaged.
        OSError: The file cannot be read or written.
    """

    def __init__(self, folder: str | Path, run: Mapping[str, Any]) -> None:
        self.path = Path(folder) / JOURNAL
        self.decisions: list[Decision] = []
        run = json.loads(json.dumps(run))
        if self.path.exists():
            self._read(run)
        else:
            with whole_file(self.path) as draft:
                draft.write_text(json.dumps(dict(version=__version__, run=run)) + '\n', encoding='utf-8')
        self.keys = {decision.key for decision in self.decisions}
        self._file = self.path.open('a', encoding='utf-8')

    def add(self, decisions: Sequence[Decision]) -> None:
        """Append decisions that are made together; afterwards they are on the disk."""
        self._file.write(json.dumps([asdict(decision) for decision in decisions]) + '\n')
        self._file.flush()
        os.fsync(self._file.fileno())
        self.decisions += decisions
        self.keys |= {decision.key for decision in decisions}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self, run: Mapping[str, Any]) -> None:
        data = self.path.read_bytes()
        # A killed process may have written a part of the last line.
        end = data.rfind(b'\n') + 1
        try:
            head, *lines = [json.loads(line) for line in data[:end].splitlines()]
            known = head['run']
            self.decisions = [
                Decision(**{**one, 'attributes': tuple(one['attributes'])}) for one in chain.from_iterable(lines)
            ]
        except (ValueError, TypeError, KeyError) as e:
            raise DataError(f'{self.path}: damaged ({e}): --overwrite identifies the people anew') from e
        different = [key for key in {**known, **run} if known.get(key) != run.get(key)]
        if different:
            key = different[0]
            raise DataError(
                f'{self.path.parent} holds the results of another run, {key} {_short(known.get(key))} and now '
                f'{_short(run.get(key))}: name another --out, or start with --overwrite, which takes back what was '
                'decided about these videos'
            )
        if end < len(data):
            os.truncate(self.path, end)


class DecidedBox(NamedTuple):
    """A box with its decision; None where its track could not be decided."""

    box: PersonBox
    decision: Decision | None


class VideoSightings:
    """The decisions about one video.

    Args:
        video: The video.
        decisions: Decisions about it.

    Attributes:
        video: The same as given.
    """

    def __init__(self, video: CameraVideo, decisions: Iterable[Decision]) -> None:
        self.video = video
        self._by_track: dict[int, Decision] = {}
        self._by_box: dict[tuple[int, int], Decision] = {}
        for decision in decisions:
            if decision.track >= 0:
                self._by_track[decision.track] = decision
            else:
                self._by_box[decision.frame, decision.box] = decision

    def of_frame(self, frame: int) -> list[DecidedBox]:
        """Return the boxes of a frame with their decisions."""
        boxes = self.video.boxes.get(frame, ())
        return [
            DecidedBox(box, self._by_track.get(box.row.track) or self._by_box.get((frame, number)))
            for number, box in enumerate(boxes)
        ]

    def seen(self) -> list[SeenPerson]:
        """Return the sightings: one per track, or one per run of boxes of a person, by their first frame."""
        open_runs: dict[tuple[str, int], SeenPerson] = {}
        done: list[SeenPerson] = []
        pause = PAUSE * self.video.fps
        for frame in self.video.boxes:
            for number, decided in enumerate(self.of_frame(frame)):
                decision = decided.decision
                if decision is None:
                    continue
                key = ('pid', decision.pid)
                if decision.track >= 0:
                    key = ('track', decision.track)
                elif decision.pid < 0:
                    key = ('unsure', number)
                run = open_runs.get(key)
                if run is not None and (key[0] == 'track' or (key[0] == 'pid' and frame - run.last <= pause)):
                    surest = min(run.decision, decision, key=_order)
                    if NEW in (run.decision.verdict, decision.verdict):
                        surest = replace(surest, verdict=NEW)
                    open_runs[key] = SeenPerson(surest, run.first, frame, run.boxes + 1)
                else:
                    done += [run] if run is not None else []
                    open_runs[key] = SeenPerson(decision, frame, frame, 1)
        return sorted([*done, *open_runs.values()], key=lambda one: (one.first, one.decision.track, one.decision.box))


def write_table(path: Path, sightings: Sequence[VideoSightings], names: Mapping[str, Mapping[int, str]]) -> None:
    """Write ``sightings.csv``: one row per sighting, by the time at which it begins.

    Args:
        path: The file.
        sightings: The videos with their decisions.
        names: Names of people and cameras by number, as in :attr:`mmosnet.gallery.Gallery.names`.
    """
    rows: list[tuple[float, tuple]] = []
    for of_video in sightings:
        video = of_video.video
        for seen in of_video.seen():
            one = seen.decision
            row = (
                video.path, video.camid, names['camid'].get(video.camid, ''), _whole(one.track), _whole(one.pid),
                names['pid'].get(one.pid, ''), one.verdict, seen.first, seen.last, seen.boxes,
                f'{video.time(seen.first):.3f}', f'{video.time(seen.last):.3f}', _whole(one.nearest),
                _number(one.distance), _number(one.runner_up), _number(one.confidence), one.reason,
                ' '.join(one.attributes), one.image,
            )  # fmt: skip
            rows.append((video.time(seen.first), row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(COLUMNS)
    writer.writerows(row for _, row in sorted(rows, key=lambda timed: timed[0]))
    _write(path, text.getvalue())


def write_mot(path: Path, sightings: VideoSightings) -> None:
    """Write the boxes of a video in the MOTChallenge's format, with the person as id; -1 where there is none.

    Frames count from 1. :func:`mmosnet.io.video.read_boxes` reads the file again.

    Args:
        path: The file.
        sightings: The video with its decisions.
    """
    lines = []
    for frame in sightings.video.boxes:
        for box, decision in sightings.of_frame(frame):
            pid = -1 if decision is None else decision.pid
            score = box.row.score if box.row.score == box.row.score else 1.0
            lines.append(
                f'{frame + 1},{pid},{",".join(f"{side:.10g}" for side in box.row.box)},{score:.10g},-1,-1,-1\n'
            )
    _write(path, ''.join(lines))


def report(sightings: Sequence[VideoSightings], facts: Sequence[tuple[str, str]]) -> str:
    """Return the report of a run: a row per camera, and what else is to be said.

    Args:
        sightings: The videos with their decisions.
        facts: Further lines, each a name and a value.
    """
    of_camera: dict[int, list[SeenPerson]] = defaultdict(list)
    for of_video in sightings:
        of_camera[of_video.video.camid] += of_video.seen()
    rows = [_counted(str(camid), seen) for camid, seen in sorted(of_camera.items())]
    rows.append(_counted('all', [one for seen in of_camera.values() for one in seen]))
    table = text_table(('camera', 'people', 'sightings', *VERDICTS), rows, 'lr')
    return f'{table}\n\n{fact_table(facts)}'


def people_of(sightings: Sequence[VideoSightings]) -> dict[int, list[tuple[VideoSightings, SeenPerson]]]:
    """Return the sightings of each person by pid, in order of time."""
    people: dict[int, list[tuple[VideoSightings, SeenPerson]]] = defaultdict(list)
    for of_video in sightings:
        for seen in of_video.seen():
            if seen.decision.pid >= 0:
                people[seen.decision.pid].append((of_video, seen))
    for of_person in people.values():
        of_person.sort(key=lambda one: one[0].video.time(one[1].first))
    return dict(sorted(people.items()))


def output_names(videos: Sequence[CameraVideo]) -> Iterator[str]:
    """Yield the name of the results of each video: that of the video, with a number if others have the same."""
    used: set[str] = set()
    for video in videos:
        name, number = video.name, 1
        while name.casefold() in used:
            number += 1
            name = f'{video.name}-{number}'
        used.add(name.casefold())
        yield name


def _order(decision: Decision) -> tuple[bool, float]:
    return decision.distance is None, decision.distance or 0.0


def _counted(camera: str, seen: Sequence[SeenPerson]) -> list[str]:
    people = {one.decision.pid for one in seen if one.decision.pid >= 0}
    verdicts = [sum(one.decision.verdict == verdict for one in seen) for verdict in VERDICTS]
    return [camera, *(f'{number:,}' for number in (len(people), len(seen), *verdicts))]


def _whole(number: int) -> int | str:
    return number if number >= 0 else ''


def _number(value: float | None) -> str:
    return '' if value is None else f'{value:.4f}'


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 80 else f'{text[:77]}...'


def _write(path: Path, text: str) -> None:
    with whole_file(path) as draft:
        draft.write_text(text, encoding='utf-8', errors='surrogateescape')
