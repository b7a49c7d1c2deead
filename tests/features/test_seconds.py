import pytest

from mmosnet.errors import DataError
from mmosnet.features.seconds import seconds


def test_numbers_and_dates():
    assert seconds('12.5', 'time') == 12.5 and seconds('-3', 'time') == -3
    assert seconds('1970-01-02T00:00:01.5+00:00', 'time') == 86401.5
    assert seconds('1970-01-01T00:00:00.1234567Z', 'time') == 0.123456
    assert seconds('1970-01-01T02:00:00+02:00', 'time') == 0
    assert seconds('1970-01-01T00:01Z', 'time') == seconds('1970-01-01 00:01', 'time') == 60


@pytest.mark.parametrize('text', ['', 'noon', 'nan', 'inf', '2026-13-01', '12:00'])
def test_anything_else(text):
    with pytest.raises(DataError, match=f"row 2: time '{text}' is neither seconds nor a date"):
        seconds(text, 'row 2: time')
