from __future__ import annotations

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmosnet.errors import DataError
from mmosnet.features import Features, FeatureShards, read_features, write_shard
from mmosnet.features.shards import read_metadata, shard_name
from mmosnet.version import __version__
from tests.features.test_features import features


def random_features(number=5, dimension=4, model='0123456789abcdef', seed=0):
    random = np.random.RandomState(seed)
    return Features(
        random.randn(number, dimension),
        [f'door/übergang {row}.jpg#xywh=1,2,3,4' for row in range(number)],
        random.randint(-1, 9, number),
        random.randint(-1, 3, number),
        [np.nan, *random.rand(number - 1)] if number else [],
        model,
    )


def assert_equal(found, expected):
    for name in ('embedding', 'pid', 'camid', 'time'):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert getattr(found, name).dtype == getattr(expected, name).dtype
    assert (found.path, found.model) == (expected.path, expected.model)


def test_a_file_gives_back_what_was_written(tmp_path):
    path = write_shard(tmp_path / 'new' / 'a.parquet', random_features(), dict(skipped=[['x.jpg', 'damaged']]))
    assert_equal(read_features(path), random_features())
    assert read_metadata(path) == dict(
        version=__version__, dimension=4, model='0123456789abcdef', skipped=[['x.jpg', 'damaged']], rows=5
    )
    # Equal features give equal files: nothing of when and where is in them.
    assert write_shard(
        tmp_path / 'b.parquet', random_features(), dict(skipped=[['x.jpg', 'damaged']])
    ).read_bytes() == (path.read_bytes())


def test_others_can_read_it(tmp_path):
    path = write_shard(tmp_path / 'a.parquet', random_features())
    table = pq.read_table(path)
    assert table.schema.names == ['path', 'pid', 'camid', 'time', 'embedding']
    assert table.schema.field('embedding').type == pa.list_(pa.float32(), 4)
    assert json.loads(table.schema.metadata[b'mmosnet'])['dimension'] == 4
    np.testing.assert_array_equal(np.array(table['embedding'].to_pylist(), np.float32), random_features().embedding)
    assert table['path'].to_pylist() == random_features().path


def test_a_folder_is_read_in_order(tmp_path):
    parts = [random_features(3, seed=1), random_features(0), random_features(2, seed=2)]
    for number in (2, 0, 1):
        write_shard(tmp_path / shard_name(number, 3), parts[number])
    # Of a process that was killed while it wrote.
    (tmp_path / '.shard-00001-of-00003.parquet.host.1.tmp').write_bytes(b'PAR1')
    assert_equal(read_features(tmp_path), Features.concat(parts))
    assert [len(part) for part in FeatureShards(tmp_path)] == [3, 0, 2]


def test_what_does_not_belong_together(tmp_path):
    write_shard(tmp_path / 'a.parquet', features())
    write_shard(tmp_path / 'b.parquet', features(dimension=2))
    with pytest.raises(DataError, match=r'a.parquet and .*b.parquet: .*3 and 2'):
        read_features(tmp_path)
    write_shard(tmp_path / 'b.parquet', features(model='b'))
    with pytest.raises(DataError, match=r"b.parquet: .*'a' and 'b'"):
        read_features(tmp_path)


def test_folders_that_are_not_whole(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no folder or file of features .*none'):
        read_features(tmp_path / 'none')
    with pytest.raises(DataError, match=r'holds no .parquet file'):
        read_features(tmp_path)
    for number in (0, 2):
        write_shard(tmp_path / shard_name(number, 4), features())
    with pytest.raises(DataError, match=r'2 of 4 shards.*shard-00001-of-00004.parquet'):
        read_features(tmp_path)
    write_shard(tmp_path / shard_name(0, 3), features())
    with pytest.raises(DataError, match=r'of 3 and of 4'):
        read_features(tmp_path)


@pytest.mark.parametrize('damage', ['empty', 'cut', 'text', 'middle', 'one bit'])
def test_damaged_files(tmp_path, damage):
    path = write_shard(tmp_path / 'a.parquet', random_features(200, 16))
    content = path.read_bytes()
    embedding = content.index(random_features(200, 16).embedding[7].tobytes())
    flipped = content[:embedding] + bytes([content[embedding] ^ 1]) + content[embedding + 1 :]
    damaged = dict(empty=b'', cut=content[:-20], text=b'path,pid\n', middle=content[:200] + content[300:])
    damaged['one bit'] = flipped
    path.write_bytes(damaged[damage])
    with pytest.raises(DataError, match=r'a.parquet is damaged'):
        read_features(path)


def test_damaged_footers(tmp_path):
    path = write_shard(tmp_path / 'a.parquet', random_features(20, 4))
    content = path.read_bytes()
    length = int.from_bytes(content[-8:-4], 'little')
    path.write_bytes(content[: -8 - length] + bytes(length) + content[-8:])
    for read in (read_metadata, read_features):
        with pytest.raises(DataError, match=r'a.parquet is damaged.*delete it'):
            read(path)


def table_of(**changed):
    columns = dict(
        path=pa.array(['a', 'b']),
        pid=pa.array([1, 2]),
        camid=pa.array([0, 1]),
        time=pa.array([0.5, 1.5]),
        embedding=pa.array([[1, 2], [3, 4]], pa.list_(pa.float32(), 2)),
    )
    return {name: column for name, column in (columns | changed).items() if column is not None}


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        (dict(), ''),
        (dict(pid=None), 'no column pid; it has path, camid, time, embedding'),
        (dict(embedding=pa.array([[1, 2], [3, 4]])), 'column embedding is list<.*>, not fixed_size_list'),
        (dict(pid=pa.array(['1', '2'])), 'column pid is string, not int64'),
        (dict(camid=pa.array([0, None])), 'row 1: camid is empty; -1 stands for an unknown'),
        # pyarrow before 26 does not read such a file.
        (dict(embedding=pa.array([[1, 2], None], pa.list_(pa.float32(), 2))), '(row 1: embedding is empty|had size=0)'),
        (dict(embedding=pa.array([[1, 2], [3, None]], pa.list_(pa.float32(), 2))), 'row 1: the embedding lacks'),
        (
            dict(embedding=pa.array([[1, 2], [np.nan, 4]], pa.list_(pa.float32(), 2))),
            r'row 1 \(b\): the embedding has numbers that are not finite',
        ),
    ],
)
def test_files_of_others(tmp_path, changed, message):
    table = pa.table(table_of(**changed)).replace_schema_metadata({'mmosnet': '{"dimension": 2, "model": ""}'})
    pq.write_table(table, tmp_path / 'a.parquet')
    if not message:
        assert read_features(tmp_path).embedding.tolist() == [[1, 2], [3, 4]]
        return
    with pytest.raises(DataError, match=rf'a.parquet.*{message}'):
        read_features(tmp_path)


@pytest.mark.parametrize('metadata', [None, '[]', '{', '{"dimension": 0, "model": ""}', '{"dimension": 2}'])
def test_files_without_our_metadata(tmp_path, metadata):
    table = pa.table(table_of()).replace_schema_metadata(None if metadata is None else {'mmosnet': metadata})
    pq.write_table(table, tmp_path / 'a.parquet')
    with pytest.raises(DataError, match=r"no metadata of mmosnet's"):
        read_features(tmp_path)


def test_features_that_cannot_be_written(tmp_path):
    wrong = features()
    wrong.embedding[2, 1] = np.inf
    with pytest.raises(DataError, match=r'a.parquet, row 2 \(2.jpg\).*not finite'):
        write_shard(tmp_path / 'a.parquet', wrong)
    unnamed = features()
    unnamed.path[1] = os.fsdecode(b'caf\xe9.jpg')
    with pytest.raises(DataError, match=r"row 1: .*'caf\\udce9.jpg'.*rename"):
        write_shard(tmp_path / 'a.parquet', unnamed)
    assert not list(tmp_path.iterdir())


def test_a_full_disc_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_shard(tmp_path / 'a.parquet', features())

    def full(file):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match=r'No space left'):
        write_shard(path, features(9))
    assert len(read_features(path)) == 4 and [file.name for file in tmp_path.iterdir()] == ['a.parquet']


def named_features(number=60, source='edge'):
    found = random_features(number)
    names = np.array(['anna', 'bob', 'Zoë 日本', 7], object)
    pid, camid = names[np.arange(number) % 4], names[np.arange(number) % 3]
    return Features(found.embedding, found.path, pid, camid, found.time, found.model, source=source)


def test_names_and_sources_are_kept(tmp_path):
    features = named_features(5)
    features.source[3] = ''
    path = write_shard(tmp_path / 'a.parquet', features)
    found = read_features(path)
    assert found == features and found.names == features.names and found.pid.tolist() == features.pid.tolist()
    table = pq.read_table(path)
    assert table['name'].to_pylist() == ['anna', 'bob', 'Zoë 日本', None, 'anna']
    assert table['camera'].to_pylist()[:3] == ['anna', 'bob', 'Zoë 日本'] and table['source'][4].as_py() == 'edge'
    # Two files with the same names mean the same people, whatever the numbers in them.
    write_shard(tmp_path / 'b.parquet', features[[2, 1]])
    both = read_features(tmp_path)
    assert [both.labels('pid')[number] for number in both.pid.tolist()] == [
        'anna', 'bob', 'Zoë 日本', '7', 'anna', 'Zoë 日本', 'bob',
    ]  # fmt: skip


def test_names_that_an_older_extraction_noted_beside_its_shards(tmp_path):
    path = tmp_path / shard_name(0, 1)
    metadata = {'mmosnet': '{"dimension": 2, "model": ""}'}
    pq.write_table(pa.table(table_of()).replace_schema_metadata(metadata), path)
    facts = dict(names=dict(pid=dict(anna=1, bob=2, carl=3)))
    (tmp_path / 'extraction.json').write_text(json.dumps(facts))
    for place in (tmp_path, path):
        assert read_features(place).names['pid'] == {1: 'anna', 2: 'bob'}
    (tmp_path / 'extraction.json').write_text('{')
    with pytest.raises(DataError, match=r'extraction.json is damaged'):
        read_features(tmp_path)
    # Of other files it says nothing.
    assert read_features(path.rename(tmp_path / 'a.parquet')).names['pid'] == {}


def with_tracks(found):
    """Return features whose rows are tracks and single images by turns, with attributes."""
    number = len(found)
    track = ['' if row % 2 else f'Gasse, {row}' for row in range(number)]
    frames = [1 if row % 2 else row + 1 for row in range(number)]
    attributes = [('Höhe', 'hat, red')[: row % 3] for row in range(number)]
    return Features(**vars(found) | dict(track=track, frames=frames, attributes=attributes))


def test_tracks_and_attributes_are_kept(tmp_path):
    features = with_tracks(named_features(5))
    path = write_shard(tmp_path / 'a.parquet', features)
    assert read_features(path) == features and read_features(path).frames.dtype == np.int64
    table = pq.read_table(path)
    assert table['track'].to_pylist() == ['Gasse, 0', '', 'Gasse, 2', '', 'Gasse, 4']
    assert table['frames'].to_pylist() == [1, 1, 3, 1, 5] and table['attributes'][2].as_py() == ['Höhe', 'hat, red']
    # A folder may hold files of both kinds.
    write_shard(tmp_path / 'b.parquet', random_features(3, model=features.model))
    assert read_features(tmp_path).track == [*features.track, '', '', '']


def test_files_without_tracks_are_those_of_older_versions(tmp_path):
    """Their digest is that of the columns that older versions knew."""
    path = write_shard(tmp_path / 'a.parquet', features(3))
    contents = json.loads(pq.read_schema(path).metadata[b'mmosnet'])['contents']
    assert contents == '8f54e8c34bdd72ba93c6e876b567c07bb90306b13897efdd2a8bddb4afb97014'


@pytest.mark.parametrize(
    ('column', 'values', 'value'),
    [
        ('track', ['7', None], 'row 1: track'),
        ('frames', pa.array([1, None]), 'row 1: frames'),
        ('frames', [1, 0], 'frames, row 1: 0'),
        ('frames', [2, 1], 'frames, row 0: 2'),
        ('frames', ['a', 'b'], 'column frames is string'),
        ('attributes', [['hat'], None], 'row 1: attributes'),
        ('attributes', [['hat'], [None]], 'attributes, row 1'),
        ('attributes', ['hat', 'bag'], 'column attributes is string'),
    ],
)
def test_tracks_and_attributes_that_are_none(tmp_path, column, values, value):
    table = pa.table(table_of(**{column: values})).replace_schema_metadata({'mmosnet': '{"dimension": 2, "model": ""}'})
    pq.write_table(table, tmp_path / 'a.parquet')
    with pytest.raises(DataError, match=rf'a\.parquet.*{value}'):
        read_features(tmp_path)


@pytest.mark.parametrize('tracks', [False, True])
def test_flipped_bits_in_any_part_of_a_file_are_seen(tmp_path, tracks):
    features = with_tracks(named_features()) if tracks else named_features()
    path = write_shard(tmp_path / 'a.parquet', features, dict(skipped=[['x.jpg', 'damaged']]))
    content, facts = path.read_bytes(), read_metadata(path)
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], 'little')
    random = np.random.RandomState(0)
    places = [*random.choice(8 * footer, 150, False), *random.choice(range(8 * footer, 8 * len(content)), 150, False)]
    noticed = 0
    for place in places:
        path.write_bytes(
            content[: place // 8] + bytes([content[place // 8] ^ 1 << place % 8]) + content[place // 8 + 1 :]
        )
        try:
            # Statistics of columns are not read.
            assert read_features(path) == features
        except DataError:
            noticed += 1
        try:
            found = read_metadata(path)
            assert {key: found[key] for key in ('model', 'dimension', 'rows')} == {
                key: facts[key] for key in ('model', 'dimension', 'rows')
            }
        except DataError:
            continue
    assert noticed > 200


def test_rows_that_are_not_those_stated(tmp_path):
    path = write_shard(tmp_path / 'a.parquet', random_features(20))
    table = pq.read_table(path)
    for changed in (table.slice(0, 19), pa.concat_tables([table, table.slice(0, 1)])):
        pq.write_table(changed, path)
        for read in (read_features, read_metadata):
            with pytest.raises(DataError, match=r'a.parquet is damaged'):
                read(path)
    pq.write_table(table.take(list(reversed(range(20)))), path)
    with pytest.raises(DataError, match=r'a.parquet is damaged'):
        read_features(path)


def test_names_that_contradict_each_other(tmp_path):
    path = tmp_path / 'a.parquet'
    for names, pids in ((['anna', 'bob'], [1, 1]), (['anna', None], [-1, 2]), (['anna', 'anna'], [1, 2])):
        table = pa.table(table_of(pid=pa.array(pids), name=pa.array(names)))
        pq.write_table(table.replace_schema_metadata({'mmosnet': '{"dimension": 2, "model": ""}'}), path)
        with pytest.raises(DataError, match=r'a.parquet: .*anna|a.parquet: .*bob'):
            read_features(path)
