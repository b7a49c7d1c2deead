from __future__ import annotations

from collections import Counter

import pytest

from mmosnet.datasets import BalancedSampler, Market1501, PKSampler
from mmosnet.errors import DataError
from tests.conftest import write_market


class Pids:
    """A data set that is nothing but its identities."""

    def __init__(self, counts):
        self.pids = [pid for pid, count in counts.items() for _ in range(count)]

    def __len__(self):
        return len(self.pids)

    def get_data_info(self, index):
        return dict(pid=self.pids[index])


COUNTS = {3: 8, 5: 4, 9: 9, 11: 1, 20: 6, 31: 4}


def batches(sampler, dataset, size):
    indices = list(sampler)
    assert len(indices) == len(sampler)
    return [[dataset.pids[i] for i in indices[j : j + size]] for j in range(0, len(indices), size)]


def test_every_batch_has_p_identities_with_k_images():
    dataset = Pids(COUNTS)
    sampler = PKSampler(dataset, num_pids=3, num_instances=4, seed=0)
    # Groups of 4: 2 + 1 + 2 + 1 + 1 + 1.
    assert len(sampler) == 8 // 3 * 12
    for batch in batches(sampler, dataset, 12):
        assert sorted(Counter(batch).values()) == [4, 4, 4]


def test_instances_are_different_images_where_there_are_enough():
    dataset = Pids(dict.fromkeys(range(6), 8))
    sampler = PKSampler(dataset, num_pids=3, num_instances=4, seed=1)
    indices = list(sampler)
    for start in range(0, 48, 12):
        assert len(set(indices[start : start + 12])) == 12
    # 12 groups give 4 batches of 3: nearly all images, a few twice where the last batch had to fill up.
    assert len(set(indices)) >= 40


def test_epochs_differ_and_repeat():
    dataset = Pids(COUNTS)
    sampler = PKSampler(dataset, num_pids=2, num_instances=2, seed=0)
    orders = []
    for epoch in (0, 1, 2, 1):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert orders[0] != orders[1] != orders[2]
    # What a resumed run draws.
    assert orders[3] == orders[1]
    # The pair, not the sum: two seeds share no epoch.
    assert list(PKSampler(dataset, 2, 2, seed=1)) not in orders


def test_last_batches_fill_up_with_identities_drawn_anew():
    # One identity has all the groups: it must not come twice in a batch.
    dataset = Pids({1: 40, 2: 2, 3: 2})
    sampler = PKSampler(dataset, num_pids=2, num_instances=2, seed=0)
    for batch in batches(sampler, dataset, 4):
        assert sorted(Counter(batch).values()) == [2, 2]


@pytest.mark.parametrize('world_size', [2, 3])
def test_ranks_share_the_batches(monkeypatch, world_size):
    dataset = Pids(dict.fromkeys(range(9), 8))
    shares = []
    for rank in range(world_size):
        monkeypatch.setattr('mmosnet.datasets.samplers.get_dist_info', lambda rank=rank: (rank, world_size))
        shares.append(batches(PKSampler(dataset, 3, 2, seed=0), dataset, 6))
    monkeypatch.undo()
    alone = batches(PKSampler(dataset, 3, 2, seed=0), dataset, 6)
    together = [batch for turn in zip(*shares, strict=True) for batch in turn]
    assert together == alone[: len(together)]
    assert len(together) == len(alone) // world_size * world_size


def test_too_few_identities_or_images():
    with pytest.raises(DataError, match='num_pids=16, and the data set has 6 identities'):
        PKSampler(Pids(COUNTS), num_pids=16, seed=0)


def test_more_processes_than_batches(monkeypatch):
    monkeypatch.setattr('mmosnet.datasets.samplers.get_dist_info', lambda: (0, 8))
    with pytest.raises(DataError, match='less than one batch of 6 identities for each of 8 processes'):
        PKSampler(Pids(COUNTS), num_pids=6, num_instances=4, seed=0)


@pytest.mark.parametrize(('people', 'num_pids'), [(1, 1), (1, 2), (3, 1)])
def test_a_batch_of_one_person_teaches_nothing(tmp_path, people, num_pids):
    write_market(tmp_path, num_train=people)
    with pytest.raises(DataError, match=f'num_pids={num_pids} of {people} identities'):
        PKSampler(Market1501(str(tmp_path), check_counts=False), num_pids=num_pids, num_instances=2, seed=0)


class Records:
    """A data set whose group 0 is much larger than the others."""

    def __init__(self, sizes=(50, 6, 4)):
        self.groups = [group for group, size in enumerate(sizes) for _ in range(size)]

    def __len__(self):
        return len(self.groups)

    def get_data_info(self, index):
        return dict(camid=self.groups[index])


def balanced_sampler_batches(sampler):
    order = list(sampler)
    assert len(order) == len(sampler)
    return [order[i : i + sampler.batch_size] for i in range(0, len(order), sampler.batch_size)]


def test_every_batch_has_equal_shares():
    dataset = Records()
    for batch in balanced_sampler_batches(BalancedSampler(dataset, 12, seed=0)):
        assert Counter(dataset.groups[i] for i in batch) == {0: 4, 1: 4, 2: 4}
    for batch in balanced_sampler_batches(BalancedSampler(dataset, 12, num_groups=2, seed=0)):
        assert sorted(Counter(dataset.groups[i] for i in batch).values()) == [6, 6]


def test_a_group_is_used_up_before_it_repeats():
    sampler = BalancedSampler(Records((20, 20)), 10, seed=1)
    assert sorted(sampler) == list(range(40))
    small = [i for i in BalancedSampler(Records(), 12, seed=1) if i >= 56]
    # Five batches draw four each of the last four images.
    assert Counter(small) == dict.fromkeys(range(56, 60), 5)


def test_order_depends_on_seed_and_epoch():
    def order(seed, epoch):
        sampler = BalancedSampler(Records(), 12, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 0) == order(0, 0) != order(0, 1)
    # The pair, not the sum: two seeds share no epoch.
    assert order(0, 1) != order(1, 0)


def test_balanced_sampler_ranks_share_the_batches(monkeypatch):
    whole = balanced_sampler_batches(BalancedSampler(Records(), 12, seed=0))
    parts = []
    for rank in range(2):
        monkeypatch.setattr('mmosnet.datasets.samplers.get_dist_info', lambda rank=rank: (rank, 2))
        parts.append(balanced_sampler_batches(BalancedSampler(Records(), 12, seed=0)))
    assert parts[0] == whole[0:4:2] and parts[1] == whole[1:4:2]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(batch_size=12, key='source'), "records have no 'source'"),
        (dict(batch_size=12, num_groups=4), 'num_groups=4, and there are 3 camids'),
        (dict(batch_size=16), 'batch_size=16 cannot be shared equally by 3 camids'),
        (dict(batch_size=120), '60 images give less than one batch of 120'),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        BalancedSampler(Records(), seed=0, **options)
