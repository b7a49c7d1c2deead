from mmosnet.compatibility import supported_stack

with supported_stack():
    from mmosnet.apis.person_inferencer import PersonInferencer
    from mmosnet.gallery import Gallery

__all__ = ['Gallery', 'PersonInferencer']
