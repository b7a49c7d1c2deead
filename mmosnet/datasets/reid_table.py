"""The user's own crops in one table: a CSV file with a row for each image."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from mmosnet.datasets.listed_image import image_inside
from mmosnet.datasets.named_people import NamedPeople
from mmosnet.datasets.reid_dataset import SPLITS
from mmosnet.errors import DataError
from mmosnet.registry import DATASETS

WHOLE_NUMBER = re.compile(r'[0-9]{1,9}')
COLUMNS = ('path', 'pid', 'camid', 'split')


@DATASETS.register_module()
class ReIDTable(NamedPeople):
    """Images listed in a CSV file with the columns ``path,pid,camid,split`` and any number of attributes.

    The first row names the columns, in any order; text is UTF-8, cells are separated by commas. ``path`` is relative to
    ``data_prefix['img_path']``, the data root by default. ``pid`` is any name, ``0001`` or ``anna``
    (:class:`~mmosnet.datasets.named_people.NamedPeople`), ``camid`` a whole number as in the records, counted from 0
    or from 1, ``split`` is train, query or gallery.

    Every other column is an attribute: a record has ``attributes=dict(column=text)``, with empty text where a cell is
    empty, and ``metainfo['attribute_names']`` the columns in the file's order.

    The whole table is checked; images must be there for the splits that are used.

    Args:
        ann_file: The CSV file, relative to ``data_root``.
        **kwargs: As :class:`~mmosnet.datasets.ReIDDataset`.

    Raises:
        FileNotFoundError: No such table.
        DataError: Names the row, as an editor counts, the value and what it should be.
    """

    def __init__(self, *args, ann_file: str = 'people.csv', **kwargs) -> None:
        super().__init__(*args, ann_file=ann_file, **kwargs)

    def list_people(self) -> list[dict]:
        """Read and check the table; see the base class."""
        rows = self._read_rows()
        columns = [cell.strip() for cell in rows[0][1]] if rows else []
        self._check_columns(columns)
        self._metainfo['attribute_names'] = [column for column in columns if column not in COLUMNS]
        people, seen = [], {}
        for number, cells in rows[1:]:
            place = f'{self.ann_file}, row {number}'
            if len(cells) != len(columns):
                raise DataError(f'{place}: {len(cells)} cells, but the first row names {len(columns)} columns')
            row = {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}
            person = self._person(row, place)
            if person['img_path'] in seen:
                raise DataError(
                    f'{place}: path {row["path"]!r} is in row {seen[person["img_path"]]} already; an image has one row'
                )
            seen[person['img_path']] = number
            people.append(person)
        return people

    def _read_rows(self) -> list[tuple[int, list[str]]]:
        """The rows that are not empty, each with its line number."""
        path = Path(self.ann_file)
        if not path.is_file():
            raise FileNotFoundError(
                f'ReIDTable: no table {path}; set data_root to its folder and ann_file to its name '
                '(--cfg-options for train_dataloader.dataset, val_dataloader.dataset and test_dataloader.dataset)'
            )
        try:
            # Spreadsheets put a byte order mark in front.
            with path.open(encoding='utf-8-sig', newline='') as file:
                reader = csv.reader(file, strict=True)
                return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
        except UnicodeDecodeError as e:
            raise DataError(f'{path} is not UTF-8 text ({e}); save it as "CSV UTF-8"') from e
        except csv.Error as e:
            raise DataError(f'{path}, row {reader.line_num}: not CSV ({e}); is a quotation mark not closed?') from e

    def _check_columns(self, columns: list[str]) -> None:
        missing = [column for column in COLUMNS if column not in columns]
        if missing:
            raise DataError(
                f'{self.ann_file}: no column {", ".join(missing)}; the first row must name the columns '
                f'{",".join(COLUMNS)}, separated by commas, and is {str(columns)[:100]}'
            )
        for column in columns:
            if not column or columns.count(column) > 1:
                raise DataError(f'{self.ann_file}, row 1: column name {column!r} is empty or comes twice: {columns}')

    def _person(self, row: dict[str, str], place: str) -> dict:
        for column in COLUMNS:
            if not row[column]:
                raise DataError(f'{place}: the cell {column} is empty')
        if row['split'] not in SPLITS:
            raise DataError(f'{place}: split {row["split"]!r}; choose from {", ".join(SPLITS)}')
        if WHOLE_NUMBER.fullmatch(row['camid']) is None:
            raise DataError(f'{place}: camid {row["camid"]!r} is not a whole number from 0 up')
        folder = Path(self.data_prefix['img_path'])
        img_path = image_inside(folder, row['path'], place)
        if self.is_wanted(row['split']) and not Path(img_path).is_file():
            raise DataError(f'{place}: no image {img_path}; paths are relative to {folder}')
        attributes = {name: row[name] for name in self._metainfo['attribute_names']}
        return dict(
            name=row['pid'], split=row['split'], img_path=img_path, camid=int(row['camid']), attributes=attributes
        )
