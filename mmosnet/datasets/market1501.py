"""Market-1501 and DukeMTMC-reID, and the attributes of Market-1501.

- Market-1501: Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015.
- DukeMTMC-reID: Ristani et al., ECCVW 2016; Zheng et al., ICCV 2017.
- Attributes (``market_attribute.mat``, 27 fields per identity): Lin et al., "Improving Person Re-identification by
  Attribute and Identity Learning", Pattern Recognition 2019.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger

from mmosnet.datasets.base import (
    DISTRACTOR_PID,
    JUNK_PID,
    AnnotatedSplit,
    AttributeAnnotation,
    AttributeDataset,
    ReIDDataset,
    check_val_share,
    held_out,
)
from mmosnet.errors import DataError
from mmosnet.io.matlab import MatlabFile, matrix, structure, texts
from mmosnet.io.media import find_files
from mmosnet.io.tables import number_in_name
from mmosnet.registry import DATASETS

FOLDERS = dict(train='bounding_box_train', query='query', gallery='bounding_box_test')
DISTRACTOR_FOLDER = 'images'
# Names with pid and camera, and names that look like them.
NAME = re.compile(r'(-?\d+)_c(\d+)', re.ASCII)
ALMOST = re.compile(r'[-+\d].*_c\d', re.IGNORECASE)
ATTRIBUTES_PAGE = 'https://github.com/vana77/Market-1501_Attribute'
#: Fields of two values in the order of the authors' list, with the meaning of the second value. The first value means
#: male, short hair, long sleeves, long trousers or skirt, dress, and no hat, backpack, bag, handbag.
BINARY_FIELDS = dict(
    gender='female',
    hair='long_hair',
    up='short_sleeves',
    down='short_lower',
    clothes='pants',
    hat='hat',
    backpack='backpack',
    bag='bag',
    handbag='handbag',
)
#: Values 1 to 4 of the field ``age``.
AGES = ('young', 'teenager', 'adult', 'old')
#: Fields of two values, of which the second means yes. A person may have yes in none of them.
COLOR_FIELDS = tuple(
    [f'up{color}' for color in ('black', 'white', 'red', 'purple', 'yellow', 'gray', 'blue', 'green')]
    + [f'down{c}' for c in ('black', 'white', 'pink', 'purple', 'yellow', 'gray', 'blue', 'green', 'brown')]
)
ATTRIBUTE_NAMES = (*BINARY_FIELDS.values(), *AGES, *COLOR_FIELDS)


def _pids(names: list[str], place: str) -> list[int]:
    pids = []
    for number, name in enumerate(names, start=1):
        if not name.isdecimal() or int(name) in pids:
            raise DataError(f'{place}: image_index {number} is {name!r}, no identity like 0002, or there twice')
        pids.append(int(name))
    return pids


def _values(value: object, highest: int, pids: list[int], place: str) -> np.ndarray:
    values = matrix(value, place).flatten()
    if len(values) != len(pids):
        raise DataError(
            f'{place}: {len(values)} values for {len(pids)} identities; the file is damaged: download it again'
        )
    wrong = np.flatnonzero(~np.isin(values, range(1, highest + 1)))
    if len(wrong):
        raise DataError(f'{place}: identity {pids[wrong[0]]} has {values[wrong[0]]}, not one of 1 to {highest}')
    return values


def _scores(fields: object, place: str) -> dict[int, np.ndarray]:
    fields = structure(fields, ('image_index', 'age', *BINARY_FIELDS, *COLOR_FIELDS), place)
    pids = _pids(texts(fields['image_index'], f'{place}, image_index'), place)
    yes = {}
    for field, name in (*BINARY_FIELDS.items(), *zip(COLOR_FIELDS, COLOR_FIELDS, strict=True)):
        yes[name] = _values(fields[field], 2, pids, f'{place}, {field}') == 2
    ages = _values(fields['age'], len(AGES), pids, f'{place}, age')
    yes |= {name: ages == value for value, name in enumerate(AGES, start=1)}
    scores = np.stack([yes[name] for name in ATTRIBUTE_NAMES], axis=1).astype(np.float32)
    return dict(zip(pids, scores, strict=True))


def market_attributes(path: str | Path) -> tuple[list[str], dict[str, dict[int, np.ndarray]]]:
    """Read the attributes of all identities as binary ones: 26 fields of two values, and four for the age.

    The structures for train and test list the same fields in different orders; fields are found by their names.

    Args:
        path: The file.

    Returns:
        The 30 names of :data:`ATTRIBUTE_NAMES`, and for ``'train'`` and ``'test'`` the ``gt_score`` of each pid,
        ``(30,)`` float32.

    Raises:
        FileNotFoundError: No such file; says where it comes from.
        DataError: A field or an identity is missing or occurs twice, or a value is invalid; names file, structure,
            field and identity.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no file {path} with the attributes of Market-1501; it comes from {ATTRIBUTES_PAGE}')
    with MatlabFile(path) as file:
        both = structure(file['market_attribute'], ('train', 'test'), f'{path}, market_attribute')
        return list(ATTRIBUTE_NAMES), {split: _scores(both[split], f'{path}, {split}') for split in ('train', 'test')}


@DATASETS.register_module()
class Market1501(ReIDDataset):
    """Market-1501 and every data set in its layout.

    ``data_root`` holds ``bounding_box_train``, ``query`` and ``bounding_box_test``; a name like
    ``0002_c1s1_000451_03.jpg`` states pid 2 and the first camera (camid 0). In your own data with a camera c0, the
    camid is the number in the name. Official counts: 12,936 images of 751 identities; 3,368 queries of 750; a
    gallery of 19,732 files, 3,819 of which are junk (pid -1) and dropped here.

    Args:
        distractors_500k: Add the half million distractors in ``images/`` to the gallery.
        attributes: File with the attributes of the identities, relative to ``data_root``:
            ``'market_attribute.mat'``. Records of people in it get a ``gt_score`` (:func:`market_attributes`), others,
            as of distractors, have none. By default no attributes are read.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`.
    """

    shared_pids = True
    download_page = 'https://zheng-lab.cecs.anu.edu.au/Project/project_reid.html'

    def __init__(self, *args, distractors_500k: bool = False, attributes: str | None = None, **kwargs) -> None:
        self.distractors_500k = distractors_500k
        self.attributes = attributes
        super().__init__(*args, **kwargs)

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Return the counts on the authors' page."""
        gallery = 515_913 if self.distractors_500k else 15_913
        return dict(train=(12_936, 751), query=(3_368, 750), gallery=(gallery, 750))

    def load_data_list(self) -> list[dict]:
        """Read the attributes if there are any, then load as the base class does."""
        if self.attributes:
            self.score_names, self._scores = market_attributes(Path(self.data_root) / self.attributes)
        return super().load_data_list()

    def load_split(self, split: str) -> list[dict]:
        """List one split by its folder; see the base class."""
        folders = [FOLDERS[split]]
        if split == 'gallery' and self.distractors_500k:
            folders.append(DISTRACTOR_FOLDER)
        records = [
            dict(
                img_path=path,
                pid=number_in_name(match[1], 'pid', path, JUNK_PID),
                camid=number_in_name(match[2], 'camera', path) - self.first_camera,
            )
            for folder in folders
            for path, match in self.list_folder(folder, NAME, ALMOST)
        ]
        num_distractors = sum(record['pid'] == DISTRACTOR_PID for record in records)
        if num_distractors and split != 'gallery':
            self.note(
                f'{num_distractors} images of {split} are of pid 0, which stands for distractors in this layout; '
                'number people from 1'
            )
        if self.attributes:
            self._add_scores(records, split)
        return records

    @cached_property
    def first_camera(self) -> int:
        """Number of the first camera in file names: 1, or 0 if a name in any split has the camera c0."""
        for folder in (*FOLDERS.values(), *[DISTRACTOR_FOLDER][: self.distractors_500k]):
            path = Path(self.data_root) / folder
            for file in find_files(path).files if path.is_dir() else ():
                match = NAME.match(file.name)
                if match and not match[2].strip('0'):
                    self.note(f'cameras count from 0, as in {file}', usual=True)
                    return 0
        return 1

    def _add_scores(self, records: list[dict], split: str) -> None:
        scores = self._scores['train' if split == 'train' else 'test']
        for record in records:
            if record['pid'] in scores:
                record['gt_score'] = scores[record['pid']]
        number = sum('gt_score' in record for record in records)
        MMLogger.get_current_instance().info(
            f'{type(self).__name__}: {number} of {len(records)} {split} images have attributes'
        )


@DATASETS.register_module()
class DukeMTMCreID(Market1501):
    """DukeMTMC-reID, in Market-1501's layout and names, 8 cameras.

    Its authors withdrew it in 2019. It serves the comparison with published numbers where a copy may still be used.
    """

    download_page = 'nowhere any more: its authors withdrew it in 2019'

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Return the counts of Zheng et al., ICCV 2017: 702 test identities, 408 more in one camera only."""
        return dict(train=(16_522, 702), query=(2_228, 702), gallery=(17_661, 1_110))


@DATASETS.register_module()
class Market1501Attributes(AttributeDataset):
    """Market-1501 with 30 binary attributes, labeled by identity: all images of a person have the same.

    ``data_root`` holds Market-1501's folders and ``market_attribute.mat`` (:func:`market_attributes`). Distractors and
    junk have no attributes and are left out.

    There is no official validation split. ``val_share`` holds out a random but fixed share of the training identities,
    so that a model is not selected on test: this split is ours. Use the same ``val_share`` and ``val_seed`` for train
    and val; ``val_share=0`` trains on all 751 identities.

    Args:
        ann_file: The attributes, relative to ``data_root``.
        val_share: Share of the training identities that make up ``split='val'``.
        val_seed: Seed of the random sample.
        queries: Test on the 3,368 queries too. The authors' evaluation uses only the 13,115 gallery images.
        **kwargs: Same as in :class:`~mmosnet.datasets.AttributeDataset`.

    Raises:
        DataError: A person in the images has no attributes.
    """

    download_page = f'{Market1501.download_page}, its attributes from {ATTRIBUTES_PAGE}'

    def __init__(
        self,
        *args,
        ann_file: str = 'market_attribute.mat',
        val_share: float = 0.1,
        val_seed: int = 0,
        queries: bool = True,
        **kwargs,
    ) -> None:
        self.val_share = val_share
        self.val_seed = val_seed
        self.queries = queries
        super().__init__(*args, ann_file=ann_file, **kwargs)

    def published_counts(self) -> dict[str, int]:
        """Return the counts on the authors' pages."""
        test = dict(test=13_115 + 3_368 * self.queries)
        return test if self.val_share else dict(test, train=12_936)

    def read_annotation(self) -> AttributeAnnotation:
        """Find each person's images; see the base class."""
        check_val_share(self.val_share, self.splits, 'Market1501Attributes')
        attributes, scores = market_attributes(self.ann_file)
        market = Market1501(self.data_root, check_counts=False, lazy_init=True)
        splits = {}
        if {'train', 'val'} & set(self.splits):
            images = self._images(market, ('train',), scores['train'], 'train')
            val = held_out(images, self.val_share, self.val_seed) if self.val_share else set()
            splits['train'] = {pid: paths for pid, paths in images.items() if pid not in val}
            splits['val'] = {pid: paths for pid, paths in images.items() if pid in val}
        if 'test' in self.splits:
            folders = ('query', 'gallery') if self.queries else ('gallery',)
            splits['test'] = self._images(market, folders, scores['test'], 'test')
        annotated = {
            split: self._annotated(split, images, scores['test' if split == 'test' else 'train'])
            for split, images in splits.items()
        }
        self.notes += market.notes
        return AttributeAnnotation(self.ann_file, attributes, annotated)

    def _images(
        self, market: Market1501, folders: tuple[str, ...], scores: dict[int, np.ndarray], split: str
    ) -> dict[int, list[str]]:
        """Return the image paths of each identity, in the order of the files."""
        images: dict[int, list[str]] = {}
        left_out = 0
        for folder in folders:
            for record in market.load_split(folder):
                if record['pid'] <= 0:
                    left_out += 1
                    continue
                if record['pid'] not in scores:
                    raise DataError(
                        f'{self.ann_file}, {split}: no attributes of identity {record["pid"]:04d}, whose image is '
                        f'{record["img_path"]}; is it the attributes of another data set?'
                    )
                images.setdefault(record['pid'], []).append(record['img_path'])
        if left_out:
            self.note(f'left out {left_out:,} {split} images of distractors and junk, without attributes', usual=True)
        without = sorted(set(scores) - set(images))
        if without:
            MMLogger.get_current_instance().info(
                f'Market1501Attributes: {len(without)} of {len(scores)} identities in {self.ann_file}, {split}, have '
                f'no image, the first {without[0]:04d}'
            )
        return images

    def _annotated(self, split: str, images: dict[int, list[str]], scores: dict[int, np.ndarray]) -> AnnotatedSplit:
        root = Path(self.data_root)
        pairs = [(str(Path(path).relative_to(root)), scores[pid]) for pid, paths in images.items() for path in paths]
        labels = np.stack([score for _, score in pairs]) if pairs else np.empty((0, len(next(iter(scores.values())))))
        return AnnotatedSplit(f'{self.ann_file}, {split}', root, [name for name, _ in pairs], labels)
