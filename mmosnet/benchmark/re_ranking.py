"""k-reciprocal re-ranking, features to distances, each lap in a process of its own.

Against ``torchreid.reid.utils.rerank.re_ranking``, which takes three distance matrices: computing those with
torchreid's own function belongs to its time, as ours starts from features too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from mmosnet.benchmark.drawn_features import EMBEDDING_SIZE, MSMT17, SMALL, SearchSize, draw_search
from mmosnet.benchmark.equality import same_numbers
from mmosnet.benchmark.fresh_process import PeakMemory, run_fresh
from mmosnet.benchmark.limits import gemm_rate
from mmosnet.benchmark.peer import has_peer, quietly, why_no_peer
from mmosnet.benchmark.row import Case, Contest, Settings
from mmosnet.benchmark.target import Target
from mmosnet.evaluation.ranking import match_ranks
from mmosnet.evaluation.re_ranking import ReRankedDistances, ReRanking

TEN_THOUSAND = SearchSize(2000, 8000, 500, 6, 1000)
# Distances within [0, 1] in float32; the peer rounds sums of thousands of them differently.
TOLERANCE = 1e-4


def cases(settings: Settings) -> Sequence[Case]:
    """10,000 features, then MSMT17's 93,820 without the peer, whose matrices would take 35 GB each."""
    if settings.quick:
        return [Case(str(SMALL), partial(contest, SMALL, settings))]
    return [
        Case(str(TEN_THOUSAND), partial(contest, TEN_THOUSAND, settings)),
        Case(
            f'MSMT17, {MSMT17}, to ranks',
            partial(large_contest, MSMT17, settings),
            Target(seconds=900, at_most={'peak GiB': 8}),
        ),
    ]


def contest(size: SearchSize, settings: Settings) -> Contest:
    """Both sides on equal features; all distances are compared."""
    folder = Path(mkdtemp(dir=settings.folder))
    lap = partial(run_fresh, threads=settings.threads, **size.as_dict())
    images = size.queries + size.gallery
    return Contest(
        ours=lambda: lap(f'{__name__}:ours', distances=str(folder / 'ours.npy')),
        peer=(lambda: lap(f'{__name__}:peer', distances=str(folder / 'peer.npy'))) if has_peer() else None,
        compare=lambda ours, theirs: same_numbers(np.load(ours), np.load(theirs), TOLERANCE),
        limit=images**2 * EMBEDDING_SIZE / gemm_rate(),
        no_peer=why_no_peer(),
        repeats=3,
        peer_repeats=2,
        keep_first=True,
    )


def large_contest(size: SearchSize, settings: Settings) -> Contest:
    """Ours alone, with the ranks behind the distances: those are never there at once."""
    images = size.queries + size.gallery
    return Contest(
        ours=lambda: run_fresh(f'{__name__}:ours_to_ranks', settings.threads, **size.as_dict()),
        limit=images**2 * EMBEDDING_SIZE / gemm_rate(),
        repeats=1,
        keep_first=True,
    )


def ours(distances: str, **size: int) -> dict:
    """Runs in a fresh process: writes our distances to a file."""
    query, gallery = draw_search(SearchSize(**size))
    # Released: the distance is squared twice, as the peer's evaluation does it.
    settings = ReRanking(mode='released')
    ReRankedDistances(query.features[:20], gallery.features[:100], settings=settings).rows(0, 20)
    memory = PeakMemory()
    start = time.perf_counter()
    found = ReRankedDistances(query.features, gallery.features, settings=settings).rows(0, len(query))
    answer = dict(seconds=time.perf_counter() - start, result=distances, facts=memory.facts())
    np.save(distances, found.numpy())
    return answer


def ours_to_ranks(**size: int) -> dict:
    """Runs in a fresh process: ranks by re-ranked distances."""
    query, gallery = draw_search(SearchSize(**size))
    memory = PeakMemory()
    start = time.perf_counter()
    match_ranks(query, gallery, ReRankedDistances(query.features, gallery.features))
    return dict(seconds=time.perf_counter() - start, facts=memory.facts())


def peer(distances: str, **size: int) -> dict:
    """Runs in a fresh process: writes the peer's distances to a file."""
    with quietly():
        from torchreid.reid.metrics import compute_distance_matrix
        from torchreid.reid.utils.rerank import re_ranking
    query, gallery = draw_search(SearchSize(**size))
    pairs = ((query, gallery), (query, query), (gallery, gallery))
    memory = PeakMemory()
    start = time.perf_counter()
    found = re_ranking(*(compute_distance_matrix(a.features, b.features).numpy() for a, b in pairs))
    answer = dict(seconds=time.perf_counter() - start, result=distances, facts=memory.facts())
    np.save(distances, found)
    return answer
