import numpy as np
import pytest
import torch

from mmosnet.evaluation.distances import Embeddings, pairwise_distance
from mmosnet.evaluation.ranking import average_precisions, match_ranks, retrieval_scores
from mmosnet.evaluation.re_ranking import ReRankedDistances
from mmosnet.evaluation.shown_query import ChosenRows, QueryGallery


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
