"""The embedded data set of categories: drawn objects in ImageNet's folder layout, made on first use.

train/backpack/00000.jpg ... val/umbrella/00039.jpg
synthetic.json                                  what the folder was made with
"""

from __future__ import annotations

from pathlib import Path

from mmengine.logging import MMLogger

from mmosnet.datasets.categories import ImageNet
from mmosnet.datasets.drawn_folder import DrawnFolder, write_jpeg
from mmosnet.datasets.object_renderer import CATEGORIES, OBJECT_RENDERER_VERSION, render_object
from mmosnet.errors import DataError
from mmosnet.registry import DATASETS

# Validation pictures are numbered from here: more or fewer training pictures leave them as they are.
FIRST_VAL_INDEX = 1 << 16
SPLITS = ('train', 'val')


def write_synthetic_objects(root: str | Path, num_train: int = 150, num_val: int = 40, seed: int = 0) -> None:
    """Draw objects of twelve categories and write them under ``root`` in ImageNet's folder layout.

    The folder appears complete or not at all, also when several processes write it together. A complete folder made
    with the same arguments is left as it is.

    Args:
        root: Folder to make; its parents are made too.
        num_train: Training pictures of a category.
        num_val: Validation pictures of a category.
        seed: World: other objects, other cameras.

    Raises:
        DataError: An argument is out of range, or ``root`` holds a set that is incomplete or was made with other
            arguments or by another version of the renderer.
        FileExistsError: ``root`` exists, is not empty and is not a synthetic set.
    """
    for name, value in (('num_train', num_train), ('num_val', num_val)):
        if not 1 <= value <= FIRST_VAL_INDEX:
            raise DataError(f'{name}={value}: choose 1 to {FIRST_VAL_INDEX}')
    arguments = dict(num_train=num_train, num_val=num_val, seed=seed)
    manifest = dict(object_renderer_version=OBJECT_RENDERER_VERSION, arguments=arguments)
    folders = [f'{split}/{category}' for split in SPLITS for category in CATEGORIES]
    DrawnFolder(Path(root), 'synthetic objects', manifest, folders).make(lambda folder: _write_set(folder, **arguments))


def _write_set(root: Path, num_train: int, num_val: int, seed: int) -> None:
    for split, first, number in (('train', 0, num_train), ('val', FIRST_VAL_INDEX, num_val)):
        for category in CATEGORIES:
            folder = root / split / category
            folder.mkdir(parents=True)
            for index in range(number):
                write_jpeg(folder / f'{index:05d}.jpg', render_object(category, seed, first + index))
    number = (num_train + num_val) * len(CATEGORIES)
    MMLogger.get_current_instance().info('synthetic objects: %d images in all', number)


@DATASETS.register_module()
class SyntheticObjects(ImageNet):
    """Drawn objects, 64x64; ``data_root`` is written if it does not exist.

    mmpretrain's ``ImageNet`` reads the same layout and its ``CustomDataset`` any folders, but neither makes any.

    Args:
        data_root: Folder of the data set.
        split: ``'train'`` or ``'val'``.
        generation: Arguments of :func:`write_synthetic_objects`.
        **kwargs: Arguments of mmpretrain's ``ImageNet``: ``pipeline``, ``test_mode`` ...

    Raises:
        DataError: Another split, or as of :func:`write_synthetic_objects`.
    """

    METAINFO = dict(classes=CATEGORIES)

    def __init__(self, data_root: str, split: str = 'train', generation: dict | None = None, **kwargs) -> None:
        if split not in SPLITS:
            raise DataError(f'split={split!r}: choose from {", ".join(SPLITS)}')
        write_synthetic_objects(data_root, **(generation or {}))
        super().__init__(data_root=data_root, split=split, **kwargs)
