"""Inference and training steps on the CPU.

Three ways from images to embeddings: our deploy form beside the peer's network, both eager; ours compiled; and the
files that we export, of which the fastest runs beside the peer's eager network, and each one beside the peer's own
network exported in the same way and run by the same runtime in the same precision.

A training step is forward, backward and optimizer, as each side's own engine does it. Ours is the model's
``train_step`` with the config's optimizer, from a batch of uint8 images, which it normalizes; the peer's is
``ImageSoftmaxEngine.forward_backward`` with AMSGrad of its own, from float images that its loaders have normalized.
Both read the loss once per step, as their logs do; the peer's engine also computes the accuracy, as it always does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from statistics import median
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.optim import build_optim_wrapper
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from benchmarks.limits import network_limit
from benchmarks.measure import (
    Case,
    Contest,
    NotMeasured,
    Repeated,
    Settings,
    Target,
    Unequal,
    as_near,
    same_directions,
    same_numbers,
)
from benchmarks.peer import (
    IMAGE_SIZE,
    NUM_CLASSES,
    EmbeddingNetwork,
    draw_images,
    load_config,
    network_pair,
    quietly,
    why_no_peer,
)
from benchmarks.report import describe_machine
from mmosnet.export.export import WRITERS
from mmosnet.export.prepare import ExportableModel
from mmosnet.models.deploy import switch_to_deploy
from mmosnet.runtime.model import ExportedModel

WIDTHS = ('x1.0', 'x0.25')
BATCHES = (1, 32)
# On these random weights the peer's own float32 lies 1.3e-5 from its float64, ours 1.7e-5.
EMBEDDING_TOLERANCE = 5e-5


def eager_inference_cases(settings: Settings) -> Sequence[Case]:
    """Return cases of x1.0 and x0.25, 256x128, batch 1 and 32."""
    return _inference_cases(settings, compiled=False)


def compiled_inference_cases(settings: Settings) -> Sequence[Case]:
    """Return the same cases with ``torch.compile`` of our backbone; the peer stays eager."""
    return _inference_cases(settings, compiled=True)


def _inference_cases(settings: Settings, compiled: bool) -> list[Case]:
    widths, batches = (('x0.25',), (1, 2)) if settings.quick else (WIDTHS, BATCHES)
    return [
        Case(f'{width}, batch {batch}', partial(inference_contest, width, batch, compiled=compiled))
        for width in widths
        for batch in batches
    ]


def inference_contest(width: str, batch: int, compiled: bool = False) -> Contest:
    """Prepare both sides on the same normalized images."""
    model, peer = network_pair(width)
    images = draw_images(batch)
    limit = network_limit(EmbeddingNetwork(model), images)
    model = switch_to_deploy(model)
    if compiled:
        model.backbone = compiled_backbone(model.backbone)
    return Contest(
        ours=Repeated(inference(EmbeddingNetwork(model), images)),
        peer=None if peer is None else Repeated(inference(peer, images)),
        compare=partial(same_numbers, tolerance=EMBEDDING_TOLERANCE),
        limit=limit,
        no_peer=why_no_peer(),
    )


def compiled_backbone(backbone: nn.Module, **options: object) -> Callable:
    """Compile the backbone for the current shapes, after clearing the state of the previous case."""
    torch.compiler.reset()
    return torch.compile(backbone, dynamic=False, **options)


def inference(network: nn.Module, images: Tensor) -> Callable[[], Tensor]:
    """Return the work to time: embeddings of a batch."""

    def work() -> Tensor:
        with torch.inference_mode():
            return network(images)

    return work


CALIBRATION_IMAGES = 32
# Of the runtimes: they sum in another order.
RUNTIME_TOLERANCE = 1e-4
# Laps by which the fastest is chosen.
CHOOSING_LAPS = 3


@dataclass(frozen=True)
class ExportPath:
    """A way from images to embeddings without PyTorch.

    Attributes:
        name: Name in the table.
        suffix: Suffix of the exported file.
        packages: Packages that write and run it.
        precision: Precision of the file.
        bf16: Whether it computes in bfloat16.
        instructions: Instruction sets, of which the processor must have one; empty for any processor.
    """

    name: str
    suffix: str
    packages: tuple[str, ...]
    precision: str = 'fp32'
    bf16: bool = False
    instructions: tuple[str, ...] = ()

    @property
    def low(self) -> bool:
        """Whether it rounds more than float32 does."""
        return self.bf16 or self.precision != 'fp32'

    def check(self) -> None:
        """Check that the path can be run here.

        Raises:
            NotMeasured: A package or an instruction set is missing.
        """
        missing = [package for package in self.packages if find_spec(package) is None]
        if missing:
            raise NotMeasured(f'{", ".join(missing)} is not installed')
        if self.instructions and not set(self.instructions) & set(describe_machine(1)['instruction_sets']):
            raise NotMeasured(f'this processor has none of {", ".join(self.instructions)}')


ONNX = ExportPath('ONNX Runtime fp32', '.onnx', ('onnx', 'onnxruntime'))
OPENVINO = ExportPath('OpenVINO fp32', '.xml', ('openvino',))
OPENVINO_BF16 = ExportPath('OpenVINO bf16', '.xml', ('openvino',), bf16=True, instructions=('avx512_bf16', 'amx_bf16'))
OPENVINO_INT8 = ExportPath(
    'OpenVINO int8', '.xml', ('openvino', 'nncf'), 'int8', instructions=('avx512_vnni', 'avx_vnni', 'amx_int8')
)
PATHS = (ONNX, OPENVINO, OPENVINO_BF16, OPENVINO_INT8)


class ExportablePeer(nn.Module):
    """The peer's network with the interface of our exporters.

    Args:
        network: Network of the peer.
        like: Our exportable model, whose description is used.
    """

    def __init__(self, network: nn.Module, like: ExportableModel) -> None:
        super().__init__()
        self.network = network
        self.description = like.description
        self.example = like.example

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.network(images),)


def best_inference_cases(settings: Settings) -> Sequence[Case]:
    """Return cases of x1.0 and x0.25, 256x128, batch 1 and 32: the fastest path, then all beside the peer's export."""
    widths, batches = (('x0.25',), (1,)) if settings.quick else (WIDTHS, BATCHES)
    cases = []
    for width in widths:
        for batch in batches:
            name = f'{width}, batch {batch}'
            cases.append(Case(f'{name}, fastest, peer eager', partial(fastest_contest, width, batch, settings)))
            cases += [
                Case(
                    f'{name}, {path.name}, peer exported',
                    partial(exported_contest, width, batch, path, settings),
                    Target(ratio=1),
                )
                for path in PATHS
            ]
    return cases


def exported_contest(width: str, batch: int, path: ExportPath, settings: Settings) -> Contest:
    """Prepare the files of both sides in the same runtime."""
    path.check()
    images = draw_images(batch).numpy()
    _, network = network_pair(width)
    exact = None if network is None else inference(network, draw_images(batch))()
    ours, peer = (
        None if file is None else run_file(file, path, images, settings)
        for file in _exported_files(width, path, settings)
    )
    return Contest(
        ours=Repeated(ours),
        peer=None if peer is None else Repeated(peer),
        compare=partial(as_near, exact=exact) if path.low else _compare_outputs(path),
        no_peer=why_no_peer(),
    )


def fastest_contest(width: str, batch: int, settings: Settings) -> Contest:
    """Prepare the fastest of our files whose embeddings agree with those of the peer's eager network.

    Raises:
        NotMeasured: No runtime is installed.
        Unequal: All files disagree.
    """
    _, network = network_pair(width)
    images = draw_images(batch)
    peer = None if network is None else inference(network, images)
    expected = None if peer is None else peer()
    seconds, refused = {}, {}
    for path in PATHS:
        try:
            path.check()
            work = run_file(_exported_files(width, path, settings)[0], path, images.numpy(), settings)
            if expected is not None:
                _compare_outputs(path)(work(), expected)
        # A runtime that cannot take the network is one path less.
        except (NotMeasured, Unequal, RuntimeError) as e:
            refused[path.name] = e
            continue
        lap = Repeated(work)
        lap()
        seconds[path] = (median(lap().seconds for _ in range(CHOOSING_LAPS)), lap)
    if not seconds:
        raise next((e for e in refused.values() if isinstance(e, Unequal)), next(iter(refused.values())))
    best = min(seconds, key=lambda path: seconds[path][0])
    compare = _compare_outputs(best)
    return Contest(
        ours=seconds[best][1],
        peer=None if peer is None else Repeated(peer),
        compare=lambda ours, theirs: f'{best.name}, {compare(ours, theirs)}',
        no_peer=why_no_peer() or ('' if peer else best.name),
    )


def _compare_outputs(path: ExportPath) -> Callable[[object, object], str]:
    return same_directions if path.low else partial(same_numbers, tolerance=RUNTIME_TOLERANCE)


def run_file(file: object, path: ExportPath, images: np.ndarray, settings: Settings) -> Callable[[], np.ndarray]:
    """Return the work to time: embeddings of a batch from a file."""
    session = ExportedModel(file, settings.threads, path.bf16)
    return lambda: session.run(images)['embedding']


def _exported_files(width: str, path: ExportPath, settings: Settings) -> tuple:
    """Return the files of our network and of the peer's (None without a peer), which are written once."""
    stem = f'{width}_{path.precision}'
    ours, peer = (settings.folder / f'{side}_{stem}{path.suffix}' for side in ('ours', 'peer'))
    model, network = network_pair(width)
    if not ours.is_file() or (network is not None and not peer.is_file()):
        exportable = ExportableModel(model, *IMAGE_SIZE)
        exportable.description = replace(exportable.description, precision=path.precision)
        calibration = draw_images(CALIBRATION_IMAGES).numpy() if path.precision == 'int8' else None
        WRITERS[path.suffix](exportable, ours, calibration)
        if network is not None:
            WRITERS[path.suffix](ExportablePeer(network, exportable).eval(), peer, calibration)
    return ours, None if network is None else peer


# The first losses, before the weights drift apart by rounding.
LOSS_TOLERANCE = 1e-5


def training_step_cases(settings: Settings) -> Sequence[Case]:
    """Return cases of x1.0 and x0.25, batch 32."""
    widths, batch = (('x0.25',), 4) if settings.quick else (('x1.0', 'x0.25'), 32)
    return [Case(f'{width}, batch {batch}', partial(training_step_contest, width, batch)) for width in widths]


def training_step_contest(width: str, batch: int) -> Contest:
    """Prepare both sides on the same images and identities, with equal weights."""
    model, peer = network_pair(width)
    pixels, labels = draw_batch(batch)
    limit = network_limit(EmbeddingNetwork(model), draw_images(batch), passes=3)
    return Contest(
        ours=Repeated(our_step(model, width, pixels, labels)),
        peer=None if peer is None else Repeated(peer_step(peer, normalize(model, pixels), labels)),
        compare=lambda ours, theirs: f'first loss: {same_numbers(ours, theirs, LOSS_TOLERANCE)}',
        limit=limit,
        no_peer=why_no_peer(),
    )


def draw_batch(batch: int, size: tuple[int, int] = IMAGE_SIZE) -> tuple[Tensor, Tensor]:
    """Return random uint8 images ``(batch, 3, H, W)``, BGR, and identities ``(batch,)``."""
    generator = torch.Generator().manual_seed(batch)
    pixels = torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8, generator=generator)
    return pixels, torch.randint(0, NUM_CLASSES, (batch,), generator=generator)


def normalize(model: nn.Module, pixels: Tensor) -> Tensor:
    """Return images, normalized by our data preprocessor."""
    return model.data_preprocessor(dict(inputs=pixels), training=True)['inputs']


def our_step(model: nn.Module, width: str, pixels: Tensor, labels: Tensor, wrapper: dict | None = None) -> Callable:
    """Return the work to time: a training step of ours, which gives the loss.

    Args:
        model: Our model; set to training mode.
        width: Width of the network, whose config has the optimizer.
        pixels: uint8 images.
        labels: Identities of the images.
        wrapper: Settings of the optimizer wrapper in place of the config's, as for mixed precision.
    """
    model.train()
    optim_wrapper = build_optim_wrapper(model, dict(load_config(width).optim_wrapper) | (wrapper or {}))
    data = dict(inputs=pixels, data_samples=[DataSample().set_gt_label(int(label)) for label in labels])

    def work() -> float:
        return model.train_step(data, optim_wrapper)['loss'].item()

    return work


def peer_step(network: nn.Module, images: Tensor, labels: Tensor, use_gpu: bool = False) -> Callable:
    """Return the work to time: a training step of the peer's engine, which gives the loss."""
    with quietly():
        from torchreid.reid.engine import ImageSoftmaxEngine
        from torchreid.reid.optim import build_optimizer
    network.train()
    optimizer = build_optimizer(network, optim='amsgrad', lr=0.0015, weight_decay=5e-4)
    manager = SimpleNamespace(train_loader=None, test_loader=None, num_train_pids=NUM_CLASSES)
    engine = ImageSoftmaxEngine(manager, network, optimizer, use_gpu=use_gpu)
    data = dict(img=images, pid=labels)
    return lambda: engine.forward_backward(data)['loss']
