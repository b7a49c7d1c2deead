"""The page's model: embeddings and attributes of pictures of any size, and what the network made of them."""

from __future__ import annotations

import io
from collections.abc import Sequence

import mmcv
import numpy as np
import torch
from mmengine.config import Config

from mmosnet.apis.image_input import ImageInput
from mmosnet.apis.person_inferencer import PersonInferencer
from mmosnet.engine.trained_model import load_model
from mmosnet.errors import DataError
from mmosnet.models.osnet import OSNet
from mmosnet.models.weights_digest import weights_digest
from mmosnet.visualization.activation_map import draw_activation_sheet
from mmosnet.visualization.gate_weight_figure import draw_gate_weights
from mmosnet.visualization.gate_weights import GateWeights, stream_names
from mmosnet.visualization.network_view import View, view_image

# Height and width of the drawn people, for configs whose test pipeline takes images as they are.
DRAWN_SIZE = (128, 64)
# Unlike each other in both.
PROBES = ((96, 50), (160, 72))
BATCH_SIZE = 32


class PersonModel:
    """A trained model of people.

    Args:
        cfg: Its config.
        checkpoint: Its weights.
        device: Where to compute; a GPU if there is one.

    Attributes:
        digest: Of its weights (:func:`~mmosnet.models.weights_digest.weights_digest`).
        has_attributes: Whether it tells attributes.
        dimension: Of its embeddings.

    Raises:
        FileNotFoundError: No such checkpoint.
        DataError: It gives no embedding, or the checkpoint belongs to another network.
    """

    def __init__(self, cfg: Config, checkpoint: str, device: str | torch.device | None = None) -> None:
        # In its training form: the gates of the folded one cannot be looked at.
        model = load_model(cfg, checkpoint, testing=True)
        self.digest = weights_digest(model)
        self._inferencer = PersonInferencer(model, device=device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        tasks = self._inferencer.tasks.heads
        if 'reid' not in tasks:
            raise DataError(
                f'{checkpoint} tells {" and ".join(tasks)}, and gives no embedding to search with: take a '
                're-identification model, configs/README.md lists them'
            )
        self.has_attributes = 'attributes' in tasks
        shapes = {self._prepared(np.zeros((*probe, 3), np.uint8)).shape for probe in PROBES}
        self._size = DRAWN_SIZE if len(shapes) > 1 else None
        self.dimension = len(self.predict([np.zeros((*DRAWN_SIZE, 3), np.uint8)])[0]['embedding'])

    def predict(self, images: Sequence[np.ndarray]) -> list[dict]:
        """Predict of images ``(H, W, 3)`` uint8, BGR; entries of :class:`~mmosnet.apis.PersonInferencer`'s results."""
        return self._inferencer([self._fitted(image) for image in images], batch_size=BATCH_SIZE)

    def look_inside(self, images: Sequence[np.ndarray], names: Sequence[str]) -> tuple[np.ndarray, bytes | None] | None:
        """Where each stage responds to images, and how its gates weigh the streams.

        Args:
            images: ``(H, W, 3)`` uint8, BGR, at least one.
            names: Their captions.

        Returns:
            The sheet of activation maps, ``(H, W, 3)`` uint8, BGR, and the figure of gate weights as a PNG file, None
            where the streams are not weighed; None for a network that is no OSNet.
        """
        model = self._inferencer.model
        if not isinstance(model.backbone, OSNet):
            return None
        views = [self._view(image, name) for image, name in zip(images, names, strict=True)]
        sheet = draw_activation_sheet([view.mapped for view in views])
        if not views[0].gates:
            return sheet, None
        weights = GateWeights.of(names, stream_names(model.backbone), [view.gates for view in views])
        file = io.BytesIO()
        draw_gate_weights(weights, [view.mapped.image for view in views]).savefig(file, format='png')
        return sheet, file.getvalue()

    def _view(self, image: np.ndarray, name: str) -> View:
        def prepare(record: dict) -> dict:
            return self._inferencer.pipeline(ImageInput(name, image=self._fitted(image)))

        return view_image(self._inferencer.model, prepare, dict(img_path=name))

    def _prepared(self, image: np.ndarray) -> np.ndarray:
        return self._inferencer.pipeline(ImageInput('probe', image=image))['inputs'].numpy()

    def _fitted(self, image: np.ndarray) -> np.ndarray:
        """At the size of drawn people where the pipeline would let a photograph through as large as it is."""
        if self._size is None or image.shape[:2] == self._size:
            return image
        # By Pillow, as the configs' pipelines resize.
        return mmcv.imresize(image, self._size[::-1], backend='pillow')
