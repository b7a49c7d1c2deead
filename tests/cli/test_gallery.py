import json

import numpy as np
import pytest

from mmosnet.cli.main import main
from mmosnet.features import read_features, write_shard
from mmosnet.gallery import Gallery
from tests.cli.command import outcome
from tests.gallery.random_people import named, people, tracks


@pytest.fixture
def gallery(tmp_path, monkeypatch, capsys):
    """The command in this process: gives its output, or its error for people."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: outcome(capsys, 'gallery', *arguments)


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


def test_from_features_to_a_gallery_and_back(gallery, features, tmp_path):
    output = gallery('create', 'gallery', 'features', '--distance', 'euclidean')
    assert output.startswith('40 images enrolled\n')
    facts = rows(output)
    assert (facts['images'], facts['dimension'], facts['distance'], facts['model']) == ('40', '8', 'euclidean', 'abc')
    # The same again adds nothing.
    output = gallery('enroll', 'gallery', 'features', 'later.parquet')
    assert output.startswith('5 images enrolled, 40 left out that were there already')
    assert rows(gallery('enroll', 'gallery', 'later.parquet', '--again'))['images'] == '50'
    camid = np.concatenate([features[0].camid, features[1].camid])
    time = np.concatenate([features[0].time, features[1].time])
    with Gallery.open('gallery') as opened:
        opened.delete(ids=range(40, 50))
    output = gallery('delete', 'gallery', '--camid', 1, 2, '--before', '1970-01-01T00:00:20+00:00')
    deleted = (np.isin(camid, [1, 2]) & (time < 20)).sum()
    assert deleted > 0 and output.startswith(f'{deleted} images deleted, {40 - deleted} left\n')
    assert '`mmosnet gallery compact gallery` erases' in output
    assert rows(gallery('info', 'gallery'))['deleted'] == str(10 + deleted)
    assert rows(gallery('compact', 'gallery'))['deleted'] == '0'
    with Gallery.open('gallery') as opened:
        opened.set_threshold(0.5, dict(pairs='many'))
    output = gallery('info', 'gallery')
    assert rows(output)['threshold'] == '0.5' and 'pairs  many' in output
    facts = json.loads(gallery('info', 'gallery', '--json'))
    assert (facts['threshold'], facts['facts'], facts['images']) == (0.5, dict(pairs='many'), 40 - deleted)


def test_an_empty_one(gallery):
    facts = rows(gallery('create', 'empty', '--index', 'hnsw', '--dimension', 16))
    assert (facts['images'], facts['index'], facts['dimension']) == ('0', 'hnsw', '16')
    assert facts['threshold'] == 'none: `mmosnet calibrate` finds one'
    assert rows(gallery('create', 'usual'))['dimension'] == '512'


def test_mistakes_get_a_message(gallery, features, tmp_path):
    assert gallery('info', 'none').startswith('error: no gallery none; ')
    assert gallery('create', 'new', 'nowhere').startswith('error: no folder or file of features nowhere')
    assert not (tmp_path / 'new').exists()
    gallery('create', 'gallery', 'features')
    assert 'has a gallery' in gallery('create', 'gallery')
    assert gallery('delete', 'gallery').startswith('error: give --id, --pid, --camid, --track or --before')
    assert gallery('delete', 'gallery', '--before', 'noon').startswith("error: --before 'noon' is neither seconds")
    write_shard('other.parquet', people(3, model='f00'))
    assert 'embeddings of the model f00, but gallery holds those of abc' in gallery(
        'enroll', 'gallery', 'other.parquet'
    )
    assert gallery('create', 'wide', 'features', '--dimension', 9).startswith(
        'error: features: an array of shape (20, 8)'
    )
    assert gallery('info') == 2 and gallery() == 2


def test_check_names_what_is_damaged(gallery, features, tmp_path, capsys):
    gallery('create', 'gallery', 'features')
    assert '0 damaged' in gallery('check', 'gallery')
    path = tmp_path / 'gallery' / 'vectors-0001.f32'
    data = bytearray(path.read_bytes())
    data[17 * 32] ^= 1
    path.write_bytes(data)
    assert main(['gallery', 'check', 'gallery']) == 1
    table, message = capsys.readouterr()
    assert message.startswith('error: gallery: 1 of 40 images') and 'delete gallery --id 17`' in message
    assert '17 ' in table and features[0].path[17] in table
    assert 'embedding of image 17' in gallery('compact', 'gallery')
    gallery('delete', 'gallery', '--id', 17)
    assert gallery('enroll', 'gallery', 'features').startswith('1 images enrolled, 39 left out')
    assert '0 damaged' in gallery('check', 'gallery')


@pytest.mark.parametrize('place', ['gallery', 'people.db'])
def test_people_who_are_called_by_name(gallery, tmp_path, place):
    for number, names in enumerate((['anna', 'bob'], ['bob', 'carl'])):
        write_shard(tmp_path / f'{number}.parquet', named(names, ['door', -1], seed=number, source='edge'))
    gallery('create', place, '0.parquet')
    assert rows(gallery('enroll', place, '1.parquet'))['identities'] == '3'
    people = json.loads(gallery('info', place, '--people', '--json'))['people']
    assert [(one['pid'], one['name'], one['images']) for one in people] == [
        (1, 'anna', 1),
        (2, 'bob', 2),
        (3, 'carl', 1),
    ]
    lines = gallery('info', place, '--people').splitlines()
    assert [line.split(' | ')[1].strip() for line in lines[-3:]] == ['anna', 'bob', 'carl']
    assert gallery('delete', place, '--pid', 1).startswith('1 images deleted, 3 left')
    with Gallery.open(place) as opened:
        assert sorted(record.name for record in opened.records(opened.ids())) == ['bob', 'bob', 'carl']
    assert 'anna' in gallery('delete', place, '--pid', 'anna')
    assert gallery('delete', place, '--pid', 'carl').startswith('1 images deleted, 2 left')
    assert gallery('delete', place, '--camid', 'door', '--pid', 2).startswith('1 images deleted, 1 left')
    gallery('export', place, 'out')
    back = read_features('out')
    assert back.names['pid'] == {2: 'bob'} and back.source == ['edge'] and back.path == ['crops/0/1.jpg']
    assert 'out' in gallery('export', place, 'out')


def test_names_that_may_be_mistaken_are_said(gallery, tmp_path):
    for number, names in enumerate(([7, 8], ['07', 'Anna', 'anna'])):
        write_shard(tmp_path / f'{number}.parquet', named(names, seed=number))
    assert 'names' not in gallery('create', 'gallery', '0.parquet').splitlines()[1]
    said = gallery('enroll', 'gallery', '1.parquet').partition('\n\n')[0]
    # The people 7 and 8 may have had names that an older version has not kept.
    assert "'07', '7'" in said and "'Anna', 'anna'" in said and '\n2 people' in said


def test_a_path_of_two_devices_is_two_images(gallery, tmp_path):
    for source in ('a', 'b', ''):
        write_shard(tmp_path / f'{source}.parquet', named(['anna', 'bob'], source=source))
    write_shard(tmp_path / 'none.parquet', named(['anna', 'bob']))
    assert gallery('create', 'gallery', 'a.parquet').startswith('2 images enrolled\n\n')
    assert gallery('enroll', 'gallery', 'b.parquet').startswith('2 images enrolled\n\n')
    for source in 'ab':
        assert gallery('enroll', 'gallery', f'{source}.parquet').startswith('0 images enrolled, 2 left out')
    said = gallery('enroll', 'gallery', 'none.parquet')
    assert said.startswith('2 images enrolled\n2 ') and 'no source' in said
    assert gallery('enroll', 'gallery', 'none.parquet').startswith('0 images enrolled, 2 left out')
    said = gallery('create', 'other', 'none.parquet') + gallery('enroll', 'other', 'b.parquet')
    assert 'no source' in said and rows(said)['images'] == '4'


def test_a_create_that_fails_may_be_repeated(gallery, features, tmp_path):
    assert gallery('create', 'gallery', 'features', '--dimension', 9).startswith('error: features: an array of shape')
    assert not (tmp_path / 'gallery').exists()
    assert gallery('create', 'people.db', 'features', '--dimension', 9).startswith('error: features: an array of shape')
    for name in ('gallery', 'people.db'):
        assert gallery('create', name, 'features').startswith('40 images enrolled\n')
    # What is there already is no victim of the second one.
    write_shard('other.parquet', people(3, model='f00'))
    assert 'embeddings of the model f00' in gallery('create', 'mixed', 'features', 'other.parquet')
    assert rows(gallery('info', 'mixed'))['images'] == '40'


def test_tracks_from_features_to_a_gallery_and_back(gallery):
    features = tracks(20)
    write_shard('tracks.parquet', features)
    output = gallery('create', 'gallery', 'tracks.parquet')
    assert rows(output)['pooled'] == str((features.frames > 1).sum()) and 'backpack' in rows(output)['attributes']
    assert 'left out' in gallery('enroll', 'gallery', 'tracks.parquet')
    wanted = (np.array(features.track) == 'Gasse, links') & (features.camid == 1)
    assert wanted.any()
    output = gallery('delete', 'gallery', '--track', 'Gasse, links', '--camid', 1)
    assert output.startswith(f'{wanted.sum()} images deleted')
    assert gallery('delete', 'gallery', '--track', '').startswith("error: track=['']")
    gallery('export', 'gallery', 'exported')
    back = read_features('exported')
    kept = np.flatnonzero(~wanted).tolist()
    assert (
        back.track == [features.track[row] for row in kept] and back.frames.tolist() == features.frames[kept].tolist()
    )
    assert back.attributes == [features.attributes[row] for row in kept]
    with Gallery.open('gallery') as opened:
        opened.set_threshold(0.25, dict(pool='mean'), per='track')
    output = gallery('info', 'gallery')
    assert 'track threshold  0.25' in output and 'pool  mean' in output
    assert json.loads(gallery('info', 'gallery', '--json'))['track_facts'] == dict(pool='mean')
