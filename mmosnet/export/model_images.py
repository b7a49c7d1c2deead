"""Images as a model's test pipeline prepares them: for the parity check and for calibration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import nn

from mmosnet.apis.inputs import ImageInput, ImagePreparation, pipeline_of, take_apart
from mmosnet.errors import DataError
from mmosnet.export.pipeline_facts import pipeline_facts

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
        #: Fields of the description, of :func:`~mmosnet.export.pipeline_facts.pipeline_facts`.
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
        sources = list(take_apart(str(folder), 'images'))
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
