"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) as mmpretrain reads them, held against their checksums first."""

from __future__ import annotations

from pathlib import Path

from mmosnet.compatibility import supported_stack
from mmosnet.errors import DataError
from mmosnet.registry import DATASETS

with supported_stack():
    import mmpretrain.datasets
    from mmpretrain.datasets.utils import check_md5


class OfficialFiles:
    """Read the official files or nothing: they are pickles, and any other pickle could run code.

    mmpretrain checks the same sums before it unpickles, but with an assertion, which ``python -O`` leaves out, and its
    ``download=True`` fetches what is missing without being asked. Nothing is downloaded here.

    Args:
        data_root: Folder that holds :attr:`base_folder`, the extracted archive.
        split: ``'train'`` or ``'test'``.
        **kwargs: Arguments of mmpretrain's ``CIFAR10``.

    Raises:
        FileNotFoundError: A file is missing; names it, and where the archive can be had.
        DataError: A file is not the official one, or an unknown split.
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
        """Check all files, then let mmpretrain read them."""
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
    """CIFAR-10, its files checked (:class:`OfficialFiles`); upstream mmpretrain's ``CIFAR10``."""


@DATASETS.register_module()
class CIFAR100(OfficialFiles, mmpretrain.datasets.CIFAR100):
    """CIFAR-100, its files checked (:class:`OfficialFiles`); upstream mmpretrain's ``CIFAR100``."""
