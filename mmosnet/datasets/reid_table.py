"""The user's own crops in one table: a CSV file with a row for each image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmosnet.datasets.named_people import NamedPeople
from mmosnet.datasets.reid_dataset import SPLITS
from mmosnet.errors import DataError
from mmosnet.io.media import same_name
from mmosnet.io.tables import TableRow, binary_labels, camera_number, identity, read_table
from mmosnet.registry import DATASETS

COLUMNS = ('path', 'pid', 'camid', 'split')


@DATASETS.register_module()
class ReIDTable(NamedPeople):
    """Images listed in a CSV file with the columns ``path,pid,camid,split`` and any number of attributes.

    The first row names the columns, in any order (:func:`~mmosnet.io.tables.read_table`). ``path`` is relative
    to ``data_prefix['img_path']``, the data root by default. ``pid`` is any name, ``0001`` or ``anna``
    (:class:`~mmosnet.datasets.named_people.NamedPeople`), -1 for nobody in particular, ``camid`` a whole number as in
    the records, counted from 0 or from 1, ``split`` is train, query or gallery. Numbers may have the decimal point that
    spreadsheets give them, ``12.0``.

    Every other column is an attribute: a record has ``attributes=dict(column=text)``, with empty text where a cell is
    empty, and ``metainfo['attribute_names']`` the columns in the file's order. For a model to learn from them, name the
    columns in ``attributes`` and ``category``.

    The whole table is checked; images must be there for the splits that are used.

    Args:
        ann_file: The CSV file, relative to ``data_root``.
        attributes: Columns of 0 and 1: rows get a ``gt_score`` of them, in the order given, and ``metainfo`` the names
            and the shares of positives (``attributes``, ``pos_ratio``). A row where all of them are empty has no
            labels of attributes and no ``gt_score``.
        category: Column of names: rows get their number as ``gt_category``, counted from 0 in alphabetical order over
            all splits, and ``metainfo`` the names (``classes``). A row where it is empty has no ``gt_category``.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`.

    Raises:
        FileNotFoundError: No such table.
        DataError: Names the row, as an editor counts, the value and what it should be.
    """

    def __init__(
        self,
        *args,
        ann_file: str = 'people.csv',
        attributes: Sequence[str] = (),
        category: str | None = None,
        **kwargs,
    ) -> None:
        self.score_names = [attributes] if isinstance(attributes, str) else list(attributes)
        self.category = category
        super().__init__(*args, ann_file=ann_file, **kwargs)

    def list_people(self) -> list[dict]:
        """Read and check the table; see the base class."""
        columns, rows = read_table(self.ann_file, COLUMNS, SPLITS, self.data_prefix['img_path'], 'ReIDTable')
        further = [column for column in columns if column not in COLUMNS]
        self._metainfo['attribute_names'] = further
        self._check_choice(further)
        people = [self._person(row, further) for row in rows]
        if self.category is not None:
            self._number_categories(people)
        return people

    def _check_choice(self, further: list[str]) -> None:
        named = dict(attributes=self.score_names, category=[self.category] if self.category is not None else [])
        for option, columns in named.items():
            for column in columns:
                if column not in further or columns.count(column) > 1:
                    raise DataError(
                        f'{self.ann_file}: {option} names {column!r}, no column of its own or there twice; choose from '
                        f'{", ".join(further) or "none: there are no further columns"}'
                    )

    def _person(self, row: TableRow, further: list[str]) -> dict:
        cells = row.cells
        name, camid = identity(cells['pid'], f'{row.place}: pid'), camera_number(cells['camid'], row.place)
        if camid < 0:
            raise DataError(f'{row.place}: camid {cells["camid"]!r} is not a whole number from 0 up')
        if self.is_wanted(cells['split']) and not Path(row.img_path).is_file():
            raise DataError(
                f'{row.place}: no image {row.img_path}; paths are relative to {Path(self.data_prefix["img_path"])}'
            )
        person = dict(
            name=str(name),
            split=cells['split'],
            img_path=row.img_path,
            camid=camid,
            attributes={name: cells[name] for name in further},
        )
        labels = binary_labels(row, self.score_names)
        if labels is not None:
            person['gt_score'] = np.array(labels, np.float32)
        return person

    def _number_categories(self, people: list[dict]) -> None:
        kinds = [same_name(person['attributes'][self.category]) for person in people]
        classes = sorted(set(kinds) - {''})
        if not classes:
            raise DataError(f'{self.ann_file}: the column {self.category} is empty in all rows; category needs names')
        self._metainfo['classes'] = classes
        numbers = {name: number for number, name in enumerate(classes)}
        for person, kind in zip(people, kinds, strict=True):
            if kind:
                person['gt_category'] = numbers[kind]
