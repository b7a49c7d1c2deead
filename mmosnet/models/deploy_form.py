"""The form of a network that only predicts: batch normalisation folded into the layers before it, modules around
single layers taken away. Same output to rounding, less work, and fewer steps for an exporter to understand."""

from __future__ import annotations

from mmcv.cnn import ConvModule, fuse_conv_bn
from mmpretrain.models import LinearNeck
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_linear_bn_eval


def switch_to_deploy(model: nn.Module) -> nn.Module:
    """Turn a trained model into its form for prediction, in place.

    mmpretrain's convention is a method ``switch_to_deploy`` of backbones that have such a form; it has none for necks.
    Here all backbones with that method take it, and the linear necks of the model take in their normalisation. The
    names of the parameters change: load checkpoints before.

    Args:
        model: A classifier, a backbone, a neck. Set to evaluation mode; it cannot be trained any more.

    Returns:
        The model.
    """
    model.eval()
    for module in list(model.modules()):
        if isinstance(module, LinearNeck):
            _fold_neck(module)
        elif callable(getattr(module, 'switch_to_deploy', None)):
            module.switch_to_deploy()
    return model.requires_grad_(False)


def fold_normalisation(network: nn.Module) -> None:
    """Fold every batch normalisation that follows a convolution, and unpack mmcv's ``ConvModule``s, in place.

    Instance normalisation depends on the image and stays.
    """
    network.eval()
    fuse_conv_bn(network)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, ConvModule):
                setattr(parent, name, _unpacked(child))
    network.requires_grad_(False)


def _unpacked(module: ConvModule) -> nn.Module:
    """The layers of a ``ConvModule`` that are left: asking which ones there are takes it as long as a small layer."""
    if module.with_explicit_padding or module.order != ('conv', 'norm', 'act'):
        return module
    layers = [module.conv]
    if module.with_norm and not isinstance(module.norm, nn.Identity):
        layers.append(module.norm)
    if module.with_activation:
        layers.append(module.activate)
    return nn.Sequential(*layers) if len(layers) > 1 else module.conv


def _fold_neck(neck: LinearNeck) -> None:
    if isinstance(neck.norm, _BatchNorm):
        neck.fc = fuse_linear_bn_eval(neck.fc, neck.norm)
        neck.norm = nn.Identity()
