"""Evaluation of video: embeddings of all frames, one tracklet after the other, to mAP and CMC, at the size of MARS.

The network is left out: both sides get the same embeddings of frames, drawn anew for each tracklet, because those of
all frames take more than a GiB. Drawing them is not counted. Ours gets clips of 16 frames in batches of 8 and pools
them with ``TrackletHead`` and ``ReIDMetric``, which keep a row per tracklet. torchreid gets tracklets whole
(``sample_method='all'``, batch 1), pools them with the ``extract_features`` of its engine and goes on as its engine
does: all rows, the distance matrix, ``evaluate_rank``. Tracklets have the lengths of MARS: 2 to 920 frames, 55.9 on
average.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from types import SimpleNamespace

import numpy as np
import torch
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from benchmarks.cases_evaluation import EMBEDDING_SIZE, MAX_RANK, SearchSize, draw_search
from benchmarks.limits import gemm_rate
from benchmarks.measure import Case, Contest, Settings, Target, same_scores
from benchmarks.peer import has_peer, quietly, why_no_peer
from benchmarks.process import PeakResidentMemory, run_fresh
from mmosnet.evaluation import ReIDMetric
from mmosnet.evaluation.distances import Embeddings
from mmosnet.models import TrackletHead

# Every query tracklet is in the gallery too, as in the authors' protocol, which leaves 870 tracklets of nobody out.
MARS = SearchSize(1980, 12180 - 870, 634, 6, 3248)
SMALL_MARS = SearchSize(40, 200, 20, 4, 20)
SHORTEST, LONGEST, MEAN = 2, 920, 55.9
CLIP, BATCH = 16, 8
FRAME_NOISE = 0.5


def video_evaluation_cases(settings: Settings) -> Sequence[Case]:
    """Return one case of the size of MARS."""
    size = SMALL_MARS if settings.quick else MARS
    return [Case(f'{size.queries:,} x {size.gallery:,} tracklets', partial(video_contest, size, settings), Target())]


def video_contest(size: SearchSize, settings: Settings) -> Contest:
    """Prepare both sides on equal embeddings."""
    lap = partial(run_fresh, threads=settings.threads, **size.as_dict())
    return Contest(
        ours=lambda: lap(f'{__name__}:our_scores'),
        peer=(lambda: lap(f'{__name__}:peer_scores')) if has_peer() else None,
        compare=partial(same_scores, tolerance=1e-6),
        # Nothing but the products of the pooled embeddings.
        limit=size.queries * size.gallery * EMBEDDING_SIZE / gemm_rate(),
        no_peer=why_no_peer(),
        repeats=3,
        peer_repeats=3,
        keep_first=True,
    )


def draw_lengths(number: int, generator: np.random.RandomState) -> np.ndarray:
    """Return numbers of frames that are spread as those of MARS: many short tracklets and few long ones."""
    return np.clip(SHORTEST + generator.exponential(MEAN - SHORTEST, number), SHORTEST, LONGEST).astype(int)


def draw_frames(images: Embeddings, seed: int) -> Iterator[tuple[Tensor, int, int]]:
    """Yield the embeddings of the frames of each tracklet, always the same, with pid and camid.

    Args:
        images: The centers of the tracklets.
        seed: Seed of lengths and frames.
    """
    random = np.random.RandomState(seed)
    generator = torch.Generator().manual_seed(seed)
    lengths = draw_lengths(len(images), random).tolist()
    for center, length, pid, camid in zip(
        images.features, lengths, images.pids.tolist(), images.camids.tolist(), strict=True
    ):
        noise = torch.randn(length, EMBEDDING_SIZE, generator=generator)
        yield center + FRAME_NOISE * noise, pid, camid


def draw_tracklets(size: SearchSize) -> Iterator[tuple[str, Tensor, int, int]]:
    """Yield split, frames, pid and camid of all tracklets, queries first."""
    for seed, (split, images) in enumerate(zip(('query', 'gallery'), draw_search(size), strict=True)):
        for frames, pid, camid in draw_frames(images, seed):
            yield split, frames, pid, camid


class Stopwatch:
    """Sums up the time that is measured, and leaves out what lies between."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._start


def our_scores(**size: int) -> dict:
    """Compute our scores; called in a fresh process."""
    head = TrackletHead(num_classes=2, in_channels=EMBEDDING_SIZE).eval()
    metric = ReIDMetric(topk=range(1, MAX_RANK + 1), num_shown=0)
    pooling, ranking = Stopwatch(), Stopwatch()
    frames, most, number = 0, 0, 0
    memory = PeakResidentMemory()
    for batch in _batches(_clips(SearchSize(**size))):
        frames += sum(len(clip) for clip, _ in batch)
        number += len(batch)
        with pooling, torch.no_grad():
            samples = head.predict((torch.cat([clip for clip, _ in batch]),), [sample for _, sample in batch])
            metric.process({}, [sample.to_dict() for sample in samples])
        most = max(most, len(metric.results))
    with ranking:
        scores = metric.evaluate(number)
    facts = dict(_facts(pooling, ranking, frames), rows=most) | memory.facts()
    result = {name.removeprefix('reid/'): score for name, score in scores.items() if 'mINP' not in name}
    return dict(seconds=pooling.seconds + ranking.seconds, result=result, facts=facts)


def _clips(size: SearchSize) -> Iterator[tuple[Tensor, DataSample]]:
    index = 0
    for tracklet, (split, frames, pid, camid) in enumerate(draw_tracklets(size)):
        for number, clip in enumerate(frames.split(CLIP)):
            sample = DataSample(
                metainfo=dict(sample_idx=index, img_path=str(tracklet), num_frames=len(clip)),
                pid=pid,
                camid=camid,
                split=split,
                tracklet=tracklet,
                clip=number,
            )
            index += 1
            yield clip, sample


def _batches(clips: Iterator[tuple[Tensor, DataSample]]) -> Iterator[list[tuple[Tensor, DataSample]]]:
    batch = []
    for clip in clips:
        batch.append(clip)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def peer_scores(**size: int) -> dict:
    """Compute the peer's scores; called in a fresh process."""
    with quietly():
        from torchreid.reid.engine.video.softmax import VideoSoftmaxEngine
        from torchreid.reid.metrics import compute_distance_matrix, evaluate_rank
    engine = SimpleNamespace(model=nn.Flatten(), pooling_method='avg')
    pooling, ranking = Stopwatch(), Stopwatch()
    rows: dict[str, list] = dict(query=[], gallery=[])
    frames = 0
    memory = PeakResidentMemory()
    for split, embedding, pid, camid in draw_tracklets(SearchSize(**size)):
        frames += len(embedding)
        with pooling, torch.no_grad():
            pooled = VideoSoftmaxEngine.extract_features(engine, embedding[None, :, :, None, None])
            rows[split].append((pooled.cpu(), pid, camid))
    with ranking, quietly():
        features, pids, camids = _columns(rows)
        distmat = compute_distance_matrix(*features).numpy()
        curve, mean_ap = evaluate_rank(distmat, *pids, *camids, max_rank=MAX_RANK, use_cython=False)
    facts = _facts(pooling, ranking, frames) | memory.facts()
    result = dict(mAP=float(mean_ap)) | {f'Rank-{k}': float(share) for k, share in enumerate(curve, 1)}
    return dict(seconds=pooling.seconds + ranking.seconds, result=result, facts=facts)


def _columns(rows: dict[str, list]) -> tuple[list[Tensor], list[np.ndarray], list[np.ndarray]]:
    """Return features, identities and cameras, each of queries and gallery."""
    columns = [list(zip(*rows[split], strict=True)) for split in ('query', 'gallery')]
    return (
        [torch.cat(features, 0) for features, _, _ in columns],
        [np.asarray(pids) for _, pids, _ in columns],
        [np.asarray(camids) for _, _, camids in columns],
    )


def _facts(pooling: Stopwatch, ranking: Stopwatch, frames: int) -> dict[str, float]:
    return {'frames': frames, 'pooling s': pooling.seconds, 'ranking s': ranking.seconds}
