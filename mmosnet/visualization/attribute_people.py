"""From a config and a checkpoint to people with their attributes: of the test set with wrong ones marked, or any."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from mmengine.config import Config

from mmosnet.apis.inferencer import PersonInferencer
from mmosnet.datasets.check import image_files
from mmosnet.drawing.people import per_attribute_table, save_attribute_sheet
from mmosnet.errors import DataError
from mmosnet.evaluation.attributes import THRESHOLD
from mmosnet.evaluation.metrics import AttributeMetric, ShownAttributes
from mmosnet.io.files import whole_file
from mmosnet.visualization.evaluated_data import evaluate

# A row of the sheet holds four, of some 200 to 500 rows of pixels; a JPEG file has at most 65,535.
MOST_PEOPLE = 400
STEM = 'attributes'


def visualize_attributes(
    cfg: Config, checkpoint: str, images: Sequence[str], number: int, out_dir: Path, worst: bool = False
) -> list[str]:
    """Draw people with their attributes.

    Args:
        cfg: Config of a model that predicts attributes.
        checkpoint: Checkpoint of the model.
        images: Files and folders; people of the test set if empty.
        number: Number of people of the test set, or per folder.
        out_dir: Gets ``attributes.jpg`` and ``attributes.json``; the names say if the images are the user's, or worst.
        worst: Show the people of the test set with the most wrong and missed attributes.

    Returns:
        Lines that tell what was found and where it is.

    Raises:
        FileNotFoundError: No such checkpoint, data, image or folder.
        DataError: A model without attributes, of another network, or an image that cannot be read.
    """
    if images and worst:
        raise DataError('--worst is for the test set: nobody knows the attributes of your own images')
    files = image_files(images, number)
    if not 1 <= max(number, len(files)) <= MOST_PEOPLE:
        raise DataError(f'{max(number, len(files))} people on a sheet: choose 1 to {MOST_PEOPLE} with --num-images')
    if files:
        people, lines = _predicted(cfg, checkpoint, files)
        stem, title = f'{STEM}_predicted', [f'{len(people)} images, attributes predicted by {checkpoint}']
    else:
        people, title, lines = _tested(cfg, checkpoint, number, worst)
        stem = f'{STEM}_worst' if worst else STEM
    picture = save_attribute_sheet(people, out_dir / f'{stem}.jpg', title=title)
    numbers = out_dir / f'{stem}.json'
    report = dict(checkpoint=checkpoint, people=list(map(asdict, people)))
    with whole_file(numbers) as draft:
        draft.write_text(json.dumps(report, indent=1) + '\n')
    return [*title, '', *lines, '', f'picture  {picture}', f'numbers  {numbers}']


def num_wrong(person: ShownAttributes) -> int:
    """Count the attributes of a person that are predicted wrongly or missed."""
    return int(((np.array(person.scores) >= THRESHOLD) != np.array(person.gt)).sum())


def _tested(
    cfg: Config, checkpoint: str, number: int, worst: bool
) -> tuple[list[ShownAttributes], list[str], list[str]]:
    """Return people of the test set, a title for them, and the scores of all attributes."""
    evaluated = evaluate(cfg, checkpoint, AttributeMetric)
    metric = evaluated.metric
    total = len(metric.results)
    # Of all people the worst are sought.
    metric.num_shown = total if worst else number
    scores = metric.evaluate(total)
    scores = {name.rpartition('/')[2]: value for name, value in scores.items()}
    people = metric.shown
    if worst:
        people = sorted(people, key=num_wrong, reverse=True)[:number]
    which = 'with the most wrong and missed attributes' if worst else 'spread over the set'
    told = ', '.join(f'{key} {scores[key]:.3f}' for key in ('mA', 'F1', 'mAP'))
    title = [f'{evaluated.data_name}: {total:,} images; {told}', f'{len(people)} images {which}']
    return people, title, [per_attribute_table(metric.per_attribute)]


def _predicted(cfg: Config, checkpoint: str, files: Sequence[str]) -> tuple[list[ShownAttributes], list[str]]:
    """Return the user's images with their predictions, and one line for each."""
    inferencer = PersonInferencer(cfg, checkpoint)
    if 'attributes' not in inferencer.tasks.heads:
        raise DataError(f'{cfg.filename}: its model predicts {", ".join(inferencer.tasks.heads)}, and no attributes')
    people, lines = [], []
    for result in inferencer(list(files)):
        names, scores = zip(*result['attributes'].items(), strict=True)
        people.append(ShownAttributes(result['img_path'], list(names), None, list(scores)))
        told = ', '.join(name for name, score in zip(names, scores, strict=True) if score >= THRESHOLD) or 'none'
        lines.append(f'{result["img_path"]}: {told}')
    return people, lines
