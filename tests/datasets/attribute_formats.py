"""Miniatures of attribute data sets in their on-disk formats.

Where a docstring says "not checked against the official file", the form was taken from published code that reads the
file, and from the authors' description.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmosnet.datasets.market1501 import AGES, BINARY_FIELDS, COLOR_FIELDS
from tests.conftest import write_person
from tests.datasets.official_formats import cell, write_mat

# The order of the fields in the structures of market_attribute.mat.
TRAIN_FIELDS = [
    *('age', 'backpack', 'bag', 'handbag'),
    *(f'down{c}' for c in ('black', 'blue', 'brown', 'gray', 'green', 'pink', 'purple', 'white', 'yellow')),
    *(f'up{c}' for c in ('black', 'blue', 'green', 'gray', 'purple', 'red', 'white', 'yellow')),
    *('clothes', 'down', 'up', 'hair', 'hat', 'gender'),
]
TEST_FIELDS = [
    *('age', 'backpack', 'bag', 'handbag', 'clothes', 'down', 'up', 'hair', 'hat', 'gender'),
    *(f'up{c}' for c in ('black', 'white', 'red', 'purple', 'yellow', 'gray', 'blue', 'green')),
    *(f'down{c}' for c in ('black', 'white', 'pink', 'purple', 'yellow', 'gray', 'blue', 'green', 'brown')),
]

# The evaluated attributes of PETA, in the file's order.
PETA_EVALUATED = [
    *('personalLess30', 'personalLess45', 'personalLess60', 'personalLarger60', 'carryingBackpack', 'carryingOther'),
    *('lowerBodyCasual', 'upperBodyCasual', 'lowerBodyFormal', 'upperBodyFormal', 'accessoryHat', 'upperBodyJacket'),
    *('lowerBodyJeans', 'footwearLeatherShoes', 'upperBodyLogo', 'hairLong', 'personalMale', 'carryingMessengerBag'),
    *('accessoryMuffler', 'accessoryNothing', 'carryingNothing', 'upperBodyPlaid', 'carryingPlasticBags'),
    *('footwearSandals', 'footwearShoes', 'lowerBodyShorts', 'upperBodyShortSleeve', 'lowerBodyShortSkirt'),
    *('footwearSneaker', 'upperBodyThinStripes', 'accessorySunglasses', 'lowerBodyTrousers', 'upperBodyTshirt'),
    *('upperBodyOther', 'upperBodyVNeck'),
]


def random_labels(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 2, shape)


def write_images(folder: Path, names: list[str]) -> None:
    """The same picture under many names."""
    write_person(folder / names[0], 1)
    content = (folder / names[0]).read_bytes()
    for name in names[1:]:
        (folder / name).write_bytes(content)


def write_pa100k(
    root: Path,
    annotation: str = 'annotation/annotation.mat',
    version: str = '5',
    edit: Callable[[dict], None] = lambda variables: None,
) -> dict:
    """PA-100K: columns of cells, labels as uint8; not checked against the official file.

    Returns the variables; `edit` may change them before.
    """
    variables, first = {'attributes': cell([f'attribute {i}' for i in range(26)])}, 1
    for seed, (split, number) in enumerate(dict(train=40, val=5, test=7).items()):
        names = [f'{i:06d}.jpg' for i in range(first, first + number)]
        first += number
        write_images(root / 'data', names)
        variables[f'{split}_images_name'] = cell(names)
        variables[f'{split}_label'] = random_labels((number, 26), seed).astype(np.uint8)
    edit(variables)
    write_mat(root / annotation, variables, version)
    return variables


def random_partitions(number: int, sizes: dict[str, int], shape: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Five partitions of images counted from 1, as a column of cells with a structure each."""
    random = np.random.RandomState(0)
    partitions = []
    for _ in range(5):
        order, fields = random.permutation(number) + 1, {}
        for name, size in sizes.items():
            fields[name], order = shape(np.sort(order[:size]).astype(float)), order[size:]
        partitions.append(fields)
    return cell(partitions)


def write_peta(
    root: Path, version: str = '5', number: int = 20, edit: Callable[[dict], None] = lambda variables: None
) -> dict:
    """PETA: four columns in front of 105 labels, all as doubles; partitions are columns.

    The shape and names of the fields, the columns, `selected_attribute` (5 to 39, columns of `data`) and the first and
    the last of the 35 evaluated names were counted in the official file. The order of the names between, and that
    partitions are columns, are those of published code: not checked against the official file.
    """
    names = [f'{i:05d}.png' for i in range(1, number + 1)]
    write_images(root / 'images', names)
    labels = random_labels((number, 105))
    labels[:, 0] = np.arange(number) % 2
    others = np.arange(4.0 * number).reshape(number, 4)
    peta = dict(
        data=np.hstack([others, labels]).astype(float),
        attribute=cell([*PETA_EVALUATED, *(f'attribute {i}' for i in range(35, 105))]),
        selected_attribute=np.arange(5.0, 40)[None],
        partion_attribute=random_partitions(number, dict(train=10, val=2, test=8), lambda values: values[:, None]),
    )
    edit(peta)
    write_mat(root / 'PETA.mat', {'peta': peta}, version)
    return peta


def write_rap(
    root: Path,
    annotation: str = 'RAP_annotation/RAP_annotation.mat',
    version: str = '5',
    number: int = 50,
    edit: Callable[[dict], None] = lambda variables: None,
) -> dict:
    """RAP, first version: 92 labels; partitions are rows. Fields as in the authors' ReadMe.txt; not checked against the
    official file."""
    names = [f'CAM01_2014-02-15_20140215161032-{i:05d}.png' for i in range(number, 0, -1)]
    write_images(root / 'RAP_dataset', names)
    rap = dict(
        partion=random_partitions(number, dict(train=40, test=10), lambda values: values[None]),
        label=random_labels((number, 92)).astype(np.int32),
        position=np.zeros((number, 16), np.int32),
        attribute_eng=cell([f'attribute {i}' for i in range(92)]),
        attribute_chinese=cell([f'chinese {i}' for i in range(92)]),
        imagesname=cell(names),
        attribute_exp=cell([f'short {i}' for i in range(51)]),
    )
    edit(rap)
    write_mat(root / annotation, {'RAP_annotation': rap}, version)
    return rap


def write_market_attributes(
    path: Path,
    train: range,
    test: range,
    version: str = '5',
    edit: Callable[[dict], None] = lambda both: None,
) -> dict:
    """market_attribute.mat: rows of numbers, another order of fields in each structure; not checked against the
    official file. Returns the structures."""
    random, both = np.random.RandomState(0), {}
    for split, pids, order in (('test', test, TEST_FIELDS), ('train', train, TRAIN_FIELDS)):
        fields = {
            field: random.randint(1, len(AGES) + 1 if field == 'age' else 3, (1, len(pids))).astype(float)
            for field in order
        }
        assert set(fields) == {'age', *BINARY_FIELDS, *COLOR_FIELDS}
        fields['image_index'] = cell([f'{pid:04d}' for pid in pids], (1, len(pids)))
        both[split] = fields
    edit(both)
    write_mat(path, {'market_attribute': both}, version)
    return both
