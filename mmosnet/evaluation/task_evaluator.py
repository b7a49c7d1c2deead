"""The evaluation of a joint model: each task's metrics see the samples that have its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmengine.evaluator import BaseMetric, Evaluator
from mmpretrain.structures import MultiTaskDataSample

from mmosnet.errors import DataError
from mmosnet.registry import EVALUATORS


@EVALUATORS.register_module()
class TaskEvaluator(Evaluator):
    """Metrics by task.

    mmpretrain's ``MultiTasksMetric`` waits for ever where one of several processes has no sample of a task, and reports
    0 where nobody has. Metrics must count a sample once that comes twice, as ours do: padding of a distributed
    evaluation cannot be cut off by number where samples lack labels.

    Args:
        metrics: One or several metrics per task; tasks with None are left out
            (``--cfg-options val_evaluator.metrics.category=None``).

    Raises:
        DataError: No metric.
    """

    def __init__(self, metrics: Mapping[str, dict | BaseMetric | Sequence | None]) -> None:
        lists = {
            task: list(given) if isinstance(given, Sequence) else [given]
            for task, given in metrics.items()
            if given is not None
        }
        if not lists:
            raise DataError('TaskEvaluator needs a metric for at least one task')
        super().__init__([metric for given in lists.values() for metric in given])
        built = iter(self.metrics)
        self.task_metrics = {task: [next(built) for _ in given] for task, given in lists.items()}

    def process(self, data_samples: Sequence[MultiTaskDataSample], data_batch: object = None) -> None:
        """Pass to each task's metrics the samples that have its labels.

        Raises:
            DataError: The model has no head for a task.
        """
        for task, metrics in self.task_metrics.items():
            parts = []
            for sample in data_samples:
                if task not in sample or 'eval_mask' not in sample.get(task):
                    raise DataError(
                        f'The model predicts no {task}, which has metrics here: give model.head.heads one, '
                        f'or set val_evaluator.metrics.{task}=None and test_evaluator.metrics.{task}=None'
                    )
                if sample.get(task).eval_mask:
                    parts.append(sample.get(task).to_dict())
            for metric in metrics:
                metric.process(data_batch, parts)
