"""A short name of a model's weights: embeddings are comparable where it is the same."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from mmosnet.models.deploy_form import FoldedConv2d

DIGITS = 16


def weights_digest(model: nn.Module) -> str:
    """Return a digest of all weights behind an embedding: backbone, neck and BNNecks, not classifiers.

    Extracted features and exported files carry it, and a gallery refuses embeddings of other weights.

    Args:
        model: An ``ImageClassifier`` in its training form, as :func:`~mmosnet.engine.trained_model.load_model` gives
            it: folding changes the numbers.

    Returns:
        16 hexadecimal digits of a SHA-256; the same on every machine and device.

    Raises:
        ValueError: The model has been folded by :func:`~mmosnet.models.deploy_form.switch_to_deploy`.
    """
    if any(isinstance(module, FoldedConv2d) for module in model.modules()):
        raise ValueError('the model has been folded for prediction: take the digest before switch_to_deploy')
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        part = name.split('.')
        inside = part[0] in ('backbone', 'neck') or (part[0] == 'head' and 'bnneck' in part)
        # The counter of batches has no part in predictions.
        if inside and part[-1] != 'num_batches_tracked':
            # Plain memory order, whatever the model's, and low byte first.
            numbers = value.detach().to('cpu', torch.float32).contiguous().numpy().astype('<f4')
            found.update(f'{name} {tuple(value.shape)}\n'.encode())
            found.update(numbers.tobytes())
    return found.hexdigest()[:DIGITS]
