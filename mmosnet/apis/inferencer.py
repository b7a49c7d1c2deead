"""Predict embeddings, attributes and categories of people in images, in one call."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from mmpretrain.apis import BaseInferencer
from mmpretrain.utils import progress

from mmosnet.apis.inputs import ImageInput, ImagePreparation, expand_inputs, pipeline_of
from mmosnet.apis.results import PredictedTasks
from mmosnet.drawing.people import PredictionSheets
from mmosnet.errors import DataError
from mmosnet.models.build import build_model, find_config, load_model, load_weights
from mmosnet.models.deploy import switch_to_deploy
from mmosnet.progress import ProgressBar

# Images from which on a progress bar is shown.
MANY = 100


class PersonInferencer(BaseInferencer):
    """Predict embedding, attributes or category with a trained model; all three with a joint model.

    mmpretrain's ``ImageClassificationInferencer`` predicts only categories and its ``FeatureExtractor`` only features;
    both load any checkpoint as far as it fits, and accept damaged images.

    A model built here takes its form for prediction (:mod:`mmosnet.models.deploy`); a model that is given stays as it
    is.

    Args:
        model: A name in ``model-index.yml``, the path of a config, a config, or a model.
        pretrained: A checkpoint; True for the weights in the index. By default the weights are random, or those of a
            model that is given.
        device: Device to compute on; by default a GPU if there is one, or the device of a given model.
        attributes: Names of the attributes; by default those saved with the checkpoint, else ``attribute 0`` ...
        classes: Names of the categories, likewise; else ``0`` ...
        pipeline: Transforms instead of those of the config's test data; needed for a model without config.

    Raises:
        FileNotFoundError: There is no such config or checkpoint.
        DataError: The checkpoint is of another network, the head predicts none of the three, there are too few or too
            many names, the config has no test data, or there is no such device.

    Example:
        >>> inferencer = PersonInferencer('osnet-x0.25_reid-market1501', pretrained=True)
        >>> inferencer(['query.jpg', 'frame.jpg#xywh=120,80,64,190'])[0]['embedding'].shape
        (512,)
    """

    def __init__(
        self,
        model: BaseModel | Config | str | Path,
        pretrained: str | Path | bool | None = None,
        device: str | torch.device | None = None,
        attributes: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        pipeline: Sequence[dict] | None = None,
    ) -> None:
        if device is None and not isinstance(model, BaseModel):
            device = get_device()
        model = _loaded(model, pretrained)
        self.tasks = PredictedTasks(model, attributes, classes)
        self._given_pipeline = pipeline
        if not hasattr(model, '_config'):
            # The base class reads it.
            model._config = None
        try:
            super().__init__(model, pretrained=None, device=device)
        # torch raises these for a device that it does not know, or cannot use.
        except (RuntimeError, AssertionError) as e:
            raise DataError(f'device={str(device)!r}: {str(e).splitlines()[0]}') from e

    def __call__(
        self,
        inputs: str | Path | np.ndarray | Sequence,
        return_datasamples: bool = False,
        batch_size: int = 32,
        show_dir: str | Path | None = None,
        bad_images: str = 'error',
    ) -> list[dict] | list[BaseDataElement | None]:
        """Predict all images in the inputs.

        Args:
            inputs: The path of an image, of a region (``frame.jpg#xywh=120,80,64,190``: left, top, width, height) or of
                a folder, which stands for all images in it and below it; an array ``(H, W, 3)`` or ``(N, H, W, 3)``,
                uint8, BGR; or a list of such.
            return_datasamples: Whether to return the model's samples, on the CPU, instead of dicts. Default: False.
            batch_size: Images per forward pass, if they have one size. Default: 32.
            show_dir: Folder for pictures of the predictions, ``predictions_00001.jpg`` and so on, numbered on from
                those in it; no pictures by default.
            bad_images: ``'error'`` (default) to stop at an input that is not an image, ``'skip'`` to continue.

        Returns:
            One entry per image, in order, with those of the following that the model predicts

            - ``img_path``: the file or region, None for an array
            - ``embedding``: ``(D,)`` float32
            - ``attributes``: score from 0 to 1 by name
            - ``category``: ``name``, ``label`` and ``score`` of the category with the highest score

            An input that is not an image has ``img_path`` and ``error``, or None as sample.

        Raises:
            FileNotFoundError: An image is missing; names the input.
            DataError: An image is damaged or too small, or an array is not an image; names the input and the remedy.
        """
        if batch_size < 1 or bad_images not in ('error', 'skip'):
            raise DataError(
                f"batch_size={batch_size}, bad_images={bad_images!r}: give 1 or more, and 'error' or 'skip'"
            )
        sources = self._inputs_to_list(inputs)
        if bad_images == 'error':
            _stop_at_errors([source.error for source in sources])
        sheets = None if show_dir is None else PredictionSheets(show_dir)
        outcomes = []
        with _progress_bar(len(sources)) as bar:
            for chunk in self._get_chunk_data(sources, batch_size):
                samples = self.forward(self.preprocess(chunk), chunk)
                if bad_images == 'error':
                    _stop_at_errors(samples)
                results = self.postprocess(samples, chunk)
                if sheets is not None:
                    self.visualize(chunk, results, sheets)
                outcomes += [_on_cpu(sample) for sample in samples] if return_datasamples else results
                bar.advance(len(chunk))
        if sheets is not None:
            sheets.finish()
        return outcomes

    def _inputs_to_list(self, inputs: str | Path | np.ndarray | Sequence) -> list[ImageInput]:
        return list(expand_inputs(inputs))

    def _init_pipeline(self, cfg: Config | None) -> ImagePreparation:
        given = self._given_pipeline
        transforms = pipeline_of(cfg) if given is None else given
        scope = (cfg or {}).get('default_scope') or 'mmpretrain'
        return ImagePreparation(transforms, scope, self.tasks.joint, rgb=given is None)

    def preprocess(self, inputs: Sequence[ImageInput]) -> list[dict | Exception]:
        """Read and prepare images; an input that is not an image becomes an error."""
        items = []
        for source in inputs:
            try:
                items.append(self.pipeline(source))
            except (DataError, FileNotFoundError) as e:
                items.append(e)
        return items

    @torch.no_grad()
    def forward(
        self, inputs: Sequence[dict | Exception], sources: Sequence[ImageInput]
    ) -> list[BaseDataElement | Exception]:
        """Run the model on images, those of one size together; errors among the inputs are passed through.

        Images are not padded to one size, which would change the predictions.
        """
        outcomes = list(inputs)
        same_size: dict[tuple, list[int]] = {}
        for row, item in enumerate(inputs):
            if not isinstance(item, Exception):
                same_size.setdefault(tuple(item['inputs'].shape), []).append(row)
        for (_, height, width), rows in same_size.items():
            try:
                samples = self.model.test_step(default_collate([inputs[row] for row in rows]))
            except RuntimeError as e:
                # Raised by a pooling layer whose output would be empty.
                if 'too small' not in str(e):
                    raise
                text = f'{height}x{width} after the pipeline, is too small for the network'
                samples = [DataError(f'{sources[row].name}, {text}') for row in rows]
            for row, sample in zip(rows, samples, strict=True):
                outcomes[row] = sample
        return outcomes

    def visualize(self, inputs: Sequence[ImageInput], preds: Sequence[dict], sheets: PredictionSheets) -> None:
        """Draw images and their predictions."""
        for source, result in zip(inputs, preds, strict=True):
            sheets.add(None if 'error' in result else source.read(), result)

    def postprocess(
        self, preds: Sequence[BaseDataElement | Exception], sources: Sequence[ImageInput]
    ) -> list[dict[str, object]]:
        """Convert data samples to dicts."""
        results = []
        for source, sample in zip(sources, preds, strict=True):
            predicted = dict(error=str(sample)) if isinstance(sample, Exception) else self.tasks.read(sample)
            results.append(dict(img_path=source.img_path, **predicted))
        return results

    @staticmethod
    def list_models(pattern: str | None = None) -> list[str]:
        """List the names of models with an OSNet backbone that match a wildcard pattern."""
        return [name for name in BaseInferencer.list_models(pattern) if name.startswith('osnet')]


def _loaded(model: BaseModel | Config | str | Path, pretrained: str | Path | bool | None) -> BaseModel:
    """Return the model with its weights, in its form for prediction unless it was given."""
    if not isinstance(model, (BaseModel, Config, str, PathLike)):
        raise DataError(f'model is a {type(model).__name__}: give a name, the path of a config, a config or a model')
    weights = None
    if isinstance(model, Config):
        model = copy.deepcopy(model)
    elif not isinstance(model, BaseModel):
        model, weights = find_config(fspath(model))
    if pretrained is True:
        if weights is None:
            raise DataError('pretrained=True needs a model of model-index.yml with weights: give a checkpoint')
        pretrained = weights
    if isinstance(model, BaseModel):
        if pretrained:
            load_weights(model, str(pretrained), testing=True)
        return model
    if pretrained:
        return switch_to_deploy(load_model(model, str(pretrained), testing=True))
    MMLogger.get_current_instance().warning('No checkpoint: the weights are random, and so is what they predict')
    return switch_to_deploy(build_model(model))


def _progress_bar(number: int) -> ProgressBar:
    """Return a bar for many images, unless mmpretrain's are turned off."""
    return ProgressBar(number, 'images', disable=number < MANY or progress.disable_progress_bar)


def _stop_at_errors(outcomes: Sequence[object]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise type(outcome)(f"{outcome}. bad_images='skip' goes on without it") from outcome


def _on_cpu(sample: BaseDataElement | Exception) -> BaseDataElement | None:
    return None if isinstance(sample, Exception) else sample.cpu()
