"""The embedded default: a data set of drawn pedestrians, made on first use."""

from __future__ import annotations

from mmosnet.datasets.market1501 import Market1501
from mmosnet.datasets.synthetic import write_synthetic_people
from mmosnet.registry import DATASETS


@DATASETS.register_module()
class SyntheticPeople(Market1501):
    """Drawn pedestrians in Market-1501 layout; ``data_root`` is written if it does not exist.

    Args:
        data_root: Folder of the data set.
        generation: Arguments of :func:`~mmosnet.datasets.synthetic.write_synthetic_people`.
        **kwargs: As of :class:`~mmosnet.datasets.ReIDDataset`.
    """

    def __init__(self, data_root: str, generation: dict | None = None, **kwargs) -> None:
        write_synthetic_people(data_root, **(generation or {}))
        super().__init__(data_root=data_root, **kwargs)

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """None: the size is for the user to choose."""
        return {}
