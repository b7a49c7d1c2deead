import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.features.list_people import list_people
from mmosnet.features.listing_options import ListingOptions
from tests.features.drawn_video import write_video

PLAIN = ListingOptions()
SKIP = ListingOptions(skip=True)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two frames of 20x30 in ``frames``, and the folder as the place where paths start."""
    (tmp_path / 'frames').mkdir()
    for name in ('a.png', 'b.png'):
        cv2.imwrite(str(tmp_path / 'frames' / name), np.zeros((20, 30, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def people(inputs, options=PLAIN):
    """Path, pid, camid and time of each; of an unknown time None."""
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
    with pytest.raises(DataError, match=r'frames/a.png: the name does not begin with pid and camera'):
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
        ('path,pid\n../a.png,1\n', r"row 2: the path '../a.png' leaves"),
        ('path,camid\nframes/a.png,one\n', "row 2: camid 'one' is not a whole number from 0 up"),
        ('path,x,y\nframes/a.png,1,2\n', 'the columns x, y alone are no box: give all of x,y,w,h'),
        ('path,x,y,w,h\nframes/a.png,1,2,3,\n', 'row 2: the box 1,2,3, is not left, top, width, height'),
        ('path,x,y,w,h\nframes/a.png,1,2,0,4\n', 'row 2: bbox .* has no area'),
        ('path,x,y,w,h\nframes/a.png,30,2,3,4\n', 'row 2: bbox .* lies wholly outside its frame of 30x20'),
        ('path,x,y,w,h\nframes/no.png,1,2,3,4\n', r'row 2: no image frames/no.png; --root says'),
        ('path,x,y,w,h\nframes/a.png,1,2,3,4\nframes/a.png,1,2,3,4\n', 'is in row 2 already'),
        ('path,time\nframes/a.png,noon\n', "row 2: time 'noon' is neither seconds nor a date"),
        ('path\n', 'people.csv: there is nobody in it'),
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
    with pytest.raises(DataError, match=r"no category 'bus'; the file has car, person"):
        people('all.json', replace(root, category='bus'))
    with pytest.raises(DataError, match=r'all.json, annotation 1: no image a.png; --root says where'):
        people('all.json')
    with pytest.raises(DataError, match=r'all.json: there is nobody in it of that choice'):
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
    with pytest.raises(DataError, match=r'door.csv, row 3: no score, on which --min-score 0.5'):
        people('door.mp4', replace(one, min_score=0.5))


def test_folders_of_frames(folder):
    (folder / 'gt.txt').write_text('2,7,1,2,5,6,1\n1,7,28,2,5,6,1\n')
    options = ListingOptions(boxes=['gt.txt'], tracks_as_pids=True, camid=[3])
    paths = ['frames/a.png#xywh=28,2,2,6', 'frames/b.png#xywh=1,2,5,6']
    assert people('frames', options) == [(path, 7, 3, None) for path in paths]
    assert [person[3] for person in people('frames', replace(options, fps=10, start_time=[5]))] == [5, 5.1]
    (folder / 'gt.txt').write_text('3,7,1,2,5,6,1\n')
    with pytest.raises(DataError, match=r'gt.txt, row 1: frame 2 counted from 0, of 2 in frames'):
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
    """Or one person would be two, and two one."""
    (folder / 'a.csv').write_text('path,pid\nframes/a.png,anna\nframes/b.png,berta\n')
    for name in ('0001_c1s1_000001_00.jpg', '-1_c1s1_000001_00.jpg'):
        (folder / name).write_bytes(b'')
    inputs = ['a.csv', '0001_c1s1_000001_00.jpg', '-1_c1s1_000001_00.jpg']
    found = list_people(inputs, ListingOptions(names='market1501'))
    assert found.pid.tolist() == [2, 3, 1, -1] and found.names['pid'] == {'1': 1, 'anna': 2, 'berta': 3}


def test_frames_are_sorted_by_their_numbers(folder):
    for number in (1, 2, 10):
        cv2.imwrite(str(folder / f'{number}.png'), np.zeros((20, 30, 3), np.uint8))
    (folder / 'video').mkdir()
    for number in (1, 2, 10):
        (folder / f'{number}.png').rename(folder / 'video' / f'{number}.png')
    (folder / 'boxes.csv').write_text('frame,x,y,w,h\n1,0,0,9,9\n2,0,0,9,9\n')
    found = people('video', ListingOptions(boxes=['boxes.csv']))
    assert [path.partition('#')[0] for path, *_ in found] == ['video/2.png', 'video/10.png']
