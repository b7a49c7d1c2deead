"""Evaluation and re-ranking, each lap in a process of its own, where its memory is measured.

Evaluation: features to mAP and CMC, against torchreid's Python (``compute_distance_matrix`` and ``evaluate_rank``
without its Cython, which its package does not build). Sets that are too large for it are measured for time, memory and
growth alone.

Re-ranking: features to k-reciprocal distances, against ``torchreid.reid.utils.rerank.re_ranking``, which takes three
distance matrices: computing those with torchreid's own function belongs to its time, as ours starts from features too.

The features are random and behave like a trained network's: identities in clusters that overlap, distractors between.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from torch import Tensor

from benchmarks.limits import gemm_rate
from benchmarks.measure import Case, Contest, Lap, Settings, Target, same_numbers, same_scores
from benchmarks.peer import has_peer, quietly, why_no_peer
from benchmarks.process import PeakResidentMemory, run_fresh
from mmosnet.evaluation.distances import Embeddings
from mmosnet.evaluation.ranking import cmc_curve, match_ranks, retrieval_scores
from mmosnet.evaluation.re_ranking import ReRankedDistances, ReRanking

# Dimensions in which identities differ, noise around an identity and around the subspace: chosen so that about four
# fifths of the queries find their match first at the size of MSMT17.
LATENT_SIZE, IDENTITY_NOISE, NOISE = 24, 0.7, 0.05
EMBEDDING_SIZE = 512


@dataclass(frozen=True)
class SearchSize:
    """Numbers of a test set.

    Attributes:
        queries: Number of queries.
        gallery: Number of gallery images, distractors included.
        pids: Number of identities.
        cameras: Number of cameras.
        distractors: Number of gallery images of people without queries.
    """

    queries: int
    gallery: int
    pids: int
    cameras: int
    distractors: int = 0

    def __str__(self) -> str:
        return f'{self.queries:,} x {self.gallery:,} x {EMBEDDING_SIZE}'

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


MARKET = SearchSize(3368, 15913, 750, 6, 2793)
MARKET_500K = SearchSize(3368, 515913, 750, 6, 502793)
MSMT17 = SearchSize(11659, 82161, 3060, 15)
SMALL = SearchSize(200, 1000, 50, 4, 100)


def draw_search(size: SearchSize) -> tuple[Embeddings, Embeddings]:
    """Return query and gallery of a test set, always the same."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(size.pids + 1, LATENT_SIZE, generator=generator)
    basis = torch.randn(LATENT_SIZE, EMBEDDING_SIZE, generator=generator) / LATENT_SIZE**0.5
    query = _draw(size.queries, 0, size, centers, basis, generator)
    return query, _draw(size.gallery, size.distractors, size, centers, basis, generator)


def _draw(
    num_images: int, distractors: int, size: SearchSize, centers: Tensor, basis: Tensor, generator: torch.Generator
) -> Embeddings:
    known = num_images - distractors
    pids = torch.cat([torch.arange(size.pids), torch.randint(0, size.pids, (known,), generator=generator)])[:known] + 1
    strangers = torch.randn(distractors, LATENT_SIZE, generator=generator)
    latent = torch.cat([centers[pids], strangers])
    latent += IDENTITY_NOISE * torch.randn(num_images, LATENT_SIZE, generator=generator)
    features = latent @ basis
    features += NOISE * torch.randn(num_images, EMBEDDING_SIZE, generator=generator)
    pids = torch.cat([pids, torch.zeros(distractors, dtype=torch.int64)])
    return Embeddings(features, pids, torch.randint(0, size.cameras, (num_images,), generator=generator))


MAX_RANK = 50
# Queries and gallery images of three sizes, each four times the pairs of the one before.
GROWTH = (SearchSize(1000, 10000, 700, 6), SearchSize(2000, 20000, 700, 6), SearchSize(4000, 40000, 700, 6))
QUICK_GROWTH = (SearchSize(50, 500, 20, 4), SearchSize(100, 1000, 20, 4))


def evaluation_cases(settings: Settings) -> Sequence[Case]:
    """Return one case of Market-1501's size."""
    size = SMALL if settings.quick else MARKET
    return [Case(str(size), partial(evaluation_contest, size, settings, with_peer=True))]


def large_evaluation_cases(settings: Settings) -> Sequence[Case]:
    """Return cases: MSMT17's size, Market-1501's with 500,000 distractors, and growth with the number of pairs."""
    if settings.quick:
        return [
            Case(str(SMALL), partial(evaluation_contest, SMALL, settings, with_peer=False)),
            Case('growth', partial(growth_contest, QUICK_GROWTH, settings), Target()),
        ]
    named = [('MSMT17', MSMT17), ('Market + 500k', MARKET_500K)]
    return [
        *(
            Case(f'{name}, {size}', partial(evaluation_contest, size, settings, with_peer=False))
            for name, size in named
        ),
        Case(
            f'growth, {GROWTH[0]} to {GROWTH[-1]}',
            partial(growth_contest, GROWTH, settings),
            # The time per pair at the largest size over that at the smallest: linear is 1, quadratic here 16.
            Target(at_most={'growth per pair': 1.25}),
        ),
    ]


def evaluation_contest(size: SearchSize, settings: Settings, with_peer: bool) -> Contest:
    """Prepare both sides, or ours alone, on equal features."""
    lap = partial(run_fresh, threads=settings.threads, **size.as_dict())
    return Contest(
        ours=lambda: lap(f'{__name__}:our_scores'),
        peer=(lambda: lap(f'{__name__}:peer_scores')) if with_peer and has_peer() else None,
        # The peer's distances have the digits of float32 products: a few images in a million swap ranks.
        compare=partial(same_scores, tolerance=1e-5),
        # Nothing but the products of the features.
        limit=size.queries * size.gallery * EMBEDDING_SIZE / gemm_rate(),
        no_peer=why_no_peer() if with_peer else '',
        repeats=5 if with_peer else 2,
        peer_repeats=2,
        keep_first=True,
    )


def growth_contest(sizes: Sequence[SearchSize], settings: Settings) -> Contest:
    """Prepare our side: how the time per pair changes with the number of pairs."""

    def ours() -> Lap:
        laps = [run_fresh(f'{__name__}:our_scores', settings.threads, **size.as_dict()) for size in sizes]
        pairs = [lap.seconds / (size.queries * size.gallery) for lap, size in zip(laps, sizes, strict=True)]
        facts = {f'ns per pair, {size}': 1e9 * pair for size, pair in zip(sizes, pairs, strict=True)}
        return Lap(laps[-1].seconds, facts=facts | {'growth per pair': pairs[-1] / pairs[0]})

    return Contest(ours, repeats=3, keep_first=True)


def our_scores(**size: int) -> dict:
    """Compute our scores; called in a fresh process."""
    query, gallery = draw_search(SearchSize(**size))
    # What a first call costs once, thread pools and the like.
    match_ranks(query[:64], gallery)
    memory = PeakResidentMemory()
    start = time.perf_counter()
    counts, ranks = match_ranks(query, gallery)
    scores = retrieval_scores(counts, ranks)
    curve = cmc_curve(counts, ranks, MAX_RANK)
    seconds = time.perf_counter() - start
    return dict(seconds=seconds, result=_result(scores['mAP'], curve.tolist()), facts=memory.facts())


def peer_scores(**size: int) -> dict:
    """Compute the peer's scores; called in a fresh process."""
    with quietly():
        from torchreid.reid.metrics import compute_distance_matrix, evaluate_rank
    query, gallery = draw_search(SearchSize(**size))
    compute_distance_matrix(query.features[:64], gallery.features)
    pids, camids = ([getattr(images, name).numpy() for images in (query, gallery)] for name in ('pids', 'camids'))
    memory = PeakResidentMemory()
    start = time.perf_counter()
    distmat = compute_distance_matrix(query.features, gallery.features).numpy()
    curve, mean_ap = evaluate_rank(distmat, *pids, *camids, max_rank=MAX_RANK, use_cython=False)
    seconds = time.perf_counter() - start
    return dict(seconds=seconds, result=_result(mean_ap, curve.tolist()), facts=memory.facts())


def _result(mean_ap: float, curve: Sequence[float]) -> dict[str, float]:
    return {'mAP': float(mean_ap)} | {f'Rank-{k}': float(share) for k, share in enumerate(curve, 1)}


TEN_THOUSAND = SearchSize(2000, 8000, 500, 6, 1000)
# Distances within [0, 1] in float32; the peer rounds sums of thousands of them differently.
DISTANCE_TOLERANCE = 1e-4


def re_ranking_cases(settings: Settings) -> Sequence[Case]:
    """Return cases: 10,000 features, then MSMT17's 93,820 without the peer, whose matrices would take 35 GB each."""
    if settings.quick:
        return [Case(str(SMALL), partial(re_ranking_contest, SMALL, settings))]
    return [
        Case(str(TEN_THOUSAND), partial(re_ranking_contest, TEN_THOUSAND, settings)),
        Case(
            f'MSMT17, {MSMT17}, to ranks',
            partial(large_re_ranking_contest, MSMT17, settings),
            Target(seconds=900, at_most={'peak GiB': 8}),
        ),
    ]


def re_ranking_contest(size: SearchSize, settings: Settings) -> Contest:
    """Prepare both sides on equal features; all distances are compared."""
    folder = Path(mkdtemp(dir=settings.folder))
    lap = partial(run_fresh, threads=settings.threads, **size.as_dict())
    images = size.queries + size.gallery
    return Contest(
        ours=lambda: lap(f'{__name__}:our_distances', distances=str(folder / 'ours.npy')),
        peer=(lambda: lap(f'{__name__}:peer_distances', distances=str(folder / 'peer.npy'))) if has_peer() else None,
        compare=lambda ours, theirs: same_numbers(np.load(ours), np.load(theirs), DISTANCE_TOLERANCE),
        limit=images**2 * EMBEDDING_SIZE / gemm_rate(),
        no_peer=why_no_peer(),
        repeats=3,
        peer_repeats=2,
        keep_first=True,
    )


def large_re_ranking_contest(size: SearchSize, settings: Settings) -> Contest:
    """Prepare our side alone, ranks included: the distances are never all in memory."""
    images = size.queries + size.gallery
    return Contest(
        ours=lambda: run_fresh(f'{__name__}:our_ranks', settings.threads, **size.as_dict()),
        limit=images**2 * EMBEDDING_SIZE / gemm_rate(),
        repeats=1,
        keep_first=True,
    )


def our_distances(distances: str, **size: int) -> dict:
    """Write our distances to a file; called in a fresh process."""
    query, gallery = draw_search(SearchSize(**size))
    # Released: the distance is squared twice, as the peer's evaluation does it.
    settings = ReRanking(mode='released')
    ReRankedDistances(query.features[:20], gallery.features[:100], settings=settings).rows(0, 20)
    memory = PeakResidentMemory()
    start = time.perf_counter()
    rows = ReRankedDistances(query.features, gallery.features, settings=settings).rows(0, len(query))
    answer = dict(seconds=time.perf_counter() - start, result=distances, facts=memory.facts())
    np.save(distances, rows.numpy())
    return answer


def our_ranks(**size: int) -> dict:
    """Rank by re-ranked distances; called in a fresh process."""
    query, gallery = draw_search(SearchSize(**size))
    memory = PeakResidentMemory()
    start = time.perf_counter()
    match_ranks(query, gallery, ReRankedDistances(query.features, gallery.features))
    return dict(seconds=time.perf_counter() - start, facts=memory.facts())


def peer_distances(distances: str, **size: int) -> dict:
    """Write the peer's distances to a file; called in a fresh process."""
    with quietly():
        from torchreid.reid.metrics import compute_distance_matrix
        from torchreid.reid.utils.rerank import re_ranking
    query, gallery = draw_search(SearchSize(**size))
    pairs = ((query, gallery), (query, query), (gallery, gallery))
    memory = PeakResidentMemory()
    start = time.perf_counter()
    rows = re_ranking(*(compute_distance_matrix(a.features, b.features).numpy() for a, b in pairs))
    answer = dict(seconds=time.perf_counter() - start, result=distances, facts=memory.facts())
    np.save(distances, rows)
    return answer
