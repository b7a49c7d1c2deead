"""Market-1501 (Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015)."""

from __future__ import annotations

import re

from mmosnet.datasets.reid_dataset import ReIDDataset
from mmosnet.registry import DATASETS

FOLDERS = dict(train='bounding_box_train', query='query', gallery='bounding_box_test')
NAME = re.compile(r'([-\d]+)_c(\d+)')


@DATASETS.register_module()
class Market1501(ReIDDataset):
    """Market-1501 and every data set in its layout.

    ``data_root`` holds ``bounding_box_train``, ``query`` and ``bounding_box_test``; a name like
    ``0002_c1s1_000451_03.jpg`` states pid 2 and the first camera (camid 0). Official counts: 12,936 images of 751
    identities; 3,368 queries of 750; a gallery of 19,732 files, 3,819 of which are junk (pid -1) and dropped here.

    Args: as :class:`~mmosnet.datasets.ReIDDataset`.
    """

    download_page = 'https://zheng-lab.cecs.anu.edu.au/Project/project_reid.html'

    def load_split(self, split: str) -> list[dict]:
        """List one split by its folder; see the base class."""
        return [
            dict(img_path=path, pid=int(match[1]), camid=int(match[2]) - 1)
            for path, match in self.list_folder(FOLDERS[split], NAME)
        ]
