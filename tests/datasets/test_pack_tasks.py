import numpy as np
import pytest
import torch

from mmosnet.datasets import PackTasks
from mmosnet.errors import DataError

TASKS = dict(
    reid=('pid', 'camid', 'split', 'gt_label'), attributes=('gt_score',), category=dict(gt_label='gt_category')
)


def record(**labels):
    return dict(img=np.arange(24, dtype=np.uint8).reshape(4, 2, 3), img_path='a.jpg', sample_idx=7, **labels)


def test_a_part_for_each_task_with_labels():
    person = record(pid=3, camid=0, split='train', gt_label=1, gt_score=np.array([1, 0], np.float32), gt_category=5)
    packed = PackTasks(TASKS)(person)
    assert packed['inputs'].shape == (3, 4, 2) and packed['inputs'].dtype == torch.uint8
    sample = packed['data_samples']
    assert sample.reid.gt_label.tolist() == [1] and sample.reid.pid == 3 and sample.reid.split == 'train'
    assert sample.attributes.gt_score.tolist() == [1, 0] and 'pid' not in sample.attributes
    assert sample.category.gt_label.tolist() == [5]
    for part in (sample.reid, sample.attributes, sample.category):
        assert part.img_path == 'a.jpg' and part.sample_idx == 7


def test_missing_labels_leave_the_task_out():
    sample = PackTasks(TASKS)(record(pid=3, camid=0, split='query'))['data_samples']
    assert sample.tasks == {'reid'} and 'gt_label' not in sample.reid
    assert PackTasks(TASKS)(record())['data_samples'].tasks == set()


def test_a_task_needs_keys():
    with pytest.raises(DataError, match=r'tasks\.category names no key'):
        PackTasks(dict(category=()))
