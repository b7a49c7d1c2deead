"""Model and gallery behind the page: search, enroll, delete; one at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mmosnet.demo.person_model import PersonModel
from mmosnet.demo.shown_pictures import ShownPictures
from mmosnet.errors import DataError
from mmosnet.features import Features
from mmosnet.features.features import checked_name
from mmosnet.gallery import Gallery, Match

# Records that are gone through for an overview of people.
MOST_RECORDS = 5000
# Pictures enrolled at once.
MOST_ENROLLED = 20
# Of the query's nearest, looked into beside it.
COMPARED = 2
# The longer side of a query that is shown, in pixels: more than any model's input has. A photograph has 37 MB.
SHOWN_SIDE = 512


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        query: ``(H, W, 3)`` uint8, BGR, reduced to :data:`SHOWN_SIDE`.
        matches: Nearest first.
        pictures: Of the matches; None where there is none.
        attributes: Scores by name; None from a model that tells none.
    """

    query: np.ndarray
    matches: list[Match]
    pictures: list[np.ndarray | None]
    attributes: dict[str, float] | None


@dataclass(frozen=True)
class Person:
    """Somebody in the gallery.

    Attributes:
        pid: -1 for all whom nobody knows.
        images: How many.
        picture: One of them; None where there is none.
        name: Empty where there is only the number.
    """

    pid: int
    images: int
    picture: np.ndarray | None
    name: str = ''


class PersonSearch:
    """Searches a gallery by pictures, adds to it and deletes from it.

    Requests come from several threads. The model's gates are recorded by hooks and the gallery's files are written, so
    that one request has both at a time.

    Args:
        model: Gives embeddings.
        gallery: Of embeddings of that model.
        pictures: Of the gallery's people.

    Raises:
        DataError: The gallery holds embeddings of another model.
    """

    def __init__(self, model: PersonModel, gallery: Gallery, pictures: ShownPictures) -> None:
        if gallery.model or len(gallery):
            gallery.check_model(model.digest, 'this model')
        self.model = model
        self.gallery = gallery
        self.pictures = pictures
        self._lock = threading.Lock()

    def search(self, image: np.ndarray, top_k: int = 10, not_camid: int | None = None) -> Found:
        """Find the nearest images.

        Args:
            image: ``(H, W, 3)`` uint8, BGR.
            top_k: How many.
            not_camid: A camera whose images are left out: the query's own.
        """
        with self._lock:
            result = self.model.predict([image])[0]
            (matches,) = self.gallery.search(result['embedding'][None], top_k=top_k, not_camids=not_camid)
        return Found(_reduced(image), matches, [self.pictures.read(m.path) for m in matches], result.get('attributes'))

    def look_inside(self, found: Found) -> tuple[np.ndarray, bytes | None] | None:
        """:meth:`PersonModel.look_inside` of the query and its nearest images."""
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
        """Add pictures of one person; all or none.

        Args:
            images: ``(H, W, 3)`` uint8, BGR.
            pid: Who it is, by number or name; by default somebody new.
            camid: Of the camera, counted from 0; by default unknown.

        Returns:
            The pid, and how many pictures were added.

        Raises:
            DataError: None or too many, or negative numbers.
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
                # A number means the person that has it here, who may have a name.
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
        """Delete a person, or one image; pictures that were enrolled on the page are deleted from the disc too.

        Returns:
            How many images there were.

        Raises:
            DataError: Neither or both given, or nothing of the kind there.
        """
        if (pid is None) == (id is None):
            raise DataError('Give either the number of a person or the id of an image.')
        what = f'person {pid}' if id is None else f'image with id {id}'
        with self._lock:
            names = self.gallery.names['pid']
            if pid is not None:
                (pid,) = self.gallery.numbers_of('pid', [pid], 'person')
            # Before they are gone. A person's only where pictures were enrolled: the whole table is read for them.
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
        """Who is in the gallery.

        Args:
            most: People at most, those of the lowest pids; of a large gallery without pictures.

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
            first.setdefault(record.pid, record.path)
        return [
            Person(pid, images, self.pictures.read(first[pid]) if pid in first else None, names.get(pid, ''))
            for pid, images in counts
        ], info


def _reduced(image: np.ndarray) -> np.ndarray:
    """At most :data:`SHOWN_SIDE` on its longer side."""
    scale = SHOWN_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _check_number(what: str, value: int | None) -> None:
    if value is not None and not 0 <= value < 2**31:
        raise DataError(f'{value} is no number of a {what}: give 0 or more.')
