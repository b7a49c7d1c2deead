"""Features to mAP and CMC, each lap in a process of its own, where its memory is measured.

Against torchreid's Python (``compute_distance_matrix`` and ``evaluate_rank`` without its Cython, which its package does
not build). Sets that are too large for it are measured for time, memory and growth alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from mmosnet.benchmark.drawn_features import (
    EMBEDDING_SIZE,
    MARKET,
    MARKET_500K,
    MSMT17,
    SMALL,
    SearchSize,
    draw_search,
)
from mmosnet.benchmark.equality import same_scores
from mmosnet.benchmark.fresh_process import PeakMemory, run_fresh
from mmosnet.benchmark.limits import gemm_rate
from mmosnet.benchmark.peer import has_peer, quietly, why_no_peer
from mmosnet.benchmark.row import Case, Contest, Lap, Settings
from mmosnet.benchmark.target import Target
from mmosnet.evaluation.ranking import cmc_curve, match_ranks, retrieval_scores

MAX_RANK = 50
# Queries and gallery images of three sizes, each four times the pairs of the one before.
GROWTH = (SearchSize(1000, 10000, 700, 6), SearchSize(2000, 20000, 700, 6), SearchSize(4000, 40000, 700, 6))
QUICK_GROWTH = (SearchSize(50, 500, 20, 4), SearchSize(100, 1000, 20, 4))


def cases(settings: Settings) -> Sequence[Case]:
    """Market-1501's size."""
    size = SMALL if settings.quick else MARKET
    return [Case(str(size), partial(contest, size, settings, with_peer=True))]


def large_cases(settings: Settings) -> Sequence[Case]:
    """MSMT17's size, Market-1501's with 500,000 distractors, and growth with the number of pairs."""
    if settings.quick:
        return [
            Case(str(SMALL), partial(contest, SMALL, settings, with_peer=False)),
            Case('growth', partial(growth_contest, QUICK_GROWTH, settings), Target()),
        ]
    named = [('MSMT17', MSMT17), ('Market + 500k', MARKET_500K)]
    return [
        *(Case(f'{name}, {size}', partial(contest, size, settings, with_peer=False)) for name, size in named),
        Case(
            f'growth, {GROWTH[0]} to {GROWTH[-1]}',
            partial(growth_contest, GROWTH, settings),
            # The time of a pair at the largest size over that at the smallest: linear is 1, quadratic here 16.
            Target(at_most={'growth of a pair': 1.25}),
        ),
    ]


def contest(size: SearchSize, settings: Settings, with_peer: bool) -> Contest:
    """Both sides, or ours alone, on equal features."""
    lap = partial(run_fresh, threads=settings.threads, **size.as_dict())
    return Contest(
        ours=lambda: lap(f'{__name__}:ours'),
        peer=(lambda: lap(f'{__name__}:peer')) if with_peer and has_peer() else None,
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
    """How the time of one pair changes with the number of pairs."""

    def ours() -> Lap:
        laps = [run_fresh(f'{__name__}:ours', settings.threads, **size.as_dict()) for size in sizes]
        pairs = [lap.seconds / (size.queries * size.gallery) for lap, size in zip(laps, sizes, strict=True)]
        facts = {f'ns a pair, {size}': 1e9 * pair for size, pair in zip(sizes, pairs, strict=True)}
        return Lap(laps[-1].seconds, facts=facts | {'growth of a pair': pairs[-1] / pairs[0]})

    return Contest(ours, repeats=3, keep_first=True)


def ours(**size: int) -> dict:
    """Runs in a fresh process: our scores."""
    query, gallery = draw_search(SearchSize(**size))
    # What a first call costs once, thread pools and the like.
    match_ranks(query[:64], gallery)
    memory = PeakMemory()
    start = time.perf_counter()
    counts, ranks = match_ranks(query, gallery)
    scores = retrieval_scores(counts, ranks)
    curve = cmc_curve(counts, ranks, MAX_RANK)
    seconds = time.perf_counter() - start
    return dict(seconds=seconds, result=_result(scores['mAP'], curve.tolist()), facts=memory.facts())


def peer(**size: int) -> dict:
    """Runs in a fresh process: the peer's scores."""
    with quietly():
        from torchreid.reid.metrics import compute_distance_matrix, evaluate_rank
    query, gallery = draw_search(SearchSize(**size))
    compute_distance_matrix(query.features[:64], gallery.features)
    pids, camids = ([getattr(images, name).numpy() for images in (query, gallery)] for name in ('pids', 'camids'))
    memory = PeakMemory()
    start = time.perf_counter()
    distmat = compute_distance_matrix(query.features, gallery.features).numpy()
    curve, mean_ap = evaluate_rank(distmat, *pids, *camids, max_rank=MAX_RANK, use_cython=False)
    seconds = time.perf_counter() - start
    return dict(seconds=seconds, result=_result(mean_ap, curve.tolist()), facts=memory.facts())


def _result(mean_ap: float, curve: Sequence[float]) -> dict[str, float]:
    return {'mAP': float(mean_ap)} | {f'Rank-{k}': float(share) for k, share in enumerate(curve, 1)}
