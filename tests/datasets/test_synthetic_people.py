from pathlib import Path

import numpy as np
import pytest

from mmosnet.datasets import SyntheticAttributes, SyntheticPeople
from mmosnet.datasets.drawn_folder import MANIFEST
from mmosnet.datasets.pedestrian_renderer import ATTRIBUTES
from mmosnet.errors import DataError
from tests.conftest import full_disk

SMALL = dict(num_train_pids=2, num_test_pids=2, num_cameras=2, images_per_camera=2, num_distractors=1, num_junk=1)


def test_first_use_makes_the_data_set(tmp_path):
    root = tmp_path / 'people'
    train = SyntheticPeople(data_root=str(root), generation=SMALL)
    assert len(train) == 2 * 2 * 2
    test = SyntheticPeople(data_root=str(root), generation=SMALL, split=('query', 'gallery'), test_mode=True)
    # 4 queries; a gallery of 4 and the distractor, without the junk.
    assert len(test) == 4 + 5
    assert test.metainfo['num_cross_camera_queries'] == 4


def test_a_full_disk_leaves_nothing_and_the_next_start_draws_anew(tmp_path):
    root = tmp_path / 'people'
    with full_disk(1000), pytest.raises(OSError) as found:
        SyntheticPeople(data_root=str(root), generation=SMALL)
    assert found.value.filename == str(root) and not list(tmp_path.iterdir())
    assert len(SyntheticPeople(data_root=str(root), generation=SMALL)) == 8
    # As after a machine has lost power.
    (root / MANIFEST).write_text('')
    with pytest.raises(DataError, match=MANIFEST):
        SyntheticPeople(data_root=str(root), generation=SMALL)


def test_labels_are_those_of_the_same_picture(tmp_path):
    """By the pictures' bytes: no number in a file name is trusted."""
    options = dict(data_root=str(tmp_path), generation=dict(SMALL, num_distractors=3, num_test_pids=3))
    labelled = SyntheticAttributes(split=('train', 'val', 'test'), **options)
    by_bytes = {}
    for index in range(len(labelled)):
        record = labelled.get_data_info(index)
        by_bytes[Path(record['img_path']).read_bytes()] = record['gt_score']
    assert len(by_bytes) == len(labelled)
    people = SyntheticPeople(attributes=True, split=('train', 'query', 'gallery'), **options)
    with_labels = 0
    for index in range(len(people)):
        record = people.get_data_info(index)
        expected = by_bytes.get(Path(record['img_path']).read_bytes())
        assert ('gt_score' in record) == (expected is not None) == (record['pid'] > 0)
        if expected is not None:
            assert np.array_equal(record['gt_score'], expected)
            with_labels += 1
    assert with_labels == len(labelled)
    assert people.metainfo['attributes'] == list(ATTRIBUTES)
    train = SyntheticAttributes(**options)
    assert SyntheticPeople(attributes=True, **options).metainfo['pos_ratio'] == train.metainfo['pos_ratio']
    assert 'attributes' not in SyntheticPeople(**options).metainfo
