from __future__ import annotations

import itertools
import shutil
from types import SimpleNamespace

import pytest
import torch
from mmengine import runner as loops
from mmengine.hooks import CheckpointHook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from mmengine.structures import BaseDataElement
from mmpretrain.models import LinearClsHead, MultiLabelLinearClsHead
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmosnet.datasets import BalancedSampler, PKSampler
from mmosnet.engine.checks import ALL_FILES, CheckpointFitHook, DivergenceHook, NumClassesHook, check_batches
from mmosnet.errors import DataError
from mmosnet.models import JointHead, ReIDHead
from mmosnet.models.weights import check_fit

LABELS = dict(num_train_pids=35, attributes=['hat', 'bag'], classes=['bench', 'car', 'dog'])


def check_heads(head, **metainfo):
    dataset = SimpleNamespace(metainfo=metainfo)
    loader = SimpleNamespace(dataset=dataset)
    runner = SimpleNamespace(model=SimpleNamespace(head=head), train_dataloader=loader, logger=None)
    NumClassesHook().before_train(runner)


@pytest.mark.parametrize(
    ('right', 'wrong', 'message'),
    [
        (ReIDHead(35), ReIDHead(751), r'35 identities and the head 751 classes.*model.head.num_classes=35'),
        (MultiLabelLinearClsHead(2, 8), MultiLabelLinearClsHead(26, 8), r'2 attributes and the head 26 classes'),
        (LinearClsHead(3, 8), LinearClsHead(1000, 8), r'3 categories and the head 1000 classes'),
    ],
    ids=['identities', 'attributes', 'categories'],
)
def test_number_of_classes_is_checked(right, wrong, message):
    check_heads(right, **LABELS)
    with pytest.raises(DataError, match=message):
        check_heads(wrong, **LABELS)
    # A data set that says nothing of the task.
    check_heads(wrong)


@pytest.mark.parametrize(
    ('head', 'labels'), [(ReIDHead(1), dict(num_train_pids=1)), (LinearClsHead(1, 8), dict(classes=['car']))]
)
def test_a_single_class_teaches_nothing(head, labels):
    with pytest.raises(DataError, match='1 of the'):
        check_heads(head, **labels)


def test_every_head_of_a_joint_model():
    heads = dict(reid=ReIDHead(35), attributes=MultiLabelLinearClsHead(3, 8), category=LinearClsHead(3, 8))
    with pytest.raises(DataError, match=r'model\.head\.heads\.attributes\.num_classes=2'):
        check_heads(JointHead(heads), **LABELS)
    heads['attributes'] = MultiLabelLinearClsHead(2, 8)
    check_heads(JointHead(heads), **LABELS)


def loop(kind, **metainfo):
    made = kind.__new__(kind)
    made.dataloader = SimpleNamespace(dataset=SimpleNamespace(metainfo=metainfo))
    return made


@pytest.mark.parametrize('change', [dict(attributes=['bag', 'hat']), dict(classes=['bench', 'dog', 'car'])])
def test_names_in_another_order(change):
    """Numbers are equal, and every score would be of something else."""
    heads = dict(reid=ReIDHead(35), attributes=MultiLabelLinearClsHead(2, 8), category=LinearClsHead(3, 8))
    model = SimpleNamespace(head=JointHead(heads))
    for other, fits in ((LABELS, True), ({}, True), (LABELS | change, False)):
        training = SimpleNamespace(
            logger=None,
            model=model,
            train_dataloader=SimpleNamespace(dataset=SimpleNamespace(metainfo=LABELS)),
            val_loop=loop(loops.ValLoop, **other),
        )
        testing = SimpleNamespace(
            model=model, _train_loop=None, _val_loop=None, _test_loop=loop(loops.TestLoop, **other), _load_from='a.pth'
        )
        checkpoint = dict(meta=dict(dataset_meta=LABELS | dict(classes=tuple(LABELS['classes']))))
        for check in (
            lambda: NumClassesHook().before_train(training),  # noqa: B023
            lambda: NumClassesHook().after_load_checkpoint(testing, checkpoint),  # noqa: B023
        ):
            if fits:
                check()
            else:
                with pytest.raises(DataError, match=rf'of the {next(iter(change))} .* scored as each other'):
                    check()
    # Released weights say nothing.
    NumClassesHook().after_load_checkpoint(testing, dict(state_dict={}))


class People(Dataset):
    """Identities, the same number of images each."""

    def __init__(self, num_pids, images):
        self.pids = [pid for pid in range(num_pids) for _ in range(images)]

    def __len__(self):
        return len(self.pids)

    def get_data_info(self, index):
        return dict(pid=self.pids[index], camid=index % 2)


def warned(dataset, batch_size, sampler=None, head=None):
    warnings = []
    loader = DataLoader(dataset, batch_size, sampler=sampler)
    check_batches(loader, head or ReIDHead(4), SimpleNamespace(warning=warnings.append))
    return warnings


def test_batches_are_those_of_the_sampler():
    people = People(4, 4)
    pk = PKSampler(people, num_pids=2, num_instances=4, seed=0)
    assert warned(people, 8, pk) == warned(people, 8, BalancedSampler(people, 8, seed=0)) == warned(people, 3) == []
    for batch_size in (2, 4, 16):
        with pytest.raises(DataError, match=rf'batch_size={batch_size} .*num_pids=2 x num_instances=4.*batch_size=8'):
            warned(people, batch_size, pk)
    with pytest.raises(DataError, match=r'batch_size=4 .*BalancedSampler batch_size=8'):
        warned(people, 4, BalancedSampler(people, 8, seed=0))


def test_a_triplet_loss_needs_positives():
    triplet = ReIDHead(4, metric_loss=dict(type='mmosnet.TripletLoss'))
    people = People(4, 4)
    assert warned(people, 8, PKSampler(people, 2, 4, seed=0), triplet) == warned(people, 8, head=triplet) == []
    for data, batch_size, sampler in (
        (people, 4, PKSampler(people, 4, 1, seed=0)),
        (people, 1, None),
        (People(16, 1), 8, None),
    ):
        with pytest.raises(DataError, match=f'batch of {batch_size}'):
            warned(data, batch_size, sampler, triplet)
    # 100 people with 10 images each: 31 others of 999, 9 of them good: 1 - (990 / 999) ** 31 = 24 %.
    (warning,) = warned(People(100, 10), 32, head=triplet)
    assert '24%' in warning and 'PKSampler' in warning
    assert warned(People(100, 10), 32) == []


def network(width):
    model = nn.Module()
    model.backbone, model.neck, model.head = nn.Linear(3, width), nn.Linear(width, 2), nn.Linear(2, width)
    return model


def load(state_dict, width=4, training=True):
    log = []
    loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop) if training else dict()
    runner = SimpleNamespace(
        _resume=False,
        _train_loop=loop,
        model=network(width),
        _load_from='some.pth',
        logger=SimpleNamespace(info=log.append),
    )
    CheckpointFitHook().after_load_checkpoint(runner, dict(state_dict=state_dict))
    return log


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_another_head_or_no_neck_fits(prefix):
    state = {prefix + name: value for name, value in network(4).state_dict().items() if 'head' not in name}
    assert load(state) == ['some.pth: 4 entries used; new in the model: head.weight, head.bias']
    load({name: value for name, value in state.items() if 'neck' not in name})


def test_what_is_loaded_fits_exactly_and_the_rest_is_named(capsys):
    model, log = network(4), []
    state = {name: value + 1 for name, value in model.state_dict().items() if name != 'head.bias'}
    state |= {'head.weight': torch.ones(9, 9), 'head.more': torch.ones(1)}
    checkpoint = dict(state_dict=state)
    loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    logger = SimpleNamespace(info=log.append)
    runner = SimpleNamespace(_train_loop=loop, _resume=False, model=model, _load_from='a.pth', logger=logger)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    CheckpointFitHook().after_load_checkpoint(runner, checkpoint)
    assert log == ['a.pth: 4 entries used; new in the model: head.weight, head.bias; left out: head.more']
    # mmengine says nothing more.
    _load_checkpoint_to_model(model, checkpoint)
    assert capsys.readouterr().out == ''
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name] + (not name.startswith('head.'))), name


def test_testing_needs_the_neck():
    backbone = {name: value for name, value in network(4).state_dict().items() if 'backbone' in name}
    assert load(backbone)
    with pytest.raises(DataError, match=r'neck\.weight: model .* checkpoint nothing'):
        load(backbone, training=False)


def test_another_width_is_refused():
    with pytest.raises(DataError, match=r'some.pth does not fit.*3 entries.*backbone.weight: model \(4, 3\)'):
        load(network(5).state_dict())


def test_unconverted_names_are_refused():
    with pytest.raises(DataError, match=r'some\.pth .*backbone\.weight: model \(4, 3\), checkpoint nothing'):
        load({f'conv1.{name}': value for name, value in network(4).state_dict().items()})


def test_entries_without_a_place_are_refused_but_stages_the_model_lacks_are_not():
    state = network(4).state_dict()
    backbone = {'stages.0.0.gate.weight': state['backbone.weight'], 'final_conv.weight': state['backbone.weight']}
    state = {'backbone.stages.0.0.expand.weight': state['backbone.weight']}
    check_fit(state, state | {'backbone.final_conv.weight': backbone['final_conv.weight']}, 'some.pth')
    with pytest.raises(DataError, match=r'stages\.0\.0\.gate\.weight: model nothing, checkpoint'):
        check_fit(state, state | {'backbone.stages.0.0.gate.weight': backbone['stages.0.0.gate.weight']}, 'some.pth')


def test_a_joint_model_may_leave_out_whole_heads_of_the_checkpoint():
    """``--cfg-options model.head.heads.category=None`` in a test."""
    tensor = network(4).state_dict()['backbone.weight']
    state = {'backbone.weight': tensor, 'head.heads.attributes.fc.weight': tensor}
    check_fit(state, state | {'head.heads.category.fc.weight': tensor}, 'some.pth', testing=True)
    # Not parts of a head, nor a head that is missing.
    with pytest.raises(DataError, match=r'attributes\.bn\.weight: model nothing'):
        check_fit(state, state | {'head.heads.attributes.bn.weight': tensor}, 'some.pth', testing=True)
    with pytest.raises(DataError, match=r'attributes\.fc\.weight: model .*, checkpoint nothing'):
        check_fit(state, {'backbone.weight': tensor}, 'some.pth', testing=True)


def resume(now, then, log=None):
    """Resume a network's training with one optimizer after a step with another; each a function of parameters."""
    model = network(4)
    loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    logger = SimpleNamespace(info=lambda text: None, warning=(log if log is not None else []).append)
    before, after = then(model.parameters()), now(model.parameters())
    for wrapper in before.values() if isinstance(before, OptimWrapperDict) else [before]:
        sum(value.sum() for value in model.parameters()).backward()
        wrapper.step()
    runner = SimpleNamespace(
        _train_loop=loop, _resume=True, model=model, _load_from='a.pth', logger=logger, optim_wrapper=after, hooks=[]
    )
    checkpoint = dict(state_dict=model.state_dict(), optimizer=before.state_dict())
    CheckpointFitHook().after_load_checkpoint(runner, checkpoint)


def using(kind, **settings):
    return lambda parameters: OptimWrapper(kind(parameters, lr=0.1, **settings))


def test_an_optimizer_of_another_kind_is_refused():
    adam = torch.optim.Adam
    for other in (torch.optim.Adamax, torch.optim.NAdam, torch.optim.RAdam, torch.optim.SGD, torch.optim.RMSprop):
        with pytest.raises(DataError, match=f'optimizer: model {other.__name__}'):
            resume(using(other), using(adam))
    resume(using(adam), using(adam))


def test_settings_of_the_checkpoint_that_hold_are_said():
    log = []
    resume(using(torch.optim.Adam, amsgrad=True, eps=1e-6), using(torch.optim.Adam), log)
    assert len(log) == 1 and 'amsgrad False' in log[0] and 'eps 1e-08' in log[0]


def test_several_optimizers_are_compared_one_by_one():
    def two(second):
        return lambda parameters: OptimWrapperDict(
            first=OptimWrapper(torch.optim.SGD((parameters := list(parameters))[:1], lr=0.1)),
            second=OptimWrapper(second(parameters[1:], lr=0.1)),
        )

    resume(two(torch.optim.SGD), two(torch.optim.SGD))
    with pytest.raises(DataError, match='optimizer: model Adam'):
        resume(two(torch.optim.Adam), two(torch.optim.SGD))


NAN = float('nan')
NUMBERS = itertools.count()
EPOCHS = dict(interval=1)


class Toy(BaseModel):
    """Two losses of one layer and a batch normalization; the first turns into what the batch says."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Linear(1, 1), nn.BatchNorm1d(1)
        self.register_buffer('mask', torch.tensor([0.0, -torch.inf]))
        # What happens to the gradient of the layer, and to the statistics, in which step (counted from 1).
        self.faults, self.step = {}, 0

    def forward(self, inputs, data_samples=None, mode='loss'):
        self.step += 1
        x = torch.stack(list(inputs))
        y = self.norm(self.layer(x))
        fault = self.faults.get(self.step)
        if fault == 'gradient':
            y.register_hook(lambda grad: grad * torch.inf)
        if fault == 'statistics':
            self.norm.running_var = torch.tensor([NAN])
        factor = torch.tensor(NAN if fault == 'loss' else 1.0)
        return dict(loss_a=y.square().mean() * factor, loss_b=x.mean(), accuracy=torch.tensor(NAN))


class Images(Dataset):
    def __init__(self, label=1.0):
        self.label = label

    def __len__(self):
        return 8

    def __getitem__(self, index):
        sample = BaseDataElement(metainfo=dict(img_path=f'/data/Zoë/{index}.jpg'))
        sample.gt_score = torch.tensor([0.0, self.label])
        return dict(inputs=torch.tensor([float(index)]), data_samples=sample)


def collate(items):
    return {key: [item[key] for item in items] for key in items[0]}


def train(folder, faults=None, checkpoint=EPOCHS, hook=None, label=1.0, model=None, **settings):
    model = model or Toy()
    model.faults = faults or {}
    runner = Runner(
        model,
        work_dir=str(folder),
        train_dataloader=DataLoader(Images(label), batch_size=4, collate_fn=collate),
        train_cfg=dict(by_epoch=True, max_epochs=3),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.125)),
        default_hooks=dict(
            checkpoint=dict(type='mmosnet.CheckpointHook', max_keep_ckpts=1, **(checkpoint or dict(interval=1)))
        ),
        # CheckpointHook adds one where there is none.
        custom_hooks=[hook] if hook else None,
        default_scope='mmengine',
        # Runners of one process need different names.
        experiment_name=f'divergence_{next(NUMBERS)}',
        **settings,
    )
    runner.train()
    return runner


def saved(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def test_nothing_is_said_of_a_training_that_goes_well(tmp_path):
    # A mask holds infinity all along, and a score that is no loss may be NaN.
    train(tmp_path / 'run')
    assert saved(tmp_path / 'run') == ['epoch_3.pth']


def test_a_loss_that_is_nan_ends_the_training_and_keeps_the_last_good_checkpoint(tmp_path):
    folder = tmp_path / 'run'
    with pytest.raises(DataError) as error:
        train(folder, {4: 'loss'})
    text = str(error.value)
    for part in ('loss_a is nan', 'epoch 2, iteration 2 of 2', '0.125', '/data/Zoë', '7.jpg', f'{folder}/epoch_1.pth'):
        assert part in text, part
    assert 'loss_b' not in text and 'accuracy' not in text and '3.jpg' not in text and '\n' not in text
    assert saved(folder) == ['epoch_1.pth']
    assert (folder / 'last_checkpoint').read_text() == f'{folder}/epoch_1.pth'


@pytest.mark.parametrize(('fault', 'entry'), [('gradient', 'layer.weight'), ('statistics', 'norm.running_var')])
@pytest.mark.parametrize('by_epoch', [True, False])
def test_weights_that_are_nan_are_not_saved_though_the_loss_is_finite(tmp_path, fault, entry, by_epoch):
    """NaN in the last step before a checkpoint does not delete the only checkpoint that is kept."""
    folder = tmp_path / 'run'
    checkpoint = EPOCHS if by_epoch else dict(by_epoch=False, interval=2)
    with pytest.raises(DataError, match=rf'{entry}.*epoch 2, iteration 2 of 2'):
        train(folder, {4: fault}, checkpoint)
    assert saved(folder) == ['epoch_1.pth' if by_epoch else 'iter_2.pth']


def test_no_training_starts_from_weights_that_are_nan(tmp_path):
    folder = tmp_path / 'run'
    train(folder)
    content = torch.load(folder / 'epoch_3.pth', weights_only=True)
    content['state_dict']['norm.running_mean'].fill_(NAN)
    (tmp_path / 'moved').mkdir()
    torch.save(content, tmp_path / 'moved' / 'bad.pth')
    shutil.rmtree(folder)
    for resume in (False, True):
        with pytest.raises(DataError, match=r'moved/bad.pth: norm.running_mean is NaN'):
            train(folder, load_from=str(tmp_path / 'moved' / 'bad.pth'), resume=resume)
    assert saved(folder) == []


def test_labels_that_are_nan_are_named(tmp_path):
    model = Toy()
    forward = model.forward
    model.forward = lambda inputs, data_samples, mode: {
        'loss_a': forward(inputs)['loss_a'] * torch.stack([s.gt_score for s in data_samples]).mean()
    }
    with pytest.raises(DataError, match=r'gt_score of /data/Zoë/0.jpg and 3 more are NaN'):
        train(tmp_path / 'run', label=NAN, model=model)


def test_no_batch_is_an_error():
    loader = DataLoader(Images(), batch_size=9, drop_last=True)
    with pytest.raises(DataError, match=r'8 images, train_dataloader.batch_size=9'):
        DivergenceHook().before_train(SimpleNamespace(train_dataloader=loader))


def test_loss_scaling_that_skips_every_step_is_a_failure(tmp_path):
    class Shrunk(DivergenceHook):
        def before_train(self, runner):
            super().before_train(runner)
            scaler = SimpleNamespace(is_enabled=lambda: True, get_scale=lambda: self.scale)
            runner.optim_wrapper.loss_scaler = scaler

    hook = Shrunk()
    hook.scale = 1.0
    train(tmp_path / 'good', hook=hook)
    hook.scale = 1e-12
    with pytest.raises(DataError, match=r'1e-12.*--amp'):
        train(tmp_path / 'bad', hook=hook)
    assert saved(tmp_path / 'bad') == []


def test_all_images_of_a_large_batch_stand_in_the_log(tmp_path):
    lines = []
    samples = [BaseDataElement(metainfo=dict(img_path=f'{i}.jpg')) for i in range(64)]
    run = SimpleNamespace(
        train_loop=None,
        iter=4,
        optim_wrapper=SimpleNamespace(get_lr=lambda: {'base.lr': [0.5, 0.25], 'base.momentum': [0.9]}),
        logger=SimpleNamespace(info=lines.append),
        message_hub=SimpleNamespace(runtime_info={}),
        hooks=[CheckpointHook()],
    )
    with pytest.raises(DataError, match=r'is inf. iteration 5, learning rate 0.25 to 0.5; images: 0.jpg.* 48 more'):
        DivergenceHook().after_train_iter(run, 0, dict(data_samples=samples), dict(loss=torch.tensor(torch.inf)))
    assert lines[0].startswith(ALL_FILES) and lines[0].endswith('62.jpg, 63.jpg')
