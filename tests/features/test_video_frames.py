import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.features import video_frames
from mmosnet.features.video_frames import VideoFrames
from tests.features.drawn_video import FPS, HEIGHT, WIDTH, all_frames, turn_video, vary_frame_rate, write_video

ORDERS = dict(
    forwards=range(60),
    backwards=range(59, -1, -1),
    steps=range(3, 60, 7),
    random=np.random.RandomState(0).permutation(60),
)


@pytest.fixture(autouse=True)
def seek_always(monkeypatch):
    monkeypatch.setattr(video_frames, 'NEAR', 2)


@pytest.mark.parametrize('codec', ['a.mp4 mp4v', 'a.avi MJPG', 'a.mkv mp4v', 'a.webm VP80'])
def test_any_order_gives_the_frames_of_reading_from_the_start(tmp_path, codec):
    name, codec = codec.split()
    path = write_video(tmp_path / name, codec=codec)
    expected = all_frames(path)
    assert len(expected) == 60
    for order in ORDERS.values():
        video = VideoFrames(path)
        assert (video.height, video.width, video.fps) == (HEIGHT, WIDTH, FPS)
        for number in order:
            np.testing.assert_array_equal(video.read(number), expected[number])
        assert video._may_seek
        video.close()


def test_turned_videos_are_read_upright(tmp_path):
    path = write_video(tmp_path / 'a.mp4', 3)
    expected = all_frames(path)
    turn_video(path)
    video = VideoFrames(path)
    assert (video.height, video.width) == (WIDTH, HEIGHT)
    for number in (2, 0):
        np.testing.assert_array_equal(video.read(number), np.rot90(expected[number], -1))
    video.close()


def test_a_varying_frame_rate_is_noticed(tmp_path):
    path = write_video(tmp_path / 'a.mp4')
    vary_frame_rate(path)
    expected = all_frames(path)
    assert len(expected) == 60
    # All that follow tell whether the check is needed.
    sought = VideoFrames(path)
    sought._is_due = lambda number: True
    assert any((sought.read(number) != expected[number]).any() for number in ORDERS['random'])
    for order in ORDERS.values():
        video = VideoFrames(path)
        for number in order:
            np.testing.assert_array_equal(video.read(number), expected[number])
    assert not video._may_seek


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no video .*no.mp4'):
        VideoFrames(tmp_path / 'no.mp4')
    (tmp_path / 'text.mp4').write_text('no video')
    with pytest.raises(DataError, match=r'text.mp4 is no video that OpenCV reads, or is damaged: .*no video'):
        VideoFrames(tmp_path / 'text.mp4')
    video = VideoFrames(write_video(tmp_path / 'a.mp4'))
    for number in (60, 1000):
        with pytest.raises(DataError, match=rf'a.mp4: no frame {number}, or the video is damaged before it'):
            video.read(number)
    # It goes on with those that are there.
    np.testing.assert_array_equal(video.read(5), all_frames(tmp_path / 'a.mp4')[5])


def test_a_frame_rate_of_the_users(tmp_path):
    video = VideoFrames(write_video(tmp_path / 'a.mp4'), fps=12.5)
    assert video.fps == 12.5
    np.testing.assert_array_equal(video.read(40), all_frames(tmp_path / 'a.mp4')[40])
    assert video._may_seek
