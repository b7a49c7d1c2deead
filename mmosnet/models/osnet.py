"""OSNet, the Omni-Scale Network, with its variants OSNet-IBN and OSNet-AIN.

Zhou et al., ICCV 2019, arXiv 1905.00953, and TPAMI 2021, arXiv 1910.06827 (IBN and AIN).

Bottom up: the aggregation gate and the other ways to fuse streams (section 3.2 and the ablation table), Lite 3x3
(section 3.1), OSBlock (section 3.2), network (section 3.3, table 1). Agrees with the authors' released code, whose
checkpoints only need other names (:mod:`mmosnet.models.torchreid`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.logging import MMLogger
from mmengine.model import BaseModule, ModuleList, Sequential
from mmengine.model.weight_init import PretrainedInit
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmosnet.errors import DataError
from mmosnet.models.checkpoints import read_state_dict
from mmosnet.models.deploy import fold_normalization
from mmosnet.models.weights import misfits

# The gate's hidden layer has 1/16 of its channels.
GATE_REDUCTION = 16
# An OSBlock's streams have 1/4 of the block's output channels.
BLOCK_REDUCTION = 4
# Without running statistics: each image is normalized by itself, in training and in evaluation. PyTorch's layer returns
# another memory format; the alternative that keeps it (group normalization, which would save 9 to 17 % of a training
# step) loses three digits.
INSTANCE_NORM = dict(type='IN', affine=True)
INSTANCE_NORM_PLACES = {None, 'branch', 'sum'}


class StreamFusion(BaseModule):
    """Base of all fusions of T streams into one map with ``out_channels`` channels.

    Args:
        channels: Channels of a stream.
        num_streams: T, number of streams.
    """

    def __init__(self, channels: int, num_streams: int) -> None:
        super().__init__()
        self.out_channels = channels

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        """Fuse T streams of shape ``(N, C, H, W)`` into one map ``(N, out_channels, H, W)``."""
        raise NotImplementedError


class WeightedFusion(StreamFusion):
    """A sum weighted by :meth:`weights`."""

    def weights(self, streams: Sequence[Tensor]) -> Sequence[Tensor]:
        """Compute one weight per stream, each of a shape that broadcasts over ``(N, C, H, W)``."""
        raise NotImplementedError

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        fused = None
        for stream, weight in zip(streams, self.weights(streams), strict=True):
            # In place: no backward pass needs a partial sum.
            fused = stream * weight if fused is None else fused.addcmul_(stream, weight)
        return fused


class AggregationGate(WeightedFusion):
    """Unified aggregation gate: weigh each channel of each stream by the stream's content.

    All streams of a block share one gate, which runs once over their stacked pooled vectors. Its parameters are those
    of 1x1 convolutions, as in the released code; for vectors they are linear layers, which start several times as fast.
    """

    def __init__(self, channels: int, num_streams: int) -> None:
        super().__init__(channels, num_streams)
        hidden = max(1, channels // GATE_REDUCTION)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, self._num_weights(channels), 1)

    @staticmethod
    def _num_weights(channels: int) -> int:
        return channels

    def weights(self, streams: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute channel weights in (0, 1), one ``(N, C, 1, 1)`` tensor per stream of ``(N, C, H, W)``."""
        pooled = torch.stack([F.adaptive_avg_pool2d(stream, 1).flatten(1) for stream in streams], dim=1)  # (N, T, C)
        hidden = F.linear(pooled, self.squeeze.weight.flatten(1), self.squeeze.bias).relu_()
        weights = F.linear(hidden, self.excite.weight.flatten(1), self.excite.bias).sigmoid_()
        return tuple(weight[:, :, None, None] for weight in weights.unbind(1))


class StreamGate(AggregationGate):
    """Stream-wise aggregation gate: one weight ``(N, 1, 1, 1)`` for all channels of a stream."""

    @staticmethod
    def _num_weights(channels: int) -> int:
        return 1


class SeparateGates(WeightedFusion):
    """An aggregation gate of its own for every stream."""

    def __init__(self, channels: int, num_streams: int) -> None:
        super().__init__(channels, num_streams)
        self.gates = ModuleList(AggregationGate(channels, 1) for _ in range(num_streams))

    def weights(self, streams: Sequence[Tensor]) -> list[Tensor]:
        """Compute channel weights in (0, 1), one ``(N, C, 1, 1)`` tensor per stream of ``(N, C, H, W)``."""
        return [gate.weights([stream])[0] for gate, stream in zip(self.gates, streams, strict=True)]


class FixedGate(WeightedFusion):
    """Learned-and-fixed gates: learned weights that are the same for every image."""

    def __init__(self, channels: int, num_streams: int) -> None:
        super().__init__(channels, num_streams)
        # The sigmoid of 0 is 1/2: every stream starts with half its strength, as with an untrained aggregation gate.
        self.logits = nn.Parameter(torch.zeros(num_streams, channels, 1, 1))

    def weights(self, streams: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute channel weights in (0, 1), one ``(C, 1, 1)`` tensor per stream."""
        return self.logits.sigmoid().unbind()


class StreamSum(StreamFusion):
    """The plain sum of the streams."""

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        fused = streams[0]
        for stream in streams[1:]:
            fused = fused + stream
        return fused


class StreamConcat(StreamFusion):
    """All streams side by side: T times the channels, mixed by the block's last convolution."""

    def __init__(self, channels: int, num_streams: int) -> None:
        super().__init__(channels, num_streams)
        self.out_channels = channels * num_streams

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(streams), dim=1)


FUSIONS = {
    'unified_gate': AggregationGate,
    'separate_gates': SeparateGates,
    'stream_gate': StreamGate,
    'fixed_gate': FixedGate,
    'sum': StreamSum,
    'concat': StreamConcat,
}


class LiteConv3x3(BaseModule):
    """Lite 3x3: linear pointwise convolution, then depthwise 3x3, normalization and ReLU.

    The nearest registered block, mmcv's ``DepthwiseSeparableConvModule``, has the opposite order.

    Args:
        channels: Input and output channels.
        norm_cfg: Normalization after the depthwise convolution.
    """

    def __init__(self, channels: int, norm_cfg: dict) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.depthwise = ConvModule(channels, channels, 3, padding=1, groups=channels, norm_cfg=norm_cfg)

    def forward(self, x: Tensor) -> Tensor:
        return self.depthwise(self.pointwise(x))


class OSBlock(BaseModule):
    """Omni-scale residual block: T streams whose receptive fields are 3, 5, ... ``2T + 1`` pixels wide.

    Args:
        in_channels: Input channels.
        out_channels: Output channels; the streams have a quarter of them.
        stream_depths: Number of 3x3 layers in each of the T streams.
        fusion: Key of :data:`FUSIONS`.
        lite: Whether to use Lite 3x3 layers instead of full 3x3 convolutions.
        instance_norm: ``'branch'`` normalizes the residual branch before the sum, in place of its last batch
            normalization (OSNet-AIN); ``'sum'`` normalizes the sum (OSNet-IBN); None neither.
        norm_cfg: The other normalization layers.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stream_depths: Sequence[int],
        fusion: str,
        lite: bool,
        instance_norm: str | None,
        norm_cfg: dict,
    ) -> None:
        super().__init__()
        channels = out_channels // BLOCK_REDUCTION
        self.reduce = ConvModule(in_channels, channels, 1, norm_cfg=norm_cfg)
        self.streams = ModuleList(
            Sequential(*(self._make_layer(channels, lite, norm_cfg) for _ in range(depth))) for depth in stream_depths
        )
        self.gate = FUSIONS[fusion](channels, len(stream_depths))
        self.expand = ConvModule(
            self.gate.out_channels,
            out_channels,
            1,
            norm_cfg=INSTANCE_NORM if instance_norm == 'branch' else norm_cfg,
            act_cfg=None,
        )
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)
        )
        self.sum_norm = nn.InstanceNorm2d(out_channels, affine=True) if instance_norm == 'sum' else nn.Identity()

    @staticmethod
    def _make_layer(channels: int, lite: bool, norm_cfg: dict) -> BaseModule:
        if lite:
            return LiteConv3x3(channels, norm_cfg)
        return ConvModule(channels, channels, 3, padding=1, norm_cfg=norm_cfg)

    def unpack_streams(self) -> None:
        """Make each stream one flat sequence of convolutions."""
        for index, stream in enumerate(self.streams):
            layers = [
                part for layer in stream for part in (layer.children() if isinstance(layer, LiteConv3x3) else [layer])
            ]
            self.streams[index] = Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        fused = self.gate([stream(reduced) for stream in self.streams])
        # In place: neither a normalization nor a convolution needs its output in the backward pass.
        return self.sum_norm(self.expand(fused).add_(self.shortcut(x))).relu_()


# In mmengine's registry, in which all toolboxes look, replacing the function that imports this module.
@MODELS.register_module(force=True)
class OSNet(BaseModule):
    """The Omni-Scale Network as a backbone for any OpenMMLab toolbox.

    With the default stem the maps have stride 4, 8 and 16 (the three stages, each before its pooling) and 16 (the last
    1x1 convolution). Layers after the last requested map are not built, so that no parameter is unused.

    Args:
        arch: ``'osnet'``, ``'osnet_ibn'``, ``'osnet_ain'``, or a dict like the values of :attr:`arch_settings`:
            ``channels`` (stem, then the stages), ``depths`` (OSBlocks per stage), and optionally
            ``stem_instance_norm`` and ``instance_norms`` (a tuple per stage with an ``instance_norm`` per
            :class:`OSBlock`).
        widen_factor: Width multiplier beta of all channels.
        num_streams: T, number of streams in an OSBlock.
        fusion: How an OSBlock fuses its streams: ``'unified_gate'``, ``'separate_gates'``, ``'stream_gate'``,
            ``'fixed_gate'``, ``'sum'`` or ``'concat'`` (:data:`FUSIONS`).
        lite: Whether to use Lite 3x3 layers instead of full 3x3 convolutions.
        same_depth: Whether every stream is as deep as the deepest, T layers: one scale, T times.
        out_indices: Maps to return, ascending: 0, 1, 2 for the stages, 3 for the last convolution.
        frozen_stages: Freeze the stem (0) and the first ``frozen_stages`` of the three stages and the last
            convolution: no gradient, evaluation mode. -1 freezes nothing.
        norm_eval: Whether to keep batch normalization in evaluation mode while training.
        norm_cfg: Normalization layers.
        stem: ``'imagenet'`` (7x7 stride 2, 3x3 max-pool stride 2) or ``'cifar'`` (3x3 stride 1, no pooling, for
            32x32 images).
        channels_last: Whether to compute in channels-last memory format, 1.25 to 1.46 times as fast on a CPU.
        init_cfg: Initialization; that of the released code by default. ``dict(type='Pretrained', checkpoint=...)``
            loads a checkpoint of the backbone or of a whole model.

    Raises:
        DataError: An argument is outside its range.

    Example:
        >>> maps = OSNet(out_indices=(0, 1, 2))(torch.rand(1, 3, 256, 128))
        >>> [tuple(m.shape) for m in maps]
        [(1, 256, 64, 32), (1, 384, 32, 16), (1, 512, 16, 8)]
    """

    arch_settings: ClassVar[dict[str, dict[str, Any]]] = {
        'osnet': dict(channels=(64, 256, 384, 512), depths=(2, 2, 2)),
        'osnet_ibn': dict(
            channels=(64, 256, 384, 512),
            depths=(2, 2, 2),
            stem_instance_norm=True,
            instance_norms=(('sum', 'sum'), (None, None), (None, None)),
        ),
        # Found by the search of arXiv 1910.06827, section 3.3.
        'osnet_ain': dict(
            channels=(64, 256, 384, 512),
            depths=(2, 2, 2),
            stem_instance_norm=True,
            instance_norms=(('branch', 'branch'), (None, 'branch'), ('branch', None)),
        ),
    }

    def __init__(
        self,
        arch: str | dict = 'osnet',
        widen_factor: float = 1.0,
        num_streams: int = 4,
        fusion: str = 'unified_gate',
        lite: bool = True,
        same_depth: bool = False,
        out_indices: Sequence[int] = (3,),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        norm_cfg: dict = dict(type='BN'),
        stem: str = 'imagenet',
        channels_last: bool = True,
        init_cfg: dict | Sequence[dict] | None = (
            dict(type='Kaiming', layer='Conv2d', mode='fan_out', nonlinearity='relu'),
            dict(type='Constant', layer=['_BatchNorm', '_InstanceNorm', 'GroupNorm'], val=1),
        ),
    ) -> None:
        super().__init__(init_cfg=list(init_cfg) if isinstance(init_cfg, tuple) else init_cfg)
        settings = self._settings(arch)
        depths = settings['depths']
        channels = [int(widen_factor * channel) for channel in settings['channels']]
        if min(channels) < BLOCK_REDUCTION:
            raise DataError(f'widen_factor={widen_factor} leaves {min(channels)} channels; at least 4 are needed')
        if num_streams < 1:
            raise DataError(f'num_streams={num_streams}: an OSBlock has at least one stream')
        if fusion not in FUSIONS:
            raise DataError(f'fusion={fusion!r} is unknown, choose from {sorted(FUSIONS)}')
        stream_depths = [num_streams] * num_streams if same_depth else range(1, num_streams + 1)
        self.out_indices = self._checked_indices(out_indices, len(depths))
        if not -1 <= frozen_stages <= len(depths) + 1:
            raise DataError(f'frozen_stages={frozen_stages} is outside -1..{len(depths) + 1}')
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.channels_last = channels_last

        self.stem = self._make_stem(stem, channels[0], INSTANCE_NORM if settings['stem_instance_norm'] else norm_cfg)
        make_block = partial(OSBlock, stream_depths=stream_depths, fusion=fusion, lite=lite, norm_cfg=norm_cfg)
        self.stages = ModuleList()
        self.transitions = ModuleList()
        for stage in range(min(self.out_indices[-1] + 1, len(depths))):
            width = channels[stage + 1]
            self.stages.append(
                Sequential(
                    *(
                        make_block(width if block else channels[stage], width, instance_norm=instance_norm)
                        for block, instance_norm in enumerate(settings['instance_norms'][stage])
                    )
                )
            )
            # The last stage keeps its resolution: no transition after it (table 1 of the paper).
            if stage < len(depths) - 1:
                self.transitions.append(ConvModule(width, width, 1, norm_cfg=norm_cfg))
        self.final_conv = (
            ConvModule(channels[-1], channels[-1], 1, norm_cfg=norm_cfg)
            if self.out_indices[-1] == len(depths)
            else None
        )
        if channels_last:
            self._weights_to_channels_last()
        self._freeze()

    def init_weights(self) -> None:
        """Initialize by ``init_cfg``.

        Raises:
            DataError: A pretrained checkpoint lacks entries of this backbone or has other shapes. mmengine would load
                the entries that fit and leave the others random.
        """
        given = self.init_cfg  # type: ignore[has-type]
        cfgs = [given] if isinstance(given, dict) else given or []
        pretrained = [cfg for cfg in cfgs if cfg['type'] in ('Pretrained', PretrainedInit)]
        # Read before anything is computed, and loaded here: mmengine would warn about each surplus entry of a backbone
        # that only returns early maps.
        parts = [self._pretrained_part(cfg) for cfg in pretrained]
        self.init_cfg = [cfg for cfg in cfgs if cfg not in pretrained]
        super().init_weights()
        self.init_cfg = given
        for cfg, part in zip(pretrained, parts, strict=True):
            self.load_state_dict(part)
            MMLogger.get_current_instance().info(f'OSNet: {len(part)} entries from {cfg["checkpoint"]}')

    def _pretrained_part(self, cfg: dict) -> dict[str, Tensor]:
        """Return this backbone's entries in a checkpoint of a backbone or of a whole model."""
        state = read_state_dict(cfg['checkpoint'])
        prefix = cfg.get('prefix')
        if prefix is None:
            prefix = 'backbone.' if any(name.startswith('backbone.') for name in state) else ''
        prefix = prefix.rstrip('.') + '.' if prefix else ''
        # Reading removes the prefixes of some programs.
        while prefix and not any(name.startswith(prefix) for name in state):
            prefix = prefix.partition('.')[2]
        part = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        needed = self.state_dict()
        lines = misfits(needed, part)
        if lines:
            raise DataError(
                f'{cfg["checkpoint"]} does not fit this OSNet: {len(lines)} entries differ, the first {lines[0]}. '
                'Give arch and widen_factor of the network in the file'
            )
        return {name: part[name] for name in needed}

    @classmethod
    def _settings(cls, arch: str | dict[str, Any]) -> dict:
        if isinstance(arch, str):
            if arch not in cls.arch_settings:
                raise DataError(f'arch={arch!r} is unknown, choose from {sorted(cls.arch_settings)}')
            arch = cls.arch_settings[arch]
        unknown = (set(arch) ^ {'channels', 'depths'}) - {'stem_instance_norm', 'instance_norms'}
        if unknown:
            raise DataError(
                f'arch has or lacks {", ".join(sorted(unknown))}: it needs channels and depths, and may have '
                'stem_instance_norm and instance_norms'
            )
        if len(arch['channels']) != len(arch['depths']) + 1:
            raise DataError(f'arch needs one channel number for the stem and one per stage, got {arch}')
        settings: dict[str, Any] = (
            dict(stem_instance_norm=False, instance_norms=[[None] * depth for depth in arch['depths']]) | arch
        )
        norms = settings['instance_norms']
        if [len(stage) for stage in norms] != list(arch['depths']) or not INSTANCE_NORM_PLACES.issuperset(
            place for stage in norms for place in stage
        ):
            raise DataError(f"instance_norms needs None, 'branch' or 'sum' for each OSBlock, got {norms}")
        return settings

    @staticmethod
    def _checked_indices(out_indices: Sequence[int], last: int) -> tuple[int, ...]:
        indices = tuple(out_indices)
        if not indices or list(indices) != sorted(set(indices)) or not 0 <= indices[0] <= indices[-1] <= last:
            raise DataError(f'out_indices={out_indices} must be distinct, ascending and within 0..{last}')
        return indices

    @staticmethod
    def _make_stem(stem: str, channels: int, norm_cfg: dict) -> Sequential:
        if stem == 'imagenet':
            return Sequential(
                ConvModule(3, channels, 7, stride=2, padding=3, norm_cfg=norm_cfg),
                nn.MaxPool2d(3, stride=2, padding=1),
            )
        if stem == 'cifar':
            return Sequential(ConvModule(3, channels, 3, padding=1, norm_cfg=norm_cfg))
        raise DataError(f"stem={stem!r} is unknown, choose 'imagenet' or 'cifar'")

    def _weights_to_channels_last(self) -> None:
        """Store the convolution weights in the memory format of their inputs.

        ``contiguous`` would not change depthwise weights, which are in both formats at once; but their gradients have
        the strides of channels-last, and DDP's buckets need equal strides. 1x1 weights stay as they are.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1:
                laid_out = torch.empty_like(module.weight, memory_format=torch.channels_last)
                module.weight.data = laid_out.copy_(module.weight.data)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the requested feature maps.

        Args:
            x: Images ``(N, 3, H, W)``.

        Returns:
            One ``(N, C, H / stride, W / stride)`` map per entry of ``out_indices``.
        """
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.stem(x)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index < len(self.transitions):
                x = self.transitions[index](x)
            maps.append(x)
            if index < len(self.stages) - 1:
                x = F.avg_pool2d(x, 2)
        if self.final_conv is not None:
            maps.append(self.final_conv(x))
        return tuple(maps[index] for index in self.out_indices)

    def switch_to_deploy(self) -> None:
        """Switch to the deploy form in place (:func:`~mmosnet.models.deploy.fold_normalization`)."""
        fold_normalization(self)
        for module in self.modules():
            if isinstance(module, OSBlock):
                module.unpack_streams()

    def train(self, mode: bool = True) -> OSNet:
        """Set the mode, but keep frozen parts (with ``norm_eval`` every batch norm) in evaluation mode."""
        super().train(mode)
        self._freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _freeze(self) -> None:
        parts = [[self.stem]]
        for index, stage in enumerate(self.stages):
            parts.append([stage, *self.transitions[index : index + 1]])
        if self.final_conv is not None:
            parts.append([self.final_conv])
        for part in parts[: self.frozen_stages + 1]:
            for module in part:
                module.eval().requires_grad_(False)
