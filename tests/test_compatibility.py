"""Supported versions; model index, configs and READMEs agree; configs are known by name, from any folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import mmpretrain
import pytest
import torch
import yaml
from mmengine.config import Config

import mmosnet  # noqa: F401
from mmosnet import compatibility
from mmosnet.errors import DataError
from mmosnet.models.build import build_model, find_config, find_trained
from mmosnet.models.torchreid import RELEASED_FILES
from mmosnet.models.weights import embedded_names
from tests.models.hook_counts import count_by_hooks


@pytest.mark.parametrize(
    ('version', 'release'),
    [('2.15.0+cu132', (2, 15, 0)), ('0.10.7', (0, 10, 7)), ('3.0.0rc1', (3, 0, 0)), ('1.2', (1, 2))],
)
def test_release_reads_the_numbers(version, release):
    assert compatibility._release(version) == release


def test_version_outside_the_window_names_what_to_install(monkeypatch):
    monkeypatch.setattr(compatibility, '_version_of', lambda name: '1.7.2')
    with pytest.raises(ImportError, match=r'mmcv>=2.0.0,<2.4.0 .*1.7.2.*pip install .*lite.*onedl'):
        compatibility.check_versions('mmcv')


@pytest.mark.parametrize('name', compatibility.SUPPORTED_VERSIONS)
def test_versions_are_those_of_the_modules(name):
    version = compatibility._version_of(name)
    assert version.partition('+')[0] == import_module(name).__version__.partition('+')[0]


def test_import_without_mmcv_names_what_to_install():
    # A finder that hides mmcv stands for an environment without it.
    program = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'mmcv':
            raise ModuleNotFoundError(name)
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == 'mmcv' else find_spec(name, *a)
sys.meta_path.insert(0, Hidden())
import mmosnet
mmosnet.OSNet
"""
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert 'mmosnet needs mmcv>=2.0.0' in last
    assert 'mmcv-lite' in last and 'onedl' in last


ROOT = Path(__file__).resolve().parents[1]
INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
MODELS = [model for path in INDEX for model in yaml.safe_load((ROOT / path).read_text())['Models']]
NAMES = [model['Name'] for model in MODELS]
# Height and width by parts of the names, the first that is there.
IMAGE_SIZES = {
    'cls-synthetic': (64, 64),
    'synthetic': (128, 64),
    'cls-cifar': (32, 32),
    'cls-': (224, 224),
    '': (256, 128),
}


@lru_cache
def counted(network: str, image_size: tuple[int, int]) -> tuple[int, int]:
    """Parameters and mult-adds of a backbone and a neck, each counted once: most recipes share them.

    The figures come from ``count_complexity``, which models/test_complexity.py compares with these counts.
    """
    model = dict(type='ImageClassifier', **json.loads(network))
    count = count_by_hooks(build_model(Config(dict(default_scope='mmpretrain', model=model))), *image_size)
    return count.parameters, count.mult_adds


def published(model: dict) -> str | None:
    """A model's Rank-1 and mAP as the READMEs write them."""
    if 'Results' not in model:
        return None
    metrics = model['Results'][0]['Metrics']
    return f'{metrics["Rank-1"]} / {metrics["mAP"]}' if 'mAP' in metrics else f'{metrics["Rank-1"]} (Rank-1)'


def test_every_config_is_in_the_index_once():
    configs = [
        path.relative_to(ROOT) for folder in ('', 'ablation') for path in (ROOT / 'configs' / folder).glob('*.py')
    ]
    assert sorted(model['Config'] for model in MODELS) == sorted(map(str, configs))
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize('model', MODELS, ids=NAMES)
def test_sizes_are_those_of_the_built_model(model):
    cfg = Config.fromfile(ROOT / model['Config'])
    image_size = next(size for part, size in IMAGE_SIZES.items() if part in model['Name'])
    sizes = (model['Metadata']['Parameters'], model['Metadata']['FLOPs'])
    network = {part: cfg.model[part].to_dict() for part in ('backbone', 'neck')}
    assert counted(json.dumps(network, sort_keys=True), image_size) == sizes


def row_and_docstring(model: dict) -> tuple[str, str]:
    """The two places where users read about a config."""
    path = ROOT / model['Config']
    readme = (path.parent / 'README.md').read_text()
    (row,) = (line for line in readme.splitlines() if line.startswith(f'| `{path.name}`'))
    return row, ' '.join(path.read_text().split('"""')[1].split())


OTHER_TASKS = [model for model in MODELS if any(part in model['Name'] for part in ('_cls-', '_attr-', '_multitask-'))]


@pytest.mark.parametrize('model', OTHER_TASKS, ids=lambda model: model['Name'])
def test_other_tasks_have_the_same_numbers_everywhere(model):
    row, docstring = row_and_docstring(model)
    assert f'`{model["Name"]}`' in row
    metrics = model['Results'][0]['Metrics'] if 'Results' in model else {}
    assert bool(metrics) == ('as reported' in docstring or 'Measured' in docstring)
    for name, value in metrics.items():
        # Measured by us: shares, not percentages, but for mmpretrain's accuracy.
        percent = 'as reported' in docstring or 'Top' in name
        figure = f'{name.replace("Top 1 Accuracy", "top-1")} {value if percent else f"{value / 100:.3f}"}'
        assert figure in row, figure
        assert figure in docstring, figure


@pytest.mark.parametrize(
    'model', [model for model in MODELS if model not in OTHER_TASKS], ids=lambda model: model['Name']
)
def test_readme_and_docstring_have_the_same_numbers(model):
    row, docstring = row_and_docstring(model)
    if 'ablation' in model['Config']:
        assert f'| {model["Metadata"]["Parameters"]:,} | {model["Metadata"]["FLOPs"] / 1e6:.1f} M |' in row
    else:
        assert f'`{model["Name"]}`' in row
        assert row.endswith('* |') == ('Weights' in model)
    if published(model) is None:
        assert '| - |' in row and 'Rank-1' not in docstring
        return
    metrics = model['Results'][0]['Metrics']
    rank, score = metrics['Rank-1'], metrics.get('mAP')
    if 'as reported' in docstring:
        assert published(model) in row
        assert f'Rank-1 {rank}' + (f', mAP {score}' if score else '.') in docstring
    else:
        # Measured by us: shares, not percentages.
        for text in (row, docstring):
            assert re.search(rf'mAP {float(score) / 100:.3f}, Rank-1 {float(rank) / 100:.3f}', text)


@pytest.mark.parametrize('model', [model for model in MODELS if 'Weights' in model], ids=lambda model: model['Name'])
def test_weights_are_released_ones_of_this_network(model):
    scheme, name = model['Weights'].split('://')
    assert name in dict(torchreid=RELEASED_FILES, mmosnet=embedded_names())[scheme]
    backbone = Config.fromfile(ROOT / model['Config']).model.backbone
    width = str(backbone.widen_factor).replace('.', '_')
    arch = backbone.get('arch', 'osnet')
    assert name.startswith((f'{arch}_x{width}_', f'{arch}_ms_', f'{arch}_d_m_c'))


# amsgrad_ep150_stp60_lr0.0015_b64_fb10 ..., or coslr in place of the step.
RECIPE = re.compile(r'amsgrad_ep(\d+)(?:_stp(\d+))?_lr([\d.]+)(_coslr)?_b(\d+)_fb(\d+)_softmax_\w+_flip(_jitter)?\.pth')
WITH_RECIPE = {
    model['Name']: (model, match)
    for model in MODELS
    if (name := model.get('Weights', '').removeprefix('torchreid://')) in RELEASED_FILES
    and (match := RECIPE.search(RELEASED_FILES[name]))
}


@pytest.mark.parametrize('name', WITH_RECIPE)
def test_recipe_is_the_one_in_the_released_files_name(name):
    model, recipe = WITH_RECIPE[name]
    cfg = Config.fromfile(ROOT / model['Config'])
    (schedule,) = [cfg.param_scheduler] if isinstance(cfg.param_scheduler, dict) else cfg.param_scheduler
    epochs, step, rate, cosine, batch, frozen, jitter = recipe.groups()
    assert cfg.train_cfg.max_epochs == schedule.end == int(epochs)
    if cosine:
        assert (schedule.type, schedule.T_max, schedule.eta_min) == ('CosineAnnealingLR', int(epochs), 0)
    else:
        assert (schedule.type, schedule.step_size, schedule.gamma) == ('StepLR', int(step), 0.1)
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.amsgrad, optimizer.lr) == ('Adam', True, float(rate))
    assert cfg.train_dataloader.batch_size == int(batch)
    assert [hook.num_epochs for hook in cfg.custom_hooks if hook.type == 'mmosnet.BaseFreezeHook'] == [int(frozen)]
    transforms = {transform.type.rpartition('.')[2] for transform in cfg.train_dataloader.dataset.pipeline}
    assert 'RandomFlip' in transforms and ('ColorJitter' in transforms) == bool(jitter)
    assert not transforms & {'RandomErasing', 'RandomPatch', 'Random2DTranslation'}


def test_every_name_with_a_recipe_was_compared():
    # Four widths on Market-1501, MSMT17 and all of MSMT17; x1.0 on Duke; IBN and AIN on three.
    assert len(WITH_RECIPE) == 3 * 4 + 1 + 2 * 3
    assert len([model for model in MODELS if model.get('Weights', '').endswith(('_m_c', '_d_c', '_d_m'))]) == 8


def test_mmpretrain_knows_the_models():
    assert set(mmpretrain.list_models('osnet*')) == set(NAMES)
    model = mmpretrain.get_model('osnet-x0.25_reid-market1501').eval()
    with torch.no_grad():
        assert model(torch.rand(1, 3, 64, 32)).shape == (1, 512)


def test_pretrained_model_takes_the_released_weights(tmp_path, monkeypatch):
    from tests.models.test_torchreid import released_state

    monkeypatch.setenv('MMOSNET_WEIGHTS', str(tmp_path))
    released = released_state()
    torch.save(released, tmp_path / RELEASED_FILES['osnet_x0_25_market1501'])
    model = mmpretrain.get_model('osnet-x0.25_reid-market1501', pretrained=True)
    assert torch.equal(model.backbone.final_conv.conv.weight, released['conv5.conv.weight'])


# What a user's program does: import mmosnet, then read a config by mmengine alone.
READ = """
import sys
import mmosnet
from mmengine.config import Config
mmosnet.allow_package_bases()
print(Config.fromfile(sys.argv[1]).model.backbone.type)
"""


def test_names_of_configs_and_models_stand_for_files():
    file = compatibility.config_files()['osnet_reid_market']
    for name in (
        'osnet_reid_market',
        'osnet_reid_market.py',
        'osnet-x1.0_reid-market1501',
        'mmosnet::osnet_reid_market',
    ):
        assert compatibility.find_config_file(name) == file
    assert compatibility.find_config_file('_base_/models/osnet_reid.py').is_file()
    assert compatibility.find_config_file('osnet_reid_markt') is None
    assert (
        compatibility.find_config_file('../setup') is None
        and compatibility.find_config_file('_base_/../../setup.cfg') is None
    )
    assert 'osnet_reid_market' in compatibility.nearest_names('osnet_reid_markt')
    # A name leads to one file.
    files = [file for file in compatibility.config_folder().rglob('*.py') if '_base_' not in file.parts]
    assert sorted(compatibility.config_files().values()) == sorted(files)


def test_a_file_goes_before_a_name_and_names_have_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg, weights = find_config('osnet_x0_25_reid_market')
    assert cfg.model.backbone.widen_factor == 0.25 and weights == 'torchreid://osnet_x0_25_market1501'
    assert find_trained('osnet-x0.25_reid-market1501', 'released')[1] == weights
    with pytest.raises(DataError, match='osnet_reid_folder has no released weights'):
        find_trained('osnet_reid_folder', 'released')
    Path('osnet_x0_25_reid_market.py').write_text("_base_ = 'mmosnet::osnet_reid_market.py'\n")
    cfg, weights = find_config('osnet_x0_25_reid_market.py')
    assert cfg.model.backbone.widen_factor == 1.0 and weights is None
    for name, kind in (('osnet_reid_markt', DataError), ('configs/osnet_reid_markt.py', FileNotFoundError)):
        with pytest.raises(kind, match='osnet_reid_market'):
            find_config(name)


@pytest.mark.parametrize(
    ('base', 'backbone'),
    [
        ('mmosnet::osnet_reid_market.py', 'OSNet'),
        ('mmosnet::osnet_reid_market', 'OSNet'),
        ('mmosnet::_base_/models/osnet_reid.py', 'OSNet'),
        ('mmpretrain::resnet/resnet18_8xb32_in1k.py', 'ResNet'),
    ],
)
def test_bases_without_a_clone(tmp_path, base, backbone):
    (tmp_path / 'mine.py').write_text(f'_base_ = {base!r}\n')
    done = subprocess.run([sys.executable, '-c', READ, 'mine.py'], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == (f'{backbone}\n', 0), done.stderr
    assert find_config(tmp_path / 'mine.py')[0].model.backbone.type == backbone


def test_a_base_is_the_file_itself(tmp_path):
    (tmp_path / 'mine.py').write_text("_base_ = 'mmosnet::osnet_reid_synthetic.py'\n")
    compatibility.allow_package_bases()
    original = Config.fromfile(compatibility.config_files()['osnet_reid_synthetic'])
    assert Config.fromfile(tmp_path / 'mine.py').to_dict() == original.to_dict()


@pytest.mark.parametrize(
    ('base', 'named'),
    [
        ('mmosnet::osnet_reid_markt.py', 'osnet_reid_market'),
        ('mmpretrain::resnet/none.py', 'resnet/none.py'),
    ],
)
def test_bases_that_are_not_there(tmp_path, base, named):
    (tmp_path / 'mine.py').write_text(f'_base_ = {base!r}\n')
    with pytest.raises(FileNotFoundError, match=named):
        find_config(tmp_path / 'mine.py')


@pytest.mark.parametrize(
    ('text', 'named'),
    [
        # What mmengine refuses stays refused.
        ("_base_ = 'elsewhere::a/b.py'", 'elsewhere'),
        ("_base_ = ['mmosnet::osnet_reid_market.py', 'mmosnet::osnet_reid_msmt17.py']", 'bases set .* and .* more'),
        ('model = dict(\n', 'mine.py, line 1'),
    ],
)
def test_mistakes_in_a_config_file_name_it(tmp_path, text, named):
    (tmp_path / 'mine.py').write_text(f'{text}\n')
    with pytest.raises(DataError, match=f'mine.py.*{named}' if 'mine.py' not in named else named):
        find_config(tmp_path / 'mine.py')
