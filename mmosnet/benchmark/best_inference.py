"""Images to embeddings through the files that we export: the fastest one beside the peer's eager network, and each
one beside the peer's own network exported in the same way and run by the same runtime in the same precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from statistics import median

import numpy as np
from torch import Tensor, nn

from mmosnet.benchmark.equality import as_near, same_directions, same_numbers
from mmosnet.benchmark.inference import BATCHES, WIDTHS, inference
from mmosnet.benchmark.machine import describe_machine
from mmosnet.benchmark.networks import IMAGE_SIZE, draw_images, network_pair
from mmosnet.benchmark.peer import why_no_peer
from mmosnet.benchmark.row import Case, Contest, NotMeasured, Settings, Unequal
from mmosnet.benchmark.target import Target
from mmosnet.benchmark.timer import Repeated
from mmosnet.export.exportable_model import ExportableModel
from mmosnet.export.model_export import WRITERS
from mmosnet.runtime.exported_model import ExportedModel

CALIBRATION_IMAGES = 32
# Of the runtimes: they sum in another order.
TOLERANCE = 1e-4
# Laps by which the fastest is chosen.
CHOOSING_LAPS = 3


@dataclass(frozen=True)
class ExportPath:
    """A way from images to embeddings without PyTorch.

    Attributes:
        name: For people.
        suffix: Of the exported file.
        packages: Needed to write and run it.
        precision: Of the file.
        bf16: Computed in bfloat16.
        instructions: The processor must have one of these for it to make sense.
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
        """Refuse what cannot be run here.

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
    """The peer's network as our exporters take it.

    Args:
        network: Of the peer.
        like: Ours, whose description fits.
    """

    def __init__(self, network: nn.Module, like: ExportableModel) -> None:
        super().__init__()
        self.network = network
        self.description = like.description
        self.example = like.example

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.network(images),)


def cases(settings: Settings) -> Sequence[Case]:
    """x1.0 and x0.25, 256x128, batch 1 and 32: the fastest, then every path beside the peer's export."""
    widths, batches = (('x0.25',), (1,)) if settings.quick else (WIDTHS, BATCHES)
    found = []
    for width in widths:
        for batch in batches:
            name = f'{width}, batch {batch}'
            found.append(Case(f'{name}, fastest, peer eager', partial(fastest_contest, width, batch, settings)))
            found += [
                Case(
                    f'{name}, {path.name}, peer exported',
                    partial(exported_contest, width, batch, path, settings),
                    Target(ratio=1),
                )
                for path in PATHS
            ]
    return found


def exported_contest(width: str, batch: int, path: ExportPath, settings: Settings) -> Contest:
    """Both sides' files in the same runtime."""
    path.check()
    images = draw_images(batch).numpy()
    _, network = network_pair(width)
    exact = None if network is None else inference(network, draw_images(batch))()
    ours, peer = (
        None if file is None else run_file(file, path, images, settings) for file in _files(width, path, settings)
    )
    return Contest(
        ours=Repeated(ours),
        peer=None if peer is None else Repeated(peer),
        compare=partial(as_near, exact=exact) if path.low else _comparison(path),
        no_peer=why_no_peer(),
    )


def fastest_contest(width: str, batch: int, settings: Settings) -> Contest:
    """The fastest of our files whose embeddings agree with those of the peer's eager network.

    Raises:
        NotMeasured: No runtime is installed.
        Unequal: All of them disagree.
    """
    _, network = network_pair(width)
    images = draw_images(batch)
    peer = None if network is None else inference(network, images)
    expected = None if peer is None else peer()
    seconds, refused = {}, {}
    for path in PATHS:
        try:
            path.check()
            work = run_file(_files(width, path, settings)[0], path, images.numpy(), settings)
            if expected is not None:
                _comparison(path)(work(), expected)
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
    compare = _comparison(best)
    return Contest(
        ours=seconds[best][1],
        peer=None if peer is None else Repeated(peer),
        compare=lambda ours, theirs: f'{best.name}, {compare(ours, theirs)}',
        no_peer=why_no_peer() or ('' if peer else best.name),
    )


def _comparison(path: ExportPath) -> Callable[[object, object], str]:
    return same_directions if path.low else partial(same_numbers, tolerance=TOLERANCE)


def run_file(file: object, path: ExportPath, images: np.ndarray, settings: Settings) -> Callable[[], np.ndarray]:
    """Work for the timer: embeddings of a batch through a file."""
    session = ExportedModel(file, settings.threads, path.bf16)
    return lambda: session.run(images)['embedding']


def _files(width: str, path: ExportPath, settings: Settings) -> tuple:
    """Files of ours and of the peer's network, None without it; written once."""
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
