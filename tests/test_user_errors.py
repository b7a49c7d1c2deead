import os
import sys

import pytest

from mmosnet.errors import DataError
from mmosnet.user_errors import user_errors


@pytest.mark.parametrize(
    'error, line',
    [
        (DataError('a.csv, row 3: no pid'), 'error: a.csv, row 3: no pid'),
        (RuntimeError, None),
        (PermissionError(13, 'Permission denied', 'out.json'), 'error: out.json: Permission denied'),
    ],
)
def test_mistakes_are_one_line_and_faults_keep_their_traceback(error, line):
    with pytest.raises(SystemExit if line else RuntimeError) as found, user_errors():
        raise error
    if line:
        assert found.value.code == line


def test_a_reader_who_has_seen_enough_gets_no_traceback(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, 'w') as pipe:
        monkeypatch.setattr(sys, 'stdout', pipe)
        with pytest.raises(SystemExit) as found, user_errors():
            print('a long table')
        assert found.value.code == 1
