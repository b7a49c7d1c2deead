"""Base class of data sets of tracklets: the frames of one person on one way past one camera."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmosnet.datasets.base import ReIDDataset, damaged_images, first_lines
from mmosnet.datasets.tracklets import split_into_clips
from mmosnet.errors import DataError
from mmosnet.io.media import find_files
from mmosnet.io.text_tables import text_table


class VideoReIDDataset(ReIDDataset):
    """Tracklets of people with identity and camera; a record is a tracklet, and so is a query or a gallery entry.

    A subclass lists the tracklets of a split in :meth:`load_split`, each made by :meth:`record`. mmpretrain has no data
    set of videos for retrieval; mmaction2's list video files with an action, without cameras and splits.

    A record has ``frame_paths`` (all frames, in the order of time), ``img_path`` (the first of them), ``pid``,
    ``camid``, ``tracklet`` (a number that no other tracklet of the data set has; a tracklet that is both query and
    gallery has the same number in both), ``split`` and, for training, ``gt_label``.

    With ``bad_images='skip'`` all frames are read at the start, and damaged ones are taken out of their tracklet. A
    tracklet is left out if no frame remains. All counts are numbers of tracklets.

    Args:
        *args: Same as in :class:`~mmosnet.datasets.ReIDDataset`.
        clip_length: For testing on all frames: cut tracklets into clips of at most so many frames, each a sample of its
            own, so that memory does not grow with the length of a tracklet. The metric joins the clips of a tracklet.
            None, for training and for a fixed number of frames, keeps tracklets whole.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`.

    Raises:
        FileNotFoundError: A folder or annotation file is missing.
        DataError: A split has no tracklet, a tracklet has no frame, an argument is invalid, or a test pipeline does not
            pack ``tracklet`` and ``clip``, by which the metric joins clips.
    """

    items = 'tracklets'

    def __init__(self, *args, clip_length: int | None = None, **kwargs) -> None:
        self.clip_length = clip_length
        # Number of each tracklet by its first frame: a frame belongs to one tracklet.
        self._numbers: dict[str, int] = {}
        super().__init__(*args, **kwargs)
        if clip_length is not None and self.test_mode:
            self._check_packing()

    def load_split(self, split: str) -> list[dict]:
        """List the tracklets of one split, each made by :meth:`record`, in a fixed order."""
        raise NotImplementedError

    def load_data_list(self) -> list[dict]:
        """Load all splits as the base class does, then cut the tracklets into clips if that is asked for."""
        records = super().load_data_list()
        return records if self.clip_length is None else split_into_clips(records, self.clip_length)

    def _check_packing(self) -> None:
        """Check that the metric will know the clips of a tracklet: it would take each for a tracklet."""
        for transform in self.pipeline.transforms:
            packed = getattr(transform, 'algorithm_keys', None)
            missing = [] if packed is None else [key for key in ('tracklet', 'clip') if key not in packed]
            if missing:
                raise DataError(
                    f'{type(self).__name__}: clip_length={self.clip_length}, but algorithm_keys={tuple(packed)} of '
                    f'{type(transform).__name__} lack {" and ".join(map(repr, missing))}, by which the metric joins '
                    'the clips of a tracklet: add them, or set clip_length=None'
                )

    def record(self, frame_paths: Sequence[str], pid: int, camid: int) -> dict:
        """Return the record of a tracklet.

        Args:
            frame_paths: Its frames, at least one, in the order of time.
            pid: Identity; 0 and -1 have the same meaning as in the base class.
            camid: Camera, from 0.

        Raises:
            DataError: There is no frame.
        """
        if not frame_paths:
            raise DataError(f'{type(self).__name__} in {self.data_root}: a tracklet of pid {pid} has no frame')
        first = frame_paths[0]
        number = self._numbers.setdefault(first, len(self._numbers))
        return dict(img_path=first, frame_paths=list(frame_paths), pid=pid, camid=camid, tracklet=number)

    def tracklet_folders(self, folder: str, depth: int = 1) -> Iterator[tuple[tuple[str, ...], list[str]]]:
        """List folders that each hold the frames of one tracklet.

        Hidden files are ignored. Notes count files that are no images and images that lie elsewhere.

        Args:
            folder: Folder below ``data_root``.
            depth: Number of folders from there to the frames: 1 for ``PERSON/*.png``.

        Yields:
            Names of the folders on the way, and the frames, sorted by name; sorted by the names of the folders.

        Raises:
            FileNotFoundError: The folder is missing.
            DataError: It has no tracklet, or one of them has no frame.
        """
        root = Path(self.data_root) / folder
        if not root.is_dir():
            raise FileNotFoundError(
                f'{type(self).__name__}: no folder {root}. data_root={self.data_root!r} must hold it: set data_root '
                f'to the extracted data set.{self.origin()}'
            )
        listing = find_files(root)
        frames: dict[tuple[str, ...], list[str]] = {names: [] for names in _folders(root, depth)}
        elsewhere = []
        for path in listing.files:
            frames.get(path.relative_to(root).parts[:-1], elsewhere).append(str(path))
        if listing.left_out:
            self.note(f'{root}: {len(listing.files):,} images, left out {listing.left_out_text()}')
        if elsewhere:
            self.note(
                f'ignored {len(elsewhere)} images in {root} outside of tracklet folders, the first {elsewhere[0]}'
            )
        if not frames:
            raise DataError(f'{type(self).__name__}: {root} has no folders of tracklets; is the data set extracted?')
        for names in sorted(frames):
            if not frames[names]:
                raise DataError(
                    f'{type(self).__name__}: the tracklet {root.joinpath(*names)} has no frame; extract the data set '
                    'again, or remove the folder'
                )
            yield names, frames[names]

    def _without_bad_images(self, records: list[dict], split: str) -> list[dict]:
        paths = [path for record in records for path in record['frame_paths']]
        bad = damaged_images(paths)
        if not bad:
            return records
        usable = []
        for record in records:
            frames = [path for path in record['frame_paths'] if path not in bad]
            if frames:
                usable.append(dict(record, img_path=frames[0], frame_paths=frames))
        self.note(
            f'skipped {len(bad):,} of {len(paths):,} {split} frames, and with them {len(records) - len(usable):,} of '
            f'{len(records):,} tracklets, which have no other frame:\n  {first_lines(bad.values())}'
        )
        return usable

    def _table(self, records: list[dict]) -> str:
        lines = []
        for split in self.splits:
            rows = [r for r in records if r['split'] == split]
            pids = Counter(r['pid'] for r in rows)
            distractors = pids.pop(self.distractor_pid, 0) if split == 'gallery' else 0
            frames, cameras = sum(len(r['frame_paths']) for r in rows), len({r['camid'] for r in rows})
            lines.append([split, *map(str, (len(rows), frames, len(pids), cameras, distractors))])
        titles = ['split', 'tracklets', 'frames', 'identities', 'cameras', 'distractors']
        return f'{type(self).__name__} in {self.data_root}\n{text_table(titles, lines, indent=2)}'


def _folders(root: Path, depth: int) -> list[tuple[str, ...]]:
    """List the folders ``depth`` levels below a folder, without hidden ones."""
    found: list[tuple[str, ...]] = [()]
    for _ in range(depth):
        below = []
        for names in found:
            with os.scandir(root.joinpath(*names)) as entries:
                below += [(*names, e.name) for e in entries if e.is_dir() and not e.name.startswith('.')]
        found = below
    return found
