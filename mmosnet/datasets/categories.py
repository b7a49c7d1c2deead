"""Data sets of categories that mmpretrain reads, with checks first: ImageNet's folder layout, CIFAR-10 and CIFAR-100.

CIFAR: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from __future__ import annotations

from pathlib import Path

from mmengine.logging import MMLogger

from mmosnet.compatibility import supported_stack
from mmosnet.datasets.transforms import read_image
from mmosnet.errors import DataError
from mmosnet.io.media import IMAGE_SUFFIXES, find_files, same_name
from mmosnet.io.tables import image_inside
from mmosnet.registry import DATASETS

with supported_stack():
    import mmpretrain.datasets
    from mmpretrain.datasets.utils import check_md5

CLASSES_REMEDY = (
    'Categories of your own: --cfg-options model.head.num_classes=N, and their names, in alphabetical order of the '
    'folders, as classes=[...] of train_dataloader.dataset, val_dataloader.dataset and test_dataloader.dataset'
)


@DATASETS.register_module()
class ImageNet(mmpretrain.datasets.ImageNet):
    """ImageNet and every data set in its layout: ``train`` and ``val`` with one folder per category.

    Alternatively, ``meta/train.txt`` and ``meta/val.txt`` beside them have a line ``IMAGE LABEL`` per image.
    mmpretrain's ``ImageNet`` reads the same. But it numbers the folders of each split separately, so that a folder
    missing in ``val`` shifts all labels after it; it ends in a traceback if folders or images are missing or damaged;
    and it does not report files that it leaves out. Suffixes of images and the walk through folders are those of
    :mod:`mmosnet.io.media`.

    Takes the arguments of mmpretrain's ``ImageNet``.

    Raises:
        FileNotFoundError: The folder of the split is missing; names it, and the option to set.
        DataError: The folders differ from those of ``train`` or from ``classes``, there are no images, or a line cannot
            be used; on access, an image cannot be read.
    """

    IMG_EXTENSIONS = IMAGE_SUFFIXES

    def load_data_list(self) -> list[dict]:
        """Check folders or lines, then load them as mmpretrain does."""
        if '://' in self.img_prefix:
            # A remote storage, which mmengine reads.
            return super().load_data_list()
        folder = Path(self.img_prefix)
        if not folder.is_dir():
            raise FileNotFoundError(
                f'{type(self).__name__}: no folder {folder}. data_root={self.data_root!r} must hold train and val, '
                'each with a folder per category: set data_root to it (--data-root FOLDER)'
            )
        if self.ann_file:
            self._check_lines(folder)
        elif self.with_label:
            self._check_folders(folder)
        return super().load_data_list()

    def _check_folders(self, folder: Path) -> None:
        categories = self._categories(folder)
        if not categories:
            raise DataError(
                f'{type(self).__name__}: {folder} holds no folders, and there must be one per category; or list the '
                f'images in {Path(self.data_root) / "meta" / folder.name}.txt, with a line IMAGE LABEL each'
            )
        if self.CLASSES is not None and len(self.CLASSES) != len(categories):
            raise DataError(
                f'{type(self).__name__}: {folder} holds {len(categories):,} folders, and the data set has '
                f'{len(self.CLASSES):,} categories. Complete the folders. {CLASSES_REMEDY}'
            )
        # A label is the position in the alphabetical order of a split's own folders.
        train = Path(self.data_root) / 'train'
        others = self._categories(train) if train.is_dir() else categories
        if list(categories) != list(others):
            first = min(set(categories) ^ set(others))
            raise DataError(
                f'{type(self).__name__}: {folder} and {train} do not hold the same folders: {first} is in one alone. '
                'Every split needs a folder for every category; otherwise equal labels mean different categories'
            )

    def _categories(self, folder: Path) -> dict[str, str]:
        """Return the folders in a folder, in alphabetical order: names on the disk by names in Unicode form NFC."""
        names: dict[str, str] = {}
        for name in sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith('.')):
            other = names.setdefault(same_name(name), name)
            if other != name:
                raise DataError(f'{type(self).__name__}: {folder} holds two folders {name}, in two Unicode spellings')
        return dict(sorted(names.items()))

    def _find_samples(self) -> list[tuple[str, int]] | list[str]:
        """List the images of a split, with labels if ``with_label`` is set."""
        if '://' in self.img_prefix:
            return super()._find_samples()
        folder, logger, owner = Path(self.img_prefix), MMLogger.get_current_instance(), type(self).__name__
        suffixes = sorted('.' + name.lstrip('.') for name in self.extensions)
        listing = find_files(folder, suffixes)
        names = [path.relative_to(folder).as_posix() for path in listing.files]
        if self.with_label:
            categories = self._categories(folder)
            labels = {name: label for label, name in enumerate(categories.values())}
            samples = [(name, labels[name.partition('/')[0]]) for name in names if '/' in name]
            self.folder_to_idx = labels
            if self.CLASSES is None:
                self._metainfo['classes'] = tuple(categories)
            empty = sorted(set(labels) - {name.partition('/')[0] for name, _ in samples})
            outside = [name for name in names if '/' not in name]
            if samples and empty:
                logger.warning(f'{owner}: {len(empty)} folders in {folder} hold no image, the first {empty[0]}')
            if samples and outside:
                logger.warning(
                    f'{owner}: left out {len(outside)} images in {folder} in no folder, the first {outside[0]}'
                )
        else:
            samples = names
        left_out, endings = listing.left_out_text(), ', '.join(suffixes)
        if not samples:
            others = f'; but {left_out}' if left_out else ''
            raise DataError(f'{owner}: no image in the folders of {folder} ({endings}){others}')
        if left_out:
            logger.warning(f'{owner}: {folder}: {len(samples):,} images, left out {left_out}; images are {endings}')
        return samples

    def _check_lines(self, folder: Path) -> None:
        path = Path(self.ann_file)
        if not path.is_file():
            raise FileNotFoundError(f'{type(self).__name__}: no file {path}; ann_file starts at data_root')
        number = len(self.CLASSES or ())
        try:
            lines = path.read_text(encoding='utf-8').splitlines()
        except UnicodeDecodeError as e:
            raise DataError(f'{path} is no text in UTF-8 ({e}); save it as UTF-8') from e
        for row, line in enumerate(lines, start=1):
            name, _, label = line.strip().rpartition(' ') if self.with_label else (line.strip(), '', '0')
            if not name or not label.isdecimal() or (number and int(label) >= number):
                raise DataError(
                    f'{path}, line {row}: {line[:80]!r} is not IMAGE LABEL with a label from 0 to {number - 1}'
                )
            # ImageNet has a million lines: check only paths that may leave the folder.
            if '..' in name or not name[0].isalnum() or ':' in name:
                image_inside(folder, name, f'{path}, line {row}')

    def prepare_data(self, idx: int) -> dict:
        """Run the pipeline on an image.

        Raises:
            DataError: The image cannot be read; names it.
        """
        try:
            return super().prepare_data(idx)
        except Exception as e:
            # Loaders raise different errors, and OpenCV names no file: read the image again to find out.
            path = self.get_data_info(idx)['img_path']
            try:
                read_image(path)
            except DataError as unreadable:
                raise DataError(f'{path}: unreadable image ({unreadable.__cause__}); replace it, or take it out') from e
            raise


class OfficialFiles:
    """Mixin that reads only the official files: they are pickles, and any other pickle could run code.

    mmpretrain compares the same checksums before it unpickles, but by an assertion, which ``python -O`` removes, and
    downloads missing files by default. Nothing is downloaded here.

    Args:
        data_root: Folder that holds :attr:`base_folder`, the extracted archive.
        split: ``'train'`` or ``'test'``.
        **kwargs: Arguments of mmpretrain's ``CIFAR10``.

    Raises:
        FileNotFoundError: A file is missing; names it, and the address of the archive.
        DataError: A file is not the official one, or the split is unknown.
    """

    data_root: str
    base_folder: str
    url: str
    train_list: list
    test_list: list

    def __init__(self, data_root: str, split: str = 'train', **kwargs) -> None:
        if split not in ('train', 'test'):
            raise DataError(f'split={split!r}: choose from train, test')
        super().__init__(data_root=data_root, split=split, download=False, **kwargs)  # type: ignore[call-arg]

    def load_data_list(self) -> list[dict]:
        """Check all files, then load them as mmpretrain does."""
        folder = Path(self.data_root) / self.base_folder
        for name, md5 in (*self.train_list, *self.test_list):
            path = folder / name
            if not path.is_file():
                raise FileNotFoundError(
                    f'{type(self).__name__}: no file {path}. data_root={self.data_root!r} must hold '
                    f'{self.base_folder}, extracted from {self.url}'
                )
            if not check_md5(str(path), md5):
                raise DataError(
                    f'{path} is not the official file: its MD5 is not {md5}. It was not loaded, because it is a '
                    f'pickle, which can run code: extract it again from {self.url}'
                )
        return super().load_data_list()  # type: ignore[misc]


@DATASETS.register_module()
class CIFAR10(OfficialFiles, mmpretrain.datasets.CIFAR10):
    """mmpretrain's ``CIFAR10`` with checked files (:class:`OfficialFiles`)."""


@DATASETS.register_module()
class CIFAR100(OfficialFiles, mmpretrain.datasets.CIFAR100):
    """mmpretrain's ``CIFAR100`` with checked files (:class:`OfficialFiles`)."""
