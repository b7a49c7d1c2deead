"""What can be wrong with a data set, found before a network trains on it: reads every image once and compares all."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, DefaultScope
from mmengine.utils import track_iter_progress

from mmosnet.datasets.person_image import LoadPersonImage
from mmosnet.datasets.reid_dataset import ReIDDataset
from mmosnet.errors import DataError

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@dataclass(frozen=True)
class Part:
    """One split of one data set.

    Attributes:
        name: ``'train'``, ``'query'``, ``'gallery'``; a second data set's splits are called ``'query 2'`` and so on.
        split: Without the number.
        dataset: Data set that it comes from.
        records: Records of this split.
    """

    name: str
    split: str
    dataset: ReIDDataset
    records: list[dict]

    def person(self, pid: int) -> str:
        """Return the name of an identity, or its number where it has no name."""
        return self.dataset.pid_names.get(pid, str(pid))

    def pids(self) -> set[int]:
        """Return the identities, distractors excluded."""
        return {record['pid'] for record in self.records} - {self.dataset.distractor_pid}


@dataclass(frozen=True)
class ImageFacts:
    """What reading an image tells.

    Attributes:
        height: Height in pixels.
        width: Width in pixels.
        digest: Equal for images with equal pixels.
        error: Why it cannot be read; empty if it can.
    """

    height: int
    width: int
    digest: str
    error: str = ''


def name_fields(cfg: Config, **fields: str | None) -> None:
    """Return the name fields of the annotations in a config's COCO data sets.

    Args:
        cfg: Changed in place.
        **fields: ``id_key``, ``camera_key``; None leaves the config's.

    Raises:
        DataError: A field is named, but the config has no COCO data set.
    """
    named = {key: value for key, value in fields.items() if value is not None}
    found = [
        settings
        for name in LOADERS
        for settings in _single_sets((cfg.get(name) or {}).get('dataset'))
        if settings['type'].rpartition('.')[2] == 'CocoPerson'
    ]
    if named and not found:
        option = '--' + next(iter(named)).replace('_', '-')
        raise DataError(f'{option} needs a config with mmosnet.CocoPerson, as configs/osnet_reid_coco.py')
    for settings in found:
        settings.update(named)


def load_parts(cfg: Config) -> tuple[list[Part], list[str]]:
    """Build every different data set of a config's loaders once, without its pipeline.

    Returns:
        The splits, and the errors of data sets that could not be built.
    """
    parts, errors, seen = [], [], []
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        for name in LOADERS:
            for settings in _single_sets((cfg.get(name) or {}).get('dataset')):
                kept = {key: value for key, value in settings.items() if key not in ('pipeline', 'test_mode')}
                # Bad images are listed here, whatever training does with them.
                kept.pop('bad_images', None)
                if kept in seen:
                    continue
                seen.append(kept)
                try:
                    dataset = DATASETS.build(dict(kept, test_mode=True))
                except (DataError, FileNotFoundError) as e:
                    # The splits of a table are refused for the same row.
                    errors += [str(e)] if str(e) not in errors else []
                    continue
                if not isinstance(dataset, ReIDDataset):
                    raise DataError(f'{settings["type"]} in {name} is no re-identification data set')
                parts += _parts_of(dataset, [part.name for part in parts])
    return parts, errors


def _single_sets(settings: ConfigDict | None) -> Iterator[ConfigDict]:
    """List the data sets inside wrappers such as ``ConcatDataset`` and ``RepeatDataset``."""
    if settings is None:
        return
    inner = settings.get('datasets') or ([settings['dataset']] if 'dataset' in settings else [])
    if not inner:
        yield settings
    for each in inner:
        yield from _single_sets(each)


def _parts_of(dataset: ReIDDataset, taken: list[str]) -> list[Part]:
    by_split = defaultdict(list)
    for index in range(len(dataset)):
        record = dataset.get_data_info(index)
        by_split[record['split']].append(record)
    parts = []
    for split, records in by_split.items():
        number = 1 + sum(name.split()[0] == split for name in taken)
        parts.append(Part(split if number == 1 else f'{split} {number}', split, dataset, records))
    return parts


def image_facts(record: dict) -> ImageFacts:
    """Read one image as training would, and return its size and digest."""
    try:
        image = LoadPersonImage()(dict(record))['img']
    except DataError as e:
        return ImageFacts(0, 0, '', str(e))
    height, width = image.shape[:2]
    digest = hashlib.blake2b(f'{height}x{width}'.encode(), digest_size=16)
    digest.update(image.data)
    return ImageFacts(height, width, digest.hexdigest())


def read_images(parts: Sequence[Part], num_workers: int | None = None) -> dict[str, ImageFacts]:
    """Read all images, each path once, with a progress bar on a terminal.

    Threads and not processes: the decoders run side by side, and nothing is forked under a running torch.

    Args:
        parts: Result of :func:`load_parts`.
        num_workers: Threads; one for each processor by default.

    Returns:
        Facts by path.
    """
    records = {record['img_path']: record for part in parts for record in part.records}
    with ThreadPoolExecutor(num_workers or os.cpu_count()) as pool:
        facts = pool.map(image_facts, records.values())
        if sys.stderr.isatty():
            facts = track_iter_progress((facts, len(records)), file=sys.stderr)
        return dict(zip(records, facts, strict=True))


def camera_rule(cfg: Config) -> str:
    """Return how the config's evaluation treats matches by the query's own camera."""
    evaluators = cfg.get('test_evaluator') or cfg.get('val_evaluator') or []
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        if 'same_camera' in evaluator:
            return evaluator['same_camera']
    return 'drop'
