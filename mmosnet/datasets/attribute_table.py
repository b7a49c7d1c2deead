"""The user's own attribute data in one table: a CSV file with a row for each image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmosnet.datasets.attribute_annotation import AnnotatedSplit, AttributeAnnotation
from mmosnet.datasets.attribute_dataset import AttributeDataset
from mmosnet.errors import DataError
from mmosnet.io.tables import binary_labels, read_table
from mmosnet.registry import DATASETS

COLUMNS = ('path', 'split')


@DATASETS.register_module()
class AttributeTable(AttributeDataset):
    """Images listed in a CSV file with the columns ``path,split`` and one of 0 and 1 for each attribute.

    The first row names the columns, in any order (:func:`~mmosnet.io.tables.read_table`). ``path`` is relative
    to ``data_prefix['img_path']``, the data root by default; ``split`` is train, val or test. Every other column is an
    attribute. Where the table has columns of another kind, name the attributes in ``attributes``.

    The whole table is checked; images must be there for the splits that are used.

    Args:
        ann_file: The CSV file, relative to ``data_root``.
        **kwargs: Same as in :class:`~mmosnet.datasets.AttributeDataset`.

    Raises:
        FileNotFoundError: No such table.
        DataError: Names the row, as an editor counts, the value and what it should be.
    """

    def __init__(self, *args, ann_file: str = 'attributes.csv', **kwargs) -> None:
        super().__init__(*args, ann_file=ann_file, **kwargs)

    def read_annotation(self) -> AttributeAnnotation:
        """Read and check the table; see the base class."""
        folder = self.data_prefix['img_path']
        columns, rows = read_table(self.ann_file, COLUMNS, self.split_names, folder, 'AttributeTable')
        names = [column for column in columns if column not in COLUMNS]
        if not names:
            raise DataError(f'{self.ann_file}: no column but path and split; add one of 0 and 1 for each attribute')
        # Other columns may hold anything; they get no labels.
        annotation = AttributeAnnotation(self.ann_file, names, {})
        chosen = annotation.columns(self.attributes)
        splits = {}
        for split in self.split_names:
            own = [row for row in rows if row.cells['split'] == split]
            labels = np.full((len(own), len(names)), np.nan)
            for index, row in enumerate(own):
                values = binary_labels(row, [names[column] for column in chosen])
                if values is None:
                    raise DataError(f'{row.place}: all cells of attributes are empty; fill them, or take out the row')
                labels[index, chosen] = values
            splits[split] = AnnotatedSplit(
                f'{self.ann_file}, {split}',
                Path(folder),
                [row.cells['path'] for row in own],
                labels,
                [row.number for row in own],
            )
        return AttributeAnnotation(self.ann_file, names, splits)
