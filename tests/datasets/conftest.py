import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def warnings(monkeypatch):
    """Collect what is logged as a warning."""
    lines = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', lines.append)
    return lines


@pytest.fixture
def log(monkeypatch):
    """Collect what is logged as information or as a warning."""
    lines = []
    for level in ('info', 'warning'):
        monkeypatch.setattr(MMLogger.get_current_instance(), level, lines.append)
    return lines
