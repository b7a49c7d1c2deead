import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.models import LinearNeck

from mmosnet.errors import DataError
from mmosnet.models import PooledLinearNeck
from mmosnet.registry import MODELS

OPTIONS = dict(
    in_channels=6,
    out_channels=4,
    act_cfg=dict(type='ReLU'),
    init_cfg=dict(type='Normal', layer='Linear', std=0.01),
)


def test_average_is_the_neck_of_mmpretrain():
    torch.manual_seed(0)
    theirs, ours = LinearNeck(gap_dim=2, **OPTIONS).eval(), PooledLinearNeck(**OPTIONS).eval()
    # Strictly: checkpoints of either fit.
    ours.load_state_dict(theirs.state_dict())
    feats = (torch.randn(3, 6, 4, 2),)
    torch.testing.assert_close(ours(feats)[0], theirs(feats)[0])


def test_maximum_takes_the_largest_of_each_channel():
    neck = PooledLinearNeck(pooling='max', norm_cfg=None, in_channels=6, out_channels=4)
    feature_map = torch.randn(3, 6, 4, 2)
    torch.testing.assert_close(neck((feature_map,))[0], neck.fc(feature_map.amax((2, 3))))
    # A feature in one place is not diluted.
    spot = torch.zeros(1, 6, 16, 8)
    spot[0, 2, 3, 3] = 5
    torch.testing.assert_close(neck((spot,))[0] - neck.fc.bias, 5 * neck.fc.weight[:, 2][None])


def test_config_of_the_linear_neck_needs_another_type_alone():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        neck = MODELS.build(dict(type='mmosnet.PooledLinearNeck', gap_dim=2, pooling='max', **OPTIONS))
    neck.init_weights()
    assert neck(torch.randn(2, 6, 3, 3))[0].shape == (2, 4)
    assert neck.fc.weight.abs().max() < 0.1


@pytest.mark.parametrize('options', [dict(pooling='median'), dict(gap_dim=3)])
def test_mistakes(options):
    with pytest.raises(DataError, match='choose pooling from average, max'):
        PooledLinearNeck(**OPTIONS, **options)
