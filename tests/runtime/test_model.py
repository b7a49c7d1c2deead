"""An exported model gives the outputs of the trained model, from image files, regions and arrays."""

from __future__ import annotations

import io
import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from mmosnet.apis import PersonInferencer
from mmosnet.errors import DataError
from mmosnet.export import export_model
from mmosnet.models.build import load_model
from mmosnet.runtime import Box, ExportedModel, ModelDescription, region_path
from tests.apis.small_models import ATTRIBUTE_NAMES, CLASSES, JOINT, LOAD, PACK, REID, small_checkpoint, small_config

SHORT = dict(type='ResizeEdge', scale=80, edge='short')
CROP = dict(type='CenterCrop', crop_size=(32, 64))


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('model') / 'joint.pth'
    return small_checkpoint(path, JOINT, attributes=ATTRIBUTE_NAMES, classes=CLASSES)


@pytest.fixture(scope='module')
def model(checkpoint):
    return load_model(small_config(JOINT), checkpoint, testing=True)


@pytest.fixture(scope='module')
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp('exported') / 'joint.onnx'
    export_model(model, path)
    return ExportedModel(path, threads=1)


@pytest.fixture(scope='module')
def frame(tmp_path_factory):
    """Return the path of a frame for boxes of several sizes."""
    image = cv2.resize(np.random.RandomState(0).randint(0, 256, (24, 40, 3), dtype=np.uint8), (400, 240))
    path = tmp_path_factory.mktemp('frames') / 'frame.jpg'
    cv2.imwrite(str(path), image)
    return str(path)


BOXES = [Box(10, 20, 40, 110), Box(200, 0, 64, 128), Box(300, 100, 99, 140), Box(0, 0, 400, 240), Box(7, 9, 15, 31)]


def test_the_same_as_the_inferencer_from_the_jpeg_on(model, exported, frame):
    paths = [region_path(frame, box) for box in BOXES]
    right = PersonInferencer(model)(paths)
    pixels = cv2.imread(frame)
    crops = [pixels[box.top : box.top + box.height, box.left : box.left + box.width] for box in BOXES]
    # Batches of other sizes, paths and arrays mixed.
    for images, size in ((paths, 32), (crops, 2), ([*paths[:2], *crops[2:]], 1)):
        found = exported.predict(images, batch_size=size)
        assert all(value.dtype == np.float32 for value in found.values())
        for row, entry in enumerate(right):
            np.testing.assert_allclose(found['embedding'][row], entry['embedding'], atol=1e-4, rtol=0)
            scores = dict(zip(exported.description.attributes, found['attributes'][row], strict=True))
            assert scores == pytest.approx(entry['attributes'], abs=1e-4)
            best = found['category'][row].argmax()
            assert exported.description.classes[best] == entry['category']['name']
            assert found['category'][row, best] == pytest.approx(entry['category']['score'], abs=1e-4)
    # Embeddings that tell the boxes apart, or the above would say little.
    assert np.ptp(found['embedding'], axis=0).max() > 0.1


@pytest.mark.parametrize('steps', [[SHORT, CROP], [dict(SHORT, backend='pillow'), CROP]], ids=['cv2', 'pillow'])
def test_other_steps(checkpoint, tmp_path, frame, steps):
    model = load_model(small_config(JOINT, [LOAD, *steps, PACK]), checkpoint, testing=True)
    export_model(model, tmp_path / 'model.onnx')
    paths = [region_path(frame, box) for box in BOXES[:3]]
    found = ExportedModel(tmp_path / 'model.onnx').predict(paths)['embedding']
    right = [entry['embedding'] for entry in PersonInferencer(model)(paths)]
    np.testing.assert_allclose(found, right, atol=1e-4, rtol=0)


def test_steps_that_end_at_another_size(exported, frame):
    short = described(exported.path, resize=[dict(type='CenterCrop', width=32, height=64)])
    assert short.predict([frame])['embedding'].shape == (1, 512)
    with pytest.raises(DataError, match=r'30x99.*30x64.*32x64'):
        short.predict([f'{frame}#xywh=0,0,30,99'])


def test_no_images(exported):
    found = exported.predict([])
    assert {name: value.shape for name, value in found.items()} == {
        'embedding': (0, 512),
        'attributes': (0, 3),
        'category': (0, 4),
    }


def test_openvino_with_a_fixed_batch(model, exported, tmp_path, frame):
    export_model(model, tmp_path / 'joint.xml')
    paths = [region_path(frame, box) for box in BOXES]
    fixed = ExportedModel(tmp_path / 'joint.xml', batch_size=3)
    for number in (1, 3, 5):
        found = fixed.predict(paths[:number])
        for name, right in exported.predict(paths[:number]).items():
            np.testing.assert_allclose(found[name], right, atol=1e-4, rtol=0)
    assert fixed.predict([])['embedding'].shape == (0, 512)


def test_mistakes(exported, frame, tmp_path):
    with pytest.raises(DataError, match='batch_size=0'):
        exported.predict([frame], batch_size=0)
    with pytest.raises(DataError, match='give a list'):
        exported.predict(frame)
    with pytest.raises(FileNotFoundError, match=r'no image .*gone\.jpg$'):
        exported.predict([f'{tmp_path}/gone.jpg#xywh=0,0,1,1'])
    with pytest.raises(DataError, match='no such region'):
        exported.predict([f'{frame}#xywh=0,0,401,1'])
    with pytest.raises(DataError, match=r'images\[4\] is an array of float64'):
        exported.predict([frame] * 3 + [cv2.imread(frame), np.zeros((3, 3, 3))], batch_size=2)
    with pytest.raises(DataError, match=r'images\[0\] is an array of shape \(3, 3\)'):
        exported.predict([np.zeros((3, 3), np.uint8)])


def test_images_in_memory(exported, frame, tmp_path):
    """Objects with the same pixels give the same numbers."""
    pixels = cv2.imread(frame)
    right = exported.predict([frame])['embedding']
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = Image.fromarray(pixels[:, :, ::-1])
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / 'turned.png', exif=exif)
    with Image.open(tmp_path / 'turned.png') as turned:
        alike = [pixels, upright, turned, Path(frame), upright.convert('RGBA'), pixels[:, ::-1].copy()[:, ::-1]]
        found = exported.predict(alike)['embedding']
        again = exported.predict(iter(alike), batch_size=2)['embedding']
    np.testing.assert_allclose(found, again, atol=1e-5, rtol=0)
    np.testing.assert_allclose(found, np.repeat(right, len(alike), 0), atol=1e-4, rtol=0)
    batch = np.stack([pixels, pixels[::-1]])
    np.testing.assert_allclose(
        exported.predict(batch)['embedding'], exported.predict(list(batch))['embedding'], atol=1e-5, rtol=0
    )
    gray = exported.predict([upright.convert('L'), cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), 8)])
    assert np.abs(np.diff(gray['embedding'], axis=0)).max() < 0.05


@pytest.mark.parametrize(
    ('images', 'named'),
    [
        (np.zeros((9, 9, 3), np.uint8), r'one array of shape \(9, 9, 3\)'),
        (Image.new('RGB', (9, 9)), 'type Image'),
        (b'\xff\xd8\xff', 'type bytes'),
        (None, 'type NoneType'),
        ({'a.jpg': 1}, 'type dict'),
        ([torch.zeros(3, 9, 9)], r'images\[0\] is a torch\.Tensor.*array'),
        (torch.zeros(2, 3, 9, 9), r'images\[0\] is a torch\.Tensor.*array'),
        (io.BytesIO(b'\xff\xd8\xff\n'), r'images\[0\] is a bytes.*path'),
        ([None], r'images\[0\] is a NoneType'),
        ([Image.new('F', (9, 9))], r'images\[0\] is a PIL image.*floating'),
        ([np.zeros((9, 9, 4), np.uint8)], r'images\[0\].*fourth channel'),
        (np.zeros((2, 9, 9, 3), np.float32), r'images\[0\].*float32.*0 to 1'),
        ([[[[1, 2, 3]]]], r'images\[0\] is a list'),
    ],
)
def test_what_is_no_image_is_named_with_what_is_taken(exported, images, named):
    with pytest.raises(DataError, match=named):
        exported.predict(images)


def described(path, **changes):
    """Return the model of a file with changed metadata; None removes an entry."""
    graph = onnx.load(path)
    # The checksum is that of another file.
    del graph.metadata_props[1:]
    said = json.loads(graph.metadata_props[0].value) | dict(checksum='') | changes
    graph.metadata_props[0].value = json.dumps({name: value for name, value in said.items() if value is not None})
    copy = path.with_name('changed.onnx')
    onnx.save(graph, copy)
    return ExportedModel(copy)


def test_files_of_older_versions_take_their_own_size_only(exported, frame):
    older = described(exported.path, resize=None, other_transforms=None, weights=None, task=None)
    image = np.zeros((64, 32, 3), np.uint8)
    np.testing.assert_array_equal(older.predict([image])['embedding'], exported.predict([image])['embedding'])
    with pytest.raises(DataError, match=r'frame\.jpg is 400x240.*32x64'):
        older.predict([frame])


def test_pipelines_that_the_runtime_does_not_have(checkpoint, tmp_path, frame):
    pad = dict(type='Pad', size=(32, 64))
    model = load_model(small_config(JOINT, [LOAD, dict(type='Resize', scale=(30, 60)), pad, PACK]), checkpoint, True)
    export_model(model, tmp_path / 'model.onnx')
    padded = ExportedModel(tmp_path / 'model.onnx')
    assert (padded.description.resize, padded.description.other_transforms) == ((), ('Pad',))
    assert padded.predict([np.zeros((64, 32, 3), np.uint8)])['embedding'].shape == (1, 512)
    with pytest.raises(DataError, match=r'frame\.jpg: .*Pad'):
        padded.predict([frame])
    with pytest.raises(DataError, match=r'images\[0\] is 31x64.*Pad'):
        padded.predict([np.zeros((64, 31, 3), np.uint8)])


def test_description(exported, tmp_path):
    description = exported.description
    assert description.task == 'multitask' and len(description.weights) == 16
    assert description.resize == (
        dict(type='Resize', interpolation='bilinear', backend='cv2', width=32, height=64, keep_ratio=False),
    )
    said = json.loads(description.to_json())
    assert said['task'] == 'multitask' and said['resize'][0]['width'] == 32
    assert ModelDescription.from_json(description.to_json(), 'a file') == description
    assert ModelDescription(('embedding',), 2, 1).task == 'reid'
    with pytest.raises(DataError, match=r'a file: .*height, width'):
        ModelDescription.from_json('{"outputs": ["embedding"]}', 'a file')


@pytest.mark.parametrize('suffix', ['.onnx', '.xml', '.pt'])
def test_every_flipped_bit_is_named(model, exported, tmp_path, suffix):
    path = tmp_path / f'joint{suffix}'
    export_model(model, path)
    assert ExportedModel(path).description.checksum == 'sha256'
    for file in [path, *path.parent.glob('*.bin')]:
        data = file.read_bytes()
        for at in [*range(0, len(data) - 200, len(data) // 9), *range(len(data) - 100, len(data), 7)]:
            file.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
            with pytest.raises(DataError, match=rf'joint\{suffix}.* damaged|joint\{suffix} cannot be read'):
                ExportedModel(path)
        # What is cut off says so too.
        file.write_bytes(data[:-50])
        with pytest.raises(DataError, match=rf'joint\{suffix}'):
            ExportedModel(path)
        file.write_bytes(data)
    assert ExportedModel(path).description == ExportedModel(path).description
    if suffix == '.xml':
        path.with_suffix('.bin').unlink()
        with pytest.raises(FileNotFoundError, match=r'no .*joint\.bin'):
            ExportedModel(path)


def test_onnx_itself_finds_nothing_wrong_with_the_checksum(exported):
    onnx.checker.check_model(str(exported.path), full_check=True)
    assert [entry.key for entry in onnx.load(exported.path).metadata_props] == ['mmosnet', 'mmosnet.sha256']


@pytest.mark.parametrize(
    'changes',
    [
        dict(height=10**9),
        dict(width='32'),
        dict(outputs=['other']),
        dict(mean=[0, 0]),
        dict(std=[float('nan')] * 3),
        dict(resize=[dict(type='Other')]),
        dict(resize=[dict(type='Resize', width=10**9, height=1, keep_ratio=False)]),
        dict(attributes=3),
    ],
)
def test_impossible_metadata_are_refused(exported, changes):
    with pytest.raises(DataError, match=r'changed\.onnx: its metadata are damaged'):
        described(exported.path, **changes)


def test_deep_metadata_are_refused(exported):
    with pytest.raises(DataError, match='a file has no metadata'):
        ModelDescription.from_json('[' * 10**5, 'a file')


def test_weights_are_those_of_the_checkpoint(exported, model, tmp_path):
    """All formats and precisions of a model have one digest; other weights have another one."""
    export_model(model, tmp_path / 'half.onnx', 'fp16', l2_normalize=True, with_preprocess=True)
    assert ExportedModel(tmp_path / 'half.onnx').description.weights == exported.description.weights
    other = load_model(small_config(REID), small_checkpoint(tmp_path / 'reid.pth', REID), testing=True)
    with_other = other.neck.fc.weight.data
    with_other[0, 0] += 1e-3
    export_model(other, tmp_path / 'other.pt')
    assert ExportedModel(tmp_path / 'other.pt').description.weights != exported.description.weights


@pytest.mark.parametrize('suffix, batch_size', [('onnx', None), ('xml', None), ('xml', 4), ('pt', None)])
def test_any_number_of_prepared_images(model, tmp_path, suffix, batch_size):
    """Parts, and images that fill up a part, change nothing."""
    if suffix == 'xml':
        pytest.importorskip('openvino')
    export_model(model, tmp_path / f'model.{suffix}')
    file = ExportedModel(tmp_path / f'model.{suffix}', batch_size=batch_size)
    images = np.random.RandomState(0).randint(0, 256, (70, 64, 32, 3), np.uint8)
    inputs = file.description.prepare(images)
    one_by_one = [file.run_any(inputs[row : row + 1]) for row in range(70)]
    for number in (5, 32, 33, 70):
        found = file.run_any(inputs[:number])
        for name in file.description.outputs:
            expected = np.concatenate([outputs[name] for outputs in one_by_one[:number]])
            np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('order', ['RGB', 'BGR'])
def test_normalization(order):
    description = ModelDescription(('embedding',), 5, 4, order, mean=(1.5, 2, 3), std=(7, 8, 9.5))
    images = np.random.RandomState(0).randint(0, 256, (3, 5, 4, 3), np.uint8)
    channels = images[..., ::-1] if order == 'RGB' else images
    expected = (channels - np.float32([1.5, 2, 3])) / np.float32([7, 8, 9.5])
    np.testing.assert_array_equal(description.prepare(images), expected.transpose(0, 3, 1, 2))
    assert description.prepare(images[:0]).shape == (0, 3, 5, 4)
