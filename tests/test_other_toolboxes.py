"""The configs for other OpenMMLab toolboxes.

mmdet and mmpose are no requirement of the tests: without them the backbone is built in their scope and the numbers of
neck and head are held against its maps; where they are installed, the whole model is built too. mmpretrain's config
runs through mmpretrain's own tools.
"""

import json
import math
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import mmpretrain
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmosnet  # noqa: F401
from mmosnet.models import OSNet
from tests.cli.warm_process import WarmProcess
from tests.conftest import write_person

CONFIGS = sorted((Path(__file__).resolve().parents[1] / 'configs' / 'other_toolboxes').glob('*.py'))
TOOLS = Path(mmpretrain.__file__).parent / '.mim' / 'tools'
# Height and width, multiples of the coarsest stride.
SIZE = (256, 128)


def scope_of(path: Path) -> str:
    return path.stem.split('_')[0]


def build_backbone(cfg: Config) -> OSNet:
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(cfg.model.backbone)


def maps_of(cfg: Config) -> tuple[list[int], list[int]]:
    """Channels and strides of the backbone's maps."""
    maps = build_backbone(cfg).eval()(torch.rand(1, 3, *SIZE))
    strides = [SIZE[0] // feature_map.shape[2] for feature_map in maps]
    assert strides == [SIZE[1] // feature_map.shape[3] for feature_map in maps]
    return [feature_map.shape[1] for feature_map in maps], strides


def test_every_toolbox_has_a_config():
    assert {scope_of(path) for path in CONFIGS} == {'mmpretrain', 'mmdet', 'mmpose'}


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_is_complete(path, tmp_path):
    cfg = Config.fromfile(path)
    assert cfg.default_scope == scope_of(path)
    assert cfg.custom_imports == dict(imports=['mmosnet'])
    assert cfg.model.backbone.type == 'OSNet'
    assert f'python tools/train.py configs/other_toolboxes/{path.name}' in path.read_text()
    # A dump is a config again, the same one.
    cfg.dump(tmp_path / 'dump.py')
    assert Config.fromfile(tmp_path / 'dump.py').to_dict() == cfg.to_dict()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_backbone_builds_in_the_scope_of_the_toolbox(path):
    backbone = build_backbone(Config.fromfile(path))
    assert isinstance(backbone, OSNet)
    # Otherwise distributed training would wait for a gradient that never comes.
    backbone.requires_grad_()
    sum(feature_map.square().mean() for feature_map in backbone(torch.rand(2, 3, 64, 64))).backward()
    assert [name for name, parameter in backbone.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_images_are_normalized_as_in_pretraining(path):
    preprocessor = Config.fromfile(path).model.data_preprocessor
    assert (preprocessor.mean, preprocessor.std) == ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
    # OpenMMLab reads images as BGR.
    assert preprocessor.get('bgr_to_rgb', False) or preprocessor.get('to_rgb', False)


@pytest.mark.parametrize('path', [p for p in CONFIGS if 'fpn' in p.stem], ids=lambda path: path.stem)
def test_pyramid_fits(path):
    cfg = Config.fromfile(path)
    channels, strides = maps_of(cfg)
    neck = cfg.model.neck
    assert neck.in_channels == channels == [256, 384, 512]
    assert strides == [4, 8, 16]
    # From start_level on the maps themselves, then each level half as fine as the one before.
    levels = strides[neck.get('start_level', 0) :]
    levels += [levels[-1] * 2**step for step in range(1, neck.num_outs - len(levels) + 1)]
    head = cfg.model.get('rpn_head') or cfg.model.bbox_head
    assert head.anchor_generator.strides == levels
    assert head.in_channels == neck.out_channels
    if 'roi_head' in cfg.model:
        extractor = cfg.model.roi_head.bbox_roi_extractor
        assert extractor.featmap_strides == levels[: len(extractor.featmap_strides)]
        assert extractor.out_channels == cfg.model.roi_head.bbox_head.in_channels == neck.out_channels


@pytest.mark.parametrize('path', [p for p in CONFIGS if 'fpn' not in p.stem], ids=lambda path: path.stem)
def test_head_fits(path):
    cfg = Config.fromfile(path)
    channels, strides = maps_of(cfg)
    head = cfg.model.head
    assert (channels, strides) == ([512], [16])
    assert head.in_channels == 512
    if 'deconv_out_channels' not in head:
        assert cfg.model.neck.type == 'GlobalAveragePooling'
        return
    # Every deconvolution halves the stride; sizes are (width, height).
    stride = strides[0] // 2 ** len(head.deconv_out_channels)
    assert tuple(head.decoder.heatmap_size) == tuple(side // stride for side in head.decoder.input_size)
    assert len(head.deconv_kernel_sizes) == len(head.deconv_out_channels)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_whole_model_builds_where_the_toolbox_is_installed(path):
    scope = scope_of(path)
    try:
        import_module(f'{scope}.models')
    except (ImportError, AssertionError) as error:  # an assertion where its window of mmcv versions is missed
        pytest.skip(f'{scope} is not usable here, and no requirement of the tests: {error}')
    cfg = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope(scope):
        model = import_module(f'{scope}.registry').MODELS.build(cfg.model)
        assert isinstance(model.backbone, OSNet)
        with torch.no_grad():
            levels = model.eval().extract_feat(torch.rand(1, 3, *SIZE))
    if 'fpn' in path.stem:
        head = cfg.model.get('rpn_head') or cfg.model.bbox_head
        assert [SIZE[0] // level.shape[2] for level in levels] == head.anchor_generator.strides


class Classification:
    """A folder with drawn images of two categories, in which mmpretrain's tools run."""

    options = (
        'model.head.num_classes=2',
        'train_dataloader.batch_size=4',
        'train_dataloader.dataset.pipeline.1.scale=64',
        'train_cfg.max_epochs=1',
        'default_hooks.logger.interval=1',
        *(
            f'{loader}_dataloader.{option}'
            for loader in ('train', 'val', 'test')
            for option in ('num_workers=0', 'persistent_workers=False', 'pin_memory=False')
        ),
        *(
            f'{loader}_dataloader.dataset.pipeline.{option}'
            for loader in ('val', 'test')
            for option in ('1.scale=64', '2.crop_size=64')
        ),
    )

    def __init__(self, folder: Path, warm_process: WarmProcess) -> None:
        self.folder = folder
        self.warm_process = warm_process
        for split, images in (('train', 4), ('val', 2)):
            for label, category in enumerate(('cat', 'dog')):
                for image in range(images):
                    path = folder / 'data' / 'classification' / split / category / f'{split}_{label}_{image}.jpg'
                    write_person(path, label, height=64, width=64)

    def run(self, tool: str, *arguments: str, fresh: bool = False) -> str:
        """Run a tool; in a fresh process mmosnet is imported by the config alone."""
        config = next(str(path) for path in CONFIGS if scope_of(path) == 'mmpretrain')
        command = [str(TOOLS / tool), config, *arguments, '--cfg-options', *self.options]
        if fresh:
            command = [sys.executable, *command]
            result = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=240)
        else:
            result = self.warm_process.run(command, self.folder)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout + result.stderr


def test_mmpretrains_own_tools_train_and_test(tmp_path, warm_process):
    work = Classification(tmp_path, warm_process)
    work.run('train.py', '--work-dir', 'work', fresh=True)
    (scalars,) = (tmp_path / 'work').glob('*/vis_data/scalars.json')
    records = [json.loads(line) for line in scalars.read_text().splitlines()]
    losses = [record['loss'] for record in records if 'loss' in record]
    assert len(losses) == 2 and all(map(math.isfinite, losses))
    (accuracy,) = (record['accuracy/top1'] for record in records if 'accuracy/top1' in record)
    assert 0 <= accuracy <= 100

    # mmengine's training checkpoint, which torch alone would refuse.
    work.run('test.py', 'work/epoch_1.pth', '--work-dir', 'test', '--out', 'scores.json', '--out-item', 'metrics')
    assert json.loads((tmp_path / 'scores.json').read_text())['accuracy/top1'] == accuracy
