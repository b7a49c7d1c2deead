from mmosnet.compatibility import supported_stack

with supported_stack():
    from mmosnet.export.model_export import export_model
    from mmosnet.runtime.exported_model import ExportedModel
    from mmosnet.runtime.model_description import ModelDescription

__all__ = ['ExportedModel', 'ModelDescription', 'export_model']
