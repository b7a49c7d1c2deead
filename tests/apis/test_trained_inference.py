"""Results of the inferencer are those of the Runner that has trained the checkpoint."""

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from mmosnet.apis import PersonInferencer
from mmosnet.engine.launch import load_config
from tests.apis.small_models import ATTRIBUTE_NAMES, CLASSES, CONFIGS, JOINT, LOAD, RESIZE, assert_close
from tests.conftest import write_market, write_person

KEYS = dict(reid=('pid', 'camid', 'split', 'gt_label'), attributes=('gt_score',), category=('gt_label',))


def write_data(folder):
    """Write people with identities, people with attributes, and things of four categories."""
    write_market(folder / 'market')
    rows = ['path,split,hat,bag,long hair']
    for number in range(12):
        write_person(folder / 'table' / f'{number}.jpg', number)
        split = 'train' if number < 8 else 'test'
        rows.append(f'{number}.jpg,{split},{number % 2},{number // 2 % 2},{number % 3 // 2}')
    (folder / 'table' / 'attributes.csv').write_text('\n'.join(rows) + '\n')
    for number in range(16):
        write_person(folder / 'things' / CLASSES[number % 4] / f'{number}.jpg', number)


def joint_data(folder, train):
    load_thing = dict(type='LoadImageFromFile')
    parts = dict(
        reid=dict(type='mmosnet.Market1501', data_root='market', split='train' if train else ('query', 'gallery')),
        attributes=dict(type='mmosnet.AttributeTable', data_root='table', split='train' if train else 'test'),
        category=dict(type='CustomDataset', data_root='things'),
    )
    for task, part in parts.items():
        load = load_thing if task == 'category' else LOAD
        part['pipeline'] = [load, RESIZE, dict(type='mmosnet.PackTasks', tasks={task: KEYS[task]})]
        part['test_mode'] = not train
    return dict(type='mmosnet.JointDataset', data_root=str(folder), datasets=parts)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Return config, Runner and checkpoint after an epoch of all three tasks."""
    folder = tmp_path_factory.mktemp('joint')
    write_data(folder)
    cfg = load_config(str(CONFIGS / 'osnet_x0_25_reid_market.py'), None, str(folder / 'run'), 'none')
    cfg.model.head = JOINT
    for name in ('train', 'val', 'test'):
        cfg[f'{name}_dataloader'].update(num_workers=0, persistent_workers=False, batch_size=8)
        cfg[f'{name}_dataloader'].dataset = joint_data(folder, name == 'train')
    metrics = dict(
        reid=dict(type='mmosnet.ReIDMetric'),
        attributes=dict(type='mmosnet.AttributeMetric'),
        category=dict(type='mmosnet.CategoryMetric', topk=1),
    )
    cfg.val_evaluator = cfg.test_evaluator = dict(type='mmosnet.TaskEvaluator', metrics=metrics)
    cfg.update(custom_hooks=[dict(type='mmosnet.PosRatioHook')], load_from=None, experiment_name='trained_inference')
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return cfg, runner, str(folder / 'run' / 'epoch_1.pth')


def test_names_and_numbers_are_those_of_training_and_testing(trained):
    cfg, runner, checkpoint = trained
    inferencer = PersonInferencer(cfg, checkpoint)
    assert inferencer.tasks.attributes == ATTRIBUTE_NAMES and inferencer.tasks.classes == sorted(CLASSES)
    runner.model.eval()
    number = 0
    for batch in runner.build_dataloader(cfg.test_dataloader):
        paths = [sample.get(*sample.tasks).img_path for sample in batch['data_samples']]
        with torch.no_grad():
            samples = runner.model.test_step(batch)
        for sample, result in zip(samples, inferencer(paths, batch_size=3), strict=True):
            # The batches have other sizes, and kernels may take sums in another order.
            expected = sample.reid.embedding.cpu().numpy()
            np.testing.assert_allclose(result['embedding'], expected, rtol=0, atol=1e-5 * np.abs(expected).max())
            assert list(result['attributes'].values()) == pytest.approx(sample.attributes.pred_score.tolist(), abs=1e-5)
            assert result['category']['label'] == int(sample.category.pred_label)
            assert result['category']['score'] == pytest.approx(sample.category.pred_score.max().item(), abs=1e-5)
            number += 1
    # Queries and gallery with a distractor, four people, sixteen things.
    assert number == 4 * 2 * 2 + 1 + 4 + 16


def test_the_config_that_training_wrote_does_too(trained, tmp_path):
    cfg, _, checkpoint = trained
    cfg.dump(tmp_path / 'dumped.py')
    write_person(tmp_path / 'a.jpg', 1)
    found, expected = (PersonInferencer(c, checkpoint)(tmp_path / 'a.jpg')[0] for c in (tmp_path / 'dumped.py', cfg))
    assert_close(found, expected)
