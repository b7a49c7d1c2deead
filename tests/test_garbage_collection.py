"""The collector is paused and comes back as it was."""

import gc

import pytest

from mmosnet.garbage_collection import collection_paused


@pytest.fixture(autouse=True)
def enabled():
    """As in a program: nothing frozen, as the tests have it."""
    gc.unfreeze()
    gc.enable()
    yield
    gc.enable()
    gc.freeze()


def test_pauses_and_goes_on():
    with collection_paused():
        assert not gc.isenabled()
    assert gc.isenabled() and gc.get_freeze_count() == 0


def test_what_others_froze_stays_frozen():
    gc.freeze()
    count = gc.get_freeze_count()
    with collection_paused():
        pass
    assert gc.get_freeze_count() == count > 0


def test_goes_on_after_an_error():
    with pytest.raises(ImportError), collection_paused():
        raise ImportError
    assert gc.isenabled()


def test_stays_off_where_it_was_off():
    gc.disable()
    with collection_paused():
        pass
    assert not gc.isenabled()
