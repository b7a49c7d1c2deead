"""From pictures to people: the default gallery, searching, enrolling and deleting."""

import errno
import threading
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import cv2
import mmcv
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from mmosnet.apis import PersonInferencer
from mmosnet.datasets.person_image import read_image
from mmosnet.demo import person_model as person_model_module
from mmosnet.demo.demo_gallery import drawn_threshold, open_search
from mmosnet.demo.person_model import PersonModel
from mmosnet.demo.person_search import PersonSearch
from mmosnet.demo.shown_pictures import ShownPictures
from mmosnet.errors import DataError
from mmosnet.features import Features
from mmosnet.gallery import Gallery
from tests.apis.small_models import (
    ATTRIBUTE_NAMES,
    ATTRIBUTES,
    CATEGORY,
    JOINT,
    LOAD,
    PACK,
    REID,
    RESIZE,
    small_checkpoint,
    small_config,
)
from tests.conftest import full_disk
from tests.demo.conftest import MODEL


def test_default_gallery_finds_the_drawn_people(drawn):
    search, examples, _ = drawn
    assert len(search.gallery) == 24 * 4 * 2 and len(search.gallery.pids()) == 24 and len(examples) == 5
    found = [search.search(read_image(path)) for path in examples]
    for path, one in zip(examples, found, strict=True):
        assert len(one.matches) == len(one.pictures) == 10 and one.pictures[0].shape == (128, 64, 3)
        assert len(one.attributes) == 26
        pid = int(Path(path).name[:4])
        stranger = path == examples[4]
        # The last is a stranger.
        assert (pid in search.gallery.pids()) != stranger
        assert one.matches[0].same_person != stranger
        assert one.matches[0].pid == pid or stranger


def test_search_is_the_inferencer_and_the_gallery(drawn):
    search, examples, _ = drawn
    embedding = PersonInferencer(MODEL, pretrained=True, device='cpu')(examples[0])[0]['embedding']
    expected = search.gallery.search(embedding[None], top_k=3, not_camids=0)[0]
    found = search.search(read_image(examples[0]), top_k=3, not_camid=0).matches
    assert [m.id for m in found] == [m.id for m in expected] and 0 not in {m.camid for m in found}
    np.testing.assert_allclose([m.distance for m in found], [m.distance for m in expected], atol=1e-5)


def test_a_second_time_the_gallery_is_opened_again(drawn, person_model):
    search, examples, folder = drawn
    again, same = open_search(person_model, folder)
    assert len(again.gallery) == len(search.gallery) and again.gallery.threshold == search.gallery.threshold
    assert same == examples and search.gallery.facts['false_positive_rate'] == 0.01
    again.gallery.close()


def test_threshold_lets_one_pair_of_strangers_in_a_hundred_pass():
    random = np.random.RandomState(0)
    pid = np.arange(30).repeat(4)
    embedding = random.randn(30, 16).repeat(4, 0) + 0.8 * random.randn(120, 16)
    features = Features(embedding, [''] * 120, pid, np.tile([0, 1, 2, 3], 30), np.full(120, np.nan))
    threshold, share = drawn_threshold(features)
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    distance = 1 - unit @ unit.T
    other = pid[:, None] != pid
    same = ~other & ~np.eye(120, dtype=bool)
    # Of the same camera only pairs of one person are left out.
    assert (distance[other] <= threshold).mean() == pytest.approx(0.01, abs=2 / other.sum())
    assert (distance[same] <= threshold).mean() == pytest.approx(share, abs=1e-6)


def test_look_inside(drawn, monkeypatch):
    search, examples, _ = drawn
    found = search.search(read_image(examples[1]), top_k=3)
    sheet, figure = search.look_inside(found)
    assert figure.startswith(b'\x89PNG')
    # The second match has no picture: the query and one match remain.
    monkeypatch.setattr(person_model_module, 'draw_gate_weights', lambda *_: Figure())
    fewer, _ = search.look_inside(replace(found, pictures=[found.pictures[0], None, None]))
    assert sheet.shape[0] > fewer.shape[0] > 2 * 128 and np.array_equal(fewer[: 2 * 128], sheet[: 2 * 128])


def test_enroll_search_delete(drawn):
    search, _, folder = drawn
    before = len(search.gallery)
    image = np.full((300, 150, 3), (200, 30, 120), np.uint8)
    assert search.enroll([image, image[:280]], camid=2) == (225, 2)
    match = search.search(image, top_k=1).matches[0]
    assert match.pid == 225 and match.camid == 2 and match.distance < 1e-5 and match.same_person
    assert np.array_equal(search.pictures.read(match.path), image)
    people, info = search.people(most=100)
    assert info['images'] == before + 2 and (people[-1].pid, people[-1].images) == (225, 2)
    assert search.delete(id=match.id) == 1 and not Path(match.path).exists()
    assert search.delete(pid=225) == 1 and len(search.gallery) == before
    assert not list((folder / 'enrolled').iterdir())
    with pytest.raises(DataError, match='no person 225'):
        search.delete(pid=225)
    with pytest.raises(DataError, match='no image with id 99999'):
        search.delete(id=99999)


def test_deleting_a_drawn_person_leaves_the_picture(tmp_path):
    kept = ShownPictures([tmp_path / 'people'], tmp_path / 'enrolled')
    (tmp_path / 'people').mkdir()
    (tmp_path / 'people' / 'a.jpg').write_bytes(b'picture')
    (path,) = kept.new_paths(7, 1)
    with kept.kept([np.zeros((4, 4, 3), np.uint8)], [path]):
        assert not Path(path).exists()
    assert kept.may_keep(7) and not kept.may_keep(77)
    kept.forget([str(tmp_path / 'people' / 'a.jpg'), path, '/nowhere/a.png'])
    assert (tmp_path / 'people' / 'a.jpg').exists() and not Path(path).exists()


@pytest.mark.parametrize(
    ('number', 'pid', 'camid', 'reason'),
    [(0, 1, 1, '0 pictures'), (101, 1, 1, '101 pictures'), (1, -1, 0, 'number of a person'), (1, 1, 2**40, 'camera')],
)
def test_wrong_enrolments(drawn, number, pid, camid, reason):
    with pytest.raises(DataError, match=reason):
        drawn[0].enroll([np.zeros((40, 20, 3), np.uint8)] * number, pid, camid)


def test_a_drawn_person_is_deleted_without_reading_the_table(drawn, person_model, tmp_path, monkeypatch):
    search = drawn[0]
    features = search.gallery.features(search.gallery.ids()[:16])
    with Gallery.create(tmp_path / 'few', model=person_model.digest) as gallery:
        gallery.enroll(features)
        monkeypatch.setattr(gallery, 'records', None)
        few = PersonSearch(person_model, gallery, ShownPictures([], tmp_path / 'enrolled'))
        assert few.delete(pid=201) == 8 and len(gallery) == 8


def test_what_is_not_enrolled_leaves_no_picture(drawn, monkeypatch):
    search, _, folder = drawn

    def fail(features):
        raise DataError('the disc is full')

    monkeypatch.setattr(search.gallery, 'enroll', fail)
    with pytest.raises(DataError, match='full'):
        search.enroll([np.zeros((40, 20, 3), np.uint8)])
    assert not list((folder / 'enrolled').glob('*'))


@pytest.mark.parametrize('fault', ['disk', 'records', 'name'])
def test_enrolling_is_all_or_nothing(drawn, monkeypatch, fault):
    search, _, folder = drawn
    before = search.gallery.ids().tolist()
    images = [np.random.RandomState(i).randint(0, 256, (200, 100, 3), np.uint8) for i in range(2)]
    if fault == 'records':
        monkeypatch.setattr(search.gallery._table, 'add', Mock(side_effect=OSError(errno.ENOSPC, 'no space')))
    elif fault == 'name':
        # The second picture's: the first has its name already.
        replace = Path.replace
        calls = iter([replace, Mock(side_effect=OSError(errno.EIO, 'input/output error'))])
        monkeypatch.setattr(Path, 'replace', lambda path, new: next(calls)(path, new))
    with pytest.raises(OSError), full_disk(10_000) if fault == 'disk' else nullcontext():
        search.enroll(images, pid=400)
    assert search.gallery.ids().tolist() == before and not list((folder / 'enrolled').glob('**/*'))


def test_what_a_visitor_leaves_is_small(drawn):
    search, examples, _ = drawn
    photo = np.full((4000, 3000, 3), 90, np.uint8)
    photo[:, 1500:] = 200
    found = search.search(photo)
    assert found.query.shape == (512, 384, 3) and found.query[0, 0, 0] == 90 and found.query[-1, -1, 0] == 200
    assert search.search(np.zeros((9000, 9, 3), np.uint8)).query.shape == (512, 1, 3)
    assert search.search(read_image(examples[0])).query.shape == read_image(examples[0]).shape


@pytest.mark.parametrize('given', [dict(), dict(pid=1, id=1)])
def test_delete_wants_one_of_two(drawn, given):
    with pytest.raises(DataError, match='either'):
        drawn[0].delete(**given)


def test_several_at_once(drawn):
    search, examples, _ = drawn
    images = [read_image(path) for path in examples[:3]]
    alone = [search.search(image).matches for image in images]
    together = [None] * 6

    def work(i):
        found = search.search(images[i % 3])
        if i == 0:
            search.look_inside(found)
        together[i] = found.matches

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone * 2


def test_pictures_come_from_their_folders_only(tmp_path):
    inside, outside = tmp_path / 'inside', tmp_path / 'outside'
    image = np.random.RandomState(0).randint(0, 256, (20, 10, 3), np.uint8)
    for folder in (inside, outside):
        folder.mkdir()
        (folder / 'a.png').write_bytes(cv2.imencode('.png', image)[1].tobytes())
    (inside / 'link.png').symlink_to(outside / 'a.png')
    (inside / 'text.png').write_text('no picture')
    pictures = ShownPictures([inside], inside / 'enrolled')
    assert np.array_equal(pictures.read(str(inside / 'a.png')), image)
    assert np.array_equal(pictures.read(f'{inside}/a.png#xywh=2,3,4,5'), image[3:8, 2:6])
    refused = [outside / 'a.png', inside / '..' / 'outside' / 'a.png', inside / 'link.png', '/etc/passwd', 'a\0b', '']
    refused += [inside / 'gone.png', inside / 'text.png', f'{inside}/a.png#xywh=9,9,90,90', inside]
    assert [pictures.read(str(path)) for path in refused] == [None] * len(refused)


@pytest.fixture
def small_model(tmp_path):
    def make(head, pipeline=None, **meta):
        return PersonModel(small_config(head, pipeline), small_checkpoint(tmp_path / 'small.pth', head, **meta), 'cpu')

    return make


@pytest.mark.parametrize('pipeline', [[LOAD, PACK], [LOAD, RESIZE, PACK]], ids=['as they are', 'resized'])
def test_any_size_is_searched(small_model, pipeline):
    model = small_model(REID, pipeline)
    # Of the drawn people's size, by Pillow, or as the pipeline resizes.
    size, backend = ((64, 128), 'pillow') if RESIZE not in pipeline else ((32, 64), 'cv2')
    blocks = np.random.RandomState(0).randint(0, 256, (64, 32, 3), np.uint8)
    large = cv2.resize(blocks, (512, 1024), interpolation=cv2.INTER_NEAREST)
    small = mmcv.imresize(large, size, backend=backend)
    one, other = (result['embedding'] for result in model.predict([small, large]))
    np.testing.assert_allclose(one, other, atol=1e-4)
    alone = PersonInferencer(model._inferencer.model)(small)[0]['embedding']
    np.testing.assert_allclose(one, alone, rtol=1e-5, atol=1e-5)


def test_reid_alone_has_no_attributes(small_model, tmp_path):
    model = small_model(REID)
    assert not model.has_attributes and model.dimension == 512
    gallery = Gallery.create(tmp_path / 'gallery', dimension=512)
    search = PersonSearch(model, gallery, ShownPictures([], tmp_path / 'enrolled'))
    image = np.full((64, 32, 3), 90, np.uint8)
    assert search.search(image).matches == []
    assert search.enroll([image]) == (1, 1)
    found = search.search(image)
    assert found.attributes is None and found.matches[0].same_person is None
    assert search.look_inside(found)[0].ndim == 3


@pytest.mark.parametrize(('head', 'told'), [(ATTRIBUTES, 'attributes'), (CATEGORY, 'category')])
def test_models_without_embedding_are_refused(small_model, head, told):
    with pytest.raises(DataError, match=f'tells {told}, and gives no embedding'):
        small_model(head)


def test_another_models_gallery_is_refused(drawn, small_model, tmp_path):
    model = small_model(JOINT, attributes=ATTRIBUTE_NAMES)
    with pytest.raises(DataError, match='embeddings of the model'):
        PersonSearch(model, drawn[0].gallery, drawn[0].pictures)


def test_a_given_gallery(drawn, person_model, tmp_path):
    search, examples, folder = drawn
    given, none = open_search(person_model, tmp_path, str(search.gallery.uri), folder / 'people')
    assert none == [] and given.search(read_image(examples[0]), top_k=1).pictures[0] is not None
    elsewhere, _ = open_search(person_model, tmp_path, str(search.gallery.uri), tmp_path)
    assert elsewhere.search(read_image(examples[0]), top_k=1).pictures == [None]
    for one in (given, elsewhere):
        one.gallery.close()
    with pytest.raises(FileNotFoundError):
        open_search(person_model, tmp_path, str(tmp_path / 'nowhere'))
    with pytest.raises(FileNotFoundError, match='no folder'):
        open_search(person_model, tmp_path, str(search.gallery.uri), tmp_path / 'nowhere')
    with pytest.raises(DataError, match='--images'):
        open_search(person_model, tmp_path, None, tmp_path)


def test_no_gates_to_look_at(person_model, monkeypatch):
    monkeypatch.setitem(person_model._inferencer.model._modules, 'backbone', torch.nn.Identity())
    assert person_model.look_inside([np.zeros((128, 64, 3), np.uint8)], ['query']) is None


def test_pictures_are_kept_all_or_none(tmp_path, monkeypatch):
    kept, write, left = ShownPictures([], tmp_path / 'enrolled'), Path.write_bytes, [2]
    blank = np.zeros((4, 4, 3), np.uint8)

    def full(path, content):
        left[0] -= 1
        if left[0] < 0:
            write(path, content[:10])
            raise OSError(28, 'No space left on device', str(path))
        return write(path, content)

    monkeypatch.setattr(Path, 'write_bytes', full)
    with pytest.raises(OSError, match='No space left'), kept.kept([blank] * 3, kept.new_paths(7, 3)):
        raise AssertionError('the third picture was written')
    assert not list(kept.enrolled.iterdir())
