import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmosnet.apis import PersonInferencer
from mmosnet.export import export_model
from mmosnet.features import read_features
from mmosnet.features.tracks import pool_track, tracks_of
from mmosnet.io.video import read_person
from mmosnet.models.build import load_model
from mmosnet.models.weights import weights_digest
from tests.apis.small_models import ATTRIBUTE_NAMES, ATTRIBUTES, CLASSES, JOINT, RESIZE, small_checkpoint, small_config
from tests.cli.command import outcome
from tests.conftest import write_market, write_person
from tests.features.drawn_video import write_video

# Runs mmosnet where only what a device beside a camera has can be imported, as if it were not installed.
WITHOUT_TORCH = """
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
gone = {'torch', 'torchvision', 'mmengine', 'mmcv', 'mmpretrain', 'scipy', 'matplotlib', 'pandas', 'rich'}
PathFinder.find_spec = lambda name, *args: None if name.partition('.')[0] in gone else find(name, *args)
from mmosnet.cli.main import main
sys.exit(main())
"""
# A process of its own runs what is tested here.
ENVIRONMENT = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2]))
MODEL = ('joint.py', 'joint.pth')


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """A joint model, and the same exported."""
    folder = tmp_path_factory.mktemp('models')
    small_config(JOINT).dump(folder / 'joint.py')
    small_checkpoint(folder / 'joint.pth', JOINT, attributes=ATTRIBUTE_NAMES, classes=CLASSES)
    export_model(load_model(small_config(JOINT), str(folder / 'joint.pth'), testing=True), folder / 'joint.onnx')
    small_config(ATTRIBUTES).dump(folder / 'attributes.py')
    small_checkpoint(folder / 'attributes.pth', ATTRIBUTES, attributes=ATTRIBUTE_NAMES)
    return folder


@pytest.fixture
def extract(tmp_path, models, monkeypatch, capsys):
    """The command in this process, in a folder with models and images: gives its output, or its error for people."""
    for path in models.iterdir():
        (tmp_path / path.name).symlink_to(path)
    write_market(tmp_path / 'market')
    monkeypatch.chdir(tmp_path)
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
        monkeypatch.delenv(name, raising=False)

    return lambda *arguments: outcome(capsys, 'extract', *arguments)


def embeddings_of(paths):
    results = PersonInferencer(*MODEL, device='cpu')([read_person(path) for path in paths])
    return np.stack([result['embedding'] for result in results])


def test_embeddings_are_those_of_the_inferencer(extract):
    write_person(Path('frame.png'), 3, 60, 90)
    regions = ['frame.png#xywh=3,4,30,50', 'frame.png#xywh=40,4,33,50']
    output = extract(*MODEL, 'market/query', *regions, '--out', 'features', '--camid', 4)
    found = read_features('features')
    assert 'people     10\nshards     1, of up to 10,000 people\ndimension  512\n' in output
    assert found.path[-2:] == regions and set(found.camid) == {4} and set(found.pid) == {-1}
    np.testing.assert_array_equal(found.embedding, embeddings_of(found.path))
    assert found.model == weights_digest(load_model(small_config(JOINT), 'joint.pth'))
    assert np.unique(found.embedding.round(3), axis=0).shape == (10, 512)


def test_an_exported_model_gives_the_same(extract):
    extract(*MODEL, 'market', '--names', 'market1501', '--out', 'a')
    output = extract('--exported', 'joint.onnx', 'market', '--names', 'market1501', '--out', 'b', '--batch-size', 7)
    a, b = read_features('a'), read_features('b')
    assert a.path == b.path and a.model == b.model and 'joint.onnx (onnx fp32), weights' in output
    assert set(a.pid) == {-1, *range(1, 11)} and set(a.camid) == {0, 1}
    np.testing.assert_allclose(a.embedding, b.embedding, rtol=1e-4, atol=1e-4)
    error = extract('--exported', 'joint.onnx', 'market', '--names', 'market1501', '--out', 'a')
    assert error.startswith("error: a holds another extraction: computation 'PyTorch', now 'onnx fp32'")


def test_tables_and_videos(extract):
    write_video(Path('door.mp4'), 10)
    Path('door.csv').write_text('frame,x,y,w,h,track\n' + ''.join(f'{n},{n},0,20,30,{n % 3}\n' for n in range(10)))
    Path('people.csv').write_text('path,pid,camid,time\nquery/0007_c1s1_000000_00.jpg,anna,3,\n')
    video = ('door.mp4', '--boxes', 'door.csv', '--frame-step', 3, '--start-time', '1970-01-01T00:01:00Z')
    extract(*MODEL, 'people.csv', *video, '--root', 'market', '--tracks-as-pids', '--out', 'features')
    found = read_features('features')
    assert found.path == ['market/query/0007_c1s1_000000_00.jpg'] + [
        f'door.mp4#frame={n}&xywh={n},0,20,30' for n in (0, 3, 6, 9)
    ]
    assert found.pid.tolist() == [1, 0, 0, 0, 0] and found.names['pid'][1] == 'anna'
    assert found.camid.tolist() == [3, -1, -1, -1, -1]
    assert found.time[1:].tolist() == [60, 60.12, 60.24, 60.36] and np.isnan(found.time[0])
    np.testing.assert_array_equal(found.embedding, embeddings_of(found.path))


def test_other_transforms_read_by_themselves(extract):
    load = dict(type='LoadImageFromFile', imdecode_backend='pillow')
    small_config(JOINT, [load, RESIZE]).dump('other.py')
    write_person(Path('frame.png'), 3, 60, 90)
    extract('other.py', 'joint.pth', 'market/query', 'frame.png#xywh=3,4,30,50', '--out', 'features')
    found = read_features('features')
    results = PersonInferencer('other.py', 'joint.pth', device='cpu')(found.path)
    np.testing.assert_array_equal(found.embedding, [result['embedding'] for result in results])


def test_mixed_precision_and_options(extract):
    size = 'test_dataloader.dataset.pipeline.1.scale="(16,64)"'
    extract(*MODEL, 'market/query', '--out', 'plain', '--cfg-options', size)
    extract(*MODEL, 'market/query', '--out', 'amp', '--amp', '--cfg-options', size)
    plain, amp = read_features('plain').embedding, read_features('amp').embedding
    cosine = (plain * amp).sum(axis=1) / np.linalg.norm(plain, axis=1) / np.linalg.norm(amp, axis=1)
    assert cosine.min() > 0.99 and not np.array_equal(plain, amp)
    assert np.abs(plain - embeddings_of(read_features('plain').path)).max() > 0.1


def test_processes_share_the_shards(extract, monkeypatch):
    options = (*MODEL, 'market', '--shard-size', 6)
    extract(*options, '--out', 'whole')
    for name, value in dict(WORLD_SIZE=2, RANK=1, LOCAL_RANK=1).items():
        monkeypatch.setenv(name, str(value))
    assert extract(*options, '--out', 'shared') == ''
    assert len(list(Path('shared').glob('*.parquet'))) == 3
    assert '--overwrite by one of 2 processes' in extract(*options, '--out', 'shared', '--overwrite')
    assert '--shard is for processes that are started one by one' in extract(
        *options, '--out', 'shared', '--shard', '0/2'
    )
    monkeypatch.setenv('RANK', '0')
    assert 'people     42\n' in extract(*options, '--out', 'shared')
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
        monkeypatch.delenv(name)
    output = [extract(*options, '--out', 'parts', '--shard', f'{number}/3') for number in range(3)]
    assert 'shards     3 of 7; the others' in output[0] and 'people     42\n' in output[2]
    whole = read_features('whole').embedding
    for folder in ('shared', 'parts'):
        np.testing.assert_array_equal(read_features(folder).embedding, whole)


def test_a_killed_process_goes_on_without_torch(extract):
    """A process that can import neither torch nor OpenMMLab gets SIGKILL; the next one resumes."""
    Path('crops').mkdir()
    for number in range(300):
        cv2.imwrite(f'crops/{number:03d}.png', np.random.RandomState(number).randint(0, 255, (64, 32, 3), np.uint8))
    options = ('--exported', 'joint.onnx', 'crops', '--shard-size', '10', '--batch-size', '4')
    extract(*options, '--out', 'whole')
    command = [sys.executable, '-c', WITHOUT_TORCH, 'extract', *options, '--out', 'killed']
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(list(Path('killed').glob('shard-*'))) < 3 and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    before = {path.name: path.stat().st_mtime_ns for path in Path('killed').glob('shard-*')}
    assert 3 <= len(before) < 30
    result = subprocess.run([*command[:-1], 'killed'], env=ENVIRONMENT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert 'people     300\n' in result.stdout and f'; {10 * len(before)} were there' in result.stdout
    assert all((Path('killed') / name).stat().st_mtime_ns == time for name, time in before.items())
    assert not list(Path('killed').glob('.*'))
    np.testing.assert_array_equal(read_features('killed').embedding, read_features('whole').embedding)


def test_tables_and_videos_without_torch(extract):
    write_video(Path('door.mp4'), 10)
    Path('door.csv').write_text('frame,x,y,w,h\n0,1,2,20,30\n7,1,2,20,30\n')
    Path('people.csv').write_text('path,pid,x,y,w,h\nmarket/query/0007_c1s1_000000_00.jpg,7,2,3,9,90\n')
    options = ('--exported', 'joint.onnx', 'people.csv', 'door.mp4', '--boxes', 'door.csv')
    extract(*options, '--out', 'with')
    command = [sys.executable, '-c', WITHOUT_TORCH, 'extract', *options, '--out', 'without']
    result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    with_torch, without = read_features('with'), read_features('without')
    assert without.path == with_torch.path
    assert without.path[0] == 'market/query/0007_c1s1_000000_00.jpg#xywh=2,3,9,29'
    np.testing.assert_array_equal(without.embedding, with_torch.embedding)


def test_mistakes_get_a_message(extract, monkeypatch):
    out = ('--out', 'features')
    Path('broken.jpg').write_bytes(b'broken')
    assert extract(*MODEL, *out).startswith('error: give CONFIG, CHECKPOINT and at least one INPUT')
    assert extract(*MODEL, 'none', *out) == 'error: no image, folder, table, COCO file or video none'
    assert extract('joint.py', 'no.pth', 'market', *out).startswith('error: no checkpoint no.pth')
    assert 'joint.py has no released weights' in extract('joint.py', 'released', 'market', *out)
    assert extract('attributes.py', 'attributes.pth', 'market', *out) == (
        'error: attributes.py predicts attributes and no embedding: use a model trained for re-identification'
    )
    error = extract(*MODEL, 'broken.jpg', *out)
    assert error.startswith('error: broken.jpg: unreadable image') and '--bad-images skip goes on' in error
    assert extract('--exported', 'no.onnx', 'market', *out).startswith('error: no exported model no.onnx')
    assert extract('--exported', 'joint.onnx', 'market', '--amp', *out).startswith('error: --amp is for a config')
    assert extract(*MODEL, 'market') == extract(*MODEL, 'market', *out, '--batch-size', 0) == 2
    for option, value, text in [
        ('--shard', '4/4', '--shard 4/4: give I/N'),
        ('--shard', 'one', '--shard one: give I/N'),
        ('--fps', 0, '--fps 0.0: give a number above 0'),
        ('--fps', 'nan', '--fps nan: give a number above 0'),
        ('--fps', 'inf', '--fps inf: give a number above 0'),
        ('--min-score', 'nan', '--min-score nan: give a number'),
        ('--first-frame', -1, '--first-frame -1: give the number'),
        ('--camid', 10**30, f'--camid {10**30}: give a number from 0 up'),
        ('--margin', 'nan', '--margin nan: give a share of the box'),
        ('--start-time', '1777636800000', "--start-time '1777636800000' is after the year 2099; these look like milli"),
        ('--margin', -1, '--margin -1.0: give a share of the box'),
        ('--camid', -1, '--camid -1: give a number from 0 up'),
        ('--start-time', 'noon', "--start-time 'noon' is neither seconds nor a date"),
    ]:
        assert extract(*MODEL, 'market', *out, option, value).startswith(f'error: {text}')
    monkeypatch.setitem(sys.modules, 'pyarrow.parquet', None)
    error = extract(*MODEL, 'market', *out)
    assert error.startswith('error: pyarrow.parquet cannot be imported') and 'pip install' in error


@pytest.mark.parametrize('size', [0, 4000])
def test_a_full_disk(extract, size):
    """Files of more bytes are refused: those of the extraction's facts, or of its shards."""
    command = ('--exported', 'joint.onnx', 'market/query', '--out', 'features', '--shard-size', 3)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        error = extract(*command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    name = 'shard-00000-of-00003.parquet' if size else 'extraction.json'
    assert error.startswith(f'error: features/{name}: File too large: ') and '\n' not in error
    assert [path.name for path in Path('features').iterdir()] == ['extraction.json'] * (size > 0)
    assert 'people     8\n' in extract(*command)


def test_another_preparation_of_images_is_noticed(extract):
    """The weights are the same, but the size of the images and the means differ."""
    command = ('joint.pth', 'market/query', '--out', 'features', '--shard-size', 3)
    extract('joint.py', *command)
    os.remove('features/shard-00001-of-00003.parquet')
    small = [dict(type='mmosnet.LoadPersonImage'), RESIZE | dict(scale=(16, 64))]
    for changes, shown in [
        ({'test_dataloader.dataset.pipeline': small}, 'scale=(16, 64)'),
        ({'model.data_preprocessor.mean': [1.5, 2, 3]}, 'mean=[1.5, 2, 3]'),
    ]:
        cfg = Config.fromfile('joint.py')
        cfg.merge_from_dict(changes)
        cfg.dump('other.py')
        error = extract('other.py', *command)
        assert error.startswith('error: features holds another extraction: preparation of images') and shown in error
    assert 'people     8\n' in extract('joint.py', *command)


def test_nobody_is_left(extract):
    Path('a.csv').write_text('path\nno.jpg\nno.png\n')
    error = extract(*MODEL, 'a.csv', '--out', 'features', '--bad-images', 'skip')
    assert 'all 2 are in features/skipped.csv' in error and 'a.csv, row 2: no.jpg' in error


def test_boxes_of_a_tracker(extract):
    """NaN in one, and frames that are counted from 0, one of which the video does not have."""
    write_video(Path('door.mp4'), 10)
    Path('door.txt').write_text(
        '0 3.0 1 2 20 30 0.9 -1 -1 -1\n1 3 nan 2 20 30 0.9 -1 -1 -1\n10 3 1 2 20 30 .9 -1 -1 -1\n'
    )
    command = (*MODEL, 'door.mp4', '--boxes', 'door.txt', '--tracks-as-pids', '--out', 'features')
    assert extract(*command).startswith('error: door.txt, row 1: frame 0; ')
    assert extract(*command, '--first-frame', 0).startswith("error: door.txt, row 2: x is 'nan'")
    output = extract(*command, '--first-frame', 0, '--bad-images', 'skip')
    assert 'read       3\npeople     1\nskipped    2,' in output
    assert read_features('features').path == ['door.mp4#frame=0&xywh=1,2,20,30']
    assert read_features('features').pid.tolist() == [3]
    skipped = Path('features/skipped.csv').read_text()
    assert "door.txt, row 2: x is 'nan'" in skipped and 'door.txt, row 3: door.mp4: no frame 10' in skipped


def test_a_row_per_track_with_attributes_by_both_kinds_of_model(extract):
    write_video(Path('door.mp4'), 10)
    Path('door.csv').write_text(
        'frame,x,y,w,h,track\n'
        + ''.join(f'{frame},{frame},2,20,30,{frame % 2}\n' for frame in range(9))
        + '9,1,2,20,30,-1\n'
    )
    output = extract(*MODEL, 'door.mp4', '--boxes', 'door.csv', '--per', 'track', '--camid', 2, '--out', 'tracks')
    assert 'tracks     3, pooled by mean\npeople     10 images\n' in output
    found = read_features('tracks')
    assert found.track == ['0', '1', ''] and found.frames.tolist() == [5, 4, 1] and found.camid.tolist() == [2] * 3
    extract(*MODEL, 'door.mp4', '--boxes', 'door.csv', '--out', 'images')
    images = read_features('images')
    assert images.track == ['0', '1'] * 4 + ['0', ''] and tracks_of(images).attributes == found.attributes
    rows = [row for row, track in enumerate(images.track) if track == '0']
    np.testing.assert_allclose(
        found.embedding[0], pool_track(embeddings_of([images.path[row] for row in rows])), rtol=1e-4
    )
    scores = [result['attributes'] for result in PersonInferencer(*MODEL, device='cpu')(images.path)]
    assert images.attributes == [tuple(sorted(n for n, score in one.items() if score >= 0.5)) for one in scores]
    assert {name for names in images.attributes for name in names} <= set(ATTRIBUTE_NAMES)
    extract('--exported', 'joint.onnx', 'door.mp4', '--boxes', 'door.csv', '--out', 'onnx')
    # Scores near one half may be rounded to either side.
    sure = [all(abs(score - 0.5) > 1e-4 for score in one.values()) for one in scores]
    exported = read_features('onnx')
    assert [n for n, s in zip(exported.attributes, sure, strict=True) if s] == [
        n for n, s in zip(images.attributes, sure, strict=True) if s
    ]
    assert any(sure)
    assert extract(*MODEL, 'market/query', '--per', 'track', '--out', 'none').startswith(
        'error: market/query: nobody has'
    )


def test_tracks_in_a_table(extract):
    names = sorted(os.listdir('market/query'))[:4]
    lines = [f'{name},{track}' for name, track in zip(names, ('"Gasse, 7"', 'x', '"Gasse, 7"', ''), strict=True)]
    Path('people.csv').write_text('\n'.join(['path,track', *lines]) + '\n')
    extract(*MODEL, 'people.csv', '--root', 'market/query', '--per', 'track', '--pool', 'quality', '--out', 'tracks')
    found = read_features('tracks')
    assert found.track == ['Gasse, 7', 'x', ''] and found.frames.tolist() == [2, 1, 1]
    Path('people.csv').write_text(f'path,track\n{names[0]},nan\n')
    error = extract(*MODEL, 'people.csv', '--root', 'market/query', '--out', 'other')
    assert error.startswith("error: people.csv, row 2: track: 'nan'")
