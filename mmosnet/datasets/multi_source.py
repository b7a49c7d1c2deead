"""Training on several data sets at once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import MMLogger

from mmosnet.datasets.reid_dataset import ReIDDataset
from mmosnet.errors import DataError
from mmosnet.registry import DATASETS


@DATASETS.register_module()
class MultiSource(ReIDDataset):
    """The training images of several data sets, as one data set.

    Nobody is in two of them: identities, cameras and labels of each source get numbers behind those of the sources
    before it, and each record its ``source``, counted from 0. mmengine's ``ConcatDataset`` would give the first person
    of every data set the same label.

    Args:
        sources: Configs of the data sets, without pipeline. A relative ``data_root`` is taken below this data set's.
        data_root: Folder that holds the sources' folders.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`; ``combineall`` for all sources.

    Raises:
        DataError: No source, or another split than ``'train'``.
    """

    distractor_pid = None

    def __init__(self, sources: Sequence[dict], data_root: str = '', **kwargs) -> None:
        if not sources:
            raise DataError('MultiSource needs at least one entry in sources')
        if kwargs.get('split', 'train') not in ('train', ('train',), ['train']):
            raise DataError(f'split={kwargs["split"]!r}: MultiSource is for training; test on single data sets')
        self.sources = copy.deepcopy(list(sources))
        super().__init__(data_root=data_root, **kwargs)

    def load_split(self, split: str) -> list[dict]:
        """Load one source after the other; see the base class."""
        records, facts, pid_offset, camid_offset = [], [], 0, 0
        for source, cfg in enumerate(self.sources):
            root = str(Path(self.data_root or '') / cfg.get('data_root', ''))
            options = dict(data_root=root, split='train', pipeline=[], lazy_init=True, combineall=self.combineall)
            dataset = DATASETS.build({**options, **{key: value for key, value in cfg.items() if key != 'data_root'}})
            found = dataset.load_data_list()
            self.notes += dataset.notes
            for record in found:
                pid, camid = record['gt_label'] + pid_offset, record['camid'] + camid_offset
                records.append(dict(record, pid=pid, camid=camid, source=source))
            cameras = {r['camid'] for r in found}
            facts.append(f'  {source}: {type(dataset).__name__}, {len(found):,} images')
            pid_offset += len({r['gt_label'] for r in found})
            camid_offset += max(cameras) + 1
        MMLogger.get_current_instance().info('\n'.join([f'MultiSource of {len(facts)} data sets', *facts]))
        return records

    def train_records(self) -> list[dict]:
        """Return the images of all sources; each source applies its own ``combineall``."""
        return self.load_split('train')
