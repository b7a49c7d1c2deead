"""Market-1501 (Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015)."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from mmengine.logging import MMLogger

from mmosnet.datasets.market_attribute_file import market_attributes
from mmosnet.datasets.reid_dataset import DISTRACTOR_PID, JUNK_PID, ReIDDataset
from mmosnet.io.media import find_files
from mmosnet.io.tables import number_in_name
from mmosnet.registry import DATASETS

FOLDERS = dict(train='bounding_box_train', query='query', gallery='bounding_box_test')
DISTRACTOR_FOLDER = 'images'
# Pid and camera, and what looks like them.
NAME = re.compile(r'(-?\d+)_c(\d+)', re.ASCII)
ALMOST = re.compile(r'[-+\d].*_c\d', re.IGNORECASE)


@DATASETS.register_module()
class Market1501(ReIDDataset):
    """Market-1501 and every data set in its layout.

    ``data_root`` holds ``bounding_box_train``, ``query`` and ``bounding_box_test``; a name like
    ``0002_c1s1_000451_03.jpg`` states pid 2 and the first camera (camid 0). In data of your own that have a camera c0
    the camid is the number in the name. Official counts: 12,936 images of 751 identities; 3,368 queries of 750; a
    gallery of 19,732 files, 3,819 of which are junk (pid -1) and dropped here.

    Args:
        distractors_500k: Add the half million distractors in ``images/`` to the gallery.
        attributes: File of the identities' attributes, ``'market_attribute.mat'``, relative to ``data_root``: records
            of people in it get a ``gt_score`` (:func:`~mmosnet.datasets.market_attribute_file.market_attributes`), the
            others, distractors among them, have none.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`.
    """

    shared_pids = True
    download_page = 'https://zheng-lab.cecs.anu.edu.au/Project/project_reid.html'

    def __init__(self, *args, distractors_500k: bool = False, attributes: str | None = None, **kwargs) -> None:
        self.distractors_500k = distractors_500k
        self.attributes = attributes
        super().__init__(*args, **kwargs)

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Return the counts on the authors' page."""
        gallery = 515_913 if self.distractors_500k else 15_913
        return dict(train=(12_936, 751), query=(3_368, 750), gallery=(gallery, 750))

    def load_data_list(self) -> list[dict]:
        """Load as the base class does, after the attributes if there are any."""
        if self.attributes:
            self.score_names, self._scores = market_attributes(Path(self.data_root) / self.attributes)
        return super().load_data_list()

    def load_split(self, split: str) -> list[dict]:
        """List one split by its folder; see the base class."""
        folders = [FOLDERS[split]]
        if split == 'gallery' and self.distractors_500k:
            folders.append(DISTRACTOR_FOLDER)
        records = [
            dict(
                img_path=path,
                pid=number_in_name(match[1], 'pid', path, JUNK_PID),
                camid=number_in_name(match[2], 'camera', path) - self.first_camera,
            )
            for folder in folders
            for path, match in self.list_folder(folder, NAME, ALMOST)
        ]
        nobody = sum(record['pid'] == DISTRACTOR_PID for record in records)
        if nobody and split != 'gallery':
            self.note(
                f'{nobody} images of {split} are of pid 0, which stands for distractors in this layout; number people '
                'from 1'
            )
        if self.attributes:
            self._add_scores(records, split)
        return records

    @cached_property
    def first_camera(self) -> int:
        """Number of the first camera in file names: 1, or 0 where a name in any split says c0."""
        for folder in (*FOLDERS.values(), *[DISTRACTOR_FOLDER][: self.distractors_500k]):
            path = Path(self.data_root) / folder
            for file in find_files(path).files if path.is_dir() else ():
                match = NAME.match(file.name)
                if match and not match[2].strip('0'):
                    self.note(f'cameras count from 0, as in {file}', usual=True)
                    return 0
        return 1

    def _add_scores(self, records: list[dict], split: str) -> None:
        scores = self._scores['train' if split == 'train' else 'test']
        for record in records:
            if record['pid'] in scores:
                record['gt_score'] = scores[record['pid']]
        number = sum('gt_score' in record for record in records)
        MMLogger.get_current_instance().info(
            f'{type(self).__name__}: {number} of {len(records)} {split} images have attributes'
        )
