import math

import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample, MultiTaskDataSample

from mmosnet.errors import DataError
from mmosnet.models import JointHead, ReIDHead

HEADS = dict(
    reid=dict(type='mmosnet.ReIDHead', num_classes=5, in_channels=8, bnneck=True),
    attributes=dict(type='MultiLabelLinearClsHead', num_classes=3, in_channels=8),
    category=dict(type='LinearClsHead', num_classes=4, in_channels=8),
)


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def sample(reid=None, attributes=None, category=None):
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
        sample(reid=1, attributes=[1.0, 0, 0]),
        sample(category=3),
        sample(reid=2),
        sample(reid=1, attributes=[0.0, 1, 1], category=0),
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


def test_all_processes_leave_a_synchronised_head_out_when_one_of_them_has_too_few(monkeypatch):
    head = JointHead(HEADS)
    head.heads['reid'] = torch.nn.SyncBatchNorm.convert_sync_batchnorm(head.heads['reid'])
    asked = []

    def another_has_one(number, op):
        asked.append((int(number), op))
        number.clamp_(max=1)

    monkeypatch.setattr('mmosnet.models.joint_head.dist.all_reduce', another_has_one)
    losses = head.loss((torch.randn(4, 8),), batch())
    # Heads without synchronised layers wait for nobody.
    assert asked == [(3, 'min')]
    assert losses['reid_loss'] == 0 and losses['category_loss'] > 0


def test_tasks_without_labels_have_zero_gradients_everywhere():
    head = JointHead(HEADS)
    feats = torch.randn(2, 8, requires_grad=True)
    # One image for a head with batch normalisation, and none for the categories.
    losses = head.loss((feats,), [sample(attributes=[1.0, 0, 0]), sample(reid=1)])
    assert losses['reid_loss'] == 0 and losses['category_loss'] == 0 and losses['attributes_loss'] > 0
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    for name, parameter in head.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert bool(parameter.grad.any()) == name.startswith('heads.attributes'), name
    # Statistics of a batch normalisation that saw nothing stay.
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
