"""Pictures that never change, and labels that are true to them."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest

from mmosnet.synthetic.camera import sample_camera
from mmosnet.synthetic.identity import ATTRIBUTES, attribute_vector, sample_identity
from mmosnet.synthetic.people import render_person

# zlib.crc32 of rendered arrays, not of JPEG files, for all six scenes; seen with OpenCV 4.8 and 5.0
# and with numpy 1.26 and 2.4. If pictures are meant to change, raise RENDERER_VERSION too.
GOLDEN = {
    (0, 1, 0, 0): 171617512,
    (0, 2, 1, 1): 2631478147,
    (0, 3, 2, 2): 259018463,
    (0, 12, 3, 3): 204031151,
    (0, 27, 4, 0): 2581716412,
    (0, 140, 5, 1): 3875348515,
    (7, 5, 0, 2): 3552547410,
    (7, 65535, 3, 9): 597811800,
}


def render(seed: int, pid: int, camid: int, index: int, **kwargs) -> np.ndarray:
    return render_person(sample_identity(seed, pid), sample_camera(seed, camid), seed, index, **kwargs)[0]


@pytest.mark.parametrize('key', GOLDEN)
def test_pictures_never_change(key):
    assert zlib.crc32(render(*key).tobytes()) == GOLDEN[key]


def test_shape_type_and_contrast():
    picture = render(0, 5, 1, 0)
    assert picture.shape == (128, 64, 3) and picture.dtype == np.uint8
    assert picture.std() > 10
    assert render(0, 5, 1, 0, size=(256, 128)).shape == (256, 128, 3)
    assert render(0, 5, 1, 0, size=(300, 300)).shape == (300, 300, 3)
    with pytest.raises(ValueError, match='at least'):
        render(0, 5, 1, 0, size=(4, 64))


def test_alone_or_in_sequence_is_the_same():
    keys = [(0, pid, camid, index) for pid in (1, 2) for camid in (0, 1) for index in (0, 1)]
    forward = {key: render(*key) for key in keys}
    np.random.seed(7)  # no global state is read ...
    state = np.random.get_state()[1].copy()
    for key in reversed(keys):
        np.testing.assert_array_equal(render(*key), forward[key])
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # ... nor written


def test_everything_in_the_key_matters():
    first = render(0, 1, 0, 0).astype(int)
    for key in ((1, 1, 0, 0), (0, 2, 0, 0), (0, 1, 1, 0), (0, 1, 0, 1)):
        assert np.abs(render(*key).astype(int) - first).mean() > 3, key


def test_identities_differ():
    people = [sample_identity(0, pid) for pid in range(1, 301)]
    looks = {replace(person, pid=0) for person in people}
    assert len(looks) == len(people)
    assert sample_identity(0, 17) == people[16]


def test_cameras_differ_in_scene():
    cameras = [sample_camera(3, camid) for camid in range(6)]
    assert len({camera.scene for camera in cameras}) == 6


def groups(vector: np.ndarray, *names: str) -> list[int]:
    return [int(vector[ATTRIBUTES.index(name)]) for name in names]


def test_attribute_names_are_the_official_26():
    assert len(ATTRIBUTES) == len(set(ATTRIBUTES)) == 26
    assert ATTRIBUTES[0] == 'Female' and ATTRIBUTES[15] == 'UpperStride' and ATTRIBUTES[25] == 'boots'


def test_exclusive_attributes():
    camera, seen = sample_camera(0, 0), np.zeros(26, int)
    for pid in range(1, 121):
        identity = sample_identity(0, pid)
        _, facts = render_person(identity, camera, 0, 0)
        vector = attribute_vector(identity, facts)
        assert vector.shape == (26,) and vector.dtype == np.uint8 and set(vector) <= {0, 1}
        assert sum(groups(vector, 'AgeOver60', 'Age18-60', 'AgeLess18')) == 1
        assert sum(groups(vector, 'Front', 'Side', 'Back')) == 1
        assert sum(groups(vector, 'ShortSleeve', 'LongSleeve')) == 1
        assert sum(groups(vector, 'Trousers', 'Shorts', 'Skirt&Dress')) == 1
        assert sum(groups(vector, 'UpperStride', 'UpperLogo', 'UpperPlaid', 'UpperSplice')) <= 1
        assert sum(groups(vector, 'HandBag', 'ShoulderBag', 'Backpack')) <= 1
        seen += vector
    assert (seen > 0).all() and (seen < 120).all()  # every attribute has both values


def test_attributes_are_drawn():
    """A label that is true changes the picture: without the thing, other pixels."""
    camera, person = sample_camera(0, 3), sample_identity(0, 4)
    plain = replace(
        person,
        bag='none',
        hat='none',
        pattern='plain',
        boots=False,
        coat=False,
        lower='trousers',
        sleeve='short',
    )
    before, facts = render_person(plain, camera, 0, 0)
    zeros = groups(
        attribute_vector(plain, facts),
        'Hat',
        'Backpack',
        'UpperStride',
        'boots',
        'LongCoat',
        'Shorts',
    )
    assert zeros == [0] * 6
    changes = dict(
        Hat=dict(hat='cap'),
        HandBag=dict(bag='hand'),
        ShoulderBag=dict(bag='shoulder'),
        Backpack=dict(bag='backpack'),
        UpperStride=dict(pattern='stripe'),
        UpperPlaid=dict(pattern='plaid'),
        UpperSplice=dict(pattern='splice'),
        LongSleeve=dict(sleeve='long'),
        LongCoat=dict(coat=True, sleeve='long'),
        Shorts=dict(lower='shorts'),
        boots=dict(boots=True),
    )
    changes['Skirt&Dress'] = dict(lower='skirt')
    for name, change in changes.items():
        changed = replace(plain, **change)
        after, facts = render_person(changed, camera, 0, 0)
        assert groups(attribute_vector(changed, facts), name) == [1]
        assert np.count_nonzero((after != before).any(-1)) > 10, name


def test_logo_and_glasses_count_only_where_they_show():
    camera = sample_camera(0, 0)
    person = replace(sample_identity(0, 9), pattern='logo', pattern_back=False, glasses=True)
    seen = set()
    for index in range(40):
        _, facts = render_person(person, camera, 0, index)
        vector = attribute_vector(person, facts)
        if facts['viewpoint'] == 'back':
            assert groups(vector, 'UpperLogo', 'Glasses', 'HoldObjectsInFront') == [0, 0, 0]
        if facts['viewpoint'] == 'front':
            assert groups(vector, 'UpperLogo', 'Glasses') == [1, 1]
        seen.add(facts['viewpoint'])
    assert seen == {'front', 'side', 'back'}


def test_unknown_viewpoint_raises():
    with pytest.raises(ValueError, match='viewpoint'):
        attribute_vector(
            sample_identity(0, 1),
            dict(viewpoint='top', glasses=False, logo=False, holds_object=False),
        )
