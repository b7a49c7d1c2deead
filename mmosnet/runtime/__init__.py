"""Run exported models with NumPy, OpenCV, Pillow and ONNX Runtime alone, as on an edge device.

Importing this package imports neither torch nor OpenMMLab; docs/deployment.md describes the set-up of a device.
"""

from mmosnet.io.images import read_image
from mmosnet.io.regions import Box, region_path
from mmosnet.runtime.description import ModelDescription
from mmosnet.runtime.model import ExportedModel

__all__ = ['Box', 'ExportedModel', 'ModelDescription', 'read_image', 'region_path']
