import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmosnet.errors import DataError
from mmosnet.features import Features
from mmosnet.features.features import own_numbers


def features(number=4, dimension=3, model='a'):
    rows = np.arange(number)
    return Features(
        rows[:, None] + np.arange(dimension), [f'{row}.jpg' for row in rows], rows, rows % 2, rows / 2, model
    )


def test_columns_get_their_types():
    found = features()
    assert found.embedding.dtype == np.float32 and found.embedding.shape == (4, 3)
    assert (found.pid.dtype, found.camid.dtype, found.time.dtype) == (np.int64, np.int64, np.float64)
    assert len(found) == 4 and found.dimension == 3
    # Whole numbers stay what they are, whatever type they come in.
    assert Features(np.ones((1, 2)), ['a'], [3.0], np.array([2], np.uint8), [1]).pid.tolist() == [3]


def test_rows_are_chosen_as_numpy_does():
    found = features()
    assert found[[2, 0]].path == ['2.jpg', '0.jpg'] and found[[2, 0]].embedding[:, 0].tolist() == [2, 0]
    assert found[found.camid == 1].pid.tolist() == [1, 3]
    assert found[1:3].time.tolist() == [0.5, 1.0] and found[1:3].model == 'a'
    assert found[[-1]].path == ['3.jpg']
    assert len(found[[]]) == 0 and found[[]].embedding.shape == (0, 3)
    with pytest.raises(IndexError):
        found[[4]]
    with pytest.raises(TypeError, match=r'write features\[\[row\]\]'):
        found[2]


def test_parts_are_joined_in_order():
    parts = [features(2), features(0), features(3)]
    joined = Features.concat(parts)
    assert joined.path == ['0.jpg', '1.jpg', '0.jpg', '1.jpg', '2.jpg'] and joined.model == 'a'
    assert joined.embedding.tolist() == [row for part in parts for row in part.embedding.tolist()]
    with pytest.raises(DataError, match=r'features 0 and 1: .*3 and 4'):
        Features.concat([features(), features(dimension=4)])
    with pytest.raises(DataError, match=r"of the models 'a' and unknown"):
        Features.concat([features(), features(model='')])
    with pytest.raises(DataError, match=r'no features to join'):
        Features.concat([])


def named(pids, camids=None, **others):
    """Return features of people with these names."""
    number = len(pids)
    camids = [0] * number if camids is None else camids
    return Features(np.ones((number, 2)), [str(row) for row in range(number)], pids, camids, [0.0] * number, **others)


def called(found, key='pid'):
    """Return the name of each row's person; None if unknown."""
    labels = found.labels(key)
    return [labels.get(number) for number in getattr(found, key).tolist()]


@pytest.mark.parametrize(
    ('pids', 'numbers', 'names'),
    [
        (['anna', 'bob', 'anna'], [1, 2, 1], {1: 'anna', 2: 'bob'}),
        (np.array(['bob', 'anna']), [2, 1], {1: 'anna', 2: 'bob'}),
        # A name that is a whole number gets that number.
        (['2', 'anna', 'bob'], [2, 1, 3], {1: 'anna', 3: 'bob'}),
        (['anna', 1, -1, '-1'], [2, 1, -1, -1], {2: 'anna'}),
        (['7', '07'], [7, 1], {1: '07'}),
        (['07', '8'], [7, 8], {7: '07'}),
        # One person in two spellings of Unicode, and with blanks around.
        (['Zoe\u0308', 'Zoë', ' Zoë '], [1, 1, 1], {1: 'Zoë'}),
        (np.array(['anna', 3], object), [1, 3], {1: 'anna'}),
        ([2**62, 3.0], [2**62, 3], {}),
        (np.array([2**63 - 1], np.uint64), [2**63 - 1], {}),
    ],
)
def test_people_may_have_names(pids, numbers, names):
    found = named(pids)
    assert found.pid.tolist() == numbers and found.pid.dtype == np.int64
    assert found.names == dict(pid=names, camid={})
    found = named(np.zeros(len(pids), int), pids)
    assert found.camid.tolist() == numbers and found.names == dict(pid={}, camid=names)


def test_names_go_with_their_rows():
    found = named(['anna', 'bob', 4, 'carl'], ['hall', 'door', -1, 0], source='edge')
    assert found[[3, 2]].names == dict(pid={3: 'carl'}, camid={}) and found[:0].names == dict(pid={}, camid={})
    assert found[1:2].names == dict(pid={2: 'bob'}, camid={1: 'door'}) and found[[0]].source == ['edge']


def test_joined_features_know_people_by_their_names():
    joined = Features.concat([named(['anna', 'bob'], source='a'), named(['bob', 'carl'], source='b')])
    assert called(joined) == ['anna', 'bob', 'bob', 'carl'] and len(set(joined.pid.tolist())) == 3
    assert joined.source == ['a', 'a', 'b', 'b']
    # Only the person 1 has the number 1.
    joined = Features.concat([named(['anna', 'bob']), named([1, 2, -1])])
    assert called(joined) == ['anna', 'bob', '1', '2', None] and joined.pid[2:].tolist() == [1, 2, -1]
    joined = Features.concat([named([0, 0], ['door', 'hall']), named([0], [1])])
    assert called(joined, 'camid') == ['door', 'hall', '1'] and joined.camid[2] == 1
    assert Features.concat([named([1, 2]), named([2, 3])]).pid.tolist() == [1, 2, 2, 3]


PEOPLE = st.lists(st.sampled_from(['anna', 'bob', '1', '2', '02', 'Zoë', -1, 0, 1, 2, 3, 10**12]), max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.lists(PEOPLE, min_size=1, max_size=4))
def test_joining_against_a_list_of_names(parts):
    joined = Features.concat([named(part) for part in parts])
    expected = [None if value == -1 else str(value) for part in parts for value in part]
    assert called(joined) == expected
    # As many numbers as names, and those without a name are called as they are numbered.
    assert len({*joined.pid.tolist()} - {-1}) == len({*expected} - {None})
    assert joined == named([-1 if value is None else value for value in expected], source='')[:] or len(parts) > 1


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text('a012', min_size=1, max_size=3)),
    st.dictionaries(st.text('ab01', min_size=1, max_size=3), st.integers(0, 5)),
)
def test_numbers_are_ones_own(names, known):
    known = {name: number for number, name in {number: name for name, number in known.items()}.items()}
    found = own_numbers(names, known)
    assert set(found) == set(names) and len(set(found.values())) == len(found)
    for name, number in found.items():
        assert number == known[name] if name in known else number not in known.values()


def test_equal_features():
    one = named(['anna', 'bob'], source='edge')
    one.time[0] = np.nan
    assert one == one[:] and one != one[::-1] and one != named(['anna', 'bob'], source='edge')
    # People are equal by name, not by number.
    pair = [Features(np.ones((1, 2)), ['x'], [number], [0], [0], names=dict(pid={number: 'anna'})) for number in (1, 5)]
    assert pair[0] == pair[1] and pair[0] != named(['anna']) and pair[0] != named([1])
    for change in (dict(source='core'), dict(model='b')):
        assert named(['anna'], **change) != named(['anna'])
    assert named(['anna']) != 'anna'


COLUMNS = dict(embedding=np.ones((2, 3)), path=['a', 'b'], pid=[1, 2], camid=[0, 0], time=[0, 0])


@pytest.mark.parametrize('key', ['pid', 'camid'])
@pytest.mark.parametrize(
    ('values', 'row', 'value'),
    [
        (['anna', None], 1, 'None'),
        ([None, None], 0, 'None'),
        (['anna', float('nan')], 1, 'nan'),
        ([3, float('nan')], 1, 'nan'),
        (np.array([1, np.nan]), 1, 'nan'),
        ([True, False], 0, 'True'),
        ([1, np.True_], 1, 'True'),
        ([1, 2**63], 1, '9223372036854775808'),
        ([2**70, 1], 0, '1180591620717411303424'),
        (np.array([1, 2**64 - 1], np.uint64), 1, '18446744073709551615'),
        ([1.0, 1e300], 1, '1e\\+300'),
        ([1, -2], 1, '-2'),
        ([1, 1.5], 1, '1.5'),
        ([2.0, 1.5], 1, '1.5'),
        (['anna', ''], 1, "''"),
        (['anna', ' '], 1, "' '"),
        (['a\nb', 'anna'], 0, 'a.*b'),
        (['anna', '\ud800'], 1, 'ud800'),
        ([b'anna', 'bob'], 0, "b'anna'"),
        (np.array(['2026-01-01', '2026-01-02'], 'M8[D]'), 0, '2026'),
    ],
)
def test_identities_that_are_none(key, values, row, value):
    with pytest.raises(DataError, match=rf'{key}.*row {row}.*{value}'):
        Features(**COLUMNS | {key: values})


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(embedding=np.ones(3)), r'shape \(3,\): give \(N, D\)'),
        (dict(embedding=np.ones((2, 0))), 'give'),
        (dict(path=['a']), r'2 embeddings, but path \(1,\)'),
        (dict(pid=[1, 2, 3]), r'pid \(3,\)'),
        (dict(camid=[[1], [2]]), r'camid \(2, 1\)'),
        (dict(time=['1.5', '2']), "time, row 0: '1.5'"),
        (dict(time=[0, None]), 'time, row 1: None'),
        (dict(time=[0.5, True]), 'time, row 1: True'),
        (dict(time=[0, float('inf')]), 'time, row 1: inf'),
        (dict(time=[0, 10**400]), 'time'),
        (dict(time=[0, 1.7e12]), 'time, row 1: 1700000000000 .*milliseconds'),
        (dict(pid=['anna', 'nan']), "pid, row 1: 'nan'"),
        (dict(path=['a', 7]), 'path, row 1: 7'),
        (dict(path='ab'), "path='ab'"),
        (dict(source=['a', None]), 'source, row 1: None'),
        (dict(source=['a']), r'source \(1,\)'),
        (dict(pid='ab'), "pid='ab'"),
        (dict(pid=5), 'pid=5'),
        (dict(camid=None), 'camid=None'),
        (dict(pid=[['anna'], ['bob']]), 'pid'),
        (dict(pid=[[1], [2, 3]]), 'pid'),
        (dict(embedding=[['a', 'b'], ['c', 'd']]), 'embedding'),
        (dict(embedding=[[1, 2], [3]]), 'embedding'),
        (dict(names={1: 'anna'}), 'names'),
        (dict(names=dict(pid=['anna'])), 'names'),
        (dict(names=dict(pid={1: 'anna', 2: 'anna'})), r"1 and 2 are both called 'anna'"),
        (dict(names=dict(pid={1: '2'})), r"1 and 2 are both called '2'"),
        (dict(names=dict(pid={1: ''})), "''"),
        (dict(pid=['a', 'b'], names=dict(pid={1: 'c'})), 'pid has names, and names'),
        (dict(track=['7']), r'track \(1,\)'),
        (dict(track=['7', 1.5]), 'track, row 1: 1.5'),
        (dict(track=['7', None]), 'track, row 1: None'),
        (dict(track=['7', -2]), 'track, row 1: -2'),
        (dict(track=[True, 7]), 'track, row 0: True'),
        (dict(track=['7', 'nan']), "track, row 1: 'nan'"),
        (dict(track=['7', 'a\nb']), 'track, row 1: .a.nb'),
        (dict(track=b'ab'), 'track'),
        (dict(track='7', frames=[1, 0]), 'frames, row 1: 0'),
        (dict(track='7', frames=[-1, 1]), 'frames, row 0: -1'),
        (dict(track='7', frames=[1, 1.5]), 'frames, row 1: 1.5'),
        (dict(track='7', frames=[1, float('nan')]), 'frames, row 1: nan'),
        (dict(track='7', frames=[1, None]), 'frames, row 1: None'),
        (dict(track='7', frames=[True, True]), 'frames, row 0: True'),
        (dict(track='7', frames=[1, 2**60]), f'frames, row 1: {2**60}'),
        (dict(track='7', frames=[1, 2**70]), f'frames, row 1: {2**70}'),
        (dict(track='7', frames=[1, '2']), "frames, row 1: '2'"),
        (dict(track='7', frames=[1]), r'frames \(1,\)'),
        (dict(track=['7', ''], frames=2), 'frames, row 1: 2 images and no track'),
        (dict(attributes='hat'), "attributes='hat'"),
        (dict(attributes=['hat', 'bag']), "attributes, row 0: 'hat'"),
        (dict(attributes=[('hat',), 7]), 'attributes, row 1: 7'),
        (dict(attributes=[('hat',), (7,)]), r'attributes, row 1: \(7,\)'),
        (dict(attributes=[('hat',), ('',)]), "attributes, row 1: ''"),
        (dict(attributes=[('hat',)]), r'attributes \(1,\)'),
    ],
)
def test_columns_that_do_not_fit(change, message):
    with pytest.raises(DataError, match=message):
        Features(**COLUMNS | change)


def test_tracks_and_attributes():
    columns = dict(track=['Gasse, 7', 7, '', -1, np.int64(0)], frames=[3, 2.0, 1, 1, 1])
    columns |= dict(attributes=[['hat', 'bag', 'hat'], ('e\u0301',), {'bag'}, (), []])
    found = Features(**vars(features(5)) | columns)
    assert found.track == ['Gasse, 7', '7', '', '', '0'] and found.frames.tolist() == [3, 2, 1, 1, 1]
    assert found.frames.dtype == np.int64 and found.has_tracks and not features().has_tracks
    assert found.attributes == [('bag', 'hat'), ('é',), ('bag',), (), ()]
    assert Features(**vars(features()) | dict(track='a', frames=np.arange(1, 5))).track == ['a'] * 4
    assert Features(**vars(features()) | dict(track=np.array([3, 1, -1, 2]))).track == ['3', '1', '', '2']
    assert features().track == [''] * 4 and features().frames.tolist() == [1] * 4 and features().attributes == [()] * 4
    chosen = found[[1, 0]]
    assert (chosen.track, chosen.frames.tolist(), chosen.attributes) == (
        ['7', 'Gasse, 7'],
        [2, 3],
        [('é',), ('bag', 'hat')],
    )
    assert Features.concat([found[:2], features(0), found[2:]]) == found
    assert found.renumbered('pid', {str(number): number + 1 for number in range(5)}).track == found.track
    for change in (dict(track=['a'] * 5), dict(frames=[4, 2, 1, 1, 1]), dict(attributes=[()] * 5)):
        assert Features(**vars(found) | change) != found
