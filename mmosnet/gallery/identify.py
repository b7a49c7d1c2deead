"""Identify the people in videos: embed their boxes, decide track by track, write who was where. Needs no torch."""

from __future__ import annotations

import hashlib
import math
import os
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from mmosnet.drawing.sheets import CELL, fitted, save_sheet
from mmosnet.drawing.sightings import LabeledBox, draw_sightings, person_sheet
from mmosnet.errors import DataError
from mmosnet.features.people import host_and_folder, place_of
from mmosnet.features.videos import CameraVideo, PersonBox, Track, in_order_of_time, video_tracks
from mmosnet.gallery.base import Gallery
from mmosnet.gallery.people import People
from mmosnet.gallery.people_input import Sighting
from mmosnet.gallery.sightings import (
    JOURNAL,
    KNOWN,
    NEW,
    TABLE,
    TOO_SHORT,
    UNSURE,
    Decision,
    Journal,
    SeenPerson,
    VideoSightings,
    output_names,
    people_of,
    report,
    write_mot,
    write_table,
)
from mmosnet.io.files import check_writable
from mmosnet.io.media import LOGGER
from mmosnet.io.regions import split_frame, split_region
from mmosnet.io.video_writer import whole_video
from mmosnet.progress import ProgressBar

PER = ('track', 'frame')
SHEETS = 'people'
# Boxes of a track. False boxes form shorter ones: with all tracks, they became people (docs/benchmarks.md).
SHORTEST_TRACK = 3
# Sightings on a person's sheet.
MOST_SHOWN = 64


class FrameEmbedder(Protocol):
    """What :class:`mmosnet.Embedder` offers."""

    source: str
    model: str
    dimension: int
    attributes: tuple[str, ...]

    def attributes_of(self, frame: np.ndarray) -> tuple[str, ...]:
        """Return the attributes of a person who fills a frame."""

    def __call__(self, frame: np.ndarray, boxes: Any) -> np.ndarray:
        """Return ``(N, D)`` embeddings of the boxes ``(N, 4)``, left, top, right, bottom."""


@dataclass(frozen=True)
class IdentifyOptions:
    """Options of :func:`identify`.

    Attributes:
        per: ``'track'`` decides once per track, ``'frame'`` once per box; by default tracks where every file of boxes
            has them.
        frames: Number of boxes to embed per track, evenly spread over it.
        after: Decide a track after this number of boxes; by default at its end.
        shortest_track: Number of boxes from which on a track is decided; a shorter one is often a false box, and gets
            the verdict ``'too short'``. Default: 3, or ``after`` if that is smaller.
        draw_videos: Whether to write the videos with labeled boxes.
        draw_sheets: Whether to write a sheet per person.
        overwrite: Whether to replace the results in the folder and to take back, by :meth:`People.undo`, what was
            decided about these videos before.
        skip: Whether to go on without the rest of a damaged video, instead of raising an error.

    Raises:
        DataError: An invalid value.
    """

    per: str | None = None
    frames: int = 16
    after: int | None = None
    shortest_track: int | None = None
    draw_videos: bool = True
    draw_sheets: bool = True
    overwrite: bool = False
    skip: bool = False

    def __post_init__(self) -> None:
        if self.per is not None and self.per not in PER:
            raise DataError(f'per={self.per!r}: choose from {", ".join(PER)}')
        for name in ('frames', 'after', 'shortest_track'):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DataError(f'{name}={value}: give a number of boxes, 1 or more')
        if self.after is not None and self.shortest > self.after:
            raise DataError(
                f'after={self.after}: a track is decided then, and shortest_track={self.shortest_track} is not known '
                'yet: give the same number or a smaller one'
            )

    @property
    def shortest(self) -> int:
        """Number of boxes from which on a track is decided."""
        if self.shortest_track is not None:
            return self.shortest_track
        return min(SHORTEST_TRACK, self.after or SHORTEST_TRACK)


def per_of(videos: Sequence[CameraVideo], per: str | None) -> str:
    """Return whether to decide per track or per frame.

    Args:
        videos: The videos.
        per: ``'track'`` or ``'frame'`` as the user asks for; None for tracks where every video with boxes has them.

    Raises:
        DataError: Tracks are asked for, and a file has none.
    """
    without = [
        video.boxes_path
        for video in videos
        if video.boxes and not any(box.row.track >= 0 for boxes in video.boxes.values() for box in boxes)
    ]
    if per == 'track' and without:
        raise DataError(f'{without[0]}: no box has a track: give --per frame, or boxes of a tracker')
    return per or ('frame' if without else 'track')


def run_facts(
    videos: Sequence[CameraVideo], people: People, embedder: FrameEmbedder, per: str, options: IdentifyOptions
) -> dict[str, Any]:
    """Return what the decisions depend on, in JSON values: another run in the same folder differs in some of it."""
    gallery = people.gallery
    return dict(
        videos=[[video.path, video.camid, video.start, video.fps, *video.size, _size(video.path)] for video in videos],
        boxes=[_digest(video) for video in videos],
        gallery=gallery.uri,
        people=people.id,
        model=embedder.model,
        threshold=[people.threshold, people.track_threshold, people.band, people.margin, gallery.threshold],
        travel_times=[[*pair, seconds] for pair, seconds in sorted(people.travel_times.items())],
        per=per,
        frames=options.frames,
        after=options.after,
        shortest_track=options.shortest,
    )


def _size(path: str) -> int:
    return len(os.listdir(path)) if os.path.isdir(path) else os.path.getsize(path)


def _digest(video: CameraVideo) -> str:
    """Return 16 hex digits of the boxes that are identified."""
    digest = hashlib.sha256()
    for boxes in video.boxes.values():
        for box in boxes:
            digest.update(repr((box.row.frame, box.row.track, box.row.box, box.region)).encode())
    return digest.hexdigest()[:16]


def is_of(path: str, source: str, videos: Sequence[CameraVideo]) -> bool:
    """Return whether an image is of one of some videos, by path and source."""
    file, frame, _ = split_frame(path)
    file = os.path.normpath(file if frame is not None else os.path.dirname(split_region(path)[0]))
    return any(
        file == os.path.normpath(video.path) and source == place_of(video.path, *host_and_folder()) for video in videos
    )


def check_outputs(folder: Path, videos: Sequence[CameraVideo], options: IdentifyOptions) -> None:
    """Check before a long computation that the results can be written, and replace none of the inputs.

    Raises:
        DataError: A result would replace a video or a file of boxes.
        OSError: The folder cannot be written.
    """
    inputs = {Path(path).resolve() for video in videos for path in (video.path, video.boxes_path)}
    for path in result_files(folder, videos, options):
        if path.resolve() in inputs:
            raise DataError(f'{path} would replace an input: name another folder for the results')
    check_writable(folder / TABLE)


def result_files(folder: Path, videos: Sequence[CameraVideo], options: IdentifyOptions) -> list[Path]:
    """Return the files of the results, without the sheets of people."""
    names = list(output_names(videos))
    files = [folder / TABLE, folder / JOURNAL, *(folder / f'{name}.mot.txt' for name in names)]
    return files + [folder / f'{name}.mp4' for name in names] * options.draw_videos


class _Deciding:
    """Embeds the boxes of videos in order of time, and decides who they show.

    Args:
        videos: The videos.
        embedder: The model.
        people: The people of the gallery.
        journal: Decisions of an interrupted run, and those that are made.
        per: ``'track'`` or ``'frame'``.
        options: Further options.
    """

    def __init__(
        self,
        videos: Sequence[CameraVideo],
        embedder: FrameEmbedder,
        people: People,
        journal: Journal,
        per: str,
        options: IdentifyOptions,
    ) -> None:
        self._videos, self._embedder, self._people, self._journal = videos, embedder, people, journal
        self._options = options
        self._ended: set[int] = set()
        self._per = per
        # Per video: what to embed by frame, and the tracks to decide after each frame.
        self._boxes: list[dict[int, list[PersonBox]]] = []
        self._due: list[dict[int, list[Track]]] = []
        # What needs no embedding: tracks that are too short.
        self._at_once: list[Decision] = []
        for number, video in enumerate(videos):
            due: dict[int, list[Track]] = defaultdict(list)
            boxes: dict[int, list[PersonBox]] = defaultdict(list)
            needed = {frame for frame in video.boxes if (number, frame, 0) not in journal.keys}
            if per == 'track':
                tracks = video_tracks(video, options.frames, options.after)
                needed = set()
                for track in tracks:
                    if len(track.boxes) < options.shortest:
                        if (number, track.number, -1) not in journal.keys:
                            self._at_once.append(_too_short(number, track, video))
                        continue
                    for box in track.chosen:
                        boxes[box.row.frame].append(box)
                    if (number, track.number, -1) not in journal.keys:
                        due[track.decided].append(track)
                        needed |= {box.row.frame for box in track.chosen}
            # All boxes of a frame, also those of tracks that are decided: in other batches a model rounds differently,
            # and a resumed run gives the same numbers.
            embedded = boxes if per == 'track' else video.boxes
            self._boxes.append({frame: some for frame, some in embedded.items() if frame in needed})
            self._due.append(due)
        # Embeddings of tracks that are not decided yet, with the boxes that they are of.
        self._open: dict[tuple[int, int], list[tuple[np.ndarray, PersonBox]]] = defaultdict(list)
        # The largest image of each, for a model with attributes.
        self._largest: dict[tuple[int, int], np.ndarray] = {}

    @property
    def frames(self) -> int:
        """Number of frames to read."""
        return sum(map(len, self._boxes))

    def run(self, progress: ProgressBar) -> None:
        """Read, embed and decide.

        Args:
            progress: Counts the frames.
        """
        if self._at_once:
            self._journal.add(self._at_once)
        for _, number, frame in in_order_of_time(self._videos, [sorted(boxes) for boxes in self._boxes]):
            progress.advance()
            if number in self._ended:
                continue
            video, boxes = self._videos[number], self._boxes[number][frame]
            try:
                image = video.read(frame)
            except DataError as e:
                self._leave_out(number, frame, e)
                continue
            corners = [
                [left, top, left + width, top + height] for left, top, width, height in (b.region for b in boxes)
            ]
            embeddings = self._embedder(image, np.array(corners))
            if self._per == 'track':
                for embedding, box in zip(embeddings, boxes, strict=True):
                    if (number, box.row.track, -1) not in self._journal.keys:
                        self._open[number, box.row.track].append((embedding, box))
                        self._keep_largest(number, box, image)
                self._decide_tracks(number, frame, self._due[number].get(frame, []))
            else:
                self._decide_boxes(number, frame, embeddings, boxes)

    def _keep_largest(self, number: int, box: PersonBox, image: np.ndarray) -> None:
        key = number, box.row.track
        left, top, width, height = box.region
        known = self._largest.get(key)
        if self._embedder.attributes and (known is None or width * height > known.shape[0] * known.shape[1]):
            self._largest[key] = image[top : top + height, left : left + width].copy()

    def _leave_out(self, number: int, frame: int, error: DataError) -> None:
        """Go on without a damaged image of a folder, or without the rest of a damaged video; or raise an error."""
        video = self._videos[number]
        if not self._options.skip:
            raise DataError(
                f'{error}. What was decided before is kept, and the same command goes on there: repair the video, or '
                'leave out what cannot be read with --bad-images skip'
            ) from error
        if video.is_folder:
            LOGGER.warning(f'{error}. This frame is left out')
            video.left_out[f'boxes in frames of {video.path} that cannot be read'] += len(self._boxes[number][frame])
            due = self._due[number].get(frame, [])
            self._decide_tracks(number, frame, [track for track in due if (number, track.number) in self._open])
            return
        LOGGER.warning(f'{error}. The rest of {video.path} is left out')
        lost = sum(len(boxes) for later, boxes in self._boxes[number].items() if later >= frame)
        video.left_out[f'boxes of {video.path} from frame {frame} on, which cannot be read'] += lost
        self._ended.add(number)
        tracks = [track for due in self._due[number].values() for track in due if (number, track.number) in self._open]
        self._decide_tracks(number, frame, tracks)

    def _decide_tracks(self, number: int, frame: int, tracks: Sequence[Track]) -> None:
        """Decide the tracks of a video that end, in the order of their numbers."""
        video = self._videos[number]
        for track in tracks:
            embeddings, boxes = zip(*self._open.pop((number, track.number)), strict=True)
            shown = _largest(boxes)
            largest = self._largest.pop((number, track.number), None)
            attributes = () if largest is None else self._embedder.attributes_of(largest)
            span = video.time(track.boxes[0].row.frame), video.time(boxes[-1].row.frame)
            sighting = self._people.observe(
                np.stack(embeddings),
                video.camid,
                span,
                track=track_name(video, track.number),
                path=video.region_path(shown),
                source=place_of(video.path, *host_and_folder()),
                attributes=attributes,
            )
            decision = _decision(number, frame, track.number, 0, sighting, video, shown)
            self._journal.add([replace(decision, attributes=attributes)])

    def _decide_boxes(self, number: int, frame: int, embeddings: np.ndarray, boxes: Sequence[PersonBox]) -> None:
        """Decide the boxes of a frame, no two of which are the same person."""
        video = self._videos[number]
        sightings = self._people.observe_frame(
            embeddings,
            video.camid,
            video.time(frame),
            paths=[video.region_path(box) for box in boxes],
            source=place_of(video.path, *host_and_folder()),
        )
        self._journal.add(
            [
                _decision(number, frame, -1, row, sighting, video, box)
                for row, (sighting, box) in enumerate(zip(sightings, boxes, strict=True))
            ]
        )


def _largest(boxes: Iterable[PersonBox]) -> PersonBox:
    return max(boxes, key=lambda box: box.region.width * box.region.height)


def _too_short(number: int, track: Track, video: CameraVideo) -> Decision:
    shown = _largest(track.boxes)
    return Decision(
        number, track.boxes[-1].row.frame, track.number, 0, TOO_SHORT, -1, -1, None, None, 0.0, '',
        video.region_path(shown), shown.row.frame,
    )  # fmt: skip


def _decision(
    number: int, frame: int, track: int, row: int, sighting: Sighting, video: CameraVideo, shown: PersonBox
) -> Decision:
    verdict = {True: KNOWN, False: NEW, None: UNSURE}[sighting.known]
    distance, runner_up = (None if math.isnan(value) else value for value in (sighting.distance, sighting.runner_up))
    scores = distance, runner_up, sighting.confidence, sighting.reason
    return Decision(
        number, frame, track, row, verdict, sighting.pid, sighting.nearest, *scores, video.region_path(shown),
        shown.row.frame,
    )  # fmt: skip


def identify(
    videos: Sequence[CameraVideo],
    people: People,
    embedder: FrameEmbedder,
    out: str | Path,
    options: IdentifyOptions | None = None,
    disable_progress: bool = False,
) -> str:
    """Identify the people in videos, and write who was where.

    ``out`` gets ``sightings.csv``, a row per sighting; ``NAME.mot.txt`` per video, its boxes with people as ids;
    ``NAME.mp4`` per video, with labeled boxes; ``people/PID.jpg``, a sheet per person; and ``identify.jsonl``, the
    journal by which the same call resumes an interrupted one. Frames are decoded in order and once, and once more for
    the pictures. Memory does not grow with the length of videos and tracks.

    Args:
        videos: The videos (:func:`~mmosnet.features.videos.open_videos`).
        people: The people of a gallery, who may be none yet.
        embedder: The model.
        out: Folder for the results.
        options: Further options; see :class:`IdentifyOptions` for the defaults.
        disable_progress: Whether to show no progress. Default: False.

    Returns:
        The report, a table.

    Raises:
        DataError: The gallery has no threshold, is of another model or holds images of these videos; the folder has
            results of another run; or a video is damaged.
        OSError: The results cannot be written.
    """
    options = options or IdentifyOptions()
    folder, gallery = Path(out), people.gallery
    if len(gallery) or gallery.model:
        gallery.check_model(embedder.model, f'people in videos by {embedder.source}')
    if people.threshold is None and gallery.threshold is None:
        raise DataError(
            f'{gallery.uri} has no threshold: `mmosnet calibrate FEATURES --gallery {gallery.uri}` finds one; or give '
            '--threshold'
        )
    per = per_of(videos, options.per)
    check_outputs(folder, videos, options)
    run = run_facts(videos, people, embedder, per, options)
    if options.overwrite:
        undo(folder, videos, people)
    if not (folder / JOURNAL).exists():
        _refuse_known(people, videos)
        _refuse_untimed(people, videos)
    with closing(Journal(folder, run)) as journal, ExitStack() as stack:
        for video in videos:
            stack.enter_context(closing(video))
        deciding = _Deciding(videos, embedder, people, journal, per, options)
        with ProgressBar(deciding.frames, 'frames to identify', disable_progress) as progress:
            deciding.run(progress)
        decisions = as_of_now(journal.decisions, videos, people)
    sightings = [
        VideoSightings(video, [one for one in decisions if one.video == number]) for number, video in enumerate(videos)
    ]
    write_results(folder, sightings, gallery, options, disable_progress)
    left_out = [('left out', f'{count:,} {reason}') for video in videos for reason, count in video.left_out.items()]
    return report(sightings, [('results', str(folder)), ('gallery', gallery.uri), *left_out])


def as_of_now(decisions: Sequence[Decision], videos: Sequence[CameraVideo], people: People) -> list[Decision]:
    """Return decisions with the people that their sightings belong to now: people may have been merged or split."""
    now: dict[tuple[str, str], set[int]] = defaultdict(set)
    for seen in people.sightings():
        if seen.pid >= 0 and is_of(seen.path, seen.source, videos):
            now[seen.path, seen.track].add(seen.pid)
    result = []
    for one in decisions:
        track = track_name(videos[one.video], one.track) if one.track >= 0 else ''
        pids = now[one.image, track]
        # Two equal boxes of one frame are two people: they are not told apart, and stay.
        if one.pid >= 0 and len(pids) == 1 and one.pid not in pids:
            (pid,) = pids
            one = replace(one, pid=pid, nearest=pid if one.nearest == one.pid else one.nearest)
        result.append(one)
    return result


def track_name(video: CameraVideo, track: int) -> str:
    """Return the name of a track in the gallery: path and number, with escapes for what names cannot hold."""
    path = os.fsencode(video.path).decode('utf-8', 'backslashreplace')
    path = ''.join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in path)
    return unicodedata.normalize('NFC', f'{path} {track}').strip()


def undo(folder: Path, videos: Sequence[CameraVideo], people: People) -> None:
    """Take back the decisions about some videos, the last ones in the log of a gallery, and delete their journal.

    Raises:
        DataError: Somebody else was identified since, or it is too long ago to be undone.
    """
    operations: dict[int, list[dict]] = defaultdict(list)
    for entry in people.log():
        if not entry['undone'] and entry['event'] != 'undo' and entry['operation'] is not None:
            operations[entry['operation']].append(entry)
    own = [
        any(entry['path'] and is_of(entry['path'], entry['source'], videos) for entry in entries)
        for entries in operations.values()
    ]
    count = sum(own)
    if not all(own[len(own) - count :]):
        raise DataError(
            f'{people.gallery.uri}: after these videos were identified, others were, or people were changed: only the '
            'last decisions can be taken back. Identify into another gallery'
        )
    if count > people.undo_operations:
        raise DataError(
            f'{people.gallery.uri}: {count:,} decisions about these videos, of which only the last '
            f'{people.undo_operations:,} can be taken back. Identify into another gallery'
        )
    for _ in range(count):
        people.undo()
    # Last: until then an interrupted call can be given again.
    (folder / JOURNAL).unlink(missing_ok=True)


def _refuse_known(people: People, videos: Sequence[CameraVideo]) -> None:
    """Raise an error if people were seen before in videos that are to be identified for the first time."""
    known = [seen for seen in people.sightings() if is_of(seen.path, seen.source, videos)]
    if known:
        raise DataError(
            f'{people.gallery.uri} has {len(known):,} sightings in these videos, the first {known[0].path}: they were '
            'identified before, into another folder. Name that folder (--out) to get its results again, or start with '
            '--overwrite, which takes these decisions back'
        )


def _refuse_untimed(people: People, videos: Sequence[CameraVideo]) -> None:
    """Raise an error if videos without a start would be at the same time as earlier ones.

    Nobody is two people at the same time, or in two places: people of earlier videos would not be recognized.
    """
    latest, untimed = people.latest(), [video.path for video in videos if not video.is_timed]
    if untimed and latest is not None:
        raise DataError(
            f'{untimed[0]} has no start, and {people.gallery.uri} has seen people until {latest:.2f} s: give '
            f'--start-time, the date and time of the recording; --start-time {math.ceil(latest) + 60} is after them'
        )


def write_results(
    folder: Path,
    sightings: Sequence[VideoSightings],
    gallery: Gallery,
    options: IdentifyOptions,
    disable_progress: bool = False,
) -> None:
    """Write all results but the journal; see :func:`identify`."""
    write_table(folder / TABLE, sightings, gallery.names)
    for name, of_video in zip(output_names([one.video for one in sightings]), sightings, strict=True):
        write_mot(folder / f'{name}.mot.txt', of_video)
    for old in (folder / SHEETS).glob('*.jpg'):
        # Of a run before; a person may be gone.
        if old.stem.isdigit():
            old.unlink()
    draw_results(folder, sightings, gallery.names['pid'], options, disable_progress)


def draw_results(
    folder: Path,
    sightings: Sequence[VideoSightings],
    names: Mapping[int, str],
    options: IdentifyOptions,
    disable_progress: bool = False,
) -> None:
    """Write the videos with labeled boxes, and a sheet per person; reads the videos once more.

    Args:
        folder: Folder of the results.
        sightings: The videos with their decisions.
        names: Names of people by pid.
        options: Which pictures to write.
        disable_progress: Whether to show no progress. Default: False.
    """
    people = people_of(sightings) if options.draw_sheets else {}
    wanted: list[dict[int, set[str]]] = [defaultdict(set) for _ in sightings]
    for of_person in people.values():
        for _, seen in of_person[:MOST_SHOWN]:
            wanted[seen.decision.video][seen.decision.shown].add(seen.decision.image)
    # As small JPEGs: a sheet is drawn when all videos are read.
    crops: dict[str, bytes] = {}
    total = sum(
        max(one.video.boxes, default=-1) + 1 if options.draw_videos else len(some)
        for one, some in zip(sightings, wanted, strict=True)
    )
    names_of_videos = output_names([one.video for one in sightings])
    with ProgressBar(total, 'frames to draw', disable_progress) as progress:
        for name, of_video, some in zip(names_of_videos, sightings, wanted, strict=True):
            with closing(of_video.video):
                path = folder / f'{name}.mp4' if options.draw_videos else None
                for frame, image in _drawn(of_video, path, some, names):
                    for box, _ in of_video.of_frame(frame) if frame in some else ():
                        image_path = of_video.video.region_path(box)
                        if image_path in some[frame]:
                            left, top, width, height = box.region
                            card = fitted(image[top : top + height, left : left + width], CELL)
                            crops[image_path] = cv2.imencode('.jpg', card)[1].tobytes()
                    # Frames behind the last box are not in the total.
                    progress.advance(int(progress.done < total))
    for pid, of_person in people.items():
        more = f', the first {MOST_SHOWN} are shown' * (len(of_person) > MOST_SHOWN)
        times = f'{len(of_person):,} sighting{"s" * (len(of_person) > 1)}'
        cards = [_card(of_video, seen, crops) for of_video, seen in of_person[:MOST_SHOWN]]
        save_sheet(person_sheet([f'{_person(pid, names)}: {times}{more}'], cards), folder / SHEETS / f'{pid}.jpg')


def _drawn(
    of_video: VideoSightings, path: Path | None, frames: Collection[int], names: Mapping[int, str]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield number and image of the frames that are to be read, and write the video with labeled boxes if asked for."""
    video = of_video.video
    if path is None:
        yield from ((frame, video.read(frame)) for frame in sorted(frames))
        return
    with whole_video(path, video.fps, video.size) as write:
        for frame, image in video.all_frames():
            yield frame, image
            labels = [LabeledBox(box.row.box, *_label(decision, names)) for box, decision in of_video.of_frame(frame)]
            drawn = image.copy()
            draw_sightings(drawn, labels, f'camera {video.camid}   {video.time(frame):.2f} s')
            write(drawn)


def _card(
    of_video: VideoSightings, seen: SeenPerson, crops: Mapping[str, bytes]
) -> tuple[np.ndarray | None, list[str]]:
    """Return image and text of a sighting on the sheet of a person."""
    decision, video = seen.decision, of_video.video
    crop = crops.get(decision.image)
    image = None if crop is None else cv2.imdecode(np.frombuffer(crop, np.uint8), cv2.IMREAD_COLOR)
    distance = '' if decision.distance is None else f' {decision.distance:.3f}'
    time = f'{video.time(seen.first):.1f} - {video.time(seen.last):.1f} s'
    return image, [f'camera {video.camid}', time, f'{decision.verdict}{distance}', *decision.attributes]


def _label(decision: Decision | None, names: Mapping[int, str]) -> tuple[str, int]:
    """Return text and pid of a box."""
    if decision is None:
        return '', -1
    if decision.verdict in (UNSURE, TOO_SHORT):
        return decision.verdict, -1
    distance = '' if decision.distance is None else f' {decision.distance:.2f}'
    return f'{_person(decision.pid, names)} {decision.verdict}{distance}', decision.pid


def _person(pid: int, names: Mapping[int, str]) -> str:
    return f'{names[pid]} ({pid})' if pid in names else f'person {pid}'
