from mmosnet.compatibility import supported_stack

with supported_stack():
    from mmosnet.apis.person_inferencer import PersonInferencer

__all__ = ['PersonInferencer']
