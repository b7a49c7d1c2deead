"""The embedded default: a data set of drawn pedestrians, made on first use."""

from __future__ import annotations

from pathlib import Path

from mmosnet.datasets.attributes import ANNOTATIONS, IMAGES, read_pa100k
from mmosnet.datasets.market1501 import Market1501
from mmosnet.datasets.synthetic import write_synthetic_people
from mmosnet.registry import DATASETS


@DATASETS.register_module()
class SyntheticPeople(Market1501):
    """Drawn pedestrians in Market-1501 layout; ``data_root`` is written if it does not exist.

    Args:
        data_root: Folder of the data set.
        generation: Arguments of :func:`~mmosnet.datasets.synthetic.write_synthetic_people`.
        attributes: Give the records of people ``gt_score``, the labels that
            :class:`~mmosnet.datasets.SyntheticAttributes` has of the same pictures. Distractors have none.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`.
    """

    def __init__(self, data_root: str, generation: dict | None = None, attributes: bool = False, **kwargs) -> None:
        write_synthetic_people(data_root, **(generation or {}))
        self.with_attributes = attributes
        super().__init__(data_root=data_root, **kwargs)

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Return no counts: users choose the size."""
        return {}

    def load_data_list(self) -> list[dict]:
        """Load as the base class does, after the attributes if they are wanted."""
        if self.with_attributes:
            root = Path(self.data_root)
            annotation = read_pa100k(root / ANNOTATIONS[0], root / IMAGES)
            self.score_names = annotation.attributes
            columns = annotation.columns()
            self._scores = {
                Path(record['img_path']).stem: record['gt_score']
                for split in annotation.splits.values()
                for record in split.records(self.score_names, columns)
            }
        return super().load_data_list()

    def load_split(self, split: str) -> list[dict]:
        """List one split by its folder; see the base class.

        A picture has the same number in both layouts: ``0001_c1s1_000017_00.jpg`` is ``data/000017.jpg``. Distractors
        and junk, which have no attributes, are numbered after all others.
        """
        records = super().load_split(split)
        if self.with_attributes:
            for record in records:
                number = Path(record['img_path']).name.split('_')[2]
                if number in self._scores:
                    record['gt_score'] = self._scores[number]
        return records
