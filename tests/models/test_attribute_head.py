import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample

from mmosnet.models import AttributeHead, JointHead, WeightedBCELoss
from mmosnet.registry import MODELS

PLAIN = dict(type='mmosnet.WeightedBCELoss', mode='plain')


def samples(rows):
    return [DataSample(metainfo=dict(img_path=str(i))).set_gt_score(np.float32(row)) for i, row in enumerate(rows)]


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def test_loss_is_the_mean_over_images_and_attributes():
    torch.manual_seed(0)
    head = AttributeHead(num_classes=3, in_channels=8, loss=PLAIN)
    feats = torch.randn(4, 8)
    rows = [[1, 0, 1], [0, 0, 0], [0, 1, 1], [1, 1, 1]]
    losses = head.loss((feats,), samples(rows))
    target = torch.tensor(rows).float()
    logits = head.fc(feats)
    assert losses['loss_attr'].item() == pytest.approx(F.binary_cross_entropy_with_logits(logits, target).item())
    right = ((logits > 0) == (target > 0)).float().mean().item()
    assert losses['label_accuracy'].item() == pytest.approx(100 * right)
    # Another name with "loss" would be added to the loss.
    assert [name for name in losses if 'loss' in name] == ['loss_attr']


def test_the_loss_knows_the_number_of_attributes():
    head = AttributeHead(num_classes=5, loss=dict(type='mmosnet.WeightedBCELoss', mode='released'))
    assert isinstance(head.loss_module, WeightedBCELoss) and head.loss_module.mode == 'released'
    assert head.state_dict()['loss_module.pos_ratio'].shape == (5,)
    given = AttributeHead(num_classes=2, loss=dict(type='WeightedBCELoss', pos_ratio=[0.1, 0.9], _scope_='mmosnet'))
    assert given.loss_module.pos_ratio.tolist() == pytest.approx([0.1, 0.9])


def test_losses_of_mmpretrain_are_means_too():
    torch.manual_seed(0)
    rows = [[1, 0, 1], [0, 1, 0]]
    feats = torch.randn(2, 8)
    heads = [
        AttributeHead(num_classes=3, in_channels=8, loss=loss)
        for loss in (PLAIN, dict(type='mmpretrain.CrossEntropyLoss', use_sigmoid=True))
    ]
    heads[1].fc.load_state_dict(heads[0].fc.state_dict())
    ours, theirs = (head.loss((feats,), samples(rows))['loss_attr'].item() for head in heads)
    assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize('bn', [False, True])
def test_every_parameter_gets_a_gradient(bn):
    head = AttributeHead(num_classes=3, in_channels=8, bn=bn, loss=PLAIN)
    head.init_weights()
    assert head.fc.weight.std().item() == pytest.approx(0.01, rel=0.5)
    head.loss((torch.randn(4, 8),), samples(torch.eye(4, 3)))['loss_attr'].backward()
    assert all(p.grad is not None for p in head.parameters())
    assert len(list(head.parameters())) == (4 if bn else 2)
    head.eval()
    feats = torch.randn(2, 8)
    torch.testing.assert_close(head((feats,)), head.bn(head.fc(feats)))


def test_an_empty_batch_has_no_loss():
    head = AttributeHead(num_classes=3, in_channels=8, loss=PLAIN)
    feats = torch.randn(0, 8, requires_grad=True)
    losses = head.loss((feats,), [])
    losses['loss_attr'].backward()
    assert losses['loss_attr'] == 0 and head.fc.weight.grad.abs().max() == 0
    assert losses['label_accuracy'] == 0


@pytest.mark.parametrize('given', [True, False])
def test_predictions(given):
    head = AttributeHead(num_classes=3, in_channels=3, loss=PLAIN).eval()
    head.fc.weight.data, head.fc.bias.data = torch.eye(3), torch.zeros(3)
    data_samples = samples([[1, 0, 0], [0, 0, 0]]) if given else None
    first, second = head.predict((torch.tensor([[2.0, 0.0, -1.0], [-1.0, -2.0, -3.0]]),), data_samples)
    assert first.pred_score.tolist() == pytest.approx([0.8808, 0.5, 0.2689], abs=1e-4)
    # A score of exactly 0.5 counts.
    assert first.pred_label.tolist() == [0, 1] and second.pred_label.tolist() == []
    if given:
        assert first.img_path == '0' and first.gt_score.tolist() == [1, 0, 0]


def test_scores_are_float32_under_autocast():
    head = AttributeHead(num_classes=3, in_channels=8, loss=PLAIN).eval()
    with torch.autocast('cpu', torch.bfloat16):
        assert head((torch.randn(2, 8),)).dtype == torch.bfloat16
        predictions = head.predict((torch.randn(2, 8),))
        losses = head.loss((torch.randn(2, 8),), samples([[1, 0, 0], [0, 0, 0]]))
    assert all(p.pred_score.dtype == torch.float32 for p in predictions)
    assert losses['loss_attr'].dtype == torch.float32


def test_in_a_joint_head():
    heads = dict(attributes=dict(type='mmosnet.AttributeHead', num_classes=3, in_channels=8, loss=PLAIN))
    head = MODELS.build(dict(type='mmosnet.JointHead', heads=heads))
    assert isinstance(head, JointHead) and head((torch.randn(2, 8),))['attributes'].shape == (2, 3)
