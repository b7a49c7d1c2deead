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


def test_files_that_are_no_video_are_refused_without_opening_them(tmp_path, capfd):
    """FFmpeg would read playlists under any name, which name other files and addresses."""
    for number, text in enumerate(
        [b'', b'#EXTM3U\nhttp://localhost/a.ts\n', b'ffconcat version 1.0\nfile a.mp4\n', bytes(999)]
    ):
        path = tmp_path / f'000{number}.mp4'
        path.write_bytes(text)
        with pytest.raises(DataError, match=rf'000{number}.mp4 is no video'):
            VideoFrames(path)
    path = write_video(tmp_path / 'cut.mp4')
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r'cut.mp4 is no video that OpenCV reads, or is damaged'):
        VideoFrames(path)
    # Libraries say nothing beside.
    assert capfd.readouterr() == ('', '')


def test_a_stream_that_begins_within_a_packet(tmp_path):
    path = write_video(tmp_path / 'a.ts')
    path.write_bytes(path.read_bytes()[100:])
    assert VideoFrames(path).read(3).shape == (HEIGHT, WIDTH, 3)


def test_where_a_video_ends_is_found_once(tmp_path):
    video = VideoFrames(write_video(tmp_path / 'a.avi', codec='MJPG'))
    opened = []
    video._captured = lambda real=video._captured: opened.append(0) or real()
    for number in (99, 60, 10**9):
        with pytest.raises(DataError, match=rf'a.avi: no frame {number}, .* frames 0 to 59'):
            video.read(number)
    assert len(opened) == 2
    cut = tmp_path / 'cut.avi'
    cut.write_bytes((tmp_path / 'a.avi').read_bytes()[:20_000])
    video = VideoFrames(cut)
    with pytest.raises(DataError, match=r'cut.avi: no frame 59, .* ends after [1-9]\d? of 60 frames'):
        video.read(59)
    assert video.read(2).shape == (HEIGHT, WIDTH, 3)


def test_what_a_varying_frame_rate_means_is_said_once(tmp_path):
    path, said = write_video(tmp_path / 'a.mp4'), []
    video = VideoFrames(path, say=said.append)
    for number in (50, 3, 20):
        video.read(number)
    assert said == []
    vary_frame_rate(path)
    video = VideoFrames(path, say=said.append)
    for number in (50, 3, 50):
        video.read(number)
    assert len(said) == 1 and str(path) in said[0]


@pytest.mark.parametrize('fps', [0, 1000, float('nan')])
def test_frame_rates_that_cannot_be(tmp_path, fps):
    path = write_video(tmp_path / 'a.mp4')
    video = VideoFrames(path)
    video._stated_fps = fps
    video._may_seek = video._is_regular = False
    with pytest.raises(DataError, match=r'a.mp4 states .*: give --fps'):
        assert video.fps
    # Frames have numbers all the same.
    assert video.read(2).shape == (HEIGHT, WIDTH, 3)
