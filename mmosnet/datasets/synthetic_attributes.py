"""The embedded attribute data set: drawn pedestrians in PA-100K's layout, made on first use."""

from __future__ import annotations

from mmosnet.datasets.attributes import PA100K
from mmosnet.datasets.synthetic import write_synthetic_people
from mmosnet.registry import DATASETS


@DATASETS.register_module()
class SyntheticAttributes(PA100K):
    """Drawn pedestrians with PA-100K's 26 attributes; ``data_root`` is written if it does not exist.

    The folder is that of :class:`~mmosnet.datasets.SyntheticPeople`, the same pictures.

    Args:
        data_root: Folder of the data set.
        generation: Arguments of :func:`~mmosnet.datasets.synthetic.write_synthetic_people`.
        **kwargs: Same as in :class:`~mmosnet.datasets.AttributeDataset`.
    """

    def __init__(self, data_root: str, generation: dict | None = None, **kwargs) -> None:
        write_synthetic_people(data_root, **(generation or {}))
        super().__init__(data_root=data_root, **kwargs)

    def published_counts(self) -> dict[str, int]:
        """Return no counts: users choose the size."""
        return {}
