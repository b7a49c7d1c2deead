import sys

import pytest

from mmosnet.export import ExportedModel
from mmosnet.export import export as model_export
from tests.apis.small_models import ATTRIBUTE_NAMES, CLASSES, JOINT, REID, small_checkpoint, small_config
from tests.cli.command import outcome
from tests.conftest import write_market


@pytest.fixture
def export(tmp_path, monkeypatch, capsys):
    """The command in this process, in a folder with models and a data set: gives output or error."""
    for name, head in dict(joint=JOINT, reid=REID).items():
        small_config(head).dump(tmp_path / f'{name}.py')
        small_checkpoint(tmp_path / f'{name}.pth', head, attributes=ATTRIBUTE_NAMES, classes=CLASSES)
    write_market(tmp_path / 'market')
    monkeypatch.chdir(tmp_path)

    return lambda *arguments: outcome(capsys, 'export', *arguments)


def test_a_table_and_scores(export, tmp_path):
    options = ('--test', '--images', 'market/query', '--cfg-options', 'test_dataloader.dataset.data_root=market')
    output = export('reid.py', 'reid.pth', '--with-preprocess', *options)
    rows = {line.split('  ')[0]: line for line in output.splitlines()}
    assert 'work_dirs/reid/reid.onnx' in rows['file'] and ' MB, fp32' in rows['file']
    assert '(N, 64, 32, 3) uint8, not normalized, BGR' in rows['input']
    assert 'Resize(width=32, height=64, keep_ratio=False, interpolation=bilinear, backend=cv2)' in rows['images']
    assert len(rows['weights'].split()[-1]) == 16
    assert {'batch 1', 'batch 2', 'batch 7', 'batch 32'} <= rows.keys() and 'ms per image, PyTorch' in output
    assert '+0.0000' in rows['reid/mAP']
    assert 'Warning' not in output
    assert ExportedModel('work_dirs/reid/reid.onnx').description.with_preprocess


def test_options(export):
    output = export(
        'joint.py', 'joint.pth', '--format', 'torchscript', '--out', 'new/a.pt', '--l2-normalize', '--no-timing'
    )
    assert 'embedding of length 1, attributes, category' in output and 'ms per image' not in output
    assert ExportedModel('new/a.pt').description.l2_normalized


def test_a_file_that_disagrees(export, tmp_path, monkeypatch):
    write = model_export.WRITERS['.pt']

    def tamper(exportable, path, calibration):
        exportable.model.neck.fc.weight.mul_(1.001)
        write(exportable, path, calibration)

    monkeypatch.setitem(model_export.WRITERS, '.pt', tamper)
    error = export('reid.py', 'reid.pth', '--format', 'torchscript', '--out', 'a.pt')
    assert error.startswith('error: a.pt disagrees with the model') and not (tmp_path / 'a.pt').exists()
    assert not list(tmp_path.glob('.export*'))


def test_mistakes_get_a_message(export, monkeypatch):
    model = ('reid.py', 'reid.pth')
    assert export(*model, '--int8').startswith('error: int8 needs images')
    assert 'market/none' in export(*model, '--int8', '--images', 'market/none')
    assert export(*model, '--out', 'a.pt') == 'error: --out a.pt: a file of --format onnx ends in .onnx'
    assert export('reid.py', 'no.pth').startswith('error: no checkpoint no.pth')
    assert 'does not fit the model' in export('reid.py', 'reid.pth', '--cfg-options', 'model.backbone.widen_factor=0.5')
    assert 'reid.py has no released weights' in export('reid.py', 'released')
    assert export(*model, '--format', 'tflite') == 2
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    assert "pip install 'onnx>=1.16' 'onnxruntime>=1.18'" in export(*model)
