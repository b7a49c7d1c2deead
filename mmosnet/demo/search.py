"""Behind the page: the model, the gallery that it opens, and searching, enrolling and deleting."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmosnet.apis.inferencer import PersonInferencer
from mmosnet.apis.inputs import ImageInput
from mmosnet.datasets.transforms import read_image
from mmosnet.demo.pictures import (
    ENROLLED_FOLDER,
    EXAMPLES_FOLDER,
    ShownPictures,
    draw_people,
    drawn_digests,
    list_people,
    pixel_digest,
)
from mmosnet.errors import DataError
from mmosnet.evaluation.distances import Embeddings
from mmosnet.evaluation.verification import compare_pairs, operating_point
from mmosnet.features import Features
from mmosnet.features.features import checked_name
from mmosnet.gallery import Gallery, Match
from mmosnet.io.files import draft_folder
from mmosnet.models.build import load_model
from mmosnet.models.osnet import OSNet
from mmosnet.models.weights import weights_digest
from mmosnet.visualization.network import GateWeights, MappedImage, View, stream_names, view_image

# Data sets of drawn people and things. Weights trained on nothing else have never seen a photograph.
DRAWN_SETS = {'SyntheticPeople', 'SyntheticAttributes', 'SyntheticObjects'}
# Height and width of the drawn people, for configs whose test pipeline takes images as they are.
DRAWN_SIZE = (128, 64)
# Two sizes of images: a pipeline that gives both the same size resizes.
PROBES = ((96, 50), (160, 72))
BATCH_SIZE = 32
# Records that are gone through for an overview of people.
MOST_RECORDS = 5000
# Pictures enrolled at once.
MOST_ENROLLED = 20
# Of the query's nearest images, as many are looked into beside it.
COMPARED = 2
# The longer side of a query that is kept, in pixels: more than any model's input has. A photograph has 37 MB.
SHOWN_SIDE = 512
PEOPLE_FOLDER, KEPT_FOLDER = 'people', 'enrolled'
# The share of pairs of two drawn people that lie within the drawn gallery's threshold.
FALSE_POSITIVE_RATE = 0.01


class PersonModel:
    """A trained model of people, for pictures of any size.

    Args:
        cfg: The model's config.
        checkpoint: The model's weights.
        device: Where to compute; by default a GPU if there is one.

    Attributes:
        digest: Digest of the weights (:func:`~mmosnet.models.weights.weights_digest`).
        has_attributes: Whether the model predicts attributes.
        dimension: Length of the embeddings.
        training_sets: Names of the data sets that the config trains on; empty for a config without training.
        knows_drawn_only: Whether all of these are drawn (:data:`DRAWN_SETS`).

    Raises:
        FileNotFoundError: No such checkpoint.
        DataError: The model gives no embedding, or the checkpoint belongs to another network.
    """

    def __init__(self, cfg: Config, checkpoint: str, device: str | torch.device | None = None) -> None:
        # In its training form: the gates of the folded one cannot be looked at.
        model = load_model(cfg, checkpoint, testing=True)
        self.digest = weights_digest(model)
        self._inferencer = PersonInferencer(model, device=device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        tasks = self._inferencer.tasks.heads
        if 'reid' not in tasks:
            raise DataError(
                f'{checkpoint} tells {" and ".join(tasks)}, and gives no embedding to search with: take a '
                're-identification model, configs/README.md lists them'
            )
        self.has_attributes = 'attributes' in tasks
        self.training_sets = training_sets(cfg)
        self.knows_drawn_only = bool(self.training_sets) and DRAWN_SETS.issuperset(self.training_sets)
        shapes = {self._prepared(np.zeros((*probe, 3), np.uint8)).shape for probe in PROBES}
        self._size = DRAWN_SIZE if len(shapes) > 1 else None
        self.dimension = len(self.predict([np.zeros((*DRAWN_SIZE, 3), np.uint8)])[0]['embedding'])

    def predict(self, images: Sequence[np.ndarray]) -> list[dict]:
        """Return what :class:`~mmosnet.apis.PersonInferencer` predicts for images ``(H, W, 3)`` uint8, BGR."""
        return self._inferencer([self._fitted(image) for image in images], batch_size=BATCH_SIZE)

    def look_inside(self, images: Sequence[np.ndarray], names: Sequence[str]) -> Inside | None:
        """Return where each stage responds to images, and how its gates weigh the streams.

        Args:
            images: At least one, ``(H, W, 3)`` uint8, BGR.
            names: Their captions.

        Returns:
            None for a network that is no OSNet.
        """
        model = self._inferencer.model
        if not isinstance(model.backbone, OSNet):
            return None
        views = [self._view(image, name) for image, name in zip(images, names, strict=True)]
        gates = [view.gates for view in views]
        weights = GateWeights.of(names, stream_names(model.backbone), gates) if gates[0] else None
        return Inside([view.mapped for view in views], weights)

    def _view(self, image: np.ndarray, name: str) -> View:
        def prepare(record: dict) -> dict:
            return self._inferencer.pipeline(ImageInput(name, image=self._fitted(image)))

        return view_image(self._inferencer.model, prepare, dict(img_path=name))

    def _prepared(self, image: np.ndarray) -> np.ndarray:
        return self._inferencer.pipeline(ImageInput('probe', image=image))['inputs'].numpy()

    def _fitted(self, image: np.ndarray) -> np.ndarray:
        """Return an image in the size of drawn people where the pipeline would not resize a large photograph."""
        if self._size is None or image.shape[:2] == self._size:
            return image
        # By Pillow, as the configs' pipelines resize.
        return mmcv.imresize(image, self._size[::-1], backend='pillow')


def training_sets(cfg: Config) -> list[str]:
    """Return the names of the data sets that a config trains on; empty for a config without training."""
    return list(dict.fromkeys(_set_names((cfg.get('train_dataloader') or {}).get('dataset'))))


def _set_names(dataset: object) -> list[str]:
    """Return the names of the data sets in a config's ``dataset``, without wrappers such as ``ConcatDataset``."""
    if isinstance(dataset, Mapping):
        inner = [name for key, value in dataset.items() if key != 'pipeline' for name in _set_names(value)]
        kind = dataset.get('type')
        own = [getattr(kind, '__name__', str(kind)).rpartition('.')[2]] if kind is not None else []
        return inner or own
    if isinstance(dataset, (list, tuple)):
        return [name for part in dataset for name in _set_names(part)]
    return []


@dataclass(frozen=True)
class Inside:
    """What the network makes of some images.

    Attributes:
        mapped: The images and where each stage responds to them.
        gates: How the gates weigh the streams; None where the network does not weigh them.
    """

    mapped: list[MappedImage]
    gates: GateWeights | None


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        query: ``(H, W, 3)`` uint8, BGR, reduced to :data:`SHOWN_SIDE`.
        matches: Nearest first. ``same_person`` is None where the threshold does not hold.
        pictures: The pictures of the matches; None where there is none.
        attributes: Scores by name; None from a model that predicts none.
        outside: Whether the query is a picture for which the threshold does not hold.
    """

    query: np.ndarray
    matches: list[Match]
    pictures: list[np.ndarray | None]
    attributes: dict[str, float] | None
    outside: bool = False


@dataclass(frozen=True)
class Person:
    """A person in the gallery.

    Attributes:
        pid: -1 for all unknown people together.
        images: Number of images.
        picture: One of them; None where there is none.
        name: The person's name; empty where there is only the number.
        shown_id: The id of the image in ``picture``; None without one.
    """

    pid: int
    images: int
    picture: np.ndarray | None
    name: str = ''
    shown_id: int | None = None


class PersonSearch:
    """Searches a gallery by pictures, adds to it and deletes from it.

    Requests come from several threads. A lock lets one at a time use the model, whose gates are recorded by hooks, and
    the gallery, whose files are written.

    Args:
        model: Gives the embeddings.
        gallery: Holds embeddings of that model.
        pictures: The pictures of the gallery's people.
        judged: Digests (:func:`~mmosnet.demo.pictures.pixel_digest`) of the pictures for which the gallery's threshold
            holds. By default it holds for every picture, or for none where the model knows drawn people only.

    Raises:
        DataError: The gallery holds embeddings of another model.
    """

    def __init__(
        self, model: PersonModel, gallery: Gallery, pictures: ShownPictures, judged: Collection[str] | None = None
    ) -> None:
        if gallery.model or len(gallery):
            gallery.check_model(model.digest, 'this model')
        self.model = model
        self.gallery = gallery
        self.pictures = pictures
        self.judged = frozenset() if judged is None and model.knows_drawn_only else judged
        self._lock = threading.Lock()

    def search(
        self, image: np.ndarray, top_k: int = 10, not_camid: int | None = None, not_id: int | None = None
    ) -> Found:
        """Find the nearest images.

        Args:
            image: ``(H, W, 3)`` uint8, BGR.
            top_k: Number of rows to return.
            not_camid: A camera whose images are left out, such as the query's own.
            not_id: An image that is left out.
        """
        with self._lock:
            result = self.model.predict([image])[0]
            number = top_k + (not_id is not None)
            (matches,) = self.gallery.search(result['embedding'][None], top_k=number, not_camids=not_camid)
        matches = [match for match in matches if match.id != not_id][:top_k]
        pictures = [self.pictures.read(match.path) for match in matches]
        inside = self._is_judged(image)
        matches = [
            match if inside and self._is_judged(picture) else replace(match, same_person=None)
            for match, picture in zip(matches, pictures, strict=True)
        ]
        return Found(_reduced(image), matches, pictures, result.get('attributes'), not inside)

    def search_stored(self, id: int, top_k: int = 10, not_camid: int | None = None) -> tuple[np.ndarray, Found]:
        """Search with an image of the gallery, which is left out of what is found.

        Args:
            id: The image's id in the gallery.
            top_k: How many images to find.
            not_camid: A camera whose images are left out.

        Returns:
            The image ``(H, W, 3)`` uint8, BGR, and what was found.

        Raises:
            DataError: There is no such image, or no picture of it here.
        """
        with self._lock:
            ids = self.gallery.ids()
            records = self.gallery.records(ids[ids == id])
        if not records:
            raise DataError(f'There is no image with id {id} in the gallery any more.')
        image = self.pictures.read(records[0].path)
        if image is None:
            raise DataError(f'There is no picture of the image with id {id} here to search with.')
        return image, self.search(image, top_k, not_camid, not_id=id)

    def look_inside(self, found: Found) -> Inside | None:
        """Return :meth:`PersonModel.look_inside` for the query and its nearest images."""
        images, names = [found.query], ['query']
        for rank, picture in enumerate(found.pictures[:COMPARED], 1):
            if picture is not None:
                images.append(picture)
                names.append(f'rank {rank}')
        with self._lock:
            return self.model.look_inside(images, names)

    def enroll(
        self, images: Sequence[np.ndarray], pid: int | str | None = None, camid: int | None = None
    ) -> tuple[int, int]:
        """Add pictures of one person, all of them or none.

        Args:
            images: ``(H, W, 3)`` uint8, BGR.
            pid: The person, by number or name; by default a new person.
            camid: The camera, counted from 0; by default unknown.

        Returns:
            The pid, and the number of pictures added.

        Raises:
            DataError: No pictures or too many, or a negative number.
            OSError: The disk is full; nothing is kept.
        """
        if not 0 < len(images) <= MOST_ENROLLED:
            raise DataError(f'{len(images)} pictures: give 1 to {MOST_ENROLLED} of one person at a time.')
        name = checked_name(pid, 'person') if isinstance(pid, str) else ''
        _check_number('person', None if name else pid)
        _check_number('camera', camid)
        with self._lock:
            names = self.gallery.names
            if name:
                pid = next((number for number, known in names['pid'].items() if known == name), None)
            embeddings = np.stack([result['embedding'] for result in self.model.predict(images)])
            if pid is None:
                pid = max([0, *self.gallery.pids()]) + 1
            number = len(images)
            features = Features(
                embedding=embeddings,
                path=self.pictures.new_paths(pid, number),
                pid=np.full(number, pid),
                camid=np.full(number, -1 if camid is None else camid),
                time=np.full(number, np.nan),
                model=self.model.digest,
                # A number means the person who has it in this gallery, with a name perhaps.
                names=names if not name else names | dict(pid=names['pid'] | {pid: name}),
            )
            ids = []
            try:
                with self.pictures.kept(images, features.path):
                    ids = self.gallery.enroll(features)
            except BaseException:
                if len(ids):
                    self.gallery.delete(ids=ids)
                self.pictures.forget(features.path)
                raise
        return pid, number

    def delete(self, pid: int | str | None = None, id: int | None = None) -> int:
        """Delete a person or one image. Pictures that were enrolled on the page are deleted from the disk too.

        Args:
            pid: The person, by number or name.
            id: The image's id.

        Returns:
            The number of images deleted.

        Raises:
            DataError: Neither or both are given, or the gallery has no such person or image.
        """
        if (pid is None) == (id is None):
            raise DataError('Give either the number of a person or the id of an image.')
        what = f'person {pid}' if id is None else f'image with id {id}'
        with self._lock:
            names = self.gallery.names['pid']
            if pid is not None:
                (pid,) = self.gallery.numbers_of('pid', [pid], 'person')
            # Paths are read before the records are gone; those of a person only if pictures were enrolled, since the
            # whole table is read for them.
            ids = self.gallery.ids()
            if id is not None:
                records = self.gallery.records(ids[ids == id])
            elif self.pictures.may_keep(pid):
                records = [record for record in self.gallery.records(ids) if record.pid == pid]
            else:
                records = []
            deleted = self.gallery.delete(ids=id, pid=names.get(pid, pid))
            if not deleted:
                raise DataError(f'There is no {what} in the gallery.')
            self.pictures.forget([record.path for record in records])
        return deleted

    def people(self, most: int) -> tuple[list[Person], dict]:
        """Return who is in the gallery.

        Args:
            most: The largest number of people; those with the lowest pids are taken. In a gallery with more than
                :data:`MOST_RECORDS` images they come without pictures.

        Returns:
            The people, and the gallery's :meth:`~mmosnet.gallery.Gallery.info`.
        """
        with self._lock:
            info = self.gallery.info()
            names = self.gallery.names['pid']
            counts = list(self.gallery.pids().items())[:most]
            ids = self.gallery.ids()
            records = self.gallery.records(ids) if len(ids) <= MOST_RECORDS else []
        first = {}
        for record in records:
            first.setdefault(record.pid, record)
        people = []
        for pid, images in counts:
            picture = self.pictures.read(first[pid].path) if pid in first else None
            shown_id = None if picture is None else first[pid].id
            people.append(Person(pid, images, picture, names.get(pid, ''), shown_id))
        return people, info

    def _is_judged(self, image: np.ndarray | None) -> bool:
        """Return whether the gallery's threshold holds for a picture."""
        return self.judged is None or (image is not None and pixel_digest(image) in self.judged)


def _reduced(image: np.ndarray) -> np.ndarray:
    """Return an image with at most :data:`SHOWN_SIDE` pixels on its longer side."""
    scale = SHOWN_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _check_number(what: str, value: int | None) -> None:
    if value is not None and not 0 <= value < 2**31:
        raise DataError(f'{value} is no number of a {what}: give 0 or more.')


def open_search(
    model: PersonModel, work_dir: str | Path, gallery: str | None = None, images: str | Path | None = None
) -> tuple[PersonSearch, list[str]]:
    """Open a gallery for a model.

    Args:
        model: The model whose embeddings the gallery holds.
        work_dir: Gets the drawn people, and the pictures that are enrolled on the page.
        gallery: An existing gallery. By default a gallery of drawn people, one per model, which is made if it is
            missing. In it, only drawn pictures get a verdict: its threshold was measured on them.
        images: The folder with the pictures that a given gallery's records name; by default the current folder.

    Returns:
        The search, and paths of example pictures, of which a given gallery has none.

    Raises:
        FileNotFoundError: No such gallery or folder.
        DataError: The gallery cannot be opened, or holds embeddings of another model.
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
    search = PersonSearch(model, opened, ShownPictures([people], kept), drawn_digests(people))
    return search, list_people(people / EXAMPLES_FOLDER)[0]


def _enroll_drawn(model: PersonModel, people: Path, uri: Path) -> Gallery:
    paths, pids, camids = list_people(people / ENROLLED_FOLDER)
    MMLogger.get_current_instance().info(f'Enrolling {len(paths)} pictures of {len(set(pids))} drawn people in {uri}')
    results = model.predict([read_image(path) for path in paths])
    features = Features(
        embedding=np.stack([result['embedding'] for result in results]),
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
    # An interrupted start leaves no half-made gallery.
    with draft_folder(uri) as draft:
        part = draft / uri.name
        with Gallery.create(part, dimension=model.dimension, model=model.digest) as gallery:
            gallery.enroll(features)
            gallery.set_threshold(threshold, facts)
        part.rename(uri)
    return Gallery.open(uri)


def drawn_threshold(features: Features) -> tuple[float, float]:
    """Return the largest cosine distance at which one pair in a hundred of two people passes for one person.

    Only pairs seen by two cameras count.

    Args:
        features: Embeddings with pids and camids.

    Returns:
        The distance, and the share of the pairs of one person that pass.
    """
    embeddings = Embeddings(
        torch.from_numpy(features.embedding), torch.from_numpy(features.pid), torch.from_numpy(features.camid)
    )
    pairs = compare_pairs(embeddings, embeddings, 'cosine', max_fpr=FALSE_POSITIVE_RATE)
    share, threshold = operating_point(pairs, FALSE_POSITIVE_RATE)
    # The first pair that must not pass is at that distance, and a gallery lets pass what is at its threshold.
    return float(np.nextafter(np.float32(threshold), np.float32(0))), share
