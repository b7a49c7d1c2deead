"""Predict and embed images with a trained model."""

from mmosnet.compatibility import supported_stack

with supported_stack():
    from mmosnet.apis.inferencer import PersonInferencer

__all__ = ['PersonInferencer']
