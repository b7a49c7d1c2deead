"""Read the predictions of a model (embedding, attributes, category), and write them as a table or a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.structures import BaseDataElement
from mmpretrain.models import ClsHead, MultiLabelClsHead
from torch import nn

from mmosnet.drawing.people import predicted_attributes
from mmosnet.errors import DataError
from mmosnet.io.files import whole_file
from mmosnet.io.text_tables import text_table
from mmosnet.models import JointHead, ReIDHead

SUFFIXES = ('.json', '.csv')
# Most attributes in a cell of the table.
MOST_ATTRIBUTES = 5


def prediction_table(results: Sequence[Mapping]) -> str:
    """Return results of :class:`~mmosnet.apis.PersonInferencer` as a table, one line per image.

    Columns without a value are left out.
    """
    keys = [key for key in ('attributes', 'category', 'embedding', 'error') if any(key in result for result in results)]
    titles = ['image', *('embedding norm' if key == 'embedding' else key for key in keys)]
    rows = [[result['img_path'] or 'array', *(_cell(key, result) for key in keys)] for result in results]
    return text_table(titles, rows, 'l')


def check_prediction_file(path: str | Path) -> None:
    """Refuse a file that :func:`save_predictions` cannot write, before anything is computed.

    Raises:
        DataError: The name ends neither in .json nor in .csv.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise DataError(f'{path}: name a file that ends in {" or ".join(SUFFIXES)}')


def save_predictions(results: Sequence[Mapping], path: str | Path, **origin: str) -> Path:
    """Write results, with enough digits to restore every float32 of the embeddings exactly.

    Args:
        results: Results of :class:`~mmosnet.apis.PersonInferencer`.
        path: A file ``.json`` with a list under ``results``; or ``.csv`` with one row per image and the columns
            ``img_path``, ``error``, ``category``, ``category.label``, ``category.score``, ``attributes.NAME`` and
            ``embedding.0`` to ``embedding.D``, without empty ones.
        origin: Further entries of the JSON file, such as config and checkpoint.

    Raises:
        DataError: The name of the file ends neither in .json nor in .csv.
    """
    check_prediction_file(path)
    path = Path(path)
    if path.suffix.lower() == '.json':
        text = json.dumps(dict(origin, results=[_plain(result) for result in results]), indent=1) + '\n'
        with whole_file(path) as draft:
            draft.write_text(text)
        return path
    rows = [_flat(_plain(result)) for result in results]
    columns = list(dict.fromkeys(['img_path', *(key for row in rows for key in row)]))
    # File names that are not UTF-8 keep their bytes.
    with (
        whole_file(path) as draft,
        draft.open('w', newline='', encoding='utf-8', errors='surrogateescape') as file,
    ):
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def _cell(key: str, result: Mapping) -> str:
    if key not in result:
        return ''
    if key == 'attributes':
        attributes = predicted_attributes(result)
        more = [f'and {len(attributes) - MOST_ATTRIBUTES} more'] * (len(attributes) > MOST_ATTRIBUTES)
        return ', '.join([f'{name} {score:.2f}' for name, score in attributes[:MOST_ATTRIBUTES]] + more) or 'none'
    if key == 'category':
        return f'{result["category"]["name"]} {result["category"]["score"]:.2f}'
    return f'{np.linalg.norm(np.float64(result["embedding"])):.4f}' if key == 'embedding' else result[key]


def _plain(result: Mapping) -> dict:
    """Return a result with lists instead of arrays."""
    if 'embedding' not in result:
        return dict(result)
    # Nine digits are enough for a float32.
    return dict(result, embedding=[float(f'{value:.9g}') for value in result['embedding'].tolist()])


def _flat(result: Mapping) -> dict:
    """Return a result as one row of a CSV file."""
    row = {key: value for key, value in result.items() if key in ('img_path', 'error')}
    if 'category' in result:
        category = result['category']
        row |= {'category': category['name'], 'category.label': category['label'], 'category.score': category['score']}
    row |= {f'attributes.{name}': score for name, score in result.get('attributes', {}).items()}
    return row | {f'embedding.{i}': value for i, value in enumerate(result.get('embedding', ()))}


class PredictedTasks:
    """Convert a model's data samples to named numbers.

    Args:
        model: Model with one head or a joint head.
        attributes: Names of the attributes; by default those in the model's ``_dataset_meta``, which comes from the
            checkpoint, else ``attribute 0`` and so on.
        classes: Names of the categories; by default likewise, else ``0`` and so on.

    Raises:
        DataError: The head predicts none of the three, or there are too few or too many names.
    """

    def __init__(
        self, model: nn.Module, attributes: Sequence[str] | None = None, classes: Sequence[str] | None = None
    ) -> None:
        head = getattr(model, 'head', None)
        self.joint = isinstance(head, JointHead)
        self.heads = dict(head.heads) if self.joint else {_task(head): head}
        saved = getattr(model, '_dataset_meta', None) or {}
        self.attributes = _names('attributes', self.heads.get('attributes'), attributes, saved)
        self.classes = _names('classes', self.heads.get('category'), classes, saved)

    def read(self, sample: BaseDataElement) -> dict[str, Any]:
        """Return the predictions in a sample, as in the results of :class:`~mmosnet.apis.PersonInferencer`.

        Raises:
            DataError: A number is not finite.
        """
        result = {}
        for task in self.heads:
            part = sample.get(task) if self.joint else sample
            if not (part.embedding if task == 'reid' else part.pred_score).isfinite().all():
                raise DataError(
                    f'the model predicts numbers that are not finite ({task}): it has diverged in training, or its '
                    'weights are damaged; give another checkpoint'
                )
            if task == 'reid':
                # A copy: a row of the batch would keep the whole batch in memory.
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
    for task, head_class in (('reid', ReIDHead), ('attributes', MultiLabelClsHead), ('category', ClsHead)):
        if isinstance(head, head_class):
            return task
    raise DataError(f"the model's head is {type(head).__name__}, which predicts no embedding, attributes or category")


def _names(key: str, head: nn.Module | None, given: Sequence[str] | None, saved: Mapping) -> list[str]:
    """Return the names of a head's outputs; empty without a head."""
    if head is None:
        return []
    names = saved.get(key) if given is None else given
    if names is None:
        return [f'attribute {i}' if key == 'attributes' else str(i) for i in range(head.num_classes)]
    is_list = isinstance(names, Sequence) and all(isinstance(name, str) for name in names)
    if not is_list or isinstance(names, str) or len(names) != head.num_classes:
        where = "the checkpoint's" if given is None else 'the given'
        raise DataError(f'{where} {key} are no list of {head.num_classes} names: {str(names)[:80]}; give {key}=[...]')
    if key == 'attributes' and len(set(names)) < len(names):
        raise DataError(f'attributes={names}: give each a name of its own')
    return list(names)
