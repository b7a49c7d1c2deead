"""Clips of tracklets in ReIDMetric: the scores are those of whole tracklets, on one process and on several."""

from __future__ import annotations

import os
from datetime import timedelta
from multiprocessing import get_context

import pytest
import torch
import torch.distributed as dist
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader

from mmosnet.evaluation import ReIDMetric

LENGTHS = [1, 9, 16, 17, 40, 3, 33, 64, 2, 5]


def tracklets(number=40):
    """Rows of tracklets, each with its frames: six people by three cameras."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(6, 8, generator=generator)
    rows = []
    for index in range(number):
        pid, length = index % 6, LENGTHS[index % len(LENGTHS)]
        frames = centers[pid] + 2 * torch.randn(length, 8, generator=generator)
        split = 'query' if index < number // 4 else 'gallery'
        rows.append(
            dict(sample_idx=index, pid=pid, camid=index // 6 % 3, split=split, img_path=f'{index}.jpg', frames=frames)
        )
    return rows


def clips_of(rows, length):
    clips = []
    for tracklet, row in enumerate(rows):
        for clip, frames in enumerate(row['frames'].split(length)):
            weight = float(len(frames))
            clips.append(
                dict(row, tracklet=tracklet, clip=clip, embedding=frames.mean(0), weight=weight, pooling='mean')
                | dict(sample_idx=len(clips))
            )
    return clips


def evaluate(samples, size=None):
    metric = ReIDMetric()
    for start in range(0, len(samples), 4):
        metric.process({}, samples[start : start + 4])
    return metric, metric.evaluate(size or len(samples))


def expected():
    return evaluate([dict(row, embedding=row['frames'].mean(0)) for row in tracklets()])[1]


@pytest.mark.parametrize('length', [1, 5, 16, 64])
def test_clips_score_like_tracklets(length):
    _, scores = evaluate(clips_of(tracklets(), length))
    assert scores == pytest.approx(expected())
    # Padding that repeats the first clips changes nothing.
    clips = clips_of(tracklets(), length)
    assert evaluate(clips + clips[:3])[1] == pytest.approx(scores)


def test_a_row_per_tracklet():
    metric = ReIDMetric()
    metric.process({}, clips_of(tracklets(), 2))
    assert len(metric.results) == len(tracklets())


def test_a_query_is_not_joined_with_its_copy_in_the_gallery():
    """The official protocol of MARS: every query tracklet is in the gallery too."""
    rows = tracklets()
    copies = [dict(row, split='gallery') for row in rows if row['split'] == 'query']
    whole = [dict(row, embedding=row['frames'].mean(0)) for row in rows + copies]
    clips = [*clips_of(rows, 5), *clips_of(copies, 5)]
    whole, clips = ([dict(row, sample_idx=i) for i, row in enumerate(listed)] for listed in (whole, clips))
    assert evaluate(clips)[1] == pytest.approx(evaluate(whole)[1])


def share(rank, world_size, folder):
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world_size))
    dist.init_process_group('gloo', f'file://{folder}/store', timedelta(seconds=60), world_size=world_size, rank=rank)
    clips = clips_of(tracklets(), 5)
    metric = ReIDMetric()
    # The sampler of a test, whose padding repeats the first clips.
    loader = DataLoader(clips, 4, sampler=DefaultSampler(clips, shuffle=False), collate_fn=list)
    for batch in loader:
        metric.process({}, batch)
    found = metric.evaluate(len(clips))
    torch.save((found, [shown.img_path for shown in metric.shown]), f'{folder}/{rank}.pt')
    dist.destroy_process_group()


@pytest.mark.parametrize('world_size', [2, 3])
def test_several_processes_evaluate_like_one(tmp_path, monkeypatch, world_size):
    monkeypatch.chdir(tmp_path)
    others = [
        get_context('fork').Process(target=share, args=(rank, world_size, tmp_path)) for rank in range(1, world_size)
    ]
    for other in others:
        other.start()
    share(0, world_size, tmp_path)
    for other in others:
        other.join()
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    scores, shown = torch.load(tmp_path / '0.pt', weights_only=True)
    assert scores == pytest.approx(expected()) and len(shown) == 10
