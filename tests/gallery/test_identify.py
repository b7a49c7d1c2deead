import csv
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmosnet.drawing.sightings import color_of
from mmosnet.errors import DataError
from mmosnet.features.people import ListingOptions
from mmosnet.features.videos import open_videos
from mmosnet.gallery import Gallery, sightings
from mmosnet.gallery.identify import IdentifyOptions, identify
from mmosnet.gallery.people import People
from mmosnet.io.video import read_boxes
from tests.features.drawn_video import all_frames
from tests.gallery.two_cameras import HEIGHT, WALKS, MeanColors, write_cameras

VIDEOS = ['door.mp4', 'hall.mp4']
RESULTS = ('sightings.csv', 'identify.jsonl', 'door.mot.txt', 'hall.mot.txt')


@pytest.fixture
def cameras(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_cameras(tmp_path)


def run(out='out', uri='people', embedder=None, listing=None, limits=None, videos=VIDEOS, **options):
    """Identify the people in the videos, and return the report."""
    embedder = embedder or MeanColors()
    listing = dict(boxes=['door.csv', 'hall.csv'], camid=[0, 1], start_time=[0.0, 60.0]) | (listing or {})
    opened = open_videos(videos, ListingOptions(**listing))
    if not Path(uri).exists():
        Gallery.create(uri, 3, model=MeanColors.model).close()
    with Gallery.open(uri) as gallery, People(gallery, **(dict(threshold=0.2) | (limits or {}))) as people:
        return identify(opened, people, embedder, out, IdentifyOptions(**options), disable_progress=True)


def table(out='out'):
    with open(Path(out, 'sightings.csv'), encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def images(uri='people'):
    with Gallery.open(uri) as gallery:
        return gallery.features()


def test_who_was_where(cameras):
    report = run()
    rows = table()
    found = [(row['video'], row['track'], row['pid'], row['verdict']) for row in rows]
    # A pid is that of the color: people are numbered in the order in which their first tracks end.
    assert found == [
        ('door.mp4', '1', '1', 'new'),
        ('door.mp4', '2', '2', 'new'),
        ('door.mp4', '3', '1', 'known'),
        ('hall.mp4', '1', '2', 'known'),
        ('hall.mp4', '2', '3', 'new'),
        ('hall.mp4', '3', '1', 'known'),
    ]
    walk = WALKS['hall'][2]
    last = rows[-1]
    assert (last['first_frame'], last['last_frame'], last['boxes']) == (str(walk[2]), str(walk[3]), '13')
    assert (last['start'], last['end'], last['camid'], last['nearest']) == ('61.200', '62.400', '1', '1')
    assert float(last['distance']) < 0.01 < 1 < float(last['runner_up'])
    counts = [[int(cell) for cell in line.split('|')[1:3]] for line in report.splitlines()[2:5]]
    assert counts == [[2, 3], [3, 3], [3, 6]]
    assert images().path[0] == rows[0]['image'] and len(images()) == 6


def test_boxes_with_people_are_read_again(cameras):
    run()
    for name, walks in WALKS.items():
        given, found = read_boxes(f'{name}.csv'), read_boxes(f'out/{name}.mot.txt')
        person = {track: pid for pid, track, _, _ in walks}
        assert [(box.frame, person[box.track], box.box) for box in given] == [
            (box.frame, box.track, box.box) for box in found
        ]
    # As the files of boxes of another run, where both tracks of person 1 are one.
    run('again', 'other', listing=dict(boxes=['out/door.mot.txt', 'out/hall.mot.txt']))
    assert [(row['track'], row['boxes']) for row in table('again')][:2] == [('1', '23'), ('2', '15')]


def test_videos_and_sheets(cameras):
    run()
    for name in ('door', 'hall'):
        before, after = all_frames(Path(f'{name}.mp4')), all_frames(Path('out', f'{name}.mp4'))
        assert len(before) == len(after) and before[0].shape == after[0].shape
    # The lower edge of the box of person 1 in the first frame.
    edge = all_frames(Path('out/door.mp4'))[0][80, 10:24].astype(int)
    assert np.abs(edge - color_of(1)).mean() < 40
    sheets = sorted(path.name for path in Path('out/people').iterdir())
    assert sheets == ['1.jpg', '2.jpg', '3.jpg']
    widths = [cv2.imread(f'out/people/{name}').shape[1] for name in sheets]
    assert widths[0] > widths[2] and cv2.imread('out/people/1.jpg').shape[0] > HEIGHT
    run('plain', 'other', draw_videos=False, draw_sheets=False)
    assert sorted(path.name for path in Path('plain').iterdir()) == sorted(RESULTS)
    run('sheets', 'third', draw_videos=False)
    assert [(Path('sheets/people') / name).read_bytes() for name in sheets] == [
        (Path('out/people') / name).read_bytes() for name in sheets
    ]


def test_without_tracks_boxes_of_a_frame_are_different_people(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_cameras(tmp_path, tracks=False)
    run(limits=dict(images_per_person=3))
    rows = table()
    assert [(row['video'], row['pid'], row['verdict'], row['first_frame'], row['last_frame']) for row in rows] == [
        ('door.mp4', '1', 'new', '0', '29'),
        ('door.mp4', '2', 'new', '5', '19'),
        ('hall.mp4', '2', 'known', '0', '9'),
        ('hall.mp4', '3', 'new', '4', '16'),
        ('hall.mp4', '1', 'known', '12', '24'),
    ]
    assert [row['boxes'] for row in rows] == ['23', '15', '10', '13', '13'] and len(images()) == 9
    with pytest.raises(DataError, match=r'door\.csv: no box has a track'):
        run('other', 'other', per='track')


def test_a_track_is_embedded_by_some_boxes_and_decided_early(cameras):
    embedder = MeanColors()
    run(embedder=embedder, frames=4)
    assert embedder.boxes == 6 * 4
    early = MeanColors()
    run('early', 'other', embedder=early, frames=4, after=3)
    assert early.boxes == 6 * 3
    # Person 2 enters after person 1, and is decided before the end.
    assert [row['image'].partition('&')[0] for row in table('early')][1] == 'door.mp4#frame=5'
    assert [row['pid'] for row in table('early')] == [row['pid'] for row in table()]


def test_attributes_of_a_joint_model_are_noted_and_searched(cameras):
    class Joint(MeanColors):
        attributes = ('blue', 'red')

        def attributes_of(self, frame):
            blue, _, red = frame[15:45].mean(axis=(0, 1))
            return ('blue',) if blue > 150 else ('red',) if red > 150 else ()

    run(embedder=Joint())
    # Colors are BGR.
    expected = {'1': 'blue', '2': '', '3': 'red'}
    assert [row['attributes'] for row in table()] == [expected[row['pid']] for row in table()]
    with Gallery.open('people') as gallery:
        (matches,) = gallery.search(np.ones((1, 3), np.float32), 10, attributes=['blue'])
        assert {match.pid for match in matches} == {1} and len(matches) == 3
        assert all(match.track and match.frames > 1 for match in matches)


def test_cameras_in_which_nobody_is_seen(cameras):
    Path('none.csv').write_text('')
    report = run(listing=dict(boxes=['door.csv', 'none.csv']))
    assert [[cell.strip() for cell in line.split('|')] for line in report.splitlines()[3:5]] == [
        ['1', '0', '0', '0', '0', '0', '0'],
        ['all', '2', '3', '1', '2', '0', '0'],
    ]
    assert Path('out/hall.mot.txt').read_text() == ''
    assert len(all_frames(Path('out/hall.mp4'))) == len(all_frames(Path('hall.mp4')))
    Path('none.csv').write_text('frame,x,y,w,h,track\n')
    for per in (None, 'track', 'frame'):
        run(f'none_{per}', 'other', listing=dict(boxes=['none.csv', 'none.csv']), per=per)
        assert table(f'none_{per}') == []
        shutil.rmtree('other')


def test_short_tracks_get_no_person(cameras):
    with open('door.csv', 'a', encoding='utf-8') as file:
        file.write('3,90,20,24,60,9\n4,90,20,30,60,9\n')
    embedder = MeanColors()
    report = run(embedder=embedder)
    assert embedder.boxes == sum(min(16, last + 1 - first) for walks in WALKS.values() for *_, first, last in walks)
    (short,) = (row for row in table() if row['track'] == '9')
    assert (short['verdict'], short['pid'], short['boxes'], short['first_frame']) == ('too short', '', '2', '3')
    assert short['image'] == 'door.mp4#frame=4&xywh=90,20,30,60' and short['distance'] == short['reason'] == ''
    assert report.splitlines()[0].split('|')[-1].strip() == 'too short'
    assert [line.split('|')[-1].strip() for line in report.splitlines()[2:5]] == ['1', '0', '1']
    assert {row.track for row in read_boxes('out/door.mot.txt') if row.box[0] == 90} == {-1}
    assert len(images()) == 6
    run(embedder=embedder)
    with pytest.raises(DataError, match='shortest_track 3 and now 2'):
        run(shortest_track=2)
    run('two', 'other', shortest_track=2)
    assert {row['verdict'] for row in table('two')} == {'known', 'new'} and len(images('other')) == 7
    run('early', 'early', after=1)
    assert {row['verdict'] for row in table('early')} == {'known', 'new'}
    with pytest.raises(DataError, match=r'after=2.*shortest_track=5'):
        IdentifyOptions(after=2, shortest_track=5)


def test_people_who_are_merged_later_are_one_in_the_results(cameras):
    run()
    before = table()
    with Gallery.open('people') as gallery, People(gallery) as people:
        people.merge(1, 2)
    run()
    assert [row['pid'] for row in table()] == ['1', '1', '1', '1', '3', '1']
    assert sorted(path.stem for path in Path('out/people').iterdir()) == ['1', '3']
    with Gallery.open('people') as gallery, People(gallery) as people:
        people.undo()
    run()
    assert table() == before


def test_a_folder_whose_name_is_not_utf8(tmp_path, monkeypatch):
    folder = tmp_path / os.fsdecode(b'caf\xe9')
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_cameras(tmp_path)
    for name in ('door', 'hall'):
        shutil.copy(tmp_path / f'{name}.csv', '.')
        shutil.copy(tmp_path / f'{name}.mp4', '.')
    other = os.fsdecode(b' h\xe9\n.mp4')
    shutil.copy('hall.mp4', other)
    run()
    run('\udce9', 'other_people', videos=['door.mp4', other])
    assert len(all_frames(Path('out/hall.mp4'))) == 26
    assert {file.suffix for file in Path('\udce9').iterdir()} == {'.csv', '.mp4', '.txt', '.jsonl', ''}
    assert images().source[0].endswith('caf\\xe9') and len(images()) == 6
    embedder = MeanColors()
    run(embedder=embedder)
    assert embedder.boxes == 0
    with pytest.raises(DataError, match='6 sightings'):
        run('other')


def test_results_of_a_gallery_that_was_deleted_are_not_given_again(cameras):
    run()
    shutil.rmtree('people')
    with pytest.raises(DataError, match=r'out holds the results of another run, people .*--overwrite'):
        run()
    run(overwrite=True)
    assert len(images()) == 6 and {row['pid'] for row in table()} == {'1', '2', '3'}


def test_videos_of_one_camera_at_the_same_time(cameras):
    with pytest.raises(DataError, match=r'door\.mp4 and hall\.mp4 are of camera 4.*2\.90 s'):
        run(listing=dict(camid=[4], start_time=[]))
    run(listing=dict(camid=[4], start_time=[60.0, 3.0]))


def test_damaged_frames_of_folders(cameras):
    Path('frames').mkdir()
    frames = all_frames(Path('door.mp4'))
    for number, frame in enumerate(frames):
        cv2.imwrite(f'frames/{number:03d}.png', frame)
    Path('frames/026.png').write_bytes(b'')
    cv2.imwrite('frames/012.png', frames[12][::2, ::2])
    listing = dict(boxes=['door.csv'], camid=[0], start_time=[0.0], fps=10)
    with pytest.raises(DataError, match=r'frames/012\.png has 64x48 pixels.*128x96'):
        run('bad', 'bad', videos=['frames'], listing=listing)
    report = run('skip', videos=['frames'], listing=listing | dict(skip=True), skip=True)
    assert [(row['pid'], row['verdict']) for row in table('skip')] == [('1', 'new'), ('2', 'new'), ('1', 'known')]
    assert '3 boxes in frames of frames that cannot be read' in report
    assert len(all_frames(Path('skip/frames.mp4'))) == len(frames) - 2


class Killed(BaseException):
    pass


@pytest.mark.parametrize('tracks', [True, False])
@pytest.mark.parametrize('where', ['embed', 'before', 'after', 'pictures'])
def test_a_run_that_was_killed_and_repeated_equals_another(tmp_path, monkeypatch, tracks, where):
    monkeypatch.chdir(tmp_path)
    write_cameras(tmp_path, tracks)
    # Some are unsure.
    limits = dict(threshold=0.0005, band=2.0, images_per_person=2)
    options = dict(frames=4, limits=limits)
    run('whole', 'people', **options)
    assert {row['verdict'] for row in table('whole')} == {'known', 'new', 'unsure'}
    whole = images('people')
    shutil.rmtree('people')
    add, write = sightings.Journal.add, sightings.write_mot

    class Dying(MeanColors):
        def __call__(self, frame, boxes):
            count('embed')
            return super().__call__(frame, boxes)

    def count(place):
        nonlocal left
        left -= place == where
        if left < 0:
            raise Killed

    def dying_add(journal, decisions):
        count('before')
        add(journal, decisions)
        count('after')

    def dying_write(path, of_video):
        count('pictures')
        write(path, of_video)

    monkeypatch.setattr('mmosnet.gallery.sightings.Journal.add', dying_add)
    monkeypatch.setattr('mmosnet.gallery.identify.write_mot', dying_write)
    kills = 0
    for allowed in range(0, 25, 3 if tracks else 7):
        left = allowed % 5
        try:
            run('out', 'people', embedder=Dying(), **options)
            break
        except Killed:
            kills += 1
            with open('out/identify.jsonl', 'a', encoding='utf-8') as file:
                file.write('[{"vid')
    left = 10**9
    run('out', 'people', embedder=Dying(), **options)
    assert kills >= 1
    for name in RESULTS:
        found, expected = (
            re.sub(r'"people": "\w+"', '', Path(out, name).read_text(), count=1) for out in ('out', 'whole')
        )
        assert found == expected, name
    found = images('people')
    assert found.path == whole.path and found.pid.tolist() == whole.pid.tolist()
    np.testing.assert_array_equal(found.embedding, whole.embedding)


def test_the_same_run_again_changes_nothing_but_names(cameras):
    run()
    before, embedder = images(), MeanColors()
    with Gallery.open('people') as gallery, People(gallery) as people:
        people.rename(2, 'Zoë 李')
    run(embedder=embedder)
    assert embedder.boxes == 0 and np.array_equal(images().embedding, before.embedding)
    assert [row['name'] for row in table() if row['pid'] == '2'] == ['Zoë 李'] * 2


def test_videos_that_were_identified_before(cameras):
    run()
    before = images()
    with pytest.raises(DataError, match=r'6 sightings.*door\.mp4#frame=0.*--overwrite'):
        run('other')
    with pytest.raises(DataError, match='out holds the results of another run, frames 16 and now 4'):
        run(frames=4)
    run('other', frames=4, overwrite=True)
    assert len(images()) == len(before) == 6 and set(images().path) != set(before.path)
    # The numbers of people are not given again.
    assert {row['pid'] for row in table('other')} == {'4', '5', '6'}
    with Gallery.open('people') as gallery, People(gallery, threshold=0.2) as people:
        people.observe(np.array([9, 9, 9], np.float32), 7, 1e6)
    with pytest.raises(DataError, match='only the last decisions'):
        run('third', overwrite=True)
    assert len(images()) == 7


def test_videos_without_a_start_come_after_others(cameras):
    start = dict(start_time=[])
    run(videos=['door.mp4'], listing=dict(boxes=['door.csv'], camid=[0], **start))
    hall = dict(out='hall', videos=['hall.mp4'])
    with pytest.raises(DataError, match=r'hall\.mp4 has no start.*2\.90 s.*--start-time 63'):
        run(**hall, listing=dict(boxes=['hall.csv'], camid=[1], **start))
    run(**hall, listing=dict(boxes=['hall.csv'], camid=[1], start_time=[63.0]))
    assert [row['pid'] for row in table('hall')] == ['2', '3', '1']
    # Both again: the same folders go on.
    run(videos=['door.mp4'], listing=dict(boxes=['door.csv'], camid=[0], **start))


def test_a_gallery_of_another_model_or_without_threshold(cameras):
    class Other(MeanColors):
        model = 'fedcba9876543210'

    run()
    with pytest.raises(DataError, match='fedcba9876543210'):
        run('other', embedder=Other())
    with pytest.raises(DataError, match=r'other has no threshold.*--threshold'):
        run('other', 'other', limits=dict(threshold=None))
    assert not Path('other', 'identify.jsonl').exists() or len(images('other')) == 0


def test_results_replace_no_input(cameras):
    with pytest.raises(DataError, match=r'door\.mp4 would replace an input'):
        run('.')
    Path('file').write_text('')
    with pytest.raises(OSError, match='file'):
        run('file')
    assert len(images()) == 0


def test_a_video_that_is_cut_off(cameras, caplog):
    frames = all_frames(Path('door.mp4'))
    writer = cv2.VideoWriter('cut.avi', cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*'MJPG'), 10, frames[0].shape[1::-1])
    for frame in frames[:12]:
        writer.write(frame)
    writer.release()
    arguments = dict(videos=['cut.avi', 'hall.mp4'])
    with pytest.raises(DataError, match=r'door\.csv, row 39.*cut\.avi.*frames 0 to 11'):
        run(**arguments)
    report = run(**arguments, skip=True, listing=dict(skip=True))
    rows = [row for row in table() if row['video'] == 'cut.avi']
    assert [(row['track'], row['pid']) for row in rows] == [('1', '1'), ('2', '2')]
    assert 'boxes of cut.avi from frame' in report and len(all_frames(Path('out/cut.mp4'))) == 12
