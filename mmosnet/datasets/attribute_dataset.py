"""The base of all attribute data sets: records, checks, shares of positives and the table at the start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger

from mmosnet.datasets.attribute_annotation import AttributeAnnotation, attribute_facts
from mmosnet.datasets.person_dataset import PersonDataset
from mmosnet.visualization.text_table import text_table


class AttributeDataset(PersonDataset):
    """Images of people, each labelled with the same attributes.

    A subclass reads its annotation in :meth:`read_annotation`. mmpretrain's ``MultiLabelDataset`` reads one JSON file
    of its own kind, knows no splits, and does not ask whether images are there or what the labels are.

    A record has ``img_path``, ``gt_score`` (``(A,)`` float32, 1 where the image has the attribute) and ``split``.
    ``metainfo`` has ``attributes``, the A names. Where the train split is loaded it also has ``pos_ratio``, the share
    of the loaded images that have each attribute: of train and val where ``split=('train', 'val')`` trains on both.

    Args:
        data_root: Folder of the data set.
        split: ``'train'``, ``'val'``, ``'test'``, or several of them.
        attributes: Names of the attributes to use, in the order wanted; ``'all'`` of the annotation; None takes those
            that are usually evaluated.
        bad_images: ``'error'`` or ``'skip'``, as of :class:`~mmosnet.datasets.person_dataset.PersonDataset`.
        check_counts: Warn where the numbers of images are not the published ones.
        **kwargs: Arguments of mmengine's ``BaseDataset``: ``pipeline``, ``test_mode``, ``max_refetch`` ...

    Raises:
        FileNotFoundError: No annotation, or no folder of images; names what was looked for.
        DataError: Names file, split, row and value of what cannot be used; or bad arguments.
    """

    METAINFO = dict(task='attributes')

    split_names = ('train', 'val', 'test')

    def __init__(
        self,
        data_root: str = '',
        split: str | Sequence[str] = 'train',
        attributes: Sequence[str] | str | None = None,
        bad_images: str = 'error',
        check_counts: bool = True,
        **kwargs,
    ) -> None:
        self.attributes = attributes
        super().__init__(data_root=data_root, split=split, bad_images=bad_images, check_counts=check_counts, **kwargs)

    def read_annotation(self) -> AttributeAnnotation:
        """Read the annotation of at least the wanted splits."""
        raise NotImplementedError

    def published_counts(self) -> dict[str, int]:
        """Return the published number of images of each split that has one."""
        return {}

    def load_data_list(self) -> list[dict]:
        """Load all splits, check them and log a table of what was found.

        Returns:
            The records, split after split.
        """
        annotation = self.read_annotation()
        columns = annotation.columns(self.attributes)
        names = [annotation.attributes[column] for column in columns]
        records = []
        for split in self.splits:
            found = [dict(r, split=split) for r in annotation.splits[split].records(names, columns)]
            records += self.usable_records(found, split)
        training = records if 'train' in self.splits else None
        self._metainfo.update(attribute_facts(names, training, f'{type(self).__name__}, {" and ".join(self.splits)}'))
        self.log_table(self._table(records, len(names)))
        if self.check_counts:
            self._compare_counts(records)
        return records

    def find_file(self, *candidates: str) -> Path:
        """Return the first of several paths below ``data_root`` that is a file.

        Raises:
            FileNotFoundError: None is there; names them all and the download page.
        """
        paths = [Path(self.data_root) / candidate for candidate in candidates]
        for path in paths:
            if path.is_file():
                return path
        raise FileNotFoundError(
            f'{type(self).__name__}: no annotation {" or ".join(map(str, paths))}. data_root={self.data_root!r} must '
            f'hold it: set data_root to the extracted data set.{self.origin()}'
        )

    def find_folder(self, name: str) -> Path:
        """Return a folder of images below ``data_root``.

        Raises:
            FileNotFoundError: It is not there.
        """
        folder = Path(self.data_root) / name
        if not folder.is_dir():
            raise FileNotFoundError(
                f'{type(self).__name__}: no folder {folder}; the images must be in it.{self.origin()}'
            )
        return folder

    def _compare_counts(self, records: list[dict]) -> None:
        for split, published in self.published_counts().items():
            found = sum(record['split'] == split for record in records)
            if split in self.splits and found != published:
                MMLogger.get_current_instance().warning(
                    f'{type(self).__name__} in {self.data_root}: {split} has {found:,} images, published are '
                    f'{published:,}: results do not compare with published ones (check_counts=False for data of your '
                    'own)'
                )

    def _table(self, records: list[dict], num_attributes: int) -> str:
        rows = []
        for split in self.splits:
            scores = [record['gt_score'] for record in records if record['split'] == split]
            rows.append([split, str(len(scores)), f'{np.sum(scores) / len(scores):.2f}'])
        table = text_table(['split', 'images', 'attributes per image'], rows, indent=2)
        return f'{type(self).__name__} in {self.data_root}: {num_attributes} attributes\n{table}'
