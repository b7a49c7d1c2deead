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
from mmengine.config import Config

from mmosnet.apis import PersonInferencer
from mmosnet.datasets.transforms import read_image
from mmosnet.demo.pictures import ShownPictures
from mmosnet.demo.search import PersonModel, PersonSearch, drawn_threshold, open_search, training_sets
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


def test_look_inside(drawn):
    search, examples, _ = drawn
    found = search.search(read_image(examples[1]), top_k=3)
    seen = search.look_inside(found)
    assert [one.name for one in seen.mapped] == seen.gates.images == ['query', 'rank 1', 'rank 2']
    assert np.array_equal(seen.mapped[0].image, found.query)
    assert np.array_equal(seen.mapped[2].image, found.pictures[1])
    # Only the first match has a picture.
    fewer = search.look_inside(replace(found, pictures=[found.pictures[0], None, None]))
    assert [one.name for one in fewer.mapped] == fewer.gates.images == ['query', 'rank 1']


def test_what_the_weights_were_trained_on(person_model):
    assert person_model.training_sets == ['SyntheticPeople', 'SyntheticObjects'] and person_model.knows_drawn_only
    people, market = dict(type='mmosnet.SyntheticPeople', pipeline=[dict(type='Resize')]), dict(type='Market1501')
    joint = dict(type='JointDataset', datasets=dict(people=people, market=market))
    wrapped = dict(type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset', datasets=[market, market]))
    for dataset, names in (
        (people, ['SyntheticPeople']),
        (joint, ['SyntheticPeople', 'Market1501']),
        (wrapped, ['Market1501']),
    ):
        assert training_sets(Config(dict(train_dataloader=dict(dataset=dataset)))) == names
    assert training_sets(Config(dict(train_dataloader=None))) == training_sets(Config()) == []


def photograph() -> np.ndarray:
    """Return a picture that is none of the drawn ones."""
    return np.full((160, 80, 3), 130, np.uint8)


def test_only_drawn_pictures_get_a_verdict(drawn, tmp_path):
    search, examples, _ = drawn
    example = read_image(examples[0])
    found = search.search(example)
    assert not found.outside and found.matches[0].same_person is True
    # The same picture as a file of another format.
    (tmp_path / 'again.png').write_bytes(cv2.imencode('.png', example)[1].tobytes())
    assert search.search(read_image(tmp_path / 'again.png')).matches == found.matches
    # One bit of one pixel: no longer a picture of which the page knows that it is drawn.
    changed = example.copy()
    changed[0, 0, 0] ^= 1
    for image in (changed, photograph()):
        found = search.search(image)
        assert found.outside and {match.same_person for match in found.matches} == {None}
    assert found.matches[0].distance >= 0 and len(found.pictures) == 10


def test_an_enrolled_photograph_gets_no_verdict(drawn):
    search, examples, _ = drawn
    example = read_image(examples[0])
    changed = example.copy()
    changed[0, 0, 0] ^= 1
    pid, _ = search.enroll([changed])
    stranger, _ = search.enroll([read_image(examples[4])])
    try:
        found = search.search(example)
        # The nearest image is the photograph; the drawn ones behind it are judged as before.
        assert found.matches[0].pid == pid and found.matches[0].same_person is None and not found.outside
        assert found.matches[1].same_person is True
        # A drawn picture that is enrolled is drawn all the same.
        assert search.search(read_image(examples[4])).matches[0].same_person is True
    finally:
        search.delete(pid=pid)
        search.delete(pid=stranger)


def test_a_given_gallery_is_judged_unless_the_weights_know_drawn_people_only(drawn, small_model, tmp_path):
    for train, expected in ((None, True), ('mmosnet.Market1501', True), ('mmosnet.SyntheticPeople', None)):
        options = {} if train is None else dict(train_dataloader=dict(dataset=dict(type=train)))
        model = small_model(REID, **options)
        with Gallery.create(tmp_path / f'gallery {train}', dimension=512, model=model.digest) as gallery:
            gallery.set_threshold(0.5)
            search = PersonSearch(model, gallery, ShownPictures([], tmp_path / 'enrolled'))
            search.enroll([photograph()])
            found = search.search(photograph())
            assert found.matches[0].same_person is expected and found.outside == (expected is None)


def test_search_with_an_image_of_the_gallery(drawn):
    search, _, folder = drawn
    image, found = search.search_stored(17, top_k=5)
    path = search.gallery.records([17])[0].path
    assert Path(path).is_relative_to(folder) and np.array_equal(image, read_image(path))
    expected = search.search(image, top_k=6).matches
    assert expected[0].id == 17 and [m.id for m in found.matches] == [m.id for m in expected[1:]]
    # A camera that is left out takes the image with it.
    camid = expected[0].camid
    found = search.search_stored(17, top_k=5, not_camid=camid)[1]
    assert len(found.matches) == 5 and camid not in {m.camid for m in found.matches}
    with pytest.raises(DataError, match='99999'):
        search.search_stored(99999)


def test_an_image_without_picture_cannot_be_searched_with(drawn, person_model, tmp_path):
    with Gallery.create(tmp_path / 'few', model=person_model.digest) as gallery:
        gallery.enroll(drawn[0].gallery.features([3]))
        few = PersonSearch(person_model, gallery, ShownPictures([], tmp_path / 'enrolled'))
        with pytest.raises(DataError, match=str(gallery.ids()[0])):
            few.search_stored(int(gallery.ids()[0]))


def test_enroll_search_delete(drawn):
    search, _, folder = drawn
    before = len(search.gallery)
    image = np.full((300, 150, 3), (200, 30, 120), np.uint8)
    assert search.enroll([image, image[:280]], camid=2) == (225, 2)
    match = search.search(image, top_k=1).matches[0]
    assert match.pid == 225 and match.camid == 2 and match.distance < 1e-5
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


@pytest.fixture
def small_model(tmp_path):
    def make(head, pipeline=None, train_dataloader=None, **meta):
        cfg = small_config(head, pipeline)
        if train_dataloader is not None:
            cfg.train_dataloader = train_dataloader
        return PersonModel(cfg, small_checkpoint(tmp_path / 'small.pth', head, **meta), 'cpu')

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
    assert len(search.look_inside(found).mapped) == 2


@pytest.mark.parametrize(('head', 'predicted'), [(ATTRIBUTES, 'attributes'), (CATEGORY, 'category')])
def test_models_without_embedding_are_refused(small_model, head, predicted):
    with pytest.raises(DataError, match=predicted):
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
