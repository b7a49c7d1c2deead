from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.features.people import ListingOptions
from mmosnet.features.sources import list_people
from tests.features.drawn_video import write_video

PLAIN = ListingOptions()
SKIP = ListingOptions(skip=True)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a working directory with two frames of 20x30 in ``frames``."""
    frames_folder(tmp_path, 'a.png', 'b.png', below='frames')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def people(inputs, options=PLAIN):
    """Return path, pid, camid and time of each person; None for an unknown time."""
    found = list_people([inputs] if isinstance(inputs, str) else inputs, options)
    times = [None if math.isnan(time) else time for time in found.time]
    return list(zip(found.path, found.pid.tolist(), found.camid.tolist(), times, strict=True))


def test_folders_and_images(folder):
    (folder / 'frames' / 'below').mkdir()
    for name in ('below/c.JPG', '.hidden.jpg', 'notes.txt'):
        (folder / 'frames' / name).write_bytes(b'')
    paths = ['frames/a.png', 'frames/b.png', 'frames/below/c.JPG']
    assert people('frames') == [(path, -1, -1, None) for path in paths]
    region = 'frames/a.png#xywh=1,2,3,4'
    assert people([region, 'frames'], ListingOptions(camid=[4, 5])) == [
        (region, -1, 4, None),
        *((path, -1, 5, None) for path in paths),
    ]


def test_names_of_market1501(folder):
    names = ['-1_c2s1_000001_00.jpg', '0000_c1s1_000001_00.jpg', '0007_c6s3_000451_03.jpg']
    for name in names:
        (folder / name).write_bytes(b'')
    market = ListingOptions(names='market1501')
    expected = [(names[0], -1, 1, None), (names[1], -1, 0, None), (names[2], 7, 5, None)]
    assert people(names, market) == expected
    with pytest.raises(DataError, match=r'frames/a.png: .*--names'):
        people('frames', market)
    found = list_people(['frames', *names], replace(market, skip=True))
    assert list(found.errors) == [0, 1] and found.pid.tolist() == [-1, -1, -1, -1, 7]


@pytest.mark.parametrize(
    'name', ['12-3_c1s1_1.jpg', '7_c0s1_1.jpg', '-2_c1_1.jpg', '12345678901_c1_1.jpg', '7_c12345678901_1.jpg']
)
def test_names_of_market1501_that_are_almost_right(folder, name):
    (folder / name).write_bytes(b'')
    with pytest.raises(DataError, match=name):
        people([name], ListingOptions(names='market1501', camid=[3]))
    found = list_people(['frames', name], ListingOptions(names='market1501', camid=[3], skip=True))
    assert name in found.errors[2]


def test_tables(folder):
    (folder / 'people.csv').write_text(
        'camid,path,pid,time,x,y,w,h,split,hat\n'
        '3,frames/a.png,0012,1970-01-01T00:00:02Z,2,3,4,5,query,1\n'
        ',frames/a.png,,2.5,25,-3,10,8.5,gallery,\n'
        '-1,frames/b.png,-1,,,,,,gallery,0\n'
    )
    rows = [
        ('frames/a.png#xywh=2,3,4,5', 12, 3, 2.0),
        # Clipped to the image.
        ('frames/a.png#xywh=25,0,5,6', -1, 9, 2.5),
        ('frames/b.png', -1, 9, None),
    ]
    assert people('people.csv', ListingOptions(camid=[9])) == rows
    assert people('people.csv', ListingOptions(camid=[9], split='gallery')) == rows[1:]
    assert people('people.csv', ListingOptions(margin=0.5))[0][0] == 'frames/a.png#xywh=0,0,8,11'
    (folder / 'tables').mkdir()
    (folder / 'people.csv').rename(folder / 'tables' / 'people.csv')
    assert people('tables/people.csv', ListingOptions(camid=[9], root='.')) == rows


def test_people_with_names_are_numbered_over_all_inputs(folder):
    (folder / 'a.csv').write_text('path,pid\nframes/a.png,berta\nframes/b.png,anna\n')
    (folder / 'b.csv').write_text('path,pid,camid\nframes/a.png,anna,1\n')
    found = list_people(['a.csv', 'b.csv'], PLAIN)
    assert found.pid.tolist() == [2, 1, 1] and found.camid.tolist() == [-1, -1, 1]
    assert found.names == dict(pid=dict(anna=1, berta=2))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('pid\n1\n', 'no column path'),
        ('path,x,y\nframes/a.png,1,2\n', 'the columns x, y alone are no box: give all of x,y,w,h'),
        ('path,x,y,w,h\nframes/a.png,1,2,3,\n', 'row 2: the box 1,2,3, is not left, top, width, height'),
        ('path,x,y,w,h\nframes/a.png,1,2,3,4\nframes/a.png,1,2,3,4\n', 'is in row 2 already'),
        ('path\n', 'people.csv holds no person'),
    ],
)
def test_mistakes_in_tables(folder, text, message):
    (folder / 'people.csv').write_text(text)
    with pytest.raises(DataError, match=message):
        people('people.csv')


def test_coco_files(folder):
    images = [
        dict(id=1, file_name='a.png', width=30, height=20, camera_id='door', time=7.5),
        dict(id=2, file_name='b.png', split='query'),
    ]
    annotations = [
        dict(id=1, image_id=1, bbox=[2.5, 3, 4, 5], category_id=3, person_id='anna'),
        dict(id=2, image_id=2, bbox=[0, 0, 30, 20], category_id=3, attributes=dict(track=4, camera_id='hall')),
        dict(id=3, image_id=2, bbox=[0, 0, 30, 20], category_id=3, iscrowd=1),
        dict(id=4, image_id=2, bbox=[1, 1, 2, 2], category_id=8),
    ]
    categories = [dict(id=3, name='person'), dict(id=8, name='car')]
    content = dict(images=images, annotations=annotations, categories=categories)
    (folder / 'all.json').write_text(json.dumps(content))
    root = ListingOptions(root='frames')
    door = ('frames/a.png#xywh=2,3,5,5', 1, 1, 7.5)
    hall = ('frames/b.png#xywh=0,0,30,20', -1, 2, None)
    assert people('all.json', root) == [door, hall, ('frames/b.png#xywh=1,1,2,2', -1, -1, None)]
    assert people('all.json', replace(root, category='person')) == [door, hall]
    options = replace(root, category='person', split='query', id_key='track', camid=[6])
    assert people('all.json', options) == [(*hall[:1], 4, 1, None)]
    for option, message in (('id_key', '--id-key room: .* person_id, .*track'), ('camera_key', '--camera-key room')):
        with pytest.raises(DataError, match=f'all.json: {message}'):
            people('all.json', replace(root, **{option: 'room'}))
    assert list_people(['all.json'], root).names == dict(pid=dict(anna=1), camid=dict(door=1, hall=2))
    with pytest.raises(DataError, match=r"'bus'.*car, person"):
        people('all.json', replace(root, category='bus'))
    with pytest.raises(DataError, match=r'all.json, annotation 1: .*a.png.*--root'):
        people('all.json')
    with pytest.raises(DataError, match=r'all.json holds no person.* train'):
        people('all.json', replace(root, split='train'))


def test_videos(folder):
    for name in ('door.mp4', 'hall.avi'):
        write_video(folder / name, 12, 'mp4v' if name.endswith('mp4') else 'MJPG')
    (folder / 'door.csv').write_text('frame,x,y,w,h,track\n8,60,40,10,20,3\n0,1,2,10,20,3\n5,1,2,10,20,4\n')
    (folder / 'hall.txt').write_text('1,7,0,0,5,6,0.9\n1,8,0,0,5,6,0.2\n')
    boxes = ListingOptions(boxes=['door.csv', 'hall.txt'], camid=[1, 2], start_time=[100, 0])
    door = [('door.mp4#frame=0&xywh=1,2,10,20', -1, 1, 100.0), ('door.mp4#frame=5&xywh=1,2,10,20', -1, 1, 100.2)]
    door.append(('door.mp4#frame=8&xywh=60,40,4,8', -1, 1, 100.32))
    hall = ('hall.avi#frame=0&xywh=0,0,5,6', -1, 2, 0.0)
    assert people(['door.mp4', 'hall.avi'], boxes) == [*door, hall, hall]
    one = ListingOptions(boxes=['door.csv'])
    assert [person[0] for person in people('door.mp4', replace(one, frame_step=4))] == [door[0][0], door[2][0]]
    assert [person[1] for person in people('door.mp4', replace(one, tracks_as_pids=True))] == [3, 4, 3]
    assert people('door.mp4', replace(one, fps=10))[1][3] == 0.5
    assert people('hall.avi', ListingOptions(boxes=['hall.txt'], min_score=0.5, camid=[2])) == [hall]
    with pytest.raises(DataError, match=r'door.csv, row 3: .*--min-score 0.5'):
        people('door.mp4', replace(one, min_score=0.5))


def test_folders_of_frames(folder):
    (folder / 'gt.txt').write_text('2,7,1,2,5,6,1\n1,7,28,2,5,6,1\n')
    options = ListingOptions(boxes=['gt.txt'], tracks_as_pids=True, camid=[3])
    paths = ['frames/a.png#xywh=28,2,2,6', 'frames/b.png#xywh=1,2,5,6']
    assert people('frames', options) == [(path, 7, 3, None) for path in paths]
    assert [person[3] for person in people('frames', replace(options, fps=10, start_time=[5]))] == [5, 5.1]
    (folder / 'gt.txt').write_text('3,7,1,2,5,6,1\n')
    with pytest.raises(DataError, match=r'gt.txt, row 1: frame 3 of frames, .*1 to 2'):
        people('frames', options)


def test_boxes_that_are_left_out(folder):
    write_video(folder / 'a.mp4', 3)
    (folder / 'a.csv').write_text('frame,x,y,w,h\n0,1,2,0,5\n1,1,2,3,4\n2,64,0,5,5\n')
    (folder / 'b.csv').write_text('path,x,y,w,h\nframes/no.png,1,2,3,4\nframes/a.png,1,2,3,4\n')
    found = list_people(['a.mp4', 'b.csv'], replace(SKIP, boxes=['a.csv']))
    assert found.path[1] == 'a.mp4#frame=1&xywh=1,2,3,4' and found.path[4] == 'frames/a.png#xywh=1,2,3,4'
    assert {row: found.path[row] for row in found.errors} == {0: 'a.mp4', 2: 'a.mp4', 3: 'frames/no.png'}
    assert 'a.csv, row 2: bbox [1.0, 2.0, 0.0, 5.0] has no area' in found.errors[0]
    assert 'lies wholly outside' in found.errors[2] and 'no image' in found.errors[3]
    with pytest.raises(DataError, match=r'a.csv, row 2: bbox .* has no area'):
        people('a.mp4', ListingOptions(boxes=['a.csv']))


@pytest.mark.parametrize(
    ('inputs', 'options', 'message'),
    [
        (['no'], PLAIN, 'no image, folder, table, COCO file or video no'),
        (['no.csv'], PLAIN, 'no.csv'),
        (['no.jpg#xywh=1,2,3,4'], PLAIN, r'no image, .* no.jpg'),
        (['empty'], PLAIN, 'empty holds no image'),
        (['frames', 'frames'], PLAIN, 'frames is named twice'),
        (['frames', './frames/'], PLAIN, './frames/ is named twice, as frames too'),
        (['a.mp4'], PLAIN, r'1 videos .a.mp4. and 0 files of boxes'),
        (['frames/a.png'], ListingOptions(boxes=['a.csv']), '0 videos .none. and 1 files of boxes'),
        (['a.mp4'], ListingOptions(boxes=['a.csv']), 'no file of boxes a.csv'),
        (['frames', 'empty'], ListingOptions(camid=[1, 2, 3]), '--camid has 3 values for 2 inputs'),
    ],
)
def test_inputs_that_are_none(folder, inputs, options, message):
    (folder / 'empty').mkdir()
    with pytest.raises((DataError, FileNotFoundError), match=message):
        people(inputs, options)


def test_a_digest_tells_lists_apart(folder):
    (folder / 'a.csv').write_text('path,pid,camid,time\nframes/a.png,1,2,3\nframes/b.png,1,2,\n')
    first = list_people(['a.csv'], PLAIN).digest()
    assert first == list_people(['a.csv'], PLAIN).digest() and len(first) == 16
    seen = {first, list_people(['frames'], PLAIN).digest()}
    for change in ('a.png,2,2,3', 'a.png,1,3,3', 'a.png,1,2,4', 'c.png,1,2,3'):
        (folder / 'a.csv').write_text(f'path,pid,camid,time\nframes/{change}\nframes/b.png,1,2,\n')
        seen.add(list_people(['a.csv'], PLAIN).digest())
    assert len(seen) == 6


def test_numbers_beside_names_are_other_people(folder):
    """Otherwise one person would get two numbers, or two people one."""
    (folder / 'a.csv').write_text('path,pid\nframes/a.png,anna\nframes/b.png,berta\n')
    for name in ('0001_c1s1_000001_00.jpg', '-1_c1s1_000001_00.jpg'):
        (folder / name).write_bytes(b'')
    inputs = ['a.csv', '0001_c1s1_000001_00.jpg', '-1_c1s1_000001_00.jpg']
    found = list_people(inputs, ListingOptions(names='market1501'))
    assert found.pid.tolist() == [2, 3, 1, -1] and found.names['pid'] == {'1': 1, 'anna': 2, 'berta': 3}


def frames_folder(folder, *names, below='video'):
    (folder / below).mkdir()
    for name in names:
        cv2.imwrite(str(folder / below / name), np.zeros((20, 30, 3), np.uint8))


def images_of(boxes, **options):
    """Return the images of boxes in frames with these numbers, listed without a header."""
    Path('boxes.txt').write_text(''.join(f'{number},1,0,0,9,9,1\n' for number in boxes))
    found = people('video', ListingOptions(boxes=['boxes.txt'], **options))
    return [Path(path.partition('#')[0]).name for path, *_ in found]


def test_frames_are_sorted_by_their_numbers(folder):
    frames_folder(folder, *(f'{number}.png' for number in range(1, 12)))
    assert images_of([1, 2, 10, 11]) == ['1.png', '2.png', '10.png', '11.png']
    assert images_of([0, 1, 9, 10], first_frame=0) == ['1.png', '2.png', '10.png', '11.png']


def test_a_frame_that_is_missing_moves_no_others(folder):
    frames_folder(folder, 'f001.png', 'f002.png', 'f004.png')
    assert images_of([1, 2, 4]) == ['f001.png', 'f002.png', 'f004.png']
    with pytest.raises(DataError, match=r'boxes.txt, row 2: frame 3 of video, .*1 to 4'):
        images_of([2, 3])


@pytest.mark.parametrize(
    ('names', 'options', 'message'),
    [
        (('1.png', '01.png', '2.png'), {}, r'1.png and .*1.png are both frame 1'),
        (('1.png', '2.png', 'cover.png'), {}, r'cover.png has no number as .*1.png'),
        (('100.png', '101.png'), {}, r'video: the frames count from 100: give --first-frame 100'),
        (('100.png', '101.png'), dict(first_frame=1), r'video: the frames count from 100: give --first-frame 100'),
    ],
)
def test_folders_in_which_frames_are_not_clear(folder, names, options, message):
    frames_folder(folder, *names)
    with pytest.raises(DataError, match=message):
        images_of([1], **options)


def test_numbers_of_frames_from_elsewhere(folder):
    frames_folder(folder, '100.png', '101.png', '103.png')
    assert images_of([100, 101, 103], first_frame=100) == ['100.png', '101.png', '103.png']
    frames_folder(folder, 'door_b.png', 'door_a.png', below='unnumbered')
    (folder / 'boxes.txt').write_text('2,1,0,0,9,9,1\n')
    names = ['unnumbered/door_b.png#xywh=0,0,9,9']
    assert [path for path, *_ in people('unnumbered', ListingOptions(boxes=['boxes.txt']))] == names


GOOD = dict(path='frames/a.png', pid='1', camid='2', time='3', x='1', y='2', w='3', h='4')
FAULTS = [
    *((dict(x=value), value) for value in ('nan', 'inf', '-inf', '1e400', 'left')),
    *((dict(w=value), 'no area') for value in ('0', '-3')),
    (dict(x='30'), 'outside its frame of 30x20'),
    (dict(x='0.1', y='0.2', w='0.3', h='0.5'), '0.1, 0.2, 0.3, 0.5.*shares of the image'),
    (dict(path='frames/no.png'), 'no.png; --root'),
    (dict(path='frames/text.png'), 'text.png'),
    (dict(path='../a.png'), r'\.\./a.png'),
    (dict(path='/frames/a.png'), '/frames/a.png'),
    (dict(path=''), 'path is empty'),
    *((dict(time=value), value) for value in ('noon', 'nan', '-5', '1777636800000', '1e400')),
    *(
        (dict(pid=value), value.replace('+', '.'))
        for value in ('NaN', 'inf', '1e400', '1.5', '-7', '1e+22', str(2**63))
    ),
    *((dict(camid=value), value) for value in ('one', '-2', '1.5', 'nan', '1000000000')),
]


@pytest.mark.parametrize(('change', 'value'), FAULTS)
def test_a_row_that_is_wrong_is_left_out_alone(folder, change, value):
    (folder / 'frames' / 'text.png').write_text('no image')
    rows = [GOOD | change, GOOD | dict(x='2')]
    (folder / 'a.csv').write_text('\n'.join(','.join(row) for row in (GOOD, *(row.values() for row in rows))))
    with pytest.raises(DataError, match=f'a.csv, row 2.*{value}'):
        list_people(['a.csv'], PLAIN)
    found = list_people(['a.csv'], SKIP)
    assert list(found.errors) == [0] and re.search(f'a.csv, row 2.*{value}', found.errors[0])
    assert found.path[1] == 'frames/a.png#xywh=2,2,3,4' and found.pid.tolist()[1] == 1 and len(found) == 2


@pytest.mark.parametrize(
    ('image', 'annotation', 'value'),
    [
        *(({}, dict(bbox=[1, 2, value, 4]), 'nan|inf|bbox') for value in (math.nan, math.inf, -math.inf, 10**400)),
        ({}, dict(bbox=[1, 2, 0, 4]), 'no area'),
        ({}, dict(bbox=[1, 2, -3, 4]), 'no area'),
        ({}, dict(bbox=[30, 2, 3, 4]), 'outside its frame of 30x20'),
        ({}, dict(bbox=[0.1, 0.2, 0.3, 0.4]), 'shares of the image'),
        ({}, dict(bbox='1,2,3,4'), 'bbox'),
        ({}, dict(bbox=None), 'bbox'),
        ({}, dict(image_id=9), 'image_id 9'),
        ({}, dict(iscrowd=2), 'iscrowd 2'),
        *(({}, dict(person_id=value), 'person_id') for value in (math.nan, math.inf, 1.5, -7, True, [1], 2**63)),
        *(({}, dict(camera_id=value), 'camera_id') for value in (math.nan, -7, {})),
        *((dict(time=value), {}, 'time') for value in (-1, 1777636800000, math.nan, 'noon')),
        (dict(file_name='no.png'), {}, 'no.png'),
        (dict(file_name='a\0.png'), {}, 'a.x00.png'),
        (dict(file_name='../a.png'), {}, r'\.\./a.png'),
        (dict(width=31, height=20), {}, 'width 31'),
    ],
)
def test_an_annotation_that_is_wrong_is_left_out_alone(folder, image, annotation, value):
    images = [dict(id=1, file_name='a.png') | image, dict(id=2, file_name='b.png')]
    box = dict(bbox=[1, 2, 3, 4], person_id=5)
    annotations = [dict(box, id=3, image_id=1) | annotation, dict(box, id=4, image_id=2)]
    (folder / 'a.json').write_text(json.dumps(dict(images=images, annotations=annotations)))
    with pytest.raises(DataError, match=f'a.json, annotation.*3.*({value})|{value}.*id 3'):
        list_people(['a.json'], replace(PLAIN, root='frames'))
    found = list_people(['a.json'], replace(SKIP, root='frames'))
    assert list(found.errors) == [0] and re.search(f'a.json, annotation.*3.*({value})|{value}.*id 3', found.errors[0])
    assert found.path[1] == 'frames/b.png#xywh=1,2,3,4' and found.pid.tolist()[1] == 5


@pytest.mark.parametrize('video', ['a.mp4', 'frames'])
@pytest.mark.parametrize(
    ('row', 'value'),
    [
        *((f'1,7,1,2,{value},4,1', value) for value in ('nan', 'inf', 'wide')),
        *((f'1,7,1,2,{value},4,1', 'no area') for value in ('0', '-3')),
        ('1,7,0.1,0.2,0.3,0.4,1', 'shares of the image'),
        ('1,7,90,2,3,4,1', 'outside'),
        ('1,1e400,1,2,3,4,1', '1e400'),
        ('1,7,1,2,3,4,high', 'high'),
        ('0,7,1,2,3,4,1', 'frame 0'),
        ('1.5,7,1,2,3,4,1', '1.5'),
        ('nan,7,1,2,3,4,1', 'nan'),
    ],
)
def test_a_box_of_a_frame_that_is_wrong_is_left_out_alone(folder, video, row, value):
    write_video(folder / 'a.mp4', 3)
    (folder / 'a.txt').write_text(f'1,7,1,2,3,4,1\n{row}\n2,7,1,2,3,4,1\n')
    with pytest.raises(DataError, match=f'a.txt, row 2.*{value}'):
        list_people([video], replace(PLAIN, boxes=['a.txt']))
    found = list_people([video], replace(SKIP, boxes=['a.txt']))
    (text,) = found.errors.values()
    assert re.search(f'a.txt, row 2.*{value}', text) and len(found) == 3


def test_frames_and_files_that_are_no_time(folder):
    write_video(folder / 'a.mp4', 3)
    (folder / 'a.txt').write_text('1,-1,1,2,3,4,1\n')
    with pytest.raises(DataError, match=r'a.txt: .*--tracks-as-pids'):
        people('a.mp4', ListingOptions(boxes=['a.txt'], tracks_as_pids=True))
    with pytest.raises(DataError, match=r'a.txt, row 1: .*after the year 2099'):
        people('a.mp4', ListingOptions(boxes=['a.txt'], start_time=[4_102_444_800]))


def test_what_is_left_out_is_counted(folder, caplog):
    (folder / 'frames' / 'notes.txt').touch()
    (folder / 'frames' / 'c.heic').touch()
    (folder / 'a.csv').write_text('path,split\nframes/a.png,query\nframes/b.png,gallery\n')
    (folder / 'a.txt').write_text('1,7,1,2,3,4,0.9\n2,7,1,2,3,4,0.9\n1,7,1,2,3,4,0.1\n')
    frames_folder(folder, '1.png', '2.png')
    crowd = [dict(id=n, image_id=1, bbox=[1, 2, 3, 4], iscrowd=int(n > 1)) for n in (1, 2, 3)]
    (folder / 'a.json').write_text(json.dumps(dict(images=[dict(id=1, file_name='frames/a.png')], annotations=crowd)))
    options = replace(PLAIN, split='query', boxes=['a.txt'], min_score=0.5, frame_step=2)
    left_out = list_people(['a.csv'], replace(options, boxes=())).left_out
    assert list(left_out.values()) == [1] and 'a.csv' in next(iter(left_out))
    assert [text for text in list_people(['frames'], PLAIN).left_out if '1 .heic' in text and '1 .txt' in text]
    left_out = list_people(['video'], options).left_out
    assert sorted(left_out.values()) == [1, 1] and all('a.txt' in text for text in left_out)
    ((text, number),) = list_people(['a.json'], PLAIN).left_out.items()
    assert number == 2 and 'iscrowd' in text and '2, 3' in text
    (folder / 'a.json').write_text(
        json.dumps(dict(images=[dict(id=1, file_name='frames/a.png')], annotations=crowd[1:]))
    )
    with pytest.raises(DataError, match=r'a.json holds no person.*iscrowd'):
        list_people(['a.json'], PLAIN)


def test_columns_and_fields_that_are_not_read_are_named(folder, caplog):
    write_video(folder / 'a.mp4', 3)
    (folder / 'a.csv').write_text('path,person\nframes/a.png,7\n')
    coco = dict(
        images=[dict(id=1, file_name='frames/a.png')],
        annotations=[dict(id=1, image_id=1, bbox=[1, 2, 3, 4], track_id=7, camera_id=1)],
    )
    (folder / 'a.json').write_text(json.dumps(coco))
    (folder / 'b.csv').write_text('frame,x,y,w,h,pid\n0,1,2,3,4,7\n')
    list_people(['a.csv', 'a.json', 'a.mp4'], replace(PLAIN, boxes=['b.csv']))
    texts = [record.getMessage() for record in caplog.records]
    assert [any(value in text for text in texts) for value in ('columns person are', 'track_id', 'columns pid')] == [
        True
    ] * 3
    caplog.clear()
    (folder / 'a.csv').write_text('path,pid\nframes/a.png,7\n')
    list_people(['a.csv'], PLAIN)
    assert not caplog.records


def test_a_row_that_is_wrong_is_named_before_what_all_rows_lack(folder):
    write_video(folder / 'a.mp4', 3)
    (folder / 'a.txt').write_text('1;7;1,5;2;3;4;1\n')
    with pytest.raises(DataError, match=r"a.txt, row 1: x is '1,5'.*--bad-images skip"):
        people('a.mp4', ListingOptions(boxes=['a.txt'], tracks_as_pids=True))


def test_a_corrected_row_is_another_list(folder):
    (folder / 'a.csv').write_text('path,pid\nframes/a.png,-7\nframes/b.png,1\n')
    first = list_people(['a.csv'], SKIP).digest()
    (folder / 'a.csv').write_text('path,pid\nframes/a.png,\nframes/b.png,1\n')
    assert list_people(['a.csv'], SKIP).digest() != first


@pytest.mark.parametrize('kind', ['csv', 'json', 'txt', 'video'])
@pytest.mark.parametrize('corners', [True, False])
def test_boxes_that_are_corners_are_refused(folder, kind, corners, caplog):
    """Read as widths and heights most boxes reach beyond their images, read as corners none does."""
    write_video(folder / 'a.mp4', 1)
    boxes = [[10, 2, 25, 18], [12, 3, 28, 19], [1, 1, 9, 15], [14, 5, 30, 20]]
    if kind == 'video':
        boxes = [[2 * value + 4 for value in box] for box in boxes]
    if not corners:
        boxes[0][0] = -1
    path = f'a.{kind}'
    options = replace(SKIP, boxes=['a.txt'] if kind in ('txt', 'video') else ())
    text = '\n'.join(f'1,{n},{",".join(map(str, box))},1' for n, box in enumerate(boxes))
    if kind == 'csv':
        text = '\n'.join(['path,x,y,w,h', *(f'frames/a.png,{",".join(map(str, box))}' for box in boxes)])
    if kind == 'json':
        people = [dict(id=n, image_id=1, bbox=box) for n, box in enumerate(boxes)]
        text = json.dumps(dict(images=[dict(id=1, file_name='frames/a.png')], annotations=people))
    (folder / path.replace('video', 'txt')).write_text(text)
    inputs = dict(txt=['frames'], video=['a.mp4']).get(kind, [path])
    if corners:
        with pytest.raises(
            DataError, match=rf'a.{kind.replace("video", "txt")}, .* and 3 others look like left, top, right'
        ):
            list_people(inputs, options)
    else:
        assert len(list_people(inputs, options)) == 4
        assert [text for text in caplog.messages if ' of 4 boxes reach beyond' in text]


def test_names_that_are_mixed_up_are_said(folder, caplog):
    (folder / 'people.csv').write_text('path,pid\nframes/a.png,anna\nframes/b.png,Anna\n')
    assert len({pid for _, pid, _, _ in people('people.csv')}) == 2
    assert "'Anna', 'anna'" in caplog.text
