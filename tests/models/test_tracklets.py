"""Pooling of frames, the preprocessor that makes images of tracklets, and the head."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.structures import DataSample

from mmosnet.errors import DataError
from mmosnet.evaluation.tracklets import join_clips
from mmosnet.models import ReIDHead, TrackletHead, TrackletPreprocessor
from mmosnet.models.tracklets import POOLINGS, pool_frames

NORMALIZATION = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True)
COUNTS = [3, 1, 5]
METRIC_LOSS = dict(type='mmosnet.TripletLoss', margin=0.3)


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        torch.manual_seed(0)
        yield


def samples(labels=(0, 1, 1), counts=COUNTS):
    made = []
    for label, count in zip(labels, counts, strict=True):
        sample = DataSample().set_gt_label(label)
        sample.set_field(count, 'num_frames', field_type='metainfo')
        made.append(sample)
    return made


def naive_pool(rows, pooling):
    """Loop over frames and dimensions."""
    weights = [1.0] * len(rows)
    if pooling == 'quality':
        weights = [sum(value**2 for value in row) ** 0.5 for row in rows]
    columns = list(zip(*rows, strict=True))
    if pooling == 'max':
        return [max(column) for column in columns]
    return [sum(w * v for w, v in zip(weights, column, strict=True)) / sum(weights) for column in columns]


@pytest.mark.parametrize('pooling', POOLINGS)
def test_pooling_is_a_loop(pooling):
    embedding = torch.randn(sum(COUNTS), 4)
    pooled, weights = pool_frames(embedding, COUNTS, pooling)
    naive = [naive_pool(part.double().tolist(), pooling) for part in embedding.split(COUNTS)]
    torch.testing.assert_close(pooled, torch.tensor(naive))
    lengths = [float(part.norm(dim=1).sum()) for part in embedding.split(COUNTS)]
    torch.testing.assert_close(weights, torch.tensor(lengths if pooling == 'quality' else COUNTS).float())


@pytest.mark.parametrize('pooling', POOLINGS)
def test_gradients(pooling):
    embedding = torch.randn(sum(COUNTS), 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda e: pool_frames(e, COUNTS, pooling)[0], embedding)


def test_empty_embeddings_have_a_mean():
    embedding = torch.zeros(4, 3)
    embedding[3] = 2
    pooled, _ = pool_frames(embedding, [2, 2], 'quality')
    assert pooled.tolist() == [[0, 0, 0], [2, 2, 2]]


@pytest.mark.parametrize('pooling', POOLINGS)
@pytest.mark.parametrize('length', [1, 7, 64])
def test_clips_give_the_whole(pooling, length):
    """A tracklet of 920 frames, the longest of MARS, in clips in any order."""
    embedding = torch.rand(920, 16) * torch.rand(920, 1)
    whole, _ = pool_frames(embedding.double(), [920], pooling)
    counts = [len(part) for part in embedding.split(length)]
    rows = [
        dict(embedding=pooled, weight=weight, pooling=pooling, clips=frozenset([clip]), sample_idx=clip + 5)
        for clip, (pooled, weight) in enumerate(zip(*map(list, pool_frames(embedding, counts, pooling)), strict=True))
    ]
    row = rows[-1]
    for other in rows[:-1] + rows[:3]:
        row = join_clips(row, other)
    torch.testing.assert_close(row['embedding'].double(), whole[0], rtol=1e-5, atol=1e-6)
    assert row['sample_idx'] == 5 and row['clips'] == frozenset(range(len(rows)))


def test_preprocessor_makes_images_of_tracklets():
    tracklets = [torch.randint(0, 256, (count, 3, 6, 4), dtype=torch.uint8) for count in COUNTS]
    batch = TrackletPreprocessor(**NORMALIZATION)(dict(inputs=tracklets, data_samples=samples(counts=[0, 0, 0])))
    images = ClsDataPreprocessor(**NORMALIZATION)(dict(inputs=torch.cat(tracklets)))['inputs']
    assert torch.equal(batch['inputs'], images) and batch['inputs'].shape == (9, 3, 6, 4)
    assert [sample.num_frames for sample in batch['data_samples']] == COUNTS
    # Tracklets of equal length, stacked by default_collate, without samples.
    stacked = torch.stack([tracklets[0], tracklets[0]])
    assert TrackletPreprocessor(**NORMALIZATION)(dict(inputs=stacked))['inputs'].shape == (6, 3, 6, 4)


@pytest.mark.parametrize('stack', [False, True])
def test_preprocessor_leaves_images_alone(stack):
    images = list(torch.randint(0, 256, (3, 3, 6, 4), dtype=torch.uint8))
    data = dict(inputs=torch.stack(images) if stack else images, data_samples=[DataSample() for _ in images])
    batch = TrackletPreprocessor(**NORMALIZATION)(data)
    assert torch.equal(
        batch['inputs'], ClsDataPreprocessor(**NORMALIZATION)(dict(inputs=torch.stack(images)))['inputs']
    )
    assert not any('num_frames' in sample for sample in batch['data_samples'])


@pytest.mark.parametrize('bnneck', [False, True])
def test_head_trains_on_frames_or_tracklets(bnneck):
    options = dict(num_classes=3, in_channels=4, bnneck=bnneck, metric_loss=METRIC_LOSS)
    image_head, frames = ReIDHead(**options), torch.randn(9, 4)
    labels = [0, 0, 0, 1, 1, 1, 1, 1, 1]
    for train_on, feats, repeated in (
        ('frames', frames, labels),
        ('tracklets', torch.stack([part.mean(0) for part in frames.split(COUNTS)]), [0, 1, 1]),
    ):
        head = TrackletHead(**options, train_on=train_on)
        head.load_state_dict(image_head.state_dict())
        expected = image_head.loss((feats,), [DataSample().set_gt_label(label) for label in repeated])
        torch.testing.assert_close(head.loss((frames,), samples()), expected)


@pytest.mark.parametrize('pooling', POOLINGS)
def test_head_predicts_a_row_per_tracklet(pooling):
    head = TrackletHead(num_classes=3, in_channels=4, bnneck=True, pooling=pooling).eval()
    frames = torch.rand(9, 4)
    predicted = head.predict((frames,), samples())
    pooled, weights = pool_frames(head.pre_logits((frames,)), COUNTS, pooling)
    torch.testing.assert_close(torch.stack([sample.embedding for sample in predicted]), pooled)
    torch.testing.assert_close(torch.tensor([sample.weight for sample in predicted]), weights)
    assert {sample.pooling for sample in predicted} == {pooling}
    # Images, with and without samples, are embedded as by the head for images.
    for given in (None, [DataSample() for _ in frames]):
        rows = torch.stack([sample.embedding for sample in head.predict((frames,), given)])
        torch.testing.assert_close(rows, head.pre_logits((frames,)))


@pytest.mark.parametrize('options', [dict(pooling='median'), dict(train_on='clips')])
def test_bad_arguments(options):
    with pytest.raises(DataError, match=next(iter(options.values()))):
        TrackletHead(num_classes=3, in_channels=4, **options)
