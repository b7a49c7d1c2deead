"""Data sets of several tasks, joined for one model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmengine.dataset import BaseDataset, ConcatDataset

from mmosnet.errors import DataError
from mmosnet.registry import DATASETS


@DATASETS.register_module()
class JointDataset(ConcatDataset):
    """Data sets one behind the other, each with its own pipeline and its own labels.

    mmengine's ``ConcatDataset`` wants data sets that say the same of themselves and keeps what the first says. Here
    each contributes what it knows: numbers of identities, names of attributes, names of categories.
    :class:`~mmosnet.datasets.MultiSource` joins several re-identification sets.

    Args:
        datasets: Config of each data set by a name of your choice; those with None are left out
            (``--cfg-options train_dataloader.dataset.datasets.objects=None``).
        data_root: Folder that holds the data sets' folders: a relative ``data_root`` of theirs is taken below it.
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
        # Above, not in the base: it would keep the first one's alone.
        super().__init__(list(built.values()), lazy_init=lazy_init, ignore_keys=[*given_by, 'task'])
        self._metainfo = dict(metainfo, task='joint')


def _build(cfg: Mapping, data_root: str) -> BaseDataset:
    if not data_root:
        return DATASETS.build(cfg)
    return DATASETS.build(dict(cfg, data_root=str(Path(data_root) / cfg.get('data_root', ''))))
