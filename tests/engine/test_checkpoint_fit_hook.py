from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from torch import nn

from mmosnet.engine import CheckpointFitHook
from mmosnet.errors import DataError
from mmosnet.models.weights import check_fit


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
