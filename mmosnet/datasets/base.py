"""Base classes of data sets of people: splits, damaged images, checked annotations, and the table in the log."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

SPLITS = ('train', 'query', 'gallery')
DISTRACTOR_PID = 0
JUNK_PID = -1
# Damaged images that a message lists.
MOST_LISTED = 10
# Items that wait for a thread.
MOST_WAITING = 10_000


def held_out(items: Iterable[int], share: float, seed: int) -> set[int]:
    """Sample a share of the distinct items, at least one; the sample is the same on every machine.

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
        DataError: The number is no share, or a validation split is requested but nothing is held out.
    """
    if not 0 <= share < 1:
        raise DataError(f'val_share={share} is no share of the training data')
    if 'val' in splits and not share:
        raise DataError(
            f"{owner} has no official validation split, and split='val' needs one: val_share=0.1, in train as well, "
            'holds out a tenth of the training data'
        )


def damaged_images(paths: Iterable[str]) -> dict[str, str]:
    """Read images by several threads; return the error of each one that is damaged, by its path."""

    def error(path: str) -> str:
        try:
            read_image(path)
        except DataError as e:
            return str(e)
        return ''

    distinct = list(dict.fromkeys(paths))
    return {path: e for path, e in zip(distinct, in_threads(error, distinct), strict=True) if e}


def in_threads(function: Callable[[Any], Any], items: Sequence, num_workers: int | None = None) -> Iterator:
    """Apply a function to all items by several threads; yield the results in the order of the items."""
    with ThreadPoolExecutor(num_workers or os.cpu_count()) as pool:
        # A pool keeps some kilobytes for each item that waits, and a data set of tracklets has a million frames.
        for start in range(0, len(items), MOST_WAITING):
            yield from pool.map(function, items[start : start + MOST_WAITING])


def first_lines(errors: Iterable[str]) -> str:
    """Return the first errors of many, one per line."""
    lines = list(errors)
    return '\n  '.join(lines[:MOST_LISTED] + ['...'] * (len(lines) > MOST_LISTED))


class PersonDataset(BaseDataset):
    """Images of people in splits.

    mmengine's ``BaseDataset`` has no splits and does not handle damaged files.

    Args:
        data_root: Folder of the data set.
        split: One of :attr:`split_names`, or several of them.
        bad_images: What to do with a damaged image: ``'error'`` raises an error that names it when it is read;
            ``'skip'`` reads all images at the start, drops the damaged ones and reports them.
        check_counts: Warn if the numbers of images differ from the published ones.
        **kwargs: Arguments of mmengine's ``BaseDataset``: ``pipeline``, ``test_mode``, ``max_refetch`` ...

    Raises:
        DataError: Bad arguments.
    """

    #: Valid values of ``split``.
    split_names: tuple[str, ...] = ()
    #: What a record is, for messages and tables.
    items = 'images'
    #: Address of the data set, for error messages.
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
        #: Sentences about what was left out and what looks odd.
        self.notes: list[str] = []
        self._usual_notes: list[str] = []
        super().__init__(data_root=data_root, **kwargs)

    def note(self, text: str, usual: bool = False) -> None:
        """Report what was left out or looks odd, and keep it in :attr:`notes`.

        Args:
            text: Text for the user.
            usual: Whether it is a property of the data set, which is logged below its table and not as a warning.
        """
        named = f'{type(self).__name__}: {text}'
        if named in self.notes:
            # Splits that read the same folder find the same there.
            return
        self.notes.append(named)
        if usual:
            self._usual_notes.append(text)
        else:
            MMLogger.get_current_instance().warning(self.notes[-1])

    def log_table(self, table: str) -> None:
        """Log the table of loaded splits, and the usual notes below it."""
        lines = [table, *(f'  {text}' for text in self._usual_notes)]
        MMLogger.get_current_instance().info('\n'.join(lines))

    def origin(self) -> str:
        """Return a sentence with the address of the data set, for error messages; empty if it is unknown."""
        return f' {type(self).__name__} comes from {self.download_page}.' if self.download_page else ''

    def usable_records(self, records: list[dict], split: str) -> list[dict]:
        """Return the records of a split, without damaged images if ``bad_images`` is ``'skip'``.

        Raises:
            DataError: The split has no images.
        """
        if self.bad_images == 'skip':
            records = self._without_bad_images(records, split)
        if not records:
            raise DataError(f'{type(self).__name__} in {self.data_root}: the {split} split has no {self.items}')
        return records

    def _without_bad_images(self, records: list[dict], split: str) -> list[dict]:
        bad = damaged_images([record['img_path'] for record in records])
        if bad:
            self.note(f'skipped {len(bad)} of {len(records)} {split} images:\n  {first_lines(bad.values())}')
        return [record for record in records if record['img_path'] not in bad]

    def prepare_data(self, idx: int) -> dict:
        """Run the pipeline on a sample.

        Transforms that use other images, such as :class:`~mmosnet.datasets.RandomPatch`, find the data set in
        ``results['dataset']``.
        """
        results = self.get_data_info(idx)
        if not self.test_mode:
            results['dataset'] = self
        return self.pipeline(results)


class ReIDDataset(PersonDataset):
    """Images of people with identity and camera.

    A subclass lists the images of a split in :meth:`load_split`. mmpretrain's ``CustomDataset`` has neither cameras nor
    a split into query and gallery; mmdet's ``ReIDDataset`` has no evaluation protocol.

    A record has ``img_path``, ``pid``, ``camid`` (0-based), ``split`` and, for training, ``gt_label`` (identities
    numbered from 0 in ascending order). Junk images (pid -1) are dropped, distractors (pid 0) stay in the gallery. If
    people have labeled attributes, a record has ``gt_score`` too, and ``metainfo`` names them (:attr:`score_names`).

    Args:
        data_root: Folder of the data set.
        split: ``'train'``, ``'query'``, ``'gallery'``, or several of them: ``('query', 'gallery')`` for testing.
        bad_images: ``'error'`` or ``'skip'``, as in :class:`~mmosnet.datasets.base.PersonDataset`.
        combineall: Train on the people of all splits, without distractors; for models that are tested on another data
            set.
        check_counts: Warn if the numbers of images and identities differ from the published ones.
        **kwargs: Arguments of mmengine's ``BaseDataset``: ``pipeline``, ``test_mode``, ``max_refetch`` ...

    Raises:
        FileNotFoundError: The folder of a split is missing.
        DataError: A split has no images, or an argument is invalid.
    """

    METAINFO = dict(task='reid')

    split_names = SPLITS
    #: Pid of the distractors; None if every pid is a person.
    distractor_pid: int | None = DISTRACTOR_PID
    #: Whether a pid is the same person in training as in query and gallery; False if test identities are numbered
    #: separately, None if it is unknown.
    shared_pids: bool | None = None
    #: Names of the pids, if people have names. Not in ``metainfo``, which checkpoints store.
    pid_names: dict[int, str] = {}
    #: Names of the attributes in ``gt_score``, if records have any.
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

    def published_counts(self) -> Mapping[str, tuple[int | None, int | None]]:
        """Return the published numbers of images and identities (without distractors) of each split; None: unknown."""
        return {}

    def train_records(self) -> list[dict]:
        """Return the images to train on; with ``combineall`` those of all splits.

        Unless :attr:`shared_pids`, test identities are other people than training identities, even if their numbers are
        the same, as in MSMT17: they get numbers after those of training. Query and gallery share theirs.
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
        num_distractors = sum(r['pid'] == self.distractor_pid for r in test)
        if num_distractors:
            self.note(f'left out {num_distractors:,} distractors of the gallery in training', usual=True)
        for r in test:
            # In CUHK03's classic protocol an image is both query and gallery.
            if r['pid'] not in (self.distractor_pid, JUNK_PID) and r['img_path'] not in seen:
                seen.add(r['img_path'])
                records.append(dict(r, pid=r['pid'] + offset))
        return records

    def load_data_list(self) -> list[dict]:
        """Load all splits, check them and log a table of their numbers.

        Returns:
            The records, split after split.
        """
        records = []
        for split in self.splits:
            loaded = self.train_records() if split == 'train' else self.load_split(split)
            kept = [dict(r, split=split) for r in loaded if r['pid'] != JUNK_PID]
            if len(kept) < len(loaded):
                self.note(
                    f'left out {len(loaded) - len(kept):,} {split} {self.items} of no person (pid {JUNK_PID})',
                    usual=True,
                )
            records.extend(self.usable_records(kept, split))
        labels = {pid: label for label, pid in enumerate(self._pids(records, 'train'))}
        for record in records:
            if record['split'] == 'train':
                record['gt_label'] = labels[record['pid']]
        self._metainfo.update(self._numbers_for_checks(records))
        self.log_table(self._table(records))
        if self.check_counts:
            self._compare_counts(records)
        return records

    def _compare_counts(self, records: list[dict]) -> None:
        for split, published in self.published_counts().items():
            rows = [r for r in records if r['split'] == split]
            counts = (len(rows), len({r['pid'] for r in rows} - {self.distractor_pid}))
            known = tuple(count if number is None else number for number, count in zip(published, counts, strict=True))
            if split in self.splits and counts != known and not (split == 'train' and self.combineall):
                MMLogger.get_current_instance().warning(
                    f'{type(self).__name__} in {self.data_root}: {split} has {counts[0]:,} {self.items} of '
                    f'{counts[1]:,} identities, published are {known[0]:,} of {known[1]:,}: results do not compare '
                    'with published ones (check_counts=False for your own data)'
                )

    @staticmethod
    def _pids(records: list[dict], split: str) -> list[int]:
        return sorted({r['pid'] for r in records if r['split'] == split})

    def _numbers_for_checks(self, records: list[dict]) -> dict:
        """Return the metadata that hooks and metrics check before training starts."""
        metainfo = {}
        if 'train' in self.splits:
            metainfo['num_train_pids'] = len(self._pids(records, 'train'))
        if 'query' in self.splits and 'gallery' in self.splits:
            cameras = {}
            for r in records:
                if r['split'] == 'gallery':
                    cameras.setdefault(r['pid'], set()).add(r['camid'])
            metainfo['num_cross_camera_queries'] = sum(
                r['split'] == 'query' and bool(cameras.get(r['pid'], set()) - {r['camid']}) for r in records
            )
        if self.score_names:
            training = [r for r in records if r['split'] == 'train']
            metainfo |= attribute_metainfo(
                self.score_names, training if 'train' in self.splits else None, f'{type(self).__name__}, train'
            )
        return metainfo

    def _table(self, records: list[dict]) -> str:
        counts = []
        for split in self.splits:
            rows = [r for r in records if r['split'] == split]
            pids = Counter(r['pid'] for r in rows)
            distractors = pids.pop(self.distractor_pid, 0) if split == 'gallery' else 0
            cameras = len({r['camid'] for r in rows})
            counts.append([split, *map(str, (len(rows), len(pids), cameras, distractors))])
        titles = ['split', self.items, 'identities', 'cameras', 'distractors']
        return f'{type(self).__name__} in {self.data_root}\n{text_table(titles, counts, indent=2)}'

    def list_folder(
        self, folder: str, pattern: re.Pattern, almost: re.Pattern | None = None
    ) -> list[tuple[str, re.Match[str]]]:
        """List the images in ``data_root/folder`` and below it whose name matches, sorted, each with its match.

        Warnings report the numbers of files that are no images and of images with other names.

        Args:
            folder: Folder below ``data_root``.
            pattern: Pattern for the beginning of file names.
            almost: Pattern of names that should match ``pattern``: an error names those that do not.

        Raises:
            FileNotFoundError: The folder is missing; names it and the download page.
            DataError: It has no image, no name matches, or a name matches only ``almost``.
        """
        path = Path(self.data_root) / folder
        if not path.is_dir():
            raise FileNotFoundError(
                f'{type(self).__name__}: no folder {path}. data_root={self.data_root!r} must hold it: set data_root '
                f'to the extracted data set.{self.origin()}'
            )
        owner, files = type(self).__name__, images_in(path, self.note)
        named = [(file, pattern.match(os.path.basename(file))) for file in files]
        for file, match in named:
            if almost is not None and not match and almost.match(os.path.basename(file)):
                raise DataError(
                    f'{owner}: {file} has no name like {pattern.pattern!r}; rename the file, or take it out'
                )
        matched = [(file, match) for file, match in named if match]
        if not matched:
            raise DataError(
                f'{owner}: none of the {len(files)} images in {path} has a name like {pattern.pattern!r}; the first is '
                f'{os.path.basename(files[0])!r}'
            )
        if len(matched) < len(named):
            odd = next(file for file, match in named if not match)
            self.note(
                f'ignored {len(named) - len(matched)} images in {path} whose names are not like {pattern.pattern!r}, '
                f'the first {odd}'
            )
        return matched


@dataclass(frozen=True)
class AnnotatedSplit:
    """The annotation of one split as in its file, unchecked.

    Attributes:
        place: File and split, for error messages.
        folder: Folder that the image names are relative to.
        names: Names of N image files.
        labels: ``(N, A)`` numbers.
        rows: Row numbers in the file, for error messages; counted from 1 by default.
    """

    place: str
    folder: Path
    names: Sequence[str]
    labels: np.ndarray
    rows: Sequence[int] | None = None

    def records(self, attributes: Sequence[str], columns: Sequence[int]) -> list[dict]:
        """Check all rows and return their records.

        Args:
            attributes: Names of the chosen attributes.
            columns: Their columns in the labels.

        Returns:
            A ``dict(img_path, gt_score)`` per row; ``gt_score`` is ``(len(columns),)`` float32.

        Raises:
            DataError: An image has no name, is outside the folder or missing; a label is neither 0 nor 1; or names and
                labels differ in number. Names file, split and row.
        """
        if self.labels.shape[0] != len(self.names):
            raise DataError(
                f'{self.place}: {len(self.names)} names of images, but {self.labels.shape[0]} rows of labels; the file '
                'is damaged: download it again'
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
        missing = missing_files(paths)
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


def missing_files(paths: Iterable[str]) -> list[int]:
    """Return the positions of the paths that are no file.

    The paths are compared with one listing per folder: a look at each file takes minutes on network storage.
    """
    listed: dict[str, set[str]] = {}
    missing = []
    for index, path in enumerate(paths):
        folder, name = os.path.split(path)
        if folder not in listed:
            listed[folder] = _files(folder)
        if name not in listed[folder]:
            missing.append(index)
    return missing


@dataclass(frozen=True)
class AttributeAnnotation:
    """The content of an annotation file.

    Attributes:
        file: File name, for error messages.
        attributes: Names of the columns of the labels.
        splits: Annotations by the name of the split.
        evaluated: Columns of the attributes that are usually evaluated; by default all.
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
            DataError: A name is unknown or occurs twice, or the labels have another number of columns than names.
        """
        for split in self.splits.values():
            if split.labels.ndim != 2 or split.labels.shape[1] != len(self.attributes):
                raise DataError(
                    f'{split.place}: labels of shape {split.labels.shape}, but the file names {len(self.attributes)} '
                    'attributes; the file is damaged: download it again'
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


def attribute_metainfo(names: Sequence[str], training: Sequence[dict] | None, place: str) -> dict:
    """Return the metainfo of an attribute data set that losses and metrics need; warn of constant attributes.

    Args:
        names: Names of the attributes.
        training: Records to train on, of which those with ``gt_score`` count; None in testing.
        place: Data set and split, for messages.

    Returns:
        ``attributes``, the names; in training also ``pos_ratio``, the share of images that have each attribute.

    Raises:
        DataError: No training record has labels.
    """
    metainfo: dict[str, Any] = dict(attributes=list(names))
    if training is None:
        return metainfo
    scores = [record['gt_score'] for record in training if 'gt_score' in record]
    if not scores:
        raise DataError(f'{place}: none of {len(training)} images has attribute labels; is it the right annotation?')
    ratios = np.asarray(np.mean(scores, axis=0, dtype=np.float64))
    for constant, what in ((0, 'have'), (1, 'lack')):
        unlearnable = [name for name, ratio in zip(names, ratios, strict=True) if ratio == constant]
        if unlearnable:
            MMLogger.get_current_instance().warning(
                f'{place}: no image is labeled to {what} {", ".join(unlearnable)}: that cannot be learned'
            )
    metainfo['pos_ratio'] = ratios.tolist()
    return metainfo


class AttributeDataset(PersonDataset):
    """Images of people, each labeled with the same attributes.

    A subclass reads its annotation in :meth:`read_annotation`. mmpretrain's ``MultiLabelDataset`` reads a JSON file in
    a format of its own, has no splits, and checks neither images nor labels.

    A record has ``img_path``, ``gt_score`` (``(A,)`` float32, 1 where the image has the attribute) and ``split``.
    ``metainfo`` has ``attributes``, the A names. If the train split is loaded it also has ``pos_ratio``, the share of
    the loaded images that have each attribute; ``split=('train', 'val')`` trains on both splits and counts both.

    Args:
        data_root: Folder of the data set.
        split: ``'train'``, ``'val'``, ``'test'``, or several of them.
        attributes: Names of the attributes to use, in this order; ``'all'``; or None for those that are usually
            evaluated.
        bad_images: ``'error'`` or ``'skip'``, as in :class:`~mmosnet.datasets.base.PersonDataset`.
        check_counts: Warn if the numbers of images differ from the published ones.
        **kwargs: Arguments of mmengine's ``BaseDataset``: ``pipeline``, ``test_mode``, ``max_refetch`` ...

    Raises:
        FileNotFoundError: The annotation or the folder of images is missing; names it.
        DataError: A label or an image cannot be used, and file, split, row and value are named; or an argument is
            invalid.
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
        """Read the annotation of at least the splits of :attr:`splits`."""
        raise NotImplementedError

    def published_counts(self) -> dict[str, int]:
        """Return the published number of images of each split that has one."""
        return {}

    def load_data_list(self) -> list[dict]:
        """Load all splits, check them and log a table of their numbers.

        Returns:
            The records, split after split.
        """
        annotation = self.read_annotation()
        columns = annotation.columns(self.attributes)
        names = [annotation.attributes[column] for column in columns]
        records = []
        for split in self.splits:
            annotated = [dict(r, split=split) for r in annotation.splits[split].records(names, columns)]
            records += self.usable_records(annotated, split)
        training = records if 'train' in self.splits else None
        self._metainfo.update(
            attribute_metainfo(names, training, f'{type(self).__name__}, {" and ".join(self.splits)}')
        )
        self.log_table(self._table(records, len(names)))
        if self.check_counts:
            self._compare_counts(records)
        return records

    def find_file(self, *candidates: str) -> Path:
        """Return the first of several paths below ``data_root`` that is a file.

        Raises:
            FileNotFoundError: All are missing; names them and the download page.
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
            FileNotFoundError: It is missing.
        """
        folder = Path(self.data_root) / name
        if not folder.is_dir():
            raise FileNotFoundError(
                f'{type(self).__name__}: no folder {folder}; the images must be in it.{self.origin()}'
            )
        return folder

    def _compare_counts(self, records: list[dict]) -> None:
        for split, published in self.published_counts().items():
            number = sum(record['split'] == split for record in records)
            if split in self.splits and number != published:
                MMLogger.get_current_instance().warning(
                    f'{type(self).__name__} in {self.data_root}: {split} has {number:,} images, published are '
                    f'{published:,}: results do not compare with published ones (check_counts=False for your own '
                    'data)'
                )

    def _table(self, records: list[dict], num_attributes: int) -> str:
        rows = []
        for split in self.splits:
            scores = [record['gt_score'] for record in records if record['split'] == split]
            rows.append([split, str(len(scores)), f'{np.sum(scores) / len(scores):.2f}'])
        table = text_table(['split', 'images', 'attributes per image'], rows, indent=2)
        return f'{type(self).__name__} in {self.data_root}: {num_attributes} attributes\n{table}'
