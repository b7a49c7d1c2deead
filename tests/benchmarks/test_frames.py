import numpy as np
import pytest

from benchmarks import frames
from benchmarks.measure import Unequal
from mmosnet.errors import DataError


def test_boxes_lie_in_the_frame():
    boxes = frames.draw_boxes(200)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= np.array(frames.FRAME[::-1])).all()
    assert (boxes[:, 2:] - boxes[:, :2] >= 50).all() and (boxes == boxes.round()).all()
    np.testing.assert_array_equal(frames.draw_boxes(5), frames.draw_boxes(5))
    assert frames.draw_frame().shape == (*frames.FRAME, 3) and frames.draw_frame().dtype == np.uint8


def test_all_ways_are_equal_and_in_the_table(tmp_path):
    told = []
    table = frames.measure_frames(tmp_path, ['x0.25'], [1, 2], repeats=1, say=told.append)
    lines = table.splitlines()
    assert '1 boxes' in lines[0] and '2 boxes' in lines[0]
    for runtime in ('PyTorch', 'ONNX Runtime', 'OpenVINO'):
        for resize in ('Pillow', 'OpenCV'):
            assert sum(f'mmosnet, {runtime}, {resize}' in line for line in lines) == 1
    assert told == ['x0.25: models', 'x0.25: 1 boxes', 'x0.25: 2 boxes']


def test_ways_that_differ_are_not_timed():
    first, second = (frames.Way(str(k), 'cv2', lambda frame, boxes, k=k: np.eye(2) + 1e-3 * k) for k in range(2))
    other = frames.Way('other resize', 'pillow', lambda frame, boxes: np.ones((2, 2)))
    assert set(frames.check_equal([first, other], None, None)) == {'0', 'other resize'}
    with pytest.raises(Unequal, match='1 differs'):
        frames.check_equal([first, other, second], None, None)


def test_the_fastest_turn_counts():
    calls = []
    ways = [frames.Way(name, 'cv2', lambda frame, boxes, name=name: calls.append(name)) for name in 'ab']
    least = frames.measure_in_turn(ways, None, None, 3)
    assert calls == list('ab' * 4) and set(least) == {'a', 'b'} and all(0 <= value < 1 for value in least.values())


def test_an_unknown_width_is_named(tmp_path):
    with pytest.raises(DataError, match=r'x2\.0'):
        frames.measure_frames(tmp_path, ['x2.0'])
