"""Look inside an OSNet: where each stage responds to an image, and how its gates weigh the scales.

Activation maps are drawn as in the released code of OSNet (torchreid, ``tools/visualize_actmap.py``): the squares of a
feature map summed over its channels, stretched to the range of the image. The released code draws the last map; here
every stage is drawn, in colors for every color vision.

An aggregation gate weighs each channel of each stream by the image's content (section 3.2 of OSNet, arXiv 1905.00953);
stream t sees ``2t + 1`` pixels of the block's input. A weight says how far the gate lets a stream through, not how
strong the stream is. Means over channels differ little, because a gate that raises some channels of a stream lowers
others: compare an image with the mean over images, and see by the contrast whether the gate distinguishes the streams
at all.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.device import get_device
from mmengine.registry import DATASETS, DefaultScope
from torch import Tensor, nn

from mmosnet.datasets.check import image_files, spread_over_people
from mmosnet.drawing import figures
from mmosnet.drawing.figures import COLORS, new_figure, save_figure
from mmosnet.drawing.sheets import blank, save_sheet, stacked, text_width, titled, write
from mmosnet.errors import DataError
from mmosnet.io.text_tables import text_table
from mmosnet.models.build import load_model
from mmosnet.models.osnet import OSNet, WeightedFusion
from mmosnet.visualization.results import data_name, write_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Activation maps, in pixels: height of a picture, height of a line of text, gap between pictures.
HEIGHT, LINE, GAP = 192, 20, 6
# Share of the heat map in a picture.
OPACITY = 0.55
# From dark to bright for every color vision; the released code's goes from blue through green to red.
COLOR_MAP = cv2.COLORMAP_INFERNO
# Height and width of the color scale in pixels.
SCALE = (10, 120)
# Gate weights, in inches: height of an image's row, of the bars, and of titles and margins; width of a picture and of a
# stream's column.
ROW, BARS, MARGINS = 0.9, 1.6, 1.5
PICTURE, COLUMN = 0.9, 0.85
GATES_TITLE = (
    'Mean weight that the aggregation gates give to each stream, named by its receptive field in pixels of the stage\n'
    'Contrast: how differently the streams are weighed. Cells: one image and its departure from the mean, red above it'
)
# Inches; the title needs them where streams are few.
MIN_WIDTH = 7.5
# Departures from the mean that get full color at least: smaller ones stay pale.
SMALLEST_RANGE = 0.01
# A JPEG file has at most 65,535 rows.
MOST_IMAGES = 200
MAPS_FILE = 'activation_maps.jpg'
FIGURE_FILE = 'gate_weights.png'
NUMBERS_FILE = 'gate_weights.json'


@dataclass(frozen=True)
class MappedImage:
    """An image with the activation maps of all stages.

    Attributes:
        name: Caption.
        image: ``(H, W, 3)`` uint8, BGR, as the network saw it.
        maps: Activation maps by name of the stage, ``(h, w)`` from 0 to 1.
    """

    name: str
    image: np.ndarray
    maps: dict[str, np.ndarray]


def activation_maps(feature_maps: Tensor) -> np.ndarray:
    """Compute the energy at each place of each image, from 0 at its weakest place to 1 at its strongest.

    Args:
        feature_maps: ``(N, C, H, W)``.

    Returns:
        ``(N, H, W)`` float32; all 0 for an image that responds alike everywhere.
    """
    energy = feature_maps.float().square().sum(1)
    low, high = energy.amin((1, 2), keepdim=True), energy.amax((1, 2), keepdim=True)
    spread = high - low
    return ((energy - low) / spread.where(spread > 0, 1)).cpu().numpy()


def overlay(image: np.ndarray, activation: np.ndarray) -> np.ndarray:
    """Lay a heat map over an image: dark where the activation is 0, bright where it is 1.

    Args:
        image: ``(H, W, 3)`` uint8, BGR.
        activation: ``(h, w)`` from 0 to 1; enlarged to the size of the image.
    """
    enlarged = cv2.resize(activation, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    heat = cv2.applyColorMap(np.round(255 * enlarged).astype(np.uint8), COLOR_MAP)
    return cv2.addWeighted(heat, OPACITY, image, 1 - OPACITY, 0)


def draw_activation_sheet(images: Sequence[MappedImage], title: Sequence[str] = ()) -> np.ndarray:
    """Draw one image per row: the picture, and the heat map of each stage over it.

    Args:
        images: One or more images, all with the same stages.
        title: Lines above.

    Returns:
        ``(H, W, 3)`` uint8, BGR.
    """
    width = max(round(HEIGHT * image.image.shape[1] / image.image.shape[0]) for image in images)
    stages = list(images[0].maps)
    names = ['image', *stages]
    lefts = [GAP + column * (width + GAP) for column in range(len(names))]
    head = stacked([_head(title), blank(0, lefts[-1] + width + GAP)])
    for name, left in zip(names, lefts, strict=True):
        write(head[:, : left + width], name, left, head.shape[0] - 6)
    rows = [head]
    for mapped in images:
        # Enlarged before the heat map is laid over it, which would be coarse otherwise.
        image = _fitted(mapped.image)
        row = blank(HEIGHT + LINE + GAP, head.shape[1])
        for left, cell in zip(lefts, [image, *(overlay(image, mapped.maps[stage]) for stage in stages)], strict=True):
            row[:HEIGHT, left : left + cell.shape[1]] = cell
        write(row, _shortened(mapped.name, head.shape[1] - 2 * GAP), GAP, HEIGHT + LINE - 6)
        rows.append(row)
    return np.vstack(rows)


def _head(title: Sequence[str]) -> np.ndarray:
    """Draw the title and the color scale, and leave room for the names of the columns."""
    weakest, strongest = 'weakest', "strongest response of an image's stage"
    left = GAP + text_width(weakest) + 8
    right = left + SCALE[1] + 8
    head = titled(title, 24 + LINE, right + text_width(strongest) + GAP)
    bottom = head.shape[0] - LINE - 9
    write(head, weakest, GAP, bottom)
    ramp = np.tile(np.linspace(0, 255, SCALE[1]).astype(np.uint8), (SCALE[0], 1))
    head[bottom - SCALE[0] + 1 : bottom + 1, left : left + SCALE[1]] = cv2.applyColorMap(ramp, COLOR_MAP)
    write(head, strongest, right, bottom)
    return head


def _fitted(image: np.ndarray) -> np.ndarray:
    """Return an image, scaled in proportion to :data:`HEIGHT`."""
    width = max(1, round(HEIGHT * image.shape[1] / image.shape[0]))
    shrinks = image.shape[0] > HEIGHT
    return cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _shortened(text: str, width: int) -> str:
    """Return a path that fits into a width, cut on its left side: its end says more."""
    shortened = text
    while len(shortened) > 4 and text_width(shortened) > width:
        shortened = '...' + shortened[4:]
    return shortened


def channel_weights(fusion: WeightedFusion, streams: Sequence[Tensor]) -> Tensor:
    """Return the weight of each channel of each stream.

    Args:
        fusion: The gate.
        streams: T tensors ``(N, C, H, W)``.

    Returns:
        ``(N, T, C)`` float32.
    """
    num_images, channels = streams[0].shape[:2]
    weights = [weight.expand(num_images, channels, 1, 1).flatten(1) for weight in fusion.weights(streams)]
    return torch.stack(weights, dim=1).float()


@contextmanager
def recorded_gates(backbone: OSNet) -> Iterator[dict[str, Tensor]]:
    """Record the :func:`channel_weights` of every OSBlock in the forward passes of the ``with`` block.

    Yields:
        Weights of the last pass by name of the block; empty if the fusion has no weights.
    """
    recorded: dict[str, Tensor] = {}

    def hook_of(name: str):
        def record(gate, inputs, output):
            recorded[name] = channel_weights(gate, inputs[0]).detach().cpu()

        return record

    hooks = [
        block.gate.register_forward_hook(hook_of(f'stages.{stage}.{number}'))
        for stage, blocks in enumerate(backbone.stages)
        for number, block in enumerate(blocks)
        if isinstance(block.gate, WeightedFusion)
    ]
    try:
        yield recorded
    finally:
        for hook in hooks:
            hook.remove()


def stream_names(backbone: OSNet) -> list[str]:
    """Return the receptive field of each stream in pixels of the block's input: ``['3x3', '5x5', ...]``."""
    return [f'{2 * len(stream) + 1}x{2 * len(stream) + 1}' for stream in backbone.stages[0][0].streams]


@dataclass(frozen=True)
class GateWeights:
    """Mean gate weights of several images.

    Attributes:
        images: Names of the I images.
        blocks: Names of the B OSBlocks, ``stages.0.0`` and so on.
        streams: Names of the T streams, from :func:`stream_names`.
        by_block: ``(I, B, T)``, means over channels.
        contrast: ``(I, B)``, how differently a block weighs its streams: the standard deviation of a channel's T
            weights, averaged over the channels. 0 for a gate that does not choose between scales.
    """

    images: list[str]
    blocks: list[str]
    streams: list[str]
    by_block: np.ndarray
    contrast: np.ndarray

    @classmethod
    def of(cls, images: Sequence[str], streams: Sequence[str], records: Sequence[dict[str, Tensor]]) -> GateWeights:
        """Join the records of :func:`recorded_gates`, one image per forward pass."""
        blocks = list(records[0])
        weights = [[record[block][0].double().numpy() for block in blocks] for record in records]
        return cls(
            images=list(images),
            blocks=blocks,
            streams=list(streams),
            by_block=np.array([[block.mean(1) for block in image] for image in weights]),
            contrast=np.array([[block.std(0).mean() for block in image] for image in weights]),
        )

    @property
    def stages(self) -> list[str]:
        """Names of the S stages."""
        return list(dict.fromkeys(block.rpartition('.')[0] for block in self.blocks))

    @property
    def by_stage(self) -> np.ndarray:
        """Means over the blocks of each stage, ``(I, S, T)``."""
        return self._mean_of_stages(self.by_block)

    @property
    def mean_contrast(self) -> np.ndarray:
        """Means over images and the blocks of each stage, ``(S,)``."""
        return self._mean_of_stages(self.contrast).mean(0)

    def _mean_of_stages(self, of_blocks: np.ndarray) -> np.ndarray:
        owners = [block.rpartition('.')[0] for block in self.blocks]
        return np.stack([of_blocks[:, [o == stage for o in owners]].mean(1) for stage in self.stages], axis=1)

    def report(self) -> dict:
        """Return all numbers, for a JSON file."""
        by_stage = self.by_stage

        def named(values: np.ndarray, names: Sequence[str]) -> dict[str, float | list[float]]:
            return dict(zip(names, values.tolist(), strict=True))

        images = [
            dict(
                image=image,
                stages=named(by_stage[i], self.stages),
                blocks=named(self.by_block[i], self.blocks),
                contrast=named(self.contrast[i], self.blocks),
            )
            for i, image in enumerate(self.images)
        ]
        return dict(
            streams=self.streams,
            mean=named(by_stage.mean(0), self.stages),
            std=named(by_stage.std(0), self.stages),
            contrast=named(self.mean_contrast, self.stages),
            images=images,
        )

    def table(self) -> str:
        """Lay out one row per stage: mean and standard deviation over the images per stream, and the contrast."""
        mean, std = self.by_stage.mean(0), self.by_stage.std(0)
        rows = [
            [stage, *(f'{m:.4f} +- {d:.4f}' for m, d in zip(row, deviations, strict=True)), f'{contrast:.4f}']
            for stage, row, deviations, contrast in zip(self.stages, mean, std, self.mean_contrast, strict=True)
        ]
        return text_table(['mean gate weight', *self.streams, 'contrast'], rows)


def draw_gate_weights(weights: GateWeights, images: Sequence[np.ndarray]) -> Figure:
    """Draw the figure of gate weights.

    Bars at the top show the mean weight of each stream over the images, and the contrast. A row per image follows: its
    weights, and by how many per cent they depart from that mean, red above it and blue below.

    Args:
        weights: Gate weights of I images.
        images: The I images, ``(H, W, 3)`` uint8, BGR.
    """
    by_stage = weights.by_stage
    num_images, num_stages, num_streams = by_stage.shape
    figure = new_figure(
        max(MIN_WIDTH, PICTURE + COLUMN * num_stages * num_streams + 0.8), MARGINS + BARS + ROW * num_images
    )
    figure.suptitle(GATES_TITLE, fontsize=figures.TITLE_SIZE)
    grid = figure.add_gridspec(
        1 + num_images,
        1 + num_stages,
        height_ratios=[BARS] + [ROW] * num_images,
        width_ratios=[PICTURE] + [COLUMN * num_streams] * num_stages,
    )
    for row, image in enumerate(images):
        picture = figure.add_subplot(grid[1 + row, 0])
        picture.imshow(image[:, :, ::-1])
        picture.axis('off')
    mean = by_stage.mean(0)
    departures = by_stage / mean - 1
    reach = max(SMALLEST_RANGE, np.abs(departures).max())
    for stage, name in enumerate(weights.stages):
        bars = figure.add_subplot(grid[0, 1 + stage])
        title = f'{name}: mean\ncontrast {weights.mean_contrast[stage]:.3f}'
        _draw_bars(bars, title, mean[stage], weights.streams, top=1.2 * mean.max())
        _draw_cells(
            figure.add_subplot(grid[1:, 1 + stage]), by_stage[:, stage], departures[:, stage], weights.streams, reach
        )
    return figure


def _draw_bars(axes: Axes, title: str, mean: np.ndarray, streams: Sequence[str], top: float) -> None:
    bars = axes.bar(range(len(streams)), mean, width=0.6, color=COLORS[0])
    axes.bar_label(bars, fmt='%.3f', padding=2, fontsize=figures.TEXT_SIZE)
    axes.set_title(title, fontsize=figures.TITLE_SIZE)
    axes.set_xticks(range(len(streams)), streams)
    axes.set_xlim(-0.5, len(streams) - 0.5)
    axes.set_ylim(0, top)
    axes.set_yticks([])
    axes.spines[['top', 'left', 'right']].set_visible(False)


def _draw_cells(axes: Axes, weights: np.ndarray, departures: np.ndarray, streams: Sequence[str], reach: float) -> None:
    axes.imshow(departures, cmap='RdBu_r', vmin=-reach, vmax=reach, aspect='auto')
    for row in range(len(weights)):
        for column in range(len(streams)):
            departure = departures[row, column]
            axes.text(
                column,
                row,
                f'{weights[row, column]:.3f}\n{_percent(departure)}',
                ha='center',
                va='center',
                fontsize=figures.TEXT_SIZE,
                # Legible on the dark ends of the color map.
                color='white' if abs(departure) > 0.6 * reach else 'black',
            )
    axes.set_xticks(range(len(streams)), streams)
    axes.set_yticks([])


def _percent(departure: float) -> str:
    text = f'{departure:+.1%}'
    return text[1:] if text[1:] == '0.0%' else text


@dataclass(frozen=True)
class View:
    """One image that went through the network.

    Attributes:
        mapped: The image and its activation maps.
        gates: Gate weights ``(1, T, C)`` by name of the OSBlock; empty if the fusion has no weights.
    """

    mapped: MappedImage
    gates: dict[str, Tensor]


def backbone_of(model: nn.Module) -> OSNet:
    """Return the backbone of a model.

    Raises:
        DataError: It is not an OSNet.
    """
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, OSNet):
        raise DataError(f"the config's backbone is {type(backbone).__name__}; these pictures are of OSNet only")
    return backbone


def all_maps(backbone: OSNet, images: Tensor) -> dict[str, Tensor]:
    """Return the feature maps of all stages and of the last convolution by name, whatever ``out_indices`` says."""
    names = [f'stages.{stage}' for stage in range(len(backbone.stages))]
    names += ['final_conv'] * (backbone.final_conv is not None)
    requested = backbone.out_indices
    backbone.out_indices = tuple(range(len(names)))
    try:
        return dict(zip(names, backbone(images), strict=True))
    finally:
        backbone.out_indices = requested


def view_image(model: nn.Module, pipeline: Callable[[dict], dict], record: dict) -> View:
    """Run one image through the test pipeline, the preprocessing and the backbone.

    Images run one at a time, since they may differ in size.

    Args:
        model: Model in evaluation mode with an OSNet as backbone.
        pipeline: The test pipeline, which ends with ``PackInputs``.
        record: Record with ``img_path``.

    Raises:
        DataError: The image is too small for the network.
    """
    backbone = backbone_of(model)
    # A tracklet is shown by its first frame.
    item = pipeline({key: value for key, value in record.items() if key != 'frame_paths'})
    batch = dict(inputs=item['inputs'][None], data_samples=[item['data_samples']])
    try:
        with torch.no_grad(), recorded_gates(backbone) as gates:
            stages = all_maps(backbone, model.data_preprocessor(batch, training=False)['inputs'])
    except RuntimeError as e:
        height, width = item['inputs'].shape[1:]
        raise DataError(
            f'{record["img_path"]}, {height}x{width} after the pipeline, does not pass through the network: too small? '
            f'({str(e).splitlines()[0]})'
        ) from e
    maps = {name: activation_maps(feature_maps)[0] for name, feature_maps in stages.items()}
    image = np.ascontiguousarray(item['inputs'].permute(1, 2, 0).numpy().clip(0, 255).astype(np.uint8))
    return View(MappedImage(record['img_path'], image, maps), gates)


@dataclass(frozen=True)
class Viewed:
    """Images that went through a network.

    Attributes:
        views: One view per image.
        backbone: The network.
        checkpoint: Checkpoint with the weights.
        title: Description of the images.
    """

    views: list[View]
    backbone: OSNet
    checkpoint: str
    title: str


def first_part(cfg: Config) -> Config:
    """Return the test data set of a config; for a joint data set its first part, the people.

    Raises:
        DataError: The config has no test data set with a pipeline.
    """
    dataset: Any = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    if dataset.get('datasets'):
        # The folders of the parts are relative to that of the whole.
        root = dataset.get('data_root') or ''
        dataset = copy.deepcopy(next(part for part in dataset.datasets.values() if part is not None))
        dataset.data_root = str(Path(root, dataset.get('data_root') or ''))
    if 'pipeline' not in dataset:
        raise DataError(f'{cfg.filename} has no test_dataloader.dataset.pipeline, which prepares the images')
    return dataset


def view_images(cfg: Config, checkpoint: str, images: Sequence[str], num_images: int) -> Viewed:
    """Run images through a trained OSNet, prepared as in testing.

    Args:
        cfg: Config with ``model`` and ``test_dataloader``.
        checkpoint: Checkpoint of the model.
        images: Files and folders; query images of the test data set if empty.
        num_images: Number of images of the data set, or per folder.

    Raises:
        FileNotFoundError: No such checkpoint, image or folder.
        DataError: The checkpoint belongs to another network, the network is not an OSNet, or an image cannot be read.
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
        Lines with the path of the file.
    """
    title = ['Where each stage of OSNet responds', viewed.title]
    sheet = draw_activation_sheet([view.mapped for view in viewed.views], title)
    return [viewed.title, '', f'picture  {save_sheet(sheet, out_dir / MAPS_FILE)}']


def visualize_gates(viewed: Viewed, out_dir: Path) -> list[str]:
    """Draw :data:`FIGURE_FILE` and write :data:`NUMBERS_FILE`.

    Returns:
        Lines with the results and the paths of the files.

    Raises:
        DataError: The network joins its streams without weights.
    """
    views = viewed.views
    if not views[0].gates:
        fusion = type(viewed.backbone.stages[0][0].gate).__name__
        raise DataError(f'no gate weights: the streams of this network are joined by {fusion}, which has none')
    names = [view.mapped.name for view in views]
    weights = GateWeights.of(names, stream_names(viewed.backbone), [view.gates for view in views])
    figure = save_figure(draw_gate_weights(weights, [view.mapped.image for view in views]), out_dir / FIGURE_FILE)
    numbers = write_json(out_dir / NUMBERS_FILE, dict(checkpoint=viewed.checkpoint) | weights.report())
    return [
        f'Mean of {len(views)} images +- standard deviation; streams by receptive field in pixels of the stage.',
        'Contrast: how differently the streams are weighed (standard deviation of a channel over the streams).',
        weights.table(),
        '',
        f'picture  {figure}',
        f'numbers  {numbers}',
    ]
