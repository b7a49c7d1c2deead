"""Market-1501 (Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015)."""

from __future__ import annotations

import re

from mmosnet.datasets.reid_dataset import ReIDDataset
from mmosnet.registry import DATASETS

FOLDERS = dict(train='bounding_box_train', query='query', gallery='bounding_box_test')
DISTRACTOR_FOLDER = 'images'
NAME = re.compile(r'([-\d]+)_c(\d+)')


@DATASETS.register_module()
class Market1501(ReIDDataset):
    """Market-1501 and every data set in its layout.

    ``data_root`` holds ``bounding_box_train``, ``query`` and ``bounding_box_test``; a name like
    ``0002_c1s1_000451_03.jpg`` states pid 2 and the first camera (camid 0). Official counts: 12,936 images of 751
    identities; 3,368 queries of 750; a gallery of 19,732 files, 3,819 of which are junk (pid -1) and dropped here.

    Args:
        distractors_500k: Add the half million distractors in ``images/`` to the gallery.
        **kwargs: As :class:`~mmosnet.datasets.ReIDDataset`.
    """

    shared_pids = True
    download_page = 'https://zheng-lab.cecs.anu.edu.au/Project/project_reid.html'

    def __init__(self, *args, distractors_500k: bool = False, **kwargs) -> None:
        self.distractors_500k = distractors_500k
        super().__init__(*args, **kwargs)

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Of the authors' page."""
        gallery = 515_913 if self.distractors_500k else 15_913
        return dict(train=(12_936, 751), query=(3_368, 750), gallery=(gallery, 750))

    def load_split(self, split: str) -> list[dict]:
        """List one split by its folder; see the base class."""
        folders = [FOLDERS[split]]
        if split == 'gallery' and self.distractors_500k:
            folders.append(DISTRACTOR_FOLDER)
        return [
            dict(img_path=path, pid=int(match[1]), camid=int(match[2]) - 1)
            for folder in folders
            for path, match in self.list_folder(folder, NAME)
        ]
