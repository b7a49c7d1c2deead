"""The page's model and gallery without arguments, made once."""

from pathlib import Path

import pytest

from mmosnet.demo.search import PersonModel, PersonSearch, open_search
from mmosnet.demo.server import served
from mmosnet.models.build import find_config

MODEL = 'osnet-x0.25_multitask-synthetic'


@pytest.fixture(scope='session')
def person_model() -> PersonModel:
    """Return the model with the weights that come with the package."""
    return PersonModel(*find_config(MODEL), device='cpu')


@pytest.fixture(scope='package')
def drawn(person_model, tmp_path_factory) -> tuple[PersonSearch, list[str], Path]:
    """Give the search in the drawn people, the examples, and the folder of both. Tests leave the gallery as it was."""
    folder = tmp_path_factory.mktemp('demo')
    search, examples = open_search(person_model, folder)
    yield search, examples, folder
    search.gallery.close()


@pytest.fixture(scope='package')
def address(drawn) -> str:
    """Serve the page at a free port, and give its address."""
    search, examples, _ = drawn
    with served(search, examples, MODEL, port=0) as address:
        yield address.rstrip('/')
