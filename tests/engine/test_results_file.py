import pytest

from mmosnet.engine.results_file import RESULTS_FILE, read_results
from mmosnet.errors import DataError


def test_no_results_yet(tmp_path):
    assert read_results(tmp_path) == {}
    assert read_results(tmp_path / 'missing') == {}


def test_what_a_run_wrote(tmp_path):
    (tmp_path / RESULTS_FILE).write_text('{"last": {"epoch": 3}}')
    assert read_results(tmp_path) == {'last': {'epoch': 3}}


@pytest.mark.parametrize('content', [b'{"last": {"ep', b'', b'[1, 2]', b'\xff\xfe{}'])
def test_damage_is_one_sentence_with_the_file_and_the_remedy(tmp_path, content):
    (tmp_path / RESULTS_FILE).write_bytes(content)
    with pytest.raises(DataError, match=rf'{RESULTS_FILE} is .*delete it'):
        read_results(tmp_path)
