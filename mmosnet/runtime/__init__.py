"""Exported models, run with numpy, OpenCV, Pillow and ONNX Runtime alone: what a device beside a camera needs.

Nothing here imports torch or OpenMMLab; docs/deployment.md says how such a device is set up.
"""

from mmosnet.io.images import read_image
from mmosnet.io.regions import Box, region_path
from mmosnet.runtime.description import ModelDescription
from mmosnet.runtime.model import ExportedModel

__all__ = ['Box', 'ExportedModel', 'ModelDescription', 'read_image', 'region_path']
