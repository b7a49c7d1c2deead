"""Features in Parquet files: one, or a folder of shards ``shard-00003-of-00012.parquet``. Needs NumPy and pyarrow."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mmosnet.errors import DataError, need
from mmosnet.features.features import NAMED, TYPES, Features, check_alike
from mmosnet.io.files import whole_file
from mmosnet.version import __version__

# Key of our metadata in a file's schema.
KEY = b'mmosnet'
SUFFIX = '.parquet'
SHARD = re.compile(r'shard-(\d{5,})-of-(\d{5,})\.parquet')
COLUMNS = ('path', *TYPES, 'embedding')
# Optional columns: names of people and cameras, and the source of each path.
NAMES = dict(pid='name', camid='camera')
OPTIONAL = (*NAMES.values(), 'source')
# File beside the shards that describes their extraction.
EXTRACTION = 'extraction.json'


def shard_name(number: int, total: int) -> str:
    """Return the file name of one shard, counted from 0."""
    return f'shard-{number:05d}-of-{total:05d}{SUFFIX}'


def write_shard(path: str | Path, features: Features, facts: Mapping[str, object] | None = None) -> Path:
    """Write a Parquet file completely or not at all.

    Columns ``path`` (string), ``pid`` and ``camid`` (int64), ``time`` (float64), ``embedding`` (list of D float32),
    and if there are any ``name`` and ``camera`` (string, null where there is only a number) and ``source`` (string).
    The schema's metadata has JSON under ``mmosnet``: ``version`` of mmosnet, ``dimension``, ``model``, ``stated_rows``,
    and SHA-256 digests of the rows (``contents``) and of the JSON without it (``digest``).

    Args:
        path: The file; its folder is made.
        features: Features to write; there may be none.
        facts: Further metadata, in JSON values.

    Raises:
        DataError: A path that is no Unicode text, or a number that is not finite in an embedding; names the row.
        OSError: The file cannot be written, as on a full disk.
    """
    pa, parquet = _pyarrow()
    path = Path(path)
    _check_rows(features, str(path))
    more: dict[str, list] = {NAMES[key]: _names_of_rows(features, key) for key in NAMED if features.names[key]}
    more |= dict(source=features.source) if any(features.source) else {}
    schema = pa.schema(
        [
            ('path', pa.string()),
            ('pid', pa.int64()),
            ('camid', pa.int64()),
            ('time', pa.float64()),
            ('embedding', pa.list_(pa.float32(), features.dimension)),
            *((name, pa.string()) for name in more),
        ],
        metadata={KEY: json.dumps(_facts(features, facts or {}))},
    )
    rows = pa.FixedSizeListArray.from_arrays(pa.array(features.embedding.reshape(-1)), features.dimension)
    columns = [features.path, *(getattr(features, name) for name in TYPES), rows, *more.values()]
    table = pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
    with whole_file(path) as draft, draft.open('wb') as file:
        # Numbers of embeddings do not repeat, and compress by a few per cent only.
        compression = dict.fromkeys((*COLUMNS, *more), 'ZSTD')
        del compression['embedding']
        compression['embedding.list.element'] = 'NONE'
        parquet.write_table(table, file, compression=compression, use_dictionary=False, write_page_checksum=True)
    return path


class FeatureShards:
    """The files of a folder, or one file, to be read one at a time.

    Args:
        path: A folder of ``*.parquet``, or one such file.

    Attributes:
        files: Files, sorted by name.

    Raises:
        FileNotFoundError: No such file or folder.
        DataError: A folder without such files, or with shards missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            self.files = sorted(file for file in self.path.glob(f'*{SUFFIX}') if not file.name.startswith('.'))
            self._check_folder()
        elif self.path.is_file():
            self.files = [self.path]
        else:
            raise FileNotFoundError(f'no folder or file of features {path}; `mmosnet extract` makes them')

    def __iter__(self) -> Iterator[Features]:
        """Read one file after the other.

        Raises:
            DataError: A file that is damaged, has other columns, or embeddings of another dimension or model.
        """
        first = None
        for file in self.files:
            features = read_shard(file)
            if first is None:
                first = features[:0]
            check_alike(first, features.dimension, features.model, f'{self.files[0].name} and {file}')
            yield features

    def _check_folder(self) -> None:
        if not self.files:
            raise DataError(f'{self.path} holds no {SUFFIX} file; `mmosnet extract` makes folders of them')
        found = [match for match in (SHARD.fullmatch(file.name) for file in self.files) if match]
        totals = {int(match[2]) for match in found}
        if len(totals) > 1:
            raise DataError(
                f'{self.path} holds shards of several extractions (of {" and of ".join(map(str, sorted(totals)))}): '
                'extract each into a folder of its own'
            )
        missing = sorted(set(range(max(totals, default=0))) - {int(match[1]) for match in found})
        if missing:
            raise DataError(
                f'{self.path}: {len(missing)} of {totals.pop()} shards are missing, the first '
                f'{shard_name(missing[0], len(missing) + len(found))}: start `mmosnet extract` again, it goes on where '
                'it was'
            )


def read_features(path: str | Path) -> Features:
    """Read a folder of shards, or one ``.parquet`` file, into memory: 2 KiB per person at 512 dimensions.

    Raises:
        FileNotFoundError: No such file or folder.
        DataError: A folder without such files or with shards missing, a file that is damaged or has other columns,
            or files with embeddings of unlike dimensions or models; names the file, and the row.
    """
    return Features.concat(list(FeatureShards(path)))


def read_shard(path: str | Path) -> Features:
    """Read one file; it raises the errors of :func:`read_features`."""
    pa, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            facts = _read_metadata(file.schema_arrow.metadata, path)
            _check_schema(pa, file.schema_arrow, facts, path)
            stated = file.metadata.num_rows
            columns = [*COLUMNS, *(name for name in OPTIONAL if name in file.schema_arrow.names)]
            table = file.read(columns=columns).combine_chunks()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:
        raise _damaged(path, e) from e
    for number in (stated, facts.get('stated_rows', stated)):
        if number != len(table):
            raise _damaged(path, f'{len(table)} rows, but it states {number}')
    for name in COLUMNS:
        if table[name].null_count:
            row = table[name].is_null().index(True).as_py()
            raise DataError(f'{path}, row {row}: {name} is empty; -1 stands for an unknown pid or camid')
    numbers = table['embedding'].combine_chunks().flatten()
    if numbers.null_count:
        row = numbers.is_null().index(True).as_py() // facts['dimension']
        raise DataError(f'{path}, row {row}: the embedding lacks a number: delete the file, and extract again')
    embedding = numbers.to_numpy().reshape(-1, facts['dimension'])
    columns = {name: table[name].to_numpy() for name in TYPES}
    try:
        columns |= _names_and_sources(pa, table, columns)
        if 'contents' not in facts:
            columns['names'] = _names_beside(Path(path)) | columns['names']
        features = Features(embedding, table['path'].to_pylist(), model=facts['model'], **columns)
    except DataError as e:
        raise DataError(f'{path}: {e}') from e
    _check_rows(features, str(path))
    if 'contents' in facts and facts['contents'] != _contents(features):
        raise _damaged(path, 'the rows are not those that were written')
    return features


def read_metadata(path: str | Path) -> dict:
    """Read a file's metadata without its rows: ``dimension``, ``model``, ``rows``, and what its writer added.

    Raises:
        DataError: Damaged, or no file of features.
    """
    pa, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            facts = _read_metadata(file.schema_arrow.metadata, path) | dict(rows=file.metadata.num_rows)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:
        raise _damaged(path, e) from e
    if facts.pop('stated_rows', facts['rows']) != facts['rows']:
        raise _damaged(path, f'{facts["rows"]} rows are not as many as were written')
    facts.pop('contents', None)
    return facts


def _names_and_sources(pa: ModuleType, table: Any, numbers: Mapping[str, np.ndarray]) -> dict:
    """Return names by number and the sources of rows, as arguments of :class:`Features`."""
    found: dict[str, Any] = dict(names={}, source='')
    for key, column in NAMES.items():
        if column in table.column_names:
            names = table[column].combine_chunks()
            rows = np.flatnonzero(names.is_valid().to_numpy(zero_copy_only=False))
            pairs = set(zip(numbers[key][rows].tolist(), names.take(pa.array(rows)).to_pylist(), strict=True))
            found['names'][key] = dict(pairs)
            if len(found['names'][key]) < len(pairs) or -1 in found['names'][key]:
                number, name = next(pair for pair in pairs if pair[0] == -1 or found['names'][key][pair[0]] != pair[1])
                raise DataError(f'{key} {number} has the {column} {name!r}, and another one or none is possible')
    if 'source' in table.column_names:
        found['source'] = table['source'].to_pylist()
    return found


def _names_beside(path: Path) -> dict[str, dict[int, str]]:
    """Read the names that an extraction by an older version stored beside its shards."""
    try:
        facts = json.loads((path.parent / EXTRACTION).read_text(encoding='utf-8')) if SHARD.fullmatch(path.name) else {}
        names = {key: {number: name for name, number in known.items()} for key, known in facts['names'].items()}
    except (FileNotFoundError, KeyError):
        return {}
    except (ValueError, AttributeError, TypeError, RecursionError) as e:
        raise DataError(f'{path.parent / EXTRACTION} is damaged ({e}): delete the folder, and extract again') from e
    return {key: found for key, found in names.items() if key in NAMES}


def _damaged(path: str | Path, error: Exception | str) -> Exception:
    """Convert an error by which pyarrow reports damage; a missing file stays the same error."""
    if isinstance(error, FileNotFoundError):
        return error
    return DataError(
        f'{path} is damaged or no Parquet file ({str(error).splitlines()[0]}): delete it, and extract again'
    )


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    return need('pyarrow', 'gallery'), need('pyarrow.parquet', 'gallery')


def _facts(features: Features, more: Mapping[str, object]) -> dict:
    facts = dict(version=__version__, dimension=features.dimension, model=features.model, **more)
    facts |= dict(stated_rows=len(features), contents=_contents(features))
    return facts | dict(digest=_digest(facts))


def _names_of_rows(features: Features, key: str) -> list[str | None]:
    return [features.names[key].get(number) for number in getattr(features, key).tolist()]


def _contents(features: Features) -> str:
    """Return the SHA-256 of all rows."""
    found = hashlib.sha256()
    for column in (features.embedding, features.pid, features.camid, features.time):
        found.update(np.ascontiguousarray(column, column.dtype.newbyteorder('<')).data)
    found.update(json.dumps([features.path, features.source, *map(_sorted, features.names.values())]).encode())
    return found.hexdigest()


def _sorted(names: Mapping[int, str]) -> list:
    return sorted(names.items())


def _digest(facts: Mapping[str, object]) -> str:
    """Return the SHA-256 of the metadata without the digest itself."""
    return hashlib.sha256(json.dumps({key: facts[key] for key in sorted(facts)}).encode()).hexdigest()


def _read_metadata(metadata: Mapping[bytes, bytes] | None, path: str | Path) -> dict:
    try:
        facts = json.loads((metadata or {}).get(KEY, b''))
    except (ValueError, RecursionError):
        facts = None
    if isinstance(facts, dict) and 'digest' in facts and facts.pop('digest') != _digest(facts):
        raise _damaged(path, 'the metadata are not those that were written')
    dimension = facts.get('dimension') if isinstance(facts, dict) else None
    if type(dimension) is not int or dimension < 1 or not isinstance(facts.get('model'), str):
        raise DataError(
            f"{path} has no metadata of mmosnet's: write it with `mmosnet extract` or mmosnet.features.write_shard"
        )
    return facts


def _check_schema(pa: ModuleType, schema: Any, facts: dict, path: str | Path) -> None:
    wanted = dict(path=pa.string(), pid=pa.int64(), camid=pa.int64(), time=pa.float64())
    wanted['embedding'] = pa.list_(pa.float32(), facts['dimension'])
    wanted |= {name: pa.string() for name in OPTIONAL if name in schema.names}
    for name, kind in wanted.items():
        if name not in schema.names:
            raise DataError(f'{path}: no column {name}; it has {", ".join(schema.names)}: delete it, and extract again')
        if schema.field(name).type != kind:
            raise DataError(
                f'{path}: column {name} is {schema.field(name).type}, not {kind}: delete it, and extract again'
            )


def _check_rows(features: Features, place: str) -> None:
    finite = np.isfinite(features.embedding).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        raise DataError(f'{place}, row {row} ({features.path[row]}): the embedding has numbers that are not finite')
    for row, path in enumerate(features.path):
        if not path.isascii() and path != path.encode('utf-8', 'replace').decode():
            raise DataError(f'{place}, row {row}: the name {path!a} is no Unicode text; rename the file')
