import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmosnet.export import export_model
from mmosnet.gallery import Gallery
from mmosnet.models.build import load_model
from tests.apis.small_models import (
    ATTRIBUTE_NAMES,
    ATTRIBUTES,
    CLASSES,
    JOINT,
    small_checkpoint,
    small_config,
)
from tests.cli.command import outcome
from tests.cli.test_extract import ENVIRONMENT, WITHOUT_TORCH
from tests.features.drawn_video import all_frames
from tests.gallery.two_cameras import write_cameras

VIDEOS = ('door.mp4', 'hall.mp4', '--boxes', 'door.csv', 'hall.csv', '--camid', 0, 1)
TIMES = ('--start-time', 0, 60)
# Between the distances within a color and between colors, of this random network.
LIMITS = ('--threshold', 0.002, '--margin', 0)
RESULTS = ('sightings.csv', 'door.mot.txt', 'hall.mot.txt', 'identify.jsonl')


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """A joint model, the same exported, and one without embedding."""
    folder = tmp_path_factory.mktemp('models')
    small_config(JOINT).dump(folder / 'joint.py')
    small_checkpoint(folder / 'joint.pth', JOINT, attributes=ATTRIBUTE_NAMES, classes=CLASSES)
    export_model(load_model(small_config(JOINT), str(folder / 'joint.pth'), testing=True), folder / 'joint.onnx')
    small_config(ATTRIBUTES).dump(folder / 'attributes.py')
    small_checkpoint(folder / 'attributes.pth', ATTRIBUTES, attributes=ATTRIBUTE_NAMES)
    write_cameras(folder)
    return folder


@pytest.fixture
def identify(tmp_path, models, monkeypatch, capsys):
    """The command in this process, in a folder with models and videos: gives its output, or its error for people."""
    for path in models.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: outcome(capsys, 'identify', *arguments)


def table(out):
    with open(Path(out, 'sightings.csv'), encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def test_a_config_and_its_export_find_the_same_people(identify):
    output = identify('joint.onnx', 'people', *VIDEOS, *TIMES, *LIMITS, '--out', 'a')
    lines = output.splitlines()
    assert [cell.strip() for cell in lines[0].split('|')][1:] == [
        'people', 'sightings', 'known', 'new', 'unsure', 'too short',
    ]  # fmt: skip
    assert [cell.strip() for cell in lines[4].split('|')] == ['all', '3', '6', '3', '3', '0', '0']
    assert 'results  a' in output and 'gallery  people' in output
    assert [row['pid'] for row in table('a')] == ['1', '2', '1', '2', '3', '1']
    assert len(all_frames(Path('a/hall.mp4'))) == len(all_frames(Path('hall.mp4')))
    assert len(list(Path('a/people').glob('*.jpg'))) == 3
    config = ('joint.py', 'other', *VIDEOS, '--checkpoint', 'joint.pth', '--device', 'cpu')
    identify(*config, *TIMES, *LIMITS, '--out', 'b', '--no-video', '--no-sheets')
    assert [row['pid'] for row in table('b')] == [row['pid'] for row in table('a')]
    np.testing.assert_allclose(
        *([float(row['distance'] or 0) for row in table(out)] for out in 'ab'), atol=2e-4, rtol=0
    )
    assert sorted(path.name for path in Path('b').iterdir()) == sorted(RESULTS)
    with Gallery.open('people') as gallery, Gallery.open('other') as other:
        assert gallery.model == other.model and len(gallery) == len(other) == 6


def test_a_killed_process_goes_on_without_torch(identify):
    """A process that can import neither torch nor OpenMMLab gets SIGKILL; the next one goes on."""
    options = [*map(str, (*VIDEOS, *TIMES, *LIMITS)), '--per', 'frame', '--no-video', '--no-sheets']
    identify('joint.onnx', 'whole', *options, '--out', 'a')
    # SciPy assigns the people of a frame.
    program = WITHOUT_TORCH.replace("'scipy', ", '')
    command = [sys.executable, '-c', program, 'identify', 'joint.onnx', 'killed', *options, '--out', 'b']
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    journal = Path('b/identify.jsonl')
    while process.poll() is None and (not journal.exists() or journal.read_text().count('\n') < 5):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    assert journal.read_text().count('\n') < Path('a/identify.jsonl').read_text().count('\n')
    result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for name in RESULTS:
        # The log of each gallery has its own identity.
        one, two = (re.sub(r'"people": "\w+"', '', Path(out, name).read_text(), count=1) for out in 'ab')
        assert one.replace('whole', 'killed') == two, name
    with Gallery.open('whole') as whole, Gallery.open('killed') as killed:
        np.testing.assert_array_equal(whole.features().embedding, killed.features().embedding)
        assert whole.features().path == killed.features().path


def test_ctrl_c_says_how_to_go_on(identify):
    options = [*map(str, (*VIDEOS, *TIMES, *LIMITS)), '--per', 'frame', '--out', 'a']
    command = [sys.executable, '-c', WITHOUT_TORCH, 'identify', 'joint.onnx', 'people', *options]
    command += ['--no-video', '--no-sheets']
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not Path('a/identify.jsonl').exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130 and 'the same command goes on from here' in errors
    assert 'Traceback' not in errors


@pytest.mark.parametrize(
    'arguments, named',
    [
        (['joint.onnx', 'no', *VIDEOS], 'error: no gallery no: to create it, give --threshold'),
        (['none.onnx', 'people', *VIDEOS, *LIMITS], 'none.onnx'),
        (
            ['attributes.py', 'p', *VIDEOS, '--checkpoint', 'attributes.pth', *LIMITS],
            'attributes.py predicts attributes',
        ),
        (['joint.onnx', 'people', 'no.mp4', 'hall.mp4', *VIDEOS[2:], *LIMITS], 'no video no.mp4'),
        (['joint.onnx', 'people', *VIDEOS[:4], '--camid', 0, 1, *LIMITS], '2 videos'),
        (['joint.onnx', 'people', *VIDEOS, 2, *LIMITS], '--camid has 3 values for 2 inputs'),
        (['joint.onnx', 'people', *VIDEOS, *LIMITS, '--travel-time', '0-1=3'], '--travel-time 0-1=3: give A:B=SECONDS'),
        (['joint.onnx', 'people', *VIDEOS, *LIMITS, '--travel-time', '0:0=3'], '--travel-time 0:0=3: one camera'),
        (['joint.onnx', 'people', *VIDEOS, *LIMITS, '--travel-time', '0:1=3', '1:0=4'], '1:0=4: given twice'),
        (['joint.onnx', 'people', *VIDEOS, '--threshold', 'nan'], 'threshold=nan'),
        (['joint.onnx', 'people', *VIDEOS, *LIMITS, '--min-score', '0.5'], 'door.csv, row 2: no score'),
        (['joint.onnx', 'people', *VIDEOS, *LIMITS, '--start-time', 'noon'], "--start-time 'noon'"),
    ],
)
def test_mistakes_get_a_message_before_anything_is_written(identify, arguments, named):
    error = identify(*arguments, '--out', 'a')
    assert named in error and not Path('a').exists()
    assert not Path('people').exists() or not any(Path('people').iterdir())


def test_boxes_of_another_video_and_zero_boxes(identify):
    Path('long.csv').write_text(Path('door.csv').read_text() + '77,1,1,9,20,9\n')
    Path('none.csv').write_text('frame,x,y,w,h\n')
    one = ('joint.onnx', 'people', 'door.mp4', '--camid', 0, *LIMITS, '--out', 'a', '--boxes')
    assert 'row 40: frame 77, but door.mp4' in identify(*one, 'long.csv')
    assert identify(*one[:4]) == 2 and not Path('people').exists()
    nobody = identify(*one, 'none.csv')
    assert [cell.strip() for cell in nobody.splitlines()[3].split('|')] == ['all', *'000000']
    assert table('a') == [] and len(all_frames(Path('a/door.mp4'))) == len(all_frames(Path('door.mp4')))
    shutil.rmtree('a')
    assert 'all' in identify(*one, 'long.csv', '--bad-images', 'skip', '--no-video', '--no-sheets')


def test_a_gallery_of_another_model_and_a_folder_of_frames(identify):
    Path('frames é').mkdir()
    for number, frame in enumerate(all_frames(Path('door.mp4'))):
        cv2.imwrite(str(Path('frames é', f'{number:03d}.png')), frame)
    folder = ('frames é', '--boxes', 'door.csv', '--camid', 0)
    with Gallery.create('other', 512, model='0123456789abcdef') as gallery:
        gallery.set_threshold(0.1)
    assert '0123456789abcdef' in identify('joint.onnx', 'other', *folder, '--fps', 10, '--out', 'a')
    assert '--fps' in identify('joint.onnx', 'people', *folder, *LIMITS, '--out', 'a')
    identify('joint.onnx', 'people', *folder, *LIMITS, '--fps', 10, '--out', 'a')
    assert [row['pid'] for row in table('a')] == ['1', '2', '1'] and Path('a/frames é.mp4').is_file()
    assert table('a')[0]['image'].startswith('frames é/') and os.path.getsize('a/frames é.mot.txt')
