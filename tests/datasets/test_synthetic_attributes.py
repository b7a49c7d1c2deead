import numpy as np
from scipy.io import loadmat

from mmosnet.datasets import SyntheticAttributes, SyntheticPeople
from mmosnet.datasets.pedestrian_renderer import ATTRIBUTES

SMALL = dict(num_train_pids=3, num_test_pids=4, num_cameras=2, images_per_camera=2, num_distractors=2, num_junk=1)


def test_first_use_makes_the_data_set(tmp_path):
    root = str(tmp_path / 'people')
    sizes = dict(train=3 * 4, val=2 * 4, test=2 * 4)
    for split, size in sizes.items():
        dataset = SyntheticAttributes(data_root=root, generation=SMALL, split=split)
        assert len(dataset) == size
        scores = np.stack([dataset.get_data_info(i)['gt_score'] for i in range(size)])
        assert np.array_equal(scores, loadmat(f'{root}/annotation/annotation.mat')[f'{split}_label'])
    assert dataset.metainfo['attributes'] == list(ATTRIBUTES)
    assert dataset.published_counts() == {}
    # The folder serves both tasks.
    assert len(SyntheticPeople(data_root=root, generation=SMALL)) == 12
