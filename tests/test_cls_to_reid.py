"""A classification checkpoint starts re-identification: all of backbone and neck, nothing of the head."""

import pytest
import torch
from mmengine.runner import Runner

from mmosnet.errors import DataError
from mmosnet.models import OSNet
from mmosnet.models.checkpoints import load_file
from tests.conftest import write_market
from tests.datasets.category_miniatures import write_imagenet
from tests.small_configs import small_config
from tests.test_cls_configs import imagenet_options, small_cls

LOADERS = ('train', 'val', 'test')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('pretraining')
    write_imagenet(root / 'imagenet')
    write_market(root / 'market')
    return root


@pytest.fixture(scope='module')
def trained(folder):
    """A classification run with averaged weights, and the averages."""
    cfg = small_cls('osnet_x0_25_cls_imagenet', folder / 'cls', folder / 'imagenet', **imagenet_options(6))
    # Fast enough to leave the first weights behind, slow enough to lag behind the last.
    (average,) = (hook for hook in cfg.custom_hooks if hook.type == 'EMAHook')
    average.momentum = 0.5
    runner = Runner.from_cfg(cfg)
    runner.train()
    (hook,) = (hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    averages = {name: value.clone() for name, value in hook.ema_model.module.state_dict().items()}
    return folder / 'cls' / 'epoch_1.pth', averages, runner.model.state_dict()


def reid_config(folder, work_dir, checkpoint, name='osnet_x0_25_reid_market', **options):
    roots = {f'{loader}_dataloader.dataset.data_root': str(folder / 'market') for loader in LOADERS}
    cfg = small_config(name, work_dir, **{'model.head.num_classes': 6, **roots, **options})
    cfg.load_from = str(checkpoint)
    return cfg


def features(state):
    """The part of a model's state that both tasks share."""
    return {name: value for name, value in state.items() if name.startswith(('backbone.', 'neck.'))}


def assert_equal(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_the_checkpoint_holds_the_averaged_weights(trained):
    checkpoint, averages, last = trained
    saved = load_file(checkpoint)
    assert_equal(saved['state_dict'], averages)
    # The last step's weights, which training goes on from, are beside them.
    for name, value in last.items():
        assert torch.equal(saved['ema_state_dict'][f'module.{name}'], value), name
    assert any(not torch.equal(averages[name], last[name]) for name in features(last))


@pytest.mark.parametrize('name', ['osnet_x0_25_reid_market', 'osnet_reid_market_cosine', 'osnet_reid_market_scratch'])
def test_re_identification_starts_from_it(folder, trained, tmp_path, name):
    checkpoint, averages, _ = trained
    runner = Runner.from_cfg(reid_config(folder, tmp_path / 'reid', checkpoint, name))
    # What Runner.train does first: no epoch, then the checkpoint.
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.load_or_resume()
    assert_equal(features(runner.model.state_dict()), features(averages))
    (log,) = (tmp_path / 'reid').glob('*/*.log')
    (message,) = (line for line in log.read_text().splitlines() if 'new in the model' in line)
    new = message.partition('new in the model: ')[2].split(', ')
    assert f'{len(features(averages))} entries used' in message
    assert new and all(entry.startswith('head.') for entry in new)


def test_a_whole_run_from_it(folder, trained, tmp_path):
    options = {'train_cfg.max_epochs': 2, 'custom_hooks.5.num_epochs': 1}
    Runner.from_cfg(reid_config(folder, tmp_path / 'reid', trained[0], **options)).train()
    # The classifier trained alone at first, as the recipe has it: the features are still those of the classification.
    state = load_file(tmp_path / 'reid' / 'epoch_1.pth')['state_dict']
    assert_equal(features(state), features(trained[1]))
    assert (tmp_path / 'reid' / 'results.json').is_file()


def test_the_backbone_alone_starts_from_it(trained):
    checkpoint, averages, _ = trained
    backbone = OSNet(widen_factor=0.25, init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)))
    backbone.init_weights()
    expected = {name: value for name, value in averages.items() if name.startswith('backbone.')}
    assert_equal({f'backbone.{name}': value for name, value in backbone.state_dict().items()}, expected)


def test_another_width_is_refused(folder, trained, tmp_path):
    wide = {'model.backbone.widen_factor': 0.5, 'model.neck.in_channels': 256}
    runner = Runner.from_cfg(reid_config(folder, tmp_path / 'reid', trained[0], **wide))
    with pytest.raises(DataError, match='does not fit the model'):
        runner.train()


def test_a_test_needs_the_heads_own_checkpoint(folder, trained, tmp_path):
    """A classifier of other categories would predict by chance."""
    cfg = small_cls('osnet_x0_25_cls_imagenet', tmp_path / 'test', folder / 'imagenet', **imagenet_options(6))
    cfg.model.head.num_classes = 5
    cfg.load_from = str(trained[0])
    with pytest.raises(DataError, match=r'head\.fc\.weight'):
        Runner.from_cfg(cfg).test()
