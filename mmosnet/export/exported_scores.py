"""Scores of an exported file on a config's test set, beside those of the model."""

from __future__ import annotations

import copy

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import EVALUATOR, DefaultScope
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmosnet.apis.results import PredictedTasks
from mmosnet.errors import DataError
from mmosnet.export.exportable_model import OUTPUTS
from mmosnet.runtime.model import ExportedModel


class ExportedPredictor:
    """Predicts as the model's ``test_step``, by an exported file.

    Args:
        exported: The file.
        model: Model that the file was exported from; its head converts scores to labels.
        rgb: The test pipeline hands on RGB.
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
    """Evaluate on the config's test set, in this process.

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
        given = cfg.test_evaluator
        whole = isinstance(given, dict) and 'metrics' in given
        evaluator = EVALUATOR.build(dict(type='Evaluator') | given) if whole else Evaluator(given)
        evaluator.dataset_meta = loader.dataset.metainfo
        for data in loader:
            evaluator.process(data_samples=predictor.test_step(data), data_batch=data)
        return evaluator.evaluate(len(loader.dataset))
