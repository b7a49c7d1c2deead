"""Data sets of the user's own: images in folders, CSV tables and COCO files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mmosnet.datasets.base import JUNK_PID, SPLITS, AnnotatedSplit, AttributeAnnotation, AttributeDataset, ReIDDataset
from mmosnet.errors import DataError
from mmosnet.io.coco import COCO_FIELDS, CocoFile, CocoRecord, compressed_mask, frame_size, read_coco
from mmosnet.io.media import find_files, same_name
from mmosnet.io.regions import BoxCounts, box_with_margin, region_path
from mmosnet.io.tables import (
    UNKNOWN,
    TableRow,
    alike_text,
    binary_labels,
    camera_number,
    identity,
    number_names,
    read_table,
)
from mmosnet.registry import DATASETS

# Camera number at the beginning of a file name in ReIDFolder.
CAMERA_NAME = re.compile(r'([0-9]{1,9})_')
# Required columns of the tables.
PERSON_COLUMNS = ('path', 'pid', 'camid', 'split')
ATTRIBUTE_COLUMNS = ('path', 'split')
# Groups of people in a COCO file that a message names.
MOST_NAMED = 5


class NamedPeople(ReIDDataset):
    """People with names: the same name is the same person in all splits.

    :func:`~mmosnet.io.tables.number_names` numbers the names of all splits, so that a training set and a test set that
    are built separately have the same pids; :attr:`pid_names` maps pids to names. Names are compared in Unicode form
    NFC, so that two spellings of an accent are equal. Names that differ only in case, blanks or leading zeros are
    different people, and a warning lists them. Images with the name -1 show no person and are left out. Gallery people
    who are in no query may share a name.

    Takes the arguments of :class:`~mmosnet.datasets.ReIDDataset`.
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


@DATASETS.register_module()
class ReIDFolder(NamedPeople):
    """Images in ``data_root/{train,query,gallery}/PERSON/CAMERA_*.jpg``; no annotation file.

    PERSON is any folder name, ``0001`` or ``anna``; the same name is the same person in all splits
    (:class:`~mmosnet.datasets.own.NamedPeople` describes how names become pids). CAMERA is a whole number, the camid as
    it is written: cameras may count from 0 or from 1, because camids are only compared. A split that is not used may be
    missing. mmpretrain's ``CustomDataset`` reads class folders without cameras and splits.

    Images in folders below PERSON belong to the person too, and symbolic links are followed
    (:func:`~mmosnet.io.media.find_files`). Warnings count what is left out: files that are no images, images without a
    camera number or outside of a person's folder, and empty folders. Hidden files, whose names begin with a dot, are
    ignored.

    Takes the arguments of :class:`~mmosnet.datasets.ReIDDataset`.

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
        listing = find_files(folder)
        people, odd, outside = [], [], []
        for path in listing.files:
            below = path.relative_to(folder).parts
            match = CAMERA_NAME.match(path.name)
            if len(below) == 1 or match is None:
                (outside if len(below) == 1 else odd).append(str(path))
            else:
                people.append(dict(name=below[0], split=split, img_path=str(path), camid=int(match[1])))
        visible = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith('.'))
        filled = {path.relative_to(folder).parts[0] for path in listing.files}
        empty = [str(person) for person in visible if person.name not in filled and person not in listing.linked]
        self._report(folder, people, odd + outside, empty, listing.left_out_text())
        return people

    def _report(self, folder: Path, people: list, odd: list[str], empty: list[str], left_out: str) -> None:
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


@DATASETS.register_module()
class ReIDTable(NamedPeople):
    """Images listed in a CSV file with the columns ``path,pid,camid,split`` and any number of attributes.

    The first row names the columns, in any order (:func:`~mmosnet.io.tables.read_table`). ``path`` is relative
    to ``data_prefix['img_path']``, the data root by default. ``pid`` is any name, ``0001`` or ``anna``
    (:class:`~mmosnet.datasets.own.NamedPeople`), -1 for no person; ``camid`` is a whole number, counted from 0 or from
    1; ``split`` is train, query or gallery. Numbers may have the decimal point that spreadsheets add: ``12.0``.

    Every other column is an attribute: a record has ``attributes=dict(column=text)``, with empty text for an empty
    cell, and ``metainfo['attribute_names']`` lists the columns in the file's order. A model learns only from the
    columns that ``attributes`` and ``category`` name.

    The whole table is checked; images must exist for the splits that are used.

    Args:
        ann_file: The CSV file, relative to ``data_root``.
        attributes: Columns of 0 and 1. They become the ``gt_score`` of a record, in this order; ``metainfo`` gets their
            names (``attributes``) and shares of positives (``pos_ratio``). A row whose cells are all empty gets no
            ``gt_score``. By default none.
        category: Column of category names. The number of a name, counted from 0 in alphabetical order over all splits,
            becomes ``gt_category``; ``metainfo`` gets the names (``classes``). A row whose cell is empty gets no
            ``gt_category``. By default none.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`.

    Raises:
        FileNotFoundError: No such table.
        DataError: A row cannot be used; names its line number, the value and the remedy.
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
        columns, rows = read_table(self.ann_file, PERSON_COLUMNS, SPLITS, self.data_prefix['img_path'], 'ReIDTable')
        further = [column for column in columns if column not in PERSON_COLUMNS]
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
        names = [same_name(person['attributes'][self.category]) for person in people]
        classes = sorted(set(names) - {''})
        if not classes:
            raise DataError(f'{self.ann_file}: the column {self.category} is empty in all rows; category needs names')
        self._metainfo['classes'] = classes
        numbers = {name: number for number, name in enumerate(classes)}
        for person, name in zip(people, names, strict=True):
            if name:
                person['gt_category'] = numbers[name]


@DATASETS.register_module()
class CocoPerson(NamedPeople):
    """People as boxes in frames: COCO-format JSON with an identity and a camera for each annotation.

    Crops are cut when they are read; a record's ``img_path`` names frame and region (:mod:`mmosnet.io.regions`), so
    every pipeline with ``LoadPersonImage`` works as for single crops. mmdet's ``CocoDataset`` yields whole frames with
    all their boxes and has no identities.

    Identity, camera and split are fields of the annotation itself, or of its ``attributes`` as CVAT exports them;
    camera and split may also be fields of the image. Identities and cameras are numbers or names
    (:func:`~mmosnet.io.tables.number_names`); the identity -1 is no person. The same identity is the same person in all
    files and frames: track numbers that restart with each video are no identities.

    The splits come from one file each (``ann_files``), or from one file (``ann_file``) with a field ``split``: train,
    query or gallery. All given files are read and checked, whatever ``split`` is loaded; frames are only checked for
    that split.

    A box that reaches beyond its frame is clipped; one wholly outside is an error, as are boxes that are corners.
    Annotations with ``iscrowd`` are groups and are left out with a warning, as are those of other categories. All
    other fields that are not of the COCO format go into the record's ``attributes``, and their names into
    ``metainfo['attribute_names']``.

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
        """Read and check all annotation files; see the base class. Paths are those of whole frames."""
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
        people, groups, num_others = coco.select(self.category)
        if num_others:
            self.note(
                f'{coco.path}: left out {num_others:,} of {len(coco.annotations):,} annotations, not of '
                f'{self.category!r}'
            )
        if groups:
            ids = [str(annotation['id']) for annotation in groups]
            text = (
                f'{len(groups):,} of {len(people) + len(groups):,} annotations '
                f'({", ".join(ids) if len(ids) <= MOST_NAMED else f"the first {ids[0]}"}) have iscrowd 1, a group of '
                'people. Tools that draw masks write 1 for single people too: set iscrowd to 0 in these'
            )
            if not people:
                raise DataError(f'{coco.path}: nobody is left: {text}')
            self.note(f'left out {len(groups):,} crowd annotations of {coco.path}: {text}')
        for annotation in people:
            yield self._person(coco.record(annotation), split)

    def _person(self, record: CocoRecord, split: str | None) -> dict:
        self._require(record, 'id_key', of_image=False)
        name = record.identity(self.id_key, of_image=False)
        self._require(record, 'camera_key')
        camera = record.identity(self.camera_key)
        if camera == -1:
            raise DataError(
                f'{record.place}: {self.camera_key} is -1, but the camera must be known; give it a number or a name'
            )
        if split is None:
            split = self._require(record, 'split_key')
            if split not in SPLITS:
                raise DataError(f'{record.place}: {self.split_key} {split!r}; choose from {", ".join(SPLITS)}')
        own = {key: value for key, value in record.annotation.items() if key not in COCO_FIELDS} | record.attributes
        keys = (self.id_key, self.camera_key, self.split_key)
        return dict(
            name=str(name),
            camera=camera,
            split=split,
            img_path=record.img_path(self.data_prefix['img_path']),
            attributes={key: value for key, value in own.items() if key not in keys},
            record=record,
        )

    def _require(self, record: CocoRecord, option: str, of_image: bool = True) -> str:
        """Return the text of the field that an option names; raise an error if there is none."""
        key = getattr(self, option)
        text = record.field(key, of_image)
        if not text:
            fields = {*record.annotation, *record.attributes} - {*COCO_FIELDS, key}
            overrides = ' '.join(f'{loader}_dataloader.dataset.{option}=FIELD' for loader in ('train', 'val', 'test'))
            raise DataError(
                f'{record.place}: the field {key!r} is missing or empty; add it, or name another '
                f"({', '.join(sorted(fields)) or 'there is none'}): {option}='FIELD' in the config, or --cfg-options "
                f'{overrides}'
            )
        return text

    def load_split(self, split: str) -> list[dict]:
        """List one split, with regions of frames as images; see the base class."""
        people = super().load_split(split)
        sizes = self._frame_sizes(people)
        records, counts = [], BoxCounts()
        for person in people:
            size = sizes[person['img_path']]
            annotation, place = person['record'].annotation, person['record'].place
            bbox = annotation['bbox']
            box, is_clipped = box_with_margin(bbox, size, self.margin, place)
            counts.add(bbox, size, place, is_clipped)
            record = dict(
                img_path=region_path(person['img_path'], box),
                pid=person['pid'],
                camid=person['camid'],
                attributes=person['attributes'],
            )
            if self.mask_background:
                record['segmentation'] = compressed_mask(annotation.get('segmentation'), size, place)
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
        frames = {person['img_path']: person['record'] for person in people}
        with ThreadPoolExecutor() as pool:
            sizes = pool.map(lambda path: frame_size(path, frames[path].image, frames[path].place), frames)
            return dict(zip(frames, sizes, strict=True))


@DATASETS.register_module()
class AttributeTable(AttributeDataset):
    """Images listed in a CSV file with the columns ``path,split`` and one of 0 and 1 for each attribute.

    The first row names the columns, in any order (:func:`~mmosnet.io.tables.read_table`). ``path`` is relative
    to ``data_prefix['img_path']``, the data root by default; ``split`` is train, val or test. Every other column is an
    attribute. If the table has other columns too, name the attributes in ``attributes``.

    The whole table is checked; images must exist for the splits that are used.

    Args:
        ann_file: The CSV file, relative to ``data_root``.
        **kwargs: Same as in :class:`~mmosnet.datasets.AttributeDataset`.

    Raises:
        FileNotFoundError: No such table.
        DataError: A row cannot be used; names its line number, the value and the remedy.
    """

    def __init__(self, *args, ann_file: str = 'attributes.csv', **kwargs) -> None:
        super().__init__(*args, ann_file=ann_file, **kwargs)

    def read_annotation(self) -> AttributeAnnotation:
        """Read and check the table; see the base class."""
        folder = self.data_prefix['img_path']
        columns, rows = read_table(self.ann_file, ATTRIBUTE_COLUMNS, self.split_names, folder, 'AttributeTable')
        names = [column for column in columns if column not in ATTRIBUTE_COLUMNS]
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
