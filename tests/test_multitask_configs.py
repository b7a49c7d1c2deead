"""One epoch of the joint configs on miniatures: every task trained and evaluated in one run, or left out."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from tests.conftest import write_market
from tests.datasets.attribute_formats import write_market_attributes
from tests.small_configs import small_config

TASKS = {'reid', 'attributes', 'accuracy'}


def synthetic(work_dir: Path, **options) -> Config:
    options = {'model.head.heads.reid.num_classes': 6, **options}
    cfg = small_config('osnet_multitask_synthetic', work_dir, work_dir.parent / 'data', **options)
    generation = dict(
        people=dict(num_train_pids=6, num_test_pids=4, num_cameras=2, images_per_camera=2, num_distractors=2),
        objects=dict(num_train=2, num_val=1),
    )
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        for name, dataset in loader.dataset.datasets.items():
            if dataset is not None:
                dataset.generation = generation[name]
    return cfg


def tasks_of(work_dir: Path) -> set[str]:
    metrics = json.loads((work_dir / 'results.json').read_text())['last']['metrics']
    assert all(0 <= value <= 100 for value in metrics.values())
    return {name.partition('/')[0] for name in metrics}


LEFT_OUT = {
    f'{place}': None
    for place in (
        'model.head.heads.category',
        'train_dataloader.dataset.datasets.objects',
        'val_dataloader.dataset.datasets.objects',
        'test_dataloader.dataset.datasets.objects',
        'val_evaluator.metrics.category',
        'test_evaluator.metrics.category',
    )
}


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """One run of all tasks, which the tests below share."""
    folder = tmp_path_factory.mktemp('joint')
    runner = Runner.from_cfg(synthetic(folder / 'run'))
    runner.train()
    return folder, runner


def test_people_and_objects(trained):
    folder, runner = trained
    assert tasks_of(folder / 'run') == TASKS
    pictures = {path.name for path in (folder / 'run').glob('*.*g')}
    assert {'ranked_lists.jpg', 'attributes.jpg', 'confusion_matrix.png'} <= pictures
    # Distractors have no attributes, and people no category: each metric saw the samples with its labels.
    _, attributes, category = runner.val_loop.evaluator.metrics
    assert len(attributes.shown) == 16 and category.confusion.sum() == 12
    assert runner.model.head.heads.attributes.loss_module.pos_ratio.isfinite().all()


def test_a_task_left_out_on_the_command_line(trained):
    folder, _ = trained
    Runner.from_cfg(synthetic(folder / 'people', **LEFT_OUT)).train()
    assert tasks_of(folder / 'people') == {'reid', 'attributes'}


def test_a_joint_checkpoint_is_tested_with_all_tasks_or_fewer(trained):
    folder, _ = trained
    expected = json.loads((folder / 'run' / 'results.json').read_text())['last']['metrics']
    for name, options in (('all', {}), ('fewer', LEFT_OUT)):
        cfg = synthetic(folder / name, load_from=str(folder / 'run' / 'epoch_1.pth'), **options)
        metrics = Runner.from_cfg(cfg).test()
        tasks = TASKS - {'accuracy'} if options else TASKS
        wanted = {key: value for key, value in expected.items() if key.partition('/')[0] in tasks}
        assert metrics == pytest.approx(wanted, abs=1e-6)


def test_market(tmp_path):
    write_market(tmp_path / 'data', num_train=6, num_test=4)
    write_market_attributes(tmp_path / 'data' / 'market_attribute.mat', range(1, 7), range(7, 11))
    options = {'model.head.heads.reid.num_classes': 6}
    cfg = small_config('osnet_multitask_market', tmp_path / 'run', tmp_path / 'data', **options)
    Runner.from_cfg(cfg).train()
    assert tasks_of(tmp_path / 'run') == {'reid', 'attributes'}
