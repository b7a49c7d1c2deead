"""A folder of features: what is in it, what it was made from, what is still missing."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmosnet.errors import DataError
from mmosnet.features.feature_shards import SHARD, SUFFIX, read_facts, shard_name
from mmosnet.io.files import whole_file

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
