from __future__ import annotations

import numpy as np
import pytest
import torch

from mmosnet.errors import DataError
from mmosnet.evaluation.distances import Embeddings
from mmosnet.evaluation.ranking import QueryGallery, average_precisions, match_ranks
from mmosnet.visualization.ranked_lists import Choice, chosen_queries


@pytest.fixture
def sets():
    """Twenty queries of five people, the last without a match, on a line with noise."""
    random = np.random.RandomState(0)

    def part(pids, camid):
        features = torch.tensor(np.array(pids)[:, None] + random.randn(len(pids), 1), dtype=torch.float32)
        camids = torch.full((len(pids),), camid)
        return [dict(img_path='', pid=pid) for pid in pids], Embeddings(features, torch.tensor(pids), camids)

    queries, query_set = part([i % 5 for i in range(19)] + [99], 0)
    gallery, gallery_set = part([i % 5 for i in range(40)], 1)
    return QueryGallery(queries, gallery, query_set, gallery_set)


def test_worst_queries_come_first(sets):
    counts, ranks = match_ranks(sets.query_set, sets.gallery_set)
    aps = average_precisions(counts, ranks).numpy()
    assert len(set(aps)) > 10
    assert chosen_queries(sets, counts, ranks, Choice(4, worst=True)) == np.argsort(aps, kind='stable')[:4].tolist()
    of_two = [i for i in np.argsort(aps, kind='stable').tolist() if i % 5 in (1, 3)]
    assert chosen_queries(sets, counts, ranks, Choice(5, worst=True, pids=[1, 3])) == of_two[:5]


def test_queries_are_spread_and_have_a_match(sets):
    counts, ranks = match_ranks(sets.query_set, sets.gallery_set)
    assert chosen_queries(sets, counts, ranks, Choice(300)) == list(range(19))
    assert chosen_queries(sets, counts, ranks, Choice(4)) == [0, 4, 9, 14]
    assert chosen_queries(sets, counts, ranks, Choice(300, pids=[4])) == [4, 9, 14]
    with pytest.raises(DataError, match='no query with a match shows identity 99; there are 5 identities, from 0 to 4'):
        chosen_queries(sets, counts, ranks, Choice(pids=[99]))


def test_options_that_exclude_each_other():
    with pytest.raises(DataError, match='leave out --worst and --pid'):
        Choice(worst=True, paths=['a.jpg'])
    for wrong in (dict(number=0), dict(number=301), dict(top_k=0)):
        with pytest.raises(DataError, match='choose 1 to 300'):
            Choice(**wrong)


def test_title():
    assert Choice().text == 'queries, spread over the set'
    text = 'queries, of identity 1, 3, lowest average precision first, re-ranked'
    assert Choice(worst=True, pids=[1, 3], rerank=True).text == text
    assert Choice(paths=['a.jpg']).text == 'chosen queries'
