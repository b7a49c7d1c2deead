"""From a record to the input of a joint model: a sample with a part for each task it has labels of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmcv.transforms import BaseTransform

from mmosnet.compatibility import supported_stack
from mmosnet.errors import DataError
from mmosnet.registry import TRANSFORMS

with supported_stack():
    from mmpretrain.datasets import PackInputs
    from mmpretrain.structures import DataSample, MultiTaskDataSample


@TRANSFORMS.register_module()
class PackTasks(BaseTransform):
    """Pack the image and the labels of all tasks.

    mmpretrain's ``PackMultiTaskInputs`` wants every label as a dict by task; records of data sets have plain ones.

    **Required Keys:** img

    **Added Keys:** inputs (``(3, H, W)`` uint8), data_samples (``MultiTaskDataSample``)

    Args:
        tasks: For each task the keys of the record that its part gets, or a dict from the part's names to the record's:
            ``dict(reid=('pid', 'camid', 'split', 'gt_label'), attributes=('gt_score',),
            category=dict(gt_label='gt_category'))``. A record without the first of them has no labels of the task;
            the others may be missing, as ``gt_label`` in testing.

    Raises:
        DataError: A task without keys.
    """

    def __init__(self, tasks: Mapping[str, Sequence[str] | Mapping[str, str]]) -> None:
        self.tasks = {}
        for task, keys in tasks.items():
            names = dict(keys) if isinstance(keys, Mapping) else {key: key for key in keys}
            if not names:
                raise DataError(f'PackTasks: tasks.{task} names no key')
            self.tasks[task] = names

    def transform(self, results: dict) -> dict:
        """Pack a record."""
        sample = MultiTaskDataSample()
        for task, names in self.tasks.items():
            if next(iter(names.values())) in results:
                found = {name: results[key] for name, key in names.items() if key in results}
                sample.set_field(self._part(found, results), task)
        return dict(inputs=PackInputs.format_input(results['img']), data_samples=sample)

    @staticmethod
    def _part(labels: dict, results: dict) -> DataSample:
        part = DataSample(metainfo={key: results[key] for key in PackInputs.DEFAULT_META_KEYS if key in results})
        for name, value in labels.items():
            if name == 'gt_label':
                part.set_gt_label(value)
            elif name == 'gt_score':
                part.set_gt_score(value)
            else:
                part.set_field(value, name)
        return part
