"""Data sets that join others: several sources for training, or the data of several tasks."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.logging import MMLogger

from mmosnet.datasets.base import ReIDDataset
from mmosnet.errors import DataError
from mmosnet.registry import DATASETS


@DATASETS.register_module()
class MultiSource(ReIDDataset):
    """The training images of several data sets, as one data set.

    No person is in two of them: identities, cameras, labels and tracklets of each source get numbers after those of the
    previous sources, and each record gets its ``source``, counted from 0. mmengine's ``ConcatDataset`` would give the
    first person of every data set the same label.

    Args:
        sources: Configs of the data sets, without pipeline. A relative ``data_root`` is below this data set's.
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
        records, lines, pid_offset, camid_offset, tracklet_offset = [], [], 0, 0, 0
        for source, cfg in enumerate(self.sources):
            root = str(Path(self.data_root or '') / cfg.get('data_root', ''))
            options = dict(data_root=root, split='train', pipeline=[], lazy_init=True, combineall=self.combineall)
            dataset = DATASETS.build({**options, **{key: value for key, value in cfg.items() if key != 'data_root'}})
            own = dataset.load_data_list()
            self.notes += dataset.notes
            for record in own:
                pid, camid = record['gt_label'] + pid_offset, record['camid'] + camid_offset
                record = dict(record, pid=pid, camid=camid, source=source)
                if 'tracklet' in record:
                    record['tracklet'] += tracklet_offset
                records.append(record)
            lines.append(f'  {source}: {type(dataset).__name__}, {len(own):,} {dataset.items}')
            pid_offset += len({r['gt_label'] for r in own})
            camid_offset += max(r['camid'] for r in own) + 1
            tracklet_offset += max(r.get('tracklet', -1) for r in own) + 1
        MMLogger.get_current_instance().info('\n'.join([f'MultiSource of {len(lines)} data sets', *lines]))
        return records

    def train_records(self) -> list[dict]:
        """Return the images of all sources; each source applies its own ``combineall``."""
        return self.load_split('train')


@DATASETS.register_module()
class JointDataset(ConcatDataset):
    """A concatenation of data sets, each with its own pipeline and its own labels.

    mmengine's ``ConcatDataset`` requires equal ``metainfo`` of all data sets and keeps that of the first. Here the
    ``metainfo`` of all are merged: numbers of identities, names of attributes, names of categories.
    :class:`~mmosnet.datasets.MultiSource` joins several re-identification sets.

    Args:
        datasets: Config of each data set by a name of your choice; None leaves one out
            (``--cfg-options train_dataloader.dataset.datasets.objects=None``).
        data_root: Folder that holds the data sets' folders; a relative ``data_root`` of theirs is below it.
        lazy_init: Same as in mmengine's ``ConcatDataset``.

    Raises:
        DataError: No data set, or two that contradict each other.
    """

    def __init__(
        self, datasets: Mapping[str, dict | BaseDataset | None], data_root: str = '', lazy_init: bool = False
    ) -> None:
        built = {
            name: _build(dataset, data_root) if isinstance(dataset, Mapping) else dataset
            for name, dataset in datasets.items()
            if dataset is not None
        }
        if not built:
            raise DataError('JointDataset needs at least one entry in datasets')
        metainfo, given_by = {}, {}
        for name, dataset in built.items():
            for key, value in dataset.metainfo.items():
                if key != 'task' and metainfo.setdefault(key, value) != value:
                    remedy = 'Leave one out'
                    if key.startswith('num_'):
                        remedy += ', or join people by MultiSource'
                    raise DataError(
                        f'JointDataset: {given_by[key]} and {name} differ in {key}, one head cannot serve both: '
                        f'{str(metainfo[key])[:80]} and {str(value)[:80]}. {remedy}'
                    )
                given_by.setdefault(key, name)
        # The metainfo is merged here, because the base class would keep only that of the first.
        super().__init__(list(built.values()), lazy_init=lazy_init, ignore_keys=[*given_by, 'task'])
        self._metainfo = dict(metainfo, task='joint')


def _build(cfg: Mapping, data_root: str) -> BaseDataset:
    if not data_root:
        return DATASETS.build(cfg)
    return DATASETS.build(dict(cfg, data_root=str(Path(data_root) / cfg.get('data_root', ''))))
