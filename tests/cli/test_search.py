import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmosnet.cli.main import main
from mmosnet.export import export_model
from mmosnet.features import Features
from mmosnet.features.tracks import pool_track
from mmosnet.gallery import Gallery
from mmosnet.models.build import load_model
from tests.apis.small_models import ATTRIBUTE_NAMES, CLASSES, JOINT, small_checkpoint, small_config
from tests.cli.command import outcome
from tests.conftest import write_person
from tests.features.drawn_video import write_video

MODEL = ('joint.py', 'joint.pth')


@pytest.fixture(scope='module')
def enrolled(tmp_path_factory):
    """A gallery of six images of three people by two cameras, made with the commands."""
    folder = tmp_path_factory.mktemp('enrolled')
    small_config(JOINT).dump(folder / 'joint.py')
    small_checkpoint(folder / 'joint.pth', JOINT, attributes=ATTRIBUTE_NAMES, classes=CLASSES)
    for pid in range(1, 4):
        for camera in (1, 2):
            write_person(folder / 'crops' / f'{pid:04d}_c{camera}s1_000000_00.jpg', pid)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(['extract', *MODEL, 'crops', '--names', 'market1501', '--out', 'features']) == 0
        assert main(['gallery', 'create', 'gallery', 'features']) == 0
    return folder


@pytest.fixture
def search(enrolled, tmp_path, monkeypatch, capsys):
    """The command in this process, in a copy of the folder: gives its output, or its error for people."""
    folder = shutil.copytree(enrolled, tmp_path / 'copy')
    monkeypatch.chdir(folder)
    return lambda *arguments: outcome(capsys, 'search', *arguments)


def found(output):
    return [[match['path'] for match in search['matches']] for search in json.loads(output)['searches']]


def test_a_ranked_list_with_threshold_and_picture(search):
    query = 'crops/0002_c1s1_000000_00.jpg'
    output = search(*MODEL, 'gallery', query, '--top-k', 3)
    lines = output.splitlines()
    assert lines[0] == query and lines[1].startswith('rank | distance | same person | pid | camid')
    first = [cell.strip() for cell in lines[3].split('|')]
    assert first == ['1', '0.0000', '', '2', '0', '', query] and len(lines) == 8
    assert 'no threshold' in lines[-1]
    second = float(lines[4].split('|')[1])
    with Gallery.open('gallery') as gallery:
        gallery.set_threshold(second / 2)
    output = search(*MODEL, 'gallery', query, '--top-k', 2, '--out', 'new/ranked.png')
    same = [line.split('|')[2].strip() for line in output.splitlines()[3:5]]
    assert same == ['yes', 'no'] and f'at most {second / 2:.4f}' in output
    picture = cv2.imread('new/ranked.png')
    assert picture.shape[2] == 3 and picture.std() > 20


def test_filters_regions_and_json(search):
    region = 'crops/0003_c2s1_000000_00.jpg#xywh=0,0,16,32'
    output = search(*MODEL, 'gallery', 'crops/0001_c1s1_000000_00.jpg', region, '--json', '--not-camids', 0)
    first, second = found(output)
    assert all('_c2s1_' in path for path in first + second) and len(first) == len(second) == 3
    # The region is the whole image.
    assert second[0] == region.partition('#')[0]
    match = json.loads(output)['searches'][1]['matches'][0]
    assert (match['rank'], match['pid'], match['camid'], match['time'], match['same_person']) == (1, 3, 1, None, None)
    assert match['distance'] == pytest.approx(0, abs=1e-6)
    nobody = search(*MODEL, 'gallery', region, '--after', '2026-05-01T12:00:00+02:00')
    assert f'{region}: no image in the gallery meets the conditions' in nobody


def test_images_that_are_gone_have_an_empty_frame(search, enrolled):
    query = shutil.copy('crops/0001_c1s1_000000_00.jpg', 'query.jpg')
    search(*MODEL, 'gallery', query, '--top-k', 2, '--out', 'all.png')
    shutil.rmtree('crops')
    search(*MODEL, 'gallery', query, '--top-k', 2, '--out', 'gone.png')
    before, after = cv2.imread('all.png'), cv2.imread('gone.png')
    changed = np.flatnonzero((before != after).any(axis=(0, 2)))
    # The query's column is the same, the others' are not.
    assert before.shape == after.shape and changed.min() > 88 and changed.max() > 200


def test_an_exported_model_and_one_that_is_not_the_gallerys(search):
    export_model(load_model(small_config(JOINT), 'joint.pth', testing=True), 'osnet.onnx')
    paths = ('gallery', 'crops/0003_c1s1_000000_00.jpg', '--json')
    exported = search('--exported', 'osnet.onnx', *paths)
    assert found(exported) == found(search(*MODEL, *paths))
    checkpoint = torch.load('joint.pth', weights_only=True)
    checkpoint['state_dict']['neck.fc.weight'] *= 2
    torch.save(checkpoint, 'other.pth')
    error = search('joint.py', 'other.pth', *paths)
    assert 'error: queries by other.pth: embeddings of the model' in error and 'but gallery holds those of' in error
    assert '--device and --cfg-options' in search('--exported', 'osnet.onnx', *paths, '--device', 'cpu')


def test_mistakes_get_a_message(search):
    query = 'crops/0001_c1s1_000000_00.jpg'
    assert search(*MODEL, 'gallery', 'no.jpg') == 'error: no image no.jpg'
    assert search(*MODEL, 'gallery', 'crops').startswith('error: crops is a folder')
    assert search(*MODEL, 'nowhere', query).startswith('error: no gallery nowhere')
    assert search(*MODEL, 'gallery').startswith('error: give CONFIG CHECKPOINT GALLERY QUERY')
    assert search(*MODEL, 'gallery', query, '--out', 'a.txt').startswith('error: --out a.txt: name a file that ends')
    assert search(*MODEL, 'gallery', query, '--top-k', 0) == 2
    assert search(*MODEL, 'gallery', query, '--before', 'x').startswith("error: --before 'x'")
    assert 'no such region' in search(*MODEL, 'gallery', f'{query}#xywh=0,0,999,9')
    assert search() == 2


def test_only_people_with_attributes(search):
    with Gallery.open('gallery') as gallery:
        records = gallery.records(gallery.ids())
        name = next(name for record in records for name in record.attributes)
    query = 'crops/0001_c1s1_000000_00.jpg'
    (paths,) = found(search(*MODEL, 'gallery', query, '--json', '--attributes', name))
    assert sorted(paths) == sorted(record.path for record in records if name in record.attributes)
    assert search(*MODEL, 'gallery', query, '--attributes', name, 'beard').startswith('error: attributes=beard: ')


def test_images_and_boxes_as_tracks(search):
    write_video(Path('door.mp4'), 6)
    Path('door.csv').write_text(
        'frame,x,y,w,h,track\n'
        + ''.join(f'{frame},{frame},2,20,30,{frame % 2}\n' for frame in range(5))
        + '5,1,2,20,30,-1\n'
    )
    images = [f'crops/0001_c{camera}s1_000000_00.jpg' for camera in (1, 2)]
    output = json.loads(search(*MODEL, 'gallery', *images, '--per', 'track', '--json'))
    (one,) = output['searches']
    assert one['query'] == f'{images[0]} and 1 more' and output['threshold'] is None
    with Gallery.open('gallery') as gallery:
        gallery.set_threshold(0.0)
        gallery.set_threshold(2.0, per='track')
        features = gallery.features()
        pooled = pool_track(features.embedding[[features.path.index(path) for path in images]])
        expected = gallery.search(pooled[None], per='track')[0]
    # The gallery's embeddings have the length 1, those of the images their own.
    matches = json.loads(search(*MODEL, 'gallery', *images, '--per', 'track', '--json'))['searches'][0]['matches']
    assert [match['distance'] for match in matches] == pytest.approx([match.distance for match in expected], abs=1e-4)
    assert all(match['same_person'] for match in matches)
    video = (*MODEL, 'gallery', 'door.mp4', '--boxes', 'door.csv')
    searches = json.loads(search(*video, '--json'))['searches']
    assert [one['query'] for one in searches] == ['door.mp4, track 0', 'door.mp4, track 1']
    output = search(*video, '--track', 1, '--pool', 'max', '--out', 'ranked.png')
    assert output.startswith('door.mp4, track 1\n') and 'at most 2.0000' in output
    assert cv2.imread('ranked.png').std() > 20
    assert search(*video, '--track', 8).startswith('error: --track 8: door.csv has no such track; there are 0, 1')
    assert search(*video, 'door.mp4').startswith('error: --boxes door.csv: give one video')
    assert search(*MODEL, 'gallery', images[0], '--track', 1).startswith('error: --track is for the tracks of a video')
    assert 'gone.csv' in search(*video[:-1], 'gone.csv')
    assert 'gone.mp4' in search(*MODEL, 'gallery', 'gone.mp4', '--boxes', 'door.csv')


def test_tracks_are_shown_with_their_images(search):
    with Gallery.open('gallery') as gallery:
        features = gallery.features()[:1]
        gallery.enroll(Features(**vars(features) | dict(track='Gasse, 7', frames=12)))
    lines = search(*MODEL, 'gallery', 'crops/0001_c1s1_000000_00.jpg', '--top-k', 2).splitlines()
    titles, *rows = ([cell.strip() for cell in lines[number].split('|')] for number in (1, 3, 4))
    assert titles[-3:] == ['track', 'frames', 'path']
    assert [row[-3:-1] for row in rows] == [['', ''], ['Gasse, 7', '12']]
