"""Embed images with a model in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmpretrain.models import ClsDataPreprocessor, ImageClassifier
from torch import Tensor, nn

from mmosnet.apis.inferencer import PersonInferencer
from mmosnet.apis.inputs import PACKERS, ImageInput, pipeline_facts, pipeline_of
from mmosnet.datasets import LoadPersonImage
from mmosnet.engine.runner import warn_slow_bfloat16
from mmosnet.errors import DataError
from mmosnet.features.crops import FrameCrops
from mmosnet.features.embedder import ImageEmbedder
from mmosnet.io.images import as_image
from mmosnet.models import JointHead, ReIDHead
from mmosnet.models.build import load_model
from mmosnet.models.deploy import switch_to_deploy
from mmosnet.models.weights import weights_digest
from mmosnet.runtime.description import ModelDescription, fixed_size
from mmosnet.runtime.model import PART_SIZES

# Height and width of the image whose embedding shows the dimension.
PROBE = (256, 128)


class TorchEmbedder(ImageEmbedder):
    """Embed images as :class:`~mmosnet.apis.PersonInferencer` does.

    Args:
        cfg: Config of the model.
        checkpoint: Checkpoint with the weights.
        device: Device to compute on; by default a GPU if there is one.
        amp: Whether to compute in float16 on a GPU, in bfloat16 on a CPU. Default: False.
        local_rank: Number of the process on this machine, by which each process takes a GPU of its own; by default the
            first GPU.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        DataError: The checkpoint is of another network, the model predicts no embedding, or there is no such device.

    Example:
        >>> TorchEmbedder(*find_trained('osnet-x0.25_multitask-synthetic', 'released'))
    """

    def __init__(
        self,
        cfg: Config,
        checkpoint: str,
        device: str | None = None,
        amp: bool = False,
        local_rank: str | None = None,
    ) -> None:
        model = load_model(cfg, checkpoint, testing=True)
        self.model = weights_digest(model)
        self.source = str(checkpoint)
        self.kind = 'PyTorch' + ' in mixed precision' * amp
        self.preparation = _preparation(cfg)
        if device is None:
            device = get_device()
            if device == 'cuda' and local_rank is not None:
                device = f'cuda:{local_rank}'
        self._inferencer = PersonInferencer(switch_to_deploy(model), device=device)
        if 'reid' not in self._inferencer.tasks.heads:
            raise DataError(
                f'{cfg.filename} predicts {", ".join(self._inferencer.tasks.heads)} and no embedding: use a model '
                'trained for re-identification'
            )
        preparation = self._inferencer.pipeline
        # Another transform may decode differently, and the model was tested with it.
        self._decodes_otherwise = preparation.load is not None and not isinstance(preparation.load, LoadPersonImage)
        device_type = next(model.parameters()).device.type
        self.on_cpu = device_type == 'cpu'
        if amp and self.on_cpu:
            warn_slow_bfloat16()
        dtype = torch.bfloat16 if self.on_cpu else torch.float16
        self._autocast = lambda: torch.autocast(device_type, dtype, enabled=amp)
        (probe,) = self.embed([self.prepare('a black image', np.zeros((*PROBE, 3), np.uint8))])
        if isinstance(probe, Exception):
            raise probe
        self.dimension = len(probe)
        self._network = _RegionNetwork.of(self._inferencer)

    def read_file(self, path: str) -> np.ndarray:
        """Read an image file; see :meth:`ImageEmbedder.read_file`."""
        if self._decodes_otherwise:
            return self._inferencer.pipeline.read(ImageInput('input', img_path=path))
        return super().read_file(path)

    def prepare(self, path: str, image: np.ndarray) -> tuple[dict, ImageInput]:
        """Prepare an image; see :meth:`ImageEmbedder.prepare`."""
        source = ImageInput(path, image=as_image(image, path))
        return self._inferencer.pipeline(source), source

    def embed(self, items: Sequence[tuple[dict, ImageInput]]) -> list[np.ndarray | DataError]:
        """Compute embeddings; see :meth:`ImageEmbedder.embed`."""
        inputs, sources = zip(*items, strict=True)
        with self._autocast():
            samples = self._inferencer.forward(inputs, sources)
        read = self._inferencer.tasks.read
        return [sample if isinstance(sample, DataError) else read(sample)['embedding'] for sample in samples]

    def embed_regions(
        self, frame: np.ndarray, regions: np.ndarray, names: Sequence[str], rgb: bool = False
    ) -> np.ndarray:
        """Embed regions of one frame; see :meth:`ImageEmbedder.embed_regions`."""
        if self._network is None:
            return super().embed_regions(frame, regions, names, rgb)
        with self._autocast():
            return self._network(frame, regions, names, rgb)


class _RegionNetwork:
    """Embed regions as the inferencer does, without an object per image.

    Args:
        model: A classifier in deploy form, with a head for re-identification.
        description: How images are resized.
        takes_rgb: Whether the network takes RGB.
    """

    def __init__(self, model: nn.Module, description: ModelDescription, takes_rgb: bool) -> None:
        self._model = model
        self._head = model.head.heads['reid'] if isinstance(model.head, JointHead) else model.head
        self._takes_rgb = takes_rgb
        self._crops = FrameCrops(description.resized, description.height, description.width)
        # A row of pixels: along an axis of three numbers, torch is nine times slower.
        self._mean, self._std = (
            torch.tensor(values * description.width, device=next(model.parameters()).device)
            for values in (description.mean, description.std)
        )

    @classmethod
    def of(cls, inferencer: PersonInferencer) -> _RegionNetwork | None:
        """Return the network of an inferencer; None if it prepares images or predicts in another way."""
        model, preparation = inferencer.model, inferencer.pipeline
        preprocessor, head = model.data_preprocessor, inferencer.tasks.heads['reid']
        facts = pipeline_facts(preparation)
        size = fixed_size(facts['resize'])
        if (
            size is None
            or type(preprocessor) is not ClsDataPreprocessor
            or preprocessor.pad_size_divisor > 1
            or type(model) is not ImageClassifier
            or type(head) is not ReIDHead
        ):
            return None
        normalizes = preprocessor._enable_normalize
        numbers = [
            tuple(values.float().flatten().expand(3).tolist())
            for values in ((preprocessor.mean, preprocessor.std) if normalizes else (torch.zeros(1), torch.ones(1)))
        ]
        description = ModelDescription(('embedding',), *size, mean=numbers[0], std=numbers[1], resize=facts['resize'])
        return cls(model, description, preprocessor.to_rgb != preparation.rgb)

    @torch.inference_mode()
    def __call__(self, frame: np.ndarray, regions: np.ndarray, names: Sequence[str], rgb: bool) -> np.ndarray:
        """Embed regions; see :meth:`ImageEmbedder.embed_regions`."""
        images = torch.from_numpy(self._crops(frame, regions, names, swap=rgb != self._takes_rgb))
        return torch.cat([self._embed(part) for part in images.split(PART_SIZES[-1])]).cpu().numpy()

    def _embed(self, images: Tensor) -> Tensor:
        """Return the embeddings ``(N, D)`` of images ``(N, H, W, 3)`` uint8."""
        number, height, width, _ = images.shape
        pixels = images.to(self._mean.device).reshape(number, height, 3 * width).float()
        pixels = pixels.sub_(self._mean).div_(self._std).reshape(number, height, width, 3)
        return self._head.pre_logits(self._model.extract_feat(pixels.permute(0, 3, 1, 2))).float()


def _preparation(cfg: Config) -> str:
    """Describe on one line how a config prepares images in testing."""
    steps = [dict(step) for step in pipeline_of(cfg)] + [dict(cfg.model.get('data_preprocessor') or {})]
    names = [str(step.pop('type', 'normalize')).rpartition('.')[2] for step in steps]
    steps = [
        f'{name}({", ".join(f"{key}={value}" for key, value in sorted(step.items()))})'
        for name, step in zip(names, steps, strict=True)
        if name not in PACKERS
    ]
    return ', '.join(steps)
