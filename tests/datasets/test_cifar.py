import os
import pickle

import numpy as np
import pytest
from mmengine.registry import DefaultScope

from mmosnet.datasets import CIFAR10, CIFAR100
from mmosnet.errors import DataError
from mmosnet.registry import DATASETS
from tests.datasets.category_miniatures import write_cifar


@pytest.mark.parametrize(('name', 'categories', 'train'), [('CIFAR10', 10, 5 * 40), ('CIFAR100', 100, 40)])
def test_reads_the_official_format(tmp_path, monkeypatch, name, categories, train):
    write_cifar(tmp_path, monkeypatch, categories)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build(dict(type=f'mmosnet.{name}', data_root=str(tmp_path)))
        test = DATASETS.build(dict(type=f'mmosnet.{name}', data_root=str(tmp_path), split='test', test_mode=True))
    assert len(dataset) == train and len(test) == 40
    assert len(dataset.metainfo['classes']) == categories
    record = dataset.get_data_info(7)
    assert record['gt_label'] == 7
    assert record['img'].shape == (32, 32, 3) and record['img'].dtype == np.uint8
    # Red comes first, as in the files, and is what the label shows in.
    means = [test.get_data_info(i)['img'].mean((0, 1)) for i in (0, 9)]
    assert means[1][0] - means[0][0] == pytest.approx(9 * 150 // categories, abs=8)
    assert abs(means[1][1] - means[0][1]) < 8


def test_published_checksums():
    """Those of the extracted archives, as torchvision and mmpretrain have them."""
    assert CIFAR10.test_list == [['test_batch', '40351d587109b95175f43aff81a1287e']]
    assert CIFAR100.test_list == [['test', 'f0ef6b0ae62326f3e7ffdfab6717acfc']]
    assert len(CIFAR10.train_list) == 5 and len(CIFAR100.train_list) == 1


class Hostile:
    def __reduce__(self):
        return os.mkdir, (os.environ['MMOSNET_TEST_HOSTILE'],)


@pytest.mark.parametrize('name', ['test_batch', 'data_batch_3'])
def test_other_pickles_are_not_opened(tmp_path, monkeypatch, name):
    """Whichever file it is and whichever split is read; the hostile file would make a folder."""
    monkeypatch.setenv('MMOSNET_TEST_HOSTILE', str(tmp_path / 'harm'))
    write_cifar(tmp_path, monkeypatch)
    (tmp_path / 'cifar-10-batches-py' / name).write_bytes(pickle.dumps(Hostile(), protocol=2))
    for split in ('train', 'test'):
        with pytest.raises(DataError, match=rf'{name} is not the official file.*pickle'):
            CIFAR10(data_root=str(tmp_path), split=split)
    assert not (tmp_path / 'harm').exists()
    # The file would have done it.
    pickle.loads((tmp_path / 'cifar-10-batches-py' / name).read_bytes())
    assert (tmp_path / 'harm').is_dir()


def test_missing_files_are_named_and_not_downloaded(tmp_path, monkeypatch):
    def download(*args, **kwargs):
        raise AssertionError('downloads')

    monkeypatch.setattr('mmpretrain.datasets.cifar.download_and_extract_archive', download)
    with pytest.raises(FileNotFoundError, match=r'data_batch_1.*cifar-10-batches-py, extracted from https://www\.cs'):
        CIFAR10(data_root=str(tmp_path))
    write_cifar(tmp_path, monkeypatch, 100)
    (tmp_path / 'cifar-100-python' / 'test').unlink()
    with pytest.raises(FileNotFoundError, match='CIFAR100: no file'):
        CIFAR100(data_root=str(tmp_path))


def test_other_splits_raise(tmp_path):
    with pytest.raises(DataError, match="split='val'"):
        CIFAR10(data_root=str(tmp_path), split='val')
