import errno

import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.io.video import VideoFrames
from mmosnet.io.video_writer import whole_video
from tests.conftest import full_disk
from tests.features.drawn_video import all_frames


def frames(number, height=48, width=64):
    return [np.full((height, width, 3), 20 + 10 * n, np.uint8) for n in range(number)]


def test_a_video_is_read_again(tmp_path):
    path = tmp_path / 'été ü' / 'door.mp4'
    with whole_video(path, 12.5, (48, 64)) as write:
        for frame in frames(20):
            write(frame)
        assert not path.exists()
    found = all_frames(path)
    assert [round(frame.mean() / 10) * 10 for frame in found] == [20 + 10 * n for n in range(20)]
    assert VideoFrames(path).fps == pytest.approx(12.5) and list(path.parent.iterdir()) == [path]


def test_an_odd_row_and_column_are_left_out(tmp_path):
    with whole_video(tmp_path / 'a.mp4', 25, (49, 65)) as write:
        for frame in frames(3, 49, 65):
            write(frame)
    assert [frame.shape for frame in all_frames(tmp_path / 'a.mp4')] == [(48, 64, 3)] * 3


def test_after_an_error_the_old_video_stays(tmp_path):
    path = tmp_path / 'a.mp4'
    path.write_bytes(b'old')
    with pytest.raises(KeyError), whole_video(path, 25, (48, 64)) as write:
        write(frames(1)[0])
        raise KeyError
    with pytest.raises(DataError, match=r'a\.mp4'), whole_video(path, 25, (48, 64)):
        pass
    with pytest.raises(DataError, match=r'a\.mp4'), whole_video(path, 25, (1, 64)):
        pass
    assert path.read_bytes() == b'old' and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_an_error(tmp_path):
    noise = np.random.RandomState(0).randint(0, 256, (480, 640, 3), np.uint8)
    video = whole_video(tmp_path / 'a.mp4', 25, (480, 640))
    with full_disk(200_000), pytest.raises(OSError, match=r'a\.mp4') as caught, video as write:
        for n in range(20):
            write(np.roll(noise, n, 0))
    assert caught.value.errno in (errno.ENOSPC, errno.EFBIG) and not list(tmp_path.iterdir())
