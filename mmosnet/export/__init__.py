"""Export trained models to files that other runtimes run."""

from mmosnet.compatibility import supported_stack

with supported_stack():
    from mmosnet.export.export import export_model
    from mmosnet.runtime.description import ModelDescription
    from mmosnet.runtime.model import ExportedModel

__all__ = ['ExportedModel', 'ModelDescription', 'export_model']
