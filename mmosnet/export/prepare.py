"""Prepare a model for export.

The aggregation gate as runtimes of graphs like it.

How a test pipeline reads and resizes images, as an exported file says it.

A trained model as exporters want it: one tensor in, named tensors out, nothing that only training needs.

Images as a model's test pipeline prepares them: for the parity check and for calibration.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform, CenterCrop, LoadImageFromFile, Resize
from mmpretrain.datasets import ResizeEdge
from mmpretrain.models import ClsDataPreprocessor
from torch import Tensor, nn

from mmosnet.apis.inputs import ImageInput, ImagePreparation, expand_inputs, pipeline_of
from mmosnet.apis.results import PredictedTasks
from mmosnet.datasets import LoadPersonImage
from mmosnet.errors import DataError
from mmosnet.io.files import CHECKSUM
from mmosnet.models.deploy import switch_to_deploy
from mmosnet.models.osnet import AggregationGate, WeightedFusion
from mmosnet.models.weights import weights_digest
from mmosnet.runtime.description import INTERPOLATIONS, ModelDescription


class GraphGate(WeightedFusion):
    """An aggregation gate over the pooled vectors side by side, ``(N, C, T, 1)``, by 1x1 convolutions.

    torch is fastest with linear layers on stacked vectors, ``(N, T, C)``; NNCF fails on them, and runtimes have more
    layers of their own for convolutions.

    Args:
        gate: Gate whose convolutions are used.
    """

    def __init__(self, gate: AggregationGate) -> None:
        super().__init__(gate.out_channels, 1)
        self.squeeze = gate.squeeze
        self.excite = gate.excite

    def weights(self, streams: Sequence[Tensor]) -> Sequence[Tensor]:
        """Compute weights as :class:`~mmosnet.models.osnet.AggregationGate` does."""
        # A mean over two dimensions is no pooling to ONNX Runtime, and costs a change of layout.
        pooled = torch.cat([F.adaptive_avg_pool2d(stream, 1) for stream in streams], 2)
        return self.excite(self.squeeze(pooled).relu()).sigmoid().split(1, 2)

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        """Compute a sum of products, without ``addcmul``, which also multiplies by its ``value=1``."""
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


def pipeline_facts(preparation: ImagePreparation) -> dict[str, Any]:
    """Return what the runtime needs to reproduce a pipeline, and the transforms that it cannot reproduce.

    Args:
        preparation: The pipeline.

    Returns:
        ``read_by_opencv``, ``resize`` and ``other_transforms`` of a
        :class:`~mmosnet.runtime.ModelDescription`. Where there are others, there are no steps of resizing.
    """
    load, others, steps = preparation.load, [], []
    by_opencv = type(load) is LoadImageFromFile
    plain = by_opencv and (load.color_type, load.imdecode_backend, load.to_float32) == ('color', 'cv2', False)
    if not plain and type(load) not in (LoadPersonImage, type(None)):
        others.append(type(load).__name__)
    # The last one packs.
    for transform in preparation.transforms.transforms[:-1]:
        step = resize_step(transform)
        if step is None:
            others.append(type(transform).__name__)
        else:
            steps.append(step)
    return dict(read_by_opencv=by_opencv, resize=() if others else tuple(steps), other_transforms=tuple(others))


def resize_step(transform: BaseTransform) -> dict | None:
    """Convert a transform to a step of :mod:`mmosnet.runtime.description`; None if there is no such step."""
    kind = type(transform)
    if kind is CenterCrop and not transform.auto_pad:
        width, height = transform.crop_size
        return dict(type='CenterCrop', width=width, height=height)
    if kind not in (Resize, ResizeEdge):
        return None
    if transform.backend == 'cv2' and transform.interpolation not in INTERPOLATIONS:
        return None
    method = dict(interpolation=transform.interpolation, backend=transform.backend)
    if kind is ResizeEdge:
        return dict(type='ResizeEdge', scale=transform.scale, edge=transform.edge, **method)
    if transform.scale is None:
        return None
    width, height = transform.scale
    return dict(type='Resize', width=width, height=height, keep_ratio=transform.keep_ratio, **method)


# The outputs of a task's head.
OUTPUTS = dict(reid='embedding', attributes='attributes', category='category')


class ExportableModel(nn.Module):
    """Images to embedding, attribute scores and category scores, as far as the model predicts them, in deploy form.

    mmdeploy (1.3.1) rewrites ``ImageClassifier.forward`` to a softmax of what the head gives, of embeddings too, has
    nothing for several heads, and puts no names of attributes into a file.

    Args:
        model: An ``ImageClassifier``; copied.
        height: Height of the images in pixels.
        width: Width of the images in pixels.
        l2_normalize: Give embeddings of length 1, whose dot product is the cosine similarity.
        with_preprocess: Take ``(N, H, W, 3)`` uint8 in OpenCV's BGR, and normalise inside.
        bgr_pipeline: The test pipeline hands on BGR, as all do that read files.

    Raises:
        DataError: The model predicts nothing that can be exported, or its preprocessing pads.
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
        # In one order, whatever the config's.
        self.tasks = tuple(task for task in OUTPUTS if task in tasks.heads)
        self.joint = tasks.joint
        rgb = prepare.to_rgb if bgr_pipeline else not prepare.to_rgb
        # Of images in BGR. What OpenCV reads is the one order that users of a file can rely on.
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
            images: Images as the :attr:`description` says.

        Returns:
            The outputs in the description's order: embeddings ``(N, D)``, scores from 0 to 1 ``(N, A)`` of the
            attributes, ``(N, C)`` of the categories.
        """
        if self.description.with_preprocess:
            images = images.permute(0, 3, 1, 2)
            images = images[:, [2, 1, 0]] if self.swap else images
            images = (images.float() - self.mean) / self.std
        feats = self.model.extract_feat(images)
        head = self.model.head
        return tuple(self._output(task, head.heads[task] if self.joint else head, feats) for task in self.tasks)

    def example(self) -> Tensor:
        """Return inputs to trace with: two images, so that no dimension of size 1 is taken for fixed."""
        height, width = self.description.height, self.description.width
        if self.description.with_preprocess:
            return torch.randint(0, 256, (2, height, width, 3), dtype=torch.uint8)
        return torch.randn(2, 3, height, width)

    def _output(self, task: str, head: nn.Module, feats: tuple[Tensor, ...]) -> Tensor:
        if task == 'reid':
            embedding = head.pre_logits(feats)
            return F.normalize(embedding) if self.description.l2_normalized else embedding
        return head(feats).sigmoid() if task == 'attributes' else head(feats).softmax(1)


# Height and width of images before the pipeline, unlike each other in both; the last smaller than any crop.
PROBES = ((96, 50), (160, 72), (20, 9))


class ModelImages:
    """Prepares images for a model that knows its config.

    Args:
        model: A model that :func:`~mmosnet.models.build.load_model` returned.
        size: Height and width of the images that the exported file takes; by default what the config's test pipeline
            makes of images.

    Raises:
        DataError: No size given, and the pipeline leaves images as large as they are; or a given one that it changes.
    """

    def __init__(self, model: nn.Module, size: Sequence[int] | None = None) -> None:
        cfg = getattr(model, '_config', None)
        self._prepare = ImagePreparation(pipeline_of(cfg), (cfg or {}).get('default_scope') or 'mmpretrain', rgb=True)
        #: Whether the pipeline hands on RGB, as those of data sets without files do.
        self.rgb = self._prepare.rgb
        #: Fields of the description, of :func:`~mmosnet.export.prepare.pipeline_facts`.
        self.facts = pipeline_facts(self._prepare)
        probes = [ImageInput('probe', image=np.zeros((*probe, 3), np.uint8)) for probe in PROBES]
        made = {self._one(probe).shape[:2] for probe in probes}
        # Whether images may come in any size.
        self._resizes = len(made) == 1
        if size is None and len(made) > 1:
            raise DataError(
                "the config's test pipeline leaves images in their own sizes: say which size the file takes, "
                '--size HEIGHT WIDTH'
            )
        self.height, self.width = made.pop() if size is None else size
        if len(made) == 1 and made != {(self.height, self.width)}:
            raise DataError(f'--size {self.height} {self.width}: the test pipeline makes images of {made.pop()}')

    def choose(self, folder: str | Path, number: int) -> list[ImageInput]:
        """Choose images of a folder at even distances.

        Args:
            folder: Folder with images, also in folders below it.
            number: Largest number.
        """
        sources = list(expand_inputs(str(folder), 'images'))
        places = np.linspace(0, len(sources) - 1, min(number, len(sources))).round().astype(int)
        return [sources[place] for place in places]

    def draw(self, folder: str | Path, number: int, seed: int = 0) -> list[ImageInput]:
        """Write JPEGs of coarse and fine noise; of many sizes where the pipeline resizes.

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
                # Nearly of the same shape: of much narrower ones a crop may be left too small.
                factor = random.uniform(0.5, 2)
                height, width = (round(side * factor * random.uniform(0.9, 1.1)) for side in (height, width))
            coarse = random.randint(0, 200, (-(-height // 8), -(-width // 8), 3)).repeat(8, 0).repeat(8, 1)
            image = coarse[:height, :width] + random.randint(0, 56, (height, width, 3))
            path = Path(folder) / f'{i}.jpg'
            path.write_bytes(cv2.imencode('.jpg', image.astype(np.uint8))[1].tobytes())
            sources.append(ImageInput('drawn', str(path)))
        return sources

    def prepare(self, sources: Sequence[ImageInput]) -> np.ndarray:
        """Read images and send them through the pipeline.

        Returns:
            ``(N, H, W, 3)`` uint8, BGR.

        Raises:
            FileNotFoundError, DataError: No such folder, no image in it, a damaged one, or one of another size.
        """
        images = [self._one(source) for source in sources]
        for source, image in zip(sources, images, strict=True):
            if image.shape[:2] != (self.height, self.width):
                raise DataError(
                    f'{source.name} is {image.shape[0]}x{image.shape[1]} behind the test pipeline, the exported file '
                    f'takes {self.height}x{self.width}: resize it, or add Resize to the pipeline'
                )
        return np.stack(images)

    def _one(self, source: ImageInput) -> np.ndarray:
        image = self._prepare(source)['inputs'].numpy().transpose(1, 2, 0)
        return image[:, :, ::-1] if self.rgb else image
