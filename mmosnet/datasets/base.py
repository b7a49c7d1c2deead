"""Base classes of data sets.

Validation splits of our own, for data sets whose authors made none.

What all data sets of people have in common: splits, damaged images, transforms that borrow from other images.

The base of all re-identification data sets: records, labels, checks and the table at the start.

Attribute annotations: names of images and a matrix of zeros and ones, checked row by row.

The base of all attribute data sets: records, checks, shares of positives and the table at the start.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger

from mmosnet.datasets.transforms import read_image
from mmosnet.errors import DataError
from mmosnet.io.media import images_in
from mmosnet.io.tables import image_inside
from mmosnet.io.text_tables import text_table


def held_out(items: Iterable[int], share: float, seed: int) -> set[int]:
    """Sample a share of different items, at least one; the sample is the same on every machine.

    Args:
        items: Items to sample from, in any order.
        share: Share of the items, within (0, 1).
        seed: Seed of the random sample.
    """
    ordered = sorted(set(items))
    # RandomState and not Generator: numpy promises that its stream never changes.
    order = np.random.RandomState(seed).permutation(len(ordered))
    return {ordered[position] for position in order[: max(1, round(share * len(ordered)))]}


def check_val_share(share: float, splits: Iterable[str], owner: str) -> None:
    """Check the share of a held-out validation split.

    Raises:
        DataError: No share, or a validation split is wanted where nothing is held out.
    """
    if not 0 <= share < 1:
        raise DataError(f'val_share={share} is no share of the training data')
    if 'val' in splits and not share:
        raise DataError(
            f"{owner} has no official validation split, split='val' needs one: val_share=0.1, for train as well, holds "
            'out a tenth of the training data'
        )


class PersonDataset(BaseDataset):
    """Images of people in splits.

    mmengine's ``BaseDataset`` knows neither splits nor damaged files.

    Args:
        data_root: Folder of the data set.
        split: One of :attr:`split_names`, or several of them.
        bad_images: What to do with a file that does not decode: ``'error'`` raises when it is met, naming it;
            ``'skip'`` reads every file at the start, drops the bad ones, counts and lists them.
        check_counts: Warn where the numbers found are not the published ones.
        **kwargs: Arguments of mmengine's ``BaseDataset``: ``pipeline``, ``test_mode``, ``max_refetch`` ...

    Raises:
        DataError: Bad arguments.
    """

    #: What ``split`` chooses from.
    split_names: tuple[str, ...] = ()
    #: Where the data set can be had, for error messages.
    download_page = ''

    def __init__(
        self,
        data_root: str = '',
        split: str | Sequence[str] = 'train',
        bad_images: str = 'error',
        check_counts: bool = True,
        **kwargs,
    ) -> None:
        self.splits = (split,) if isinstance(split, str) else tuple(split)
        unknown = [name for name in self.splits if name not in self.split_names]
        if unknown or not self.splits:
            raise DataError(f'split={split!r}: choose from {", ".join(self.split_names)}, or several of them')
        if bad_images not in ('error', 'skip'):
            raise DataError(f"bad_images={bad_images!r}: choose 'error' or 'skip'")
        self.bad_images = bad_images
        self.check_counts = check_counts
        #: What was left out and what looks odd, in sentences.
        self.notes: list[str] = []
        self._usual_notes: list[str] = []
        super().__init__(data_root=data_root, **kwargs)

    def note(self, text: str, usual: bool = False) -> None:
        """Report what was left out or looks odd, and keep it in :attr:`notes`.

        Args:
            text: Text for the user.
            usual: It belongs to the data set: a line below its table and no warning.
        """
        self.notes.append(f'{type(self).__name__}: {text}')
        if usual:
            self._usual_notes.append(text)
        else:
            MMLogger.get_current_instance().warning(self.notes[-1])

    def log_table(self, table: str) -> None:
        """Log the table of loaded splits, and the usual notes below it."""
        lines = [table, *(f'  {text}' for text in self._usual_notes)]
        MMLogger.get_current_instance().info('\n'.join(lines))

    def origin(self) -> str:
        """Return a sentence for error messages that says where to get the data set, if that is known."""
        return f' {type(self).__name__} comes from {self.download_page}.' if self.download_page else ''

    def usable_records(self, records: list[dict], split: str) -> list[dict]:
        """Return the records of a split, without damaged images if those are to be skipped.

        Raises:
            DataError: None is left.
        """
        if self.bad_images == 'skip':
            records = self._without_bad_images(records, split)
        if not records:
            raise DataError(f'{type(self).__name__} in {self.data_root}: the {split} split has no images')
        return records

    def _without_bad_images(self, records: list[dict], split: str) -> list[dict]:
        def error(record: dict) -> str | None:
            try:
                read_image(record['img_path'])
            except DataError as e:
                return str(e)
            return None

        with ThreadPoolExecutor() as pool:
            errors = list(pool.map(error, records))
        bad = [e for e in errors if e]
        if bad:
            shown = '\n  '.join(bad[:10] + ['...'][: len(bad) > 10])
            self.note(f'skipped {len(bad)} of {len(records)} {split} images:\n  {shown}')
        return [record for record, e in zip(records, errors, strict=True) if not e]

    def prepare_data(self, idx: int) -> dict:
        """Run the pipeline on a sample.

        Transforms that use other images, such as :class:`~mmosnet.datasets.RandomPatch`, find the data set in
        ``results['dataset']``.
        """
        results = self.get_data_info(idx)
        if not self.test_mode:
            results['dataset'] = self
        return self.pipeline(results)


SPLITS = ('train', 'query', 'gallery')
DISTRACTOR_PID = 0
JUNK_PID = -1


class ReIDDataset(PersonDataset):
    """Images of people with identity and camera.

    A subclass says in :meth:`load_split` which images a split holds. mmpretrain's ``CustomDataset`` knows neither
    cameras nor the split into query and gallery; mmdet's ``ReIDDataset`` has no evaluation protocol.

    A sample's record has ``img_path``, ``pid``, ``camid`` (0-based), ``split`` and, for training, ``gt_label``
    (identities numbered from 0 in ascending order). Junk images (pid -1) are dropped, distractors (pid 0) stay
    in the gallery. Where people have labelled attributes, a record has ``gt_score`` too, and ``metainfo`` names them
    (:attr:`score_names`).

    Args:
        data_root: Folder of the data set.
        split: ``'train'``, ``'query'``, ``'gallery'``, or several of them: ``('query', 'gallery')`` for testing.
        bad_images: ``'error'`` or ``'skip'``, as of :class:`~mmosnet.datasets.base.PersonDataset`.
        combineall: Train on everybody, also on those of query and gallery; distractors stay out. For models that are
            tested on another data set.
        check_counts: Warn where the numbers of images and identities are not the published ones.
        **kwargs: Arguments of mmengine's ``BaseDataset``: ``pipeline``, ``test_mode``, ``max_refetch`` ...

    Raises:
        FileNotFoundError: The folder of a split is missing.
        DataError: A split without images, or bad arguments.
    """

    METAINFO = dict(task='reid')

    split_names = SPLITS
    #: Pid of gallery images of nobody in particular; None where every pid is a person.
    distractor_pid: int | None = DISTRACTOR_PID
    #: Whether a pid is the same person in training as in query and gallery; False where test identities are numbered
    #: anew, None where the data set does not say.
    shared_pids: bool | None = None
    #: Names of the pids, where people have any. Not in ``metainfo``, which checkpoints carry.
    pid_names: dict[int, str] = {}
    #: Names of the attributes in ``gt_score``, where records have any.
    score_names: Sequence[str] = ()

    def __init__(
        self,
        data_root: str = '',
        split: str | Sequence[str] = 'train',
        bad_images: str = 'error',
        combineall: bool = False,
        check_counts: bool = True,
        **kwargs,
    ) -> None:
        self.combineall = combineall
        super().__init__(data_root=data_root, split=split, bad_images=bad_images, check_counts=check_counts, **kwargs)

    def load_split(self, split: str) -> list[dict]:
        """List the images of one split as ``dict(img_path, pid, camid)``, in a fixed order."""
        raise NotImplementedError

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Return the published numbers of images and identities (without distractors) of each split."""
        return {}

    def train_records(self) -> list[dict]:
        """Return the images to train on; with ``combineall`` those of all splits.

        Test identities are other people than training identities, also where their numbers are the same, as in
        MSMT17: they get numbers behind those of training, unless :attr:`shared_pids`. Query and gallery share theirs.
        """
        records = self.load_split('train')
        if not self.combineall:
            return records
        train_pids = {r['pid'] for r in records if r['pid'] != JUNK_PID}
        test = [r for split in ('query', 'gallery') for r in self.load_split(split)]
        offset = 0
        if not self.shared_pids and train_pids & {r['pid'] for r in test} - {self.distractor_pid, JUNK_PID}:
            offset = max(train_pids) + 1
        seen = {r['img_path'] for r in records}
        strangers = sum(r['pid'] == self.distractor_pid for r in test)
        if strangers:
            self.note(f'left out {strangers:,} distractors of the gallery in training', usual=True)
        for r in test:
            # CUHK03 queries with gallery images.
            if r['pid'] not in (self.distractor_pid, JUNK_PID) and r['img_path'] not in seen:
                seen.add(r['img_path'])
                records.append(dict(r, pid=r['pid'] + offset))
        return records

    def load_data_list(self) -> list[dict]:
        """Load all splits, check them and log a table of what was found.

        Returns:
            The records, split after split.
        """
        records = []
        for split in self.splits:
            loaded = self.train_records() if split == 'train' else self.load_split(split)
            kept = [dict(r, split=split) for r in loaded if r['pid'] != JUNK_PID]
            if len(kept) < len(loaded):
                self.note(f'left out {len(loaded) - len(kept):,} {split} images of nobody (pid {JUNK_PID})', usual=True)
            records.extend(self.usable_records(kept, split))
        labels = {pid: label for label, pid in enumerate(self._pids(records, 'train'))}
        for record in records:
            if record['split'] == 'train':
                record['gt_label'] = labels[record['pid']]
        self._metainfo.update(self._facts(records))
        self.log_table(self._table(records))
        if self.check_counts:
            self._compare_counts(records)
        return records

    def _compare_counts(self, records: list[dict]) -> None:
        for split, published in self.published_counts().items():
            rows = [r for r in records if r['split'] == split]
            found = (len(rows), len({r['pid'] for r in rows} - {self.distractor_pid}))
            if split in self.splits and found != published and not (split == 'train' and self.combineall):
                MMLogger.get_current_instance().warning(
                    f'{type(self).__name__} in {self.data_root}: {split} has {found[0]:,} images of {found[1]:,} '
                    f'identities, published are {published[0]:,} of {published[1]:,}: results do not compare with '
                    'published ones (check_counts=False for data of your own)'
                )

    @staticmethod
    def _pids(records: list[dict], split: str) -> list[int]:
        return sorted({r['pid'] for r in records if r['split'] == split})

    def _facts(self, records: list[dict]) -> dict:
        """Return the metadata that hooks and metrics check before training starts."""
        facts = {}
        if 'train' in self.splits:
            facts['num_train_pids'] = len(self._pids(records, 'train'))
        if 'query' in self.splits and 'gallery' in self.splits:
            cameras = {}
            for r in records:
                if r['split'] == 'gallery':
                    cameras.setdefault(r['pid'], set()).add(r['camid'])
            facts['num_cross_camera_queries'] = sum(
                r['split'] == 'query' and bool(cameras.get(r['pid'], set()) - {r['camid']}) for r in records
            )
        if self.score_names:
            training = [r for r in records if r['split'] == 'train']
            facts |= attribute_facts(
                self.score_names, training if 'train' in self.splits else None, f'{type(self).__name__}, train'
            )
        return facts

    def _table(self, records: list[dict]) -> str:
        counts = []
        for split in self.splits:
            rows = [r for r in records if r['split'] == split]
            pids = Counter(r['pid'] for r in rows)
            distractors = pids.pop(self.distractor_pid, 0) if split == 'gallery' else 0
            cameras = len({r['camid'] for r in rows})
            counts.append([split, *map(str, (len(rows), len(pids), cameras, distractors))])
        titles = ['split', 'images', 'identities', 'cameras', 'distractors']
        return f'{type(self).__name__} in {self.data_root}\n{text_table(titles, counts, indent=2)}'

    def list_folder(
        self, folder: str, pattern: re.Pattern, almost: re.Pattern | None = None
    ) -> list[tuple[str, re.Match[str]]]:
        """List the images in ``data_root/folder`` and below it whose name matches, sorted, each with its match.

        Warnings count the files that are no images, and the images with other names.

        Args:
            folder: Folder below ``data_root``.
            pattern: Pattern for the beginning of file names.
            almost: Pattern of names that should match ``pattern``: an error names those that do not.

        Raises:
            FileNotFoundError: No such folder; names what was looked for and the download page.
            DataError: No image in it, none whose name matches, or one that matches ``almost`` alone.
        """
        path = Path(self.data_root) / folder
        if not path.is_dir():
            raise FileNotFoundError(
                f'{type(self).__name__}: no folder {path}. data_root={self.data_root!r} must hold it: set data_root '
                f'to the extracted data set.{self.origin()}'
            )
        owner, files = type(self).__name__, images_in(path, self.note)
        found = [(file, pattern.match(os.path.basename(file))) for file in files]
        for file, match in found:
            if almost is not None and not match and almost.match(os.path.basename(file)):
                raise DataError(
                    f'{owner}: {file} has no name like {pattern.pattern!r}; rename the file, or take it out'
                )
        matched = [(file, match) for file, match in found if match]
        if not matched:
            raise DataError(
                f'{owner}: none of the {len(files)} images in {path} has a name like {pattern.pattern!r}; the first is '
                f'{os.path.basename(files[0])!r}'
            )
        if len(matched) < len(found):
            odd = next(file for file, match in found if not match)
            self.note(
                f'ignored {len(found) - len(matched)} images in {path} whose names are not like {pattern.pattern!r}, '
                f'the first {odd}'
            )
        return matched


@dataclass(frozen=True)
class AnnotatedSplit:
    """The annotation of one split as its file has it, unchecked.

    Attributes:
        place: File and split, for the texts of errors.
        folder: Folder that the image names are relative to.
        names: Names of N image files.
        labels: ``(N, A)`` numbers.
        rows: Row numbers of the file to name in errors; counted from 1 by default.
    """

    place: str
    folder: Path
    names: Sequence[str]
    labels: np.ndarray
    rows: Sequence[int] | None = None

    def records(self, attributes: Sequence[str], columns: Sequence[int]) -> list[dict]:
        """Check all rows and return their records.

        Args:
            attributes: Names of the wanted attributes.
            columns: Their columns in the labels.

        Returns:
            A ``dict(img_path, gt_score)`` for each row; ``gt_score`` is ``(len(columns),)`` float32.

        Raises:
            DataError: Names file, split and row: an image without a name, outside the folder or not on disk; a label
                that is neither 0 nor 1; as many rows of labels as there are not names.
        """
        if self.labels.shape[0] != len(self.names):
            raise DataError(
                f'{self.place}: {len(self.names)} names of images, but {self.labels.shape[0]} rows of labels; the file '
                'is damaged: get it anew'
            )
        paths = [self._path(index) for index in range(len(self.names))]
        self._check_presence(paths)
        return [
            dict(img_path=path, gt_score=score)
            for path, score in zip(paths, self._scores(attributes, columns), strict=True)
        ]

    def _row(self, index: int) -> str:
        return f'{self.place}, row {index + 1 if self.rows is None else self.rows[index]}'

    def _path(self, index: int) -> str:
        name = self.names[index]
        if not name.strip():
            raise DataError(f'{self._row(index)}: the name of the image is empty; name it, or take out name and labels')
        return image_inside(self.folder, name, self._row(index))

    def _scores(self, attributes: Sequence[str], columns: Sequence[int]) -> np.ndarray:
        labels = self.labels[:, columns]
        wrong = np.argwhere(~np.isin(labels, (0, 1)))
        if len(wrong):
            index, column = wrong[0]
            raise DataError(
                f'{self._row(index)}: {attributes[column]} is {labels[index, column]}, neither 0 nor 1 ({len(wrong)} '
                'such labels in all); correct the file, or choose other attributes with attributes=[...]'
            )
        return labels.astype(np.float32)

    def _check_presence(self, paths: Sequence[str]) -> None:
        """Compare the paths with one listing per folder: one query per file takes minutes on network storage."""
        listed: dict[str, set[str]] = {}
        missing = []
        for index, path in enumerate(paths):
            folder, name = os.path.split(path)
            if folder not in listed:
                listed[folder] = _files(folder)
            if name not in listed[folder]:
                missing.append(index)
        if missing:
            raise DataError(
                f'{self._row(missing[0])}: no image {paths[missing[0]]} ({len(missing):,} of {len(paths):,} are '
                f'missing); extract all images into {self.folder}'
            )


def _files(folder: str) -> set[str]:
    if not os.path.isdir(folder):
        return set()
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_file()}


@dataclass(frozen=True)
class AttributeAnnotation:
    """What an annotation file says.

    Attributes:
        file: File name for errors.
        attributes: Names of the columns of the labels.
        splits: Each split by its name.
        evaluated: Columns of the attributes that are usually evaluated; all by default.
    """

    file: str
    attributes: Sequence[str]
    splits: Mapping[str, AnnotatedSplit]
    evaluated: Sequence[int] | None = None

    def columns(self, chosen: Sequence[str] | str | None = None) -> list[int]:
        """Return the column indices of the chosen attributes.

        Args:
            chosen: Names, in any order; ``'all'``; or None for those that are usually evaluated.

        Raises:
            DataError: An unknown name, the same name twice, or labels of another width than there are names.
        """
        for split in self.splits.values():
            if split.labels.ndim != 2 or split.labels.shape[1] != len(self.attributes):
                raise DataError(
                    f'{split.place}: labels of shape {split.labels.shape}, but the file names {len(self.attributes)} '
                    'attributes; the file is damaged: get it anew'
                )
        everything = range(len(self.attributes))
        if chosen is None:
            columns = list(everything if self.evaluated is None else self.evaluated)
        elif chosen == 'all':
            columns = list(everything)
        else:
            columns = self._named(chosen)
        names = [self.attributes[column] for column in columns]
        for name in names:
            if not name.strip() or names.count(name) > 1:
                raise DataError(f'{self.file}: the attribute {name!r} has no name, or comes twice: {", ".join(names)}')
        return columns

    def _named(self, chosen: Sequence[str] | str) -> list[int]:
        names = [chosen] if isinstance(chosen, str) else list(chosen)
        unknown = [name for name in names if name not in self.attributes]
        if unknown or not names:
            raise DataError(
                f'{self.file}: attributes={chosen!r}: {", ".join(map(repr, unknown)) or "no name"}; choose from '
                f'{", ".join(self.attributes)}'
            )
        return [list(self.attributes).index(name) for name in names]


def attribute_facts(names: Sequence[str], training: Sequence[dict] | None, place: str) -> dict:
    """Return the metadata that losses and metrics need of an attribute data set; warn of constant attributes.

    Args:
        names: Names of the attributes.
        training: The records to train on, of which those with ``gt_score`` count; None in testing.
        place: Data set and split, for the texts.

    Returns:
        ``attributes``, the names; in training also ``pos_ratio``, the share of images that have each attribute.

    Raises:
        DataError: No record to train on has labels.
    """
    facts: dict[str, Any] = dict(attributes=list(names))
    if training is None:
        return facts
    scores = [record['gt_score'] for record in training if 'gt_score' in record]
    if not scores:
        raise DataError(f'{place}: none of {len(training)} images has attribute labels; is it the right annotation?')
    ratios = np.asarray(np.mean(scores, axis=0, dtype=np.float64))
    for constant, what in ((0, 'have'), (1, 'lack')):
        found = [name for name, ratio in zip(names, ratios, strict=True) if ratio == constant]
        if found:
            MMLogger.get_current_instance().warning(
                f'{place}: no image is labelled to {what} {", ".join(found)}: that cannot be learnt'
            )
    facts['pos_ratio'] = ratios.tolist()
    return facts


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
        bad_images: ``'error'`` or ``'skip'``, as of :class:`~mmosnet.datasets.base.PersonDataset`.
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
