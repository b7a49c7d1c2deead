from mmosnet.datasets import SyntheticPeople

SMALL = dict(num_train_pids=2, num_test_pids=2, num_cameras=2, images_per_camera=2, num_distractors=1, num_junk=1)


def test_first_use_makes_the_data_set(tmp_path):
    root = tmp_path / 'people'
    train = SyntheticPeople(data_root=str(root), generation=SMALL)
    assert len(train) == 2 * 2 * 2
    test = SyntheticPeople(data_root=str(root), generation=SMALL, split=('query', 'gallery'), test_mode=True)
    # 4 queries; a gallery of 4 and the distractor, without the junk.
    assert len(test) == 4 + 5
    assert test.metainfo['num_cross_camera_queries'] == 4
