"""PA-100K (Liu et al., "HydraPlus-Net: Attentive Deep Features for Pedestrian Analysis", ICCV 2017)."""

from __future__ import annotations

from pathlib import Path

from mmosnet.datasets.attribute_annotation import AnnotatedSplit, AttributeAnnotation
from mmosnet.datasets.attribute_dataset import AttributeDataset
from mmosnet.datasets.matlab_annotation import matrix, texts
from mmosnet.io.matlab import MatlabFile
from mmosnet.io.media import find_files
from mmosnet.registry import DATASETS

ANNOTATIONS = ('annotation/annotation.mat', 'annotation.mat')
IMAGES = 'data'


@DATASETS.register_module()
class PA100K(AttributeDataset):
    """PA-100K and every data set in its layout: 100,000 images, 26 attributes.

    ``data_root`` holds the images in ``data`` and ``annotation.mat`` beside it or in ``annotation``. The names of the
    attributes are read from the file. Official splits: 80,000 for training, 10,000 each for val and test.

    Args: as :class:`~mmosnet.datasets.AttributeDataset`.
    """

    download_page = 'https://github.com/xh-liu/HydraPlus-Net'

    def published_counts(self) -> dict[str, int]:
        """Return the counts in the paper."""
        return dict(train=80_000, val=10_000, test=10_000)

    def read_annotation(self) -> AttributeAnnotation:
        """Read all splits; see the base class."""
        path = self.find_file(*ANNOTATIONS)
        folder = self.find_folder(IMAGES)
        annotation = read_pa100k(path, folder)
        listed = {name for split in annotation.splits.values() for name in split.names}
        others = [path for path in find_files(folder).files if path.relative_to(folder).as_posix() not in listed]
        if others:
            self.note(f'left out {len(others):,} images in {folder} that no split lists, the first {others[0].name}')
        return annotation


def read_pa100k(path: Path, folder: Path) -> AttributeAnnotation:
    """Read an ``annotation.mat``.

    Args:
        path: The file.
        folder: Folder of the images.

    Raises:
        DataError: A variable is missing or of another kind.
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
