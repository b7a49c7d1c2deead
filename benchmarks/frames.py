"""Embedding the boxes of a 1080p frame: ours against the ways of boxmot and of the package reid, on the same weights.

Each way gets the frame and the boxes, and gives embeddings. boxmot (AGPL) and reid are imported only when they are
measured, and need not be installed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from benchmarks.measure import Unequal, seconds_text
from benchmarks.peer import network_pair
from mmosnet.errors import DataError
from mmosnet.export import export_model
from mmosnet.frames import Embedder
from mmosnet.io.text_tables import markdown_table
from mmosnet.models.torchreid import to_torchreid

WIDTHS = ('x0.25', 'x1.0')
BOXES = (1, 5, 20, 50)
FRAME = (1080, 1920)
# People between these heights, in pixels, whose boxes are this wide per height.
HEIGHTS, ASPECT = (120, 520), 0.42
# Embeddings of length 1 of the same weights and the same resize, from one way to the other.
TOLERANCE = 1e-4
# Seconds before each call: threads of the runtime before still spin, and would slow down the next one.
PAUSE = 0.05
# With Pillow's resize images are averaged when they shrink, with OpenCV's they are not.
RESIZES = dict(pillow='Pillow', cv2='OpenCV')


@dataclass(frozen=True)
class Way:
    """One way to embed the boxes of a frame.

    Attributes:
        name: Name for the table.
        resize: ``'pillow'`` or ``'cv2'``: ways with the same resize must agree.
        embed: Function of frame and boxes.
    """

    name: str
    resize: str
    embed: Callable[[np.ndarray, np.ndarray], np.ndarray]


def draw_frame(seed: int = 0) -> np.ndarray:
    """Return a frame ``(1080, 1920, 3)`` uint8 with coarse and fine structure."""
    random = np.random.RandomState(seed)
    coarse = random.randint(0, 200, (-(-FRAME[0] // 24), -(-FRAME[1] // 24), 3)).repeat(24, 0).repeat(24, 1)
    return (coarse[: FRAME[0], : FRAME[1]] + random.randint(0, 56, (*FRAME, 3))).astype(np.uint8)


def draw_boxes(number: int, seed: int = 0) -> np.ndarray:
    """Return boxes of people in the frame, ``(number, 4)`` float32: left, top, right, bottom, in whole pixels.

    boxmot and reid round fractions in other ways than we do.
    """
    random = np.random.RandomState(seed)
    heights = random.randint(*HEIGHTS, number)
    widths = (ASPECT * heights).astype(int)
    left = random.randint(0, FRAME[1] - widths)
    top = random.randint(0, FRAME[0] - heights)
    return np.stack([left, top, left + widths, top + heights], 1).astype(np.float32)


def our_ways(model: torch.nn.Module, folder: Path) -> list[Way]:
    """Return PyTorch, ONNX Runtime and OpenVINO, each with both resizes.

    Args:
        model: Model for Market-1501.
        folder: Folder to write checkpoint, configs and exported files to.
    """
    ways = []
    checkpoint = folder / 'ours.pth'
    torch.save(dict(state_dict=model.state_dict()), checkpoint)
    for backend, resize in RESIZES.items():
        cfg = Config(model._config.to_dict())
        cfg.test_dataloader.dataset.pipeline[1].backend = backend
        cfg.dump(folder / f'{backend}.py')
        model._config = Config.fromfile(folder / f'{backend}.py')
        places = [('PyTorch', folder / f'{backend}.py', checkpoint)]
        for runtime, suffix in (('ONNX Runtime', 'onnx'), ('OpenVINO', 'xml')):
            path = folder / f'osnet_{backend}.{suffix}'
            export_model(model, path)
            places.append((runtime, path, None))
        for runtime, path, weights in places:
            ways.append(Way(f'mmosnet, {runtime}, {resize}', backend, Embedder(path, weights, normalize=True)))
    return ways


def peer_ways(width: str, model: torch.nn.Module, folder: Path) -> list[Way]:
    """Return the ways of boxmot and reid, as far as they are installed.

    boxmot finds out the network by the name of its file. Its ONNX backend gets a file of its own network, exported by
    torch, and ours.
    """
    ways = []
    name = f'osnet_{width.replace(".", "_")}_market1501'
    released = folder / f'{name}.pt'
    torch.save(to_torchreid(model.state_dict())[0], released)
    if find_spec('boxmot') is not None:
        from boxmot.reid.core import ReID

        runtime = ReID(weights=released).model
        graph = folder / f'{name}.onnx'
        axes = {'images': {0: 'batch'}, 'output0': {0: 'batch'}}
        network = runtime.model.eval()
        example = torch.zeros(1, 3, 256, 128)
        names = dict(input_names=['images'], output_names=['output0'], dynamic_axes=axes)
        torch.onnx.export(network, example, graph, dynamo=False, **names)
        files = [('PyTorch', runtime), ('ONNX Runtime, its own export', ReID(weights=graph).model)]
        files.append(('ONNX Runtime, our file', ReID(weights=folder / 'osnet_cv2.onnx').model))
        for kind, backend in files:
            ways.append(Way(f'boxmot, {kind}', 'cv2', _features_of(backend)))
    if find_spec('reid') is not None:
        import supervision
        from reid import ReIDModel

        encoder = ReIDModel.from_pretrained(str(released), architecture=name.removesuffix('_market1501'), device='cpu')

        def embed(frame: np.ndarray, boxes: np.ndarray) -> np.ndarray:
            return encoder.extract_embeddings(supervision.Detections(boxes), frame)

        ways.append(Way('reid, PyTorch', 'pillow', embed))
    return ways


def _features_of(backend: object) -> Callable:
    return lambda frame, boxes: backend.get_features(boxes, frame)


def check_equal(ways: Sequence[Way], frame: np.ndarray, boxes: np.ndarray) -> dict[str, float]:
    """Compare the ways with ours of the same resize.

    Returns:
        The largest difference of each way's embeddings, of length 1.

    Raises:
        Unequal: A way differs by more than :data:`TOLERANCE`.
    """
    expected, differences = {}, {}
    for way in ways:
        embeddings = np.asarray(way.embed(frame, boxes), np.float64)
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        difference = float(np.abs(embeddings - expected.setdefault(way.resize, embeddings)).max())
        if not difference <= TOLERANCE:
            raise Unequal(f'{way.name} differs by {difference:.1e} from ours, allowed {TOLERANCE:.0e}')
        differences[way.name] = difference
    return differences


def measure_frames(
    folder: Path,
    widths: Sequence[str] = WIDTHS,
    numbers: Sequence[int] = BOXES,
    repeats: int = 10,
    say: Callable[[str], None] = print,
) -> str:
    """Measure all ways, and return tables.

    All ways embed the same boxes in turn, ``repeats`` times; the fastest time of each counts.

    Args:
        folder: Folder for the weights and files.
        widths: Networks, of :data:`WIDTHS`.
        numbers: Numbers of boxes.
        repeats: Number of turns.
        say: Function that prints a line of progress.

    Returns:
        One table per network, in Markdown: the time per frame, and the largest difference from our embeddings in
        PyTorch with the same resize, all of length 1.

    Raises:
        DataError: There is no such network.
    """
    unknown = sorted(set(widths) - set(WIDTHS))
    if unknown:
        raise DataError(f'--widths {unknown[0]}: give {", ".join(WIDTHS)}')
    frame, tables = draw_frame(), []
    for width in widths:
        place = folder / width
        place.mkdir(parents=True, exist_ok=True)
        say(f'{width}: models')
        model, _ = network_pair(width)
        # boxmot logs each file that it loads.
        logging.disable(logging.WARNING)
        try:
            ways = [*our_ways(model, place), *peer_ways(width, model, place)]
        finally:
            logging.disable(logging.NOTSET)
        differences = check_equal(ways, frame, draw_boxes(12, seed=1))
        seconds: dict[str, list[float]] = {way.name: [] for way in ways}
        for number in numbers:
            say(f'{width}: {number} boxes')
            for name, least in measure_in_turn(ways, frame, draw_boxes(number), repeats).items():
                seconds[name].append(least)
        titles = (f'OSNet {width}', *(f'{number} boxes' for number in numbers), 'difference')
        rows = [(way.name, *map(seconds_text, seconds[way.name]), f'{differences[way.name]:.0e}') for way in ways]
        tables.append(markdown_table(titles, rows))
    return '\n\n'.join(tables)


def measure_in_turn(ways: Sequence[Way], frame: np.ndarray, boxes: np.ndarray, repeats: int) -> dict[str, float]:
    """Return the least seconds of each way over ``repeats`` turns, after one call that is not counted."""
    for way in ways:
        way.embed(frame, boxes)
    least = {way.name: float('inf') for way in ways}
    for _ in range(repeats):
        for way in ways:
            time.sleep(PAUSE)
            start = time.perf_counter()
            way.embed(frame, boxes)
            least[way.name] = min(least[way.name], time.perf_counter() - start)
    return least
