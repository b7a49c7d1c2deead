"""What a model predicts of a person, by its heads: embedding, attributes, category; and what those are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.structures import BaseDataElement
from mmpretrain.models import ClsHead, MultiLabelClsHead
from torch import nn

from mmosnet.errors import DataError
from mmosnet.models import JointHead, ReIDHead


class PredictedTasks:
    """Turns a model's samples into numbers with names.

    Args:
        model: Model with a head or a joint head; its ``_dataset_meta``, from a checkpoint, has the names.
        attributes: Names instead of those; without either ``attribute 0`` ...
        classes: Names of the categories instead; without either ``0`` ...

    Raises:
        DataError: A head that predicts none of the three, or names that are too few or too many.
    """

    def __init__(
        self, model: nn.Module, attributes: Sequence[str] | None = None, classes: Sequence[str] | None = None
    ) -> None:
        head = getattr(model, 'head', None)
        self.joint = isinstance(head, JointHead)
        self.heads = dict(head.heads) if self.joint else {_task(head): head}
        found = getattr(model, '_dataset_meta', None) or {}
        self.attributes = _names('attributes', self.heads.get('attributes'), attributes, found)
        self.classes = _names('classes', self.heads.get('category'), classes, found)

    def read(self, sample: BaseDataElement) -> dict[str, Any]:
        """Read the predictions in a sample; :class:`~mmosnet.apis.PersonInferencer` describes them.

        Raises:
            DataError: They are no numbers.
        """
        result = {}
        for task in self.heads:
            part = sample.get(task) if self.joint else sample
            if not (part.embedding if task == 'reid' else part.pred_score).isfinite().all():
                raise DataError(
                    f'the model predicts numbers that are not finite ({task}): it has diverged in training, or its '
                    'weights are spoilt; give another checkpoint'
                )
            if task == 'reid':
                # A copy: a row of the batch would keep the whole batch.
                result['embedding'] = part.embedding.float().cpu().numpy().copy()
                continue
            scores = part.pred_score.tolist()
            if task == 'attributes':
                result['attributes'] = dict(zip(self.attributes, scores, strict=True))
            else:
                label = int(part.pred_score.argmax())
                result['category'] = dict(name=self.classes[label], label=label, score=scores[label])
        return result


def _task(head: nn.Module | None) -> str:
    for task, kind in (('reid', ReIDHead), ('attributes', MultiLabelClsHead), ('category', ClsHead)):
        if isinstance(head, kind):
            return task
    raise DataError(f"the model's head is {type(head).__name__}, which predicts no embedding, attributes or category")


def _names(key: str, head: nn.Module | None, given: Sequence[str] | None, found: Mapping) -> list[str]:
    """Return the names of a head's outputs; empty without a head."""
    if head is None:
        return []
    names = found.get(key) if given is None else given
    if names is None:
        return [f'attribute {i}' if key == 'attributes' else str(i) for i in range(head.num_classes)]
    is_list = isinstance(names, Sequence) and all(isinstance(name, str) for name in names)
    if not is_list or isinstance(names, str) or len(names) != head.num_classes:
        where = "the checkpoint's" if given is None else 'the given'
        raise DataError(f'{where} {key} are no list of {head.num_classes} names: {str(names)[:80]}; give {key}=[...]')
    if key == 'attributes' and len(set(names)) < len(names):
        raise DataError(f'attributes={names}: give each a name of its own')
    return list(names)
