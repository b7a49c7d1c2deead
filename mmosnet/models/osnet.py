"""OSNet, the Omni-Scale Network (Zhou et al., ICCV 2019, arXiv 1905.00953).

Bottom up: Lite 3x3 (section 3.1), aggregation gate and OSBlock (section 3.2), network (section 3.3, table 1).
Agrees with the authors' released code, whose checkpoints map onto it by renaming
(:mod:`mmosnet.models.torchreid_weights`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList, Sequential
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmosnet.errors import DataError
from mmosnet.registry import MODELS

# The gate's hidden layer has 1/16 of its channels, an OSBlock's streams 1/4 of the block's output channels.
GATE_REDUCTION = 16
BLOCK_REDUCTION = 4


class LiteConv3x3(BaseModule):
    """Lite 3x3: linear pointwise convolution, then depthwise 3x3, normalisation and ReLU.

    The nearest registered block, mmcv's ``DepthwiseSeparableConvModule``, goes depthwise first and cannot be
    turned round.

    Args:
        channels: Input and output channels.
        norm_cfg: Normalisation after the depthwise convolution.
    """

    def __init__(self, channels: int, norm_cfg: dict) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.depthwise = ConvModule(channels, channels, 3, padding=1, groups=channels, norm_cfg=norm_cfg)

    def forward(self, x: Tensor) -> Tensor:
        return self.depthwise(self.pointwise(x))


class AggregationGate(BaseModule):
    """Unified aggregation gate: weighs each channel of each stream by the stream's content, then sums.

    One gate serves all streams of a block, and runs once over their stacked pooled vectors.

    Args:
        channels: Channels of a stream.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // GATE_REDUCTION)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def weights(self, streams: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Channel weights in (0, 1), one ``(N, C, 1, 1)`` tensor per stream of ``(N, C, H, W)``."""
        pooled = torch.cat([stream.mean((2, 3), keepdim=True) for stream in streams])  # (T * N, C, 1, 1)
        return self.excite(self.squeeze(pooled).relu()).sigmoid().chunk(len(streams))

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        """Fuse T streams of shape ``(N, C, H, W)`` into one."""
        fused = None
        for stream, weight in zip(streams, self.weights(streams), strict=True):
            fused = stream * weight if fused is None else torch.addcmul(fused, stream, weight)
        return fused


class OSBlock(BaseModule):
    """Omni-scale residual block: T streams whose receptive fields are 3, 5, ... ``2T + 1`` pixels wide.

    Args:
        in_channels: Input channels.
        out_channels: Output channels; the streams have a quarter of them.
        num_streams: T; stream t stacks t Lite 3x3.
        norm_cfg: Normalisation layers.
    """

    def __init__(self, in_channels: int, out_channels: int, num_streams: int, norm_cfg: dict) -> None:
        super().__init__()
        channels = out_channels // BLOCK_REDUCTION
        self.reduce = ConvModule(in_channels, channels, 1, norm_cfg=norm_cfg)
        self.streams = ModuleList(
            Sequential(*(LiteConv3x3(channels, norm_cfg) for _ in range(depth))) for depth in range(1, num_streams + 1)
        )
        self.gate = AggregationGate(channels)
        self.expand = ConvModule(channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)
        )

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        fused = self.gate([stream(reduced) for stream in self.streams])
        return F.relu(self.expand(fused) + self.shortcut(x))


@MODELS.register_module()
@ROOT_MODELS.register_module()
class OSNet(BaseModule):
    """The Omni-Scale Network as a backbone for any OpenMMLab toolbox.

    With the default stem the maps have stride 4, 8 and 16 (the three stages, each before its pooling) and 16
    (the last 1x1 convolution). What lies behind the last requested map is not built, so that no parameter is
    ever unused.

    Args:
        arch: Key of :attr:`arch_settings`, or a dict like its values: ``channels`` (stem, then the stages) and
            ``depths`` (OSBlocks a stage).
        widen_factor: Width multiplier beta of all channels.
        num_streams: T, the streams of an OSBlock.
        out_indices: Maps to return: 0, 1, 2 for the stages, 3 for the last convolution. Ascending.
        frozen_stages: Freeze the stem (0) and the first ``frozen_stages`` of the three stages and the last
            convolution: no gradient, evaluation mode. -1 freezes nothing.
        norm_eval: Keep the batch normalisation in evaluation mode while training.
        norm_cfg: Normalisation layers.
        stem: ``'imagenet'`` (7x7 stride 2, 3x3 max-pool stride 2) or ``'cifar'`` (3x3 stride 1, no pooling, for
            32x32 images).
        channels_last: Compute in channels-last memory format, 1.25 to 1.46 times as fast on a CPU.
        init_cfg: Initialisation; the released code's by default.

    Raises:
        DataError: An argument outside its range, with the value.

    Example:
        >>> maps = OSNet(out_indices=(0, 1, 2))(torch.rand(1, 3, 256, 128))
        >>> [tuple(m.shape) for m in maps]
        [(1, 256, 64, 32), (1, 384, 32, 16), (1, 512, 16, 8)]
    """

    arch_settings = {
        'osnet': dict(channels=(64, 256, 384, 512), depths=(2, 2, 2)),
    }

    def __init__(
        self,
        arch: str | dict = 'osnet',
        widen_factor: float = 1.0,
        num_streams: int = 4,
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
        self.out_indices = self._checked_indices(out_indices, len(depths))
        if not -1 <= frozen_stages <= len(depths) + 1:
            raise DataError(f'frozen_stages={frozen_stages} is outside -1..{len(depths) + 1}')
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.channels_last = channels_last

        self.stem = self._make_stem(stem, channels[0], norm_cfg)
        self.stages = ModuleList()
        self.transitions = ModuleList()
        for stage in range(min(self.out_indices[-1] + 1, len(depths))):
            width = channels[stage + 1]
            self.stages.append(
                Sequential(
                    *(
                        OSBlock(width if block else channels[stage], width, num_streams, norm_cfg)
                        for block in range(depths[stage])
                    )
                )
            )
            # The last stage keeps its resolution: no transition behind it (table 1 of the paper).
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

    @classmethod
    def _settings(cls, arch: str | dict) -> dict:
        if isinstance(arch, str):
            if arch not in cls.arch_settings:
                raise DataError(f'arch={arch!r} is unknown, choose from {sorted(cls.arch_settings)}')
            arch = cls.arch_settings[arch]
        if len(arch['channels']) != len(arch['depths']) + 1:
            raise DataError(f'arch needs one channel number for the stem and one per stage, got {arch}')
        return arch

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
        """Lay out the convolution weights as their inputs come.

        ``contiguous`` would leave depthwise weights alone, which are in both formats at once; their gradients come
        with the strides of channels-last, and DDP's buckets want both alike. 1x1 weights stay as they are.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1:
                laid_out = torch.empty_like(module.weight, memory_format=torch.channels_last)
                module.weight.data = laid_out.copy_(module.weight.data)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the requested maps.

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

    def train(self, mode: bool = True) -> OSNet:
        """Set the mode, but keep what is frozen (and, with ``norm_eval``, every batch norm) in evaluation mode."""
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
