"""Pieces that the MATLAB annotations of attribute data sets have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger

from mmosnet.datasets.attribute_annotation import AnnotatedSplit
from mmosnet.errors import DataError
from mmosnet.io.matlab import MatlabCells


def texts(value: object, place: str) -> list[str]:
    """Return the texts of a cell array; an empty cell is an empty text.

    Raises:
        DataError: No cell array, or a cell holds something else than text.
    """
    if not isinstance(value, MatlabCells):
        raise DataError(f'{place} is no cell array of texts')
    found = []
    for number, text in enumerate(value, start=1):
        if isinstance(text, np.ndarray) and not text.size:
            text = ''
        if not isinstance(text, str):
            raise DataError(f'{place}: cell {number} is no text')
        found.append(text.strip())
    return found


def matrix(value: object, place: str) -> np.ndarray:
    """Check that a value is a matrix of numbers, and return it.

    Raises:
        DataError: Something else.
    """
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.dtype.kind not in 'buif':
        raise DataError(f'{place} is no matrix of numbers')
    return value


def whole_numbers(value: object, place: str) -> np.ndarray:
    """Return an array of whole numbers, flattened: ``(N,)`` int64.

    Raises:
        DataError: No array of numbers, or one that is not whole; names it.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind not in 'buif':
        raise DataError(f'{place} is no array of numbers')
    values = value.flatten()
    # Beyond 2**53 a float has no unit digit; NaN fails as well.
    wrong = np.flatnonzero(~((values == np.floor(values)) & (np.abs(values) < 2**53)))
    if len(wrong):
        raise DataError(f'{place}: value {wrong[0] + 1} is {values[wrong[0]]}, no whole number; get the file anew')
    return values.astype(np.int64)


def structure(value: object, fields: Sequence[str], place: str) -> dict:
    """Check that a value is a MATLAB structure with certain fields, and return it.

    Raises:
        DataError: No structure, or a field is missing.
    """
    if not isinstance(value, dict):
        raise DataError(f'{place} is no structure')
    missing = [field for field in fields if field not in value]
    if missing:
        raise DataError(f'{place} has no field {", ".join(missing)}; it has {", ".join(value)}')
    return value


def read_partition(value: object, index: int, splits: Sequence[str], place: str) -> dict[str, np.ndarray]:
    """Read one of several partitions: a cell array of structures with image numbers for each split.

    Public readers of these files take the fields by their order; here a field that is called ``train`` or
    ``train_index`` is taken by its name.

    Args:
        value: The cell array.
        index: Number of the partition, from 0.
        splits: Names of the splits in the order of the fields.
        place: Place to name in errors.

    Returns:
        Image numbers, counted from 1, of each split.

    Raises:
        DataError: No such partition, or it has too few fields.
    """
    partitions = list(value) if isinstance(value, MatlabCells) else [value]
    if not 0 <= index < len(partitions):
        raise DataError(f'partition={index}: {place} has partitions 0 to {len(partitions) - 1}')
    fields = partitions[index]
    if not isinstance(fields, dict) or len(fields) < len(splits):
        raise DataError(f'{place}: partition {index} is no structure with the fields {", ".join(splits)}')
    found = {}
    for position, split in enumerate(splits):
        named = [field for field in fields if field in (split, f'{split}_index')]
        field = named[0] if named else list(fields)[position]
        found[split] = matrix(fields[field], f'{place}: {field} of partition {index}').flatten()
    return found


def partitioned(
    names: Sequence[str], labels: np.ndarray, numbers: Mapping[str, np.ndarray], folder: Path, place: str
) -> dict[str, AnnotatedSplit]:
    """Divide an annotation of all images into splits.

    Args:
        names: File names of all images.
        labels: A row for each.
        numbers: Numbers of the images of each split, counted from 1.
        folder: Folder that the names are relative to.
        place: The file, for the texts of errors.

    Raises:
        DataError: A number beyond the images, an image that is in two splits, or other rows of labels than names.
    """
    if len(labels) != len(names):
        raise DataError(f'{place}: {len(names)} images, but {len(labels)} rows of labels; the file is damaged')
    splits, taken = {}, {}
    for split, found in numbers.items():
        wrong = [number for number in found.tolist() if number not in range(1, len(names) + 1)]
        if wrong:
            raise DataError(f'{place}, {split}: no image {wrong[0]:g}; images count from 1 to {len(names)}')
        rows = found.astype(int)
        for number in rows.tolist():
            if number in taken:
                raise DataError(
                    f'{place}: image {number} is in {taken[number]} and in {split}; splits must not overlap'
                )
            taken[number] = split
        chosen = rows - 1
        splits[split] = AnnotatedSplit(
            f'{place}, {split}', folder, [names[index] for index in chosen], labels[chosen], rows.tolist()
        )
    if len(taken) < len(names):
        first = next(number for number in range(1, len(names) + 1) if number not in taken)
        MMLogger.get_current_instance().info(
            f'{place}: {len(names) - len(taken):,} of {len(names):,} images are in no split, the first is {first}'
        )
    return splits
