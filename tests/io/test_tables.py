from __future__ import annotations

import unicodedata

import pytest

from mmosnet.errors import DataError
from mmosnet.io.tables import alike_names, camera_number, identity, number_names, seconds


def test_numbers_and_dates():
    assert seconds('12.5', 'time') == 12.5 and seconds('1.7e9', 'time') == 1_700_000_000 and seconds('0', 'time') == 0
    assert seconds('1970-01-02T00:00:01.5+00:00', 'time') == 86401.5
    assert seconds('1970-01-01T00:00:00.1234567Z', 'time') == 0.123456
    assert seconds('1970-01-01T02:00:00+02:00', 'time') == 0
    assert seconds('1970-01-01T00:01Z', 'time') == seconds('1970-01-01 00:01', 'time') == 60
    assert seconds('2099-12-31T23:59:59Z', 'time') == 4_102_444_799


@pytest.mark.parametrize('text', ['', 'noon', 'nan', 'NaN', 'inf', '2026-13-01', '12:00', '1_000', '١٢'])
def test_anything_else(text):
    with pytest.raises(DataError, match=f"row 2: time '{text}' is neither seconds nor a date"):
        seconds(text, 'row 2: time')


@pytest.mark.parametrize(
    ('text', 'cause'),
    [
        ('1777636800000', 'milliseconds'),
        ('1777636800000.0', 'milliseconds'),
        ('1777636800000000', 'microseconds'),
        ('1.7776368e18', 'nanoseconds'),
        ('4102444800', 'after the year 2099'),
        ('1e400', 'after the year 2099'),
        ('2100-01-01T00:00Z', 'after the year 2099'),
        ('-3', 'before 1970'),
        ('1969-12-31T23:59:59Z', 'before 1970'),
        ('0001-01-01', 'before 1970'),
        ('20260501', '2026-05-01'),
        ('20260501120000', '2026-05-01T12:00:00'),
    ],
)
def test_times_that_cannot_be_are_refused_with_the_likely_cause(text, cause):
    with pytest.raises(DataError, match=f'row 2: time .{text}') as e:
        seconds(text, 'row 2: time')
    assert cause in str(e.value)


def test_whole_numbers_keep_their_value():
    assert number_names(['0007', '12', '0', '12']) == {'0': 0, '0007': 7, '12': 12}


def test_other_names_count_from_1_in_alphabetical_order():
    assert number_names(['bob', 'anna', '7']) == {'7': 1, 'anna': 2, 'bob': 3}
    # Two names for one number must stay two people; signs, other digits and numbers too large are names.
    assert number_names(['7', '07']) == {'07': 1, '7': 2}
    assert number_names(['-1', '3']) == {'-1': 1, '3': 2}
    assert number_names(['²', '3']) == {'3': 1, '²': 2}
    assert number_names(['9' * 10]) == {'9' * 10: 1}
    assert number_names([]) == {}


@pytest.mark.parametrize(
    ('text', 'name'),
    [
        *(('12.0', '12'), ('7.', '7'), ('007', '007'), ('anna', 'anna'), ('12a', '12a'), ('1.2.3', '1.2.3')),
        *(('', -1), ('-1', -1), ('-1.0', -1), (unicodedata.normalize('NFD', 'Zoë'), 'Zo\xeb')),
    ],
)
def test_identities_as_files_write_them(text, name):
    assert identity(text, 'here') == name


@pytest.mark.parametrize(
    'text', ['12.5', '1E+05', '1e5', '-2', '+3', 'NaN', 'nan', 'inf', 'NULL', '#N/A', '9' * 30, '12,0', '1,000']
)
def test_what_is_no_identity(text):
    with pytest.raises(DataError, match='here'):
        identity(text, 'here')


def test_cameras():
    assert [camera_number(text, 'here') for text in ('3', '1.0', '007', '', '-1')] == [3, 1, 7, -1, -1]
    for text in ('c1', '1.5', '-2', '1E3', '1' * 10, '²'):
        with pytest.raises(DataError, match='here'):
            camera_number(text, 'here')


def test_names_that_are_mixed_up():
    names = ['anna', 'Anna', 'bob', '1', '0001', '01', '10', 'eve  x', 'eve x', '0', '00', 'A1', 'a01']
    assert alike_names(names) == [['0', '00'], ['0001', '01', '1'], ['Anna', 'anna'], ['eve  x', 'eve x']]
