"""PETA (Deng et al., "Pedestrian Attribute Recognition At Far Distance", ACM MM 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmosnet.datasets.attribute_annotation import AttributeAnnotation
from mmosnet.datasets.attribute_dataset import AttributeDataset
from mmosnet.datasets.matlab_annotation import matrix, partitioned, read_partition, structure, texts
from mmosnet.errors import DataError
from mmosnet.io.files import read_json
from mmosnet.io.matlab import MatlabFile
from mmosnet.registry import DATASETS

ANNOTATION = 'PETA.mat'
IMAGES = 'images'
NUM_EVALUATED = 35
#: Columns of ``data`` in front of the labels: of 109 columns, label k (from 1) is column k + 4.
NUM_OTHER_COLUMNS = 4
#: Fields of the structure ``peta`` in their order; the last one is spelt so in the file.
FIELDS = ('data', 'attribute', 'selected_attribute', 'partion_attribute')
PROTOCOLS = ('random', 'zero_shot')


@DATASETS.register_module()
class PETA(AttributeDataset):
    """PETA: 19,000 images, 105 labels of which 35 are evaluated.

    ``data_root`` holds ``PETA.mat`` and the images as ``images/00001.png`` to ``images/19000.png``: the form in which
    published code uses the data set, not the authors' folders by source. The 35 are the first 35 names of the file,
    from personalLess30 to upperBodyVNeck.

    Random protocol, the usual one: 9,500 images for training, 1,900 for val, 7,600 for testing. The same people are in
    all three, in nearly the same images, so that results are too good.

    Zero-shot protocol (Jia et al., arXiv 2107.03576): nobody is in two splits. Its authors give the splits away as a
    pickle, ``dataset_zs_run0.pkl``. A pickle can run any code when it is read, so it is not read here.
    ``zero_shot_file`` is JSON with the names of each split's images, ``{"train": ["00001.png", ...], "val": [...],
    "test": [...]}``. In an environment that you can throw away, this makes it::

        import json, pickle  # and pip install easydict
        old = pickle.load(open('dataset_zs_run0.pkl', 'rb'))
        splits = {s: [old['image_name'][i] for i in old['partition'][s]] for s in ('train', 'val', 'test')}
        json.dump(splits, open('peta_zero_shot.json', 'w'))

    Args:
        protocol: ``'random'`` or ``'zero_shot'``.
        partition: Number of one of the random partitions in the file, from 0; published code takes the first.
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
        path = self.find_file(ANNOTATION)
        place = str(path)
        with MatlabFile(path) as file:
            peta = structure(file['peta'], (), f'{path}, peta')
            attributes = texts(_field(peta, 'attribute', place), f'{path}, attribute')
            data = matrix(_field(peta, 'data', place), f'{path}, data')
            evaluated = self._evaluated(peta, len(attributes), place)
            names = [f'{number:05d}.png' for number in range(1, len(data) + 1)]
            if self.protocol == 'zero_shot':
                numbers = self._zero_shot(names)
            else:
                partitions = _field(peta, 'partion_attribute', place)
                numbers = read_partition(partitions, self.partition, self.split_names, f'{path}, partion_attribute')
        splits = partitioned(names, data[:, NUM_OTHER_COLUMNS:], numbers, self.find_folder(IMAGES), place)
        return AttributeAnnotation(place, attributes, splits, evaluated)

    def _evaluated(self, peta: dict, num_attributes: int, place: str) -> Sequence[int] | None:
        """Return the indices of the labels that the file evaluates, from 0; the first 35 if it does not say.

        ``selected_attribute`` counts columns of ``data`` from 1: it is 5 to 39 in the official file.
        """
        if self.attributes is not None:
            return None
        if 'selected_attribute' not in peta:
            return range(min(NUM_EVALUATED, num_attributes))
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
        found = {}
        for split in self.split_names:
            images = splits.get(split) if isinstance(splits, dict) else None
            if not isinstance(images, list):
                raise DataError(f'{path} has no list {split!r}; it must be an object with train, val and test')
            unknown = [image for image in images if not isinstance(image, str) or image not in numbers]
            if unknown:
                raise DataError(f'{path}, {split}: no image {unknown[0]!r}; names are like {names[0]!r}')
            found[split] = np.array([numbers[image] for image in images], int)
        return found


def _field(peta: dict, name: str, place: str) -> object:
    """Return a field by its name, or by its position: published code relies on the order alone."""
    if name in peta:
        return peta[name]
    if len(peta) < len(FIELDS):
        raise DataError(f'{place}: peta has no field {name!r}; it has {", ".join(peta) or "none"}')
    return list(peta.values())[FIELDS.index(name)]
