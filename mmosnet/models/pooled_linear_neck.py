"""From the feature map to the embedding with a choice of the global pooling (released attribute code: maximum)."""

from __future__ import annotations

from mmpretrain.models import LinearNeck
from torch import nn

from mmosnet.errors import DataError
from mmosnet.registry import MODELS

POOLINGS = dict(average=nn.AdaptiveAvgPool2d, max=nn.AdaptiveMaxPool2d)


@MODELS.register_module()
class PooledLinearNeck(LinearNeck):
    """Global pooling, linear layer, normalisation, activation.

    mmpretrain's ``LinearNeck`` can only average; names of the parameters are its own, so checkpoints of either fit. The
    maximum keeps what is small, as glasses or a bag's strap.

    Args:
        pooling: ``'average'`` or ``'max'``, over height and width.
        gap_dim: 2 dimensions are pooled; an argument so that configs of ``LinearNeck`` need another type alone.
        **kwargs: Same as in ``LinearNeck``.

    Raises:
        DataError: Unknown pooling, or another number of dimensions.
    """

    def __init__(self, *args, pooling: str = 'average', gap_dim: int = 2, **kwargs) -> None:
        if pooling not in POOLINGS or gap_dim != 2:
            raise DataError(
                f'PooledLinearNeck: pooling={pooling!r}, gap_dim={gap_dim}: choose pooling from {", ".join(POOLINGS)}, '
                'gap_dim is 2'
            )
        super().__init__(*args, gap_dim=gap_dim, **kwargs)
        self.gap = POOLINGS[pooling]((1, 1))
