from __future__ import annotations

import pytest

from mmosnet.errors import DataError
from mmosnet.io.tables import seconds


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
