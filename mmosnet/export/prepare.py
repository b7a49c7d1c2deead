"""Prepare models and images for export: gates for graph runtimes, named outputs, descriptions, test images."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmpretrain.models import ClsDataPreprocessor
from torch import Tensor, nn

from mmosnet.apis.inputs import ImageInput, ImagePreparation, expand_inputs, pipeline_facts, pipeline_of
from mmosnet.apis.results import PredictedTasks
from mmosnet.errors import DataError
from mmosnet.io.files import CHECKSUM
from mmosnet.models.deploy import switch_to_deploy
from mmosnet.models.osnet import AggregationGate, WeightedFusion
from mmosnet.models.weights import weights_digest
from mmosnet.runtime.description import ModelDescription

# Output of each task's head.
OUTPUTS = dict(reid='embedding', attributes='attributes', category='category')
# Heights and widths of images before the pipeline, which differ in both; the last one is smaller than any crop.
PROBES = ((96, 50), (160, 72), (20, 9))


class GraphGate(WeightedFusion):
    """An aggregation gate as 1x1 convolutions of the pooled vectors side by side, ``(N, C, T, 1)``.

    torch is fastest with linear layers on stacked vectors, ``(N, T, C)``; but NNCF fails on those, and runtimes have
    more kernels for convolutions.

    Args:
        gate: Gate whose convolutions are used.
    """

    def __init__(self, gate: AggregationGate) -> None:
        super().__init__(gate.out_channels, 1)
        self.squeeze = gate.squeeze
        self.excite = gate.excite

    def weights(self, streams: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the weights, as :class:`~mmosnet.models.osnet.AggregationGate` does."""
        # ONNX Runtime does not treat a mean over two dimensions as pooling, and changes the layout for it.
        pooled = torch.cat([F.adaptive_avg_pool2d(stream, 1) for stream in streams], 2)
        return self.excite(self.squeeze(pooled).relu()).sigmoid().split(1, 2)

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        """Return the sum of products, without ``addcmul``, which also multiplies by its ``value=1``."""
        fused = None
        for stream, weight in zip(streams, self.weights(streams), strict=True):
            fused = stream * weight if fused is None else fused + stream * weight
        return fused


def with_graph_gates(model: nn.Module) -> nn.Module:
    """Return a copy of a model with :class:`GraphGate` in place of its gates; the outputs are the same."""
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, AggregationGate):
                setattr(parent, name, GraphGate(child))
    return model


class ExportableModel(nn.Module):
    """A model in deploy form that maps images to embedding, attribute scores and category scores, if it predicts them.

    mmdeploy (1.3.1) came closest. It rewrites ``ImageClassifier.forward`` to a softmax of the head's output, also of
    embeddings, supports one head only, and writes no names of attributes into the file.

    Args:
        model: An ``ImageClassifier``; copied.
        height: Height of the images in pixels.
        width: Width of the images in pixels.
        l2_normalize: Give embeddings of length 1, whose dot product is the cosine similarity.
        with_preprocess: Take ``(N, H, W, 3)`` uint8 in OpenCV's BGR, and normalize inside.
        bgr_pipeline: Whether the test pipeline gives BGR, as all pipelines do that read files.

    Raises:
        DataError: The model has no output that can be exported, or its preprocessing pads images.
    """

    def __init__(
        self,
        model: nn.Module,
        height: int,
        width: int,
        l2_normalize: bool = False,
        with_preprocess: bool = False,
        bgr_pipeline: bool = True,
    ) -> None:
        super().__init__()
        tasks = PredictedTasks(model)
        prepare = model.data_preprocessor
        if not isinstance(prepare, ClsDataPreprocessor) or prepare.pad_size_divisor > 1:
            raise DataError(
                f'{type(prepare).__name__} cannot be exported: it must be a ClsDataPreprocessor, no padding'
            )
        self.model = switch_to_deploy(copy.deepcopy(model))
        # In a fixed order, independent of the config.
        self.tasks = tuple(task for task in OUTPUTS if task in tasks.heads)
        self.joint = tasks.joint
        rgb = prepare.to_rgb if bgr_pipeline else not prepare.to_rgb
        # Files with preprocessing take BGR, the order in which OpenCV reads images.
        self.swap = rgb and with_preprocess
        mean, std = (prepare.mean, prepare.std) if prepare._enable_normalize else (torch.zeros(1), torch.ones(1))
        self.register_buffer('mean', mean.float().reshape(-1, 1, 1).expand(3, 1, 1).clone(), persistent=False)
        self.register_buffer('std', std.float().reshape(-1, 1, 1).expand(3, 1, 1).clone(), persistent=False)
        self.description = ModelDescription(
            outputs=tuple(OUTPUTS[task] for task in self.tasks),
            height=height,
            width=width,
            channel_order='RGB' if rgb and not with_preprocess else 'BGR',
            with_preprocess=with_preprocess,
            mean=tuple(self.mean.flatten().tolist()),
            std=tuple(self.std.flatten().tolist()),
            l2_normalized=l2_normalize and 'reid' in self.tasks,
            attributes=tuple(tasks.attributes),
            classes=tuple(tasks.classes),
            weights=weights_digest(model),
            checksum=CHECKSUM,
        )
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Predict.

        Args:
            images: Images in the layout of the :attr:`description`.

        Returns:
            The outputs in the order of the description: embeddings ``(N, D)``, scores from 0 to 1 of attributes
            ``(N, A)``, and of categories ``(N, C)``.
        """
        if self.description.with_preprocess:
            images = images.permute(0, 3, 1, 2)
            images = images[:, [2, 1, 0]] if self.swap else images
            images = (images.float() - self.mean) / self.std
        feats = self.model.extract_feat(images)
        head = self.model.head
        return tuple(self._output(task, head.heads[task] if self.joint else head, feats) for task in self.tasks)

    def example(self) -> Tensor:
        """Return inputs to trace with: two images, since tracing fixes dimensions of size 1."""
        height, width = self.description.height, self.description.width
        if self.description.with_preprocess:
            return torch.randint(0, 256, (2, height, width, 3), dtype=torch.uint8)
        return torch.randn(2, 3, height, width)

    def _output(self, task: str, head: nn.Module, feats: tuple[Tensor, ...]) -> Tensor:
        if task == 'reid':
            embedding = head.pre_logits(feats)
            return F.normalize(embedding) if self.description.l2_normalized else embedding
        return head(feats).sigmoid() if task == 'attributes' else head(feats).softmax(1)


class ModelImages:
    """Prepare images for a model by the test pipeline of its config.

    Args:
        model: A model that :func:`~mmosnet.models.build.load_model` returned.
        size: Height and width of the images that the exported file takes; by default those after the test pipeline.

    Raises:
        DataError: The pipeline does not resize and no size is given, or the pipeline resizes to another size.
    """

    def __init__(self, model: nn.Module, size: Sequence[int] | None = None) -> None:
        cfg = getattr(model, '_config', None)
        self._prepare = ImagePreparation(pipeline_of(cfg), (cfg or {}).get('default_scope') or 'mmpretrain', rgb=True)
        #: Whether the pipeline gives RGB, as pipelines of data sets without files do.
        self.rgb = self._prepare.rgb
        #: Fields of the description, from :func:`~mmosnet.apis.inputs.pipeline_facts`.
        self.facts = pipeline_facts(self._prepare)
        probes = [ImageInput('probe', image=np.zeros((*probe, 3), np.uint8)) for probe in PROBES]
        sizes = {self._one(probe).shape[:2] for probe in probes}
        # Whether images may come in any size.
        self._resizes = len(sizes) == 1
        if size is None and len(sizes) > 1:
            raise DataError(
                "the config's test pipeline does not resize images: give the size that the file takes, "
                '--size HEIGHT WIDTH'
            )
        self.height, self.width = sizes.pop() if size is None else size
        if len(sizes) == 1 and sizes != {(self.height, self.width)}:
            raise DataError(f'--size {self.height} {self.width}: the test pipeline makes images of {sizes.pop()}')

    def choose(self, folder: str | Path, number: int) -> list[ImageInput]:
        """Choose images of a folder at even distances.

        Args:
            folder: Folder with images, also in folders below it.
            number: Largest number.
        """
        sources = list(expand_inputs(str(folder), 'images'))
        places = np.linspace(0, len(sources) - 1, min(number, len(sources))).round().astype(int)
        return [sources[place] for place in places]

    def write_noise(self, folder: str | Path, number: int, seed: int = 0) -> list[ImageInput]:
        """Write JPEG files of coarse and fine noise, of many sizes if the pipeline resizes.

        Args:
            folder: Folder to write to.
            number: Number of images.
            seed: Seed of the noise.
        """
        random = np.random.RandomState(seed)
        sources = []
        for i in range(number):
            height, width = self.height, self.width
            if self._resizes:
                # Proportions stay nearly the same: a crop of a much narrower image may be too small.
                factor = random.uniform(0.5, 2)
                height, width = (round(side * factor * random.uniform(0.9, 1.1)) for side in (height, width))
            coarse = random.randint(0, 200, (-(-height // 8), -(-width // 8), 3)).repeat(8, 0).repeat(8, 1)
            image = coarse[:height, :width] + random.randint(0, 56, (height, width, 3))
            path = Path(folder) / f'{i}.jpg'
            path.write_bytes(cv2.imencode('.jpg', image.astype(np.uint8))[1].tobytes())
            sources.append(ImageInput('noise', str(path)))
        return sources

    def prepare(self, sources: Sequence[ImageInput]) -> np.ndarray:
        """Read images and send them through the pipeline.

        Returns:
            ``(N, H, W, 3)`` uint8, BGR.

        Raises:
            FileNotFoundError: There is no such file.
            DataError: An image is damaged, or has another size after the pipeline.
        """
        images = [self._one(source) for source in sources]
        for source, image in zip(sources, images, strict=True):
            if image.shape[:2] != (self.height, self.width):
                raise DataError(
                    f'{source.name} is {image.shape[0]}x{image.shape[1]} after the test pipeline, the exported file '
                    f'takes {self.height}x{self.width}: resize it, or add Resize to the pipeline'
                )
        return np.stack(images)

    def _one(self, source: ImageInput) -> np.ndarray:
        image = self._prepare(source)['inputs'].numpy().transpose(1, 2, 0)
        return image[:, :, ::-1] if self.rgb else image
