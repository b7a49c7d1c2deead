"""Inference in Python: trained models on images of people, with labels and scores."""

from mmosnet.compatibility import supported_stack

with supported_stack():
    from mmosnet.apis.inferencer import PersonInferencer

__all__ = ['PersonInferencer']
