"""Data sets of the user's own.

The base of the user's own data: people under names, in folders, tables and annotation files.

The user's own crops in folders: one for each split, in it one for each person.

The user's own crops in one table: a CSV file with a row for each image.

The user's own frames: people as boxes in whole images, annotated in COCO format.

The user's own attribute data in one table: a CSV file with a row for each image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mmosnet.datasets.base import JUNK_PID, SPLITS, AnnotatedSplit, AttributeAnnotation, AttributeDataset, ReIDDataset
from mmosnet.errors import DataError
from mmosnet.io.coco import COCO_FIELDS, CocoFile, compressed_mask, frame_size, read_coco
from mmosnet.io.media import find_files, same_name
from mmosnet.io.regions import BoxCounts, box_with_margin, region_path
from mmosnet.io.tables import (
    UNKNOWN,
    TableRow,
    alike_text,
    binary_labels,
    camera_number,
    identity,
    image_inside,
    number_names,
    read_table,
)
from mmosnet.registry import DATASETS


class NamedPeople(ReIDDataset):
    """People with names: the same name is the same person in all splits.

    A pid is a name's number by :func:`number_names` over all splits, so that a training set and a test set that are
    built apart agree; :attr:`pid_names` leads back. Names are equal if they are written alike, whatever the spelling of
    their accents in Unicode (NFC); a warning names those that differ in capitals, blanks or zeros in front alone, who
    are two people. The name -1 is nobody: such images are left out. People in the gallery whom no query asks for need
    not be told apart and may share a name.

    Args: as :class:`~mmosnet.datasets.ReIDDataset`.
    """

    distractor_pid = None
    shared_pids = True

    def list_people(self) -> list[dict]:
        """List the images of all splits as records ``dict(name, camid, split, img_path, ...)``, in a fixed order."""
        raise NotImplementedError

    def is_wanted(self, split: str) -> bool:
        """Return whether the images of a split are used and must exist."""
        return split in self.splits or self.combineall

    def load_data_list(self) -> list[dict]:
        """Assign numbers to the people, then load as the base class does."""
        self._people = [person | dict(name=same_name(person['name'])) for person in self.list_people()]
        names = {person['name'] for person in self._people} - {*UNKNOWN}
        text = alike_text(names)
        if text:
            self.note(text)
        self._numbers = number_names(names)
        self.pid_names = {pid: name for name, pid in self._numbers.items()}
        records = super().load_data_list()
        del self._people, self._numbers
        return records

    def load_split(self, split: str) -> list[dict]:
        """Pick one split; see the base class."""
        return [
            {key: value for key, value in person.items() if key not in ('name', 'split')}
            | dict(pid=self._numbers.get(person['name'], JUNK_PID))
            for person in self._people
            if person['split'] == split
        ]


NAME = re.compile(r'([0-9]{1,9})_')


@DATASETS.register_module()
class ReIDFolder(NamedPeople):
    """Images in ``data_root/{train,query,gallery}/PERSON/CAMERA_*.jpg``; no annotation file.

    PERSON is any folder name, ``0001`` or ``anna``; the same name is the same person in all splits
    (:class:`~mmosnet.datasets.own.NamedPeople` tells how names become pids). CAMERA is a whole number, the
    camid as it is written: cameras may count from 0 or from 1, only equality counts. A split that is not used need
    not be there. mmpretrain's ``CustomDataset`` reads class folders without cameras and splits.

    Images in folders below PERSON are the person's too, and symbolic links are followed
    (:func:`~mmosnet.io.media.find_files`). Warnings count what is left out: files that are no images, images
    without a camera number or outside of a person's folder, and empty folders. Hidden files, whose names begin with a
    dot, are passed over.

    Args: as :class:`~mmosnet.datasets.ReIDDataset`.

    Raises:
        FileNotFoundError: The folder of a split is missing.
        DataError: No image of a split has a camera number; a symbolic link in a loop, or one that leads nowhere.
    """

    def list_people(self) -> list[dict]:
        """List all splits that exist; see the base class."""
        return [person for split in SPLITS for person in self._list_split(split)]

    def _list_split(self, split: str) -> list[dict]:
        folder = Path(self.data_root) / split
        if not folder.is_dir():
            if not self.is_wanted(split):
                return []
            raise FileNotFoundError(
                f'ReIDFolder: no folder {folder}. data_root={self.data_root!r} must hold train, query and gallery, '
                'each with a folder for each person'
            )
        found = find_files(folder)
        people, odd, beside = [], [], []
        for path in found.files:
            below = path.relative_to(folder).parts
            match = NAME.match(path.name)
            if len(below) == 1 or match is None:
                (beside if len(below) == 1 else odd).append(str(path))
            else:
                people.append(dict(name=below[0], split=split, img_path=str(path), camid=int(match[1])))
        shown = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith('.'))
        filled = {path.relative_to(folder).parts[0] for path in found.files}
        empty = [str(person) for person in shown if person.name not in filled and person not in found.linked]
        self._complain(folder, people, odd + beside, empty, found.left_out_text())
        return people

    def _complain(self, folder: Path, people: list, odd: list[str], empty: list[str], left_out: str) -> None:
        if odd and not people:
            raise DataError(
                f'ReIDFolder: none of the {len(odd)} images in {folder} is a PERSON/CAMERA_*.jpg with a whole number '
                f'for the camera, like anna/2_0001.jpg; the first is {odd[0]}'
            )
        if left_out:
            self.note(f'{folder}: {len(people)} images, left out {left_out}')
        if odd:
            self.note(f'ignored {len(odd)} images in {folder} that are not PERSON/CAMERA_*.jpg, the first {odd[0]}')
        if empty:
            self.note(f'{len(empty)} folders in {folder} hold no image, the first {empty[0]}')


COLUMNS = ('path', 'pid', 'camid', 'split')


@DATASETS.register_module()
class ReIDTable(NamedPeople):
    """Images listed in a CSV file with the columns ``path,pid,camid,split`` and any number of attributes.

    The first row names the columns, in any order (:func:`~mmosnet.io.tables.read_table`). ``path`` is relative
    to ``data_prefix['img_path']``, the data root by default. ``pid`` is any name, ``0001`` or ``anna``
    (:class:`~mmosnet.datasets.own.NamedPeople`), -1 for nobody in particular, ``camid`` a whole number as in
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


@DATASETS.register_module()
class CocoPerson(NamedPeople):
    """People as boxes in frames: COCO-format JSON with an identity and a camera for each annotation.

    Crops are cut when they are read; a record's ``img_path`` names frame and region
    (:mod:`mmosnet.io.regions`), so every pipeline with ``LoadPersonImage`` works as for single crops.
    mmdet's ``CocoDataset`` gives whole frames with all their boxes and knows no identities.

    Identity, camera and split are fields of the annotation itself, or of its ``attributes`` as CVAT exports them;
    camera and split may also be fields of the image. Identities and cameras are numbers or names
    (:func:`~mmosnet.io.tables.number_names`); the identity -1 is nobody. The same identity is the same
    person in all files and frames: track numbers that start anew with each video are no identities.

    The splits come from one file each (``ann_files``), or from one file (``ann_file``) with a field ``split``: train,
    query or gallery. Files that are given are read and checked whatever ``split`` is loaded, frames only for what is.

    A box that reaches beyond its frame is clipped; one wholly outside is an error, as are boxes that are corners.
    Annotations with ``iscrowd`` are groups and are left out with a warning, as are those of other categories. Every
    other field of the user's goes into the record's ``attributes``, and its name into ``metainfo['attribute_names']``.

    Args:
        ann_file: One file for all splits, relative to ``data_root``.
        ann_files: Instead, a file for each split: ``dict(train='train.json', query=..., gallery=...)``.
        id_key: Field of the identity, ``'track_id'`` for instance.
        camera_key: Field of the camera.
        split_key: Field of the split; only read with ``ann_file``.
        category: Name of the category of people, where the file has others too; None takes all annotations.
        margin: Added around a box on each side, as a share of its width and height.
        mask_background: Paint everything outside the segmentation (polygons or run lengths) in ImageNet's mean color.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`. ``data_prefix=dict(img_path='frames')`` is the
            folder that ``file_name`` is relative to, by default the data root.

    Raises:
        FileNotFoundError: No such annotation file.
        DataError: Names file, annotation, value and what it should be.
    """

    def __init__(
        self,
        *args,
        ann_file: str = '',
        ann_files: Mapping[str, str] | None = None,
        id_key: str = 'person_id',
        camera_key: str = 'camera_id',
        split_key: str = 'split',
        category: str | None = None,
        margin: float = 0.0,
        mask_background: bool = False,
        **kwargs,
    ) -> None:
        if bool(ann_file) == bool(ann_files):
            raise DataError(
                "CocoPerson: give either ann_file='all.json', with a field 'split', or "
                "ann_files=dict(train='train.json', query='query.json', gallery='gallery.json')"
            )
        unknown = sorted(set(ann_files or {}) - set(SPLITS))
        if unknown:
            raise DataError(f'CocoPerson: ann_files names {", ".join(unknown)}; the splits are {", ".join(SPLITS)}')
        if not 0 <= margin <= 10:
            raise DataError(f'CocoPerson: margin={margin} must be a share of the box, from 0 to 10')
        self.ann_files = dict(ann_files or {})
        self.id_key, self.camera_key, self.split_key = id_key, camera_key, split_key
        self.category = category
        self.margin = margin
        self.mask_background = mask_background
        super().__init__(*args, ann_file=ann_file, **kwargs)

    def list_people(self) -> list[dict]:
        """Read and check all annotation files; see the base class. Boxes are not yet regions."""
        files = {split: str(Path(self.data_root) / name) for split, name in self.ann_files.items()}
        people = [
            person
            for split, path in (files or {None: self.ann_file}).items()
            for person in self._people_of(read_coco(path), split)
        ]
        cameras = number_names(person['camera'] for person in people)
        for person in people:
            person['camid'] = cameras[person.pop('camera')]
        names = {name for person in people for name in person['attributes']}
        self._metainfo['attribute_names'] = sorted(names)
        return people

    def _people_of(self, coco: CocoFile, split: str | None) -> Iterator[dict]:
        for annotation in coco.people(self.category, self.note):
            yield self._person(coco, annotation, split)

    def _person(self, coco: CocoFile, annotation: dict, split: str | None) -> dict:
        place, image = coco.place(annotation), coco.images[annotation['image_id']]
        own = annotation.get('attributes') or {}
        if not isinstance(own, dict):
            raise DataError(f'{place}: attributes {str(own)[:60]!r} are no object')
        name = identity(_field(self.id_key, (annotation, own), place, 'id_key'), f'{place}: {self.id_key}')
        camera = _field(self.camera_key, (annotation, own, image), place, 'camera_key')
        camera = identity(camera, f'{place}: {self.camera_key}')
        if camera == -1:
            raise DataError(
                f'{place}: {self.camera_key} is -1, but the camera must be known; give it a number or a name'
            )
        if split is None:
            split = _field(self.split_key, (annotation, own, image), place, 'split_key')
            if split not in SPLITS:
                raise DataError(f'{place}: {self.split_key} {split!r}; choose from {", ".join(SPLITS)}')
        fields = {key: value for key, value in annotation.items() if key not in COCO_FIELDS} | own
        keys = (self.id_key, self.camera_key, self.split_key)
        return dict(
            name=str(name),
            camera=camera,
            split=split,
            img_path=image_inside(Path(self.data_prefix['img_path']), image['file_name'], place),
            attributes={key: value for key, value in fields.items() if key not in keys},
            annotation=annotation,
            image=image,
            place=place,
        )

    def load_split(self, split: str) -> list[dict]:
        """Turn the boxes of one split into regions of their frames; see the base class."""
        people = super().load_split(split)
        sizes = self._frame_sizes(people)
        records, counts = [], BoxCounts()
        for person in people:
            size = sizes[person['img_path']]
            bbox, place = person['annotation']['bbox'], person['place']
            box, is_clipped = box_with_margin(bbox, size, self.margin, place)
            counts.add(bbox, size, place, is_clipped)
            record = dict(
                img_path=region_path(person['img_path'], box),
                pid=person['pid'],
                camid=person['camid'],
                attributes=person['attributes'],
            )
            if self.mask_background:
                record['segmentation'] = compressed_mask(person['annotation'].get('segmentation'), size, place)
            records.append(record)
        counts.refuse_corners()
        if counts.beyond:
            self.note(
                f'{counts.beyond} of {counts.number} boxes of {split} reach beyond their frame and are clipped',
                usual=True,
            )
        return records

    @staticmethod
    def _frame_sizes(people: list[dict]) -> dict[str, tuple[int, int]]:
        """Return height and width of every frame."""
        frames = {person['img_path']: person for person in people}
        with ThreadPoolExecutor() as pool:
            sizes = pool.map(
                lambda person: frame_size(person['img_path'], person['image'], person['place']), frames.values()
            )
            return dict(zip(frames, sizes, strict=True))


def _field(key: str, holders: tuple[dict, ...], place: str, option: str) -> str:
    """Return the value of a field as text, from the first of several objects that has the field."""
    value = next((holder[key] for holder in holders if holder.get(key) is not None), None)
    if isinstance(value, bool) or not isinstance(value, int | float | str) or not str(value).strip():
        found = 'is missing' if value is None else f'is {repr(value)[:60]}, not a number or a name'
        others = sorted({name for holder in holders[:2] for name in holder if name not in (*COCO_FIELDS, key)})
        options = ' '.join(f'{loader}_dataloader.dataset.{option}=FIELD' for loader in ('train', 'val', 'test'))
        raise DataError(
            f'{place}: the field {key!r} {found}; add it, or name another ({", ".join(others) or "there is none"}): '
            f"{option}='FIELD' in the config, or --cfg-options {options}"
        )
    return str(value).strip()


ATTRIBUTE_TABLE_COLUMNS = ('path', 'split')


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
        columns, rows = read_table(self.ann_file, ATTRIBUTE_TABLE_COLUMNS, self.split_names, folder, 'AttributeTable')
        names = [column for column in columns if column not in ATTRIBUTE_TABLE_COLUMNS]
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
