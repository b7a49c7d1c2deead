"""Compare an exported file with its model: outputs for a few images, and scores on a test set."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import EVALUATOR, DefaultScope
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmosnet.apis.inputs import ImageInput
from mmosnet.apis.results import PredictedTasks
from mmosnet.errors import DataError
from mmosnet.export.prepare import OUTPUTS, ModelImages
from mmosnet.runtime.model import ExportedModel

BATCH_SIZES = (1, 2, 7)
# Largest difference, and smallest cosine of the outputs of an image. fp32: order of sums. fp16: 11 bits per weight.
# int8: after training on synthetic people the cosine was 0.967 to 0.996; a file below 0.95 counts as broken. Scores of
# categories do not count for int8: for people, who belong to no category, the cosine was 0.88 where the test set lost
# 0.027.
LIMITS = dict(fp32=(1e-5, 0.99999), fp16=(2e-2, 0.999), int8=(0.5, 0.95))


@dataclass(frozen=True)
class Parity:
    """Differences between a file and its model.

    Attributes:
        batch_size: Images per batch.
        difference: Largest difference of two numbers, as a share of the output's largest number.
        cosine: Smallest cosine between the outputs of file and model for an image; for int8 without categories.
    """

    batch_size: int
    difference: float
    cosine: float


def reference_outputs(model: nn.Module, outputs: Sequence[str], images: np.ndarray, rgb: bool) -> dict[str, np.ndarray]:
    """Return the outputs of a model in its training form, with its own preprocessing.

    Args:
        model: Model in evaluation mode.
        outputs: Names of the outputs.
        images: ``(N, H, W, 3)`` uint8, BGR.
        rgb: Whether the test pipeline gives RGB.
    """
    inputs = np.ascontiguousarray((images[..., ::-1] if rgb else images).transpose(0, 3, 1, 2))
    with torch.inference_mode():
        data = model.data_preprocessor(dict(inputs=torch.from_numpy(inputs)), False)
        feats = model.extract_feat(data['inputs'])
        tasks = getattr(model.head, 'heads', None) or dict.fromkeys(outputs, model.head)
        values = {}
        for task, head in tasks.items():
            name = 'embedding' if task == 'reid' else task
            value = head(feats)
            scored = dict(attributes=torch.sigmoid, category=lambda logits: logits.softmax(1)).get(name, lambda v: v)
            values[name] = scored(value).float().numpy()
    return values


def _compare(
    outputs: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], size: int, directions: Set[str]
) -> Parity:
    """Return the differences of all outputs, and the cosines of those named in ``directions``."""
    differences, cosines = [], [1.0]
    for name, right in expected.items():
        if outputs[name].shape != right.shape:
            return Parity(size, float('nan'), float('nan'))
        differences.append(np.abs(outputs[name] - right).max() / max(np.abs(right).max(), 1e-12))
        if name not in directions:
            continue
        lengths = np.linalg.norm(outputs[name], axis=1) * np.linalg.norm(right, axis=1)
        cosines.append(((outputs[name] * right).sum(1) / lengths.clip(1e-12)).min())
    return Parity(size, float(np.max(differences)), float(np.min(cosines)))


def check_parity(
    exported: ExportedModel,
    model: nn.Module,
    images: ModelImages,
    sources: Sequence[ImageInput],
    pictures: np.ndarray,
    path: object,
) -> list[Parity]:
    """Compare a file with its model. Both read, resize and normalize the images by themselves.

    Args:
        exported: The file.
        model: The model.
        images: Preparation of the model's images.
        sources: Seven or more image files.
        pictures: The images after the test pipeline, ``(N, H, W, 3)`` uint8, BGR. The file gets these if it cannot
            reproduce the pipeline.
        path: Name of the file in errors.

    Returns:
        One result per batch size: 1, 2 and 7 images.

    Raises:
        DataError: The outputs differ by more than :data:`LIMITS`.
    """
    description = exported.description
    expected = reference_outputs(model, description.outputs, pictures, images.rgb)
    if description.l2_normalized:
        embedding = expected['embedding']
        expected['embedding'] = embedding / np.linalg.norm(embedding, axis=1, keepdims=True).clip(1e-12)
    given = list(pictures) if description.other_transforms else [source.img_path for source in sources]
    results = []
    for size in BATCH_SIZES:
        outputs = exported.predict(given[:size], batch_size=size)
        directions = set(expected) - ({'category'} if description.precision == 'int8' else set())
        result = _compare(outputs, {name: value[:size] for name, value in expected.items()}, size, directions)
        most, least = LIMITS[description.precision]
        # Comparisons with NaN are False.
        if not (result.difference <= most and result.cosine >= least):
            raise DataError(
                f'{path} disagrees with the model at batch {size}: difference {result.difference:.2g} of at most '
                f'{most:.0e}, cosine {result.cosine:.4f} of at least {least}; it was not kept'
            )
        results.append(result)
    return results


class ExportedPredictor:
    """Predict with an exported file, with the interface of a model's ``test_step``.

    Args:
        exported: The file.
        model: Model that the file was exported from; its head converts scores to labels.
        rgb: Whether the test pipeline gives RGB.
    """

    def __init__(self, exported: ExportedModel, model: nn.Module, rgb: bool = False) -> None:
        self.exported = exported
        self.tasks = PredictedTasks(model)
        self.rgb = rgb

    def test_step(self, data: dict) -> list[BaseDataElement]:
        """Predict a batch and store the predictions in its samples."""
        images = torch.stack(list(data['inputs'])).permute(0, 2, 3, 1).numpy()
        outputs = self.exported(images[..., ::-1] if self.rgb else images)
        samples = data['data_samples']
        for task, head in self.tasks.heads.items():
            for sample, output in zip(samples, torch.from_numpy(outputs[OUTPUTS[task]]), strict=True):
                self._fill(sample, task, head, output)
        return samples

    def _fill(self, sample: BaseDataElement, task: str, head: nn.Module, output: Tensor) -> None:
        part = sample
        if self.tasks.joint:
            part = sample.get(task) if task in sample else DataSample()
            part.set_field(task in sample, 'eval_mask', field_type='metainfo')
            sample.set_field(part, task)
        if task == 'reid':
            part.set_field(output, 'embedding')
            return
        label = output.argmax() if task == 'category' else torch.where(output >= head.thr)[0]
        part.set_pred_score(output).set_pred_label(label)


def scores_on_test_set(cfg: Config, predictor: nn.Module | ExportedPredictor) -> dict[str, float]:
    """Evaluate on a config's test set, in this process.

    Args:
        cfg: Config with ``test_dataloader`` and ``test_evaluator``.
        predictor: A model, or an :class:`ExportedPredictor`.

    Raises:
        DataError: The config has no test set.
    """
    if cfg.get('test_dataloader') is None or cfg.get('test_evaluator') is None:
        raise DataError(f'{cfg.filename} has no test_dataloader and test_evaluator to test the exported file with')
    cfg = copy.deepcopy(cfg)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmpretrain'), torch.inference_mode():
        loader_cfg = dict(cfg.test_dataloader, num_workers=0, persistent_workers=False, pin_memory=False)
        loader = Runner.build_dataloader(loader_cfg, seed=0)
        settings = cfg.test_evaluator
        is_evaluator = isinstance(settings, dict) and 'metrics' in settings
        evaluator = EVALUATOR.build(dict(type='Evaluator') | settings) if is_evaluator else Evaluator(settings)
        evaluator.dataset_meta = loader.dataset.metainfo
        for data in loader:
            evaluator.process(data_samples=predictor.test_step(data), data_batch=data)
        return evaluator.evaluate(len(loader.dataset))
