from __future__ import annotations

import math
import os

import cv2
import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.io import video as video_frames
from mmosnet.io.regions import Box, frame_path, split_frame
from mmosnet.io.video import VideoFrames, read_boxes, read_person
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


def boxes_of(path, text):
    path.write_text(text)
    return [(box.frame, box.box, box.track, box.score) for box in read_boxes(path)]


def test_a_table_with_names(tmp_path):
    text = 'h,w,y,x,frame,note\n40,20,2,1,3,a\n41,21,-2.5,1e1,0,b\n\n42,22,4,1,3,c\n'
    found = boxes_of(tmp_path / 'a.csv', '\ufeff' + text)
    assert [box[:3] for box in found] == [(0, [10, -2.5, 21, 41], -1), (3, [1, 2, 20, 40], -1), (3, [1, 4, 22, 42], -1)]
    assert all(math.isnan(box[3]) for box in found)
    assert boxes_of(tmp_path / 'a.csv', 'frame,x,y,w,h,track,score\n7,1,2,3,4,5,.5\n8,1,2,3,4,,\n')[0] == (
        7,
        [1, 2, 3, 4],
        5,
        0.5,
    )


def test_files_of_the_challenge_count_frames_from_1(tmp_path):
    # det.txt has track -1 and eight or ten columns, gt.txt nine.
    assert boxes_of(tmp_path / 'det.txt', '2,-1,1,2,3,4,-0.25,-1,-1,-1\n1,-1,5.5,6,7,8,30\n') == [
        (0, [5.5, 6, 7, 8], -1, 30),
        (1, [1, 2, 3, 4], -1, -0.25),
    ]
    assert boxes_of(tmp_path / 'gt.txt', '1, 4, 1, 2, 3, 4, 1, 1, 0.8\n') == [(0, [1, 2, 3, 4], 4, 1)]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'a.csv is empty: it should have a row for each box'),
        ('frame,x,y,w\n', 'no column h; the first row must name frame,x,y,w,h'),
        ('frame,x,y,w,h\n1,2,3,4\n', "row 2: h is '', no number"),
        ('frame,x,y,w,h\n1,2,3,4,5\n1,2,nan,4,5\n', "row 3: y is 'nan', no number"),
        ('frame,x,y,w,h\n1.5,2,3,4,5\n', "row 2: frame is '1.5', no whole number"),
        ('frame,x,y,w,h,track\n1,2,3,4,5,anna\n', "row 2: track is 'anna', no number"),
        ('frame,x,y,w,h\n-1,2,3,4,5\n', 'row 2: frame -1; frames of such a file count from 0'),
        ('0,1,2,3,4,5,1\n', 'row 1: frame 0; frames of such a file count from 1'),
    ],
)
def test_mistakes_name_the_row(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        boxes_of(tmp_path / 'a.csv', text)


def test_no_text(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no file of boxes .*no.csv'):
        read_boxes(tmp_path / 'no.csv')
    (tmp_path / 'a.csv').write_bytes(b'frame,x,y,w,h\n\xff\xfe')
    with pytest.raises(DataError, match=r'a\.csv is not UTF-8'):
        read_boxes(tmp_path / 'a.csv')


ROWS = [[1, 7, 10.5, 20, 30, 40, 0.9], [2, -1, 11, 21, 30, 40, 0.25]]


@pytest.mark.parametrize('separator', [',', ';', '\t', ' ', '  ', ', ', ' ; ', ',\t', ' \t '])
@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
def test_whatever_separates_the_cells(tmp_path, separator, end):
    lines = [separator.join(map(str, row)) for row in ROWS]
    names = separator.join(('frame', 'track', 'x', 'y', 'w', 'h', 'score'))
    expected = [(0, [10.5, 20, 30, 40], 7, 0.9), (1, [11, 21, 30, 40], -1, 0.25)]
    for head, first in (([], 1), (['# of a tracker', ''], 1), ([names], 0), (['#' + names], 0), (['# a', names], 0)):
        text = '\ufeff' + end.join([*head, lines[0], '', '# more', lines[1] + ' ']) + end
        (tmp_path / 'a.txt').write_bytes(text.encode())
        found = [(box.frame + first - 1, box.box, box.track, box.score) for box in read_boxes(tmp_path / 'a.txt')]
        assert found == expected
        assert [box.place[-5:] for box in read_boxes(tmp_path / 'a.txt')] == [
            f'row {len(head) + 1}',
            f'row {len(head) + 4}',
        ]


def test_what_trackers_write(tmp_path):
    # ByteTrack, with ids as pandas writes them beside missing ones, and three columns of no meaning.
    text = '1,3.0,1,2,3,4,0.9,-1,-1,-1\n1,-1,5,6,7,8,0.5,-1,-1,-1\n2,9007199254740993,1,2,3,4,0.9,-1,-1,-1\n'
    assert [box[2] for box in boxes_of(tmp_path / 'a.txt', text)] == [3, -1, 9007199254740993]
    from_zero = '0,3,1,2,3,4,0.9,-1,-1,-1\n1,3,1,2,3,4,0.9,-1,-1,-1\n'
    (tmp_path / 'a.txt').write_text(from_zero)
    assert [(box.frame, box.number) for box in read_boxes(tmp_path / 'a.txt', first_frame=0)] == [(0, 0), (1, 1)]
    (tmp_path / 'a.txt').write_text('frame,x,y,w,h\n7,1,2,3,4\n')
    assert [(box.frame, box.number) for box in read_boxes(tmp_path / 'a.txt', first_frame=5)] == [(2, 7)]
    with pytest.raises(DataError, match=r'row 1: frame 0; .*--first-frame 0'):
        boxes_of(tmp_path / 'a.txt', from_zero)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('0 1 Pedestrian 0 0 -1.57 296 161 455 292 2 0 1 -4 1 8 -1.5\n', "row 1: .*'Pedestrian'.* KITTI"),
        ('0 0.5 0.5 0.1 0.2\n', 'row 1: 5 numbers without names'),
        ('12\n', "row 1: '12' is a single number"),
        ('1;7;10,5;20;30;40;0,9\n', "row 1: x is '10,5', no number: write decimals with a point"),
        ('frame,x1,y1,x2,y2\n', 'no column x, y, w, h.*corners'),
        ('frame,x,y,w,h,x\n', 'the column x comes twice'),
        ('frame,x,y,w,h\n1,2,3,4,5,6\n', 'row 2: 6 cells'),
        ('frame,x,y,w,h,score\n1,2,3,4,5,high\n', "row 2: score is 'high'"),
        ('frame,x,y,w,h,score\n1,2,3,4,5,nan\n', "row 2: score is 'nan'"),
        ('frame,x,y,w,h,track\n1,2,3,4,5,nan\n', "row 2: track is 'nan'"),
        ('frame,x,y,w,h,track\n1,2,3,4,5,1e400\n', "row 2: track is '1e400'"),
        ('frame,x,y,w,h,track\n1,2,3,4,5,9223372036854775808\n', 'row 2: track is 9223372036854775808, beyond'),
        ('frame,x,y,w,h,track\n1,2,3,4,5,-2\n', 'row 2: track -2'),
        ('1e400,1,2,3,4,5,1\n', "row 1: frame is '1e400'"),
        ('1,1,inf,3,4,5,1\n', "row 1: x is 'inf'"),
        ('1,1,1_0,3,4,5,1\n', "row 1: x is '1_0'"),
        ('1,1,"2,3,4,5,1\n', 'row 1: not CSV'),
    ],
)
def test_other_formats_and_numbers_that_are_none(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        boxes_of(tmp_path / 'a.csv', text)


def test_rows_with_mistakes_can_be_kept(tmp_path):
    (tmp_path / 'a.csv').write_text('2,1,2,3,4,5,1\n1,1,nan,3,4,5,1\n0,1,2,3,4,5,1\n1,1,2,3,4,5,1\n')
    found = read_boxes(tmp_path / 'a.csv', keep_faulty=True)
    assert [(box.frame, box.number) for box in found] == [(0, 1), (1, 2), (-1, -1), (-1, -1)]
    assert "row 2: x is 'nan'" in found[2].error and 'row 3: frame 0' in found[3].error


def test_paths_of_frames():
    assert frame_path('a b.mp4', 7, Box(1, 2, 3, 4)) == 'a b.mp4#frame=7&xywh=1,2,3,4'
    assert split_frame('a b.mp4#frame=7&xywh=1,2,3,4') == ('a b.mp4', 7, Box(1, 2, 3, 4))
    assert split_frame('a.mp4#frame=7') == ('a.mp4', 7, None)
    for path in ('a.jpg', 'a.jpg#xywh=1,2,3,4', 'a.mp4#frame=-1', 'a.mp4#frame=1&xywh=1,2,3'):
        assert split_frame(path) == (path, None, None)


def test_every_kind_of_path(tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (20, 10, 3)).astype(np.uint8)
    picture = str(tmp_path / 'a.png')
    cv2.imwrite(picture, image)
    np.testing.assert_array_equal(read_person(picture), image)
    np.testing.assert_array_equal(read_person(f'{picture}#xywh=1,2,3,4'), image[2:6, 1:4])
    video = write_video(tmp_path / 'a.mp4', 20)
    frame = all_frames(video)[13]
    np.testing.assert_array_equal(read_person(f'{video}#frame=13'), frame)
    np.testing.assert_array_equal(read_person(f'{video}#frame=13&xywh=30,2,20,40'), frame[2:42, 30:50])


def test_read_person_what_is_not_there(tmp_path):
    video = write_video(tmp_path / 'a.mp4', 5)
    with pytest.raises(DataError, match=r'a.mp4#frame=3&xywh=60,0,5,5: no such region in an image of 64x48'):
        read_person(f'{video}#frame=3&xywh=60,0,5,5')
    with pytest.raises(DataError, match=r'no frame 5'):
        read_person(f'{video}#frame=5')
    with pytest.raises(FileNotFoundError, match=r'no video no.mp4'):
        read_person('no.mp4#frame=5')
    with pytest.raises(DataError, match=r'no.jpg: unreadable image'):
        read_person('no.jpg')


def test_boxes_in_utf_16_and_of_a_spreadsheet(tmp_path):
    (tmp_path / 'a.csv').write_bytes('frame,x,y,w,h\r\n3,1,2,30,40\r\n'.encode('utf-16'))
    (box,) = read_boxes(tmp_path / 'a.csv')
    assert (box.frame, box.box, box.place[-5:]) == (3, [1, 2, 30, 40], 'row 2')
    (tmp_path / 'a.csv').write_bytes(b'PK\x03\x04\x14\x00')
    with pytest.raises(DataError, match=r'a\.csv is a spreadsheet'):
        read_boxes(tmp_path / 'a.csv')


def test_names_that_are_not_utf8(tmp_path):
    # OpenCV would end the process.
    name = tmp_path / os.fsdecode(b'caf\xe9.mp4')
    write_video(tmp_path / 'a.mp4', 5).rename(name)
    assert VideoFrames(name).read(4).shape == (48, 64, 3)
