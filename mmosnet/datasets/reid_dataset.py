"""The base of all re-identification data sets: records, labels, checks and the table at the start."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import MMLogger

from mmosnet.datasets.attribute_annotation import attribute_facts
from mmosnet.datasets.person_dataset import PersonDataset
from mmosnet.errors import DataError
from mmosnet.io.media import images_in
from mmosnet.visualization.text_table import text_table

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
        bad_images: ``'error'`` or ``'skip'``, as of :class:`~mmosnet.datasets.person_dataset.PersonDataset`.
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
