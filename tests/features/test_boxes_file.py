import math

import pytest

from mmosnet.errors import DataError
from mmosnet.features.boxes_file import read_boxes


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
    with pytest.raises(DataError, match=r'a.csv is no CSV in UTF-8'):
        read_boxes(tmp_path / 'a.csv')
