"""``market_attribute.mat``: 27 fields for each identity of Market-1501 (Lin et al., Pattern Recognition 2019)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmosnet.datasets.matlab_annotation import matrix, structure, texts
from mmosnet.errors import DataError
from mmosnet.io.matlab import MatlabFile

DOWNLOAD_PAGE = 'https://github.com/vana77/Market-1501_Attribute'
#: Fields of two values in the order of the authors' list, and what their second value means; the first is male, short
#: hair, long sleeves, long trousers or skirt, dress, and no hat, backpack, bag, handbag.
BINARY_FIELDS = dict(
    gender='female',
    hair='long_hair',
    up='short_sleeves',
    down='short_lower',
    clothes='pants',
    hat='hat',
    backpack='backpack',
    bag='bag',
    handbag='handbag',
)
#: Values 1 to 4 of the field ``age``.
AGES = ('young', 'teenager', 'adult', 'old')
#: Fields of two values whose second is yes. A person whose clothes have none of the colours has yes nowhere.
COLOR_FIELDS = tuple(
    [f'up{color}' for color in ('black', 'white', 'red', 'purple', 'yellow', 'gray', 'blue', 'green')]
    + [f'down{c}' for c in ('black', 'white', 'pink', 'purple', 'yellow', 'gray', 'blue', 'green', 'brown')]
)
NAMES = (*BINARY_FIELDS.values(), *AGES, *COLOR_FIELDS)


def market_attributes(path: str | Path) -> tuple[list[str], dict[str, dict[int, np.ndarray]]]:
    """Read the attributes of all identities as binary ones: 26 fields of two values, and age as four.

    The structures for train and test list the same fields in different orders; fields are taken by their names.

    Args:
        path: The file.

    Returns:
        The 30 names of :data:`NAMES`, and for ``'train'`` and ``'test'`` the ``gt_score`` of each pid, ``(30,)``
        float32.

    Raises:
        FileNotFoundError: No such file; says where it comes from.
        DataError: A field or an identity is missing or there twice, or a value means nothing; names file, structure,
            field and identity.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no file {path} with the attributes of Market-1501; it comes from {DOWNLOAD_PAGE}')
    with MatlabFile(path) as file:
        both = structure(file['market_attribute'], ('train', 'test'), f'{path}, market_attribute')
        return list(NAMES), {split: _scores(both[split], f'{path}, {split}') for split in ('train', 'test')}


def _scores(fields: object, place: str) -> dict[int, np.ndarray]:
    fields = structure(fields, ('image_index', 'age', *BINARY_FIELDS, *COLOR_FIELDS), place)
    pids = _pids(texts(fields['image_index'], f'{place}, image_index'), place)
    yes = {}
    for field, name in (*BINARY_FIELDS.items(), *zip(COLOR_FIELDS, COLOR_FIELDS, strict=True)):
        yes[name] = _values(fields[field], 2, pids, f'{place}, {field}') == 2
    ages = _values(fields['age'], len(AGES), pids, f'{place}, age')
    yes |= {name: ages == value for value, name in enumerate(AGES, start=1)}
    scores = np.stack([yes[name] for name in NAMES], axis=1).astype(np.float32)
    return dict(zip(pids, scores, strict=True))


def _pids(names: list[str], place: str) -> list[int]:
    pids = []
    for number, name in enumerate(names, start=1):
        if not name.isdecimal() or int(name) in pids:
            raise DataError(f'{place}: image_index {number} is {name!r}, no identity like 0002, or there twice')
        pids.append(int(name))
    return pids


def _values(value: object, highest: int, pids: list[int], place: str) -> np.ndarray:
    values = matrix(value, place).flatten()
    if len(values) != len(pids):
        raise DataError(f'{place}: {len(values)} values for {len(pids)} identities; the file is damaged: get it anew')
    wrong = np.flatnonzero(~np.isin(values, range(1, highest + 1)))
    if len(wrong):
        raise DataError(f'{place}: identity {pids[wrong[0]]} has {values[wrong[0]]}, not one of 1 to {highest}')
    return values
