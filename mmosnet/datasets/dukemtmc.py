"""DukeMTMC-reID (Ristani et al., ECCVW 2016; Zheng et al., ICCV 2017)."""

from __future__ import annotations

from mmosnet.datasets.market1501 import Market1501
from mmosnet.registry import DATASETS


@DATASETS.register_module()
class DukeMTMCreID(Market1501):
    """DukeMTMC-reID, in Market-1501's layout and names, 8 cameras.

    Withdrawn by its authors in 2019: for the comparison with published numbers, where a copy may still be used.
    """

    download_page = 'nowhere any more: its authors withdrew it in 2019'

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Return the counts of Zheng et al., ICCV 2017: 702 test identities, 408 more in one camera only."""
        return dict(train=(16_522, 702), query=(2_228, 702), gallery=(17_661, 1_110))
