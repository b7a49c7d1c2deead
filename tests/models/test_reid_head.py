import pytest
import torch
from mmpretrain.structures import DataSample

from mmosnet.models import ReIDHead


def samples(labels):
    return [DataSample().set_gt_label(label) for label in labels]


def test_identity_loss_is_label_smoothed_cross_entropy():
    torch.manual_seed(0)
    head = ReIDHead(num_classes=5, in_channels=8)
    head.init_weights()
    feats = torch.randn(4, 8)
    labels = [0, 3, 3, 1]
    losses = head.loss((feats,), samples(labels))
    expected = torch.nn.functional.cross_entropy(head.classifier(feats), torch.tensor(labels), label_smoothing=0.1)
    assert losses['loss_id'].item() == pytest.approx(expected.item(), rel=1e-6)
    right = (head.classifier(feats).argmax(1) == torch.tensor(labels)).float().mean() * 100
    assert losses['top-1'].item() == pytest.approx(right.item())
    assert set(losses) == {'loss_id', 'top-1'}


def test_accuracy_counts_negative_logits():
    head = ReIDHead(num_classes=2, in_channels=2)
    head.classifier.weight.data = torch.eye(2)
    head.classifier.bias.data = torch.tensor([-9.0, -9.0])
    losses = head.loss((torch.tensor([[1.0, 0.0], [0.0, 1.0]]),), samples([0, 1]))
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
    losses = head.loss((feats,), samples([0, 0, 1, 1, 2, 2, 0, 1]))
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


def test_every_parameter_gets_a_gradient():
    head = ReIDHead(num_classes=3, in_channels=6, bnneck=True)
    losses = head.loss((torch.randn(4, 6),), samples([0, 1, 2, 0]))
    losses['loss_id'].backward()
    assert all(p.grad is not None for p in head.parameters() if p.requires_grad)
