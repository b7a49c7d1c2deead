"""The gallery that the page opens: somebody's own, or one of drawn people, made on first use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger

from mmosnet.datasets.person_image import read_image
from mmosnet.demo.drawn_gallery import ENROLLED_FOLDER, EXAMPLES_FOLDER, draw_people, people_of
from mmosnet.demo.person_model import PersonModel
from mmosnet.demo.person_search import PersonSearch
from mmosnet.demo.shown_pictures import ShownPictures
from mmosnet.errors import DataError
from mmosnet.evaluation.distances import Embeddings
from mmosnet.evaluation.verification import compare_pairs, operating_point
from mmosnet.features import Features
from mmosnet.gallery import Gallery
from mmosnet.whole_file import draft_folder

PEOPLE_FOLDER, KEPT_FOLDER = 'people', 'enrolled'
# Of pairs of two drawn people, as many pass for one.
FALSE_POSITIVE_RATE = 0.01


def open_search(
    model: PersonModel, work_dir: str | Path, gallery: str | None = None, images: str | Path | None = None
) -> tuple[PersonSearch, list[str]]:
    """Open the gallery for a model.

    Args:
        model: Of which the embeddings are.
        work_dir: Gets the drawn people and pictures that are enrolled on the page.
        gallery: A gallery that there is; by default one of drawn people, one for each model, made if it is missing.
        images: Where the pictures are that a given gallery's records name; by default the current folder.

    Returns:
        The search, and paths of pictures to try it with; none beside a given gallery.

    Raises:
        FileNotFoundError: No such gallery.
        DataError: The gallery holds embeddings of another model, or none that can be opened.
    """
    work_dir = Path(work_dir)
    people, kept = work_dir / PEOPLE_FOLDER, work_dir / KEPT_FOLDER
    if gallery is not None:
        folder = Path.cwd() if images is None else Path(images)
        if not folder.is_dir():
            raise FileNotFoundError(f'no folder {folder} of pictures')
        return PersonSearch(model, Gallery.open(gallery), ShownPictures([folder], kept)), []
    if images is not None:
        raise DataError('--images is for the pictures of a --gallery: the drawn people have theirs')
    draw_people(people)
    uri = work_dir / f'gallery-{model.digest}'
    opened = Gallery.open(uri) if uri.exists() else _enroll_drawn(model, people, uri)
    return PersonSearch(model, opened, ShownPictures([people], kept)), people_of(people / EXAMPLES_FOLDER)[0]


def _enroll_drawn(model: PersonModel, people: Path, uri: Path) -> Gallery:
    paths, pids, camids = people_of(people / ENROLLED_FOLDER)
    MMLogger.get_current_instance().info(f'Enrolling {len(paths)} pictures of {len(set(pids))} drawn people in {uri}')
    features = Features(
        embedding=np.stack([found['embedding'] for found in model.predict([read_image(path) for path in paths])]),
        path=paths,
        pid=np.array(pids),
        camid=np.array(camids),
        time=np.full(len(paths), np.nan),
        model=model.digest,
    )
    threshold, share = drawn_threshold(features)
    facts = dict(
        data=f'the drawn people of this gallery, {len(paths)} pictures; not for people of other galleries',
        false_positive_rate=FALSE_POSITIVE_RATE,
        true_positive_rate=share,
    )
    # Whole or not there, however a start ends.
    with draft_folder(uri) as draft:
        part = draft / uri.name
        with Gallery.create(part, dimension=model.dimension, model=model.digest) as gallery:
            gallery.enroll(features)
            gallery.set_threshold(threshold, facts)
        part.rename(uri)
    return Gallery.open(uri)


def drawn_threshold(features: Features) -> tuple[float, float]:
    """The largest cosine distance at which one pair in a hundred of two people passes for one person.

    Pairs are of two cameras.

    Returns:
        The distance, and the share of the pairs of one person that pass.
    """
    embeddings = Embeddings(
        torch.from_numpy(features.embedding), torch.from_numpy(features.pid), torch.from_numpy(features.camid)
    )
    pairs = compare_pairs(embeddings, embeddings, 'cosine', max_fpr=FALSE_POSITIVE_RATE)
    share, threshold = operating_point(pairs, FALSE_POSITIVE_RATE)
    # There the first that must not pass is; a gallery lets pass what is at its threshold.
    return float(np.nextafter(np.float32(threshold), np.float32(0))), share
