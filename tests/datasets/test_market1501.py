import pytest

from mmosnet.datasets.market1501 import NAME, Market1501
from tests.conftest import write_person


@pytest.mark.parametrize(
    ('name', 'pid', 'camera'),
    [
        ('0002_c1s1_000451_03.jpg', 2, 1),
        ('-1_c6s3_065842_01.jpg', -1, 6),
        ('0007_c12s1_000001_00.jpg', 7, 12),
        ('1501_c3s3_075544_02.jpg.jpg', 1501, 3),
    ],
)
def test_official_names(name, pid, camera):
    match = NAME.match(name)
    assert (int(match[1]), int(match[2])) == (pid, camera)


def test_files_are_listed_in_a_fixed_order(tmp_path):
    for frame in (3, 1, 2):
        write_person(tmp_path / 'query' / f'0001_c2s1_{frame:06d}_00.jpg', 1)
    dataset = Market1501(str(tmp_path), split='query')
    frames = [dataset.get_data_info(i)['img_path'][-9 - 4 : -7] for i in range(3)]
    assert frames == sorted(frames)
    assert dataset.get_data_info(0)['camid'] == 1


@pytest.mark.real
def test_real_data_set(real_data):
    train = Market1501(str(real_data), split='train')
    test = Market1501(str(real_data), split=('query', 'gallery'), pipeline=[dict(type='mmosnet.LoadPersonImage')])
    assert train.metainfo['num_train_pids'] > 1
    assert test.metainfo['num_cross_camera_queries'] > 0
    assert test[0]['img'].ndim == 3
