"""From a config, a checkpoint and images to activation maps and gate weights: files and a table."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.device import get_device
from mmengine.registry import DATASETS, DefaultScope

from mmosnet.datasets.check import image_files, spread_over_people
from mmosnet.errors import DataError
from mmosnet.io.files import whole_file
from mmosnet.models.build import load_model
from mmosnet.models.osnet import OSNet
from mmosnet.visualization.activation_map import save_activation_sheet
from mmosnet.visualization.evaluated_data import data_name
from mmosnet.visualization.gate_weight_figure import save_gate_weights
from mmosnet.visualization.gate_weights import GateWeights, stream_names
from mmosnet.visualization.network_view import View, backbone_of, view_image

# A JPEG file has at most 65,535 rows.
MOST_IMAGES = 200
MAPS_FILE = 'activation_maps.jpg'
FIGURE_FILE = 'gate_weights.png'
NUMBERS_FILE = 'gate_weights.json'


@dataclass(frozen=True)
class Viewed:
    """Images that went through a network.

    Attributes:
        views: One an image.
        backbone: The network.
        checkpoint: Checkpoint with the weights.
        title: Description of the images.
    """

    views: list[View]
    backbone: OSNet
    checkpoint: str
    title: str


def view_images(cfg: Config, checkpoint: str, images: Sequence[str], num_images: int) -> Viewed:
    """Run images through a trained OSNet, prepared as in testing.

    Args:
        cfg: Config with ``model`` and ``test_dataloader``.
        checkpoint: Checkpoint of the model.
        images: Files and folders; query images of the test data set if empty.
        num_images: Number of images of the data set, or per folder.

    Raises:
        FileNotFoundError: No such checkpoint, image or folder.
        DataError: The checkpoint belongs to another network, the network is no OSNet, or an image cannot be read.
    """
    # What fails fast comes first.
    dataset_cfg = first_part(cfg)
    records = [dict(img_path=path) for path in image_files(images, num_images)]
    if max(len(records), num_images) > MOST_IMAGES:
        raise DataError(
            f'{max(len(records), num_images)} images are more than fit into a picture; {MOST_IMAGES} do, '
            '--num-images limits those of a folder'
        )
    model = load_model(cfg, checkpoint).to(get_device())
    backbone = backbone_of(model)
    name = ''
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        pipeline = Compose(dataset_cfg.pipeline)
        if not records:
            dataset = DATASETS.build(dataset_cfg)
            records = spread_over_people([dataset.get_data_info(i) for i in range(len(dataset))], num_images)
            name = f' of {data_name(dataset)}'
    views = [view_image(model, pipeline, record) for record in records]
    return Viewed(views, backbone, checkpoint, f'{len(views)} images{name}')


def visualize_activation(viewed: Viewed, out_dir: Path) -> list[str]:
    """Draw :data:`MAPS_FILE`.

    Returns:
        Lines that tell where it is.
    """
    title = ['Where each stage of OSNet responds', viewed.title]
    path = save_activation_sheet([view.mapped for view in viewed.views], out_dir / MAPS_FILE, title)
    return [viewed.title, '', f'picture  {path}']


def visualize_gates(viewed: Viewed, out_dir: Path) -> list[str]:
    """Draw :data:`FIGURE_FILE` and write :data:`NUMBERS_FILE`.

    Returns:
        Lines that tell what was found and where it is.

    Raises:
        DataError: The network's streams are joined without weights.
    """
    if not viewed.views[0].gates:
        fusion = type(viewed.backbone.stages[0][0].gate).__name__
        raise DataError(f'no gate weights: the streams of this network are joined by {fusion}, without any')
    return _gate_lines(viewed.views, stream_names(viewed.backbone), viewed.checkpoint, out_dir)


def first_part(cfg: Config) -> Config:
    """Return the test data set of a config; of a joint one its first part, the people.

    Raises:
        DataError: The config has none with a pipeline.
    """
    dataset: Any = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    if dataset.get('datasets'):
        # The parts' folders lie in that of the whole.
        root = dataset.get('data_root') or ''
        dataset = copy.deepcopy(next(part for part in dataset.datasets.values() if part is not None))
        dataset.data_root = str(Path(root, dataset.get('data_root') or ''))
    if 'pipeline' not in dataset:
        raise DataError(f'{cfg.filename} has no test_dataloader.dataset.pipeline, which prepares the images')
    return dataset


def _gate_lines(views: Sequence[View], streams: Sequence[str], checkpoint: str, out_dir: Path) -> list[str]:
    names = [view.mapped.name for view in views]
    weights = GateWeights.of(names, streams, [view.gates for view in views])
    figure = save_gate_weights(weights, [view.mapped.image for view in views], out_dir / FIGURE_FILE)
    numbers = out_dir / NUMBERS_FILE
    with whole_file(numbers) as draft:
        draft.write_text(json.dumps(dict(checkpoint=checkpoint) | weights.report(), indent=2) + '\n')
    return [
        f'Mean of {len(views)} images +- standard deviation; streams by receptive field in pixels of the stage.',
        'Contrast: how differently the streams are weighed (standard deviation of a channel over the streams).',
        weights.table(),
        '',
        f'picture  {figure}',
        f'numbers  {numbers}',
    ]
