"""A trained model as exporters want it: one tensor in, named tensors out, nothing that only training needs."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from mmpretrain.models import ClsDataPreprocessor
from torch import Tensor, nn

from mmosnet.apis.results import PredictedTasks
from mmosnet.errors import DataError
from mmosnet.io.files import CHECKSUM
from mmosnet.models.deploy import switch_to_deploy
from mmosnet.models.weights import weights_digest
from mmosnet.runtime.description import ModelDescription

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
