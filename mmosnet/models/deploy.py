"""The deploy form of a network that only predicts: the same output up to rounding, with less work.

Batch norms are folded into the layers before them, and modules around single layers are removed, which leaves fewer
operators for an exporter too.
"""

from __future__ import annotations

from mmcv.cnn import ConvModule, fuse_conv_bn
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_linear_bn_eval


def switch_to_deploy(model: nn.Module) -> nn.Module:
    """Turn a trained model into its deploy form, in place.

    mmpretrain's convention is a method ``switch_to_deploy`` of backbones that have such a form; it has none for necks.
    Here the method of every backbone is called, and the batch norms of linear necks are folded. The names of the
    parameters change: load checkpoints before.

    Args:
        model: A classifier, a backbone or a neck. It is set to evaluation mode, and cannot be trained any more.

    Returns:
        The model.
    """
    model.eval()
    for module in list(model.modules()):
        if _is_linear_neck(module):
            _fold_neck(module)
        elif callable(getattr(module, 'switch_to_deploy', None)):
            module.switch_to_deploy()
    return model.requires_grad_(False)


def fold_normalization(network: nn.Module) -> None:
    """Fold each batch norm that follows a convolution, and unpack mmcv's ``ConvModule``, in place.

    Instance normalization depends on the image and stays.
    """
    network.eval()
    fuse_conv_bn(network)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, ConvModule):
                setattr(parent, name, _unpacked(child))
    network.requires_grad_(False)


class FoldedConv2d(nn.Conv2d):
    """A convolution with its bias and, in place, its ReLU: one module where there were four.

    Calls of modules take a quarter of the time of a small network on one image.

    Args:
        conv: Convolution whose settings and parameters are taken over.
        relu: Apply a ReLU.
    """

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        bias = conv.bias is not None
        options = dict(stride=conv.stride, padding=conv.padding, dilation=conv.dilation, groups=conv.groups, bias=bias)
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            padding_mode=conv.padding_mode,
            device='meta',
            **options,
        )
        self.weight, self.bias = conv.weight, conv.bias
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return x.relu_() if self.relu else x


def _unpacked(module: ConvModule) -> nn.Module:
    """Return the remaining layers of a folded ``ConvModule``, without the checks at every call."""
    if module.with_explicit_padding or module.order != ('conv', 'norm', 'act') or type(module.conv) is not nn.Conv2d:
        return module
    activation = module.activate if module.with_activation else nn.Identity()
    norm = module.norm if module.with_norm else nn.Identity()
    if isinstance(norm, nn.Identity) and isinstance(activation, (nn.ReLU, nn.Identity)):
        return FoldedConv2d(module.conv, isinstance(activation, nn.ReLU))
    return nn.Sequential(module.conv, norm, activation)


def _is_linear_neck(module: nn.Module) -> bool:
    # Compared by name: the backbone is used without mmpretrain too.
    return any(
        (c.__module__.partition('.')[0], c.__name__) == ('mmpretrain', 'LinearNeck') for c in type(module).__mro__
    )


def _fold_neck(neck: nn.Module) -> None:
    if isinstance(neck.norm, _BatchNorm):
        neck.fc = fuse_linear_bn_eval(neck.fc, neck.norm)
        neck.norm = nn.Identity()
