from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from mmpretrain.models import LinearNeck
from mmpretrain.structures import DataSample, MultiTaskDataSample

from mmosnet.errors import DataError
from mmosnet.models import AttributeHead, JointHead, PooledLinearNeck, ReIDHead, WeightedBCELoss
from mmosnet.registry import MODELS

OPTIONS = dict(
    in_channels=6,
    out_channels=4,
    act_cfg=dict(type='ReLU'),
    init_cfg=dict(type='Normal', layer='Linear', std=0.01),
)

PLAIN = dict(type='mmosnet.WeightedBCELoss', mode='plain')
HEADS = dict(
    reid=dict(type='mmosnet.ReIDHead', num_classes=5, in_channels=8, bnneck=True),
    attributes=dict(type='MultiLabelLinearClsHead', num_classes=3, in_channels=8),
    category=dict(type='LinearClsHead', num_classes=4, in_channels=8),
)


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


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


def test_a_config_of_the_linear_neck_only_needs_another_type():
    neck = MODELS.build(dict(type='mmosnet.PooledLinearNeck', gap_dim=2, pooling='max', **OPTIONS))
    neck.init_weights()
    assert neck(torch.randn(2, 6, 3, 3))[0].shape == (2, 4)
    assert neck.fc.weight.abs().max() < 0.1


@pytest.mark.parametrize('options', [dict(pooling='median'), dict(gap_dim=3)])
def test_unknown_poolings_are_refused(options):
    with pytest.raises(DataError, match='choose pooling from average, max'):
        PooledLinearNeck(**OPTIONS, **options)


def with_identities(labels):
    return [DataSample().set_gt_label(label) for label in labels]


def test_identity_loss_is_label_smoothed_cross_entropy():
    torch.manual_seed(0)
    head = ReIDHead(num_classes=5, in_channels=8)
    head.init_weights()
    feats = torch.randn(4, 8)
    labels = [0, 3, 3, 1]
    losses = head.loss((feats,), with_identities(labels))
    expected = F.cross_entropy(head.classifier(feats), torch.tensor(labels), label_smoothing=0.1)
    assert losses['loss_id'].item() == pytest.approx(expected.item(), rel=1e-6)
    right = (head.classifier(feats).argmax(1) == torch.tensor(labels)).float().mean() * 100
    assert losses['top-1'].item() == pytest.approx(right.item())
    assert set(losses) == {'loss_id', 'top-1'}


def test_accuracy_counts_negative_logits():
    head = ReIDHead(num_classes=2, in_channels=2)
    head.classifier.weight.data = torch.eye(2)
    head.classifier.bias.data = torch.tensor([-9.0, -9.0])
    losses = head.loss((torch.tensor([[1.0, 0.0], [0.0, 1.0]]),), with_identities([0, 1]))
    assert losses['top-1'].item() == 100


def test_classifier_starts_small():
    head = ReIDHead(num_classes=500, in_channels=512)
    head.init_weights()
    assert head.classifier.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert head.classifier.bias.abs().max() == 0


def test_bnneck_separates_the_losses():
    torch.manual_seed(0)
    head = ReIDHead(num_classes=3, in_channels=6, bnneck=True, metric_loss=dict(type='mmosnet.TripletLoss'))
    feats = torch.randn(8, 6, requires_grad=True)
    losses = head.loss((feats,), with_identities([0, 0, 1, 1, 2, 2, 0, 1]))
    (losses['loss_id'] + losses['loss_metric']).backward()
    assert feats.grad.abs().sum() > 0
    assert head.classifier.bias is None
    assert not head.bnneck.bias.requires_grad
    # The metric loss sees the embedding before the BNNeck.
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 0, 1])
    assert losses['loss_metric'].item() == pytest.approx(head.metric_loss(feats, labels).item())
    head.eval()
    torch.testing.assert_close(head((feats,)), head.bnneck(feats))


@pytest.mark.parametrize('given', [True, False])
def test_predict_stores_float32_embeddings(given):
    head = ReIDHead(num_classes=3, in_channels=6).eval()
    feats = torch.randn(2, 6).bfloat16()
    data_samples = [DataSample(metainfo=dict(img_path=name)) for name in 'ab'] if given else None
    predictions = head.predict((feats,), data_samples)
    assert [p.embedding.dtype for p in predictions] == [torch.float32] * 2
    torch.testing.assert_close(torch.stack([p.embedding for p in predictions]), feats.float())
    if given:
        assert [p.img_path for p in predictions] == ['a', 'b']


def test_reid_parameters_get_gradients():
    head = ReIDHead(num_classes=3, in_channels=6, bnneck=True)
    losses = head.loss((torch.randn(4, 6),), with_identities([0, 1, 2, 0]))
    losses['loss_id'].backward()
    assert all(p.grad is not None for p in head.parameters() if p.requires_grad)


def with_attributes(rows):
    return [DataSample(metainfo=dict(img_path=str(i))).set_gt_score(np.float32(row)) for i, row in enumerate(rows)]


def test_loss_is_the_mean_over_images_and_attributes():
    torch.manual_seed(0)
    head = AttributeHead(num_classes=3, in_channels=8, loss=PLAIN)
    feats = torch.randn(4, 8)
    rows = [[1, 0, 1], [0, 0, 0], [0, 1, 1], [1, 1, 1]]
    losses = head.loss((feats,), with_attributes(rows))
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
    ours, theirs = (head.loss((feats,), with_attributes(rows))['loss_attr'].item() for head in heads)
    assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize('bn', [False, True])
def test_attribute_parameters_get_gradients(bn):
    head = AttributeHead(num_classes=3, in_channels=8, bn=bn, loss=PLAIN)
    head.init_weights()
    assert head.fc.weight.std().item() == pytest.approx(0.01, rel=0.5)
    head.loss((torch.randn(4, 8),), with_attributes(torch.eye(4, 3)))['loss_attr'].backward()
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
def test_attribute_predictions(given):
    head = AttributeHead(num_classes=3, in_channels=3, loss=PLAIN).eval()
    head.fc.weight.data, head.fc.bias.data = torch.eye(3), torch.zeros(3)
    data_samples = with_attributes([[1, 0, 0], [0, 0, 0]]) if given else None
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
        losses = head.loss((torch.randn(2, 8),), with_attributes([[1, 0, 0], [0, 0, 0]]))
    assert all(p.pred_score.dtype == torch.float32 for p in predictions)
    assert losses['loss_attr'].dtype == torch.float32


def test_in_a_joint_head():
    heads = dict(attributes=dict(type='mmosnet.AttributeHead', num_classes=3, in_channels=8, loss=PLAIN))
    head = MODELS.build(dict(type='mmosnet.JointHead', heads=heads))
    assert isinstance(head, JointHead) and head((torch.randn(2, 8),))['attributes'].shape == (2, 3)


def joint_sample(reid=None, attributes=None, category=None):
    result = MultiTaskDataSample()
    if reid is not None:
        result.set_field(DataSample(pid=reid).set_gt_label(reid), 'reid')
    if attributes is not None:
        result.set_field(DataSample().set_gt_score(torch.tensor(attributes)), 'attributes')
    if category is not None:
        result.set_field(DataSample().set_gt_label(category), 'category')
    return result


def batch():
    return [
        joint_sample(reid=1, attributes=[1.0, 0, 0]),
        joint_sample(category=3),
        joint_sample(reid=2),
        joint_sample(reid=1, attributes=[0.0, 1, 1], category=0),
    ]


def test_losses_are_those_of_the_heads_on_their_samples():
    head = JointHead(HEADS, loss_weights=dict(attributes=0.5))
    head.init_weights()
    feats = (torch.randn(4, 8),)
    losses = head.loss(feats, batch())
    people = (feats[0][[0, 2, 3]],)
    alone = head.heads['reid'].loss(people, [s.reid for s in batch() if 'reid' in s])
    assert losses['reid_loss_id'].item() == pytest.approx(alone['loss_id'].item())
    assert losses['reid_top-1'] == alone['top-1']
    attributes = head.heads['attributes'].loss((feats[0][[0, 3]],), [batch()[0].attributes, batch()[3].attributes])
    assert losses['attributes_loss'].item() == pytest.approx(0.5 * attributes['loss'].item())
    category = head.heads['category'].loss((feats[0][[1, 3]],), [batch()[1].category, batch()[3].category])
    assert losses['category_loss'].item() == pytest.approx(category['loss'].item())


def test_all_processes_leave_a_synchronized_head_out_when_one_of_them_has_too_few(monkeypatch):
    head = JointHead(HEADS)
    head.heads['reid'] = torch.nn.SyncBatchNorm.convert_sync_batchnorm(head.heads['reid'])
    asked = []

    def another_has_one(number, op):
        asked.append((int(number), op))
        number.clamp_(max=1)

    monkeypatch.setattr('mmosnet.models.heads.dist.all_reduce', another_has_one)
    losses = head.loss((torch.randn(4, 8),), batch())
    # Heads without synchronized layers do not wait.
    assert asked == [(3, 'min')]
    assert losses['reid_loss'] == 0 and losses['category_loss'] > 0


def test_tasks_without_labels_have_zero_gradients_everywhere():
    head = JointHead(HEADS)
    feats = torch.randn(2, 8, requires_grad=True)
    # One image for a head with batch normalization, and none for the categories.
    losses = head.loss((feats,), [joint_sample(attributes=[1.0, 0, 0]), joint_sample(reid=1)])
    assert losses['reid_loss'] == 0 and losses['category_loss'] == 0 and losses['attributes_loss'] > 0
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    for name, parameter in head.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert bool(parameter.grad.any()) == name.startswith('heads.attributes'), name
    # Statistics of a batch normalization without images stay.
    assert head.heads['reid'].bnneck.num_batches_tracked == 0


def test_predictions_of_every_task_and_what_may_be_evaluated():
    head = JointHead(HEADS).eval()
    feats = (torch.randn(4, 8),)
    predicted = head.predict(feats, batch())
    for row, result in enumerate(predicted):
        assert result.reid.embedding.shape == (8,)
        assert result.attributes.pred_score.shape == (3,)
        assert math.isclose(result.category.pred_score.sum().item(), 1, rel_tol=1e-5)
        masks = [result.get(task).eval_mask for task in ('reid', 'attributes', 'category')]
        assert masks == [[True, True, False], [False, False, True], [True, False, False], [True, True, True]][row]
    assert predicted[2].reid.pid == 2
    for result, again in zip(predicted, head.predict(feats), strict=True):
        assert torch.equal(result.reid.embedding, again.reid.embedding)
        assert not again.reid.eval_mask
    outputs = head(feats)
    assert {task: tuple(output.shape) for task, output in outputs.items()} == dict(
        reid=(4, 8), attributes=(4, 3), category=(4, 4)
    )


def test_heads_can_be_left_out_and_must_be_known():
    head = JointHead(dict(HEADS, attributes=None, category=None))
    assert list(head.heads) == ['reid'] and isinstance(head.heads['reid'], ReIDHead)
    for heads in (dict(), dict(reid=None), dict(HEADS, gait=HEADS['category'])):
        with pytest.raises(DataError, match=r'reid.*attributes.*category'):
            JointHead(heads)
    with pytest.raises(DataError, match='gait'):
        JointHead(HEADS, loss_weights=dict(gait=1))
