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
