"""The runtime in an environment of NumPy, OpenCV, Pillow, ONNX Runtime, their requirements and mmosnet alone."""

import json
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image

import mmosnet
from mmosnet.apis import PersonInferencer
from mmosnet.export import export_model
from mmosnet.models.build import load_model
from tests.apis.small_models import ATTRIBUTE_NAMES, CLASSES, JOINT, small_checkpoint, small_config
from tests.conftest import write_person

# Finds packages of these names in these folders, and mmosnet. Python itself finds its own library.
HEAD = """
import sys
from importlib.machinery import PathFinder
class Installed:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, {folders}) if path is None and name in {names} else None
sys.meta_path.append(Installed)
"""


def distributions():
    """Return the packages of a device: those that it installs, and their requirements."""
    known = packages_distributions()
    found, left = {}, [known['cv2'][0], 'numpy', 'pillow', *known.get('simplejpeg', ()), 'onnxruntime']
    while left:
        name = left.pop()
        if name not in found:
            found[name] = distribution(name)
            requirements = map(Requirement, found[name].requires or [])
            left += [r.name for r in requirements if r.marker is None or r.marker.evaluate({'extra': ''})]
    return found.values()


@pytest.fixture(scope='module')
def device():
    """Return a function that runs a program in an environment of these packages alone."""
    found = distributions()
    names = {file.parts[0].partition('.')[0] for one in found for file in one.files}
    folders = {str(one.locate_file('')) for one in found} | {str(Path(mmosnet.__file__).parents[1])}
    head = HEAD.format(folders=sorted(folders), names=names | {'mmosnet'})

    def run(program):
        return subprocess.run([sys.executable, '-I', '-S', '-c', head + program], capture_output=True, text=True)

    return run


def test_embeddings_are_those_of_the_trained_model(device, tmp_path):
    checkpoint = small_checkpoint(tmp_path / 'joint.pth', JOINT, attributes=ATTRIBUTE_NAMES, classes=CLASSES)
    model = load_model(small_config(JOINT), checkpoint, testing=True)
    export_model(model, tmp_path / 'model.onnx')
    crops = []
    for number, size in enumerate([(100, 40), (64, 32), (31, 17)]):
        crops.append(str(tmp_path / f'{number}.jpg'))
        write_person(Path(crops[-1]), number, *size)
    crops.append(f'{crops[0]}#xywh=3,5,30,80')
    # Turned by its EXIF data, and of 16 bits.
    exif = Image.Exif()
    exif[0x0112] = 6
    crops += [str(tmp_path / name) for name in ('turned.jpg', 'deep.png')]
    with Image.open(crops[0]) as crop:
        crop.save(crops[-2], exif=exif)
        Image.fromarray(np.asarray(crop.convert('L')).astype(np.uint16) << 8).save(crops[-1])
    crops.append(f'{crops[-2]}#xywh=5,3,80,30')
    right = PersonInferencer(model)(crops)

    result = device(f"""
import json
from mmosnet.runtime import ExportedModel
model = ExportedModel({str(tmp_path / 'model.onnx')!r})
found = model.predict({crops!r}, batch_size=3)
names = sorted(name for name in sys.modules if '.' not in name)
attributes = list(model.description.attributes)
print(json.dumps(dict(found={{k: v.tolist() for k, v in found.items()}}, names=names, attributes=attributes)))
""")
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    np.testing.assert_allclose(said['found']['embedding'], [r['embedding'] for r in right], atol=1e-4, rtol=0)
    scores = [list(r['attributes'].values()) for r in right]
    np.testing.assert_allclose(said['found']['attributes'], scores, atol=1e-4, rtol=0)
    assert said['attributes'] == ATTRIBUTE_NAMES
    absent = {'torch', 'torchvision', 'mmengine', 'mmcv', 'mmpretrain', 'scipy', 'pycocotools'}
    assert not absent & set(said['names'])


def test_what_there_is_and_what_there_is_not(device, tmp_path):
    (tmp_path / 'model.pt').touch()
    result = device(f"""
import mmosnet
from mmosnet import errors, runtime
assert mmosnet.__version__ and mmosnet.runtime is runtime and not hasattr(mmosnet, '__wrapped__')
for name in ('OSNet', 'apis'):
    try:
        getattr(mmosnet, name)
    except ImportError as e:
        print(e)
try:
    from mmosnet import OSNet
except ImportError as e:
    print(e)
try:
    runtime.ExportedModel({str(tmp_path / 'model.pt')!r})
except errors.DataError as e:
    print(e)
""")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith('mmosnet.OSNet needs torch, which is not installed: pip install torch')
    assert lines[1].startswith('mmosnet.apis needs torch') and lines[2] == lines[0]
    assert lines[3].endswith('without it run models exported to ONNX')


def test_a_broken_torch_is_not_taken_for_none(device, tmp_path):
    (tmp_path / 'torch.py').write_text('raise OSError("libtorch.so: cannot open shared object file")')
    result = device(f'sys.path.insert(0, {str(tmp_path)!r})\nimport mmosnet\nmmosnet.OSNet')
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == 'OSError: libtorch.so: cannot open shared object file'
