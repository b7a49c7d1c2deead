import numpy as np
import pytest
import torch
from mmengine.model import BaseDataPreprocessor
from torch import nn

from mmosnet.errors import DataError
from mmosnet.models import OSNet
from mmosnet.visualization.network_view import all_maps, backbone_of, view_image


def test_all_maps_whatever_is_requested():
    torch.manual_seed(0)
    x = torch.randn(1, 3, 64, 32)
    backbone = OSNet(widen_factor=0.25).eval()
    with torch.no_grad():
        maps = all_maps(backbone, x)
        assert backbone.out_indices == (3,)
        assert torch.equal(maps['final_conv'], backbone(x)[0])
        backbone.out_indices = (1,)
        assert torch.equal(maps['stages.1'], backbone(x)[0])
    shapes = {name: tuple(value.shape) for name, value in maps.items()}
    assert shapes == {
        'stages.0': (1, 64, 16, 8),
        'stages.1': (1, 96, 8, 4),
        'stages.2': (1, 128, 4, 2),
        'final_conv': (1, 128, 4, 2),
    }
    assert list(all_maps(OSNet(widen_factor=0.25, out_indices=(1,)).eval(), x)) == ['stages.0', 'stages.1']


def test_requested_maps_are_restored_after_an_error():
    backbone = OSNet(widen_factor=0.25).eval()
    with pytest.raises(RuntimeError):
        all_maps(backbone, torch.randn(1, 3, 4, 4))
    assert backbone.out_indices == (3,)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.data_preprocessor = BaseDataPreprocessor()
        self.backbone = OSNet(widen_factor=0.25)


def test_view_shows_the_image_that_the_network_saw():
    image = torch.randint(0, 256, (3, 64, 32), dtype=torch.uint8)
    record = dict(img_path='a.jpg', pid=3)

    def pipeline(results):
        results['changed'] = True
        return dict(inputs=image, data_samples=None)

    model = Model().eval()
    model.data_preprocessor.forward = lambda batch, training: dict(inputs=batch['inputs'].float())
    view = view_image(model, pipeline, record)
    assert record == dict(img_path='a.jpg', pid=3)
    assert view.mapped.name == 'a.jpg'
    np.testing.assert_array_equal(view.mapped.image, image.permute(1, 2, 0).numpy())
    assert [m.shape for m in view.mapped.maps.values()] == [(16, 8), (8, 4), (4, 2), (4, 2)]
    assert all(m.min() == 0 and m.max() == 1 for m in view.mapped.maps.values())
    assert len(view.gates) == 6


def test_another_backbone_is_refused():
    model = nn.Module()
    model.backbone = nn.Linear(1, 1)
    with pytest.raises(DataError, match='backbone is Linear'):
        backbone_of(model)
