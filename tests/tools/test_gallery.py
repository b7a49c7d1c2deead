import json
import runpy
import sys

import numpy as np
import pytest

from mmosnet.features import read_features, write_shard
from mmosnet.gallery import Gallery
from tests.gallery.drawn_people import named, people
from tests.tools.conftest import REPOSITORY


@pytest.fixture
def tool(tmp_path, monkeypatch, capsys):
    """The tool in this process: gives its output, or its error for people."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['gallery.py', *map(str, arguments)])
        try:
            runpy.run_path(str(REPOSITORY / 'tools' / 'gallery.py'), run_name='__main__')
        except SystemExit as e:
            return e.code
        return capsys.readouterr().out

    return run


@pytest.fixture
def features(tmp_path):
    """Two shards and a file beside them."""
    for number in range(2):
        write_shard(tmp_path / 'features' / f'shard-{number:05d}-of-00002.parquet', people(20, seed=number))
    write_shard(tmp_path / 'later.parquet', people(5, seed=7))
    return people(20), people(20, seed=1)


def rows(output):
    """A table's names and values."""
    return dict(line.split(None, 1) for line in output.splitlines() if len(line.split(None, 1)) == 2)


def test_from_features_to_a_gallery_and_back(tool, features, tmp_path):
    output = tool('create', 'gallery', 'features', '--distance', 'euclidean')
    assert output.startswith('40 images enrolled\n')
    facts = rows(output)
    assert (facts['images'], facts['dimension'], facts['distance'], facts['model']) == ('40', '8', 'euclidean', 'abc')
    # The same again adds nothing.
    output = tool('enroll', 'gallery', 'features', 'later.parquet')
    assert output.startswith('5 images enrolled, 40 left out that were there already')
    assert rows(tool('enroll', 'gallery', 'later.parquet', '--again'))['images'] == '50'
    camid = np.concatenate([features[0].camid, features[1].camid])
    time = np.concatenate([features[0].time, features[1].time])
    with Gallery.open('gallery') as gallery:
        gallery.delete(ids=range(40, 50))
    output = tool('delete', 'gallery', '--camid', 1, 2, '--before', '1970-01-01T00:00:20+00:00')
    deleted = (np.isin(camid, [1, 2]) & (time < 20)).sum()
    assert deleted > 0 and output.startswith(f'{deleted} images deleted, {40 - deleted} left\n')
    assert '`python tools/gallery.py compact gallery` erases' in output
    assert rows(tool('info', 'gallery'))['deleted'] == str(10 + deleted)
    assert rows(tool('compact', 'gallery'))['deleted'] == '0'
    with Gallery.open('gallery') as gallery:
        gallery.set_threshold(0.5, dict(pairs='many'))
    output = tool('info', 'gallery')
    assert rows(output)['threshold'] == '0.5' and 'pairs  many' in output
    facts = json.loads(tool('info', 'gallery', '--json'))
    assert (facts['threshold'], facts['facts'], facts['images']) == (0.5, dict(pairs='many'), 40 - deleted)


def test_an_empty_one(tool):
    facts = rows(tool('create', 'empty', '--index', 'hnsw', '--dimension', 16))
    assert (facts['images'], facts['index'], facts['dimension']) == ('0', 'hnsw', '16')
    assert facts['threshold'] == 'none: tools/calibrate.py finds one'
    assert rows(tool('create', 'usual'))['dimension'] == '512'


def test_mistakes_get_a_message(tool, features, tmp_path):
    assert tool('info', 'none').startswith('error: no gallery none; tools/gallery.py create makes one')
    assert tool('create', 'new', 'nowhere').startswith('error: no folder or file of features nowhere')
    assert not (tmp_path / 'new').exists()
    tool('create', 'gallery', 'features')
    assert 'has a gallery' in tool('create', 'gallery')
    assert tool('delete', 'gallery').startswith('error: give --id, --pid, --camid or --before')
    assert tool('delete', 'gallery', '--before', 'noon').startswith("error: --before 'noon' is neither seconds")
    write_shard('other.parquet', people(3, model='f00'))
    assert 'embeddings of the model f00, but gallery holds those of abc' in tool('enroll', 'gallery', 'other.parquet')
    assert tool('create', 'wide', 'features', '--dimension', 9).startswith('error: features: an array of shape (20, 8)')
    assert tool('info') == 2 and tool() == 2


def test_check_names_what_is_damaged(tool, features, tmp_path, capsys):
    tool('create', 'gallery', 'features')
    assert '0 damaged' in tool('check', 'gallery')
    path = tmp_path / 'gallery' / 'vectors-0001.f32'
    data = bytearray(path.read_bytes())
    data[17 * 32] ^= 1
    path.write_bytes(data)
    message = tool('check', 'gallery')
    assert message.startswith('error: gallery: 1 of 40 images') and 'delete gallery --id 17`' in message
    table = capsys.readouterr().out
    assert '17 ' in table and features[0].path[17] in table
    assert 'embedding of image 17' in tool('compact', 'gallery')
    tool('delete', 'gallery', '--id', 17)
    assert tool('enroll', 'gallery', 'features').startswith('1 images enrolled, 39 left out')
    assert '0 damaged' in tool('check', 'gallery')


@pytest.mark.parametrize('place', ['gallery', 'people.db'])
def test_people_who_are_called_by_name(tool, tmp_path, place):
    for number, names in enumerate((['anna', 'bob'], ['bob', 'carl'])):
        write_shard(tmp_path / f'{number}.parquet', named(names, ['door', -1], seed=number, source='edge'))
    tool('create', place, '0.parquet')
    assert rows(tool('enroll', place, '1.parquet'))['identities'] == '3'
    people = json.loads(tool('info', place, '--people', '--json'))['people']
    assert [(one['pid'], one['name'], one['images']) for one in people] == [
        (1, 'anna', 1),
        (2, 'bob', 2),
        (3, 'carl', 1),
    ]
    lines = tool('info', place, '--people').splitlines()
    assert [line.split(' | ')[1].strip() for line in lines[-3:]] == ['anna', 'bob', 'carl']
    assert tool('delete', place, '--pid', 1).startswith('1 images deleted, 3 left')
    with Gallery.open(place) as gallery:
        assert sorted(record.name for record in gallery.records(gallery.ids())) == ['bob', 'bob', 'carl']
    assert 'anna' in tool('delete', place, '--pid', 'anna')
    assert tool('delete', place, '--pid', 'carl').startswith('1 images deleted, 2 left')
    assert tool('delete', place, '--camid', 'door', '--pid', 2).startswith('1 images deleted, 1 left')
    tool('export', place, 'out')
    back = read_features('out')
    assert back.names['pid'] == {2: 'bob'} and back.source == ['edge'] and back.path == ['crops/0/1.jpg']
    assert 'out' in tool('export', place, 'out')


def test_names_that_may_be_mistaken_are_said(tool, tmp_path):
    for number, names in enumerate(([7, 8], ['07', 'Anna', 'anna'])):
        write_shard(tmp_path / f'{number}.parquet', named(names, seed=number))
    assert 'names' not in tool('create', 'gallery', '0.parquet').splitlines()[1]
    said = tool('enroll', 'gallery', '1.parquet').partition('\n\n')[0]
    # The people 7 and 8 may have had names that an older version has not kept.
    assert "'07', '7'" in said and "'Anna', 'anna'" in said and '\n2 people' in said


def test_a_path_of_two_devices_is_two_images(tool, tmp_path):
    for source in ('a', 'b', ''):
        write_shard(tmp_path / f'{source}.parquet', named(['anna', 'bob'], source=source))
    write_shard(tmp_path / 'none.parquet', named(['anna', 'bob']))
    assert tool('create', 'gallery', 'a.parquet').startswith('2 images enrolled\n\n')
    assert tool('enroll', 'gallery', 'b.parquet').startswith('2 images enrolled\n\n')
    for source in 'ab':
        assert tool('enroll', 'gallery', f'{source}.parquet').startswith('0 images enrolled, 2 left out')
    said = tool('enroll', 'gallery', 'none.parquet')
    assert said.startswith('2 images enrolled\n2 ') and 'without a source' in said
    assert tool('enroll', 'gallery', 'none.parquet').startswith('0 images enrolled, 2 left out')
    said = tool('create', 'other', 'none.parquet') + tool('enroll', 'other', 'b.parquet')
    assert 'without a source' in said and rows(said)['images'] == '4'


def test_a_create_that_fails_may_be_repeated(tool, features, tmp_path):
    assert tool('create', 'gallery', 'features', '--dimension', 9).startswith('error: features: an array of shape')
    assert not (tmp_path / 'gallery').exists()
    assert tool('create', 'people.db', 'features', '--dimension', 9).startswith('error: features: an array of shape')
    for name in ('gallery', 'people.db'):
        assert tool('create', name, 'features').startswith('40 images enrolled\n')
    # What is there already is no victim of the second one.
    write_shard('other.parquet', people(3, model='f00'))
    assert 'embeddings of the model f00' in tool('create', 'mixed', 'features', 'other.parquet')
    assert rows(tool('info', 'mixed'))['images'] == '40'
