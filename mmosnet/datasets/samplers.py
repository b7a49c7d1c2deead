"""Samplers whose batches hold equally many images of several identities, cameras or data sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmosnet.datasets.base import ReIDDataset
from mmosnet.errors import DataError
from mmosnet.registry import DATA_SAMPLERS


class GroupSampler(Sampler):
    """Base of samplers that compose batches of images of several groups.

    The order depends on the pair (seed, epoch) alone, so that a resumed epoch equals an uninterrupted one. The ranks
    take turns batch by batch.

    Args:
        dataset: A re-identification data set.
        key: Key of the records whose value is the group of an image.
        batch_size: Images per batch.
        seed: Same seed on all ranks; None samples one and shares it.

    Attributes:
        members: Indices of the images of each group, in ascending order of the groups.
        num_batches: Batches per epoch and rank; subclasses set it.

    Raises:
        DataError: A record has no ``key``.
    """

    num_batches: int

    def __init__(self, dataset: ReIDDataset, key: str, batch_size: int, seed: int | None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.batch_size = batch_size
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        members = defaultdict(list)
        for index in range(len(dataset)):
            record = dataset.get_data_info(index)
            if key not in record:
                raise DataError(
                    f"{type(self).__name__}: records have no {key!r}; choose 'camid', or 'source' of MultiSource"
                )
            members[record[key]].append(index)
        self.members = [np.array(members[group]) for group in sorted(members)]

    def batches(self, random: np.random.Generator) -> Iterator[list[int]]:
        """Yield batches of indices without end."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Return the number of samples per epoch and rank."""
        return self.num_batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        batches = self.batches(np.random.default_rng((self.seed, self.epoch)))
        # Every rank composes every batch, so that all have the same random state, and keeps its own.
        for number, batch in zip(range(self.num_batches * self.world_size), batches, strict=False):
            if number % self.world_size == self.rank:
                yield from batch

    def set_epoch(self, epoch: int) -> None:
        """Select the order of an epoch, counted from 0."""
        self.epoch = epoch


@DATA_SAMPLERS.register_module()
class PKSampler(GroupSampler):
    """Orders an epoch so that each batch holds P identities with K images each.

    mmpretrain's samplers have no identities. An identity's images are shuffled and cut into groups of K (an identity
    with fewer than K images repeats some); batches take groups of P identities that still have one. When fewer than P
    are left, the last batches are completed with other identities. The order depends on the pair (seed, epoch) alone,
    so that a resumed epoch equals an uninterrupted one, and the ranks take turns batch by batch.

    The loader's ``batch_size`` must be ``num_pids * num_instances``; :class:`~mmosnet.engine.NumClassesHook` checks it.

    Args:
        dataset: A re-identification data set.
        num_pids: P, identities per batch.
        num_instances: K, images per identity.
        seed: Same seed on all ranks; None samples one and shares it.

    Raises:
        DataError: Fewer than two identities, in the data set or as P; the data set has fewer than P, or too few
            batches for the number of ranks.
    """

    def __init__(
        self, dataset: ReIDDataset, num_pids: int = 16, num_instances: int = 4, seed: int | None = None
    ) -> None:
        super().__init__(dataset, 'pid', num_pids * num_instances, seed)
        self.num_pids = num_pids
        self.num_instances = num_instances
        if len(self.members) < 2 or num_pids < 2:
            raise DataError(
                f'PKSampler: num_pids={num_pids} of {len(self.members)} identities: a batch needs two or more, because '
                'one identity alone has nobody to be distinguished from'
            )
        if len(self.members) < num_pids:
            raise DataError(
                f'PKSampler: num_pids={num_pids}, and the data set has {len(self.members)} identities; lower '
                'num_pids, and batch_size to num_pids * num_instances'
            )
        num_groups = sum(max(1, len(indices) // num_instances) for indices in self.members)
        self.num_batches = num_groups // num_pids // self.world_size
        if self.num_batches == 0:
            raise DataError(
                f'PKSampler: {num_groups} groups of {num_instances} images give less than one batch of {num_pids} '
                f'identities for each of {self.world_size} processes; lower num_pids or the number of processes'
            )

    def batches(self, random: np.random.Generator) -> Iterator[list[int]]:
        """Yield batches of one group from each of P identities; an identity without groups is shuffled again."""
        groups = [self._groups(indices, random) for indices in self.members]
        while True:
            waiting = [i for i, rest in enumerate(groups) if rest]
            if len(waiting) >= self.num_pids:
                # By the groups left: else the identity with the most images would end up alone.
                left = np.array([len(groups[i]) for i in waiting])
                chosen = random.choice(waiting, self.num_pids, replace=False, p=left / left.sum())
            else:
                others = [i for i, rest in enumerate(groups) if not rest]
                chosen = [*waiting, *random.choice(others, self.num_pids - len(waiting), replace=False)]
            batch = []
            for i in chosen:
                group = groups[i].pop() if groups[i] else self._groups(self.members[i], random)[0]
                batch.extend(group.tolist())
            yield batch

    def _groups(self, indices: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
        """Split one identity's images into groups of K at random."""
        if len(indices) < self.num_instances:
            repeats = random.choice(indices, self.num_instances - len(indices))
            return [np.concatenate([random.permutation(indices), repeats])]
        shuffled = random.permutation(indices)
        count = len(shuffled) // self.num_instances
        return np.split(shuffled[: count * self.num_instances], count)


@DATA_SAMPLERS.register_module()
class BalancedSampler(GroupSampler):
    """Orders an epoch so that each batch holds the same number of images of some cameras, or of some data sets.

    Otherwise a large camera or data set would dominate the batches. Each batch takes ``num_groups`` groups and an equal
    share of the batch from each. A group's images are shuffled, and again when they are used up; an epoch has as many
    batches as the data set has whole ones. The order depends on the pair (seed, epoch) alone; the ranks take turns
    batch by batch.

    Args:
        dataset: A re-identification data set.
        batch_size: The loader's batch size; a multiple of ``num_groups``.
        key: ``'camid'``, or ``'source'`` of :class:`~mmosnet.datasets.MultiSource`.
        num_groups: Groups per batch; all of them by default.
        seed: Same seed on all ranks; None samples one and shares it.

    Raises:
        DataError: Records without ``key``, fewer groups than ``num_groups``, a batch that cannot be shared equally, or
            too few images.
    """

    def __init__(
        self,
        dataset: ReIDDataset,
        batch_size: int,
        key: str = 'camid',
        num_groups: int | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(dataset, key, batch_size, seed)
        self.num_groups = len(self.members) if num_groups is None else num_groups
        if not 1 <= self.num_groups <= len(self.members):
            raise DataError(f'BalancedSampler: num_groups={num_groups}, and there are {len(self.members)} {key}s')
        if batch_size % self.num_groups:
            raise DataError(
                f'BalancedSampler: batch_size={batch_size} cannot be shared equally by {self.num_groups} {key}s; make '
                'it a multiple, or set num_groups'
            )
        self.num_batches = len(dataset) // batch_size // self.world_size
        if self.num_batches == 0:
            raise DataError(
                f'BalancedSampler: {len(dataset)} images give less than one batch of {batch_size} for each of '
                f'{self.world_size} processes'
            )

    def batches(self, random: np.random.Generator) -> Iterator[list[int]]:
        """Yield batches of equal shares of ``num_groups`` random groups."""
        waiting = [random.permutation(indices) for indices in self.members]
        share = self.batch_size // self.num_groups
        while True:
            batch = []
            for group in random.choice(len(self.members), self.num_groups, replace=False):
                while len(waiting[group]) < share:
                    waiting[group] = np.concatenate([waiting[group], random.permutation(self.members[group])])
                batch.extend(waiting[group][:share].tolist())
                waiting[group] = waiting[group][share:]
            yield batch
