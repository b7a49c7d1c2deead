"""Every network, task and format: an exported file gives what the model gives."""

from __future__ import annotations

import copy
import errno
import json
import os
import sys
from itertools import product

import numpy as np
import onnx
import openvino
import pytest
import torch

from mmosnet.errors import DataError, user_line
from mmosnet.export import ExportedModel, export_model
from mmosnet.export import export as model_export
from mmosnet.export.parity import reference_outputs
from mmosnet.models.build import build_model, load_model
from tests.apis.small_models import (
    ATTRIBUTE_NAMES,
    ATTRIBUTES,
    CATEGORY,
    CLASSES,
    JOINT,
    REID,
    small_checkpoint,
    small_config,
)
from tests.conftest import full_disk, write_person

SUFFIXES = ('.onnx', '.xml', '.pt')
HEADS = dict(reid=REID, attributes=ATTRIBUTES, category=CATEGORY, joint=JOINT)
OUTPUTS = dict(
    reid=('embedding',),
    attributes=('attributes',),
    category=('category',),
    joint=('embedding', 'attributes', 'category'),
)


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """A model for each task, built once."""
    folder = tmp_path_factory.mktemp('models')
    built = {}
    for task, head in HEADS.items():
        checkpoint = small_checkpoint(folder / f'{task}.pth', head, attributes=ATTRIBUTE_NAMES, classes=CLASSES)
        built[task] = load_model(small_config(head), checkpoint, testing=True)
    return built


@pytest.fixture(scope='module')
def crops(tmp_path_factory):
    folder = tmp_path_factory.mktemp('crops')
    for number in range(8):
        write_person(folder / f'{number}.jpg', number, 64, 32)
    return folder


def noise(number):
    return np.random.RandomState(1).randint(0, 256, (number, 64, 32, 3), dtype=np.uint8)


# What the formats share is tested once, with ONNX; a joint model has all heads.
@pytest.mark.parametrize(
    ('task', 'suffix'), [*((task, '.onnx') for task in HEADS), *product(('reid', 'joint'), ('.xml', '.pt'))]
)
def test_all_tasks_and_formats(models, tmp_path, task, suffix):
    # Plain for one half, with everything inside for the other, formats and tasks mixed.
    inside = (task in ('reid', 'category')) == (suffix == '.xml')
    path = tmp_path / f'model{suffix}'
    parities = export_model(models[task], path, with_preprocess=inside, l2_normalize=inside)
    assert [parity.batch_size for parity in parities] == [1, 2, 7]
    assert all(parity.difference < 1e-5 and parity.cosine > 0.99999 for parity in parities)

    exported = ExportedModel(path, threads=1)
    description = exported.description
    assert description.outputs == OUTPUTS[task] and (description.height, description.width) == (64, 32)
    assert description.channel_order == ('BGR' if inside else 'RGB')
    assert description.mean == pytest.approx((123.675, 116.28, 103.53))
    assert description.attributes == (tuple(ATTRIBUTE_NAMES) if task in ('attributes', 'joint') else ())
    assert description.classes == (tuple(CLASSES) if task in ('category', 'joint') else ())
    assert description.l2_normalized == (inside and 'embedding' in description.outputs)

    pictures = noise(5)
    found = exported(pictures)
    # The model, as users run it.
    images = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        samples = models[task].test_step(dict(inputs=images, data_samples=None))
    for row, sample in enumerate(samples):
        for name in description.outputs:
            part = sample.get('reid' if name == 'embedding' else name) if task == 'joint' else sample
            right = part.embedding if name == 'embedding' else part.pred_score
            if name == 'embedding' and inside:
                right = right / right.norm()
            np.testing.assert_allclose(found[name][row], right.numpy(), rtol=1e-4, atol=1e-5)


# Each network in two formats, each format with two networks; tools/export_table.py does all widths by all formats.
NETWORKS = [
    (SUFFIXES[(i + j) % 3], dict(arch=arch, widen_factor=(0.25, 0.5, 0.75, 1.0)[(i + 2 * j) % 4]))
    for i, arch in enumerate(('osnet', 'osnet_ibn', 'osnet_ain'))
    for j in range(2)
]


@pytest.mark.parametrize(
    ('suffix', 'backbone'),
    [
        *NETWORKS,
        ('.onnx', dict(fusion='separate_gates')),
        ('.onnx', dict(fusion='concat', stem='cifar', lite=False)),
        ('.pt', dict(arch='osnet_ain', fusion='fixed_gate')),
    ],
    ids=lambda value: value if isinstance(value, str) else '-'.join(map(str, value.values())),
)
def test_all_networks(tmp_path, suffix, backbone):
    torch.manual_seed(0)
    cfg = small_config(REID)
    cfg.model.backbone.update(backbone)
    cfg.model.neck.in_channels = int(512 * cfg.model.backbone.widen_factor)
    # A BNNeck too.
    cfg.model.head = dict(REID, bnneck=True)
    parities = export_model(build_model(cfg), tmp_path / f'model{suffix}')
    assert max(parity.difference for parity in parities) < 1e-5


def test_other_programs_read_names_and_metadata(models, tmp_path):
    for suffix in SUFFIXES:
        export_model(models['joint'], tmp_path / f'model{suffix}')
    texts = []

    graph = onnx.load(tmp_path / 'model.onnx')
    onnx.checker.check_model(graph, full_check=True)
    assert [value.name for value in graph.graph.output] == ['embedding', 'attributes', 'category']
    assert graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param == 'batch'
    texts.append({entry.key: entry.value for entry in graph.metadata_props}['mmosnet'])

    network = openvino.Core().read_model(tmp_path / 'model.xml')
    assert [port.get_any_name() for port in network.outputs] == ['embedding', 'attributes', 'category']
    assert network.input('images').partial_shape.is_dynamic
    texts.append(network.get_rt_info('mmosnet').astype(str))

    extra = {'mmosnet': ''}
    torch.jit.load(str(tmp_path / 'model.pt'), _extra_files=extra)
    texts.append(extra['mmosnet'].decode() if isinstance(extra['mmosnet'], bytes) else extra['mmosnet'])

    descriptions = [json.loads(text) for text in texts]
    said = descriptions[0]
    assert said == descriptions[1] == descriptions[2]
    assert (said['height'], said['width'], said['channel_order'], said['precision']) == (64, 32, 'RGB', 'fp32')
    assert said['attributes'] == ATTRIBUTE_NAMES and said['classes'] == CLASSES and said['version']
    assert said['task'] == 'multitask' and said['resize'][0]['type'] == 'Resize' and len(said['weights']) == 16


@pytest.mark.parametrize('suffix', ['.onnx', '.xml'])
def test_int8(models, tmp_path, crops, suffix):
    path = tmp_path / f'model{suffix}'
    parities = export_model(models['reid'], path, 'int8', images=crops, calibration_images=4)
    assert min(parity.cosine for parity in parities) > 0.98
    # Rounded at all.
    assert max(parity.difference for parity in parities) > 1e-3
    assert ExportedModel(path).description.precision == 'int8'
    if suffix == '.onnx':
        initializers = onnx.load(path).graph.initializer
        weights = [
            onnx.numpy_helper.to_array(values)
            for values in initializers
            if values.data_type == onnx.TensorProto.INT8 and len(values.dims) == 4
        ]
        assert len(weights) > 100
    else:
        nodes = openvino.Core().read_model(path).get_ops()
        rounded = [node.get_friendly_name() for node in nodes if node.get_type_name() == 'FakeQuantize']
        assert len(rounded) > 50
        # Gates stay as they are.
        convolutions = ('/gate/squeeze', '/gate/excite')
        assert not [name for name in rounded if any(part in name for part in convolutions)]
        assert [node for node in nodes if convolutions[0] in node.get_friendly_name()]
        constants = [node for node in nodes if node.get_type_name() == 'Constant']
        weights = [node.data for node in constants if node.get_element_type() == openvino.Type.i8]
        assert len(weights) > 50
    # Without VNNI two products of 8 bits are added in 16 bits: the sum always fits.
    largest = max(int(np.abs(values.astype(int)).max()) for values in weights)
    assert largest > 32 and 2 * 255 * largest < 2**15


@pytest.mark.parametrize('suffix', ['.onnx', '.xml'])
def test_fp16(models, tmp_path, suffix):
    path = tmp_path / f'half{suffix}'
    parities = export_model(models['attributes'], path, 'fp16')
    assert min(parity.cosine for parity in parities) > 0.999
    weights = path.with_suffix('.bin') if suffix == '.xml' else path
    # 0.34 million parameters.
    assert weights.stat().st_size < 1_000_000


@pytest.mark.parametrize(
    'bf16',
    [
        False,
        # OpenVINO asks the CPU, its oneDNN this variable: where a CPU with bfloat16 plays one without they disagree.
        pytest.param(True, marks=pytest.mark.skipif('ONEDNN_MAX_CPU_ISA' in os.environ, reason='ONEDNN_MAX_CPU_ISA')),
    ],
)
def test_bf16_and_fixed_batch_are_openvinos(models, tmp_path, bf16):
    export_model(models['reid'], tmp_path / 'model.xml')
    pictures = noise(3)
    found = ExportedModel(tmp_path / 'model.xml', bf16=bf16, batch_size=3)(pictures)['embedding']
    right = reference_outputs(models['reid'], ('embedding',), pictures, rgb=False)['embedding']
    cosine = (found * right).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(right, axis=1)
    assert cosine.min() > 0.99
    with pytest.raises(DataError, match='batch_size are for OpenVINO'):
        export_model(models['reid'], tmp_path / 'model.pt')
        ExportedModel(tmp_path / 'model.pt', bf16=bf16, batch_size=3)


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_a_file_that_disagrees_is_not_kept(models, tmp_path, monkeypatch, suffix):
    write = model_export.WRITERS[suffix]

    def tamper(exportable, path, calibration):
        with torch.no_grad():
            exportable.model.neck.fc.weight[3] *= 1.01
        write(exportable, path, calibration)

    monkeypatch.setitem(model_export.WRITERS, suffix, tamper)
    path = tmp_path / f'model{suffix}'
    # What was there before stays.
    older = [path.with_suffix(end) for end in ('.xml', '.bin')] if suffix == '.xml' else [path]
    for file in older:
        file.write_text('an older one')
    with pytest.raises(DataError, match=rf'^{path} disagrees with the model at batch 1.*not kept'):
        export_model(models['reid'], path)
    assert sorted(tmp_path.iterdir()) == sorted(older)
    assert {file.read_text() for file in older} == {'an older one'}


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_a_full_disk_costs_nothing_that_was_there(models, tmp_path, suffix):
    path = tmp_path / f'model{suffix}'
    older = [path.with_suffix(end) for end in ('.xml', '.bin')] if suffix == '.xml' else [path]
    for file in older:
        file.write_text('an older one')
    # Of the last one no drawn image is too large, nor the graph in its own format on the way to another.
    for size, names in ((0, ''), (100_000, ''), (600_000, str(path))):
        with full_disk(size), pytest.raises(OSError) as found:
            export_model(models['reid'], path)
        assert found.value.errno == errno.EFBIG and names in user_line(found.value)
    assert sorted(tmp_path.iterdir()) == sorted(older)
    assert {file.read_text() for file in older} == {'an older one'}


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_damaged_files_are_refused(models, tmp_path, suffix):
    path = tmp_path / f'model{suffix}'
    export_model(models['reid'], path)
    images = np.zeros((1, 64, 32, 3), np.uint8)
    right, random = ExportedModel(path)(images)['embedding'], np.random.RandomState(0)
    for file in [path, path.with_suffix('.bin')] if suffix == '.xml' else [path]:
        content = file.read_bytes()
        # The beginning and the end, where a format has its tables, too.
        for place in [*random.randint(0, len(content), 16), *range(0, 40, 9), *range(-70, 0, 9)]:
            flipped = bytearray(content)
            flipped[place] ^= 1 << random.randint(8)
            file.write_bytes(flipped)
            # Names that are for nobody are not checked.
            try:
                found = ExportedModel(path)(images)['embedding']
            except DataError as e:
                assert str(path) in str(e)
            else:
                np.testing.assert_array_equal(found, right)
        file.write_bytes(content)


def test_weights_of_another_export_are_noticed(models, tmp_path):
    export_model(models['reid'], tmp_path / 'a.xml')
    other = copy.deepcopy(models['reid'])
    other.neck.fc.weight.data *= 1.01
    export_model(other, tmp_path / 'b.xml')
    (tmp_path / 'b.bin').replace(tmp_path / 'a.bin')
    with pytest.raises(DataError, match=r'a\.bin is damaged'):
        ExportedModel(tmp_path / 'a.xml')


def test_mistakes(models, tmp_path, crops, monkeypatch):
    model = models['reid']
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DataError, match=r'model\.txt in fp32: choose from \.onnx, \.xml, \.pt'):
        export_model(model, tmp_path / 'model.txt')
    with pytest.raises(DataError, match='int8 needs images to calibrate on'):
        export_model(model, tmp_path / 'model.onnx', 'int8')
    with pytest.raises(DataError, match='empty holds no image'):
        export_model(model, tmp_path / 'model.onnx', 'int8', images=tmp_path / 'empty')
    with pytest.raises(FileNotFoundError, match='no image or folder'):
        export_model(model, tmp_path / 'model.onnx', 'int8', images=tmp_path / 'missing')
    with pytest.raises(DataError, match='TorchScript in fp16 is not offered'):
        export_model(model, tmp_path / 'model.pt', 'fp16')
    with pytest.raises(DataError, match=r'--size 32 16: the test pipeline makes images of \(64, 32\)'):
        export_model(model, tmp_path / 'model.onnx', size=(32, 16))
    monkeypatch.setitem(sys.modules, 'onnx', None)
    for suffix, package in (('.onnx', 'onnxruntime'), ('.xml', 'openvino')):
        with pytest.raises(DataError, match=f"pip install .*'{package}>="):
            export_model(model, tmp_path / f'model{suffix}')
    assert [path.name for path in tmp_path.iterdir()] == ['empty']


def test_images_of_another_size(tmp_path, crops):
    write_person(tmp_path / 'crops' / 'other.jpg', 1, 40, 20)
    model = build_model(small_config(REID, pipeline=[]))
    with pytest.raises(DataError, match='--size HEIGHT WIDTH'):
        export_model(model, tmp_path / 'model.pt')
    with pytest.raises(DataError, match=r'other\.jpg is 40x20'):
        export_model(model, tmp_path / 'model.pt', size=(64, 32), images=tmp_path / 'crops')
    # Without a transform that reads files images are RGB in the data set's memory.
    export_model(model, tmp_path / 'model.pt', size=(64, 32), images=crops)
    assert ExportedModel(tmp_path / 'model.pt').description.channel_order == 'BGR'


def test_files_that_are_not_ours(tmp_path, models):
    with pytest.raises(FileNotFoundError, match='no exported model'):
        ExportedModel(tmp_path / 'gone.onnx')
    with pytest.raises(DataError, match='name a file that ends in'):
        ExportedModel(tmp_path / 'gone.txt')
    torch.jit.script(torch.nn.ReLU()).save(str(tmp_path / 'foreign.pt'))
    with pytest.raises(DataError, match=r'foreign\.pt has no metadata of mmosnet'):
        ExportedModel(tmp_path / 'foreign.pt')
    export_model(models['reid'], tmp_path / 'model.pt')
    with pytest.raises(DataError, match=r'give \(N, 64, 32, 3\) uint8'):
        ExportedModel(tmp_path / 'model.pt')(np.zeros((1, 64, 32, 3), np.float32))
