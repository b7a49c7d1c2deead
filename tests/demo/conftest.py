"""The page's model and gallery as a newcomer gets them, made once."""

from pathlib import Path

import pytest

from mmosnet.demo.demo_gallery import open_search
from mmosnet.demo.person_model import PersonModel
from mmosnet.demo.person_search import PersonSearch
from mmosnet.demo.server import served
from mmosnet.engine.trained_model import find_config

MODEL = 'osnet-x0.25_multitask-synthetic'


@pytest.fixture(scope='session')
def person_model() -> PersonModel:
    """The embedded one."""
    return PersonModel(*find_config(MODEL), device='cpu')


@pytest.fixture(scope='package')
def drawn(person_model, tmp_path_factory) -> tuple[PersonSearch, list[str], Path]:
    """Search in the drawn people, examples, and the folder of both. Tests leave the gallery as it was."""
    folder = tmp_path_factory.mktemp('demo')
    search, examples = open_search(person_model, folder)
    yield search, examples, folder
    search.gallery.close()


@pytest.fixture(scope='package')
def address(drawn) -> str:
    """The page, served at a free port."""
    search, examples, _ = drawn
    with served(search, examples, 'Drawn people.', port=0) as address:
        yield address.rstrip('/')
