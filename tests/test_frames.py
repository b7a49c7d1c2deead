"""Embeddings of boxes are those of the crops, for trained models and exported files, from any array and any thread."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

import mmosnet
from mmosnet.apis import PersonInferencer
from mmosnet.errors import DataError
from mmosnet.export import export_model
from mmosnet.models.build import load_model
from mmosnet.runtime import ExportedModel
from tests.apis.small_models import ATTRIBUTES, JOINT, LOAD, PACK, REID, small_checkpoint, small_config

PILLOW = dict(type='Resize', scale=(32, 64), interpolation='bilinear', backend='pillow')
OPENCV = dict(type='Resize', scale=(32, 64), interpolation='area')
# As transforms of the test pipeline: some that the fast way knows, and some for which the pipeline itself runs.
PIPELINES = {
    'pillow': [LOAD, PILLOW, PACK],
    'opencv': [LOAD, OPENCV, PACK],
    'two steps': [LOAD, dict(type='Resize', scale=(30, 40), keep_ratio=True), PILLOW, PACK],
    'edge': [LOAD, dict(type='ResizeEdge', scale=80, edge='short'), dict(type='CenterCrop', crop_size=(64, 64)), PACK],
    'other': [LOAD, PILLOW, dict(type='ColorJitter', brightness=0.0), PACK],
    'any size': [LOAD, PACK],
}


@pytest.fixture(scope='module')
def frame():
    return cv2.resize(np.random.RandomState(0).randint(0, 256, (60, 80, 3), np.uint8), (320, 240))


@pytest.fixture(scope='module')
def boxes():
    """Return boxes of whole and half pixels, some beyond the frame."""
    random = np.random.RandomState(1)
    left, top = random.uniform(-20, 280, 11), random.uniform(-20, 180, 11)
    width, height = random.uniform(21, 60, 11), random.uniform(40, 90, 11)
    return (np.stack([left, top, left + width, top + height], 1) * 2).round() / 2


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('frames')


def config_and_checkpoint(folder, pipeline, head=REID, **preprocessor):
    """Write a config and a checkpoint; return their paths."""
    cfg = small_config(head, pipeline)
    cfg.model.data_preprocessor.update(preprocessor)
    cfg.dump(folder / 'config.py')
    return str(folder / 'config.py'), small_checkpoint(folder / 'model.pth', head)


@pytest.fixture(scope='module')
def trained(folder):
    return config_and_checkpoint(folder, PIPELINES['pillow'])


@pytest.fixture(scope='module', params=['onnx', 'xml', 'pt'])
def exported(request, folder, trained):
    """Return an exported file of each format."""
    if request.param != 'pt':
        pytest.importorskip('onnxruntime' if request.param == 'onnx' else 'openvino')
    path = folder / f'model.{request.param}'
    export_model(load_model(mmosnet.models.build.read_config(trained[0]), trained[1], testing=True), path)
    return path


@pytest.fixture(scope='module')
def embedder(trained):
    return mmosnet.Embedder(*trained)


def crops_of(frame, boxes):
    """Cut boxes by the documented rule: round outwards, then clip."""
    height, width = frame.shape[:2]
    return [
        frame[
            max(0, math.floor(top)) : min(height, math.ceil(bottom)),
            max(0, math.floor(left)) : min(width, math.ceil(right)),
        ].copy()
        for left, top, right, bottom in boxes
    ]


def assert_equal(found, expected):
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize('name', PIPELINES)
@pytest.mark.parametrize('head', [REID, JOINT], ids=['reid', 'joint'])
def test_a_trained_model_embeds_boxes_as_crops(tmp_path, frame, boxes, name, head):
    files = config_and_checkpoint(tmp_path, PIPELINES[name], head, to_rgb=name != 'opencv')
    expected = [result['embedding'] for result in PersonInferencer(*files, device='cpu')(crops_of(frame, boxes))]
    embedder = mmosnet.Embedder(*files)
    assert_equal(embedder(frame, boxes), expected)
    assert embedder.last_valid.tolist() == [True] * len(boxes)
    assert_equal(mmosnet.Embedder(*files, channel_order='rgb')(frame[:, :, ::-1], boxes), expected)


@pytest.mark.parametrize('preprocessor', [dict(mean=[1, 2, 3], std=[50, 60, 70]), dict(mean=None, std=None)])
def test_other_numbers_of_the_preprocessor(tmp_path, frame, boxes, preprocessor):
    files = config_and_checkpoint(tmp_path, PIPELINES['pillow'], **preprocessor)
    expected = [result['embedding'] for result in PersonInferencer(*files, device='cpu')(crops_of(frame, boxes))]
    assert_equal(mmosnet.Embedder(*files)(frame, boxes), expected)


def test_an_exported_file_embeds_boxes_as_crops(exported, embedder, frame, boxes):
    expected = ExportedModel(exported).predict(crops_of(frame, boxes))['embedding']
    by_file = mmosnet.Embedder(exported)
    assert_equal(by_file(frame, boxes), expected)
    assert_equal(by_file(frame, boxes), embedder(frame, boxes))
    assert_equal(mmosnet.Embedder(exported, channel_order='rgb')(frame[:, :, ::-1], boxes), expected)
    assert (by_file.source, by_file.model, by_file.dimension) == (str(exported), embedder.model, 512)


@pytest.mark.parametrize('options', [dict(with_preprocess=True), dict(l2_normalize=True)])
def test_other_layouts_of_an_exported_file(tmp_path, trained, embedder, frame, boxes, options):
    pytest.importorskip('onnxruntime')
    path = tmp_path / 'model.onnx'
    export_model(load_model(mmosnet.models.build.read_config(trained[0]), trained[1], testing=True), path, **options)
    expected = embedder(frame, boxes)
    if 'l2_normalize' in options:
        expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    assert_equal(mmosnet.Embedder(path)(frame, boxes), expected)


def test_any_number_of_boxes(exported, embedder, frame, boxes):
    by_file = mmosnet.Embedder(exported)
    many = np.resize(boxes, (70, 4))
    expected = embedder(frame, many)
    for number in (0, 1, 2, 3, 31, 33, 70):
        found = by_file(frame, many[:number])
        assert found.shape == (number, 512) and by_file.last_valid.shape == (number,)
        if number:
            assert_equal(found, expected[:number])
            assert_equal(embedder(frame, many[:number]), expected[:number])


def test_unit_length(trained, embedder, frame, boxes):
    boxes = np.vstack([boxes, [400, 0, 420, 50]])
    expected = embedder(frame, boxes)
    expected[:-1] /= np.linalg.norm(expected[:-1], axis=1, keepdims=True)
    assert_equal(mmosnet.Embedder(*trained, normalize=True)(frame, boxes), expected)
    assert not expected[-1].any()


def test_boxes_without_a_pixel_give_zeros(exported, trained, frame, boxes):
    outside = [
        [-50, 10, 0, 60],
        [320, 10, 340, 60],
        [10, -9, 30, 0],
        [10, 240, 30, 999],
        [10, 10, 10, 60],
        [10, 10.5, 30, 10.5],
        [-1e300, -1e300, -1e299, -1e299],
    ]
    mixed = np.vstack([boxes[:2], outside, boxes[2:]])
    for embedder in (mmosnet.Embedder(exported), mmosnet.Embedder(*trained)):
        found = embedder(frame, mixed)
        valid = [True] * 2 + [False] * len(outside) + [True] * (len(boxes) - 2)
        assert embedder.last_valid.tolist() == valid and embedder.last_valid.dtype == bool
        assert not found[~embedder.last_valid].any()
        assert_equal(found[embedder.last_valid], embedder(frame, boxes))
        assert not embedder(frame, outside).any() and not embedder.last_valid.any()


def test_frames_in_any_layout_of_memory(embedder, frame, boxes):
    expected = embedder(frame, boxes)
    frozen = frame.copy()
    frozen.flags.writeable = False
    large = np.zeros((480, 640, 3), np.uint8)
    large[::2, ::2] = frame
    layouts = [
        frozen,
        large[::2, ::2],
        np.asfortranarray(frame),
        frame[::-1].copy()[::-1],
        frame[:, ::-1].copy()[:, ::-1],
    ]
    layouts += [frame[:, :, ::-1].copy()[:, :, ::-1], np.dstack([frame, frame[:, :, :1]])[:, :, :3]]
    for layout in layouts:
        np.testing.assert_array_equal(layout, frame)
        assert_equal(embedder(layout, boxes), expected)
    whole = [[0, 0, 320, 240], [-5.5, -5.5, 1000, 1000]]
    np.testing.assert_array_equal(*embedder(frozen, whole))


def test_boxes_of_any_kind(embedder, frame, boxes):
    expected = embedder(frame, boxes)
    tensor = torch.tensor(boxes)
    kinds = [boxes.tolist(), tuple(map(tuple, boxes)), tensor, tensor.requires_grad_(), tensor.half(), list(tensor)]
    kinds += [SimpleNamespace(xyxy=boxes.astype(np.float32)), SimpleNamespace(xyxy=tensor), np.asfortranarray(boxes)]
    for kind in kinds:
        assert_equal(embedder(frame, kind), expected)
    whole = boxes.astype(int)
    for kind in (whole, whole.tolist(), torch.tensor(whole), torch.tensor(whole).bfloat16(), whole.astype(np.int16)):
        assert_equal(embedder(frame, kind), embedder(frame, whole.astype(float)))
    for empty in ([], (), np.zeros((0, 4)), torch.zeros(0, 4), torch.zeros(0), SimpleNamespace(xyxy=np.empty((0, 4)))):
        assert embedder(frame, empty).shape == (0, 512)


def test_errors_about_frames(embedder, frame):
    box = [[0, 0, 9, 9]]
    for bad, named in [
        (frame[:, :, 0], r'\(240, 320\).*GRAY2BGR'),
        (frame[:, :, :1], 'GRAY2BGR'),
        (np.dstack([frame, frame[:, :, 0]]), 'BGRA2BGR'),
        (frame / 255, 'float64'),
        (frame.astype(np.int32), 'int32'),
        (frame[:0], r'\(0, 320, 3\)'),
        (frame.transpose(2, 0, 1), 'transpose'),
        (frame[None], r'\(1, 240, 320, 3\)'),
        (torch.tensor(frame), 'Tensor'),
        ('frame.jpg', 'str'),
        (None, 'NoneType'),
    ]:
        with pytest.raises(DataError, match=f'frame is .*{named}'):
            embedder(bad, box)


def test_a_failed_call_leaves_nothing_behind(embedder, frame, boxes):
    embedder(frame, boxes)
    with pytest.raises(DataError, match=r'boxes\[1\]'):
        embedder(frame, [[0, 0, 9, 9], [0, math.nan, 9, 9]])
    assert len(embedder.last_valid) == 0


def test_threads_have_their_own_results(exported, trained, frame, boxes):
    boxes = np.vstack([boxes, [-20, 0, -9, 50]])
    for embedder in (mmosnet.Embedder(exported), mmosnet.Embedder(*trained)):
        calls = [np.roll(boxes, number, 0)[: number % 12 + 1] for number in range(24)]
        expected = [(embedder(frame, call), embedder.last_valid) for call in calls]
        together = threading.Barrier(4)

        def work(start, embedder=embedder, calls=calls, together=together):
            assert len(embedder.last_valid) == 0
            together.wait(60)
            return [(embedder(frame, call), embedder.last_valid) for call in calls[start::4]]

        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(work, range(4)))
        for start in range(4):
            for (embedding, valid), (wanted, is_valid) in zip(found[start], expected[start::4], strict=True):
                assert_equal(embedding, wanted)
                assert valid.tolist() == is_valid.tolist()


def test_a_child_process_after_a_fork(folder, trained):
    program = f"""
import os, numpy as np, mmosnet, torch
torch.set_num_threads(1)
embedder = mmosnet.Embedder(*{trained!r})
frame, boxes = np.zeros((90, 90, 3), np.uint8), [[0, 0, 40, 80]] * 9
expected = embedder(frame, boxes)
child = os.fork()
if not child:
    os._exit(0 if np.array_equal(embedder(frame, boxes), expected) else 3)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, '-c', program], check=True, timeout=100)


def test_a_joint_and_a_named_model(frame, boxes):
    embedder = mmosnet.Embedder('osnet-x0.25_multitask-synthetic')
    inferencer = PersonInferencer('osnet-x0.25_multitask-synthetic', pretrained=True, device='cpu')
    expected = [result['embedding'] for result in inferencer(crops_of(frame, boxes))]
    assert_equal(embedder(frame, boxes), expected)
    assert embedder.source == 'mmosnet://osnet_x0_25_multitask_synthetic' and len(embedder.model) == 16
    other = mmosnet.Embedder('osnet-x0.25_multitask-synthetic', channel_order='rgb')
    assert other.attributes_of(frame[:, :, ::-1]) == embedder.attributes_of(frame)
    for one, bad in itertools.product((embedder, other), (None, frame[:, :, 0], frame / 255)):
        with pytest.raises(DataError, match='frame is '):
            one.attributes_of(bad)


def test_errors_about_models(tmp_path, trained):
    for arguments, named in [
        (('osnet-x1.0_reid-market1501-scratch',), 'osnet-x1.0_reid-market1501-scratch.*checkpoint'),
        (('osnet-x1.0_reid-market1502',), 'osnet-x1.0_reid-market1501'),
        ((trained[1],), 'model.pth.*config'),
        ((trained[0],), 'checkpoint'),
        ((None,), 'NoneType'),
        ((*trained, 'no device'), 'no device'),
    ]:
        with pytest.raises(DataError, match=named):
            mmosnet.Embedder(*arguments)
    with pytest.raises(DataError, match=r'bgr.*rgb'):
        mmosnet.Embedder(*trained, channel_order='gray')
    for missing in ((trained[0], 'nothing.pth'), ('nothing.onnx',), ('nothing.py',)):
        with pytest.raises(FileNotFoundError, match='nothing'):
            mmosnet.Embedder(*missing)
    cfg = small_config(ATTRIBUTES, PIPELINES['pillow'])
    cfg.dump(tmp_path / 'attributes.py')
    with pytest.raises(DataError, match=r'attributes.*no embedding'):
        mmosnet.Embedder(tmp_path / 'attributes.py', small_checkpoint(tmp_path / 'attributes.pth', ATTRIBUTES))


def test_errors_about_exported_files(exported):
    with pytest.raises(DataError, match=r'other\.pth'):
        mmosnet.Embedder(exported, 'other.pth')
    with pytest.raises(DataError, match='cuda'):
        mmosnet.Embedder(exported, device='cuda')


def test_a_model_that_gives_no_finite_numbers(tmp_path, frame, boxes):
    config, checkpoint = config_and_checkpoint(tmp_path, PIPELINES['pillow'])
    stored = torch.load(checkpoint, weights_only=True)
    stored['state_dict']['neck.fc.weight'] *= 1e38
    torch.save(stored, checkpoint)
    with pytest.raises(DataError, match='not finite'):
        mmosnet.Embedder(config, checkpoint)(frame, boxes)


def test_an_exported_file_needs_no_torch(exported):
    if exported.suffix == '.pt':
        return
    program = f"""
import sys
import numpy as np
for name in ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmpretrain', 'scipy', 'pycocotools'):
    sys.modules[name] = None
import mmosnet
embedder = mmosnet.Embedder({str(exported)!r}, normalize=True)
assert embedder(np.zeros((90, 90, 3), np.uint8), [[0, 0, 40, 80], [100, 0, 120, 30]]).shape == (2, 512)
assert embedder.last_valid.tolist() == [True, False]
try:
    mmosnet.Embedder('osnet-x0.25_multitask-synthetic')
except ImportError as error:
    assert 'torch' in str(error), error
"""
    subprocess.run([sys.executable, '-c', program], check=True, timeout=100)
