"""A folder of features: what is in it, what it was made from, what is still missing."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path

from mmosnet.errors import DataError
from mmosnet.features.feature_shards import SHARD, read_facts, shard_name

FACTS = 'extraction.json'
SKIPPED = 'skipped.csv'
# What must be equal for the folder to be gone on with, in words.
IDENTITY = dict(
    model='weights',
    kind='computation',
    images='number of people',
    people='people (images, boxes, identities, cameras or times)',
    shard_size='--shard-size',
    bad_images='--bad-images',
    cfg_options='--cfg-options',
)


class ExtractionFolder:
    """Shards of one extraction and ``extraction.json``, which says which one.

    Args:
        path: The folder; made if there is none.
        facts: The extraction: the keys of :data:`IDENTITY`, and whatever people may want to know.
        overwrite: Delete another extraction that is there; this one is gone on with all the same.

    Raises:
        DataError: Another extraction is there; says what differs.
    """

    def __init__(self, path: str | Path, facts: Mapping[str, object], overwrite: bool = False) -> None:
        self.path = Path(path)
        self.shard_size = facts['shard_size']
        self.sizes = _shard_sizes(facts['images'], self.shard_size)
        self.path.mkdir(parents=True, exist_ok=True)
        difference = self._difference(facts)
        if difference and not overwrite:
            raise DataError(f'{difference}. Name another --out, or start with --overwrite to delete what is there')
        if difference:
            self._clear()
        if not (self.path / FACTS).is_file():
            self._write(facts)

    def shard(self, number: int) -> Path:
        """The file of one shard."""
        return self.path / shard_name(number, len(self.sizes))

    def rows(self, number: int) -> slice:
        """The people of one shard."""
        start = self.shard_size * number
        return slice(start, start + self.sizes[number])

    def is_done(self, number: int) -> bool:
        """Whether a shard is there and whole."""
        path = self.shard(number)
        if not path.is_file():
            return False
        try:
            facts = read_facts(path)
        except DataError:
            # Of a disc that lost what it had confirmed: computed again.
            return False
        return facts['rows'] + len(facts.get('skipped', ())) == self.sizes[number]

    def missing(self) -> list[int]:
        """Shards that are not there yet."""
        return [number for number in range(len(self.sizes)) if not self.shard(number).is_file()]

    def finish(self) -> list[list[str]]:
        """List what was skipped, in ``skipped.csv`` too, once all shards are there.

        Returns:
            Path and reason of each.
        """
        skipped = [
            entry for number in range(len(self.sizes)) for entry in read_facts(self.shard(number)).get('skipped', ())
        ]
        for leftover in self.path.glob('.shard-*.tmp'):
            # Of processes that were killed while they wrote.
            leftover.unlink(missing_ok=True)
        if skipped:
            with (self.path / SKIPPED).open('w', newline='', encoding='utf-8', errors='surrogateescape') as file:
                csv.writer(file).writerows([['path', 'reason'], *skipped])
        return skipped

    def _difference(self, facts: Mapping) -> str:
        """Why what is in the folder is not this extraction; empty if it is, or nothing is there."""
        path = self.path / FACTS
        if not path.is_file():
            found = [file.name for file in self.path.iterdir() if SHARD.fullmatch(file.name)]
            return f'{self.path} holds {len(found)} shards and no {FACTS} that says what they are' if found else ''
        try:
            found = json.loads(path.read_text(encoding='utf-8'))
        except (ValueError, RecursionError) as e:
            return f'{path} is damaged ({e})'
        for key, name in IDENTITY.items():
            if not isinstance(found, dict) or found.get(key) != facts.get(key):
                value = found.get(key) if isinstance(found, dict) else found
                return f'{self.path} holds another extraction: {name} {value!r}, now {facts.get(key)!r}'
        return ''

    def _write(self, facts: Mapping[str, object]) -> None:
        """Wholly or not at all; processes that start at once all write the same."""
        temporary = self.path / f'.{FACTS}.{os.getpid()}.tmp'
        temporary.write_text(json.dumps(dict(facts, shards=len(self.sizes)), indent=1) + '\n', encoding='utf-8')
        temporary.replace(self.path / FACTS)

    def _clear(self) -> None:
        """Delete what an extraction writes, nothing else."""
        for file in list(self.path.iterdir()):
            if SHARD.fullmatch(file.name) or file.name in (FACTS, SKIPPED):
                file.unlink()


def _shard_sizes(number: int, size: int) -> list[int]:
    return [min(size, number - start) for start in range(0, number, size)]
