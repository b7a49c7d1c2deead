"""What the page's buttons answer, without a browser."""

import re
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mmosnet.demo import page as page_module
from mmosnet.demo.page import Page
from mmosnet.demo.pictures import read_uploaded
from mmosnet.demo.search import Inside, Person, SearchResult
from mmosnet.gallery import Match
from mmosnet.visualization.network import GateWeights, MappedImage


@pytest.fixture
def page(drawn, tmp_path):
    return Page(drawn[0], tmp_path, [read_uploaded(path) for path in drawn[1]])


@pytest.fixture
def upload(tmp_path):
    path = tmp_path / 'upload.png'
    image = np.random.RandomState(0).randint(0, 256, (128, 64, 3), np.uint8)
    path.write_bytes(cv2.imencode('.png', image)[1].tobytes())
    return str(path)


def test_search(page, upload):
    ranked, attributes, cleared, result = page.find(upload, 4, '')
    assert ranked.count('<li') == ranked.count('<img') == 4 and 'person 2' in ranked and cleared == ''
    for match in result.matches:
        assert f'<b>{match.distance:.3f}</b>' in ranked and f'id {match.id}<' in ranked
        assert f'person {match.pid}, camera {match.camid}, distance {match.distance:.3f}' in ranked
    assert attributes.count('<tr>') == 26
    for name, score in result.attributes.items():
        assert f'>{name.replace("&", "&amp;")}</th>' in attributes and f'{score:.2f}</td>' in attributes
    cameras = {match.camid for match in page.find(upload, 50, ' 1 ')[3].matches}
    assert cameras and 1 not in cameras
    assert page.look_inside(result).count('<img') == 3 * 5 and page.look_inside(None) == ''


def test_mistakes_are_told_on_the_page(page, upload, tmp_path):
    assert 'role="alert">Choose a picture' in page.find(None, 10, None)[0]
    assert '&#x27;one&#x27; is not a whole number' in page.find(upload, 10, 'one')[0]
    assert 'was not uploaded here' in page.find(__file__, 10, '')[0]
    assert 'was not uploaded here' in page.find(f'{tmp_path}/../upload.png', 10, '')[0]
    wrong = tmp_path / 'wrong.png'
    wrong.write_text('<script>')
    for told in (page.find(str(wrong), 10, '')[0], page.enroll([str(wrong)], '', '')[0]):
        assert told.startswith('<p class="mm-alert" role="alert">This is not a picture that can be read')
    assert 'is not a whole number' in page.enroll([upload], '²', '')[0]
    assert '0 pictures' in page.enroll(None, '', '')[0]
    assert 'either' in page.delete('', '')[0] and 'no person 9999' in page.delete('9999', None)[0]


def test_enroll_and_delete(page, upload):
    assert '192 images' in page.about()
    told, people, about = page.enroll([upload, upload], '300', '7')
    assert 'Enrolled 2 images of person 300' in told and '194 images of 25 people' in people and '194 images' in about
    # A photograph is found, and not judged.
    assert 'Nearest: person 300 at distance 0.000' in page.find(upload, 1, '')[0]
    told, people, about = page.delete('300', '')
    assert 'Deleted 2 images' in told and '192 images of 24 people' in people and people.count('<li') == 24
    assert '192 images' in about


MATCH = Match(id=5, path='a.jpg', pid=3, camid=1, distance=0.25, same_person=True)


def found(*matches: Match, outside: bool = False) -> SearchResult:
    return SearchResult(np.zeros((8, 8, 3), np.uint8), list(matches), [None] * len(matches), None, outside)


def test_the_verdict_names_the_nearest_person():
    where = 'person 3 at distance 0.250'
    answer, details, badges = page_module.verdict(found(MATCH), 0.3)
    assert answer.startswith(f'The same person: {where}') and '0.300' in details and badges == ['same']
    answer, details, badges = page_module.verdict(found(replace(MATCH, same_person=False)), 0.2)
    assert answer.startswith('Nobody') and where in details and badges == ['other']
    assert page_module.verdict(found(), 0.3)[2] == []
    answer, _, badges = page_module.verdict(found(replace(MATCH, same_person=None)), None)
    assert answer.startswith(f'Nearest: {where}') and badges == ['']


def test_badges_follow_the_verdict():
    # pid, whether the distance is within the threshold, badge: the person of the nearest image is "same", within the
    # threshold or not, and everybody else is "other", within the threshold or not.
    rows = [(3, True, 'same'), (8, True, 'other'), (3, True, 'same'), (3, False, 'same'), (9, False, 'other')]
    matches = [replace(MATCH, id=i, pid=pid, same_person=same) for i, (pid, same, _) in enumerate(rows)]
    answer, details, badges = page_module.verdict(found(*matches), 0.3)
    assert badges == [badge for *_, badge in rows]
    # The mistake of the threshold is told.
    assert answer.startswith('The same person: person 3 ') and 'person 8' in details and 'person 9' not in details
    html = page_module.ranked_list(found(*matches), 0.3)
    assert re.findall('<li class="mm-card mm-(.*?)"', html) == badges
    # Beyond the threshold nobody is the same person. Of unknown people nobody knows whether they are.
    far = [replace(match, same_person=False) for match in matches]
    assert set(page_module.verdict(found(*far), 0.3)[2]) == {'other'}
    unknown = [replace(MATCH, pid=-1), replace(MATCH, pid=-1), MATCH]
    assert page_module.verdict(found(*unknown), 0.3)[2] == ['same', '', '']


@pytest.mark.parametrize('drawn_only', [True, False])
@pytest.mark.parametrize('threshold', [0.3, None])
def test_no_verdict_outside(drawn_only, threshold):
    outside = found(replace(MATCH, same_person=None), replace(MATCH, same_person=None), outside=True)
    answer, details, badges = page_module.verdict(outside, threshold, drawn_only)
    assert answer.startswith('No verdict') and 'person 3 at distance 0.250' in details and badges == ['', '']
    html = page_module.ranked_list(outside, threshold, drawn_only)
    assert 'mm-badge' not in html and 'mmosnet demo CONFIG CHECKPOINT' in html and 'the same person' not in html.lower()
    # Not even where only the nearest image is outside.
    answer, _, badges = page_module.verdict(found(replace(MATCH, same_person=None), MATCH), 0.3)
    assert answer.startswith('No verdict') and badges == ['', '']


def test_a_photograph_gets_no_verdict(page, upload):
    ranked, attributes, _, _ = page.find(upload, 4, '')
    assert 'No verdict' in ranked and 'The same person' not in ranked and 'mm-badge' not in ranked
    assert page_module.UNSURE_ATTRIBUTES in attributes
    image, ranked, attributes, _, _ = page.find_example('0', 4, '')
    assert 'The same person: person 203' in ranked and page_module.UNSURE_ATTRIBUTES not in attributes
    assert np.array_equal(image[:, :, ::-1], page.examples[0])


def test_examples_and_cards_search(page):
    for number in (None, 'x', '-1', '1' * 5000, [1]):
        assert 'role="alert"' in page.find_stored(number, 4, '')[1]
    assert '99999' in page.find_stored('99999', 4, '')[1]
    image, ranked, _, cleared, result = page.find_stored(17, 4, '')
    assert image.shape == (128, 64, 3) and cleared == '' and '17' in re.search('<p.*?</p>', ranked)[0]
    assert re.findall(r'data-number="(\d+)"', ranked) == [str(match.id) for match in result.matches]
    assert len(result.matches) == 4 and 17 not in {match.id for match in result.matches}
    assert re.findall(r'data-number="(\d+)"', page_module.example_buttons(page.examples)) == list('01234')
    # Each person of the overview by an image of that person.
    ids = [int(id) for id in re.findall(r'data-number="(\d+)"', page.people())]
    assert [record.pid for record in page.search.gallery.records(ids)] == sorted(page.search.gallery.pids())


def test_what_the_weights_know(person_model):
    assert 'drawn people only' in page_module.about_model('weights <b>', person_model)
    assert 'weights &lt;b&gt;' in page_module.about_model('weights <b>', person_model)
    trained = SimpleNamespace(knows_drawn_only=False, training_sets=['Market1501', 'MSMT17'])
    assert 'Market1501, MSMT17' in page_module.about_model('x', trained)
    assert 'drawn' not in page_module.about_model('x', SimpleNamespace(knows_drawn_only=False, training_sets=[]))


def test_before_the_first_search():
    told = page_module.introduction(has_examples=True, has_attributes=True)
    assert 'example' in told and 'attributes' in told
    told = page_module.introduction(has_examples=False, has_attributes=False)
    assert 'example' not in told and 'attributes' not in told


def test_a_match_without_picture_or_camera():
    html = page_module.ranked_list(found(replace(MATCH, camid=-1, same_person=None)), None)
    assert 'no picture here' in html and 'camera unknown' in html and 'mm-badge' not in html and '<img' not in html
    assert '<button' not in html and 'Click' not in html


def test_gate_weights_are_message():
    weights = GateWeights(
        images=['query', 'rank <1>'],
        blocks=['stages.0.0', 'stages.1.0'],
        streams=['3x3', '5x5'],
        by_block=np.array([[[0.5, 0.4], [0.2, 0.3]], [[0.5, 0.6], [0.2, 0.1]]]),
        contrast=np.array([[0.1, 0.2], [0.3, 0.4]]),
    )
    html = page_module.inside(Inside([MappedImage('query', np.zeros((64, 32, 3), np.uint8), {})], weights))
    # A row of means and a row per image, for each stage. The second stream's means are 0.5 and 0.2, from which the
    # images depart by a fifth and by half.
    values = [
        '0.500',
        '0.500',
        '0.500',
        '0.400',
        '0.500',
        '0.600',
        '0.200',
        '0.200',
        '0.200',
        '0.300',
        '0.200',
        '0.100',
    ]
    assert re.findall('<td[^>]*>(0[.0-9]*)', html) == values
    departures = re.findall('<small>(.*?)</small>', html)
    assert departures[0] == '0.0%'
    assert [departures[1], departures[3], departures[5], departures[7]] == ['-20.0%', '+20.0%', '+50.0%', '-50.0%']
    # The largest departure has the strongest color.
    assert re.findall(r'rgba\((\d+),.*?,([.0-9]+)\)', html)[-1] == ('67', '0.70')
    assert 'contrast 0.200' in html and 'contrast 0.300' in html and '&lt;1&gt;' in html and '<1>' not in html


def test_names_cannot_write_html():
    html = page_module.attribute_table({'<b onclick="x">': 0.9, "a'": 0.1}) + page_module.alert('<img src=x>')
    assert '<b' not in html and '<img' not in html and '&lt;b onclick=&quot;x&quot;&gt;' in html
    assert 'None has a score' in page_module.attribute_table({'hat': 0.2})


def test_pictures_are_reduced_and_embedded():
    html = page_module.picture(np.zeros((400, 100, 3), np.uint8), 'a "person"')
    data = re.fullmatch('<img src="data:image/jpeg;base64,(.*)" alt="a &quot;person&quot;">', html)[1]
    assert len(data) < 5000


def test_large_galleries_show_some_people():
    info = dict(images=500, identities=100, unknown=3, threshold=None, distance='euclidean')
    html = page_module.people_grid([Person(-1, 3, None), Person(1, 1, None)], info)
    assert '500 images of 100 people. Distance: euclidean; threshold: none.' in html and 'And 99 more people' in html
    assert 'unknown person' in html and '>1 image<' in html


def test_people_are_called_by_their_names(page, upload):
    told, people, _ = page.enroll([upload], 'Anna <b>', '')
    assert 'Enrolled 1 image' in told and 'Anna &lt;b&gt; (225)' in people and '<b>' not in people
    # The number means the person that has it.
    page.enroll([upload], '225', '')
    page.enroll([upload], 'Anna <b>', '')
    assert page.search.gallery.pids()[225] == 3 and page.search.gallery.names['pid'] == {225: 'Anna <b>'}
    ranked = page.find(upload, 1, '')[0]
    assert 'Nearest: Anna &lt;b&gt; (225) at distance 0.000' in ranked
    assert 'knows no such name' in page.delete('Bob', '')[0]
    told, people, _ = page.delete('Anna <b>', '')
    assert 'Deleted 3 images' in told and 'Anna' not in people
    assert not list(page.search.pictures.enrolled.glob('225_*'))
    for wrong in ('-5', '1.5', '1e3'):
        assert 'is not a whole number' in page.enroll([upload], wrong, '')[0]
