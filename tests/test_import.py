"""``import mmosnet`` is cheap, changes nothing in other packages, and makes plain ``OSNet`` known everywhere."""

import subprocess
import sys
from pathlib import Path

import pytest

import mmosnet
from mmosnet.lazy_import import public_names

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
# The head of programs: what is imported, and OSNet built in the registry of a toolbox that mmosnet does not know.
HEAD = """
import sys
STACK = ('torch', 'mmengine', 'mmcv', 'mmpretrain')
def imported(*names):
    return [name for name in names or STACK if name in sys.modules]
def build(scope=None, **options):
    from mmengine.registry import MODELS, DefaultScope, Registry
    if scope == 'toolbox' and 'toolbox' not in MODELS.children:
        Registry('model', parent=MODELS, scope='toolbox')
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(dict(dict(type='OSNet', widen_factor=0.25), **options))
    assert type(model) is __import__('mmosnet').OSNet
"""
# In a toolbox's scope mmengine looks for its module.
TOOLBOX = """
from types import ModuleType
sys.modules['toolbox'] = ModuleType('toolbox')
sys.modules['toolbox.registry'] = ModuleType('toolbox.registry')
"""
ORDERS = {
    'mmosnet before mmengine': """
import mmosnet
assert not imported()
import mmengine
assert not imported('torch', 'mmcv', 'mmpretrain')
""",
    'mmosnet before what imports mmengine in the middle of its own import': 'import mmosnet, mmcv.cnn, mmengine.runner',
    'mmosnet after mmengine': 'import mmengine.model, mmosnet',
    'mmosnet by a config': """
from mmengine.config import Config
Config.fromstring("custom_imports = dict(imports=['mmosnet'])", '.py')
""",
}


def run(program: str, *options: str) -> str:
    """Run a program in a process of its own; what it prints."""
    result = subprocess.run([sys.executable, *options, '-c', HEAD + program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


@pytest.mark.parametrize('order', ORDERS)
def test_plain_osnet_is_known_and_needs_no_mmpretrain(order):
    run(f"""
{ORDERS[order]}
{TOOLBOX}
build()
build('toolbox')
build('mmengine')
assert not imported('mmpretrain')
build('mmpretrain')
build('mmosnet')
build(type='mmosnet.OSNet')
from mmpretrain import get_model, list_models
assert 'osnet-x1.0_reid-market1501' in list_models('osnet*')
get_model('osnet-x0.25_reid-market1501')
""")


def test_mmpretrain_before_mmosnet():
    run("""
import mmpretrain, mmosnet
build('mmpretrain')
mmpretrain.get_model('osnet-x0.25_reid-market1501')
""")


def test_a_reload_registers_nothing_twice():
    run("""
import importlib, mmosnet
from mmengine.registry import MODELS
importlib.reload(mmosnet)
build()
importlib.reload(mmosnet)
assert MODELS.get('OSNet') is mmosnet.OSNet
""")


def test_nothing_is_replaced_by_the_backbone():
    run("""
import mmcv.cnn, mmcv.transforms, mmengine.runner, torch
from mmengine.hooks import CheckpointHook as Hook
from mmengine.registry import Registry
from mmengine.runner import CheckpointLoader

def state():
    modules = [mmengine.runner, mmengine.runner.checkpoint, mmengine.runner.runner, mmengine.registry, Hook]
    found = {(str(m), name): value for m in modules for name, value in vars(m).items()}
    found |= {('loader', name): value for name, value in vars(CheckpointLoader).items() if name != '_schemes'}
    found |= {('schemes', name): value for name, value in CheckpointLoader._schemes.items()}
    registries = [r for r in vars(mmengine.registry).values() if isinstance(r, Registry)]
    found |= {(r.name, name): value for r in registries for name, value in r.module_dict.items()}
    found |= {('children of ' + r.name, name): value for r in registries for name, value in r.children.items()}
    return found

before, allowed = state(), list(torch.serialization.get_safe_globals())
import mmosnet
build()
after = state()
new = set(after) - set(before)
assert new == {('model', 'OSNet'), ('schemes', 'torchreid://'), ('schemes', 'mmosnet://')}, new
assert all(after[name] is value for name, value in before.items())
assert torch.serialization.get_safe_globals() == allowed

# Nor by all that is registered, once mmpretrain is there.
import mmpretrain.models, mmpretrain.engine, mmpretrain.datasets, mmpretrain.evaluation
before = state()
from mmosnet import *
changed = {name for name, value in state().items() if before.get(name) is not value}
assert not changed, changed
mmosnet.install_safe_checkpoints()
assert state() != before
""")


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmosnet'])
def test_a_config_of_ours_runs_without_warnings(tmp_path, scope):
    out = run(
        f"""
from mmengine.config import Config
from mmengine.runner import Runner
cfg = Config.fromfile({str(CONFIGS / 'osnet_reid_synthetic.py')!r})
cfg.default_scope, cfg.work_dir = {scope!r}, {str(tmp_path)!r}
runner = Runner.from_cfg(cfg)
# Whichever program trains it, safe loading comes before anything is loaded.
from mmengine.runner import CheckpointLoader
hook = next(hook for hook in runner.hooks if type(hook).__name__ == 'CheckpointHook')
before = CheckpointLoader.load_checkpoint
hook.before_run(runner)
assert CheckpointLoader.load_checkpoint is not before
""",
        '-Werror',
        '-Wignore::DeprecationWarning',
        '-Wignore::ResourceWarning',
    )
    assert 'Warning' not in out and 'WARNING' not in out, out


def test_modules_without_torch_import_none_of_the_stack():
    run("""
import importlib, pkgutil, mmosnet
packages = [importlib.import_module(f'mmosnet.{name}') for name in mmosnet.WITHOUT_TORCH]
names = [package.__name__ for package in packages]
for package in packages:
    names += [m.name for m in pkgutil.walk_packages(getattr(package, '__path__', []), package.__name__ + '.')]
assert len(names) > 20
# A threshold is calibrated where models are trained.
for name in set(names) - {'mmosnet.gallery.calibration'}:
    importlib.import_module(name)
    assert not imported(), f'{name} imports {imported()}'
""")


def test_public_names_are_there_once_and_lead_to_what_they_say():
    names = public_names('mmosnet')
    packages = ('datasets', 'engine', 'evaluation', 'models', 'synthetic')
    singles = ['allow_package_bases', 'AppearanceTracker', 'Embedder', 'People', 'Sighting']
    assert len(names) == len(singles) + sum(len(public_names(f'mmosnet.{p}')) for p in packages)
    assert len(mmosnet.__all__) == len(set(mmosnet.__all__))
    assert {'OSNet', 'ReIDMetric', 'install_safe_checkpoints'} <= names.keys()
    assert set(names) == set(mmosnet.__all__) - {'__version__'} and set(names) <= set(dir(mmosnet))
    for name, module in names.items():
        assert getattr(mmosnet, name) is getattr(sys.modules[module], name)
    with pytest.raises(AttributeError, match='OSNett'):
        mmosnet.OSNett  # noqa: B018
