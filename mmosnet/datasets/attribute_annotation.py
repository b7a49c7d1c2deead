"""Attribute annotations: names of images and a matrix of zeros and ones, checked row by row."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import MMLogger

from mmosnet.errors import DataError
from mmosnet.io.tables import image_inside


@dataclass(frozen=True)
class AnnotatedSplit:
    """The annotation of one split as its file has it, unchecked.

    Attributes:
        place: File and split, for the texts of errors.
        folder: Folder that the image names are relative to.
        names: Names of N image files.
        labels: ``(N, A)`` numbers.
        rows: Row numbers of the file to name in errors; counted from 1 by default.
    """

    place: str
    folder: Path
    names: Sequence[str]
    labels: np.ndarray
    rows: Sequence[int] | None = None

    def records(self, attributes: Sequence[str], columns: Sequence[int]) -> list[dict]:
        """Check all rows and return their records.

        Args:
            attributes: Names of the wanted attributes.
            columns: Their columns in the labels.

        Returns:
            A ``dict(img_path, gt_score)`` for each row; ``gt_score`` is ``(len(columns),)`` float32.

        Raises:
            DataError: Names file, split and row: an image without a name, outside the folder or not on disk; a label
                that is neither 0 nor 1; as many rows of labels as there are not names.
        """
        if self.labels.shape[0] != len(self.names):
            raise DataError(
                f'{self.place}: {len(self.names)} names of images, but {self.labels.shape[0]} rows of labels; the file '
                'is damaged: get it anew'
            )
        paths = [self._path(index) for index in range(len(self.names))]
        self._check_presence(paths)
        return [
            dict(img_path=path, gt_score=score)
            for path, score in zip(paths, self._scores(attributes, columns), strict=True)
        ]

    def _row(self, index: int) -> str:
        return f'{self.place}, row {index + 1 if self.rows is None else self.rows[index]}'

    def _path(self, index: int) -> str:
        name = self.names[index]
        if not name.strip():
            raise DataError(f'{self._row(index)}: the name of the image is empty; name it, or take out name and labels')
        return image_inside(self.folder, name, self._row(index))

    def _scores(self, attributes: Sequence[str], columns: Sequence[int]) -> np.ndarray:
        labels = self.labels[:, columns]
        wrong = np.argwhere(~np.isin(labels, (0, 1)))
        if len(wrong):
            index, column = wrong[0]
            raise DataError(
                f'{self._row(index)}: {attributes[column]} is {labels[index, column]}, neither 0 nor 1 ({len(wrong)} '
                'such labels in all); correct the file, or choose other attributes with attributes=[...]'
            )
        return labels.astype(np.float32)

    def _check_presence(self, paths: Sequence[str]) -> None:
        """Compare the paths with one listing per folder: one query per file takes minutes on network storage."""
        listed: dict[str, set[str]] = {}
        missing = []
        for index, path in enumerate(paths):
            folder, name = os.path.split(path)
            if folder not in listed:
                listed[folder] = _files(folder)
            if name not in listed[folder]:
                missing.append(index)
        if missing:
            raise DataError(
                f'{self._row(missing[0])}: no image {paths[missing[0]]} ({len(missing):,} of {len(paths):,} are '
                f'missing); extract all images into {self.folder}'
            )


def _files(folder: str) -> set[str]:
    if not os.path.isdir(folder):
        return set()
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_file()}


@dataclass(frozen=True)
class AttributeAnnotation:
    """What an annotation file says.

    Attributes:
        file: File name for errors.
        attributes: Names of the columns of the labels.
        splits: Each split by its name.
        evaluated: Columns of the attributes that are usually evaluated; all by default.
    """

    file: str
    attributes: Sequence[str]
    splits: Mapping[str, AnnotatedSplit]
    evaluated: Sequence[int] | None = None

    def columns(self, chosen: Sequence[str] | str | None = None) -> list[int]:
        """Return the column indices of the chosen attributes.

        Args:
            chosen: Names, in any order; ``'all'``; or None for those that are usually evaluated.

        Raises:
            DataError: An unknown name, the same name twice, or labels of another width than there are names.
        """
        for split in self.splits.values():
            if split.labels.ndim != 2 or split.labels.shape[1] != len(self.attributes):
                raise DataError(
                    f'{split.place}: labels of shape {split.labels.shape}, but the file names {len(self.attributes)} '
                    'attributes; the file is damaged: get it anew'
                )
        everything = range(len(self.attributes))
        if chosen is None:
            columns = list(everything if self.evaluated is None else self.evaluated)
        elif chosen == 'all':
            columns = list(everything)
        else:
            columns = self._named(chosen)
        names = [self.attributes[column] for column in columns]
        for name in names:
            if not name.strip() or names.count(name) > 1:
                raise DataError(f'{self.file}: the attribute {name!r} has no name, or comes twice: {", ".join(names)}')
        return columns

    def _named(self, chosen: Sequence[str] | str) -> list[int]:
        names = [chosen] if isinstance(chosen, str) else list(chosen)
        unknown = [name for name in names if name not in self.attributes]
        if unknown or not names:
            raise DataError(
                f'{self.file}: attributes={chosen!r}: {", ".join(map(repr, unknown)) or "no name"}; choose from '
                f'{", ".join(self.attributes)}'
            )
        return [list(self.attributes).index(name) for name in names]


def attribute_facts(names: Sequence[str], training: Sequence[dict] | None, place: str) -> dict:
    """Return the metadata that losses and metrics need of an attribute data set; warn of constant attributes.

    Args:
        names: Names of the attributes.
        training: The records to train on, of which those with ``gt_score`` count; None in testing.
        place: Data set and split, for the texts.

    Returns:
        ``attributes``, the names; in training also ``pos_ratio``, the share of images that have each attribute.

    Raises:
        DataError: No record to train on has labels.
    """
    facts: dict[str, Any] = dict(attributes=list(names))
    if training is None:
        return facts
    scores = [record['gt_score'] for record in training if 'gt_score' in record]
    if not scores:
        raise DataError(f'{place}: none of {len(training)} images has attribute labels; is it the right annotation?')
    ratios = np.asarray(np.mean(scores, axis=0, dtype=np.float64))
    for constant, what in ((0, 'have'), (1, 'lack')):
        found = [name for name, ratio in zip(names, ratios, strict=True) if ratio == constant]
        if found:
            MMLogger.get_current_instance().warning(
                f'{place}: no image is labelled to {what} {", ".join(found)}: that cannot be learnt'
            )
    facts['pos_ratio'] = ratios.tolist()
    return facts
