"""Data sets of tracklets in their official formats: MARS, iLIDS-VID, PRID2011 and DukeMTMC-VideoReID.

- MARS: Zheng et al., "MARS: A Video Benchmark for Large-Scale Person Re-identification", ECCV 2016.
- iLIDS-VID: Wang et al., "Person Re-Identification by Video Ranking", ECCV 2014.
- PRID2011: Hirzer et al., "Person Re-Identification by Descriptive and Discriminative Classification", SCIA 2011.
- DukeMTMC-VideoReID: Wu et al., "Exploit the Unknown Gradually", CVPR 2018.

torchreid's readers of the same data sets differ in three ways. They do not sort the frames of iLIDS-VID and PRID2011,
so that their order depends on the file system; they lose a frame of DukeMTMC-VideoReID for each one that is missing in
the numbers of a tracklet; and their ``combineall`` does nothing on MARS.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmosnet.datasets.base import DISTRACTOR_PID, JUNK_PID, held_out, missing_files
from mmosnet.datasets.small_sets import NumberedSplits
from mmosnet.datasets.video import VideoReIDDataset
from mmosnet.errors import DataError
from mmosnet.io.matlab import MatlabFile, matrix, whole_numbers
from mmosnet.io.tables import number_in_name
from mmosnet.registry import DATASETS

MARS_PROTOCOLS = ('official', 'torchreid')
# 0001C1T0001F001.jpg: person, camera, tracklet, frame.
MARS_NAME = re.compile(r'([0-9]{4}|00-1)C([0-9])T[0-9]{4}F[0-9]{3,}\.jpg')
MARS_CAMERAS = 6
PERSON_FOLDER = re.compile(r'person_?([0-9]{1,9})')
ILIDS_SPLITS = Path('train-test people splits', 'train_test_splits_ilidsvid.mat')
PRID_SPLITS = 'splits_prid2011.json'
# People with higher numbers are others in camera a than in camera b.
PRID_SHARED = 200
# 0001_C6_F0099_X30823.jpg or 0001C6F0099X30823.jpg: person, camera, frame of the tracklet, normal or distractor, frame
# of the video.
DUKE_NAME = re.compile(r'([0-9]{4})_?C([0-9])_?F[0-9]+_?([XD])[0-9]+\.jpg')
DUKE_CAMERAS = 8


@DATASETS.register_module()
class MARS(VideoReIDDataset):
    """MARS: 1,259 people in six cameras, 20,478 tracklets of 1.2 million frames.

    ``data_root`` holds ``bbox_train`` and ``bbox_test``, with a folder per person, and ``info`` with the two lists of
    names and the three MATLAB files of the authors' MARS-evaluation repository.

    There are two protocols. As far as we know, most later papers report the second one:

    - ``'official'``: the gallery has all tracklets of the test set, the queries too. A query's own camera is left out
      as in Market-1501, and all 1,980 queries have a match. The authors' mAP is that of
      ``ReIDMetric(average_precision='trapezoid')``.
    - ``'torchreid'``: queries are taken out of the gallery. 140 queries then have no match and do not count. mAP is the
      usual one, ``average_precision='rectangle'``.

    Tracklets of no person (id -1, junk) are left out in both: the official code ignores them for every query, so that
    ranks are equal. Distractors (id 0) stay in the gallery. ``combineall`` adds the 634 people of the test set to
    training; torchreid's does nothing here.

    Args:
        protocol: ``'official'`` or ``'torchreid'``.
        **kwargs: Same as in :class:`~mmosnet.datasets.VideoReIDDataset`.

    Raises:
        FileNotFoundError: A file is missing.
        DataError: A row of a file cannot be used, or contradicts the name of a frame; names file, row and value.
    """

    shared_pids = True
    download_page = 'https://github.com/liangzheng06/MARS-evaluation'

    def __init__(self, *args, protocol: str = 'official', **kwargs) -> None:
        if protocol not in MARS_PROTOCOLS:
            raise DataError(f'protocol={protocol!r}: MARS has {" and ".join(map(repr, MARS_PROTOCOLS))}')
        self.protocol = protocol
        super().__init__(*args, **kwargs)

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Return the counts in the authors' files, without junk."""
        # 12,180 test tracklets: 870 of junk, 3,248 distractors, 8,062 of 634 people.
        gallery = (11_310, 634) if self.protocol == 'official' else (9_330, 620)
        return dict(train=(8_298, 625), query=(1_980, 626), gallery=gallery)

    def load_split(self, split: str) -> list[dict]:
        """Read the rows of one split; see the base class."""
        if split == 'train':
            return self._tracklets('train', None)
        rows = self._query_rows()
        if split == 'query':
            return self._tracklets('test', rows)
        if self.protocol == 'official':
            return self._tracklets('test', None)
        return self._tracklets('test', np.setdiff1d(np.arange(len(self._table_of('test')[1])), rows).tolist())

    def _file(self, name: str) -> Path:
        path = Path(self.data_root) / 'info' / name
        if not path.is_file():
            raise FileNotFoundError(
                f'MARS: no file {path}. data_root={self.data_root!r} must hold bbox_train, bbox_test and the folder '
                f'info.{self.origin()}'
            )
        return path

    def _table_of(self, part: str) -> tuple[Path, np.ndarray]:
        """Read the table of tracklets ``(N, 4)``: first and last line (from 1), id, camera (from 1)."""
        path = self._file(f'tracks_{part}_info.mat')
        with MatlabFile(path) as file:
            table = matrix(file[f'track_{part}_info'], f'{path}: track_{part}_info')
        if table.shape[1] != 4 or not len(table):
            raise DataError(
                f'{path}: track_{part}_info has {table.shape[0]} rows and {table.shape[1]} columns, not rows of first '
                'line, last line, id, camera; download the file again'
            )
        return path, whole_numbers(table, f'{path}: track_{part}_info').reshape(table.shape)

    def _query_rows(self) -> list[int]:
        """Read the rows of the queries in the test table, from 0."""
        path = self._file('query_IDX.mat')
        with MatlabFile(path) as file:
            rows = whole_numbers(file['query_IDX'], f'{path}: query_IDX').tolist()
        _, table = self._table_of('test')
        for place, row in enumerate(rows, start=1):
            if not 1 <= row <= len(table):
                raise DataError(f'{path}: query_IDX, value {place}: no row {row}; the table has rows 1 to {len(table)}')
            if table[row - 1, 2] in (JUNK_PID, DISTRACTOR_PID):
                raise DataError(
                    f'{path}: query_IDX, value {place}: row {row} has id {table[row - 1, 2]}, which is no person; the '
                    'files are of different versions: download info again'
                )
        twice = [row for row, number in Counter(rows).items() if number > 1]
        if twice:
            raise DataError(f'{path}: query_IDX has row {twice[0]} twice; download the file again')
        return [row - 1 for row in rows]

    def _tracklets(self, part: str, wanted: Sequence[int] | None) -> list[dict]:
        """Return the tracklets of some rows of a table, by default of all, in the given order."""
        path, table = self._table_of(part)
        names_path = self._file(f'{part}_name.txt')
        names = _lines(names_path)
        self._check_lines(path, table, names_path, names)
        unused = len(names) - int((table[:, 1] - table[:, 0] + 1).sum())
        if unused:
            self.note(f'{unused:,} of {len(names):,} lines of {names_path} are in no tracklet')
        folder = os.path.join(self.data_root, f'bbox_{part}')
        records = []
        for row in range(len(table)) if wanted is None else wanted:
            first, last, pid, camera = table[row].tolist()
            frames = sorted(names[first - 1 : last])
            if pid != JUNK_PID:
                self._check_names(f'{path}, row {row + 1}', names_path, frames, pid, camera)
            records.append(self.record([os.path.join(folder, name[:4], name) for name in frames], pid, camera - 1))
        # Junk is not read, and may be missing.
        paths = [frame for r in records if r['pid'] != JUNK_PID for frame in r['frame_paths']]
        missing = missing_files(paths)
        if missing:
            raise DataError(
                f'{names_path}: no image {paths[missing[0]]} ({len(missing):,} of {len(paths):,} are missing); extract '
                f'all images into {folder}'
            )
        return records

    @staticmethod
    def _check_lines(path: Path, table: np.ndarray, names_path: Path, names: list[str]) -> None:
        """Check that every row names lines of the list that no other row names, and a possible id and camera."""
        first, last, pids, cameras = table.T
        rules = (
            ((first < 1) | (last < first), 'are no lines, counted from 1'),
            (last > len(names), f'reach beyond the {len(names):,} lines of {names_path}, which is shorter'),
            ((pids < JUNK_PID) | (pids > 9999), 'have no id from -1 to 9999'),
            ((cameras < 1) | (cameras > MARS_CAMERAS), f'have no camera from 1 to {MARS_CAMERAS}'),
        )
        for wrong, fault in rules:
            if wrong.any():
                row = int(np.flatnonzero(wrong)[0])
                raise DataError(
                    f'{path}, row {row + 1}: its values {", ".join(map(str, table[row]))} (first line, last line, id, '
                    f'camera) {fault}; download info again'
                )
        order = np.argsort(first, kind='stable')
        overlaps = np.flatnonzero(first[order][1:] <= last[order][:-1])
        if len(overlaps):
            row, other = order[overlaps[0] + 1], order[overlaps[0]]
            raise DataError(
                f'{path}, row {row + 1}: line {first[row]} of {names_path.name} is in row {other + 1} too; download '
                'info again'
            )

    @staticmethod
    def _check_names(place: str, names_path: Path, frames: list[str], pid: int, camera: int) -> None:
        """Check that the names of a tracklet's frames state the person and camera of its row."""
        for name in frames:
            match = MARS_NAME.fullmatch(name)
            if match is None:
                raise DataError(f'{place}: {name[:200]!r} in {names_path} is no name like 0001C1T0001F001.jpg')
            if int(match[1].replace('00-', '-')) != pid or int(match[2]) != camera:
                raise DataError(
                    f'{place}: id {pid} and camera {camera}, but the frame {name} is of id {match[1]} and camera '
                    f'{match[2]}; {names_path} and the table are of different versions: download info again'
                )


def _lines(path: Path) -> list[str]:
    """Read the lines of a list; those of MARS have Windows' ends."""
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as e:
        raise DataError(f'{path} is no text in UTF-8 ({e}); download it again') from e
    return [line.strip() for line in text.rstrip().splitlines()]


class TwoCameras(NumberedSplits, VideoReIDDataset):
    """People with one tracklet by each of two cameras; queries are by the first camera.

    The result is the mean of ten divisions into halves. A subclass names the :attr:`cameras`, and lists the training
    and the test people in :meth:`halves`.

    Args:
        split_index: Number of one of the 10 divisions, from 0.
        **kwargs: Same as in :class:`~mmosnet.datasets.VideoReIDDataset`.

    Raises:
        FileNotFoundError: A folder or file is missing.
        DataError: ``split_index`` is out of range, a folder has no frame, or the file of the divisions does not fit.
    """

    num_splits = 10
    distractor_pid = None
    #: Folders of the cameras, below ``data_root``.
    cameras: tuple[str, str]
    #: Whether every person must be in both.
    complete = False

    def halves(self, people: dict[str, int]) -> dict[str, set[int]]:
        """Return the pids of the halves ``'train'`` and ``'test'``.

        Args:
            people: Pids of all people with a tracklet by both cameras, by the names of their folders, sorted.
        """
        raise NotImplementedError

    def load_split(self, split: str) -> list[dict]:
        """Read the tracklets of one split; see the base class."""
        cameras = [self._camera(folder) for folder in self.cameras]
        single = sorted(cameras[0].keys() ^ cameras[1].keys())
        if self.complete and single:
            raise DataError(
                f'{type(self).__name__} in {self.data_root}: {single[0]} is in only one of '
                f'{" and ".join(self.cameras)}; extract the data set again'
            )
        both = {name: pid for name, (pid, _) in cameras[0].items() if name in cameras[1]}
        halves = self.halves(both)
        pids = halves['train' if split == 'train' else 'test']
        camids = dict(train=(0, 1), query=(0,), gallery=(1,))[split]
        return [
            self.record(frames, pid, camid)
            for camid in camids
            for name, (pid, frames) in cameras[camid].items()
            if name in both and pid in pids
        ]

    def _camera(self, folder: str) -> dict[str, tuple[int, list[str]]]:
        """Return pid and frames of each person by the name of the folder."""
        people: dict[str, tuple[int, list[str]]] = {}
        for (name,), frames in self.tracklet_folders(folder):
            match = PERSON_FOLDER.fullmatch(name)
            if match is None:
                raise DataError(
                    f'{type(self).__name__}: {Path(self.data_root) / folder / name} is no folder of a person, as '
                    f'{self._example()}; take it out'
                )
            people[name] = int(match[1]), frames
        if len({pid for pid, _ in people.values()}) < len(people):
            raise DataError(f'{type(self).__name__}: two folders in {Path(self.data_root) / folder} have one number')
        return people

    def _example(self) -> str:
        return 'person001'


@DATASETS.register_module()
class ILIDSVID(TwoCameras):
    """iLIDS-VID: 300 people in two cameras, 10 official divisions; its result is their mean.

    ``data_root`` holds ``i-LIDS-VID`` (tracklets in ``sequences/cam1`` and ``cam2``; the single images in ``images``
    are not used) and ``train-test people splits``. The divisions name positions in the sorted list of folders, because
    the numbers of the people have gaps; the first half of a row is the test set.

    Takes the arguments of :class:`~mmosnet.datasets.video_sets.TwoCameras`.

    Raises:
        FileNotFoundError: A folder or the file of the divisions is missing.
        DataError: A person has a tracklet by one camera only, or the divisions are none of these people.
    """

    cameras = ('i-LIDS-VID/sequences/cam1', 'i-LIDS-VID/sequences/cam2')
    complete = True
    download_page = 'http://www.eecs.qmul.ac.uk/~xiatian/downloads_qmul_iLIDS-VID_ReID_dataset.html'

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Return the counts of every division."""
        return dict(train=(300, 150), query=(150, 150), gallery=(150, 150))

    def halves(self, people: dict[str, int]) -> dict[str, set[int]]:
        """Read the official division; see the base class."""
        path = Path(self.data_root) / ILIDS_SPLITS
        if not path.is_file():
            raise FileNotFoundError(f'ILIDSVID: no file {path} with the divisions.{self.origin()}')
        with MatlabFile(path) as file:
            table = matrix(file['ls_set'], f'{path}: ls_set')
        if table.shape != (self.num_splits, len(people)):
            raise DataError(
                f'{path}: ls_set has {table.shape[0]} rows of {table.shape[1]} positions, not {self.num_splits} of '
                f'{len(people)}, the number of people in {Path(self.data_root) / self.cameras[0]}'
            )
        row = whole_numbers(table[self.split_index], f'{path}: ls_set, row {self.split_index + 1}').tolist()
        if sorted(row) != list(range(1, len(people) + 1)):
            wrong = next(p for p, number in Counter([*row, *range(1, len(people) + 1)]).items() if number != 2)
            raise DataError(
                f'{path}: ls_set, row {self.split_index + 1}: position {wrong} is not in it exactly once, or not one '
                f'of 1 to {len(people)}; download the file again'
            )
        pids = list(people.values())
        half = len(row) // 2
        return dict(test={pids[p - 1] for p in row[:half]}, train={pids[p - 1] for p in row[half:]})


@DATASETS.register_module()
class PRID2011(TwoCameras):
    """PRID2011, tracklets: 178 of the 200 people who are in both cameras, 10 divisions; its result is their mean.

    ``data_root`` holds ``prid_2011/multi_shot/cam_a`` and ``cam_b``, and ``splits_prid2011.json``, which is not part of
    the data set (torchreid's documentation links it): a list of ten ``{"train": [folders], "test": [folders]}`` of 89
    people each, the 178 with long tracklets. Without this file, ten random halves of all 200 people are used, the same
    on every machine; results do not compare with published ones, and a warning says so.

    People from 201 on are others in camera a than in camera b and are never used.

    Takes the arguments of :class:`~mmosnet.datasets.video_sets.TwoCameras`.

    Raises:
        FileNotFoundError: A folder is missing.
        DataError: The file of the divisions does not fit; names file, division and folder.
    """

    cameras = ('prid_2011/multi_shot/cam_a', 'prid_2011/multi_shot/cam_b')
    download_page = 'https://www.tugraz.at/institute/icg/research/team-bischof/lrs/downloads/PRID11/'

    @property
    def splits_file(self) -> Path:
        """The file of the divisions, which may be missing."""
        return Path(self.data_root) / PRID_SPLITS

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Return the counts of every published division; none for random halves."""
        if not self.splits_file.is_file():
            return {}
        return dict(train=(178, 89), query=(89, 89), gallery=(89, 89))

    def halves(self, people: dict[str, int]) -> dict[str, set[int]]:
        """Read the published division, or draw one; see the base class."""
        shared = {name: pid for name, pid in people.items() if pid <= PRID_SHARED}
        if not shared:
            raise DataError(f'PRID2011 in {self.data_root}: no person from 1 to {PRID_SHARED} is in both cameras')
        if self.splits_file.is_file():
            return self._published(shared)
        text = (
            f'no file {self.splits_file}: random halves of {len(shared)} people are used, which no publication does; '
            'results do not compare with published ones'
        )
        self.note(text)
        test = held_out(shared.values(), 0.5, self.split_index)
        return dict(test=test, train=set(shared.values()) - test)

    def _published(self, people: dict[str, int]) -> dict[str, set[int]]:
        path, form = self.splits_file, 'a list of ten {"train": [folders], "test": [folders]}'
        try:
            splits = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as e:
            raise DataError(f'{path}: no JSON ({e}); it must be {form}') from e
        if not isinstance(splits, list) or len(splits) != self.num_splits:
            number = f'{len(splits)} divisions' if isinstance(splits, list) else 'no list'
            raise DataError(f'{path}: {number}; it must be {form}')
        place = f'{path}, division {self.split_index}'
        named = {half: self._names(splits[self.split_index], half, place, form) for half in ('train', 'test')}
        for name, number in Counter([*named['train'], *named['test']]).items():
            if number > 1:
                raise DataError(f'{place}: {name!r} is there twice; no person may be in both halves')
            if name not in people:
                raise DataError(
                    f'{place}: no person {name!r} with a number up to {PRID_SHARED} is in both {self.cameras[0]} and '
                    f'{self.cameras[1]} of {self.data_root}'
                )
        return {half: {people[name] for name in names} for half, names in named.items()}

    @staticmethod
    def _names(split: Any, half: str, place: str, form: str) -> list[str]:
        names = split.get(half) if isinstance(split, dict) else None
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise DataError(f'{place}: {half!r} is no list of names of folders; the file must be {form}')
        return names

    def _example(self) -> str:
        return 'person_0001'


@DATASETS.register_module()
class DukeMTMCVideoReID(VideoReIDDataset):
    """DukeMTMC-VideoReID: 702 people to train on, 702 to search and 408 others in the gallery, in eight cameras.

    ``data_root`` (or ``DukeMTMC-VideoReID`` in it) holds ``train``, ``query`` and ``gallery``, with a folder per person
    and in it one per tracklet. A frame is named ``0001_C6_F0099_X30823.jpg`` or, in the older release,
    ``0001C6F0099X30823.jpg``: person, camera (from 1), frame of the tracklet, frame of the video. Numbers of frames
    may have gaps. The 408 others were seen by one camera only: they are distractors, whose frames have a D for the X,
    but different people, and keep their pids. ``combineall`` trains on them too, as with DukeMTMC-reID.

    Takes the arguments of :class:`~mmosnet.datasets.VideoReIDDataset`.

    Raises:
        FileNotFoundError: The folder of a split is missing.
        DataError: A tracklet has no frame, or frames of two people or cameras; names the frame.
    """

    distractor_pid = None
    shared_pids = True
    download_page = 'https://github.com/Yu-Wu/DukeMTMC-VideoReID'

    def published_counts(self) -> dict[str, tuple[int | None, int]]:
        """Return the authors' counts; they do not state how many tracklets the gallery has."""
        return dict(train=(2_196, 702), query=(None, 702), gallery=(None, 702 + 408))

    def load_split(self, split: str) -> list[dict]:
        """Read the tracklets of one split; see the base class."""
        prefix = 'DukeMTMC-VideoReID/' if (Path(self.data_root) / 'DukeMTMC-VideoReID').is_dir() else ''
        records, distractors = [], 0
        for (person, tracklet), frames in self.tracklet_folders(prefix + split, depth=2):
            place = f'DukeMTMCVideoReID: the tracklet {Path(self.data_root, prefix + split, person, tracklet)}'
            if not person.isdecimal():
                raise DataError(f'{place}: {person!r} is no number of a person; take the folder out')
            pid = number_in_name(person, 'pid', place)
            camera, is_distractor = self._camera(frames, pid, place)
            distractors += is_distractor
            records.append(self.record(frames, pid, camera - 1))
        if distractors:
            self.note(f'{distractors:,} {split} tracklets are of people who were seen by one camera only', usual=True)
        return records

    @staticmethod
    def _camera(frames: list[str], pid: int, place: str) -> tuple[int, bool]:
        """Return the camera of a tracklet, from 1, and whether it is a distractor."""
        stated, is_distractor = set(), False
        for frame in frames:
            match = DUKE_NAME.fullmatch(os.path.basename(frame))
            if match is None:
                raise DataError(f'{place}: {os.path.basename(frame)!r} is no name like 0001_C6_F0099_X30823.jpg')
            if int(match[1]) != pid:
                raise DataError(f'{place}: the frame {os.path.basename(frame)} is of person {match[1]}, not {pid}')
            if not 1 <= int(match[2]) <= DUKE_CAMERAS:
                raise DataError(f'{place}: the frame {os.path.basename(frame)} has no camera from 1 to {DUKE_CAMERAS}')
            stated.add(int(match[2]))
            is_distractor |= match[3] == 'D'
        if len(stated) > 1:
            raise DataError(
                f'{place} has frames by the cameras {", ".join(map(str, sorted(stated)))}, but a tracklet is by one; '
                'extract the data set again'
            )
        return stated.pop(), is_distractor
