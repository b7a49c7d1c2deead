"""What the page's buttons answer, without a browser."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mmosnet.demo import page_parts
from mmosnet.demo.page import Page
from mmosnet.demo.person_search import Found, Person
from mmosnet.gallery import Match


@pytest.fixture
def page(drawn, tmp_path):
    return Page(drawn[0], tmp_path)


@pytest.fixture
def upload(tmp_path):
    path = tmp_path / 'upload.png'
    image = np.random.RandomState(0).randint(0, 256, (128, 64, 3), np.uint8)
    path.write_bytes(cv2.imencode('.png', image)[1].tobytes())
    return str(path)


def test_search(page, upload):
    ranked, attributes, cleared, found = page.find(upload, 4, '')
    assert ranked.count('<li') == ranked.count('<img') == 4 and 'person 2' in ranked and cleared == ''
    for match in found.matches:
        assert f'<b>{match.distance:.3f}</b>' in ranked and f'id {match.id}<' in ranked
        assert f'person {match.pid}, camera {match.camid}, distance {match.distance:.3f}' in ranked
    assert attributes.count('<tr>') == 26
    for name, score in found.attributes.items():
        assert f'>{name.replace("&", "&amp;")}</th>' in attributes and f'{score:.2f}</td>' in attributes
    cameras = {match.camid for match in page.find(upload, 50, ' 1 ')[3].matches}
    assert cameras and 1 not in cameras
    assert page.look_inside(found).count('<img') == 2 and page.look_inside(None) == ''


def test_mistakes_are_told_on_the_page(page, upload, tmp_path):
    assert 'role="alert">Choose a picture' in page.find(None, 10, None)[0]
    assert '&#x27;one&#x27; is no whole number' in page.find(upload, 10, 'one')[0]
    assert 'was not uploaded here' in page.find(__file__, 10, '')[0]
    assert 'was not uploaded here' in page.find(f'{tmp_path}/../upload.png', 10, '')[0]
    wrong = tmp_path / 'wrong.png'
    wrong.write_text('<script>')
    for told in (page.find(str(wrong), 10, '')[0], page.enroll([str(wrong)], '', '')[0]):
        assert told.startswith('<p class="mm-alert" role="alert">This is no picture that can be read')
    assert 'is no whole number' in page.enroll([upload], '²', '')[0]
    assert '0 pictures' in page.enroll(None, '', '')[0]
    assert 'either' in page.delete('', '')[0] and 'no person 9999' in page.delete('9999', None)[0]


def test_enroll_and_delete(page, upload):
    told, people = page.enroll([upload, upload], '300', '7')
    assert 'Enrolled 2 images of person 300' in told and '194 images of 25 people' in people
    assert 'The same person: person 300 at distance 0.000' in page.find(upload, 1, '')[0]
    told, people = page.delete('300', '')
    assert 'Deleted 2 images' in told and '192 images of 24 people' in people and people.count('<li') == 24


MATCH = Match(id=5, path='a.jpg', pid=3, camid=1, distance=0.25, same_person=True)


@pytest.mark.parametrize(
    ('matches', 'threshold', 'expected'),
    [
        ([], 0.3, 'Nobody to compare with'),
        ([MATCH], 0.3, 'The same person: person 3 at distance 0.250, within the threshold of 0.300.'),
        ([replace(MATCH, same_person=False)], 0.2, 'Nobody in the gallery: the nearest is person 3'),
        (
            [replace(MATCH, same_person=None)],
            None,
            'Nearest: person 3 at distance 0.250. This gallery has no threshold',
        ),
        ([replace(MATCH, pid=-1)], 0.3, 'The same person: unknown person'),
    ],
)
def test_verdict(matches, threshold, expected):
    assert page_parts.verdict(matches, threshold).startswith(expected)


def test_a_match_without_picture_or_camera():
    found = Found(np.zeros((8, 8, 3), np.uint8), [replace(MATCH, camid=-1, same_person=None)], [None], None)
    html = page_parts.ranked_list(found, None)
    assert 'no picture here' in html and 'camera unknown' in html and 'mm-badge' not in html and '<img' not in html


def test_names_cannot_write_html():
    html = page_parts.attribute_table({'<b onclick="x">': 0.9, "a'": 0.1}) + page_parts.alert('<img src=x>')
    assert '<b' not in html and '<img' not in html and '&lt;b onclick=&quot;x&quot;&gt;' in html
    assert 'None has a score' in page_parts.attribute_table({'hat': 0.2})


def test_pictures_are_reduced_and_embedded():
    html = page_parts.picture(np.zeros((400, 100, 3), np.uint8), 'a "person"')
    data = re.fullmatch('<img src="data:image/jpeg;base64,(.*)" alt="a &quot;person&quot;">', html)[1]
    assert len(data) < 5000


def test_large_galleries_show_some_people():
    info = dict(images=500, identities=100, unknown=3, threshold=None, distance='euclidean')
    html = page_parts.people_grid([Person(-1, 3, None), Person(1, 1, None)], info)
    assert '500 images of 100 people. Distance: euclidean; threshold: none.' in html and 'And 99 more people' in html
    assert 'unknown person' in html and '>1 image<' in html


def test_people_are_called_by_their_names(page, upload):
    told, people = page.enroll([upload], 'Anna <b>', '')
    assert 'Enrolled 1 image' in told and 'Anna &lt;b&gt; (225)' in people and '<b>' not in people
    # The number means the person that has it.
    page.enroll([upload], '225', '')
    page.enroll([upload], 'Anna <b>', '')
    assert page.search.gallery.pids()[225] == 3 and page.search.gallery.names['pid'] == {225: 'Anna <b>'}
    ranked = page.find(upload, 1, '')[0]
    assert 'The same person: Anna &lt;b&gt; (225) at distance 0.000' in ranked
    assert 'knows no such name' in page.delete('Bob', '')[0]
    told, people = page.delete('Anna <b>', '')
    assert 'Deleted 3 images' in told and 'Anna' not in people
    assert not list(page.search.pictures.enrolled.glob('225_*'))
    for wrong in ('-5', '1.5', '1e3'):
        assert 'is no whole number' in page.enroll([upload], wrong, '')[0]
