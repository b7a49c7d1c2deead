"""Extract features.

How far an extraction is: a bar in a terminal, a line per shard in a log.

A folder of features: what is in it, what it was made from, what is still missing.

What an extraction made, as text.

From a list of people to shards of features; interrupted, it goes on with the first shard that is not there.

From people to a folder of features: the whole extraction in one call.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mmosnet.drawing.tables import fact_table
from mmosnet.errors import DataError, need
from mmosnet.features.batches import PersonBatches
from mmosnet.features.embedder import Embedder
from mmosnet.features.features import Features, checked_name
from mmosnet.features.people import PersonList
from mmosnet.features.shards import SHARD, SUFFIX, read_facts, shard_name, write_shard
from mmosnet.io.files import whole_file
from mmosnet.progress import ProgressBar
from mmosnet.version import __version__


class ExtractionProgress:
    """Shows progress on stderr, and counts.

    Args:
        total: People of this process.
        shards: Shards of the whole extraction.

    Attributes:
        done: People extracted in this run.
        before: People of shards that were there already.
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
        """Return the seconds from the start to the end, or to now."""
        return (self._end or time.perf_counter()) - self._start

    @property
    def rate(self) -> float:
        """Return the people per second in this run."""
        return self.done / self.seconds

    def advance(self, number: int, was_there: bool = False) -> None:
        """Count people.

        Args:
            number: How many there are.
            was_there: Whether an earlier run has extracted them.
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
        """Write a line to a log; a terminal has the bar."""
        self._bar.say(text)

    def __enter__(self) -> ExtractionProgress:
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.__exit__(kind, error, traceback)


FACTS = 'extraction.json'
SKIPPED = 'skipped.csv'
# What must be equal for the folder to be gone on with, in words.
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
)
# Facts of the machine that began: others that share the work, or go on with it elsewhere, write the same sources.
BEGUN_ON = ('host', 'cwd')
# Characters of a value that are shown.
LONGEST = 300


class ExtractionFolder:
    """Shards of one extraction and ``extraction.json``, which says which one.

    Args:
        path: The folder; made if there is none.
        facts: The extraction: the keys of :data:`IDENTITY`, ``bad_images``, and whatever people may want to know.
        overwrite: Delete another extraction that is there; this one is gone on with all the same.

    Attributes:
        extraction: Digest of :data:`IDENTITY`'s facts, in the metadata of each shard: shards of another extraction,
            which has run in the same folder, are made anew.

    Raises:
        DataError: Another extraction is there, or files that would be read with it; says what differs.
        OSError: The folder cannot be made or written.
    """

    def __init__(self, path: str | Path, facts: Mapping[str, Any], overwrite: bool = False) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise DataError(f'{path} is a file: --out takes a folder')
        self.shard_size = facts['shard_size']
        self.sizes = _shard_sizes(facts['images'], self.shard_size)
        # As they are read again.
        self._facts = json.loads(json.dumps(dict(facts)))
        known = json.dumps([self._facts.get(key) for key in IDENTITY], sort_keys=True)
        self.extraction = hashlib.sha256(known.encode()).hexdigest()[:16]
        self.path.mkdir(parents=True, exist_ok=True)
        difference = self._difference()
        self._check_others(bool(difference))
        if difference and not overwrite:
            raise DataError(f'{difference}. Name another --out, or start with --overwrite to delete what is there')
        if difference:
            self._clear()
        stored = self._stored() or {}
        self._facts |= {key: stored[key] for key in BEGUN_ON if key in stored}
        if self._stored() != self._facts | dict(shards=len(self.sizes)):
            self._write()

    def sources(self, paths: Sequence[str]) -> list[str]:
        """Return the source of each image: ``--source``, or the host and, for relative paths, the directory.

        Sources tell equal paths apart.
        """
        origin, host, folder = (self._facts.get(key) for key in ('origin', *BEGUN_ON))
        if origin is not None:
            return [origin] * len(paths)
        return [host if os.path.isabs(path) else f'{host}:{folder}' for path in paths]

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
            facts = read_facts(path)
        except DataError:
            # The disk lost what it had confirmed: the shard is computed again.
            return False
        there = facts['rows'] + len(facts.get('skipped', ()))
        return facts.get('extraction') == self.extraction and there == self.sizes[number]

    def missing(self) -> list[int]:
        """Return the shards that do not exist yet."""
        return [number for number in range(len(self.sizes)) if not self.shard(number).is_file()]

    def check_own(self) -> None:
        """Check that no other extraction has taken over the folder since this one began.

        Raises:
            DataError: One has; says what differs.
        """
        difference = self._difference()
        if difference or not (self.path / FACTS).is_file():
            raise DataError(
                f'{difference or f"{self.path / FACTS} is gone"}: another process has taken the folder since this one '
                'began. Name another --out for one of them'
            )

    def finish(self) -> list[list[str]]:
        """Return the list of skipped images, and write it to ``skipped.csv``, once all shards exist.

        Returns:
            Path and reason of each.

        Raises:
            DataError: A shard is damaged, or of another extraction.
            OSError: The list cannot be written.
        """
        skipped = []
        for number in range(len(self.sizes)):
            if not self.is_done(number):
                raise DataError(
                    f'{self.shard(number)} is damaged, or another process wrote it: the same command makes it anew'
                )
            skipped += read_facts(self.shard(number)).get('skipped', ())
        if skipped:
            with (
                whole_file(self.path / SKIPPED) as draft,
                draft.open('w', newline='', encoding='utf-8', errors='surrogateescape') as file,
            ):
                csv.writer(file).writerows([['path', 'reason'], *skipped])
        return skipped

    def _stored(self) -> Any:
        """Return the content of ``extraction.json``; None where there is none."""
        try:
            return json.loads((self.path / FACTS).read_text(encoding='utf-8'))
        except FileNotFoundError:
            return None

    def _check_others(self, is_other: bool) -> None:
        """Refuse files that would be read with the features, except shards of another extraction."""
        own = {self.shard(number).name for number in range(len(self.sizes))}
        for file in sorted(self.path.glob(f'*{SUFFIX}')):
            if file.name not in own and not file.name.startswith('.') and not (is_other and SHARD.fullmatch(file.name)):
                raise DataError(
                    f'{self.path} holds {file.name}, which is not of this extraction and would be read with its '
                    'features: name another --out, or move the file'
                )

    def _difference(self) -> str:
        """Return how the folder's extraction differs from this one; empty if it does not."""
        path = self.path / FACTS
        if not path.is_file():
            found = [file.name for file in self.path.iterdir() if SHARD.fullmatch(file.name)]
            if found:
                return f'{self.path} holds {len(found)} shards and no {FACTS} that says what they are'
            if (self.path / SKIPPED).exists():
                return f'{self.path} holds a file {SKIPPED} that is of no extraction, and would be overwritten'
            return ''
        try:
            found = self._stored()
        except (ValueError, RecursionError) as e:
            return f'{path} is damaged ({e})'
        if not isinstance(found, dict):
            return f'{path} is damaged (it holds no object)'
        differences = [
            f'{name} {_shown(found.get(key, "unknown"), self._facts.get(key))}'
            for key, name in IDENTITY.items()
            if found.get(key) != self._facts.get(key)
        ]
        if differences:
            return (
                f'{self.path} holds another extraction: {"; ".join(differences)}. --batch-size, --workers, --device, '
                '--shard and --bad-images may change, the rest may not'
            )
        skipped = self._number_skipped() if self._strict(found) else 0
        if skipped:
            return (
                f'{self.path} holds another extraction: --bad-images {found.get("bad_images")!r}, now '
                f'{self._facts.get("bad_images")!r}, and {skipped} people are left out there already'
            )
        return ''

    def _strict(self, found: Mapping) -> bool:
        return found.get('bad_images') == 'skip' and self._facts.get('bad_images') != 'skip'

    def _number_skipped(self) -> int:
        done = filter(self.is_done, range(len(self.sizes)))
        return sum(len(read_facts(self.shard(number)).get('skipped', ())) for number in done)

    def _write(self) -> None:
        """Write ``extraction.json``; processes that start together all write the same content."""
        with whole_file(self.path / FACTS) as draft:
            facts = self._facts | dict(shards=len(self.sizes))
            draft.write_text(json.dumps(facts, indent=1) + '\n', encoding='utf-8')

    def _clear(self) -> None:
        """Delete what an extraction writes and nothing else, ``extraction.json`` last."""
        found = [file for file in self.path.iterdir() if SHARD.fullmatch(file.name)]
        for file in (*found, self.path / SKIPPED, self.path / FACTS):
            file.unlink(missing_ok=True)


def _shown(stored: object, given: object) -> str:
    """Show two values that differ; of long ones the surroundings of the first difference."""
    texts = [repr(stored), repr(given)]
    if max(map(len, texts)) > LONGEST:
        unlike = (place for place, (a, b) in enumerate(zip(*texts, strict=False)) if a != b)
        start = max(0, next(unlike, 0) - LONGEST // 4)
        texts = ['...' * bool(start) + text[start : start + LONGEST // 2] + '...' for text in texts]
    return f'{texts[0]}, now {texts[1]}'


def _shard_sizes(number: int, size: int) -> list[int]:
    return [min(size, number - start) for start in range(0, number, size)]


# Skipped images that are named.
MOST_NAMED = 5


def extraction_report(
    folder: ExtractionFolder,
    embedder: Embedder,
    progress: ExtractionProgress,
    left_out: Mapping[str, int] | None = None,
) -> str:
    """Lay out a finished or partial extraction; ``skipped.csv`` is written when it is finished.

    Args:
        folder: Folder of the features.
        embedder: The model.
        progress: Progress of this run.
        left_out: Number of entries of the inputs that were not requested, by kind.

    Returns:
        The lines, joined.
    """
    missing = folder.missing()
    people, total = sum(folder.sizes), len(folder.sizes)
    left_out = left_out or {}
    rows = []
    if missing:
        rows.append(
            ('shards', f'{total - len(missing)} of {total}; the others are those of other processes, or not begun')
        )
    else:
        skipped = folder.finish()
        if skipped or left_out:
            rows.append(('read', f'{people + sum(left_out.values()):,}'))
        rows.append(('people', f'{people - len(skipped):,}'))
        if skipped:
            rows.append(('skipped', f'{len(skipped):,}, listed in {folder.path / SKIPPED}'))
            rows += [('', f'{path}: {reason}') for path, reason in skipped[:MOST_NAMED]]
        rows += [('left out', f'{count:,} {text}') for text, count in left_out.items()]
        rows.append(('shards', f'{total}, of up to {folder.shard_size:,} people'))
    rows.append(('dimension', str(embedder.dimension)))
    rows.append(('model', f'{embedder.source} ({embedder.kind}), weights {embedder.model or "unknown"}'))
    there = f'; {progress.before:,} were there' if progress.before else ''
    speed = f'{progress.rate:.1f} images a second, {progress.done:,} in {progress.seconds:.0f} s{there}'
    rows += [('speed', speed), ('folder', str(folder.path))]
    return fact_table(rows)


# Seconds between looks at what other processes have finished.
PAUSE = 1.0
# Seconds without a new shard after which the other processes are given up, at least; and in times of an own shard.
PATIENCE, MUCH_LONGER = 3600.0, 10


@dataclass(frozen=True)
class Part:
    """Which shards this process extracts: ``number``, ``number + total`` and so on."""

    number: int = 0
    total: int = 1


class Extraction:
    """Extracts the shards of one process. Processes need no connection, only the same folder.

    Every shard is computed by itself, in batches that do not reach into the next: whatever the interruptions and the
    number of processes, the numbers are the same.

    Args:
        people: All of them, the same in every process.
        embedder: The model.
        folder: Folder of the shards.
        batch_size: Images that the model gets at once.
        workers: Threads that read images.
        skip: Leave out images that cannot be used, and note them in the shard.
        fps: Frames a second of videos that state none.
    """

    def __init__(
        self,
        people: PersonList,
        embedder: Embedder,
        folder: ExtractionFolder,
        batch_size: int = 64,
        workers: int = 1,
        skip: bool = False,
        fps: float | None = None,
    ) -> None:
        self.people, self.embedder, self.folder = people, embedder, folder
        self.batch_size, self.workers, self.skip, self.fps = batch_size, workers, skip, fps

    def run(self, part: Part, progress: ExtractionProgress) -> None:
        """Extract what is missing of a part.

        Raises:
            DataError: An image cannot be used, the model gives numbers that are not finite, or another extraction has
                taken the folder.
            OSError: A shard cannot be written.
        """
        with PersonBatches(self.embedder.read_file, self.embedder.prepare, self.workers, self.fps) as batches:
            for number in range(part.number, len(self.folder.sizes), part.total):
                if self.folder.is_done(number):
                    progress.advance(self.folder.sizes[number], was_there=True)
                    continue
                features, skipped = self._extract(batches, number, progress)
                self.folder.check_own()
                facts = dict(extraction=self.folder.extraction, skipped=skipped)
                write_shard(self.folder.shard(number), features, facts)
                progress.written(number)

    def wait(self, say: Callable[[str], None], total: int = 1, seconds: float = 0) -> None:
        """Wait until other processes have written their shards too, and report how many are missing.

        Args:
            say: Takes a line for the user.
            total: Number of processes.
            seconds: Time that this process took for its own shards.

        Raises:
            DataError: No shard was written for much longer than one takes; names the processes that owe some.
        """
        patience = max(PATIENCE, MUCH_LONGER * seconds / max(1, len(self.folder.sizes) // total))
        number, last = 0, time.monotonic()
        while missing := self.folder.missing():
            if len(missing) != number:
                number, last = len(missing), time.monotonic()
                say(f'waiting for {number} shards of other processes')
            if time.monotonic() - last > patience:
                owing = ', '.join(map(str, sorted({shard % total for shard in missing})))
                raise DataError(
                    f'no shard was written for {patience:.0f} s; missing are {number} of the processes (RANK) {owing}, '
                    'which have stopped or are lost. Finished shards stay: the same command goes on with the others'
                )
            time.sleep(PAUSE)

    def _extract(
        self, batches: PersonBatches, number: int, progress: ExtractionProgress
    ) -> tuple[Features, list[list[str]]]:
        """Return the features of one shard, and path and reason of each person left out."""
        rows = self.folder.rows(number)
        paths = self.people.path[rows]
        faulty = {row - rows.start: text for row, text in self.people.errors.items() if rows.start <= row < rows.stop}
        wanted = [row for row in range(len(paths)) if row not in faulty]
        embedding = np.empty((len(paths), self.embedder.dimension), np.float32)
        done = 0
        for items in batches.read([paths[row] for row in wanted], self.batch_size):
            for row, outcome in zip(wanted[done : done + len(items)], self._embedded(items), strict=True):
                if isinstance(outcome, Exception):
                    place = self.people.place[rows.start + row]
                    text = str(outcome)
                    faulty[row] = f'{place}: {text}' if place and not text.startswith(place) else text
                    if not self.skip:
                        raise DataError(f'{faulty[row]}. --bad-images skip goes on without it') from outcome
                else:
                    embedding[row] = outcome
            done += len(items)
            progress.advance(len(items))
        progress.advance(len(paths) - len(wanted))
        kept = [row for row in range(len(paths)) if row not in faulty]
        features = Features(
            embedding[kept],
            [paths[row] for row in kept],
            self.people.pid[rows][kept],
            self.people.camid[rows][kept],
            self.people.time[rows][kept],
            self.embedder.model,
            names={key: {number: name for name, number in found.items()} for key, found in self.people.names.items()},
            source=[self.people.source[rows.start + row] for row in kept],
        )
        return features, [[paths[row], faulty[row]] for row in sorted(faulty)]

    def _embedded(self, items: list[Any]) -> list[np.ndarray | DataError]:
        """Return the embeddings of a batch; errors among the items are passed through."""
        outcomes = list(items)
        good = [place for place, item in enumerate(items) if not isinstance(item, Exception)]
        if good:
            for place, outcome in zip(good, self.embedder.embed([items[place] for place in good]), strict=True):
                outcomes[place] = outcome
        return outcomes


SHARD_SIZE = 10_000
# Threads that read images. A CPU is busy with the model.
CPU_WORKERS, GPU_WORKERS = 2, 8


def extract(
    people: PersonList,
    embedder: Embedder,
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
) -> str:
    """Extract the features of people into a folder, or go on where an earlier call was interrupted.

    Images that cannot be used are an error, or left out and listed, as ``people.options.skip`` says.

    Args:
        people: See :func:`~mmosnet.features.sources.list_people`.
        embedder: The model: :class:`~mmosnet.features.embedder.ExportedEmbedder` for an exported file, or
            :class:`~mmosnet.apis.embedder.TorchEmbedder` for a config and a checkpoint.
        out: The folder.
        source: Where the images are, stored with each: a path and its source identify an image in galleries. By
            default the name of this machine and, for relative paths, its working directory.
        batch_size: Images that the model gets at once.
        workers: Threads that read images; by default 2 for a model on the CPU, 8 otherwise.
        shard_size: People per file.
        overwrite: Delete the features of another extraction in the folder.
        part: The part of the shards that this process extracts; all of them by default.
        wait: Wait until the processes that extract the other parts have finished too.
        cfg_options: Overrides of the model's config, noted in ``extraction.json``: features that were extracted with
            others are another extraction.

    Returns:
        A report for people, of several lines.

    Raises:
        DataError: An argument that cannot be used, an image that cannot be read, or a folder that holds another
            extraction.
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
    facts = dict(
        version=__version__,
        # The file stands for a model whose weights are unknown.
        model=embedder.model or embedder.source,
        kind=embedder.kind,
        preparation=embedder.preparation,
        source=embedder.source,
        dimension=embedder.dimension,
        inputs=people.inputs,
        images=len(people),
        people=people.digest(),
        names=people.names,
        origin=None if source is None else checked_name(source, '--source'),
        host=platform.node(),
        # A name that is no Unicode text is written with its bytes.
        cwd=os.fsencode(os.getcwd()).decode('utf-8', 'backslashreplace'),
        left_out=people.left_out,
        shard_size=shard_size,
        bad_images='skip' if people.options.skip else 'error',
        cfg_options=cfg_options,
    )
    folder = ExtractionFolder(out, facts, overwrite)
    people.source = folder.sources(people.path)
    workers = workers or (CPU_WORKERS if embedder.on_cpu else GPU_WORKERS)
    options = people.options
    extraction = Extraction(people, embedder, folder, batch_size, workers, options.skip, options.fps)
    own = sum(folder.sizes[part.number :: part.total])
    with ExtractionProgress(own, len(folder.sizes)) as progress:
        extraction.run(part, progress)
        progress.stop()
        if wait:
            extraction.wait(progress.say, part.total, progress.seconds)
    text = extraction_report(folder, embedder, progress, people.left_out)
    skipped = [] if folder.missing() else folder.finish()
    if len(skipped) == len(people):
        raise DataError(
            f'{folder.path}: nobody is left, all {len(skipped):,} are in {folder.path / SKIPPED}; the first: '
            f'{skipped[0][1]}'
        )
    return text
