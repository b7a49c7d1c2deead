from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.features import Features
from mmosnet.features.embedder import ImageEmbedder
from mmosnet.gallery import Gallery
from mmosnet.gallery.search import embed_images, search
from tests.conftest import write_person


class MeanColors(ImageEmbedder):
    """Embed an image as the mean colors of its upper and lower half."""

    source, model, kind, dimension = 'colors', 'abc', 'means', 6

    def prepare(self, path, image):
        return image

    def embed(self, items):
        return [np.float32([*image[:16].mean((0, 1)), *image[-16:].mean((0, 1))]) for image in items]


@pytest.fixture
def gallery(tmp_path, monkeypatch):
    """Return a gallery of seven people with one image each."""
    monkeypatch.chdir(tmp_path)
    paths = [f'{pid}.png' for pid in range(7)]
    for pid, path in enumerate(paths):
        write_person(Path(path), pid)
    names, nowhere = [f'person {pid}' for pid in range(7)], np.full(7, -1)
    features = Features(embed_images(MeanColors(), paths), paths, names, nowhere, np.full(7, np.nan), 'abc')
    with Gallery.create('gallery', 6, distance='euclidean') as gallery:
        gallery.enroll(features)
        yield gallery


def test_each_is_nearest_to_itself(gallery):
    # More than one batch; a region is an image of its own.
    queries = [f'{number % 7}.png' for number in range(40)] + ['3.png#xywh=0,0,16,32']
    found = search(gallery, MeanColors(), queries, top_k=2)
    assert [matches[0].name for matches in found] == [f'person {number % 7}' for number in range(40)] + ['person 3']
    assert all(len(matches) == 2 and matches[0].distance < 1e-3 < matches[1].distance for matches in found)
    assert search(gallery, MeanColors(), []) == []


def test_what_cannot_be_searched(gallery):
    other = MeanColors()
    other.model = 'other'
    with pytest.raises(DataError, match='colors: embeddings of the model other'):
        search(gallery, other, ['0.png'])
    Path('broken.jpg').write_bytes(b'broken')
    with pytest.raises(DataError, match=r'broken\.jpg'):
        search(gallery, MeanColors(), ['0.png', 'broken.jpg'])
    with pytest.raises((DataError, FileNotFoundError), match=r'gone\.jpg'):
        search(gallery, MeanColors(), ['gone.jpg'])
