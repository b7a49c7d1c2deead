import pytest
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def scope(monkeypatch):
    """The scope of the runners of a test is not that of later tests."""
    monkeypatch.setattr(DefaultScope, '_instance_dict', DefaultScope._instance_dict.copy())
