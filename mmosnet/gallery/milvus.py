"""A gallery in Milvus, a distributed vector database: embedded from a file, or on a server or cluster.

``NAME.db`` is Milvus Lite in this process, ``http(s)://HOST:PORT`` a server; ``#COLLECTION`` at the end names the
collection, ``mmosnet`` by default. A server's token (or ``USER:PASSWORD``) is read from the environment variable
``MMOSNET_MILVUS_TOKEN``.

Milvus Lite 3 is a separate implementation in Python that speaks the server's protocol. It is meant for trials and
tests; larger galleries on one machine are better kept by FAISS.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features import Features
from mmosnet.features.features import NAME_COLUMNS
from mmosnet.gallery.base import Gallery, register_back_end
from mmosnet.gallery.milvus_connection import MilvusAddress, connect, disconnect, keeps_milvus, milvus_errors, retried
from mmosnet.gallery.settings import FIELDS, VERSION, GallerySettings, Record, RecordFilter
from mmosnet.gallery.vectors import SPARE, distances

if TYPE_CHECKING:
    from pymilvus import MilvusClient

# All records. Unlike an empty expression it needs no limit.
EVERYTHING = 'id >= 0'
# Most ids per expression; longer lists take several.
MOST_IDS = 10_000
INT64 = range(-(2**63), 2**63)
# Fields that collections of version 1 lack; empty texts if unknown. And those that collections of version 2 lack.
TEXTS = (*NAME_COLUMNS.values(), 'source')
TRACK_FIELDS = ('track', 'frames', 'attributes')
METRICS = dict(cosine='COSINE', euclidean='L2')
# The collection's property that holds the settings.
PROPERTY = 'mmosnet'
# The property that lists the keys, 'pid' and 'camid', with names: names of other keys need not be searched for.
NAMED_PROPERTY = 'mmosnet.named'
# Seconds for which names that were read remain valid for searches.
NAMES_SECONDS = 30.0
# Limits of Milvus: bytes per text; images per query.
MOST_TEXT = 65_535
MOST_RESULTS = 16_384
# Most attributes of a person, and bytes of a name of one: any numbers that Milvus takes.
MOST_ATTRIBUTES, MOST_ATTRIBUTE_TEXT = 1024, 1024
# Bytes per message; servers take 64 MiB.
MESSAGE = 2**24
# Seconds that any other call may take.
TIMEOUT = 300.0
# Candidates by product quantization per image of the result; exact distances decide among them.
CANDIDATES = 10
LISTS = 1024
# Parameters of a search in the whole index: all lists, and the largest value that Milvus takes.
WIDEST = dict(ivfpq=dict(nprobe=LISTS), hnsw=dict(ef=32_768))
# Milvus Lite holds the differences of all queries and all embeddings of a segment, 0.2 GB per query.
EMBEDDED_EUCLIDEAN_QUERIES = 4

# Milvus Lite breaks when two threads write to a collection.
_lock = threading.RLock()


def milvus_expressions(where: RecordFilter) -> list[str]:
    """Return boolean expressions that together select the records that meet all conditions.

    They consist of numbers, and of names of tracks and attributes as JSON texts, which quote what would end a text:
    Milvus Lite has no parameters for expressions.

    Args:
        where: The conditions.

    Returns:
        No expression if no record can meet the conditions; one that selects everything if there are no conditions;
        several, which share no record, if there are many ids.
    """
    if any(values == () for values in (where.ids, where.pids, where.camids, where.tracks)):
        return []
    terms = [f'{name} in {_list(values)}' for name, values in (('pid', where.pids), ('camid', where.camids)) if values]
    if where.not_camids:
        terms.append(f'camid not in {_list(where.not_camids)}')
    terms += _times(where)
    if where.tracks:
        terms.append(f'track in {json.dumps(where.tracks, ensure_ascii=False)}')
    if where.attributes:
        terms.append(f'array_contains_all(attributes, {json.dumps(where.attributes, ensure_ascii=False)})')
    if where.ids is None:
        return [' and '.join(terms) or EVERYTHING]
    return [' and '.join([f'id in {_list(part)}', *terms]) for part in _parts(sorted(set(where.ids)))]


def _times(where: RecordFilter) -> list[str]:
    # Comparisons with null are never true: a record without a time meets no condition. Infinity has no literal.
    terms = []
    for sign, limit in (('>=', where.after), ('<', where.before)):
        if limit is not None and math.isfinite(limit):
            terms.append(f'time {sign} {limit!r}')
        elif limit is not None:
            met = (limit < 0) == (sign == '>=')
            terms.append('time is not null' if met else 'id < 0')
    return terms


def _parts(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), MOST_IDS):
        yield ids[start : start + MOST_IDS]


def _list(numbers: Iterable[int]) -> str:
    # Milvus cannot read numbers beyond int64, and no record has one.
    return str([int(number) for number in numbers if number in INT64])


@register_back_end
class MilvusGallery(Gallery):
    """A gallery in a collection of Milvus; see :class:`~mmosnet.gallery.Gallery`.

    The server assigns the ids, so that several machines may enroll at once. Ids ascend within a call, and from call to
    call as long as one machine enrolls. Distances are computed here from the embeddings that the server returns: they
    are exact with every index and do not depend on the server's version.

    Names are a field of each image. The numbers of names are read from all images before images of named people are
    enrolled, and Milvus has no transactions: two machines that enroll new names at the same time may assign one number
    to two names. Operations that need numbers then raise an error that says which names these are.
    """

    def __init__(self, uri: str, settings: GallerySettings, address: MilvusAddress, client: MilvusClient) -> None:
        super().__init__(uri, settings)
        self.address = address
        self._client: MilvusClient | None = client
        self._cached_names: dict[str, tuple[float, dict[int, str]]] = {}
        self._fields = (*TEXTS, *TRACK_FIELDS)
        self._named: set[str] = set()
        self._learn(self._call('describe_collection'))

    @staticmethod
    def keeps(uri: str) -> bool:
        """Return whether the place is that of a file ``NAME.db`` or of a server."""
        return keeps_milvus(uri)

    @classmethod
    def _create(cls, uri: str, settings: GallerySettings) -> MilvusGallery:
        address, settings = MilvusAddress.of(uri), replace(settings, version=VERSION)
        if address.is_embedded and settings.index == 'ivfpq':
            raise DataError(f"{uri}: Milvus Lite has no product quantization: index='hnsw', or a Milvus server")
        with _connected(address) as client:
            if client.has_collection(address.collection):
                raise FileExistsError(f'there is a collection {address.collection} in {address.place} already')
            index = client.prepare_index_params()
            index.add_index('embedding', metric_type=METRICS[settings.distance], **_index(settings))
            client.create_collection(
                address.collection,
                schema=_schema(client, settings.dimension),
                index_params=index,
                consistency_level='Strong',
                properties={PROPERTY: settings.to_json()},
                timeout=TIMEOUT,
            )
            return cls(uri, settings, address, client)

    @classmethod
    def _open(cls, uri: str) -> MilvusGallery:
        address = MilvusAddress.of(uri)
        if address.is_embedded and not address.path.exists():
            raise FileNotFoundError(f'no gallery {uri}: create it with `mmosnet gallery create`')
        with _connected(address) as client:
            if not client.has_collection(address.collection):
                others = ', '.join(sorted(client.list_collections())) or 'none'
                raise FileNotFoundError(f'no collection {address.collection} in {address.place}; there are: {others}')
            settings = _settings(retried(lambda: client.describe_collection(address.collection)), uri)
            retried(lambda: client.load_collection(address.collection, timeout=TIMEOUT))
            return cls(uri, settings, address, client)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _lock:
            # Another process may have changed the settings or the names.
            self._learn(self._call('describe_collection'))
            self._cached_names.clear()
            try:
                yield
            finally:
                self._cached_names.clear()

    def _learn(self, collection: dict) -> None:
        """Read the description of a collection."""
        self.settings = _settings(collection, self.uri)
        fields = {field['name'] for field in collection['fields']}
        self._fields = tuple(name for name in (*TEXTS, *TRACK_FIELDS) if name in fields)
        self._named = set(collection['properties'].get(NAMED_PROPERTY, '').split())

    def __len__(self) -> int:
        return self._count(EVERYTHING)

    def ids(self) -> np.ndarray:
        return np.sort(np.fromiter((row['id'] for row in self._rows('id')), np.int64))

    def identities(self) -> tuple[np.ndarray, np.ndarray]:
        rows = sorted((row['id'], row['pid']) for row in self._rows('id', 'pid'))
        ids, pids = np.array(rows, np.int64).reshape(-1, 2).T
        return ids, pids

    def pids(self) -> dict[int, int]:
        return dict(sorted(Counter(row['pid'] for row in self._rows('pid')).items()))

    def compact(self) -> None:
        with self._writing():
            self._call('flush')
            self._call('compact')

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            disconnect(client, self.address)

    def _discard(self) -> None:
        self._call('drop_collection')
        self.close()

    def _append(self, embedding: np.ndarray, features: Features, settings: GallerySettings) -> np.ndarray:
        sizes = _checked_sizes(features) + embedding[0].nbytes
        named = {key for key in NAME_COLUMNS if features.names[key]}
        lacking = [
            text
            for name, text, needed in (
                ('source', 'people had names and images sources', named or any(features.source)),
                ('track', 'there were tracks and attributes', features.has_tracks),
            )
            if needed and name not in self._fields
        ]
        if lacking:
            raise DataError(
                f'{self.uri}: this collection was made before {lacking[0]}: '
                f'`mmosnet gallery export {self.uri} FOLDER`, and create another one with the features there'
            )
        self._announce(named)
        ids: list[int] = []
        try:
            # One message after the other.
            for rows in np.split(np.arange(len(sizes)), np.flatnonzero(np.diff(np.cumsum(sizes) // MESSAGE)) + 1):
                ids += self._send('insert', [_row(embedding, features, row, self._fields) for row in rows])
            if settings != self.settings:
                self._save_settings(settings)
        except BaseException as e:
            try:
                for expression in milvus_expressions(RecordFilter.of(ids=ids)):
                    self._call('delete', filter=expression)
            except DataError as still:
                raise DataError(f'{e}; {len(ids)} images sent before are still there ({still})') from e
            raise
        return np.array(ids, np.int64)

    def _delete(self, where: RecordFilter) -> int:
        if where.tracks is not None and 'track' not in self._fields:
            return 0
        deleted = 0
        for expression in milvus_expressions(where):
            # The answer to delete is the number of ids, the ids or nothing, depending on the version.
            deleted += self._count(expression)
            self._call('delete', filter=expression)
        return deleted

    def _announce(self, named: set[str]) -> None:
        """Note the keys that have names before these are sent, so that no reader misses them."""
        if named - self._named:
            self._named |= named
            self._call('alter_collection_properties', properties={NAMED_PROPERTY: ' '.join(sorted(self._named))})

    def _relabel(self, ids: Sequence[int], pid: int, name: str) -> None:
        if name and 'name' not in self._fields:
            raise DataError(f'{self.uri}: this collection was made before people had names: create another one')
        self._announce({'pid'} if name else set())
        changes = dict(pid=pid, **({NAME_COLUMNS['pid']: name} if 'name' in self._fields else {}))
        rows = [dict(row, **changes) for row in self._by_id(ids, ('embedding', *FIELDS, *self._fields))]
        for row in rows:
            row |= dict(attributes=list(row['attributes'])) if 'attributes' in row else {}
        # One message after the other; in one message, old and new rows change places at once.
        at_once = max(1, MESSAGE // (4 * self.dimension + 4 * MOST_TEXT))
        for start in range(0, len(rows), at_once):
            self._send('upsert', rows[start : start + at_once])

    def _rename(self, pid: int, name: str, ids: Sequence[int]) -> None:
        self._relabel(ids, pid, name)

    def _nearest(self, embedding: np.ndarray, top_k: int, where: RecordFilter) -> list[list[tuple[Record, float]]]:
        if top_k > MOST_RESULTS:
            raise DataError(f'top_k={top_k}: Milvus finds at most {MOST_RESULTS}')
        expressions = milvus_expressions(where)
        if not expressions:
            return [[] for _ in embedding]
        candidates = top_k * CANDIDATES if self.settings.index == 'ivfpq' else top_k
        candidates = min(candidates + SPARE, MOST_RESULTS)
        at_once = max(1, MESSAGE // (candidates * embedding[0].nbytes))
        if self.address.is_embedded and self.distance == 'euclidean':
            at_once = min(at_once, EMBEDDED_EUCLIDEAN_QUERIES)
        nearest: list[list[tuple[Record, float]]] = []
        for start in range(0, len(embedding), at_once):
            queries = embedding[start : start + at_once]
            expression = '' if where.is_empty else expressions[0]
            results = self._search(queries, candidates, expression, _search_params(self.settings, candidates))
            fewest = min(map(len, results))
            if self.settings.index != 'exact' and fewest < top_k and fewest < self._count(expressions[0]):
                # The index looked where too few images meet the conditions.
                results = self._search(queries, candidates, expression, WIDEST[self.settings.index])
            nearest += [self._ranked(query, hits)[:top_k] for query, hits in zip(queries, results, strict=True)]
        return nearest

    def _search(self, queries: np.ndarray, candidates: int, expression: str, parameters: dict) -> list:
        return self._call(
            'search',
            data=list(queries),
            anns_field='embedding',
            limit=candidates,
            filter=expression,
            output_fields=['embedding', *FIELDS, *self._fields],
            search_params=dict(params=parameters),
            consistency_level='Strong',
        )

    def _ranked(self, query: np.ndarray, hits: Sequence[dict]) -> list[tuple[Record, float]]:
        """Return records and exact distances, sorted by distance, equally near records by id."""
        if not len(hits):
            return []
        embeddings = np.array([hit['entity']['embedding'] for hit in hits], np.float32)
        pairs = zip(hits, distances(query, embeddings, self.distance).tolist(), strict=True)
        ranked = [(_record({**hit['entity'], 'id': hit['id']}), distance) for hit, distance in pairs]
        return sorted(ranked, key=lambda pair: (pair[1], pair[0].id))

    def _records(self, ids: Sequence[int]) -> list[Record]:
        return [_record(row) for row in self._by_id(ids, (*FIELDS, *self._fields))]

    def _known_paths(self, paths: Sequence[str]) -> set[tuple[str, str, str]]:
        # All paths: an expression for some would contain a user's text.
        fields = [name for name in ('source', 'track') if name in self._fields]
        return {(row['path'], row.get('source', ''), row.get('track', '')) for row in self._rows('path', *fields)}

    def _count_pooled(self) -> int:
        return self._count('frames > 1') if 'frames' in self._fields else 0

    def _refresh(self) -> None:
        self._learn(self._call('describe_collection'))

    def _names(self, key: str) -> dict[int, str]:
        if key not in self._named:
            self._learn(self._call('describe_collection'))
        if key not in self._named:
            return {}
        read, names = self._cached_names.get(key, (-math.inf, {}))
        if time.monotonic() - read > NAMES_SECONDS:
            names = {}
            for row in self._rows(key, NAME_COLUMNS[key]):
                number, name = row[key], row[NAME_COLUMNS[key]]
                if name and names.setdefault(number, name) != name:
                    raise DataError(
                        f'{self.uri}: {key} {number} is {names[number]!r} and {name!r}: two machines have enrolled at '
                        "the same time. Delete one's images by their --id, and enroll them again"
                    )
            names = dict(sorted(names.items()))
            self._cached_names[key] = (time.monotonic(), names)
        return dict(names)

    def _used(self, key: str) -> set[int]:
        return {row[key] for row in self._rows(key)}

    def _embeddings(self, ids: Sequence[int]) -> np.ndarray:
        embeddings = {row['id']: row['embedding'] for row in self._by_id(ids, ('id', 'embedding'))}
        self._require(ids, embeddings)
        return np.array([embeddings[id] for id in ids], np.float32).reshape(len(ids), self.dimension)

    def _save_settings(self, settings: GallerySettings) -> None:
        self._call('alter_collection_properties', properties={PROPERTY: settings.to_json()})
        self.settings = settings

    def _more_info(self) -> dict:
        server = self._retried(lambda: self._client.get_server_version())
        return dict(kind='Milvus', server=server, collection=self.address.collection)

    def _by_id(self, ids: Sequence[int], fields: Sequence[str]) -> Iterator[dict]:
        at_once = max(1, MESSAGE // (4 * self.dimension + 1024))
        for start in range(0, len(ids), at_once):
            for expression in milvus_expressions(RecordFilter.of(ids=ids[start : start + at_once])):
                yield from self._call('query', filter=expression, output_fields=list(fields))

    def _rows(self, *fields: str) -> Iterator[dict]:
        """Return some fields of all records, in any order."""
        if self.address.is_embedded:
            # Milvus Lite would read all records for each batch of an iterator.
            yield from self._call('query', filter=EVERYTHING, output_fields=list(fields))
            return

        def read() -> list[dict]:
            rows: list[dict] = []
            iterator = self._client.query_iterator(
                self.address.collection,
                batch_size=MOST_RESULTS,
                filter=EVERYTHING,
                output_fields=list(fields),
                timeout=TIMEOUT,
            )
            while batch := iterator.next():
                rows += batch
            iterator.close()
            return rows

        yield from self._retried(read)

    def _count(self, expression: str) -> int:
        return self._call('query', filter=expression, output_fields=['count(*)'])[0]['count(*)']

    def _call(self, name: str, **arguments: Any) -> Any:
        """Call a method of the client for this collection."""
        return self._retried(lambda: getattr(self._client, name)(self.address.collection, timeout=TIMEOUT, **arguments))

    def _send(self, method: str, rows: list[dict]) -> list[int]:
        """Send rows by the client's ``insert`` or ``upsert``, but never twice."""
        from pymilvus.exceptions import MilvusException

        def send() -> list[int]:
            try:
                # With a timeout pymilvus would send the rows again after the connection has ended.
                answer = getattr(self._client, method)(self.address.collection, data=rows, timeout=None, retry_times=0)
            except MilvusException as e:
                if getattr(e.code, 'name', '') == 'UNAVAILABLE' and 'failed to connect' not in e.message:
                    raise DataError(
                        f'{self.uri}: the connection ended while {len(rows)} images were sent, which may be there or '
                        'not: `mmosnet gallery enroll` again leaves out those that are'
                    ) from e
                raise
            return list(answer['ids'])

        return self._retried(send, once=True)

    def _retried(self, call: Callable[[], Any], once: bool = False) -> Any:
        if self._client is None:
            raise DataError(f'{self.uri}: this gallery is closed')
        with milvus_errors(self.uri):
            return retried(call, self._load, once)

    def _load(self) -> None:
        """Load the collection, as a restarted server may require."""
        self._client.load_collection(self.address.collection, timeout=TIMEOUT)


@contextmanager
def _connected(address: MilvusAddress) -> Iterator[MilvusClient]:
    """Yield a connection; close it if an error prevents the gallery from using it."""
    client = connect(address)
    try:
        with milvus_errors(address.place):
            yield client
    except BaseException:
        disconnect(client, address)
        raise


def _settings(collection: dict, uri: str) -> GallerySettings:
    if PROPERTY not in collection['properties']:
        raise DataError(f'{uri}: a collection, but none that mmosnet made: name another one with #NAME')
    return GallerySettings.from_json(collection['properties'][PROPERTY], uri)


def _schema(client: MilvusClient, dimension: int) -> Any:
    from pymilvus import DataType

    schema = client.create_schema(auto_id=True, enable_dynamic_field=False)
    schema.add_field('id', DataType.INT64, is_primary=True)
    schema.add_field('embedding', DataType.FLOAT_VECTOR, dim=dimension)
    schema.add_field('path', DataType.VARCHAR, max_length=MOST_TEXT)
    schema.add_field('pid', DataType.INT64)
    schema.add_field('camid', DataType.INT64)
    # Null where unknown: Milvus has no NaN.
    schema.add_field('time', DataType.DOUBLE, nullable=True)
    for name in TEXTS:
        schema.add_field(name, DataType.VARCHAR, max_length=MOST_TEXT)
    types = dict(
        track=dict(datatype=DataType.VARCHAR, max_length=MOST_TEXT),
        frames=dict(datatype=DataType.INT64),
        attributes=dict(
            datatype=DataType.ARRAY,
            element_type=DataType.VARCHAR,
            max_capacity=MOST_ATTRIBUTES,
            max_length=MOST_ATTRIBUTE_TEXT,
        ),
    )
    for name in TRACK_FIELDS:
        schema.add_field(name, **types[name])
    return schema


def _index(settings: GallerySettings) -> dict:
    if settings.index == 'hnsw':
        return dict(index_type='HNSW', params=dict(M=32, efConstruction=200))
    if settings.index == 'ivfpq':
        # One byte per four numbers or so; the parts must be equally long.
        parts = next(n for n in range(max(1, settings.dimension // 4), 0, -1) if settings.dimension % n == 0)
        return dict(index_type='IVF_PQ', params=dict(nlist=LISTS, m=parts, nbits=8))
    return dict(index_type='FLAT', params={})


def _search_params(settings: GallerySettings, candidates: int) -> dict:
    if settings.index == 'hnsw':
        # At least the number of candidates; the recall in docs/gallery.md was measured with 128.
        return dict(ef=max(candidates, 128))
    return dict(nprobe=64) if settings.index == 'ivfpq' else {}


def _row(embedding: np.ndarray, features: Features, row: int, fields: Sequence[str]) -> dict:
    time = features.time[row].item()
    values: dict[str, Any] = {
        name: features.names[key].get(getattr(features, key)[row].item(), '') for key, name in NAME_COLUMNS.items()
    }
    values |= dict(source=features.source[row], track=features.track[row], frames=features.frames[row].item())
    values['attributes'] = list(features.attributes[row])
    return dict(
        {name: values[name] for name in fields},
        embedding=embedding[row],
        path=features.path[row],
        pid=features.pid[row].item(),
        camid=features.camid[row].item(),
        time=None if math.isnan(time) else time,
    )


def _record(row: dict) -> Record:
    time = math.nan if row['time'] is None else row['time']
    texts = {name: row.get(name, '') for name in TEXTS}
    pooled = dict(track=row.get('track', ''), frames=row.get('frames', 1), attributes=tuple(row.get('attributes', ())))
    return Record(row['id'], row['path'], row['pid'], row['camid'], time, **texts, **pooled)


def _checked_sizes(features: Features) -> np.ndarray:
    """Return the size in bytes of each row's texts, ``(N,)``.

    Raises:
        DataError: A path or a time that Milvus cannot hold; names the row.
    """
    texts = dict(path=features.path, source=features.source, track=features.track)
    columns = {
        name: np.array([len(text.encode(errors='replace')) for text in column]) for name, column in texts.items()
    }
    for name, sizes in columns.items():
        if sizes.max() > MOST_TEXT:
            row = int(sizes.argmax())
            raise DataError(
                f'features: row {row}: a {name} of {sizes[row]} bytes; Milvus holds {MOST_TEXT}: shorten it'
            )
    for key in NAME_COLUMNS:
        for name in features.names[key].values():
            if len(name.encode()) > MOST_TEXT:
                raise DataError(f'features: {key} {name[:60]!r}...: Milvus holds {MOST_TEXT} bytes: shorten it')
    for names in set(features.attributes):
        for name in names:
            if len(name.encode()) > MOST_ATTRIBUTE_TEXT or len(names) > MOST_ATTRIBUTES:
                raise DataError(
                    f'features: attribute {name[:60]!r}, one of {len(names)}: Milvus holds {MOST_ATTRIBUTES} names of '
                    f'{MOST_ATTRIBUTE_TEXT} bytes'
                )
    infinite = np.flatnonzero(np.isinf(features.time))
    if len(infinite):
        raise DataError(f'features: row {infinite[0]}: time is infinite: give seconds, or nan if it is unknown')
    columns['attributes'] = np.array([sum(len(name.encode()) for name in names) for names in features.attributes])
    return np.sum(list(columns.values()), axis=0)
