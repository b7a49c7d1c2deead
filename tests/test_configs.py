from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS, EVALUATORS, METRICS, MODELS, TRANSFORMS

import mmosnet  # noqa: F401
from mmosnet.models.osnet import FUSIONS
from tests.conftest import write_market

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / 'configs').glob('*.py'))
# Their result is the mean over splits.
SPLIT_PROTOCOLS = (
    *('osnet_reid_cuhk03_classic', 'osnet_reid_viper', 'osnet_reid_grid'),
    *('osnet_video_reid_ilidsvid', 'osnet_video_reid_prid2011'),
)
EMBEDDING_HEADS = ('mmosnet.ReIDHead', 'mmosnet.TrackletHead')
ABLATION = sorted((ROOT / 'configs' / 'ablation').glob('*.py'))


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.mark.parametrize('path', CONFIGS + ABLATION, ids=lambda p: p.stem)
def test_config_builds(path, tmp_path):
    cfg = Config.fromfile(path)
    assert cfg.default_scope == 'mmpretrain' and cfg.custom_imports['imports'] == ['mmosnet.registry']
    text = path.read_text()
    command = 'train-splits' if path.stem in SPLIT_PROTOCOLS else 'train'
    assert f'mmosnet {command} {path.stem}' in text
    # A dump is a config again.
    cfg.dump(tmp_path / 'dump.py')
    cfg = Config.fromfile(tmp_path / 'dump.py')

    model = MODELS.build(cfg.model)
    model.init_weights()
    output = model.eval()(torch.randn(2, 3, 64, 32))
    heads = cfg.model.head.get('heads') or {'': cfg.model.head}
    outputs = output if isinstance(output, dict) else {'': output}
    assert {task: output.shape for task, output in outputs.items()} == {
        task: (2, 512 if head.type in EMBEDDING_HEADS else head.num_classes) for task, head in heads.items()
    }
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        for pipeline in pipelines(loader.dataset):
            for transform in pipeline:
                TRANSFORMS.build(transform)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        (EVALUATORS if 'metrics' in evaluator else METRICS).build(evaluator)


def pipelines(dataset):
    """Return the pipeline of a data set, or those of the data sets that it joins."""
    if 'datasets' in dataset:
        return [pipeline for joined in dataset.datasets.values() for pipeline in pipelines(joined)]
    return [dataset.pipeline]


def flat(pipeline):
    """Return the transforms of a pipeline, those of single frames too."""
    return [inner for transform in pipeline for inner in (transform, *transform.get('transforms', ()))]


def test_what_a_run_is_judged_by():
    for path in CONFIGS:
        cfg = Config.fromfile(path)
        (report,) = (hook for hook in cfg.custom_hooks if hook.type == 'mmosnet.ReportHook')
        task = path.stem.partition('_attr_' if '_attr_' in path.stem else '_cls_' if '_cls_' in path.stem else '_reid_')
        key = {'_attr_': 'attributes/mA', '_cls_': 'accuracy/top1'}.get(task[1], 'reid/mAP')
        assert report.key == cfg.default_hooks.checkpoint.save_best == key, path


@pytest.mark.parametrize('path', [p for p in CONFIGS if 'reid_market' in p.stem], ids=lambda p: p.stem)
def test_pipelines_run_on_the_data_set(path, tmp_path):
    cfg = Config.fromfile(path)
    root = str(write_market(tmp_path / 'market'))
    for loader, keys in ((cfg.train_dataloader, {'gt_label', 'pid'}), (cfg.test_dataloader, {'pid', 'camid', 'split'})):
        dataset = DATASETS.build(dict(loader.dataset, data_root=root))
        item = dataset[0]
        assert item['inputs'].shape == (3, 256, 128) and item['inputs'].dtype == torch.uint8
        assert keys <= set(item['data_samples'].keys()), item['data_samples']


# The released code: optimiser, rate, epochs, batch, frozen epochs.
RECIPES = {
    'osnet_reid_market': ('Adam', 0.0015, 150, 64, 10),
    'osnet_x0_75_reid_market': ('Adam', 0.0015, 150, 64, 10),
    'osnet_x0_5_reid_market': ('Adam', 0.003, 180, 128, 10),
    'osnet_x0_25_reid_market': ('Adam', 0.003, 180, 128, 10),
    'osnet_reid_market_cosine': ('Adam', 0.0015, 250, 64, 10),
    'osnet_reid_market_triplet': ('Adam', 0.0015, 250, 64, 10),
    'osnet_reid_market_scratch': ('SGD', 0.065, 350, 64, 0),
    'osnet_ibn_reid_market': ('Adam', 0.0015, 150, 64, 10),
    **{
        f'osnet_{variant}_reid_{sources}': ('Adam', 0.0015, 50, 64, 10)
        for variant in ('ibn', 'ain')
        for sources in ('d_m_c', 'ms_d_c', 'ms_d_m', 'ms_m_c')
    },
    'osnet_reid_duke': ('Adam', 0.0015, 150, 64, 10),
    'osnet_reid_msmt17': ('Adam', 0.0015, 150, 64, 10),
    'osnet_reid_msmt17_combineall': ('Adam', 0.0015, 150, 64, 10),
    'osnet_reid_cuhk03_detected': ('Adam', 0.0015, 250, 64, 10),
    'osnet_reid_cuhk03_detected_scratch': ('SGD', 0.065, 350, 64, 0),
    'osnet_reid_duke_scratch': ('SGD', 0.065, 350, 64, 0),
    'osnet_reid_msmt17_scratch': ('SGD', 0.065, 350, 64, 0),
    'osnet_ain_reid_market': ('Adam', 0.0015, 100, 64, 10),
    'osnet_ain_reid_duke': ('Adam', 0.0015, 90, 64, 10),
    'osnet_ain_reid_msmt17_combineall': ('Adam', 0.0015, 50, 64, 10),
}


@pytest.mark.parametrize('name', RECIPES)
def test_recipe_is_the_published_one(name):
    cfg = Config.fromfile(CONFIGS[0].parent / f'{name}.py')
    optimizer = cfg.optim_wrapper.optimizer
    frozen = [hook.num_epochs for hook in cfg.custom_hooks if hook.type == 'mmosnet.BaseFreezeHook']
    found = (optimizer.type, optimizer.lr, cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size, *(frozen or [0]))
    assert found == RECIPES[name]
    assert optimizer.weight_decay == 5e-4
    if name.split('_')[1] == 'ain' or name.endswith(('_m_c', '_d_c', '_d_m')):
        assert (cfg.param_scheduler.type, cfg.param_scheduler.T_max) == ('CosineAnnealingLR', RECIPES[name][2])
    assert cfg.auto_scale_lr.base_batch_size == cfg.train_dataloader.batch_size
    assert cfg.model.head.loss.label_smooth_val == 0.1
    assert bool(optimizer.get('amsgrad')) == (optimizer.type == 'Adam')
    if 'scratch' not in name:
        backbone = cfg.model.backbone
        width = str(backbone.widen_factor).replace('.', '_')
        assert cfg.load_from == f'torchreid://{backbone.get("arch", "osnet")}_x{width}_imagenet'


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_images_are_read_resized_and_erased_as_by_the_released_code(path):
    cfg = Config.fromfile(path)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        for transform in (transform for pipeline in pipelines(loader.dataset) for transform in flat(pipeline)):
            assert 'Resize' not in transform.type or transform.backend == 'pillow'
            assert not transform.type.startswith(('Load', 'RandomErasing')), 'not ours'


def test_cross_domain_recipes_jitter_colors_and_never_erase():
    distances = dict(osnet_ibn_reid_market='euclidean', osnet_ain_reid_market='cosine', osnet_ibn_reid_d_m_c='cosine')
    for name, distance in distances.items():
        cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
        transforms = [transform.type for transform in cfg.train_dataloader.dataset.pipeline]
        assert 'ColorJitter' in transforms
        assert not {'mmosnet.RandomErasing', 'mmosnet.RandomPatch'} & set(transforms)
        assert cfg.val_evaluator.distance == cfg.test_evaluator.distance == distance


def test_ablations_differ_from_the_scratch_recipe_in_the_backbone_alone():
    base = Config.fromfile(ROOT / 'configs' / 'osnet_reid_market_scratch.py').to_dict()
    seen = []
    for path in ABLATION:
        cfg = Config.fromfile(path).to_dict()
        backbone = cfg['model'].pop('backbone')
        seen.append({key: value for key, value in backbone.items() if key not in base['model']['backbone']})
        assert cfg == {**base, 'model': {key: value for key, value in base['model'].items() if key != 'backbone'}}
    assert len(seen) == 11 and all(seen)
    assert {options.get('fusion', 'unified_gate') for options in seen} == set(FUSIONS)
