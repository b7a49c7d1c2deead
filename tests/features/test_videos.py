import cv2
import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.features.people import ListingOptions
from mmosnet.features.videos import CameraVideo, in_order_of_time, open_videos, video_tracks
from tests.features.drawn_video import FPS, HEIGHT, WIDTH, all_frames, write_video


@pytest.fixture
def door(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_video(tmp_path / 'door.mp4', 20).name


def boxes(name, rows, columns='frame,x,y,w,h,track'):
    with open(name, 'w', encoding='utf-8') as file:
        file.write('\n'.join([columns, *(','.join(map(str, row)) for row in rows)]) + '\n')
    return name


def opened(door, rows, start=0.0, columns='frame,x,y,w,h,track', **options):
    return CameraVideo(door, boxes('door.csv', rows, columns), 3, start, ListingOptions(**options))


def test_boxes_by_frame(door):
    video = opened(door, [(7, 1.5, 2, 20, 30, 4), (3, 0, 0, 10, 20, 4), (7, 30, -5, 20, 30, 5)], 60)
    assert list(video.boxes) == [3, 7] and [box.region for box in video.boxes[7]] == [(1, 2, 21, 30), (30, 0, 20, 25)]
    assert (video.fps, video.size, video.time(5), video.name) == (FPS, (HEIGHT, WIDTH), 60.2, 'door')
    assert video.region_path(video.boxes[7][0]) == 'door.mp4#frame=7&xywh=1,2,21,30'
    frames = all_frames(door)
    np.testing.assert_array_equal(video.read(7), frames[7])
    found = list(video.all_frames())
    assert [number for number, _ in found] == list(range(20))
    np.testing.assert_array_equal([frame for _, frame in found], frames)


def test_folders_of_frames(door, tmp_path):
    (tmp_path / 'hall').mkdir()
    for number, frame in enumerate(all_frames(door)[:6]):
        cv2.imwrite(f'hall/{number:03d}.png', frame)
    video = CameraVideo('hall', boxes('h.csv', [(2, 0, 0, 10, 20, 1)]), 0, 0, ListingOptions(fps=5))
    np.testing.assert_array_equal(video.read(2), all_frames(door)[2])
    assert video.time(2) == 0.4 and len(list(video.all_frames())) == 6 and video.name == 'hall'
    assert video.region_path(video.boxes[2][0]) == 'hall/002.png#xywh=0,0,10,20'
    for error, rows, fps in (('--fps', [(2, 0, 0, 10, 20, 1)], None), ('row 2: frame 9', [(9, 0, 0, 10, 20, 1)], 5)):
        with pytest.raises(DataError, match=error):
            CameraVideo('hall', boxes('h.csv', rows), 0, 0, ListingOptions(fps=fps))


@pytest.mark.parametrize(
    'rows, named',
    [
        ([(3, 0, 0, 10, 20, 1), (20, 0, 0, 10, 20, 1)], 'row 3: frame 20.*frames 0 to 19.*another video'),
        ([(3, 64, 0, 10, 20, 1)], 'no box has a pixel.*64x48'),
        ([(3, 0, 0, 10, 20, 1), (4, 0, 0, 0, 20, 1)], 'row 3.*no area'),
        ([(3, 'nan', 0, 10, 20, 1)], "row 2: x is 'nan'"),
    ],
)
def test_wrong_boxes_are_named_before_anything_is_computed(door, rows, named):
    with pytest.raises(DataError, match=named):
        opened(door, rows)


def test_what_is_left_out_is_counted(door):
    rows = [(3, 0, 0, 10, 20, 1), (3, 99, 0, 9, 20, 2), (4, 0, 0, 0, 20, 1), (5, 'x', 0, 1, 1, 1), (30, 0, 0, 9, 9, 1)]
    video = opened(door, rows, skip=True)
    assert list(video.boxes) == [3, 30] and len(video.boxes[3]) == 1
    assert video.left_out == {
        'boxes of door.csv wholly outside of their frames': 1,
        'rows of door.csv that cannot be used': 2,
    }


def test_tracks_are_spread_evenly(door):
    rows = [(n, 0, 0, 10, 20, 7) for n in range(10)] + [(3, 9, 9, 10, 20, 2), (4, 9, 9, 10, 20, -1)]
    video = opened(door, rows)
    two, seven = video_tracks(video, 4)
    assert (two.number, seven.number, two.decided, seven.decided) == (2, 7, 3, 9)
    assert [box.row.frame for box in seven.chosen] == [2, 4, 7, 9] and len(seven.boxes) == 10
    assert video_tracks(video, 99)[1].chosen == seven.boxes
    assert [box.row.frame for box in video_tracks(video, 2, after=5)[1].chosen] == [2, 4]
    assert any('without a track' in reason for reason in video.left_out)
    with pytest.raises(DataError, match='row 3: track 7 has a second box in frame 0'):
        video_tracks(opened(door, [(0, 0, 0, 10, 20, 7), (0, 9, 0, 10, 20, 7)]), 4)


def test_several_cameras_in_order_of_time(door):
    write_video('hall.mp4', 20)
    for name in ('a.csv', 'b.csv'):
        boxes(name, [(n, 0, 0, 10, 20, 1) for n in range(3)])
    options = dict(boxes=['a.csv', 'b.csv'], camid=[0, 4])
    videos = open_videos([door, 'hall.mp4'], ListingOptions(**options, start_time=[0.06, 0.0]))
    order = list(in_order_of_time(videos, [list(video.boxes) for video in videos]))
    assert [(video, frame) for _, video, frame in order] == [(1, 0), (1, 1), (0, 0), (1, 2), (0, 1), (0, 2)]
    assert [video.camid for video in videos] == [0, 4]
    with pytest.raises(DataError, match='--camid'):
        open_videos([door, 'hall.mp4'], ListingOptions(boxes=options['boxes']))
    with pytest.raises(DataError, match='2 videos'):
        open_videos([door, 'hall.mp4'], ListingOptions(boxes=['a.csv'], camid=[0]))
    with pytest.raises(DataError, match=r'x\.jpg'):
        open_videos([door, 'x.jpg'], ListingOptions(boxes=['a.csv'], camid=[0]))
