"""Apply trained models to images."""

from mmosnet.compatibility import supported_stack

with supported_stack():
    from mmosnet.apis.inferencer import PersonInferencer

__all__ = ['PersonInferencer']
