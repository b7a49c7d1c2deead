"""Data sets of person attributes: PA-100K, PETA and RAP.

- PA-100K: Liu et al., "HydraPlus-Net: Attentive Deep Features for Pedestrian Analysis", ICCV 2017.
- PETA: Deng et al., "Pedestrian Attribute Recognition At Far Distance", ACM MM 2014.
- RAP, first version: Li et al., "A Richly Annotated Dataset for Pedestrian Attribute Recognition", 2016.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger

from mmosnet.datasets.base import AnnotatedSplit, AttributeAnnotation, AttributeDataset, check_val_share, held_out
from mmosnet.errors import DataError
from mmosnet.io.files import read_json
from mmosnet.io.matlab import MatlabCells, MatlabFile, matrix, structure, texts
from mmosnet.io.media import find_files
from mmosnet.registry import DATASETS

# Files and folders below data_root.
PA100K_ANNOTATIONS, PA100K_IMAGES = ('annotation/annotation.mat', 'annotation.mat'), 'data'
PETA_ANNOTATION, PETA_IMAGES = 'PETA.mat', 'images'
RAP_ANNOTATIONS, RAP_IMAGES = ('RAP_annotation/RAP_annotation.mat', 'RAP_annotation.mat'), 'RAP_dataset'
# The first attributes, which are evaluated.
PETA_NUM_EVALUATED, RAP_NUM_EVALUATED = 35, 51
#: Columns of PETA's ``data`` before the labels: of 109 columns, label k (from 1) is column k + 4.
NUM_OTHER_COLUMNS = 4
#: Fields of the structure ``peta`` in their order; the last one is spelled so in the file.
PETA_FIELDS = ('data', 'attribute', 'selected_attribute', 'partion_attribute')
PROTOCOLS = ('random', 'zero_shot')
# RAP's label of a person whose gender the annotators could not recognize.
UNCERTAIN = 2


def read_partition(value: object, index: int, splits: Sequence[str], place: str) -> dict[str, np.ndarray]:
    """Read one of several partitions: a cell array of structures with image numbers for each split.

    Other published readers of these files use the order of the fields; here a field called ``train`` or
    ``train_index`` is found by its name, others by their order.

    Args:
        value: The cell array.
        index: Number of the partition, from 0.
        splits: Names of the splits in the order of the fields.
        place: Place to name in errors.

    Returns:
        Image numbers, counted from 1, of each split.

    Raises:
        DataError: There is no such partition, or it has too few fields.
    """
    partitions = list(value) if isinstance(value, MatlabCells) else [value]
    if not 0 <= index < len(partitions):
        raise DataError(f'partition={index}: {place} has partitions 0 to {len(partitions) - 1}')
    fields = partitions[index]
    if not isinstance(fields, dict) or len(fields) < len(splits):
        raise DataError(f'{place}: partition {index} is no structure with the fields {", ".join(splits)}')
    numbers = {}
    for position, split in enumerate(splits):
        named = [field for field in fields if field in (split, f'{split}_index')]
        field = named[0] if named else list(fields)[position]
        numbers[split] = matrix(fields[field], f'{place}: {field} of partition {index}').flatten()
    return numbers


def partitioned(
    names: Sequence[str], labels: np.ndarray, numbers: Mapping[str, np.ndarray], folder: Path, place: str
) -> dict[str, AnnotatedSplit]:
    """Divide an annotation of all images into splits.

    Args:
        names: File names of all N images.
        labels: ``(N, A)``, one row per image.
        numbers: Numbers of the images of each split, counted from 1.
        folder: Folder that the names are relative to.
        place: The file, for error messages.

    Raises:
        DataError: A number is not that of an image, an image is in two splits, or names and labels differ in number.
    """
    if len(labels) != len(names):
        raise DataError(f'{place}: {len(names)} images, but {len(labels)} rows of labels; the file is damaged')
    splits, taken = {}, {}
    for split, listed in numbers.items():
        wrong = [number for number in listed.tolist() if number not in range(1, len(names) + 1)]
        if wrong:
            raise DataError(f'{place}, {split}: no image {wrong[0]:g}; images count from 1 to {len(names)}')
        rows = listed.astype(int)
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


def read_pa100k(path: Path, folder: Path) -> AttributeAnnotation:
    """Read an ``annotation.mat``.

    Args:
        path: The file.
        folder: Folder of the images.

    Raises:
        DataError: A variable is missing or of another type.
    """
    splits = {}
    with MatlabFile(path) as file:
        attributes = texts(file['attributes'], f'{path}, attributes')
        for split in AttributeDataset.split_names:
            names, labels = f'{split}_images_name', f'{split}_label'
            splits[split] = AnnotatedSplit(
                f'{path}, {split}',
                folder,
                texts(file[names], f'{path}, {names}'),
                matrix(file[labels], f'{path}, {labels}'),
            )
    return AttributeAnnotation(str(path), attributes, splits)


@DATASETS.register_module()
class PA100K(AttributeDataset):
    """PA-100K and every data set in its layout: 100,000 images, 26 attributes.

    ``data_root`` holds the images in ``data`` and ``annotation.mat`` beside it or in ``annotation``. The names of the
    attributes are read from the file. Official splits: 80,000 for training, 10,000 each for val and test.

    Takes the arguments of :class:`~mmosnet.datasets.AttributeDataset`.
    """

    download_page = 'https://github.com/xh-liu/HydraPlus-Net'

    def published_counts(self) -> dict[str, int]:
        """Return the counts in the paper."""
        return dict(train=80_000, val=10_000, test=10_000)

    def read_annotation(self) -> AttributeAnnotation:
        """Read all splits; see the base class."""
        path = self.find_file(*PA100K_ANNOTATIONS)
        folder = self.find_folder(PA100K_IMAGES)
        annotation = read_pa100k(path, folder)
        listed = {name for split in annotation.splits.values() for name in split.names}
        others = [path for path in find_files(folder).files if path.relative_to(folder).as_posix() not in listed]
        if others:
            self.note(f'left out {len(others):,} images in {folder} that no split lists, the first {others[0].name}')
        return annotation


def _peta_field(peta: dict, name: str, place: str) -> object:
    """Return a field of the structure ``peta`` by its name, or else by its position, on which published code relies."""
    if name in peta:
        return peta[name]
    if len(peta) < len(PETA_FIELDS):
        raise DataError(f'{place}: peta has no field {name!r}; it has {", ".join(peta) or "none"}')
    return list(peta.values())[PETA_FIELDS.index(name)]


@DATASETS.register_module()
class PETA(AttributeDataset):
    """PETA: 19,000 images, 105 labels of which 35 are evaluated.

    ``data_root`` holds ``PETA.mat`` and the images as ``images/00001.png`` to ``images/19000.png``: the form in which
    published code uses the data set, not the authors' folders by source. Evaluated are the first 35 names of the file,
    from personalLess30 to upperBodyVNeck.

    Random protocol, the usual one: 9,500 images for training, 1,900 for val, 7,600 for testing. The same people are in
    all three, in nearly the same images, so that results are too optimistic.

    Zero-shot protocol (Jia et al., arXiv 2107.03576): no person is in two splits. Its authors publish the splits as a
    pickle, ``dataset_zs_run0.pkl``. A pickle can run any code when it is read, so it is not read here.
    ``zero_shot_file`` is JSON with the names of each split's images, ``{"train": ["00001.png", ...], "val": [...],
    "test": [...]}``. These lines convert the pickle; run them in an isolated environment::

        import json, pickle  # and pip install easydict
        old = pickle.load(open('dataset_zs_run0.pkl', 'rb'))
        splits = {s: [old['image_name'][i] for i in old['partition'][s]] for s in ('train', 'val', 'test')}
        json.dump(splits, open('peta_zero_shot.json', 'w'))

    Args:
        protocol: ``'random'`` or ``'zero_shot'``.
        partition: Number of one of the random partitions in the file, from 0; published code uses the first.
        zero_shot_file: The splits of the zero-shot protocol, relative to ``data_root``.
        **kwargs: Same as in :class:`~mmosnet.datasets.AttributeDataset`; ``attributes='all'`` takes all 105.
    """

    download_page = (
        'https://github.com/dangweili/pedestrian-attribute-recognition-pytorch (PETA.mat and numbered images), '
        'originally from http://mmlab.ie.cuhk.edu.hk/projects/PETA.html'
    )

    def __init__(
        self,
        *args,
        protocol: str = 'random',
        partition: int = 0,
        zero_shot_file: str = 'peta_zero_shot.json',
        **kwargs,
    ) -> None:
        if protocol not in PROTOCOLS:
            raise DataError(f'protocol={protocol!r}: choose from {", ".join(PROTOCOLS)}')
        self.protocol = protocol
        self.partition = partition
        self.zero_shot_file = zero_shot_file
        super().__init__(*args, **kwargs)

    def published_counts(self) -> dict[str, int]:
        """Return the counts of every random partition."""
        return dict(train=9_500, val=1_900, test=7_600) if self.protocol == 'random' else {}

    def read_annotation(self) -> AttributeAnnotation:
        """Read all splits; see the base class."""
        path = self.find_file(PETA_ANNOTATION)
        place = str(path)
        with MatlabFile(path) as file:
            peta = structure(file['peta'], (), f'{path}, peta')
            attributes = texts(_peta_field(peta, 'attribute', place), f'{path}, attribute')
            data = matrix(_peta_field(peta, 'data', place), f'{path}, data')
            evaluated = self._evaluated(peta, len(attributes), place)
            names = [f'{number:05d}.png' for number in range(1, len(data) + 1)]
            if self.protocol == 'zero_shot':
                numbers = self._zero_shot(names)
            else:
                partitions = _peta_field(peta, 'partion_attribute', place)
                numbers = read_partition(partitions, self.partition, self.split_names, f'{path}, partion_attribute')
        splits = partitioned(names, data[:, NUM_OTHER_COLUMNS:], numbers, self.find_folder(PETA_IMAGES), place)
        return AttributeAnnotation(place, attributes, splits, evaluated)

    def _evaluated(self, peta: dict, num_attributes: int, place: str) -> Sequence[int] | None:
        """Return the indices of the evaluated labels, from 0; the first 35 if the file lists none.

        ``selected_attribute`` counts columns of ``data`` from 1: it is 5 to 39 in the official file.
        """
        if self.attributes is not None:
            return None
        if 'selected_attribute' not in peta:
            return range(min(PETA_NUM_EVALUATED, num_attributes))
        numbers = matrix(peta['selected_attribute'], f'{place}, selected_attribute').flatten().tolist()
        first, last = NUM_OTHER_COLUMNS + 1, NUM_OTHER_COLUMNS + num_attributes
        wrong = [number for number in numbers if number not in range(first, last + 1)]
        if wrong:
            raise DataError(
                f'{place}: selected_attribute has {wrong[0]:g}, but it counts columns of data, whose labels are '
                f'{first} to {last}; choose them with attributes=[...]'
            )
        return [int(number) - first for number in numbers]

    def _zero_shot(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        path = Path(self.data_root) / self.zero_shot_file
        if not path.is_file():
            raise FileNotFoundError(
                f'PETA: no file {path} with the splits of the zero-shot protocol; PETA.__doc__ says how to make it '
                'from the dataset_zs_run0.pkl of https://github.com/valencebond/Rethinking_of_PAR'
            )
        splits = read_json(path, 'pickles are not read, PETA.__doc__ says how to convert one')
        numbers = {name: number for number, name in enumerate(names, start=1)}
        splits_by_number = {}
        for split in self.split_names:
            images = splits.get(split) if isinstance(splits, dict) else None
            if not isinstance(images, list):
                raise DataError(f'{path} has no list {split!r}; it must be an object with train, val and test')
            unknown = [image for image in images if not isinstance(image, str) or image not in numbers]
            if unknown:
                raise DataError(f'{path}, {split}: no image {unknown[0]!r}; names are like {names[0]!r}')
            splits_by_number[split] = np.array([numbers[image] for image in images], int)
        return splits_by_number


@DATASETS.register_module()
class RAPv1(AttributeDataset):
    """RAP: 41,585 images, 92 labels of which the first 51 are evaluated, 5 official random partitions.

    ``data_root`` holds the images in ``RAP_dataset`` and ``RAP_annotation.mat`` beside it or in ``RAP_annotation``. A
    partition has 33,268 images for training and 8,317 for testing; the same person may be in both.

    There is no official validation split, and published results are those of the epoch that is best on test. Instead,
    ``val_share`` holds out a random but fixed share of the training images: this split is ours. Use the same
    ``val_share`` and ``val_seed`` for train and val.

    The label 2, for a person whose gender the annotators could not recognize, counts as 0, as in published code; its
    frequency is logged.

    Args:
        partition: Number of the partition, from 0.
        val_share: Share of the training images that make up ``split='val'``.
        val_seed: Seed of the random sample.
        **kwargs: Same as in :class:`~mmosnet.datasets.AttributeDataset`; ``attributes='all'`` takes all 92.
    """

    download_page = 'https://www.rapdataset.com'

    def __init__(self, *args, partition: int = 0, val_share: float = 0.0, val_seed: int = 0, **kwargs) -> None:
        self.partition = partition
        self.val_share = val_share
        self.val_seed = val_seed
        super().__init__(*args, **kwargs)

    def published_counts(self) -> dict[str, int]:
        """Return the counts of every partition."""
        return dict(test=8_317) if self.val_share else dict(train=33_268, test=8_317)

    def read_annotation(self) -> AttributeAnnotation:
        """Read one partition; see the base class."""
        check_val_share(self.val_share, self.splits, 'RAPv1')
        path = self.find_file(*RAP_ANNOTATIONS)
        place = str(path)
        with MatlabFile(path) as file:
            rap = structure(
                file['RAP_annotation'],
                ('imagesname', 'label', 'attribute_eng', 'partion'),
                f'{path}, RAP_annotation',
            )
            names = texts(rap['imagesname'], f'{path}, imagesname')
            attributes = texts(rap['attribute_eng'], f'{path}, attribute_eng')
            labels = matrix(rap['label'], f'{path}, label')
            numbers = read_partition(rap['partion'], self.partition, ('train', 'test'), f'{path}, partion')
        if self.val_share:
            val = held_out(numbers['train'].tolist(), self.val_share, self.val_seed)
            is_val = np.isin(numbers['train'], list(val))
            numbers = dict(numbers, train=numbers['train'][~is_val], val=numbers['train'][is_val])
        splits = partitioned(names, self._certain(labels), numbers, self.find_folder(RAP_IMAGES), place)
        return AttributeAnnotation(place, attributes, splits, range(min(RAP_NUM_EVALUATED, len(attributes))))

    @staticmethod
    def _certain(labels: np.ndarray) -> np.ndarray:
        uncertain = labels == UNCERTAIN
        number = int(uncertain[:, :RAP_NUM_EVALUATED].sum())
        if number:
            MMLogger.get_current_instance().info(f'RAPv1: {number} labels are {UNCERTAIN}, uncertain; they count as 0')
        return np.where(uncertain, 0, labels)
