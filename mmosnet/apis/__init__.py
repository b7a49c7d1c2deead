from mmosnet.apis.person_inferencer import PersonInferencer

__all__ = ['PersonInferencer']
