"""The collector is paused and comes back as it was."""

import gc

import pytest

from mmosnet.garbage_collection import collection_paused


@pytest.fixture(autouse=True)
def enabled():
    gc.enable()
    yield
    gc.enable()


def test_pauses_and_goes_on():
    with collection_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_goes_on_after_an_error():
    with pytest.raises(ImportError), collection_paused():
        raise ImportError
    assert gc.isenabled()


def test_stays_off_where_it_was_off():
    gc.disable()
    with collection_paused():
        pass
    assert not gc.isenabled()
