"""From a config, a checkpoint and images to activation maps and gate weights: files and a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.device import get_device
from mmengine.registry import DATASETS, DefaultScope

from mmosnet.datasets.chosen_images import image_files, spread_over_people
from mmosnet.engine.trained_model import load_model
from mmosnet.errors import DataError
from mmosnet.visualization.activation_map import save_activation_sheet
from mmosnet.visualization.gate_weight_figure import save_gate_weights
from mmosnet.visualization.gate_weights import GateWeights, stream_names
from mmosnet.visualization.network_view import View, backbone_of, view_image

# A JPEG file has at most 65,535 rows.
MOST_IMAGES = 200
MAPS_FILE = 'activation_maps.jpg'
FIGURE_FILE = 'gate_weights.png'
NUMBERS_FILE = 'gate_weights.json'


def visualize(cfg: Config, checkpoint: str, images: Sequence[str], num_images: int, out_dir: Path) -> list[str]:
    """Draw what a trained OSNet makes of images, prepared as in testing.

    Args:
        cfg: With ``model`` and ``test_dataloader``.
        checkpoint: Of the model.
        images: Files and folders; query images of the test data set if empty.
        num_images: How many of the data set, or of each folder.
        out_dir: Gets :data:`MAPS_FILE`, and :data:`FIGURE_FILE` and :data:`NUMBERS_FILE` if the streams are weighed.

    Returns:
        Lines that tell what was found and where it is.

    Raises:
        FileNotFoundError: No such checkpoint, image or folder.
        DataError: The checkpoint belongs to another network, the network is no OSNet, or an image cannot be read.
    """
    dataset_cfg = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    if 'pipeline' not in dataset_cfg:
        raise DataError(f'{cfg.filename} has no test_dataloader.dataset.pipeline, which prepares the images')
    # What fails fast comes first.
    records = [dict(img_path=path) for path in image_files(images, num_images)]
    if max(len(records), num_images) > MOST_IMAGES:
        raise DataError(
            f'{max(len(records), num_images)} images are more than fit into a picture; {MOST_IMAGES} do, '
            '--num-images limits those of a folder'
        )
    model = load_model(cfg, checkpoint).to(get_device())
    backbone = backbone_of(model)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        pipeline = Compose(dataset_cfg.pipeline)
        if not records:
            dataset = DATASETS.build(dataset_cfg)
            records = spread_over_people([dataset.get_data_info(i) for i in range(len(dataset))], num_images)
    views = [view_image(model, pipeline, record) for record in records]
    lines = [f'activation maps  {save_activation_sheet([view.mapped for view in views], out_dir / MAPS_FILE)}']
    if not views[0].gates:
        for name in (FIGURE_FILE, NUMBERS_FILE):
            # Of another network, from an earlier run.
            (out_dir / name).unlink(missing_ok=True)
        return [*lines, f'no gate weights: the streams of this network are joined by {_fusion(backbone)}, without any']
    return _gate_lines(views, stream_names(backbone), checkpoint, out_dir) + lines


def _gate_lines(views: Sequence[View], streams: Sequence[str], checkpoint: str, out_dir: Path) -> list[str]:
    names = [view.mapped.name for view in views]
    weights = GateWeights.of(names, streams, [view.gates for view in views])
    figure = save_gate_weights(weights, [view.mapped.image for view in views], out_dir / FIGURE_FILE)
    numbers = out_dir / NUMBERS_FILE
    numbers.write_text(json.dumps(dict(checkpoint=checkpoint) | weights.report(), indent=2) + '\n')
    return [
        f'Mean of {len(views)} images +- standard deviation; streams by receptive field in pixels of the stage.',
        'Contrast: how differently the streams are weighed (standard deviation of a channel over the streams).',
        weights.table(),
        '',
        f'gate weights     {figure}',
        f'numbers          {numbers}',
    ]


def _fusion(backbone) -> str:
    return type(backbone.stages[0][0].gate).__name__
