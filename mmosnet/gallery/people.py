"""Known or new: recognize the people of cameras by a gallery, enroll new ones, and keep a log of all decisions."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features import Features
from mmosnet.features.features import checked_name
from mmosnet.gallery.base import Gallery
from mmosnet.gallery.people_input import (
    INVALID,
    Observed,
    Sighting,
    When,
    checked_camid,
    checked_travel_times,
    seconds_of,
)
from mmosnet.gallery.people_log import COLUMNS, IMAGE, Change, Seen, image_key
from mmosnet.gallery.people_store import PeopleStore
from mmosnet.gallery.people_vectors import VERDICTS, Image, most_different
from mmosnet.gallery.people_verdicts import Limits, Verdict, decide
from mmosnet.gallery.settings import Record
from mmosnet.io.files import whole_file


class People:
    """The people in a gallery: recognizes them in new images and tracks, and enrolls new ones.

    The distance to a person is that to the nearest of their images, or the mean distance to all. Up to the threshold
    somebody is known, beyond ``threshold + band`` new, and between them unsure; also if a second person is nearly as
    near. Somebody unsure is not enrolled.

    Nobody is two people: two images of one frame, or of one camera at overlapping times, show two people; and nobody is
    seen by two cameras at the same time, or sooner than they can have walked from one to the other. These constraints
    hold for what this class has observed, in the order of the calls.

    Each operation is complete or, after an error, has not happened. After a crash, the next ``People`` completes the
    operation that had begun. Threads may share an object; processes that share a gallery take turns.

    Args:
        gallery: The gallery; it stays open.
        journal: File of the log. By default ``people.sqlite`` in the gallery's folder; required for Milvus, where all
            processes that observe need the same file.
        threshold: Largest distance at which somebody is known; by default that of the gallery.
        track_threshold: Likewise for tracks of several images; by default that of the gallery for tracks, if it has
            one, and else the threshold.
        verdict: ``'best'`` (default), the distance to the nearest image of a person; or ``'mean'``, the mean distance
            to all.
        band: How far beyond the threshold a person is unsure; by default 10 % of the threshold.
        margin: How much farther away the second person has to be; by default 5 % of the threshold.
        images_per_person: Most images that :meth:`observe` keeps of one person. The most different ones are kept, of
            which the newest may or may not be one. Images that were enrolled otherwise stay, and do not count. Default:
            8.
        travel_times: Shortest times in seconds from one camera to another, ``{(0, 1): 30}``; they hold in both
            directions unless both are given. 0 for cameras that see the same place. Cameras without one do not see a
            person at the same time.
        undo_operations: Operations that can be undone; older ones keep no embeddings. Default: 1000.
        model: Digest of the weights that compute the embeddings, such as ``embedder.model``; refused if the gallery
            has another. Not compared by default.

    Raises:
        DataError: An argument is invalid, a file is damaged, or the model is another one than the gallery's.
        OSError: A file cannot be read or written.

    Example:
        >>> people = People(Gallery.open('work_dirs/gallery'), threshold=0.3)
        >>> for sighting in people.observe_frame(embedder(frame, boxes), camid=0, time=12.4, valid=embedder.last_valid):
        ...     print(sighting.pid, sighting.known, sighting.confidence)
    """

    def __init__(
        self,
        gallery: Gallery,
        journal: str | Path | None = None,
        *,
        threshold: float | None = None,
        track_threshold: float | None = None,
        verdict: str = 'best',
        band: float | None = None,
        margin: float | None = None,
        images_per_person: int = 8,
        travel_times: Mapping[tuple[int, int], float] | None = None,
        undo_operations: int = 1000,
        model: str = '',
    ) -> None:
        if not isinstance(gallery, Gallery):
            raise DataError(f'gallery: {type(gallery).__name__} given; give a Gallery, such as Gallery.open() returns')
        if verdict not in VERDICTS:
            raise DataError(f'verdict={verdict!r}: choose from {", ".join(VERDICTS)}')
        for value in (threshold, track_threshold):
            # Checked now, and not with the first person.
            Limits.of(0.0 if value is None else value, band, margin)
        self.gallery = gallery
        self.threshold, self.track_threshold = threshold, track_threshold
        self.band, self.margin = band, margin
        self.images_per_person = _at_least(1, images_per_person, 'images_per_person')
        self.undo_operations = _at_least(0, undo_operations, 'undo_operations')
        self.travel_times = checked_travel_times(travel_times or {})
        if model and (gallery.model or len(gallery)):
            gallery.check_model(model, 'People')
        self.model = model
        self._store = PeopleStore(gallery, journal, verdict, model, self.undo_operations)
        self._log, self._vectors = self._store.log, self._store.vectors

    def close(self) -> None:
        """Close the journal; the gallery stays open. Closing twice is allowed."""
        self._store.close()

    def __enter__(self) -> People:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # ---------------------------------------------------------------------------------------------------- observing

    def observe(
        self,
        embedding: np.ndarray | Features,
        camid: int | str | None = None,
        time: When = None,
        *,
        track: str | int = '',
        path: str = '',
        source: str = '',
        attributes: Sequence[str] = (),
    ) -> Sighting:
        """Recognize a person, or enroll them under a new number.

        An image whose path and source were given before, and for whom a person was found, gets the same answer again,
        and changes nothing: after a crash, the last images may be observed once more.

        Args:
            embedding: ``(D,)`` for one image, ``(T, D)`` for the images of a track, whose mean counts; or features of
                one person, which have camera, time, track, path and source themselves.
            camid: Camera, by number or by its name in the gallery; by default unknown.
            time: Time of the image in seconds; for a track its first and last time, or the times of its images. Unknown
                by default: then no constraint applies, and :meth:`forget` finds no age.
            track: Name or number of the track. Sightings with the same track of one camera may be the same person at
                overlapping times.
            path: Path of the image, for the gallery; by default a number.
            source: Source of the path, as features have it.
            attributes: Names of attributes, for the gallery.

        Raises:
            DataError: There is no threshold, or a value is invalid.
            OSError: The disk is full, or cannot be written.
        """
        if isinstance(embedding, Features):
            if len(embedding) < 1:
                raise DataError('observe: features without a row: give those of one person')
            self.gallery.check_model(embedding.model, 'observe')
            camid = int(embedding.camid[0]) if camid is None else camid
            time = embedding.time if time is None else time
            path, source = path or embedding.path[0], source or embedding.source[0]
            track, attributes = track or embedding.track[0], attributes or embedding.attributes[0]
            embedding = embedding.embedding
        columns = dict(path=[path], source=[source], attributes=[attributes])
        (sighting,) = self._observe([embedding], camid, time, None, [track], zeros=False, **columns)
        return sighting

    def observe_frame(
        self,
        embeddings: np.ndarray | Sequence[np.ndarray],
        camid: int | str | None = None,
        time: When = None,
        *,
        valid: Sequence[bool] | np.ndarray | None = None,
        tracks: Sequence[str | int] | None = None,
        paths: Sequence[str] | None = None,
        source: str = '',
        attributes: Sequence[Sequence[str]] | None = None,
    ) -> list[Sighting]:
        """Recognize the people of one frame, no two of whom are the same person, or enroll them.

        Args:
            embeddings: ``(N, D)``, one row per person; or N tracks ``(T, D)``. A row of zeros stands for somebody
                without an image.
            camid: Camera; see :meth:`observe`, as for the others.
            time: Time of the frame.
            valid: ``(N,)`` bool, rows that have an image, such as ``embedder.last_valid``; all but zeros by default.
            tracks: N names or numbers of tracks.
            paths: N paths.
            source: Source of the paths.
            attributes: N collections of names of attributes.

        Returns:
            N sightings, in order; those of invalid rows are unsure, and not in the log.

        Raises:
            DataError: There is no threshold, or a value is invalid; names the row.
            OSError: The disk is full, or cannot be written.
        """
        if isinstance(embeddings, Features):
            raise DataError('observe_frame: Features given; give their .embedding')
        try:
            rows = list(embeddings)
        except TypeError as e:
            raise DataError(f'embeddings={embeddings!r}: give (N, D), or N tracks (T, D)') from e
        columns = dict(tracks=tracks, paths=paths, attributes=attributes, valid=valid)
        for name, column in columns.items():
            if column is not None and (isinstance(column, str) or len(column) != len(rows)):
                raise DataError(f'{name}={column!r}: give one for each of the {len(rows)} people')
        empty = [''] * len(rows)
        tracks = empty if tracks is None else tracks
        given = dict(path=empty if paths is None else paths, source=source, attributes=attributes or ())
        return self._observe(rows, camid, time, valid, tracks, zeros=True, **given)

    def _camera(self, camid: int | str | None) -> int:
        """Return the number of a camera that is given by number or name."""
        if camid is None:
            return -1
        if isinstance(camid, str) or self._vectors.cameras:
            (camid,) = self.gallery.numbers_of('camid', [camid], 'camid')  # type: ignore[misc, union-attr]
        return checked_camid(camid)

    def _observe(self, rows: Sequence[Any], camid: int | str | None, *arguments: Any, **columns: Any) -> list[Sighting]:
        with self._store.operation():
            given = Observed.of(self.gallery, rows, self._camera(camid), *arguments, **columns)
            limits = [self._limits(frames) for frames in given.frames]
            answers: list[Sighting | None] = [self._repeated(given, row) for row in range(len(given.valid))]
            rows = [row for row, answer in enumerate(answers) if answer is None]
            if not rows:
                return answers  # type: ignore[return-value]
            ranked = self._possible(given, rows, [limits[row].farthest for row in rows])
            verdicts = decide(ranked, [limits[row] for row in rows])
            facts = self._log.facts()
            numbers = dict(next_pid=self._free_pid(facts['next_pid']), next_number=facts['next_number'])
            seen, changes = [], []
            for row, verdict in zip(rows, verdicts, strict=True):
                number, pid = numbers['next_number'], verdict.pid if verdict.known else -1
                numbers['next_number'] += 1
                if verdict.known is False:
                    pid = numbers['next_pid']
                    numbers['next_pid'] = self._free_pid(pid + 1)
                entry = self._seen(given, row, number, verdict, pid, facts['id'])
                more = self._enrolling(given, row, entry)
                enrolled = any(change.action == 'enroll' for change in more)
                seen.append(entry)
                changes += more
                answers[row] = Sighting(
                    pid, verdict.known, verdict.distance, verdict.runner_up, verdict.confidence, verdict.reason,
                    self._vectors.names.get(pid, ''), verdict.pid, enrolled, number,
                )  # fmt: skip
            # Images that come in first: one change of the gallery for all people of the frame.
            changes.sort(key=lambda change: change.action == 'drop')
            self._store.commit('observe', seen, changes, facts=numbers)
            return answers  # type: ignore[return-value]

    def _limits(self, frames: int) -> Limits:
        threshold = self.gallery.threshold if self.threshold is None else self.threshold
        if frames > 1:
            own = self.gallery.track_threshold if self.threshold is None else None
            wanted = self.track_threshold if self.track_threshold is not None else own
            threshold = threshold if wanted is None else wanted
        if threshold is None:
            raise DataError(
                f'{self.gallery.uri} has no threshold: `mmosnet calibrate FEATURES --gallery {self.gallery.uri}`, or '
                'give People(threshold=...)'
            )
        return Limits.of(threshold, self.band, self.margin)

    def _repeated(self, given: Observed, row: int) -> Sighting | None:
        """Return the answer to an invalid row, or to an image that was observed before; None for others."""
        if not given.valid[row]:
            return INVALID
        key = image_key(*(getattr(given.features, name)[row] for name in IMAGE))
        # Images without a path are told apart by the numbers that they get.
        seen = self._log.sighting_of(key) if given.features.path[row] else None
        if seen is None:
            return None
        name = self._vectors.names.get(seen.pid, '')
        enrolled = image_key(seen.path, seen.source, seen.track) in self._vectors.keys
        scores = (seen.distance, seen.runner_up, seen.confidence, seen.reason)
        nearest = seen.pid if seen.verdict == 'known' else -1
        return Sighting(seen.pid, seen.verdict == 'known', *scores, name, nearest, enrolled, seen.number)

    def _possible(
        self, given: Observed, rows: Sequence[int], farthest: Sequence[float]
    ) -> list[list[tuple[int, float]]]:
        """Return the people whom each row can be, nearest first: all that are near, and enough to decide."""
        windows = self._windows(given)
        elsewhere: dict[tuple[int, str], bool] = {}
        # Others of the frame may be as many people, then come the nearest and the runner-up.
        needed, count = len(rows) + 2, len(rows) + 2
        while True:
            possible = []
            complete = True
            for row, people in zip(
                rows, self._vectors.ranked(given.features.embedding[rows], farthest, count), strict=True
            ):
                track = given.features.track[row]
                for pid, _ in people:
                    if (pid, track) not in elsewhere:
                        elsewhere[pid, track] = self._log.was_elsewhere(pid, given.camid, track, windows)
                left = [(pid, distance) for pid, distance in people if not elsewhere[pid, track]]
                complete &= len(left) >= needed or len(people) == len(self._vectors.members)
                possible.append(left)
            if complete:
                return possible
            count *= 2

    def _windows(self, given: Observed) -> list[tuple[int, float, float]]:
        """Return when a sighting by each camera excludes that the same person is seen now: from, up to."""
        if given.camid < 0 or math.isnan(given.start):
            return []
        windows = []
        for other in self._log.cameras():
            there, here = (other, given.camid), (given.camid, other)
            if other < 0:
                continue
            first, last = given.start, given.until
            if there in self.travel_times:
                if self.travel_times[there] == self.travel_times[here] == 0:
                    continue
                # Somebody who needs 10 s may be there after 10 s.
                first = math.nextafter(first - self.travel_times[there], math.inf)
                last = math.nextafter(last + self.travel_times[here], -math.inf)
            windows.append((other, first, last))
        return windows

    def _free_pid(self, pid: int) -> int:
        """Return the next number that no person has, nor had, and that is nobody's name."""
        pid = max(pid, 1, self._vectors.largest_pid + 1)
        names = set(self._vectors.names.values()) if self._vectors.names else ()
        while str(pid) in names:
            pid += 1
        return pid

    def _seen(self, given: Observed, row: int, number: int, verdict: Verdict, pid: int, journal: str) -> Seen:
        path, source = given.features.path[row], given.features.source[row]
        if not path:
            path, source = f'sighting-{number}', f'people:{journal}'
        kind = {True: 'known', False: 'new', None: 'unsure'}[verdict.known]
        start, until, track = given.start, given.until, given.features.track[row]
        if given.frames[row] > 1 and not track:
            track = f'sighting-{number}'
        scores = (verdict.distance, verdict.runner_up, verdict.confidence, verdict.reason)
        return Seen(number, kind, pid, given.camid, start, until, track, path, source, *scores)

    def _enrolling(self, given: Observed, row: int, seen: Seen) -> list[Change]:
        """Return the changes of the gallery by a sighting: the image comes in, another one may go."""
        if seen.pid < 0:
            return []
        features = given.features[[row]]
        features.path, features.source, features.track = [seen.path], [seen.source], [seen.track]
        features.pid[0], features.frames[0] = seen.pid, given.frames[row]
        features.names = dict(pid=_only(self._vectors.names, seen.pid), camid=_only(self._vectors.cameras, seen.camid))
        new = Change.of('enroll', features, 0, own=True)
        images = self._vectors.members.get(seen.pid, [])
        if any(image.key == new.image for image in images):
            return []
        fresh = Image(-1, seen.pid, new.image, math.inf if math.isnan(seen.start) else seen.start)
        leaving = self._surplus([*images, fresh], fresh, features.embedding)
        if fresh in leaving:
            return []
        return [new, *self._store.changes('drop', leaving)]

    def _surplus(self, images: Sequence[Image], fresh: Image | None = None, embedding: Any = None) -> list[Image]:
        """Return the images of a person that are too many, those least different from the others."""
        own = self._log.own_images(image.key for image in images)
        if len(own) + (fresh is not None) <= self.images_per_person:
            return []
        ordered = sorted(images, key=lambda image: image.order)
        vectors = [embedding if image is fresh else self._vectors.embeddings([image]) for image in ordered]
        fixed = np.array([image is not fresh and image.key not in own for image in ordered])
        kept = most_different(np.concatenate(vectors), fixed, self.images_per_person, self.gallery.distance)
        return [image for row, image in enumerate(ordered) if row not in kept and not fixed[row]]

    # ---------------------------------------------------------------------------------------------------- correcting

    def merge(self, pid: int | str, other: int | str) -> None:
        """Make two people one: the images and sightings of the other become those of the first one.

        The first person keeps number and name, or gets the other's name if there is none. If there are too many
        images, the most different ones are kept.

        Raises:
            DataError: There is no such person, or both are the same.
        """
        with self._store.operation():
            pid, other = self._person(pid), self._person(other)
            if pid == other:
                raise DataError(f'merge: {pid} twice: give two people')
            names, images = self._vectors.names, self._vectors.members
            changes = [_renamed(other, names[other], '')] if other in names else []
            changes += self._store.changes('move', images[other], moved_to=pid)
            if other in names and pid not in names:
                changes.append(_renamed(pid, '', names[other]))
            name = names.get(pid) or names.get(other, '')
            for change in self._store.changes('drop', self._surplus([*images[pid], *images[other]])):
                changes.append(replace(change, pid=pid, columns=dict(change.columns, name=name)))
            moves = [(number, other, pid) for number in self._log.sightings_of(other)]
            self._store.commit('merge', changes=changes, moves=moves)

    def split(self, pid: int | str, ids: Iterable[int]) -> int:
        """Make some images of a person a new person; with them go the sightings that they come from.

        Args:
            pid: The person, who keeps number, name and all other sightings.
            ids: Numbers in the gallery of the images to take away (:meth:`images`); not all of them.

        Returns:
            The number of the new person.

        Raises:
            DataError: There is no such person, an image is not theirs, or none would be left.
        """
        with self._store.operation():
            pid = self._person(pid)
            wanted = _ids(ids)
            images = {image.id: image for image in self._vectors.members[pid]}
            if wanted - set(images):
                raise DataError(f'split: image {min(wanted - set(images))} is none of person {pid}')
            if not wanted or len(wanted) == len(images):
                raise DataError(f'split: {len(wanted)} of {len(images)} images of person {pid}: give some, not all')
            new = self._free_pid(self._log.facts()['next_pid'])
            chosen = [images[id] for id in sorted(wanted)]
            numbers = self._log.sightings_of(pid, [image.key for image in chosen])
            moves = [(number, pid, new) for number in numbers]
            changes = self._store.changes('move', chosen, moved_to=new)
            self._store.commit('split', changes=changes, moves=moves, facts=dict(next_pid=new + 1))
            return new

    def rename(self, pid: int | str, name: str) -> None:
        """Give a person a name, or another one; see :meth:`Gallery.rename`.

        Raises:
            DataError: There is no such person, the name is invalid, or that of another person.
        """
        with self._store.operation():
            pid = self._person(pid)
            name = checked_name(name, 'name') if name != '' else ''
            old = self._vectors.names.get(pid, '')
            if name != old:
                self._store.commit('rename', changes=[_renamed(pid, old, name)])

    def forget(
        self,
        before: float | None = None,
        max_age: float | None = None,
        pid: int | str | None = None,
        erase: bool = False,
    ) -> int:
        """Forget images by their age, or a person.

        Deleted images can be restored by :meth:`undo`, for which the journal keeps their embeddings. To delete
        people's data for good, erase them: then the journal's embeddings, and its sightings that meet the conditions,
        are deleted too, the gallery is compacted, and neither this nor any earlier operation can be undone.

        Args:
            before: Time in seconds; images from before that time. Only those that :meth:`observe` enrolled: for others
                there is :meth:`Gallery.delete`.
            max_age: The same, counted back from the latest sighting.
            pid: A person, with all images, whoever enrolled them; with a time, their images from before that time.
            erase: Whether to delete for good. Default: False.

        Returns:
            Number of deleted images.

        Raises:
            DataError: There is no condition, or an invalid one.
        """
        if (before is None) == (max_age is None) and (before is not None or pid is None):
            raise DataError('forget: give before or max_age, or pid')
        for name, value in (('before', before), ('max_age', max_age)):
            if value is not None and math.isnan(seconds_of(value, name)):
                raise DataError(f'{name}={value!r}: give seconds')
        if max_age is not None and max_age < 0:
            raise DataError(f'max_age={max_age!r}: give seconds before the latest sighting, 0 or more')
        with self._store.operation():
            if max_age is not None:
                latest = self._log.latest()
                before = -math.inf if latest is None else latest - max_age
            person = None if pid is None else self._person(pid, must_exist=not erase)
            images = [image for image in self._vectors.images.values() if person in (None, image.pid)]
            if before is not None:
                images = [image for image in images if image.time < before]
                own = self._log.own_images(image.key for image in images)
                images = [image for image in images if image.key in own]
            changes = self._store.changes('drop', sorted(images, key=lambda image: (image.pid, image.order)))
            if erase:
                self._store.commit('erase', changes=changes, erase=(before, person))
            elif changes:
                self._store.commit('forget', changes=changes)
            return len(images)

    def undo(self) -> str:
        """Take back the last operation that was not taken back yet; repeat it for those before.

        Numbers of people are not given again, and restored images have new numbers in the gallery.

        Returns:
            What was undone: ``'observe'``, ``'merge'``, ``'split'``, ``'rename'`` or ``'forget'``.

        Raises:
            DataError: There is nothing (left) to undo.
        """
        with self._store.operation():
            last = self._log.last()
            if last is None:
                raise DataError(
                    f'{self._log.path}: nothing to undo: each of the last {self.undo_operations} operations is undone, '
                    'or from before an erasure'
                )
            op, kind = last
            changes = [change.reversed() for change in reversed(self._log.changes(op))]
            moves = [(number, after, before) for number, before, after in reversed(self._log.moves(op))]
            self._store.commit('undo', changes=changes, moves=moves, undoes=op)
            return kind

    # ------------------------------------------------------------------------------------------------------- reading

    @property
    def id(self) -> str:
        """Identity of the log, which no other log has: of a gallery that was deleted and made anew, it is another."""
        with self._store.operation():
            return str(self._log.facts()['id'])

    def pids(self) -> dict[int, int]:
        """Return the number of images of each person, ascending by person."""
        with self._store.operation():
            return {pid: len(images) for pid, images in sorted(self._vectors.members.items())}

    def images(self, pid: int | str) -> list[Record]:
        """Return the images of a person in the gallery, by time."""
        with self._store.operation():
            return self.gallery.records([image.id for image in self._vectors.members[self._person(pid)]])

    def sightings(self, pid: int | str | None = None) -> list[Seen]:
        """Return the sightings of a person, or of all people, in the order of the calls, as of now.

        Sightings move with people that are merged or split; those of undone operations are left out, and unsure ones
        belong to nobody.
        """
        with self._store.operation():
            return self._log.sightings(None if pid is None else self._person(pid, must_exist=False))

    def latest(self, camid: int | None = None) -> float | None:
        """Return the latest time that a camera, or any, has observed, to go on from; None if there is none."""
        with self._store.operation():
            return self._log.latest(camid)

    def log(self) -> list[dict[str, Any]]:
        """Return all decisions and changes, oldest first.

        Each row has all columns of :data:`~mmosnet.gallery.people_log.COLUMNS`, None where one does not apply. Its
        ``event`` is a decision, ``'known'``, ``'new'`` or ``'unsure'``; another operation, ``'merge'``, ``'split'``,
        ``'rename'``, ``'forget'``, ``'erase'`` or ``'undo'``; or, after these, what was done: ``'enrolled'``,
        ``'dropped'``, ``'moved'``, ``'renamed'``. ``time`` is that of the image, ``at`` that of the operation.
        """
        with self._store.operation():
            return list(self._log.rows())

    def write_log(self, path: str | Path) -> None:
        """Write the :meth:`log` as CSV in UTF-8.

        Raises:
            OSError: The file cannot be written.
        """
        text = io.StringIO(newline='')
        writer = csv.DictWriter(text, COLUMNS, lineterminator='\n')
        writer.writeheader()
        writer.writerows(self.log())
        with whole_file(path) as draft:
            draft.write_bytes(text.getvalue().encode('utf-8', 'surrogateescape'))

    def _person(self, pid: int | str, must_exist: bool = True) -> int:
        """Return the number of a person given by number or name."""
        (number,) = self.gallery.numbers_of('pid', [pid], 'pid')  # type: ignore[misc, union-attr]
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
            raise DataError(f'pid={pid!r}: give a number or a name')
        if must_exist and number not in self._vectors.members:
            raise DataError(f'pid={pid}: {self.gallery.uri} has no such person')
        return int(number)


def _ids(ids: Iterable[int]) -> set[int]:
    """Return numbers of images.

    Raises:
        DataError: Something else is given.
    """
    values = list(ids) if isinstance(ids, Iterable) and not isinstance(ids, (str, bytes)) else [ids]
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise DataError(f'ids: {value!r}: give numbers of images in the gallery, as images() has them')
    return {int(value) for value in values}


def _only(names: Mapping[int, str], number: int) -> dict[int, str]:
    return {number: names[number]} if number in names else {}


def _renamed(pid: int, old: str, new: str) -> Change:
    return Change('rename', pid, dict(name=old, new=new))


def _at_least(least: int, value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise DataError(f'{name}={value!r}: give a whole number, {least} or more')
    return int(value)
