"""What all data sets of people have in common: splits, damaged images, transforms that borrow from other images."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger

from mmosnet.datasets.person_image import read_image
from mmosnet.errors import DataError


class PersonDataset(BaseDataset):
    """Images of people in splits.

    mmengine's ``BaseDataset`` knows neither splits nor damaged files.

    Args:
        data_root: Folder of the data set.
        split: One of :attr:`split_names`, or several of them.
        bad_images: What to do with a file that does not decode: ``'error'`` raises when it is met, naming it;
            ``'skip'`` reads every file at the start, drops the bad ones, counts and lists them.
        check_counts: Warn where the numbers found are not the published ones.
        **kwargs: Arguments of mmengine's ``BaseDataset``: ``pipeline``, ``test_mode``, ``max_refetch`` ...

    Raises:
        DataError: Bad arguments.
    """

    #: What ``split`` chooses from.
    split_names: tuple[str, ...] = ()
    #: Where the data set can be had, for error messages.
    download_page = ''

    def __init__(
        self,
        data_root: str = '',
        split: str | Sequence[str] = 'train',
        bad_images: str = 'error',
        check_counts: bool = True,
        **kwargs,
    ) -> None:
        self.splits = (split,) if isinstance(split, str) else tuple(split)
        unknown = [name for name in self.splits if name not in self.split_names]
        if unknown or not self.splits:
            raise DataError(f'split={split!r}: choose from {", ".join(self.split_names)}, or several of them')
        if bad_images not in ('error', 'skip'):
            raise DataError(f"bad_images={bad_images!r}: choose 'error' or 'skip'")
        self.bad_images = bad_images
        self.check_counts = check_counts
        #: What was left out and what looks odd, in sentences.
        self.notes: list[str] = []
        self._usual_notes: list[str] = []
        super().__init__(data_root=data_root, **kwargs)

    def note(self, text: str, usual: bool = False) -> None:
        """Report what was left out or looks odd, and keep it in :attr:`notes`.

        Args:
            text: Text for the user.
            usual: It belongs to the data set: a line below its table and no warning.
        """
        self.notes.append(f'{type(self).__name__}: {text}')
        if usual:
            self._usual_notes.append(text)
        else:
            MMLogger.get_current_instance().warning(self.notes[-1])

    def log_table(self, table: str) -> None:
        """Log the table of loaded splits, and the usual notes below it."""
        lines = [table, *(f'  {text}' for text in self._usual_notes)]
        MMLogger.get_current_instance().info('\n'.join(lines))

    def origin(self) -> str:
        """Return a sentence for error messages that says where to get the data set, if that is known."""
        return f' {type(self).__name__} comes from {self.download_page}.' if self.download_page else ''

    def usable_records(self, records: list[dict], split: str) -> list[dict]:
        """Return the records of a split, without damaged images if those are to be skipped.

        Raises:
            DataError: None is left.
        """
        if self.bad_images == 'skip':
            records = self._without_bad_images(records, split)
        if not records:
            raise DataError(f'{type(self).__name__} in {self.data_root}: the {split} split has no images')
        return records

    def _without_bad_images(self, records: list[dict], split: str) -> list[dict]:
        def error(record: dict) -> str | None:
            try:
                read_image(record['img_path'])
            except DataError as e:
                return str(e)
            return None

        with ThreadPoolExecutor() as pool:
            errors = list(pool.map(error, records))
        bad = [e for e in errors if e]
        if bad:
            shown = '\n  '.join(bad[:10] + ['...'][: len(bad) > 10])
            self.note(f'skipped {len(bad)} of {len(records)} {split} images:\n  {shown}')
        return [record for record, e in zip(records, errors, strict=True) if not e]

    def prepare_data(self, idx: int) -> dict:
        """Run the pipeline on a sample.

        Transforms that use other images, such as :class:`~mmosnet.datasets.RandomPatch`, find the data set in
        ``results['dataset']``.
        """
        results = self.get_data_info(idx)
        if not self.test_mode:
            results['dataset'] = self
        return self.pipeline(results)
