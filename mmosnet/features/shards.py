"""Read and write features in Parquet files: one file, or a folder of shards ``shard-00003-of-00012.parquet``."""

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
from mmosnet.features.features import NAME_COLUMNS, NAMED, TYPES, Features, check_alike
from mmosnet.io.files import whole_file
from mmosnet.version import __version__

# Key of our metadata in a file's schema.
KEY = b'mmosnet'
SUFFIX = '.parquet'
SHARD = re.compile(r'shard-(\d{5,})-of-(\d{5,})\.parquet')
COLUMNS = ('path', *TYPES, 'embedding')
# Optional columns: names of people and cameras, the source of each path, and those of tracks and attributes.
OPTIONAL = (*NAME_COLUMNS.values(), 'source', 'track', 'frames', 'attributes')
# What stands for an unknown value, for errors.
UNKNOWN = dict(
    pid='-1 stands for an unknown pid or camid',
    track='an empty text stands for a single image',
    frames='a single image has 1',
    attributes='an empty list stands for none',
)
# File beside the shards that describes their extraction.
EXTRACTION = 'extraction.json'


def shard_name(number: int, total: int) -> str:
    """Return the file name of one shard, counted from 0."""
    return f'shard-{number:05d}-of-{total:05d}{SUFFIX}'


def write_shard(path: str | Path, features: Features, facts: Mapping[str, object] | None = None) -> Path:
    """Write a Parquet file completely or not at all.

    The columns are ``path`` (string), ``pid`` and ``camid`` (int64), ``time`` (float64), ``embedding`` (list of D
    float32), and as far as known ``name`` and ``camera`` (string, null for unnamed ones), ``source`` and ``track``
    (string), ``frames`` (int64) and ``attributes`` (list of string). The schema's metadata has JSON under ``mmosnet``:
    ``version`` of mmosnet, ``dimension``, ``model``, ``stated_rows``, and SHA-256 digests of the rows (``contents``)
    and of the rest of the JSON (``digest``).

    Args:
        path: The file; its folder is created.
        features: Features to write; there may be no rows.
        facts: Further metadata, in JSON values; none by default.

    Raises:
        DataError: A path is no Unicode text, or a number in an embedding is not finite; names the row.
        OSError: The file cannot be written, as on a full disk.
    """
    pa, parquet = _pyarrow()
    path = Path(path)
    _check_rows(features, str(path))
    more: dict[str, list] = {
        NAME_COLUMNS[key]: [features.names[key].get(number) for number in getattr(features, key).tolist()]
        for key in NAMED
        if features.names[key]
    }
    more |= {name: getattr(features, name) for name in ('source', 'track') if any(getattr(features, name))}
    more |= dict(frames=features.frames) if (features.frames > 1).any() else {}
    more |= dict(attributes=features.attributes) if any(features.attributes) else {}
    schema = pa.schema(
        [
            ('path', pa.string()),
            ('pid', pa.int64()),
            ('camid', pa.int64()),
            ('time', pa.float64()),
            ('embedding', pa.list_(pa.float32(), features.dimension)),
            *((name, _optional_type(pa, name)) for name in more),
        ],
        metadata={KEY: json.dumps(_metadata(features, facts or {}))},
    )
    rows = pa.FixedSizeListArray.from_arrays(pa.array(features.embedding.reshape(-1)), features.dimension)
    columns = [features.path, *(getattr(features, name) for name in TYPES), rows, *more.values()]
    table = pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
    with whole_file(path) as draft, draft.open('wb') as file:
        # Embeddings would shrink by only a few percent.
        compression = dict.fromkeys((*COLUMNS, *more), 'ZSTD')
        del compression['embedding']
        compression['embedding.list.element'] = 'NONE'
        if compression.pop('attributes', ''):
            compression['attributes.list.element'] = 'ZSTD'
        parquet.write_table(table, file, compression=compression, use_dictionary=False, write_page_checksum=True)
    return path


class FeatureShards:
    """Features of a folder, or of one file, read one file at a time.

    Args:
        path: A folder of ``*.parquet``, or one such file.

    Attributes:
        files: Files, sorted by name.

    Raises:
        FileNotFoundError: No such file or folder.
        DataError: A folder without such files, or with missing shards.
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
            DataError: A file is damaged, or has other columns, or embeddings of another dimension or model.
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
        shards = [match for match in (SHARD.fullmatch(file.name) for file in self.files) if match]
        totals = {int(match[2]) for match in shards}
        if len(totals) > 1:
            raise DataError(
                f'{self.path} holds shards of several extractions (of {" and of ".join(map(str, sorted(totals)))}): '
                'extract each into a folder of its own'
            )
        missing = sorted(set(range(max(totals, default=0))) - {int(match[1]) for match in shards})
        if missing:
            raise DataError(
                f'{self.path}: {len(missing)} of {totals.pop()} shards are missing, the first '
                f'{shard_name(missing[0], len(missing) + len(shards))}: start `mmosnet extract` again, it goes on '
                'where it was'
            )


def read_features(path: str | Path) -> Features:
    """Read a folder of shards, or one ``.parquet`` file, into memory: 2 KiB per person at 512 dimensions.

    Raises:
        FileNotFoundError: No such file or folder.
        DataError: A folder without such files or with missing shards, a file that is damaged or has other columns,
            or embeddings of different dimensions or models; names the file, and the row.
    """
    return Features.concat(list(FeatureShards(path)))


def read_shard(path: str | Path) -> Features:
    """Read one file; its errors are those of :func:`read_features`."""
    pa, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            metadata = _read_metadata(file.schema_arrow.metadata, path)
            dimension = metadata['dimension']
            _check_schema(pa, file.schema_arrow, dimension, path)
            stated = file.metadata.num_rows
            columns = [*COLUMNS, *(name for name in OPTIONAL if name in file.schema_arrow.names)]
            table = file.read(columns=columns).combine_chunks()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:
        raise _damaged(path, e) from e
    for number in (stated, metadata.get('stated_rows', stated)):
        if number != len(table):
            raise _damaged(path, f'{len(table)} rows, but it states {number}')
    for name in (*COLUMNS, *(name for name in ('track', 'frames', 'attributes') if name in columns)):
        if table[name].null_count:
            row = table[name].is_null().index(True).as_py()
            raise DataError(f'{path}, row {row}: {name} is empty; {UNKNOWN.get(name, UNKNOWN["pid"])}')
    numbers = table['embedding'].combine_chunks().flatten()
    if numbers.null_count:
        row = numbers.is_null().index(True).as_py() // dimension
        raise DataError(f'{path}, row {row}: the embedding lacks a number: delete the file, and extract again')
    embedding = numbers.to_numpy().reshape(-1, dimension)
    columns = {name: table[name].to_numpy() for name in TYPES}
    try:
        columns |= _names_and_sources(pa, table, columns)
        columns |= {name: table[name].to_pylist() for name in ('track', 'attributes') if name in table.column_names}
        columns |= dict(frames=table['frames'].to_numpy()) if 'frames' in table.column_names else {}
        if 'contents' not in metadata:
            columns['names'] = _names_beside(Path(path)) | columns['names']
        features = Features(embedding, table['path'].to_pylist(), model=metadata['model'], **columns)
    except DataError as e:
        raise DataError(f'{path}: {e}') from e
    _check_rows(features, str(path))
    if 'contents' in metadata and metadata['contents'] != _contents(features):
        raise _damaged(path, 'the rows are not those that were written')
    return features


def read_metadata(path: str | Path) -> dict:
    """Read a file's metadata without its rows: ``dimension``, ``model``, ``rows``, and the ``facts`` of its writer.

    Raises:
        DataError: The file is damaged, or holds no features.
    """
    pa, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            metadata = _read_metadata(file.schema_arrow.metadata, path) | dict(rows=file.metadata.num_rows)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:
        raise _damaged(path, e) from e
    if metadata.pop('stated_rows', metadata['rows']) != metadata['rows']:
        raise _damaged(path, f'{metadata["rows"]} rows are not as many as were written')
    metadata.pop('contents', None)
    return metadata


def _names_and_sources(pa: ModuleType, table: Any, numbers: Mapping[str, np.ndarray]) -> dict:
    """Return names by number and the sources of rows, as arguments of :class:`Features`."""
    names: dict[str, dict[int, str]] = {}
    for key, column in NAME_COLUMNS.items():
        if column in table.column_names:
            texts = table[column].combine_chunks()
            rows = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
            pairs = set(zip(numbers[key][rows].tolist(), texts.take(pa.array(rows)).to_pylist(), strict=True))
            names[key] = dict(pairs)
            for number, name in pairs:
                if number == -1 or names[key][number] != name:
                    raise DataError(f'{key} {number} has the {column} {name!r}, and another one or none is possible')
    return dict(names=names, source=table['source'].to_pylist() if 'source' in table.column_names else '')


def _names_beside(path: Path) -> dict[str, dict[int, str]]:
    """Read the names that an extraction by an older version stored beside its shards."""
    try:
        facts = json.loads((path.parent / EXTRACTION).read_text(encoding='utf-8')) if SHARD.fullmatch(path.name) else {}
        names = {key: {number: name for name, number in known.items()} for key, known in facts['names'].items()}
    except (FileNotFoundError, KeyError):
        return {}
    except (ValueError, AttributeError, TypeError, RecursionError) as e:
        raise DataError(f'{path.parent / EXTRACTION} is damaged ({e}): delete the folder, and extract again') from e
    return {key: by_number for key, by_number in names.items() if key in NAME_COLUMNS}


def _damaged(path: str | Path, error: Exception | str) -> Exception:
    """Return the error for damage that pyarrow reports; a missing file keeps its own error."""
    if isinstance(error, FileNotFoundError):
        return error
    return DataError(
        f'{path} is damaged or no Parquet file ({str(error).splitlines()[0]}): delete it, and extract again'
    )


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    return need('pyarrow', 'gallery'), need('pyarrow.parquet', 'gallery')


def _metadata(features: Features, facts: Mapping[str, object]) -> dict:
    metadata = dict(version=__version__, dimension=features.dimension, model=features.model, **facts)
    metadata |= dict(stated_rows=len(features), contents=_contents(features))
    return metadata | dict(digest=_digest(metadata))


def _contents(features: Features) -> str:
    """Return the SHA-256 of all rows."""
    digest = hashlib.sha256()
    for column in (features.embedding, features.pid, features.camid, features.time):
        digest.update(np.ascontiguousarray(column, column.dtype.newbyteorder('<')).data)
    names = [sorted(by_number.items()) for by_number in features.names.values()]
    digest.update(json.dumps([features.path, features.source, *names]).encode())
    # Files without tracks and attributes keep the digest that older versions compute.
    if features.has_tracks:
        digest.update(json.dumps([features.track, features.frames.tolist(), features.attributes]).encode())
    return digest.hexdigest()


def _digest(metadata: Mapping[str, object]) -> str:
    """Return the SHA-256 of the metadata without the digest itself."""
    return hashlib.sha256(json.dumps({key: metadata[key] for key in sorted(metadata)}).encode()).hexdigest()


def _read_metadata(of_schema: Mapping[bytes, bytes] | None, path: str | Path) -> dict:
    try:
        metadata = json.loads((of_schema or {}).get(KEY, b''))
    except (ValueError, RecursionError):
        metadata = None
    if isinstance(metadata, dict) and 'digest' in metadata and metadata.pop('digest') != _digest(metadata):
        raise _damaged(path, 'the metadata are not those that were written')
    dimension = metadata.get('dimension') if isinstance(metadata, dict) else None
    if type(dimension) is not int or dimension < 1 or not isinstance(metadata.get('model'), str):
        raise DataError(
            f"{path} has no metadata of mmosnet's: write it with `mmosnet extract` or mmosnet.features.write_shard"
        )
    return metadata


def _check_schema(pa: ModuleType, schema: Any, dimension: int, path: str | Path) -> None:
    types = dict(path=pa.string(), pid=pa.int64(), camid=pa.int64(), time=pa.float64())
    types['embedding'] = pa.list_(pa.float32(), dimension)
    types |= {name: _optional_type(pa, name) for name in OPTIONAL if name in schema.names}
    for name, expected in types.items():
        if name not in schema.names:
            raise DataError(f'{path}: no column {name}; it has {", ".join(schema.names)}: delete it, and extract again')
        if schema.field(name).type != expected:
            raise DataError(
                f'{path}: column {name} is {schema.field(name).type}, not {expected}: delete it, and extract again'
            )


def _optional_type(pa: ModuleType, name: str) -> Any:
    """Return the type of an optional column."""
    return dict(frames=pa.int64(), attributes=pa.list_(pa.string())).get(name, pa.string())


def _check_rows(features: Features, place: str) -> None:
    finite = np.isfinite(features.embedding).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        raise DataError(f'{place}, row {row} ({features.path[row]}): the embedding has numbers that are not finite')
    for row, path in enumerate(features.path):
        if not path.isascii() and path != path.encode('utf-8', 'replace').decode():
            raise DataError(f'{place}, row {row}: the name {path!a} is no Unicode text; rename the file')
