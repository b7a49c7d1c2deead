"""RAP, first version (Li et al., "A Richly Annotated Dataset for Pedestrian Attribute Recognition", 2016)."""

from __future__ import annotations

import numpy as np
from mmengine.logging import MMLogger

from mmosnet.datasets.attribute_annotation import AttributeAnnotation
from mmosnet.datasets.attribute_dataset import AttributeDataset
from mmosnet.datasets.held_out import check_val_share, held_out
from mmosnet.datasets.matlab_annotation import matrix, partitioned, read_partition, structure, texts
from mmosnet.io.matlab import MatlabFile
from mmosnet.registry import DATASETS

ANNOTATIONS = ('RAP_annotation/RAP_annotation.mat', 'RAP_annotation.mat')
IMAGES = 'RAP_dataset'
NUM_EVALUATED = 51
UNCERTAIN = 2


@DATASETS.register_module()
class RAPv1(AttributeDataset):
    """RAP: 41,585 images, 92 labels of which the first 51 are evaluated, 5 official random partitions.

    ``data_root`` holds the images in ``RAP_dataset`` and ``RAP_annotation.mat`` beside it or in ``RAP_annotation``. A
    partition has 33,268 images for training and 8,317 for testing; the same person may be in both.

    There is no official validation split, and published results are those of the epoch that is best on test.
    ``val_share`` holds out a random share of the training images instead, always the same ones: that split is ours.
    Give train and val the same ``val_share`` and ``val_seed``.

    The label 2, for a person whose gender the annotators could not tell, counts as 0, as in published code; how many
    there are is logged.

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
        path = self.find_file(*ANNOTATIONS)
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
        splits = partitioned(names, self._certain(labels), numbers, self.find_folder(IMAGES), place)
        return AttributeAnnotation(place, attributes, splits, range(min(NUM_EVALUATED, len(attributes))))

    @staticmethod
    def _certain(labels: np.ndarray) -> np.ndarray:
        uncertain = labels == UNCERTAIN
        number = int(uncertain[:, :NUM_EVALUATED].sum())
        if number:
            MMLogger.get_current_instance().info(f'RAPv1: {number} labels are {UNCERTAIN}, uncertain; they count as 0')
        return np.where(uncertain, 0, labels)
