"""Features in Parquet files: one, or a folder of shards ``shard-00003-of-00012.parquet``. Needs NumPy and pyarrow."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features.features import TYPES, Features, check_alike
from mmosnet.optional_package import need
from mmosnet.version import __version__

# Of the metadata in a file's schema.
KEY = b'mmosnet'
SUFFIX = '.parquet'
SHARD = re.compile(r'shard-(\d{5,})-of-(\d{5,})\.parquet')
COLUMNS = ('path', *TYPES, 'embedding')


def shard_name(number: int, total: int) -> str:
    """The file of one shard, counted from 0."""
    return f'shard-{number:05d}-of-{total:05d}{SUFFIX}'


def write_shard(path: str | Path, features: Features, facts: Mapping[str, object] | None = None) -> Path:
    """Write a Parquet file: complete under its name, or not at all.

    Columns ``path`` (string), ``pid`` and ``camid`` (int64), ``time`` (float64), ``embedding`` (list of D float32). The
    schema's metadata has JSON under ``mmosnet``: ``version`` of mmosnet, ``dimension``, ``model``.

    Args:
        path: The file; its folder is made.
        features: What to write; may have no rows.
        facts: More for the metadata, in values that JSON has.

    Raises:
        DataError: A path that is no Unicode text, or a number that is not finite in an embedding; names the row.
        OSError: The file cannot be written, as on a full disc.
    """
    pa, parquet = _pyarrow()
    path = Path(path)
    _check_rows(features, str(path))
    schema = pa.schema(
        [
            ('path', pa.string()),
            ('pid', pa.int64()),
            ('camid', pa.int64()),
            ('time', pa.float64()),
            ('embedding', pa.list_(pa.float32(), features.dimension)),
        ],
        metadata={KEY: json.dumps(_facts(features) | dict(facts or {}))},
    )
    rows = pa.FixedSizeListArray.from_arrays(pa.array(features.embedding.reshape(-1)), features.dimension)
    columns = [features.path, *(getattr(features, name) for name in TYPES), rows]
    table = pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name a process: two machines that write one shard do not write into each other's file.
    temporary = path.with_name(f'.{path.name}.{platform.node()}.{os.getpid()}.tmp')
    try:
        with temporary.open('wb') as file:
            # Numbers of embeddings do not repeat, and compress by a few per cent only.
            compression = {name: 'NONE' if name == 'embedding' else 'ZSTD' for name in COLUMNS}
            compression['embedding.list.element'] = compression.pop('embedding')
            parquet.write_table(table, file, compression=compression, use_dictionary=False, write_page_checksum=True)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


class FeatureShards:
    """The files of a folder, or one file, to be read one at a time.

    Args:
        path: A folder of ``*.parquet``, or one such file.

    Attributes:
        files: In order of their names.

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
            raise FileNotFoundError(f'no folder or file of features {path}; tools/extract.py makes them')

    def __iter__(self) -> Iterator[Features]:
        """Read a file after the other.

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
            raise DataError(f'{self.path} holds no {SUFFIX} file; tools/extract.py makes folders of them')
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
                f'{shard_name(missing[0], len(missing) + len(found))}: start tools/extract.py again, it goes on where '
                'it was'
            )


def read_features(path: str | Path) -> Features:
    """Read a folder of shards, or one ``.parquet`` file, into memory: about 2 KiB a person of 512 dimensions.

    Raises:
        FileNotFoundError: No such file or folder.
        DataError: A folder without such files or with shards missing, a file that is damaged or has other columns,
            or files with embeddings of unlike dimensions or models; names the file, and the row.
    """
    return Features.concat(list(FeatureShards(path)))


def read_shard(path: str | Path) -> Features:
    """Read one file; errors of :func:`read_features`."""
    pa, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            facts = _read_facts(file.schema_arrow.metadata, path)
            _check_schema(pa, file.schema_arrow, facts, path)
            table = file.read(columns=list(COLUMNS)).combine_chunks()
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as e:
        raise _damaged(path, e) from e
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
    features = Features(embedding, table['path'].to_pylist(), model=facts['model'], **columns)
    _check_rows(features, str(path))
    return features


def read_facts(path: str | Path) -> dict:
    """The metadata of a file, without its rows: ``dimension``, ``model``, ``rows`` and what the writer added.

    Raises:
        DataError: Damaged, or no file of features.
    """
    pa, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            return _read_facts(file.schema_arrow.metadata, path) | dict(rows=file.metadata.num_rows)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as e:
        raise _damaged(path, e) from e


def _damaged(path: str | Path, error: Exception) -> Exception:
    """What to tell of an error by which pyarrow reports damage; that a file is missing stays as it is."""
    if isinstance(error, FileNotFoundError):
        return error
    return DataError(
        f'{path} is damaged or no Parquet file ({str(error).splitlines()[0]}): delete it, and extract again'
    )


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    return need('pyarrow', 'gallery'), need('pyarrow.parquet', 'gallery')


def _facts(features: Features) -> dict:
    return dict(version=__version__, dimension=features.dimension, model=features.model)


def _read_facts(metadata: Mapping[bytes, bytes] | None, path: str | Path) -> dict:
    try:
        facts = json.loads((metadata or {}).get(KEY, b''))
    except (ValueError, RecursionError):
        facts = None
    dimension = facts.get('dimension') if isinstance(facts, dict) else None
    if type(dimension) is not int or dimension < 1 or not isinstance(facts.get('model'), str):
        raise DataError(
            f"{path} has no metadata of mmosnet's: write it with tools/extract.py or mmosnet.features.write_shard"
        )
    return facts


def _check_schema(pa: ModuleType, schema: object, facts: dict, path: str | Path) -> None:
    wanted = dict(path=pa.string(), pid=pa.int64(), camid=pa.int64(), time=pa.float64())
    wanted['embedding'] = pa.list_(pa.float32(), facts['dimension'])
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
