from collections import Counter

import pytest

from mmosnet.datasets import BalancedSampler


class Records:
    """A data set whose group 0 is much larger than the others."""

    def __init__(self, sizes=(50, 6, 4)):
        self.groups = [group for group, size in enumerate(sizes) for _ in range(size)]

    def __len__(self):
        return len(self.groups)

    def get_data_info(self, index):
        return dict(camid=self.groups[index])


def batches(sampler):
    order = list(sampler)
    assert len(order) == len(sampler)
    return [order[i : i + sampler.batch_size] for i in range(0, len(order), sampler.batch_size)]


def test_every_batch_has_equal_shares():
    dataset = Records()
    for batch in batches(BalancedSampler(dataset, 12, seed=0)):
        assert Counter(dataset.groups[i] for i in batch) == {0: 4, 1: 4, 2: 4}
    for batch in batches(BalancedSampler(dataset, 12, num_groups=2, seed=0)):
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


def test_ranks_share_the_batches(monkeypatch):
    whole = batches(BalancedSampler(Records(), 12, seed=0))
    parts = []
    for rank in range(2):
        monkeypatch.setattr('mmosnet.datasets.balanced_sampler.get_dist_info', lambda rank=rank: (rank, 2))
        parts.append(batches(BalancedSampler(Records(), 12, seed=0)))
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
