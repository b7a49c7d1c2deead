"""Attributes of Market-1501 (Lin et al., "Improving Person Re-identification by Attribute and Identity Learning")."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger

from mmosnet.datasets.attribute_annotation import AnnotatedSplit, AttributeAnnotation
from mmosnet.datasets.attribute_dataset import AttributeDataset
from mmosnet.datasets.held_out import check_val_share, held_out
from mmosnet.datasets.market1501 import Market1501
from mmosnet.datasets.market_attribute_file import DOWNLOAD_PAGE, market_attributes
from mmosnet.errors import DataError
from mmosnet.registry import DATASETS


@DATASETS.register_module()
class Market1501Attributes(AttributeDataset):
    """Market-1501 with 30 binary attributes, labelled by identity: every image of a person has the same.

    ``data_root`` holds Market-1501's folders and ``market_attribute.mat``
    (:func:`~mmosnet.datasets.market_attribute_file.market_attributes`). Distractors and junk have no attributes and are
    left out.

    There is no official validation split: ``val_share`` holds out a share of the training identities, always the same
    ones, so that a model is not chosen on test. That split is ours. Give train and val the same ``val_share`` and
    ``val_seed``; ``val_share=0`` trains on all 751 identities.

    Args:
        ann_file: The attributes, relative to ``data_root``.
        val_share: Share of the training identities that make up ``split='val'``.
        val_seed: Seed of the random sample.
        queries: Test on the 3,368 queries too. The authors' evaluation counts the 13,115 gallery images alone.
        **kwargs: Same as in :class:`~mmosnet.datasets.AttributeDataset`.

    Raises:
        DataError: A person in the images has no attributes.
    """

    download_page = f'{Market1501.download_page}, its attributes from {DOWNLOAD_PAGE}'

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
        nobody = 0
        for folder in folders:
            for record in market.load_split(folder):
                if record['pid'] <= 0:
                    nobody += 1
                    continue
                if record['pid'] not in scores:
                    raise DataError(
                        f'{self.ann_file}, {split}: no attributes of identity {record["pid"]:04d}, whose image is '
                        f'{record["img_path"]}; is it the attributes of another data set?'
                    )
                images.setdefault(record['pid'], []).append(record['img_path'])
        if nobody:
            self.note(f'left out {nobody:,} {split} images of distractors and junk, without attributes', usual=True)
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
