"""Extract features of listed people into a folder of shards, in one call: :func:`extract`.

The folder is the only state: ``extraction.json`` says what the features were made from, and a shard exists wholly or
not at all. So an interrupted extraction continues with the first missing shard, and several processes need no
connection to share the work.
"""

from __future__ import annotations

import csv
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mmosnet.errors import DataError, need
from mmosnet.features.batches import PersonBatches
from mmosnet.features.embedder import ImageEmbedder, Prediction
from mmosnet.features.features import Features, checked_name
from mmosnet.features.people import PersonList, host_and_folder, place_of
from mmosnet.features.shards import EXTRACTION, SHARD, SUFFIX, read_metadata, shard_name, write_shard
from mmosnet.features.tracks import PER, TrackPool, tracks_of
from mmosnet.io.files import whole_file
from mmosnet.io.text_tables import fact_table
from mmosnet.progress import ProgressBar
from mmosnet.version import __version__

SKIPPED = 'skipped.csv'
# What must be equal to continue an extraction: keys of extraction.json, and their names in errors.
IDENTITY = dict(
    model='weights',
    kind='computation',
    preparation='preparation of images',
    images='number of people',
    people='people (images, boxes, identities, cameras or times)',
    names='names of identities or cameras',
    shard_size='--shard-size',
    cfg_options='--cfg-options',
    origin='--source',
    per='--per',
    pool='--pool',
    attributes='attributes of the model',
)
# Keys of IDENTITY that are absent in extractions without tracks or attributes, as in those of older versions.
OPTIONAL = ('per', 'pool', 'attributes')
# Keys that keep the values of the machine that began: all processes write the same sources.
BEGUN_ON = ('host', 'cwd')
# Characters of a differing value that an error shows.
LONGEST_VALUE = 300
# Skipped images that a report names.
MOST_NAMED = 5
# Seconds between two looks at the shards of other processes.
PAUSE = 1.0
# Seconds without a new shard after which the other processes count as lost: the larger of this number, and this many
# times the seconds that a shard took here.
SHARD_TIMEOUT, TIMEOUT_SHARDS = 3600.0, 10
# People per shard by default.
SHARD_SIZE = 10_000
# Threads that read images: the model already keeps a CPU busy.
CPU_WORKERS, GPU_WORKERS = 2, 8


class ExtractionProgress:
    """Count people, and show progress on stderr: a bar in a terminal, one line per shard in a log.

    Args:
        total: People of this process.
        shards: Shards of the whole extraction.

    Attributes:
        done: People extracted in this run.
        before: People in shards of earlier runs.
        seconds: Seconds since the start.
    """

    def __init__(self, total: int, shards: int) -> None:
        self.shards = shards
        self.done = self.before = 0
        self._start = time.perf_counter()
        self._end: float | None = None
        self._bar = ProgressBar(total, 'people')

    @property
    def seconds(self) -> float:
        """Seconds from the start to the end, or until now."""
        return (self._end or time.perf_counter()) - self._start

    @property
    def rate(self) -> float:
        """People per second in this run."""
        return self.done / self.seconds

    def advance(self, number: int, was_there: bool = False) -> None:
        """Count people.

        Args:
            number: Number of people.
            was_there: Whether an earlier run has extracted them. Default: False.
        """
        if was_there:
            self.before += number
        else:
            self.done += number
        self._bar.advance(number)

    def written(self, shard: int) -> None:
        """Report a shard that is finished, counted from 0."""
        self._bar.advance(0, f'{shard + 1} of {self.shards} shards')
        self.say(
            f'shard {shard + 1} of {self.shards} written, {self.done + self.before} of {self._bar.total} people, '
            f'{self.rate:.1f} per second'
        )

    def stop(self) -> None:
        """Record the end time of this process."""
        self._end = time.perf_counter()

    def say(self, text: str) -> None:
        """Write a line to stderr, unless a terminal shows the bar."""
        self._bar.say(text)

    def __enter__(self) -> ExtractionProgress:
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.__exit__(kind, error, traceback)


@dataclass(frozen=True)
class Part:
    """The shards that one of several processes extracts: ``number``, ``number + total`` and so on.

    Attributes:
        number: Number of the process, counted from 0.
        total: Number of processes.
    """

    number: int = 0
    total: int = 1


class ExtractionFolder:
    """A folder with the shards of one extraction, and ``extraction.json``, which says what they were made from.

    Args:
        path: The folder; it is created if it does not exist.
        facts: Content of ``extraction.json``: the keys of :data:`IDENTITY`, ``bad_images``, and further information
            for users.
        overwrite: Whether to delete another extraction in the folder. The same one is continued in any case.

    Attributes:
        sizes: Number of people in each shard.
        extraction: Digest of the values of :data:`IDENTITY`, which the metadata of each shard repeats: shards of
            another extraction that ran in the same folder are extracted again.

    Raises:
        DataError: The folder holds another extraction, or files that would be read with its features; says what
            differs.
        OSError: The folder cannot be made or written.
    """

    def __init__(self, path: str | Path, facts: Mapping[str, Any], overwrite: bool = False) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise DataError(f'{path} is a file: --out takes a folder')
        self.shard_size, number = facts['shard_size'], facts['images']
        self.sizes = [min(self.shard_size, number - start) for start in range(0, number, self.shard_size)]
        # In the form that JSON gives back, for comparisons.
        self._facts = json.loads(json.dumps(dict(facts, shards=len(self.sizes))))
        values = [self._facts.get(key) for key in IDENTITY if key not in OPTIONAL]
        values += [[key, self._facts[key]] for key in OPTIONAL if self._facts.get(key)]
        identity = json.dumps(values, sort_keys=True)
        self.extraction = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self.path.mkdir(parents=True, exist_ok=True)
        difference = self._difference()
        self._check_other_files(bool(difference))
        if difference and not overwrite:
            raise DataError(f'{difference}. Name another --out, or start with --overwrite to delete what is there')
        if difference:
            self._clear()
        stored = self._stored() or {}
        self._facts |= {key: stored[key] for key in BEGUN_ON if key in stored}
        if stored != self._facts:
            # Processes that start together all write the same content.
            with whole_file(self.path / EXTRACTION) as draft:
                draft.write_text(json.dumps(self._facts, indent=1) + '\n', encoding='utf-8')

    def sources(self, paths: Sequence[str]) -> list[str]:
        """Return the source of each image, which tells equal paths on several machines apart.

        It is ``--source`` if given, else the host, and for relative paths also the working directory.
        """
        origin, host, folder = (self._facts.get(key) for key in ('origin', *BEGUN_ON))
        if origin is not None:
            return [origin] * len(paths)
        return [place_of(path, host, folder) for path in paths]

    def shard(self, number: int) -> Path:
        """Return the file of one shard."""
        return self.path / shard_name(number, len(self.sizes))

    def rows(self, number: int) -> slice:
        """Return the range of people in one shard."""
        start = self.shard_size * number
        return slice(start, start + self.sizes[number])

    def is_done(self, number: int) -> bool:
        """Return whether a shard exists, is complete and belongs to this extraction."""
        path = self.shard(number)
        if not path.is_file():
            return False
        try:
            metadata = read_metadata(path)
        except DataError:
            # A disk can lose what it has confirmed: the shard is extracted again.
            return False
        people = metadata['rows'] + metadata.get('left_out', len(metadata.get('skipped', ())))
        return metadata.get('extraction') == self.extraction and people == self.sizes[number]

    def missing(self) -> list[int]:
        """Return the numbers of the shards that do not exist yet."""
        return [number for number in range(len(self.sizes)) if not self.shard(number).is_file()]

    def check_own(self) -> None:
        """Check that no other extraction has taken over the folder since this one began.

        Raises:
            DataError: Another one has; says what differs.
        """
        difference = self._difference()
        if difference or not (self.path / EXTRACTION).is_file():
            raise DataError(
                f'{difference or f"{self.path / EXTRACTION} is gone"}: another process has taken the folder since this '
                'one began. Name another --out for one of them'
            )

    def count(self) -> int:
        """Return the number of rows in all shards."""
        return sum(read_metadata(self.shard(number))['rows'] for number in range(len(self.sizes)))

    def finish(self) -> list[list[str]]:
        """Write the skipped images to ``skipped.csv`` if there are any, once all shards exist.

        Returns:
            Path and reason of each skipped image.

        Raises:
            DataError: A shard is damaged, or belongs to another extraction.
            OSError: The list cannot be written.
        """
        skipped = []
        for number in range(len(self.sizes)):
            if not self.is_done(number):
                raise DataError(
                    f'{self.shard(number)} is damaged, or another process wrote it: the same command makes it anew'
                )
            skipped += self._skipped(number)
        if skipped:
            with (
                whole_file(self.path / SKIPPED) as draft,
                draft.open('w', newline='', encoding='utf-8', errors='surrogateescape') as file,
            ):
                csv.writer(file).writerows([['path', 'reason'], *skipped])
        return skipped

    def _skipped(self, number: int) -> list[list[str]]:
        """Return path and reason of each image that one shard leaves out."""
        return read_metadata(self.shard(number)).get('skipped', [])

    def _stored(self) -> Any:
        """Return the content of ``extraction.json``; None if there is no such file."""
        try:
            return json.loads((self.path / EXTRACTION).read_text(encoding='utf-8'))
        except FileNotFoundError:
            return None

    def _shards(self) -> list[Path]:
        """Return all files that are named like shards, of this or of another extraction."""
        return [file for file in self.path.iterdir() if SHARD.fullmatch(file.name)]

    def _check_other_files(self, is_other: bool) -> None:
        """Refuse files that would be read with the features.

        Args:
            is_other: Whether the folder holds another extraction, whose shards are no such files.
        """
        own = {self.shard(number).name for number in range(len(self.sizes))}
        for file in sorted(self.path.glob(f'*{SUFFIX}')):
            if file.name not in own and not file.name.startswith('.') and not (is_other and SHARD.fullmatch(file.name)):
                raise DataError(
                    f'{self.path} holds {file.name}, which is not of this extraction and would be read with its '
                    'features: name another --out, or move the file'
                )

    def _difference(self) -> str:
        """Return how the folder's extraction differs from this one; empty if it does not."""
        path = self.path / EXTRACTION
        if not path.is_file():
            shards = self._shards()
            if shards:
                return f'{self.path} holds {len(shards)} shards and no {EXTRACTION} that says what they are'
            if (self.path / SKIPPED).exists():
                return f'{self.path} holds a file {SKIPPED} that is of no extraction, and would be overwritten'
            return ''
        try:
            stored = self._stored()
        except (ValueError, RecursionError) as e:
            return f'{path} is damaged ({e})'
        if not isinstance(stored, dict):
            return f'{path} is damaged (it holds no object)'
        differences = [
            f'{name} {_both_values(stored.get(key, "unknown"), self._facts.get(key))}'
            for key, name in IDENTITY.items()
            # Older versions wrote neither the optional keys nor null.
            if (stored.get(key) or None) != (self._facts.get(key) or None)
        ]
        if differences:
            return (
                f'{self.path} holds another extraction: {"; ".join(differences)}. --batch-size, --workers, --device, '
                '--shard and --bad-images may change, the rest may not'
            )
        before, now = stored.get('bad_images'), self._facts.get('bad_images')
        if before == 'skip' and now != 'skip':
            skipped = sum(len(self._skipped(number)) for number in range(len(self.sizes)) if self.is_done(number))
            if skipped:
                return (
                    f'{self.path} holds another extraction: --bad-images {before!r}, now {now!r}, and {skipped} people '
                    'are left out there already'
                )
        return ''

    def _clear(self) -> None:
        """Delete the files that an extraction writes and no others, ``extraction.json`` last."""
        for file in (*self._shards(), self.path / SKIPPED, self.path / EXTRACTION):
            file.unlink(missing_ok=True)


def _both_values(stored: object, given: object) -> str:
    """Return two values that differ as text; long ones are cut around the first difference."""
    texts = [repr(stored), repr(given)]
    if max(map(len, texts)) > LONGEST_VALUE:
        unequal = (index for index, (a, b) in enumerate(zip(*texts, strict=False)) if a != b)
        start = max(0, next(unequal, 0) - LONGEST_VALUE // 4)
        texts = ['...' * bool(start) + text[start : start + LONGEST_VALUE // 2] + '...' for text in texts]
    return f'{texts[0]}, now {texts[1]}'


class Extraction:
    """The work of one process: it extracts the shards of its part.

    Each shard is computed in batches of its own. So the numbers do not depend on interruptions or on the number of
    processes.

    Args:
        people: All people, the same list in every process.
        embedder: The model.
        folder: Folder of the shards.
        batch_size: Images per forward pass. Default: 64.
        workers: Threads that read images. Default: 1.
        skip: Whether to leave out images that cannot be used, and to note them in the shard.
        fps: Frame rate of videos that state none.
        tracks: Rows of each track (:meth:`~mmosnet.features.people.PersonList.tracks`), of which one row of features
            is made; by default each person is a row.
        pool: Way of pooling the images of a track (:func:`~mmosnet.features.tracks.pool_track`).
    """

    def __init__(
        self,
        people: PersonList,
        embedder: ImageEmbedder,
        folder: ExtractionFolder,
        batch_size: int = 64,
        workers: int = 1,
        skip: bool = False,
        fps: float | None = None,
        tracks: Sequence[np.ndarray] | None = None,
        pool: str = 'mean',
    ) -> None:
        self.people, self.embedder, self.folder = people, embedder, folder
        self.batch_size, self.workers, self.skip, self.fps = batch_size, workers, skip, fps
        self.tracks, self.pool = tracks, pool

    def rows(self, number: int) -> Sequence[int]:
        """Return the rows of the people in one shard, in the order of the list, so that videos are read forward."""
        units = self.folder.rows(number)
        if self.tracks is None:
            return range(len(self.people))[units]
        return np.sort(np.concatenate(self.tracks[units])).tolist()

    def run(self, part: Part, progress: ExtractionProgress) -> None:
        """Extract the missing shards of a part.

        Raises:
            DataError: An image cannot be used, the model gives numbers that are not finite, or another extraction has
                taken the folder.
            OSError: A shard cannot be written.
        """
        with PersonBatches(self.embedder.read_file, self.embedder.prepare, self.workers, self.fps) as batches:
            for number in range(part.number, len(self.folder.sizes), part.total):
                if self.folder.is_done(number):
                    progress.advance(len(self.rows(number)), was_there=True)
                    continue
                features, skipped = self._extract(batches, number, progress)
                self.folder.check_own()
                metadata: dict[str, object] = dict(extraction=self.folder.extraction, skipped=skipped)
                if self.tracks is not None:
                    # A track without some of its images is a row all the same.
                    metadata['left_out'] = self.folder.sizes[number] - len(features)
                write_shard(self.folder.shard(number), features, metadata)
                progress.written(number)

    def _extract(
        self, batches: PersonBatches, number: int, progress: ExtractionProgress
    ) -> tuple[Features, list[list[str]]]:
        """Return the features of one shard, and path and reason of each person left out."""
        people, rows = self.people, self.rows(number)
        reasons = {row: people.errors[row] for row in rows if row in people.errors}
        progress.advance(len(reasons))
        parts = self._parts(batches, [row for row in rows if row not in reasons], reasons, progress)
        if self.tracks is None:
            predictions: dict[int, Prediction] = {}
            for part in parts:
                predictions |= part
            features = self._features(predictions)
        else:
            # An empty part first: there may be no other.
            features = tracks_of(map(self._features, chain([{}], parts)), self.pool)
        return features, [[people.path[row], reasons[row]] for row in sorted(reasons)]

    def _parts(
        self, batches: PersonBatches, rows: Sequence[int], reasons: dict[int, str], progress: ExtractionProgress
    ) -> Iterator[dict[int, Prediction]]:
        """Yield the predictions of one batch after the other by row; note why others are left out in ``reasons``."""
        remaining = iter(rows)
        for items in batches.read([self.people.path[row] for row in rows], self.batch_size):
            predictions = {}
            for outcome, row in zip(self.embedder.predict_batch(items), remaining, strict=False):
                if isinstance(outcome, Exception):
                    reasons[row] = self._reason(row, outcome)
                else:
                    predictions[row] = outcome
            progress.advance(len(items))
            yield predictions

    def _features(self, predictions: Mapping[int, Prediction]) -> Features:
        """Return features of the rows that were predicted."""
        people, kept = self.people, list(predictions)
        embedding = np.array([one.embedding for one in predictions.values()], np.float32)
        return Features(
            embedding.reshape(len(kept), self.embedder.dimension),
            [people.path[row] for row in kept],
            people.pid[kept],
            people.camid[kept],
            people.time[kept],
            self.embedder.model,
            names={key: {number: name for name, number in numbers.items()} for key, numbers in people.names.items()},
            source=[people.source[row] for row in kept],
            track=[people.track[row] for row in kept],
            attributes=[one.attributes for one in predictions.values()],
        )

    def _reason(self, row: int, error: Exception) -> str:
        """Return why a person is left out.

        Raises:
            DataError: Nobody may be left out.
        """
        place, text = self.people.place[row], str(error)
        reason = f'{place}: {text}' if place and not text.startswith(place) else text
        if not self.skip:
            raise DataError(f'{reason}. --bad-images skip goes on without it') from error
        return reason

    def wait(self, say: Callable[[str], None], total: int = 1, seconds: float = 0) -> None:
        """Wait until other processes have written their shards too, and report how many are missing.

        Args:
            say: Called with each line for the user.
            total: Number of processes.
            seconds: Time that this process took for its own shards.

        Raises:
            DataError: No shard was written for much longer than one takes; names the processes whose shards are
                missing.
        """
        timeout = max(SHARD_TIMEOUT, TIMEOUT_SHARDS * seconds / max(1, len(self.folder.sizes) // total))
        number, last = 0, time.monotonic()
        while missing := self.folder.missing():
            if len(missing) != number:
                number, last = len(missing), time.monotonic()
                say(f'waiting for {number} shards of other processes')
            if time.monotonic() - last > timeout:
                owing = ', '.join(map(str, sorted({shard % total for shard in missing})))
                raise DataError(
                    f'no shard was written for {timeout:.0f} s; missing are {number} of the processes (RANK) {owing}, '
                    'which have stopped or are lost. Finished shards stay: the same command goes on with the others'
                )
            time.sleep(PAUSE)


def extraction_report(
    extraction: Extraction,
    progress: ExtractionProgress,
    left_out: Mapping[str, int],
    skipped: Sequence[Sequence[str]] | None,
) -> str:
    """Return a text about a finished or partial extraction.

    Args:
        extraction: The extraction.
        progress: Progress of this run.
        left_out: Number of entries of the inputs that were not requested, by description.
        skipped: Path and reason of each skipped image; None while shards are missing.
    """
    folder, embedder = extraction.folder, extraction.embedder
    people, total = len(extraction.people), len(folder.sizes)
    unit = 'people' if extraction.tracks is None else 'tracks'
    rows = []
    if skipped is None:
        done = total - len(folder.missing())
        rows.append(('shards', f'{done} of {total}; the others are those of other processes, or not begun'))
    else:
        if skipped or left_out:
            rows.append(('read', f'{people + sum(left_out.values()):,}'))
        if extraction.tracks is not None:
            rows.append(('tracks', f'{folder.count():,}, pooled by {extraction.pool}'))
        rows.append(('people', f'{people - len(skipped):,}' + ' images' * (extraction.tracks is not None)))
        if skipped:
            rows.append(('skipped', f'{len(skipped):,}, listed in {folder.path / SKIPPED}'))
            rows += [('', f'{path}: {reason}') for path, reason in skipped[:MOST_NAMED]]
        rows += [('left out', f'{count:,} {text}') for text, count in left_out.items()]
        rows.append(('shards', f'{total}, of up to {folder.shard_size:,} {unit}'))
    rows.append(('dimension', str(embedder.dimension)))
    rows.append(('model', f'{embedder.source} ({embedder.kind}), weights {embedder.model or "unknown"}'))
    before = f'; {progress.before:,} were there' if progress.before else ''
    speed = f'{progress.rate:.1f} images per second, {progress.done:,} in {progress.seconds:.0f} s{before}'
    rows += [('speed', speed), ('folder', str(folder.path))]
    return fact_table(rows)


def extract(
    people: PersonList,
    embedder: ImageEmbedder,
    out: str | Path,
    *,
    source: str | None = None,
    batch_size: int = 64,
    workers: int | None = None,
    shard_size: int = SHARD_SIZE,
    overwrite: bool = False,
    part: Part | None = None,
    wait: bool = False,
    cfg_options: list[str] | None = None,
    per: str = 'image',
    pool: str = 'mean',
) -> str:
    """Extract the features of people into a folder, or continue where an earlier call was interrupted.

    An image that cannot be used is an error; with ``people.options.skip`` it is left out and listed.

    Args:
        people: People that :func:`~mmosnet.features.sources.list_people` returned.
        embedder: The model: :class:`~mmosnet.features.embedder.ExportedEmbedder` for an exported file, or
            :class:`~mmosnet.apis.embedder.TorchEmbedder` for a config and a checkpoint.
        out: The folder.
        source: Place of the images, stored with each: path and source together identify an image in galleries. By
            default the name of this machine and, for relative paths, its working directory.
        batch_size: Images per forward pass. Default: 64.
        workers: Threads that read images; by default 2 for a model on the CPU, 8 otherwise.
        shard_size: People per file. Default: 10,000.
        overwrite: Whether to delete another extraction in the folder. Default: False.
        part: Shards that this process extracts; all of them by default.
        wait: Whether to wait for the processes that extract the other parts. Default: False.
        cfg_options: Overrides of the model's config, noted in ``extraction.json``: with other overrides it is another
            extraction.
        per: ``'image'`` (default), a row of features per person in an image; or ``'track'``, one per track, pooled from
            all its images (:func:`~mmosnet.features.tracks.tracks_of`). Shards hold whole tracks.
        pool: Way of pooling, ``'mean'`` (default), ``'max'`` or ``'quality'``; for tracks.

    Returns:
        A report for users, of several lines.

    Raises:
        DataError: An argument or an image cannot be used, no person is left, or the folder holds another extraction.
        OSError: The folder cannot be written.

    Example:
        >>> people = list_people(['crops'], ListingOptions(names='market1501'))
        >>> print(extract(people, ExportedEmbedder('osnet.onnx'), 'features'))
        >>> read_features('features').embedding.shape
        (1501, 512)
    """
    part = part or Part()
    need('pyarrow.parquet', 'gallery')
    for name, value in dict(batch_size=batch_size, workers=workers, shard_size=shard_size).items():
        if value is not None and value < 1:
            raise DataError(f'{name}={value}: give 1 or more')
    if per not in PER:
        raise DataError(f'per={per!r}: choose from {", ".join(PER)}')
    TrackPool(pool)
    tracks = people.tracks() if per == 'track' else None
    if tracks is not None and not any(people.track):
        raise DataError(
            f'{", ".join(people.inputs)}: nobody has a track, of which --per track could make rows: give --boxes with '
            'tracks, or a table with a column track'
        )
    facts = dict(
        version=__version__,
        # The file name identifies a model whose weights have no digest.
        model=embedder.model or embedder.source,
        kind=embedder.kind,
        preparation=embedder.preparation,
        source=embedder.source,
        dimension=embedder.dimension,
        inputs=people.inputs,
        images=len(people if tracks is None else tracks),
        people=people.digest(),
        names=people.names,
        origin=None if source is None else checked_name(source, '--source'),
        **dict(zip(BEGUN_ON, host_and_folder(), strict=True)),
        left_out=people.left_out,
        shard_size=shard_size,
        bad_images='skip' if people.options.skip else 'error',
        cfg_options=cfg_options,
        attributes=list(embedder.attributes) or None,
        **({} if tracks is None else dict(per=per, pool=pool)),
    )
    folder = ExtractionFolder(out, facts, overwrite)
    people.source = folder.sources(people.path)
    workers = workers or (CPU_WORKERS if embedder.on_cpu else GPU_WORKERS)
    options = people.options
    extraction = Extraction(people, embedder, folder, batch_size, workers, options.skip, options.fps, tracks, pool)
    own = sum(len(extraction.rows(number)) for number in range(part.number, len(folder.sizes), part.total))
    with ExtractionProgress(own, len(folder.sizes)) as progress:
        extraction.run(part, progress)
        progress.stop()
        if wait:
            extraction.wait(progress.say, part.total, progress.seconds)
    skipped = None if folder.missing() else folder.finish()
    if skipped is not None and len(skipped) == len(people):
        raise DataError(
            f'{folder.path}: no person is left, all {len(skipped):,} are in {folder.path / SKIPPED}; the first: '
            f'{skipped[0][1]}'
        )
    return extraction_report(extraction, progress, people.left_out, skipped)
