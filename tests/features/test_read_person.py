import cv2
import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.features.read_person import read_person
from mmosnet.features.video_path import frame_path, split_frame
from mmosnet.runtime.image_region import Box
from tests.features.drawn_video import all_frames, write_video


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


def test_what_is_not_there(tmp_path):
    video = write_video(tmp_path / 'a.mp4', 5)
    with pytest.raises(DataError, match=r'a.mp4#frame=3&xywh=60,0,5,5: no such region in an image of 64x48'):
        read_person(f'{video}#frame=3&xywh=60,0,5,5')
    with pytest.raises(DataError, match=r'no frame 5'):
        read_person(f'{video}#frame=5')
    with pytest.raises(FileNotFoundError, match=r'no video no.mp4'):
        read_person('no.mp4#frame=5')
    with pytest.raises(DataError, match=r'no.jpg: unreadable image'):
        read_person('no.jpg')
