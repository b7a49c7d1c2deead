"""The interface of galleries, which hold embeddings of people and are searched for the nearest, and their registry.

There are two back ends: FAISS in a folder of one machine (:mod:`mmosnet.gallery.faiss`), and Milvus, a distributed
vector database (:mod:`mmosnet.gallery.milvus`). The base class checks arguments and results, and applies names and the
threshold. Needs no torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features import Features
from mmosnet.features.features import NAMED, checked_name, own_numbers
from mmosnet.features.tracks import PER
from mmosnet.gallery.settings import WITH_TRACKS, GallerySettings, Match, Record, RecordFilter
from mmosnet.gallery.vectors import GalleryCheck, checked_embeddings

Numbers = int | Iterable[int] | None
# People or cameras, by number or by name.
Named = int | str | Iterable[int | str] | None

# Back ends, the last registered first.
_BACK_ENDS: list[type[Gallery]] = []


def register_back_end(back_end: type[Gallery]) -> type[Gallery]:
    """Register a back end for :meth:`Gallery.create` and :meth:`Gallery.open`; a class decorator.

    Its :meth:`Gallery.keeps` is called before those of the back ends registered earlier.
    """
    _BACK_ENDS.insert(0, back_end)
    return back_end


def back_end_of(uri: str) -> type[Gallery]:
    """Return the back end for galleries at a place."""
    return next(back_end for back_end in _BACK_ENDS if back_end.keeps(uri))


class Gallery(ABC):
    """Images of people that can be searched by their embeddings; use :meth:`create` or :meth:`open`.

    Distances are ``1 - cos`` from 0 to 2 (``'cosine'``) or Euclidean, not squared (``'euclidean'``). Galleries with the
    cosine distance normalize embeddings to length 1.

    People and cameras have numbers and may have names (:class:`~mmosnet.features.Features`). A name is the same person
    in all enrolled features, whatever its number in them; :attr:`names` has the numbers in the gallery. Conditions take
    numbers or names.

    A row of features may be a track, whose embedding is pooled from several images (:mod:`mmosnet.features.tracks`). It
    is enrolled, found and deleted like an image. A query may be a track too: searches with ``per='track'`` use the
    threshold for tracks.

    Back ends implement the methods below the line, whose arguments are checked already.

    Args:
        uri: Folder or address of the gallery.
        settings: Settings that are stored in the gallery.

    Example:
        >>> with Gallery.create('work_dirs/gallery', dimension=512) as gallery:
        ...     gallery.enroll(read_features('work_dirs/features'))
        ...     gallery.search(embedding, top_k=5, not_camids=[3])[0][0].path
    """

    def __init__(self, uri: str, settings: GallerySettings) -> None:
        self.uri = uri
        self.settings = settings

    @staticmethod
    def create(
        uri: str | Path,
        dimension: int = 512,
        index: str = 'exact',
        distance: str = 'cosine',
        model: str = '',
    ) -> Gallery:
        """Create an empty gallery.

        Args:
            uri: A folder for FAISS; a file ``NAME.db`` or ``http(s)://HOST:PORT`` for Milvus, followed by
                ``#COLLECTION`` for another collection than ``mmosnet``.
            dimension: Dimension of the embeddings. Default: 512.
            index: ``'exact'`` (default) compares a query with all images, ``'ivfpq'`` and ``'hnsw'`` with likely ones,
                so that they may miss some.
            distance: ``'cosine'`` (default) or ``'euclidean'``.
            model: Digest of the weights that compute the embeddings; by default that of the first enrolled features.

        Raises:
            FileExistsError: The gallery exists already.
            DataError: A setting is invalid, or a package is not installed.
        """
        settings = GallerySettings(dimension, distance, index, model)
        return back_end_of(str(uri))._create(str(uri), settings)

    @staticmethod
    def open(uri: str | Path) -> Gallery:
        """Open a gallery that :meth:`create` made.

        Raises:
            FileNotFoundError: There is no gallery.
            DataError: The gallery is damaged, or a package is not installed.
        """
        return back_end_of(str(uri))._open(str(uri))

    @property
    def dimension(self) -> int:
        """Dimension of the embeddings."""
        return self.settings.dimension

    @property
    def distance(self) -> str:
        """Distance that ranks images, ``'cosine'`` or ``'euclidean'``."""
        return self.settings.distance

    @property
    def model(self) -> str:
        """Digest of the weights that compute the embeddings; empty if unknown."""
        return self.settings.model

    @property
    def threshold(self) -> float | None:
        """Largest distance at which two images count as one person; None before calibration."""
        return self.settings.threshold

    @property
    def facts(self) -> dict:
        """Information about the calibration of the threshold."""
        return dict(self.settings.facts)

    @property
    def track_threshold(self) -> float | None:
        """Largest distance at which a track and a record count as one person; None before calibration."""
        return self.settings.track_threshold

    @property
    def track_facts(self) -> dict:
        """Information about the calibration of the threshold for tracks."""
        return dict(self.settings.track_facts)

    def threshold_of(self, per: str) -> float | None:
        """Return the threshold for queries that are images (``per='image'``) or tracks (``'track'``).

        Raises:
            DataError: ``per`` is neither.
        """
        if per not in PER:
            raise DataError(f'per={per!r}: choose from {", ".join(PER)}')
        return self.track_threshold if per == 'track' else self.threshold

    def set_threshold(self, value: float | None, facts: Mapping | None = None, per: str = 'image') -> None:
        """Store the threshold with the gallery.

        Args:
            value: A distance; None to remove the threshold.
            facts: Information about its calibration, such as rates, data and date, in JSON values; none by default.
            per: Whether it is the threshold for queries that are images (``'image'``, default) or tracks (``'track'``).

        Raises:
            DataError: The value is not a distance, JSON cannot hold the facts, or ``per`` is unknown.
        """
        self.threshold_of(per)
        value = None if value is None else float(value)
        names = dict(image=('threshold', 'facts'), track=('track_threshold', 'track_facts'))[per]
        with self._writing():
            changes: dict[str, Any] = dict(zip(names, (value, dict(facts or {})), strict=True))
            if per == 'track':
                changes['version'] = max(self.settings.version, WITH_TRACKS)
            self._save_settings(replace(self.settings, **changes))

    def check_model(self, model: str, what: str) -> None:
        """Refuse embeddings of other weights, which cannot be compared with those in the gallery.

        Args:
            model: Digest of the weights; empty if unknown.
            what: Name of the embeddings, for errors.

        Raises:
            DataError: The digest is not that of the gallery.
        """
        if model != self.model:
            raise DataError(
                f'{what}: embeddings of the model {model or "unknown"}, but {self.uri} holds those of '
                f'{self.model or "unknown"}: extract them with that model, or create a gallery of its own for this one'
            )

    def enroll(self, features: Features, skip_known: bool = False) -> np.ndarray:
        """Add images: all of them, or after an error none.

        A gallery that was created without a model takes that of the first features.

        People and cameras whose names are in the gallery get their numbers in it. New ones keep the numbers of the
        features if these are free, and else get the lowest free ones.

        Args:
            features: Images to add. An image that is enrolled twice is in the gallery twice.
            skip_known: Leave out images whose path, source and track are in the gallery already (:meth:`known`), also
                those that another process enrolls at the same time. Default: False.

        Returns:
            ``(N,)`` int64, the numbers in the gallery of the images that were added, in order.

        Raises:
            DataError: The dimension or the model differs, a number is not finite, or a vector is too short or too long
                to be compared.
            OSError: The disk is full, or cannot be written.
        """
        if not isinstance(features, Features):
            raise DataError(
                f'enroll: {type(features).__name__} given; give Features, such as read_features() returns for a file'
            )
        embedding = checked_embeddings(features.embedding, self.dimension, self.distance, 'features')
        with self._writing():
            if skip_known:
                new = ~self.known(features.path, features.source, features.track)
                features, embedding = features[new], embedding[new]
            if self.model or len(self):
                self.check_model(features.model, 'features')
            if not len(embedding):
                return np.empty(0, np.int64)
            settings = replace(self.settings, model=features.model)
            if features.has_tracks:
                names = {name for names in set(features.attributes) for name in names} | {*settings.attributes}
                version = max(settings.version, WITH_TRACKS)
                settings = replace(settings, attributes=tuple(sorted(names)), version=version)
            return self._append(embedding, self._with_own_numbers(features), settings)

    def delete(
        self,
        ids: Numbers = None,
        pid: Named = None,
        camid: Named = None,
        before: float | None = None,
        track: Named = None,
    ) -> int:
        """Delete the images that meet all given conditions.

        Args:
            ids: Numbers in the gallery.
            pid: One or several identities, by number or name; -1 for all that are unknown.
            camid: One or several cameras, likewise.
            before: Time in seconds; images from before that time.
            track: One or several names of tracks. Trackers number anew in each video: give ``camid`` or ``ids`` too if
                several tracks may have the name.

        Returns:
            Number of deleted images.

        Raises:
            DataError: There is no condition, a condition is invalid, a name is unknown, or a number is also the name of
                another person.
        """
        if all(value is None for value in (ids, pid, camid, before, track)):
            raise DataError('delete: give ids, pid, camid, before or track; a whole gallery is deleted as a folder')
        with self._writing():
            pids, camids = self.numbers_of('pid', pid, 'pid'), self.numbers_of('camid', camid, 'camid')
            return self._delete(RecordFilter.of(ids=ids, pids=pids, camids=camids, before=before, tracks=track))

    def relabel(self, ids: Numbers, pid: int) -> int:
        """Move images to another person, who keeps the name, if any; all of them, or after an error none.

        Names of people who lose their last image are erased. On a Milvus server the moved images get new numbers.

        Args:
            ids: Numbers of the images in the gallery.
            pid: Number of the person, who may be new; -1 for unknown.

        Returns:
            Number of moved images.

        Raises:
            DataError: There is no such image, or the number is none of a person.
        """
        pid, numbers = _person(pid), sorted(set(_whole(ids)))
        with self._writing():
            self._require(numbers, {record.id: record for record in self._records(numbers)})
            if numbers:
                self._relabel(numbers, pid, self._names('pid').get(pid, ''))
        return len(numbers)

    def rename(self, pid: int, name: str) -> None:
        """Give a person a name, or another one.

        Args:
            pid: Number of the person, who has images in the gallery.
            name: The name; empty for none.

        Raises:
            DataError: There is no such person, another one has that name, or the name is a whole number, which would
                be mistaken for the number of a person.
        """
        pid = _person(pid)
        name = checked_name(name, 'name') if name != '' else ''
        if name.removeprefix('-').isdigit():
            raise DataError(f'name={name!r}: a whole number, which could be mistaken for a pid: give another name')
        with self._writing():
            ids, pids = self.identities()
            names = self._names('pid')
            if pid < 0 or pid not in pids:
                raise DataError(f'{self.uri}: pid {pid} has no image, and so no name')
            other = next((number for number, known in names.items() if known == name and number != pid), None)
            if other is not None and name:
                raise DataError(f'name={name!r}: that of pid {other} in {self.uri}: merge them, or give another name')
            if names.get(pid, '') != name:
                self._rename(pid, name, ids[pids == pid].tolist())

    def search(
        self,
        embedding: np.ndarray,
        top_k: int = 10,
        camids: Named = None,
        not_camids: Named = None,
        after: float | None = None,
        before: float | None = None,
        attributes: str | Iterable[str] | None = None,
        per: str = 'image',
    ) -> list[list[Match]]:
        """Find the nearest images.

        Args:
            embedding: ``(Q, D)`` floating point numbers, computed by the gallery's model (:meth:`check_model`); for a
                track, pooled (:func:`~mmosnet.features.tracks.pool_track`).
            top_k: Images per query. Default: 10.
            camids: Cameras to search, by number or name; all by default.
            not_camids: Cameras to leave out; none by default.
            after: Earliest time in seconds, inclusive. Images without a time meet no condition on time.
            before: Latest time in seconds, exclusive.
            attributes: Names of attributes, all of which an image has to have; none by default.
            per: Whether a query is an image (``'image'``, default) or a track (``'track'``): its threshold decides on
                :attr:`Match.same_person`.

        Returns:
            One list per query, nearest first, equally near images in the order of enrollment; shorter than ``top_k`` if
            fewer images meet the conditions.

        Raises:
            DataError: The embeddings have another shape or numbers that are not finite, or a condition is invalid, as
                in :meth:`delete`; no image of the gallery has an attribute.
        """
        self.threshold_of(per)
        if isinstance(top_k, bool) or not isinstance(top_k, (int, np.integer)) or top_k < 1:
            raise DataError(f'top_k={top_k!r}: give the number of images wanted, 1 or more')
        camids = self.numbers_of('camid', camids, 'camids')
        not_camids = self.numbers_of('camid', not_camids, 'not_camids')
        where = RecordFilter.of(camids=camids, not_camids=not_camids, after=after, before=before, attributes=attributes)
        self._check_attributes(where.attributes or ())
        if isinstance(embedding, Features):
            raise DataError('queries: Features given; give their .embedding')
        embedding = checked_embeddings(embedding, self.dimension, self.distance, 'queries')
        if not len(embedding):
            return []
        return [
            [self._match(record, distance, per) for record, distance in nearest]
            for nearest in self._nearest(embedding, int(top_k), where)
        ]

    def records(self, ids: Sequence[int] | np.ndarray) -> list[Record]:
        """Return the records of images, in the order of the ids.

        Raises:
            DataError: There is no such image; names the id.
        """
        numbers = _whole(ids)
        by_id = {record.id: record for record in self._records(numbers)}
        self._require(numbers, by_id)
        return [by_id[id] for id in numbers]

    def known(
        self, paths: Sequence[str], sources: Sequence[str] | None = None, tracks: Sequence[str] | None = None
    ) -> np.ndarray:
        """Return which paths belong to images in the gallery.

        Args:
            paths: ``N`` texts.
            sources: ``N`` texts, the sources of the paths, to be compared too; by default any source will do.
            tracks: ``N`` texts, the tracks of the paths, likewise: a track has the path of its first image.

        Returns:
            ``(N,)`` bool.
        """
        given = dict(enumerate((paths, sources, tracks)))
        columns = {number: column for number, column in given.items() if column is not None}
        known = {tuple(image[number] for number in columns) for image in self._known_paths(paths)}
        return np.array([image in known for image in zip(*columns.values(), strict=True)], bool)

    @property
    def names(self) -> dict[str, dict[int, str]]:
        """Names of people and cameras by number, ``dict(pid={1: 'anna'}, camid={})``."""
        return {key: self._names(key) for key in NAMED}

    def numbers_of(self, key: str, values: Named, what: str) -> Numbers:
        """Return the numbers of people or cameras that are given by number or name.

        Args:
            key: ``'pid'`` or ``'camid'``.
            values: Numbers or names as given.
            what: Name of the argument, for errors.

        Raises:
            DataError: A name is unknown, or a number is also the name of another person or camera.
        """
        if values is None:
            return None
        given: Any = values
        listed = [given] if isinstance(given, str) or np.ndim(given) == 0 else list(given)
        numbers = [isinstance(value, (int, np.integer)) and not isinstance(value, bool) for value in listed]
        names = self._names(key)
        if all(numbers) and not names:
            return given
        by_name = {name: number for number, name in names.items()}
        for value, is_number in zip(listed, numbers, strict=True):
            if not is_number and not isinstance(value, str):
                raise DataError(f'{what}={value!r}: give a number or a name')
        return [self._number(str(value), names, by_name, what) for value in listed]

    def version(self) -> Hashable:
        """Return a value that changes with the images of the gallery, as far as the back end tells it cheaply.

        Galleries in folders notice every change, also by other processes; Milvus only one in the number of images.
        """
        return len(self)

    def features(self, ids: Sequence[int] | np.ndarray | None = None) -> Features:
        """Return images with their embeddings, in the order of the ids.

        Args:
            ids: Numbers of the images; all images, ascending, by default.

        Raises:
            DataError: There is no such image; names the id.
        """
        numbers = _whole(self.ids() if ids is None else ids)
        records = self.records(numbers)
        return Features(
            embedding=self._embeddings(numbers),
            path=[record.path for record in records],
            pid=np.array([record.pid for record in records], np.int64),
            camid=np.array([record.camid for record in records], np.int64),
            time=np.array([record.time for record in records], np.float64),
            model=self.model,
            names=self.names,
            source=[record.source for record in records],
            track=[record.track for record in records],
            frames=np.array([record.frames for record in records], np.int64),
            attributes=[record.attributes for record in records],
        )

    def info(self) -> dict:
        """Return a summary: uri, kind, images, identities, settings, threshold and entries of the back end."""
        pids = self._counted_pids()
        return dict(
            uri=self.uri,
            images=len(self),
            pooled=self._count_pooled(),
            identities=len([pid for pid in pids if pid >= 0]),
            named=len(self._names('pid')),
            unknown=pids.get(-1, 0),
            dimension=self.dimension,
            distance=self.distance,
            index=self.settings.index,
            model=self.model or 'unknown',
            attributes=', '.join(self.settings.attributes) or 'none',
            threshold=self.threshold,
            track_threshold=self.track_threshold,
            **self._more_info(),
        )

    def check(self) -> GalleryCheck:
        """Check all records, embeddings and files for damage, without changing anything.

        A search checks the images that it returns and their candidates. A flipped bit in an embedding that moves an
        image away from the query is detected only here, and where :meth:`compact` copies the embedding.

        Raises:
            DataError: A file cannot be read at all, or the back end has no checksums of its own.
        """
        raise DataError(f'{self.uri}: only galleries in folders have checksums; Milvus looks after its own files')

    def discard(self) -> None:
        """Close and remove an empty gallery, such as one whose first features cannot be enrolled.

        Raises:
            DataError: The gallery holds images.
        """
        if len(self):
            raise DataError(f'{self.uri} holds {len(self):,} images: delete it as a folder, or drop the collection')
        self._discard()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _check_attributes(self, names: Iterable[str]) -> None:
        """Refuse attributes that no image has."""
        unknown = sorted(set(names) - set(self.settings.attributes))
        if unknown:
            # Another process may have enrolled some.
            self._refresh()
            unknown = sorted(set(unknown) - set(self.settings.attributes))
        if unknown:
            known = ', '.join(self.settings.attributes)
            raise DataError(
                f'attributes={unknown[0]}: no image in {self.uri} has it; '
                + (f'there are {known}' if known else 'there are none: extract with a model that predicts attributes')
            )

    def _match(self, record: Record, distance: float, per: str) -> Match:
        threshold = self.threshold_of(per)
        same = None if threshold is None else bool(distance <= threshold)
        return Match(**vars(record), distance=float(distance), same_person=same)

    def _with_own_numbers(self, features: Features) -> Features:
        """Return the features with the gallery's numbers of people and cameras."""
        for key in NAMED:
            names = self._names(key)
            if names or features.names[key]:
                known = {names.get(number) or str(number): number for number in self._used(key) if number >= 0}
                preferred = {label: number for number, label in features.labels(key).items()}
                features = features.renumbered(key, own_numbers(preferred, known, preferred))
        return features

    def _number(self, text: str, names: Mapping[int, str], by_name: Mapping[str, int], what: str) -> int:
        text = checked_name(text, what)
        named = by_name.get(text)
        if not (text.removeprefix('-').isascii() and text.removeprefix('-').isdigit()):
            if named is None:
                known = ', '.join(sorted(by_name)[:5]) + (' ...' if len(by_name) > 5 else '')
                raise DataError(f'{what}={text}: {self.uri} knows no such name; there are {known or "none"}')
            return named
        number = int(text)
        if named is not None and number in names:
            raise DataError(
                f'{what}={text}: the name of number {named}, and the number of {names[number]}: give '
                f'{names[number]!r} or {named}'
            )
        return number if named is None else named

    def _require(self, ids: Sequence[int], existing: Mapping[int, object]) -> None:
        missing = [id for id in ids if id not in existing]
        if missing:
            raise DataError(f'{self.uri}: no image with id {missing[0]} ({len(missing)} of {len(ids)} are missing)')

    # ------------------------------------------------------------------------------------------------ for back ends

    def _writing(self) -> AbstractContextManager:
        """Lock the gallery for writing inside the ``with`` block, after reading what others have written."""
        return nullcontext()

    @staticmethod
    @abstractmethod
    def keeps(uri: str) -> bool:
        """Return whether this back end is the one for galleries at a place."""

    @classmethod
    @abstractmethod
    def _create(cls, uri: str, settings: GallerySettings) -> Gallery:
        """Create the storage; see :meth:`create`."""

    @classmethod
    @abstractmethod
    def _open(cls, uri: str) -> Gallery:
        """Open the storage; see :meth:`open`."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abstractmethod
    def ids(self) -> np.ndarray:
        """Return the numbers of all images, ``(N,)`` int64, ascending."""

    @abstractmethod
    def identities(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of all images, ascending, and their identities, unchecked; both ``(N,)`` int64."""

    @abstractmethod
    def pids(self) -> dict[int, int]:
        """Count the images by identity, ascending; -1 stands for unknown people."""

    def _counted_pids(self) -> dict[int, int]:
        """Return :meth:`pids` without checks, for :meth:`info` of a damaged gallery."""
        return self.pids()

    @abstractmethod
    def compact(self) -> None:
        """Erase deleted images that the back end still holds, and update the index."""

    @abstractmethod
    def close(self) -> None:
        """Release files and connections; closing twice is allowed."""

    @abstractmethod
    def _discard(self) -> None:
        """Close and remove an empty gallery."""

    @abstractmethod
    def _append(self, embedding: np.ndarray, features: Features, settings: GallerySettings) -> np.ndarray:
        """Add images and replace the settings, all or nothing.

        Args:
            embedding: ``(N, D)`` float32, checked, at length 1 for the cosine distance; N > 0.
            features: Paths, people, cameras and times.
            settings: Settings with the model of the features.

        Returns:
            ``(N,)`` int64, ascending numbers that were never used before.
        """

    @abstractmethod
    def _delete(self, where: RecordFilter) -> int:
        """Delete the images that meet the conditions, at least one of which is given; return their number."""

    @abstractmethod
    def _relabel(self, ids: Sequence[int], pid: int, name: str) -> None:
        """Move images, all of which exist, to a person with that name, which is empty for none."""

    @abstractmethod
    def _rename(self, pid: int, name: str, ids: Sequence[int]) -> None:
        """Name a person with these images; the name is checked, and empty for none."""

    @abstractmethod
    def _nearest(self, embedding: np.ndarray, top_k: int, where: RecordFilter) -> list[list[tuple[Record, float]]]:
        """Find the nearest images.

        Args:
            embedding: ``(Q, D)`` float32, checked, at length 1 for the cosine distance; Q > 0.
            top_k: Images per query.
            where: Conditions on the images.

        Returns:
            One list per query with records and their distances, by distance and then by id.
        """

    @abstractmethod
    def _records(self, ids: Sequence[int]) -> list[Record]:
        """Return the records of those ids that exist, in any order."""

    def _known_paths(self, paths: Sequence[str]) -> set[tuple[str, str, str]]:
        """Return path, source and track of at least those images that have one of the paths."""
        return {(record.path, record.source, record.track) for record in self._records(self.ids().tolist())}

    @abstractmethod
    def _count_pooled(self) -> int:
        """Return the number of records that are pooled from several images."""

    @abstractmethod
    def _refresh(self) -> None:
        """Read the settings that other processes may have changed."""

    @abstractmethod
    def _names(self, key: str) -> dict[int, str]:
        """Return the names of people (key ``'pid'``) or cameras (``'camid'``) by number."""

    @abstractmethod
    def _used(self, key: str) -> Iterable[int]:
        """Return all numbers of people or cameras in use, including those without a name."""

    @abstractmethod
    def _embeddings(self, ids: Sequence[int]) -> np.ndarray:
        """Return ``(N, D)`` float32 in the order of the ids, all of which exist."""

    @abstractmethod
    def _save_settings(self, settings: GallerySettings) -> None:
        """Replace the stored settings completely or not at all, and :attr:`settings`."""

    @abstractmethod
    def _more_info(self) -> dict:
        """Return the back end's own entries for :meth:`info`, at least ``kind``."""


def _person(pid: int) -> int:
    """Return the number of a person, or -1."""
    whole = isinstance(pid, (int, np.integer)) and not isinstance(pid, bool)
    if not whole or not -1 <= pid < 2**63:
        raise DataError(f'pid={pid!r}: give the number of a person, or -1 for unknown')
    return int(pid)


def _whole(ids: Numbers | np.ndarray) -> list[int]:
    """Return ids as integers."""
    return list(RecordFilter.of(ids=ids).ids or ())
