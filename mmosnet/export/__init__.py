from mmosnet.export.exported_model import ExportedModel
from mmosnet.export.model_description import ModelDescription
from mmosnet.export.model_export import export_model

__all__ = ['ExportedModel', 'ModelDescription', 'export_model']
