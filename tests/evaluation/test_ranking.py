from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmosnet.errors import DataError
from mmosnet.evaluation import distances, ranking
from mmosnet.evaluation.distances import Embeddings, pairwise_distance
from mmosnet.evaluation.ranking import (
    ChosenRows,
    QueryGallery,
    average_precisions,
    cmc_curve,
    match_ranks,
    ranked_lists,
    retrieval_scores,
    sampled_cmc,
    sampled_ranks,
    shuffles,
)
from mmosnet.evaluation.re_ranking import ReRankedDistances
from tests.evaluation.mars_protocol import official_mars


def line(positions, pids, camids):
    """Images on a line: their distances are easy to see."""
    return Embeddings(torch.tensor(positions).float()[:, None], torch.tensor(pids), torch.tensor(camids))


def naive_ranks(query, gallery, distance='euclidean', same_camera='drop'):
    """Sort every query's valid gallery images by distance, stably, and look for the matches."""
    distmat = pairwise_distance(query.features, gallery.features, distance)
    counts, ranks = [], []
    for i in range(len(query)):
        valid = [
            j
            for j in range(len(gallery))
            if same_camera == 'keep' or gallery.pids[j] != query.pids[i] or gallery.camids[j] != query.camids[i]
        ]
        order = sorted(valid, key=lambda j: float(distmat[i, j]))
        found = [rank for rank, j in enumerate(order, 1) if gallery.pids[j] == query.pids[i]]
        counts.append(len(found))
        ranks.extend(found)
    return counts, ranks


def naive_scores(counts, ranks, topk):
    ranks = iter(ranks)
    aps, inps, firsts = [], [], []
    for count in counts:
        own = [next(ranks) for _ in range(count)]
        if own:
            aps.append(sum((i + 1) / rank for i, rank in enumerate(own)) / count)
            inps.append(count / own[-1])
            firsts.append(own[0])
    scores = {f'Rank-{k}': sum(first <= k for first in firsts) / len(firsts) for k in topk}
    return dict(scores, mAP=sum(aps) / len(aps), mINP=sum(inps) / len(inps))


# Query: person 1, camera 0, at position 0. Gallery along the line, by distance:
#   position   1    2    3    4    5    6
#   person     2    1    1    0    1    3
#   camera     1    0    1    1    2    1
# Person 1 by camera 0 (position 2) is left out. What remains: 2, 1, 0, 1, 3 at ranks 1..5; matches at ranks 2 and 4.
#   AP = (1/2 + 2/4) / 2 = 0.5, INP = 2/4, first match at rank 2.
def test_ranking_by_hand():
    query = line([0], [1], [0])
    gallery = line([5, 2, 4, 1, 3, 6], [1, 1, 0, 2, 1, 3], [2, 0, 1, 1, 1, 1])
    counts, ranks = match_ranks(query, gallery)
    assert (counts.tolist(), ranks.tolist()) == ([2], [2, 4])
    scores = retrieval_scores(counts, ranks, topk=(1, 2, 5))
    assert scores == {'mAP': 0.5, 'Rank-1': 0.0, 'Rank-2': 1.0, 'Rank-5': 1.0, 'mINP': 0.5}
    assert cmc_curve(counts, ranks, 4).tolist() == [0, 1, 1, 1]
    counts, ranks = match_ranks(query, gallery, same_camera='keep')
    assert (counts.tolist(), ranks.tolist()) == ([3], [2, 3, 5])


def test_ties_go_to_the_lower_gallery_index():
    query = line([0], [1], [0])
    # All at distance 1: in gallery order the matches are second and fourth.
    gallery = line([1, -1, 1, -1, 1], [2, 1, 3, 1, 4], [1, 1, 1, 1, 1])
    assert match_ranks(query, gallery)[1].tolist() == [2, 4]


@pytest.mark.parametrize('kind', ['random', 'rounded', 'constant', 'identical pairs'])
@pytest.mark.parametrize('distance', ['euclidean', 'cosine'])
@pytest.mark.parametrize('same_camera', ['drop', 'keep'])
@pytest.mark.parametrize('chunk', [1, 100, 10**6])
@pytest.mark.parametrize('per_match', [0, 3, 200])
def test_ranks_equal_a_naive_loop(monkeypatch, kind, distance, same_camera, chunk, per_match):
    monkeypatch.setattr(distances, 'CHUNK_ELEMENTS', chunk)
    monkeypatch.setattr(ranking, 'SORTED_PER_MATCH', per_match)
    torch.manual_seed(0)

    def images(count):
        features = dict(
            random=torch.randn(count, 4),
            rounded=torch.randint(0, 2, (count, 3)).float(),
            constant=torch.ones(count, 2),
        ).get(kind)
        if features is None:
            features = torch.randn((count + 1) // 2, 4).repeat(2, 1)[:count]
        # Junk never gets here; distractors (0) and people without a query do.
        return Embeddings(features, torch.randint(0, 6, (count,)), torch.randint(0, 3, (count,)))

    query, gallery = images(17), images(60)
    query.pids[3] = 99  # a person without a match
    counts, ranks = match_ranks(query, gallery, distance, same_camera)
    naive_counts, expected = naive_ranks(query, gallery, distance, same_camera)
    assert counts.tolist() == naive_counts
    if chunk > 1 or kind != 'random':
        assert ranks.tolist() == expected
    scores = retrieval_scores(counts, ranks, topk=(1, 5, 100))
    assert scores == pytest.approx(naive_scores(counts.tolist(), ranks.tolist(), (1, 5, 100)), abs=1e-12)


@pytest.mark.parametrize('per_match', [0, 3, 200])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_ranks_of_any_small_gallery_equal_a_naive_loop(per_match, data):
    def images(count):
        numbers = st.lists(st.integers(0, 3), min_size=count, max_size=count)
        return line(data.draw(numbers), data.draw(numbers), data.draw(numbers))

    query, gallery = images(data.draw(st.integers(1, 4))), images(data.draw(st.integers(1, 12)))
    naive_counts, expected = naive_ranks(query, gallery)
    if not sum(naive_counts):
        with pytest.raises(DataError):
            match_ranks(query, gallery)
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, 'SORTED_PER_MATCH', per_match)
        counts, ranks = match_ranks(query, gallery)
    assert (counts.tolist(), ranks.tolist()) == (naive_counts, expected)


@pytest.mark.parametrize('rounded', [False, True])
@pytest.mark.parametrize('per_match', [0, 3, 200])
@pytest.mark.parametrize('chunk', [1000, 10**6])
def test_counting_equals_sorting(monkeypatch, rounded, per_match, chunk):
    monkeypatch.setattr(ranking, 'SORTED_PER_MATCH', per_match)
    monkeypatch.setattr(distances, 'CHUNK_ELEMENTS', chunk)
    torch.manual_seed(0)
    distmat = torch.rand(12, 300) if not rounded else torch.randint(0, 9, (12, 300)).float()
    distmat[torch.rand(12, 300) < 0.1] = torch.inf
    matches = (torch.rand(12, 300) < torch.rand(12, 1) - 0.1) & distmat.isfinite()
    matches[4] = False
    places = matches.nonzero(as_tuple=True)
    ranks = ranking._ranks_by_sorting(distmat, *places)
    assert len(ranks) == matches.sum()
    assert torch.equal(ranking._ranks_by_counting(distmat, *places), ranks)


@pytest.mark.parametrize('way', [ranking._ranks_by_counting, ranking._ranks_by_sorting])
def test_a_chunk_without_matches(way):
    nothing = torch.zeros(0, dtype=torch.int64)
    assert torch.equal(way(torch.rand(3, 5), nothing, nothing), nothing)


def test_a_gallery_of_one_image():
    query, gallery = line([0, 0, 0], [1, 2, 1], [0, 0, 1]), line([3], [1], [1])
    counts, ranks = match_ranks(query, gallery)
    assert (counts.tolist(), ranks.tolist()) == ([1, 0, 0], [1])


def test_cosine_ignores_length():
    query = Embeddings(torch.tensor([[2.0, 0.0]]), torch.tensor([1]), torch.tensor([0]))
    gallery = Embeddings(torch.tensor([[0.1, 0.0], [2.0, 0.5]]), torch.tensor([1, 2]), torch.tensor([1, 1]))
    assert match_ranks(query, gallery, 'cosine')[1].tolist() == [1]
    assert match_ranks(query, gallery, 'euclidean')[1].tolist() == [2]


def test_query_without_match_leaves_both_denominators():
    query = line([0, 0, 0], [1, 7, 1], [0, 0, 1])
    # Query 2's only match is by its own camera.
    gallery = line([1, 2], [1, 5], [1, 1])
    counts, ranks = match_ranks(query, gallery)
    assert counts.tolist() == [1, 0, 0]
    assert retrieval_scores(counts, ranks, (1,)) == {'mAP': 1.0, 'Rank-1': 1.0, 'mINP': 1.0}


def test_small_gallery_and_long_curve():
    counts, ranks = match_ranks(line([0], [1], [0]), line([1, 2], [2, 1], [1, 1]))
    assert cmc_curve(counts, ranks, 50).tolist() == [0.0] + [1.0] * 49


def test_no_match_explains_the_camera_rule():
    with pytest.raises(DataError, match=r"ANOTHER camera.*same_camera='keep'"):
        match_ranks(line([0], [1], [0]), line([1], [1], [0]))


@pytest.mark.parametrize('which', ['query', 'gallery'])
def test_empty_and_undefined_embeddings(which):
    good, empty = line([0], [1], [0]), line([], [], [])
    nan = line([float('nan')], [1], [1])
    for bad, message in ((empty, f'the {which} set is empty'), (nan, f'1 of 1 {which} embeddings')):
        pair = (bad, good) if which == 'query' else (good, bad)
        with pytest.raises(DataError, match=message):
            match_ranks(*pair)


@pytest.mark.parametrize('options', [dict(distance='manhattan'), dict(same_camera='maybe')])
def test_unknown_options(options):
    with pytest.raises(ValueError, match='choose from'):
        match_ranks(line([0], [1], [0]), line([1], [1], [1]), **options)


def test_ranked_lists_follow_the_ranks():
    query = line([0], [1], [0])
    gallery = line([5, 2, 4, 1, 3], [1, 1, 0, 2, 1], [2, 0, 1, 1, 1])
    (ranked,) = ranked_lists(query, gallery, k=10)
    # The image of the own camera (index 1) is not shown.
    assert ranked.indices == [3, 4, 2, 0]
    assert ranked.distances == pytest.approx([1, 3, 4, 5])
    assert ranked.matches == [False, True, False, True]
    assert ranked_lists(query, gallery, k=2)[0].indices == [3, 4]


def test_memory_is_bounded_by_the_chunk(monkeypatch):
    monkeypatch.setattr(distances, 'CHUNK_ELEMENTS', 1000)
    sizes = []
    count = ranking._ranks_by_counting
    monkeypatch.setattr(ranking, '_ranks_by_counting', lambda d, *a: sizes.append(d.shape) or count(d, *a))
    torch.manual_seed(0)
    query = Embeddings(torch.randn(30, 4), torch.arange(30) % 5, torch.zeros(30).long())
    gallery = Embeddings(torch.randn(300, 4), torch.arange(300) % 5, torch.ones(300).long())
    match_ranks(query, gallery)
    assert sizes == [(3, 300)] * 10


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')
def test_equals_the_released_code():
    rank = pytest.importorskip('torchreid.reid.metrics.rank', reason="needs the extra 'peer'")
    torch.manual_seed(0)
    query = Embeddings(torch.randn(60, 16), torch.randint(0, 25, (60,)), torch.randint(0, 4, (60,)))
    gallery = Embeddings(torch.randn(500, 16), torch.randint(0, 25, (500,)), torch.randint(0, 4, (500,)))
    query.pids[:3] = 1000
    cmc, mean_ap = rank.evaluate_rank(
        pairwise_distance(query.features, gallery.features).numpy(),
        *(array.numpy() for array in (query.pids, gallery.pids, query.camids, gallery.camids)),
        max_rank=50,
        use_cython=False,
    )
    counts, ranks = match_ranks(query, gallery)
    assert retrieval_scores(counts, ranks)['mAP'] == pytest.approx(mean_ap, abs=1e-6)
    assert cmc_curve(counts, ranks, 50).tolist() == pytest.approx(cmc.tolist(), abs=1e-6)


def images(count, num_people=6, dimensions=3, cameras=3):
    features = torch.randn(num_people, dimensions)[torch.arange(count) % num_people] + torch.randn(count, dimensions)
    return Embeddings(features, torch.arange(count) % num_people, torch.randint(0, cameras, (count,)))


def naive_sampled_ranks(query, gallery, distance='euclidean', same_camera='drop', num_repeats=10, seed=0):
    """Take the first kept image of each identity in the same shuffled galleries, and sort them by distance."""
    distmat = pairwise_distance(query.features, gallery.features, distance)
    ranks = []
    for i in range(len(query)):
        row = []
        for order in shuffles(len(gallery), num_repeats, seed).tolist():
            sampled = {}
            for j in order:
                same = gallery.pids[j] == query.pids[i] and gallery.camids[j] == query.camids[i]
                if same_camera == 'keep' or not same:
                    sampled.setdefault(int(gallery.pids[j]), j)
            if int(query.pids[i]) in sampled:
                ranking = sorted(sampled.values(), key=lambda j, i=i: (float(distmat[i, j]), j))
                row.append(1 + ranking.index(sampled[int(query.pids[i])]))
        if row:
            ranks.append(row)
    return ranks


# Query: person 1 at 0, camera 0. Gallery: person 1 by camera 1 at 1 and at 3, by the own camera at 0.5 (left out);
# person 2 at 2. Rank 1 if position 1 is sampled, rank 2 if 3 is.
def test_a_sampled_gallery():
    query = line([0], [1], [0])
    gallery = line([1, 3, 0.5, 2], [1, 1, 1, 2], [1, 1, 0, 0])
    ranks = sampled_ranks(query, gallery, num_repeats=1000)
    assert ranks.shape == (1, 1000) and set(ranks.flatten().tolist()) == {1, 2}
    scores = sampled_cmc(ranks, (1, 2))
    assert scores['Rank-1'] == pytest.approx(0.5, abs=0.05) and scores['Rank-2'] == 1.0
    # With the own camera kept two images of three are nearer than person 2.
    assert sampled_cmc(sampled_ranks(query, gallery, same_camera='keep', num_repeats=1000), (1,))['Rank-1'] == (
        pytest.approx(2 / 3, abs=0.05)
    )


@pytest.mark.parametrize('distance', ['euclidean', 'cosine'])
@pytest.mark.parametrize('same_camera', ['drop', 'keep'])
@pytest.mark.parametrize('chunk', [60, 100, 10**6])
def test_sampled_ranks_equal_a_naive_loop(monkeypatch, distance, same_camera, chunk):
    monkeypatch.setattr(distances, 'CHUNK_ELEMENTS', chunk)
    torch.manual_seed(0)
    query, gallery = images(20), images(50)
    query.pids[3] = 99  # a person without a match
    ranks = sampled_ranks(query, gallery, distance, same_camera, num_repeats=4, seed=5)
    assert ranks.tolist() == naive_sampled_ranks(query, gallery, distance, same_camera, 4, 5)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_sampled_ranks_of_any_small_gallery_equal_a_naive_loop(data):
    def few_images(count):
        numbers = st.lists(st.integers(0, 3), min_size=count, max_size=count)
        return line(data.draw(numbers), data.draw(numbers), data.draw(numbers))

    query, gallery = few_images(data.draw(st.integers(1, 4))), few_images(data.draw(st.integers(1, 12)))
    expected = naive_sampled_ranks(query, gallery, num_repeats=3)
    if expected:
        assert sampled_ranks(query, gallery, num_repeats=3).tolist() == expected
    else:
        with pytest.raises(DataError, match='ANOTHER camera'):
            sampled_ranks(query, gallery, num_repeats=3)


def test_samples_follow_the_seed():
    torch.manual_seed(0)
    query, gallery = images(20), images(60)
    first, again, other = (sampled_ranks(query, gallery, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize('which', ['query', 'gallery'])
def test_empty_sets_to_sample_are_named(which):
    sets = dict(query=line([0], [1], [0]), gallery=line([1], [1], [1]))
    sets[which] = line([], [], [])
    with pytest.raises(DataError, match=f'the {which} set is empty'):
        sampled_ranks(**sets)


def released_cmc(query, gallery, monkeypatch):
    rank = pytest.importorskip('torchreid.reid.metrics.rank', reason="needs the extra 'peer'")
    # It uses np.bool, which numpy has dropped.
    monkeypatch.setattr(rank.np, 'bool', bool, raising=False)
    distmat = pairwise_distance(query.features, gallery.features).numpy()
    arrays = (t.numpy() for t in (query.pids, gallery.pids, query.camids, gallery.camids))
    return rank.eval_cuhk03(distmat, *arrays, max_rank=5)[0]


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')
def test_the_mean_of_many_repeats_is_that_of_the_released_code(monkeypatch):
    torch.manual_seed(0)
    query, gallery = images(40), images(120)
    theirs = sum(released_cmc(query, gallery, monkeypatch) for _ in range(20)) / 20
    mine = sampled_cmc(sampled_ranks(query, gallery, num_repeats=2000), topk=(1, 2, 3, 4, 5))
    # Theirs samples anew for each query: 8,000 samples have a standard error below 0.006.
    assert list(mine.values()) == pytest.approx(theirs.tolist(), abs=0.02)


@pytest.fixture
def sets():
    random = np.random.RandomState(0)

    def embeddings(number, pids):
        features = torch.tensor(random.randn(number, 4), dtype=torch.float32)
        return Embeddings(features, torch.tensor(pids), torch.tensor(random.randint(0, 3, number)))

    # The last query's person is nowhere else.
    query = embeddings(7, [1, 2, 3, 1, 2, 3, 9])
    gallery = embeddings(40, random.randint(1, 5, 40))
    records = [
        [dict(img_path=f'{name}{i}.jpg', pid=pid) for i, pid in enumerate(part.pids.tolist())]
        for name, part in (('q', query), ('g', gallery))
    ]
    return QueryGallery(*records, query, gallery)


def naive_list(sets, index, distmat):
    """Gallery images of a query, nearest first, without those of its person by its camera; and its matches."""
    pid, camid = sets.query_set.pids[index], sets.query_set.camids[index]
    same = sets.gallery_set.pids == pid
    kept = [
        g for g in np.argsort(distmat[index], kind='stable') if not (same[g] and sets.gallery_set.camids[g] == camid)
    ]
    return kept, [bool(same[g]) for g in kept]


@pytest.mark.parametrize('rerank', [False, True])
def test_figures_of_a_query_by_a_naive_loop(sets, rerank):
    query, gallery = sets.query_set, sets.gallery_set
    distance = ReRankedDistances(query.features, gallery.features) if rerank else 'euclidean'
    distmat = distance.rows(0, 7) if rerank else pairwise_distance(query.features, gallery.features)
    distmat = distmat.numpy().astype(float)
    counts, ranks = match_ranks(query, gallery, distance)
    chosen = [4, 0, 5]
    for index, shown in zip(chosen, sets.show(chosen, counts, ranks, distance, k=6), strict=True):
        kept, matches = naive_list(sets, index, distmat)
        hits = np.flatnonzero(matches)
        assert (shown.img_path, shown.pid) == (f'q{index}.jpg', sets.queries[index]['pid'])
        assert shown.camid == int(query.camids[index])
        assert shown.camids == [int(gallery.camids[g]) for g in kept[:6]]
        assert shown.num_matches == len(hits) and shown.first_rank == hits[0] + 1
        assert shown.ap == pytest.approx(np.mean([(i + 1) / (hit + 1) for i, hit in enumerate(hits)]))
        assert [(path, match) for path, _, _, match in shown.gallery] == [
            (f'g{g}.jpg', match) for g, match in zip(kept[:6], matches, strict=False)
        ]
        expected = [distmat[index, g] if rerank else distmat[index, g] ** 0.5 for g in kept[:6]]
        assert [row[2] for row in shown.gallery] == pytest.approx(expected, rel=1e-5)


def test_mean_of_average_precisions_is_map(sets):
    counts, ranks = match_ranks(sets.query_set, sets.gallery_set)
    aps = average_precisions(counts, ranks)
    assert len(aps) == 6 and counts[6] == 0
    assert aps.mean().item() == retrieval_scores(counts, ranks)['mAP']


def test_chosen_rows(sets):
    distances = ReRankedDistances(sets.query_set.features, sets.gallery_set.features)
    rows = ChosenRows(distances, [5, 2, 2]).rows(1, 3)
    torch.testing.assert_close(rows, distances.rows(2, 3).repeat(2, 1))


@pytest.mark.parametrize('seed', range(20))
def test_trapezoids_equal_the_official_code_of_mars_with_queries_and_junk_in_the_gallery(seed):
    torch.manual_seed(seed)
    # Every person (1 to 6) is seen by every camera, so that all queries have a match; some tracklets are ties.
    pids = torch.cat([torch.arange(1, 7).repeat(4), torch.randint(-1, 7, (60,))])
    camids = torch.cat([torch.arange(4).repeat_interleave(6), torch.randint(0, 4, (60,))])
    features = torch.randint(0, 4, (84, 2)).float() if seed % 2 else torch.randn(84, 8)
    order = torch.randperm(84)
    whole = Embeddings(features, pids, camids)[order]
    queries = torch.cat([(order == i).nonzero()[0] for i in torch.randperm(24)[:15]])
    query, without_junk = whole[queries], whole[whole.pids != -1]
    distmat = pairwise_distance(query.features, whole.features, 'euclidean')
    mean_ap, cmc = official_mars(distmat, query, whole)
    counts, ranks = match_ranks(query, without_junk)
    assert (counts > 0).all()
    assert retrieval_scores(counts, ranks, average_precision='trapezoid')['mAP'] == pytest.approx(mean_ap, abs=1e-12)
    # Of the official curve, the part beyond the gallery without junk is constant.
    assert cmc_curve(counts, ranks, len(cmc)).tolist() == pytest.approx(cmc.tolist(), abs=1e-12)


def test_trapezoids_by_hand():
    counts, ranks = torch.tensor([2, 0, 1]), torch.tensor([1, 4, 3])
    # Ranks 1 and 4: ((1 + 1) / 2 + (1/3 + 2/4) / 2) / 2. Rank 3: (0 + 1/3) / 2.
    expected = [(1 + (1 / 3 + 1 / 2) / 2) / 2, 1 / 6]
    assert average_precisions(counts, ranks, 'trapezoid').tolist() == pytest.approx(expected, abs=1e-15)
    assert average_precisions(counts, ranks).tolist() == [0.75, pytest.approx(1 / 3)]
    with pytest.raises(ValueError, match='triangle'):
        average_precisions(counts, ranks, 'triangle')
