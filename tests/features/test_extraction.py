import csv
import json
import os
import resource
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.features import extraction, read_features
from mmosnet.features.embedder import ImageEmbedder, Prediction
from mmosnet.features.extraction import Extraction, ExtractionFolder, ExtractionProgress, Part, extraction_report
from mmosnet.features.extraction import extract as run_extraction
from mmosnet.features.people import ListedPerson, ListingOptions, PersonList
from mmosnet.features.tracks import tracks_of
from mmosnet.io.video import read_person
from tests.features.drawn_video import write_video


class MeanColors(ImageEmbedder):
    """Embed an image as its mean color and the size of its batch; refuse images that are too bright."""

    source, model, kind, preparation, dimension = 'colors', '0123456789abcdef', 'means', '', 4

    def __init__(self):
        self.batches = []

    @property
    def paths(self):
        return [path for batch in self.batches for path in batch]

    def prepare(self, path, image):
        return path, image

    def embed(self, items):
        self.batches.append([path for path, _ in items])
        return [
            DataError(f'{path} is too bright')
            if image.mean() > 250
            else np.array([*image.mean(axis=(0, 1)), len(items)], np.float32)
            for path, image in items
        ]


@pytest.fixture
def people(tmp_path, monkeypatch):
    """23 people: in files of their own, several in one frame, and in two videos."""
    monkeypatch.chdir(tmp_path)
    random = np.random.RandomState(0)
    for number in range(9):
        cv2.imwrite(f'{number}.png', random.randint(0, 256, (20, 10, 3)).astype(np.uint8))
    for name in ('a.mp4', 'b.mp4'):
        write_video(tmp_path / name, 12)
    boxes = [f'8.png#xywh={left},2,3,4' for left in range(4)]
    videos = [f'{name}.mp4#frame={frame}&xywh={frame},0,20,30' for name in 'ab' for frame in (0, 3, 3, 4, 11)]
    paths = [f'{number}.png' for number in range(9)] + boxes + videos
    return PersonList([ListedPerson(path, row, row % 3, row / 2) for row, path in enumerate(paths)])


def folder_of(people, path='out', shard_size=5, overwrite=False, **facts):
    facts = dict(
        dict(model='0123456789abcdef', kind='means', bad_images='error'),
        images=len(people),
        people=people.digest(),
        shard_size=shard_size,
        **facts,
    )
    return ExtractionFolder(path, facts, overwrite)


def extract(people, embedder=None, folder=None, part=None, **options):
    embedder, folder = embedder or MeanColors(), folder or folder_of(people)
    with ExtractionProgress(len(people), len(folder.sizes)) as progress:
        work = Extraction(people, embedder, folder, **dict(dict(batch_size=3, workers=2), **options))
        work.run(part or Part(), progress)
    skipped = None if folder.missing() else folder.finish()
    return extraction_report(work, progress, people.left_out, skipped)


def contents(folder='out'):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def test_every_person_has_the_features_of_the_own_picture(people):
    embedder = MeanColors()
    report = extract(people, embedder)
    found = read_features('out')
    assert found.path == people.path and found.model == '0123456789abcdef'
    for name in ('pid', 'camid', 'time'):
        np.testing.assert_array_equal(getattr(found, name), getattr(people, name))
    for path, embedding in zip(found.path, found.embedding, strict=True):
        np.testing.assert_allclose(embedding[:3], read_person(path).mean(axis=(0, 1)), rtol=1e-6)
    # Batches of three, none of which reaches into another shard.
    assert [len(batch) for batch in embedder.batches] == [3, 2] * 4 + [3]
    assert embedder.paths == people.path
    assert 'people     23\nshards     5, of up to 5 people\ndimension  4\n' in report
    assert 'model      colors (means), weights 0123456789abcdef\n' in report


@pytest.mark.parametrize('workers', [1, 8])
def test_threads_do_not_change_anything(people, workers):
    extract(people)
    before = contents()
    extract(people, folder=folder_of(people, 'other'), workers=workers)
    assert contents('other') == before


class Killed(BaseException):
    """An interruption that nothing catches, like a signal."""


@pytest.mark.parametrize('place', ['between shards', 'in a batch', 'while writing', 'before the name'])
def test_an_interrupted_extraction_goes_on_and_ends_the_same(people, place, monkeypatch):
    extract(people, folder=folder_of(people, 'whole'))
    write, embedder = extraction.write_shard, MeanColors()

    def dying(path, features, facts):
        if '00002' in path.name:
            if place == 'while writing':
                # As a process leaves it that is killed by force.
                (path.parent / f'.draft-0123456789ab-{path.name}').write_bytes(b'PAR1 and not more')
            if place != 'in a batch':
                raise Killed
        return write(path, features, facts)

    with monkeypatch.context() as patch:
        patch.setattr(extraction, 'write_shard', dying)
        if place == 'in a batch':
            patch.setattr(
                embedder,
                'embed',
                lambda items: stop() if len(embedder.batches) == 5 else MeanColors.embed(embedder, items),
            )
        if place == 'before the name':
            patch.setattr(extraction, 'write_shard', write)
            patch.setattr(os, 'fsync', lambda file: stop() if len(embedder.batches) == 6 else None)
        with pytest.raises(Killed):
            extract(people, embedder)
    assert [name for name in contents() if name.startswith('shard')] == [
        'shard-00000-of-00005.parquet',
        'shard-00001-of-00005.parquet',
    ]
    with pytest.raises(DataError, match=r'3 of 5 shards are missing'):
        read_features('out')
    second = MeanColors()
    report = extract(people, second)
    # What was there is not computed again.
    assert second.paths == people.path[10:]
    assert '13 in 0 s; 10 were there' in report
    assert contents() == contents('whole')
    third = MeanColors()
    extract(people, third)
    assert third.batches == [] and contents() == contents('whole')


def stop():
    raise Killed


def test_a_damaged_shard_is_made_anew(people):
    extract(people)
    before = contents()
    for number, damage in ((1, b''), (3, before['shard-00003-of-00005.parquet'][:-30])):
        with open(f'out/shard-0000{number}-of-00005.parquet', 'wb') as file:
            file.write(damage)
    embedder = MeanColors()
    extract(people, embedder)
    assert embedder.paths == people.path[5:10] + people.path[15:20]
    assert contents() == before


@pytest.mark.parametrize('total', [2, 3, 7])
def test_parts_together_are_the_whole(people, total):
    extract(people, folder=folder_of(people, 'whole'))
    for number in reversed(range(1, total)):
        report = extract(people, part=Part(number, total))
    assert ('shards     ' in report) and ('of 5; the others are those of other processes, or not begun' in report)
    extract(people, part=Part(0, total))
    assert contents() == contents('whole')


def test_the_first_process_waits_for_the_others(people, monkeypatch):
    monkeypatch.setattr(extraction, 'PAUSE', 0)
    folder = folder_of(people)
    first = Extraction(people, MeanColors(), folder, 3, 1)
    progress = ExtractionProgress(15, 5)
    first.run(Part(0, 2), progress)
    said = []

    def say(text):
        said.append(text)
        for number in (1, 3):
            if not folder.is_done(number):
                Extraction(people, MeanColors(), folder, 3, 1).run(Part(number, 5), progress)
                return

    first.wait(say)
    assert said == ['waiting for 2 shards of other processes', 'waiting for 1 shards of other processes']
    assert folder.missing() == []


def test_a_process_that_has_stopped_is_named(people, monkeypatch):
    monkeypatch.setattr(extraction, 'PAUSE', 0)
    monkeypatch.setattr(extraction, 'SHARD_TIMEOUT', 0.01)
    first, progress = Extraction(people, MeanColors(), folder_of(people), 3, 1), ExtractionProgress(10, 5)
    first.run(Part(0, 3), progress)
    with pytest.raises(DataError, match=r'\b3\b.*RANK. 1, 2\b'):
        first.wait(progress.say, 3)
    # Where a shard takes long, it waits longer.
    monkeypatch.setattr(extraction.time, 'sleep', lambda seconds: stop())
    with pytest.raises(Killed):
        first.wait(progress.say, 3, seconds=1e6)


def test_images_that_cannot_be_used(people):
    cv2.imwrite('2.png', np.full((9, 9, 3), 255, np.uint8))
    Path('4.png').write_bytes(b'broken')
    people.path[6] = 'no.png'
    people.path[12] = '8.png#xywh=9,0,5,5'
    people.path[14] = 'a.mp4#frame=99&xywh=1,1,1,1'
    people.path[15] = 'no.mp4#frame=1'
    people.errors[20] = 'boxes.csv, row 3: no area'
    messages = {
        2: '2.png is too bright',
        4: '4.png: unreadable image',
        6: 'no.png: unreadable image',
        12: '8.png#xywh=9,0,5,5: no such region',
        14: 'a.mp4: no frame 99',
        15: 'no video no.mp4',
        20: 'boxes.csv, row 3: no area',
    }
    with pytest.raises(DataError, match=r'2.png is too bright.*--bad-images skip'):
        extract(people)
    report = extract(people, folder=folder_of(people, 'other', bad_images='skip'), skip=True)
    found = read_features('other')
    kept = [row for row in range(23) if row not in messages]
    assert found.path == [people.path[row] for row in kept] and found.pid.tolist() == kept
    for path, embedding in zip(found.path, found.embedding, strict=True):
        np.testing.assert_allclose(embedding[:3], read_person(path).mean(axis=(0, 1)), rtol=1e-6)
    assert 'people     16\nskipped    7, listed in other/skipped.csv\n' in report
    with open('other/skipped.csv', newline='') as file:
        rows = list(csv.reader(file))
    assert rows[0] == ['path', 'reason'] and [row[0] for row in rows[1:]] == [people.path[row] for row in messages]
    assert all(row[1].startswith(text) for row, text in zip(rows[1:], messages.values(), strict=True))
    # Nobody of a shard may be left.
    nobody = PersonList([ListedPerson('no.png'), ListedPerson('no.jpg')])
    extract(nobody, folder=folder_of(nobody, 'empty', bad_images='skip'), skip=True)
    assert read_features('empty').embedding.shape == (0, 4)


def test_another_extraction_is_refused(people):
    extract(people)
    fewer = PersonList([ListedPerson(path) for path in people.path[:3]])
    others = PersonList([ListedPerson(path) for path in people.path])
    for changed, facts, message in [
        (people, dict(model='f' * 16), "weights '0123456789abcdef', now 'ffffffffffffffff'"),
        (people, dict(kind='onnx int8'), "computation 'means', now 'onnx int8'"),
        (people, dict(shard_size=6), '--shard-size 5, now 6'),
        (people, dict(preparation='128x64'), "preparation of images 'unknown', now '128x64'"),
        (people, dict(names=dict(pid=dict(anna=1))), "names of identities or cameras 'unknown', now .*anna"),
        (people, dict(kind='onnx', shard_size=6), "computation 'means', now 'onnx'; --shard-size 5, now 6"),
        (fewer, dict(), 'number of people 23, now 3'),
        (others, dict(), r'people \(images, boxes, identities, cameras or times\)'),
    ]:
        with pytest.raises(DataError, match=f'out .*{message}.*--overwrite'):
            folder_of(changed, **facts)
    before = contents()
    for overwrite in (False, True):
        folder_of(people, overwrite=overwrite)
        assert contents() == before
    Path('out/notes.txt').touch()
    folder_of(fewer, overwrite=True)
    # The user's own files stay.
    assert sorted(contents()) == ['extraction.json', 'notes.txt']
    extract(fewer, folder=folder_of(fewer))
    assert read_features('out').path == fewer.path


def test_folders_that_say_nothing_of_themselves(people):
    extract(people)
    facts = json.loads(Path('out/extraction.json').read_text())
    assert facts['shards'] == 5 and facts['images'] == 23
    os.remove('out/extraction.json')
    with pytest.raises(DataError, match=r'out .*5 shards.*extraction.json'):
        folder_of(people)
    Path('out/extraction.json').write_text('{"model": ')
    with pytest.raises(DataError, match=r'out/extraction.json'):
        folder_of(people)
    folder_of(people, overwrite=True)
    assert sorted(contents()) == ['extraction.json']


def test_logs_have_one_line_per_shard(people, capsys):
    extract(people)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(' a second')[0].rpartition(', ')[0] for line in lines] == [
        f'shard {number} of 5 written, {min(5 * number, 23)} of 23 people' for number in range(1, 6)
    ]


def test_without_rich_there_is_no_bar(people, capsys, monkeypatch):
    monkeypatch.setattr('mmosnet.progress.find_spec', lambda name: None)
    extract(people)
    assert capsys.readouterr().err.count('written') == 5


def test_a_bar_in_a_terminal(people, monkeypatch, capsys):
    monkeypatch.setenv('FORCE_COLOR', '1')
    monkeypatch.setenv('TERM', 'xterm')
    extract(people)
    shown = capsys.readouterr().err
    assert '23/23' in shown and 'of 5 shards' in shown and 'written' not in shown


def test_after_a_bad_image_skipping_goes_on(people):
    """The command that the error advises goes on."""
    Path('7.png').write_bytes(b'broken')
    with pytest.raises(DataError, match=r'7.png.*--bad-images skip'):
        extract(people)
    embedder = MeanColors()
    extract(people, embedder, folder_of(people, bad_images='skip'), skip=True)
    assert embedder.paths == [path for path in people.path[5:] if path != '7.png']
    assert json.loads(Path('out/extraction.json').read_text())['bad_images'] == 'skip'
    assert [path for path in people.path if path != '7.png'] == read_features('out').path
    # Back again: somebody is left out already.
    with pytest.raises(DataError, match=r"--bad-images 'skip', now 'error'.*1 people"):
        folder_of(people)
    os.remove('out/shard-00001-of-00005.parquet')
    cv2.imwrite('7.png', np.zeros((20, 10, 3), np.uint8))
    extract(people)
    assert read_features('out').path == people.path


def test_who_is_skipped_is_named_with_file_and_row(people):
    Path('4.png').write_bytes(b'broken')
    people.place[4], people.place[20] = 'people.csv, row 6', 'boxes.csv, row 3'
    people.path[20] = 'b.mp4#frame=12&xywh=0,0,20,30'
    extract(people, folder=folder_of(people, bad_images='skip'), skip=True)
    with open('out/skipped.csv', newline='') as file:
        rows = list(csv.reader(file))[1:]
    assert rows[0][1].startswith('people.csv, row 6: 4.png: unreadable')
    assert rows[1][1].startswith('boxes.csv, row 3: b.mp4: no frame 12, ') and '0 to 11' in rows[1][1]


def test_the_report_counts_what_was_read(people):
    Path('4.png').write_bytes(b'broken')
    Path('5.png').unlink()
    people.left_out = {'rows of a.csv of other splits than query': 1200, 'boxes of b.txt with a score below 0.5': 1200}
    report = extract(people, folder=folder_of(people, bad_images='skip'), skip=True)
    lines = report.splitlines()
    assert lines[:3] == [
        'read       2,423',
        'people     21',
        'skipped    2, listed in out/skipped.csv',
    ]
    assert lines[5:7] == [f'left out   1,200 {text}' for text in people.left_out]


def test_files_of_others_are_neither_deleted_nor_read(people):
    Path('out').mkdir()
    Path('out/skipped.csv').write_text('mine')
    with pytest.raises(DataError, match=r'out .*skipped.csv'):
        folder_of(people)
    Path('out/skipped.csv').rename('out/my.csv')
    Path('out/other.parquet').write_text('mine')
    for overwrite in (False, True):
        with pytest.raises(DataError, match=r'out .*other.parquet'):
            folder_of(people, overwrite=overwrite)
    Path('out/other.parquet').rename('out/other.txt')
    extract(people, folder=folder_of(people, overwrite=True))
    Path('out/shard-00000-of-00009.parquet').write_text('mine')
    with pytest.raises(DataError, match=r'out .*shard-00000-of-00009.parquet'):
        folder_of(people)
    assert Path('out/my.csv').read_text() == Path('out/other.txt').read_text() == 'mine'
    with pytest.raises(DataError, match=r'0.png is a file'):
        folder_of(people, '0.png')


def test_of_two_extractions_in_one_folder_one_ends(people):
    """The second one has features of its own model only, whatever the first one writes meanwhile."""
    first, second = folder_of(people), folder_of(people, 'second', kind='others')
    extract(people, folder=second)
    expected = contents('second')
    # Begun while the first was running.
    os.remove('out/extraction.json')
    second = folder_of(people, kind='others')
    with pytest.raises(DataError, match=r"'others', now 'means'"):
        extract(people, folder=first)
    # The first writes a last shard at the very moment.
    first.check_own = lambda: None
    for number in range(5):
        folder = first if number == 4 else second
        Extraction(people, MeanColors(), folder, 3, 1).run(Part(number, 5), ExtractionProgress(5, 5))
    assert not second.is_done(4)
    with pytest.raises(DataError, match=r'shard-00004-of-00005.parquet'):
        second.finish()
    extract(people, folder=second)
    assert contents() == expected


def steps_of(people, monkeypatch, last=None):
    """Return how often an extraction changes or syncs a file; it is killed at the step ``last``."""
    steps = []

    def counted(real):
        def step(*args, **kwargs):
            steps.append(real)
            if len(steps) == last:
                raise Killed
            return real(*args, **kwargs)

        return step

    with monkeypatch.context() as patch:
        for place, name in ((os, 'fsync'), (Path, 'replace'), (Path, 'touch'), (Path, 'unlink')):
            patch.setattr(place, name, counted(getattr(place, name)))
        extract(people, folder=folder_of(people, bad_images='skip'), skip=True)
    return len(steps)


def test_killed_at_any_step_it_goes_on(people, monkeypatch):
    """One person is skipped, so that the list of skipped people is written too."""
    Path('4.png').write_bytes(b'broken')
    total = steps_of(people, monkeypatch)
    whole = contents()
    assert total >= 7 * 4
    for last in range(1, total + 1):
        shutil.rmtree('out')
        with pytest.raises(Killed):
            steps_of(people, monkeypatch, last)
        # What has a final name is whole.
        assert all(whole[name] == data for name, data in contents().items() if not name.startswith('.'))
        steps_of(people, monkeypatch)
        assert contents() == whole


@pytest.mark.parametrize('size', [0, 100, 1000])
def test_a_disk_that_takes_no_more(people, size):
    """Larger files are refused: first ``extraction.json``, then the shards."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(OSError, match=r'out/(extraction.json|shard-00000-of-00005.parquet)'):
            extract(people)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert set(contents()) <= {'extraction.json'}
    extract(people)
    assert read_features('out').path == people.path


@pytest.mark.timeout(30)
def test_what_is_no_file_is_not_waited_for(people):
    os.remove('3.png')
    os.mkfifo('3.png')
    Path('5.png').unlink()
    Path('5.png').symlink_to('/dev/zero')
    people.path[6] = 'out\0.png'
    people.path[7] = 'two\nlines.png'
    report = extract(people, folder=folder_of(people, bad_images='skip'), skip=True)
    assert 'skipped    4' in report and '3.png is no file, but' in report and '5.png is no file, but' in report
    assert len([line for line in report.splitlines() if 'lines.png' in line]) == 1


def test_names_and_sources_get_into_the_shards(people):
    paths = [people.path[0], os.path.abspath(people.path[1]), *people.path[2:5]]
    listed = PersonList([ListedPerson(path, name, 'door') for path, name in zip(paths, 'abcab', strict=True)])
    here, named = dict(host='edge', cwd='/work'), dict(names=listed.names)
    folder = folder_of(listed, 'named', **here, **named)
    listed.source = folder.sources(listed.path)
    # What goes on elsewhere writes the same, and what somebody has named stays.
    assert folder_of(listed, 'named', host='other', cwd='/', **named).sources(['x', '/y']) == ['edge:/work', 'edge']
    assert folder_of(listed, 'other', **here, origin='gate').sources(['x', '/y']) == ['gate', 'gate']
    with pytest.raises(DataError, match="--source 'gate', now 'yard'"):
        folder_of(listed, 'other', **here, origin='yard')
    extract(listed, folder=folder)
    found = read_features('named')
    assert [found.names['pid'][pid] for pid in found.pid.tolist()] == [*'abcab']
    assert set(found.names['camid'].values()) == {'door'}
    assert found.source == ['edge:/work', 'edge', *['edge:/work'] * 3]


def test_the_whole_extraction_in_one_call(people):
    report = run_extraction(people, MeanColors(), 'whole', shard_size=5, batch_size=3, source='door')
    assert 'people     23\n' in report and 'weights 0123456789abcdef' in report
    found = read_features('whole')
    assert found.path == people.path and set(found.source) == {'door'}
    # Parts give the same, and go on where others were.
    for number in range(3):
        part = Part(number, 3)
        run_extraction(people, MeanColors(), 'parts', shard_size=5, batch_size=3, source='door', part=part)
    np.testing.assert_array_equal(read_features('parts').embedding, found.embedding)
    assert '23 were there' in run_extraction(people, MeanColors(), 'parts', shard_size=5, source='door')
    with pytest.raises(DataError, match='parts holds another extraction'):
        run_extraction(people, MeanColors(), 'parts', shard_size=6, source='door')
    run_extraction(people, MeanColors(), 'parts', shard_size=6, source='door', overwrite=True)
    assert len(list(Path('parts').glob('*.parquet'))) == 4
    for name in ('batch_size', 'workers', 'shard_size'):
        with pytest.raises(DataError, match=f'{name}=0'):
            run_extraction(people, MeanColors(), 'bad', **{name: 0})
    assert not Path('bad').exists()


@pytest.mark.parametrize(
    ('option', 'value'), [('margin', -1), ('camid', [-1]), ('fps', 0), ('frame_step', 0), ('min_score', float('nan'))]
)
def test_numbers_that_cannot_be(option, value):
    with pytest.raises(DataError, match=f'--{option.replace("_", "-")} '):
        ListingOptions(**{option: value})


def tracked():
    """Two videos in which two tracks alternate, and somebody whom the tracker lost in between."""
    people = []
    for camera, name in enumerate('ab'):
        for frame in range(12):
            track = '' if frame == 6 else '7' if frame % 2 else 'Gasse, links'
            path = f'{name}.mp4#frame={frame}&xywh={frame},0,20,30'
            people.append(
                ListedPerson(path, camid=camera, time=frame / 25, place=f'{name}.csv, row {frame}', track=track)
            )
    return PersonList(people)


class MeanOfColors(MeanColors):
    """Unlike those of the base class, embeddings do not depend on the batch; bright people wear a hat."""

    attributes = ('hat', 'coat')

    def predict(self, items):
        predictions = []
        for item in items:
            embedding = np.append(item[1].mean(axis=(0, 1)), 1).astype(np.float32)
            predictions.append(Prediction(embedding, ('hat',) if embedding[0] > 68 else ()))
        return predictions


@pytest.mark.parametrize('pool', ['mean', 'max', 'quality'])
def test_tracks_are_rows_whatever_the_shards_and_batches(people, pool):
    listed = tracked()
    report = run_extraction(listed, MeanOfColors(), 'images')
    assert 'people     24\n' in report
    images = read_features('images')
    assert images.track == listed.track and (images.frames == 1).all()
    expected = tracks_of(images, pool)
    for number, (shard_size, batch_size) in enumerate(((1, 1), (2, 5), (100, 64))):
        out = f'tracks{number}'
        report = run_extraction(
            listed, MeanOfColors(), out, per='track', pool=pool, shard_size=shard_size, batch_size=batch_size
        )
        found = read_features(out)
        # Track 7 of the other camera is another one, and a single image stays one.
        assert f'tracks     6, pooled by {pool}\n' in report and 'people     24 images\n' in report
        assert found.track == ['Gasse, links', '7', '', 'Gasse, links', '7', '']
        assert found.frames.tolist() == [5, 6, 1, 5, 6, 1] and found.path[0] == listed.path[0]
        assert found == expected and any(found.attributes)
    before = contents('tracks1')
    os.remove('tracks1/shard-00001-of-00003.parquet')
    run_extraction(listed, MeanOfColors(), 'tracks1', per='track', pool=pool, shard_size=2, batch_size=5)
    assert contents('tracks1') == before


def test_another_pooling_is_another_extraction(people):
    listed = tracked()
    run_extraction(listed, MeanOfColors(), 'out', per='track')
    for changes, value in ((dict(per='image'), '--per'), (dict(per='track', pool='max'), '--pool')):
        with pytest.raises(DataError, match=value):
            run_extraction(listed, MeanOfColors(), 'out', **changes)
    with pytest.raises(DataError, match=r"attributes of the model .*'hat'"):
        run_extraction(listed, MeanColors(), 'out', per='track')
    for changes, value in ((dict(per='frame'), "per='frame'"), (dict(per='track', pool='median'), "how='median'")):
        with pytest.raises(DataError, match=value):
            run_extraction(listed, MeanOfColors(), 'new', **changes)
    with pytest.raises(DataError, match='nobody has a track'):
        run_extraction(people, MeanOfColors(), 'new', per='track')


def test_tracks_without_some_of_their_images(people):
    broken = [ListedPerson('gone.png', track=track, place='a.csv, row 1') for track in ('1', '2')]
    listed = PersonList([ListedPerson('0.png', track='1'), *broken, ListedPerson('1.png', track='1')])
    with pytest.raises(DataError, match=r'a\.csv, row 1: .*gone\.png'):
        run_extraction(listed, MeanOfColors(), 'out', per='track', shard_size=1)
    listed.options = ListingOptions(skip=True)
    for _ in range(2):
        report = run_extraction(listed, MeanOfColors(), 'out', per='track', shard_size=1)
        assert 'tracks     1, pooled by mean\n' in report and 'skipped    2,' in report
    found = read_features('out')
    assert (found.track, found.frames.tolist(), found.path) == (['1'], [2], ['0.png'])


def test_a_track_is_of_one_person(people):
    listed = PersonList(
        [ListedPerson(f'{row}.png', pid, 0, track='7', place=f'a.csv, row {row}') for row, pid in enumerate('ab')]
    )
    with pytest.raises(DataError, match=r"a\.csv, row 1: another pid than a\.csv, row 0, .*'7'"):
        run_extraction(listed, MeanOfColors(), 'out', per='track')
