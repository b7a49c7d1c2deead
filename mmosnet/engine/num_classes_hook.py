"""A check that heads, checkpoint, data sets and batches agree, before the first batch."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from mmpretrain.models import ClsHead, MultiLabelClsHead
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmosnet.datasets.samplers import BalancedSampler, PKSampler
from mmosnet.errors import DataError
from mmosnet.models.heads import JointHead, ReIDHead
from mmosnet.models.losses import TripletLoss
from mmosnet.registry import HOOKS


@HOOKS.register_module()
class NumClassesHook(Hook):
    """Compare each head's ``num_classes``, and the names of its outputs, with the data sets.

    ``num_classes`` must fit the identities, attributes or categories of the training set; the names of attributes and
    categories must be those of the data set to evaluate.

    Without it a head that is too small fails inside the loss (on a GPU with an unrelated-looking assertion), one that
    is too large trains with dead outputs, and attributes in another order are scored as each other. mmdet's
    ``NumClassCheckHook`` needs class names and compares numbers alone.

    Batches must be as the sampler makes them up, P identities with K images each, and hold what a triplet loss
    compares: it is 0 for people with a single image in their batch.
    """

    def before_train(self, runner: Runner) -> None:
        """Raise an error if the numbers differ.

        Raises:
            DataError: Names both numbers and the option to set, the first name that differs, or a single class.
        """
        metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', {})
        loop = getattr(runner, 'val_loop', None)
        if loop is not None:
            compare_names(_head(runner), metainfo, 'The training set', _metainfo(loop))
        check_batches(runner.train_dataloader, _head(runner), runner.logger)
        for option, head in _heads(_head(runner)):
            what, found = _labels(head, metainfo)
            if found == 1 and what != 'attributes':
                raise DataError(
                    f'The training set has 1 of the {what} to tell apart: the loss would be 0, and nothing learned. '
                    'Train with two or more'
                )
            num_classes = getattr(head, 'num_classes', None)
            if None not in (found, num_classes) and found != num_classes:
                raise DataError(
                    f'The training set has {found} {what} and the head {num_classes} classes; set '
                    f'{option}.num_classes={found} (--cfg-options {option}.num_classes={found})'
                )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the names saved in a checkpoint with those of the data set that it is tested on.

        Raises:
            DataError: Names the first that differs.
        """
        if isinstance(runner._train_loop, BaseLoop):
            return
        trained = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
        for loop in (runner._test_loop, runner._val_loop):
            if isinstance(loop, BaseLoop):
                compare_names(_head(runner), trained, f'The training set of {runner._load_from}', _metainfo(loop))


def _head(runner: Runner) -> nn.Module | None:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return getattr(model, 'head', None)


def _metainfo(loop: BaseLoop) -> Mapping:
    return getattr(loop.dataloader.dataset, 'metainfo', {})


def compare_names(head: nn.Module | None, trained: Mapping, place: str, metainfo: Mapping) -> None:
    """Compare the names that the heads were trained for with those of the data set to evaluate.

    Args:
        head: Head of the model.
        trained: Facts of the training set: ``attributes``, ``classes``.
        place: Origin of the trained names, for error messages.
        metainfo: Facts of the data set to evaluate.

    Raises:
        DataError: Names the first that differs.
    """
    for _, part in _heads(head):
        key = _names_key(part)
        names, others = ([str(name) for name in facts.get(key) or ()] for facts in (trained, metainfo))
        # Different numbers are the metrics' matter: they know what to set.
        if len(names) == len(others) and names != others:
            first = next(i for i, pair in enumerate(zip(names, others, strict=True)) if len(set(pair)) > 1)
            raise DataError(
                f'{place} calls output {first} of the {key} {names[first]!r} and the data set to evaluate '
                f'{others[first]!r}: they would be scored as each other. Give both data sets the same {key}=[...], '
                'in the same order'
            )


def check_batches(loader: DataLoader, head: nn.Module | None, logger: logging.Logger) -> None:
    """Compare a training loader's batches with its sampler and with a triplet loss of the model.

    Raises:
        DataError: The batch is not the sampler's, or no batch can hold two images of a person.
    """
    sampler, batch_size = getattr(loader, 'sampler', None), getattr(loader, 'batch_size', None)
    if isinstance(sampler, PKSampler):
        wanted = sampler.num_pids * sampler.num_instances
        source = f'num_pids={sampler.num_pids} x num_instances={sampler.num_instances}'
    elif isinstance(sampler, BalancedSampler):
        wanted, source = sampler.batch_size, f'batch_size={sampler.batch_size}'
    else:
        wanted = batch_size
    # None where a batch sampler decides.
    if batch_size not in (None, wanted):
        raise DataError(
            f'The loader has batch_size={batch_size} and its {type(sampler).__name__} {source}: set '
            f'train_dataloader.batch_size={wanted}, or the settings of train_dataloader.sampler'
        )
    if not batch_size or not any(
        isinstance(getattr(part, 'metric_loss', None), TripletLoss) for _, part in _heads(head)
    ):
        return
    if isinstance(sampler, PKSampler):
        share = 1.0 if sampler.num_instances > 1 else 0.0
    else:
        share = _share_with_positives(loader.dataset, batch_size)
    remedy = "train_dataloader.sampler=dict(_delete_=True, type='mmosnet.PKSampler', num_pids=P, num_instances=K)"
    if share == 0:
        raise DataError(
            f'TripletLoss: no batch of {batch_size} holds two images of a person, the loss would be 0. Take {remedy} '
            'with K of 2 or more, and batch_size P x K'
        )
    if share < 0.5:
        logger.warning(
            f'TripletLoss: {share:.0%} of the images have another one of their person in a batch of {batch_size}, the '
            f'others count for nothing: consider {remedy}'
        )


def _share_with_positives(dataset: Dataset, batch_size: int) -> float:
    """Return the share of images that can expect another image of their person in a random batch."""
    counts = Counter(dataset.get_data_info(index).get('pid') for index in range(len(dataset)))
    counts.pop(None, None)
    total = sum(counts.values())
    # Of the total - 1 other images, none of the n - 1 of this person is among batch_size - 1.
    alone = (n * (1 - (n - 1) / max(total - 1, 1)) ** (batch_size - 1) for n in counts.values())
    return 1 - sum(alone) / total if total else 1.0


def _heads(head: nn.Module | None) -> Iterator[tuple[str, nn.Module | None]]:
    """Iterate over the heads, each with its place in the config."""
    if isinstance(head, JointHead):
        for task, part in head.heads.items():
            yield f'model.head.heads.{task}', part
    else:
        yield 'model.head', head


def _labels(head: nn.Module | None, metainfo: Mapping) -> tuple[str, int | None]:
    """Return what a head predicts, and how many of them the data set has; None where it does not say."""
    if isinstance(head, ReIDHead):
        return 'identities', metainfo.get('num_train_pids')
    key = _names_key(head)
    names = metainfo.get(key)
    return ('categories' if key == 'classes' else key, len(names)) if names else ('', None)


def _names_key(head: nn.Module | None) -> str:
    """Return the metadata key under which a data set names a head's outputs; empty for a head without."""
    if isinstance(head, MultiLabelClsHead):
        return 'attributes'
    return 'classes' if isinstance(head, ClsHead) and not isinstance(head, ReIDHead) else ''
