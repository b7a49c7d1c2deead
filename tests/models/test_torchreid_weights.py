import copy
from collections import OrderedDict
from functools import cache

import pytest
import torch
from mmpretrain.registry import MODELS

from mmosnet.models.torchreid_weights import describe_released, from_torchreid, released_layout, to_torchreid
from tests.models.deterministic_weights import fill_with_sines, sine_images

# Name in the released code, arch, widen_factor.
VARIANTS = [
    ('osnet_x1_0', 'osnet', 1.0),
    ('osnet_x0_75', 'osnet', 0.75),
    ('osnet_x0_5', 'osnet', 0.5),
    ('osnet_x0_25', 'osnet', 0.25),
    ('osnet_ibn_x1_0', 'osnet_ibn', 1.0),
    ('osnet_ain_x1_0', 'osnet_ain', 1.0),
    ('osnet_ain_x0_75', 'osnet_ain', 0.75),
    ('osnet_ain_x0_5', 'osnet_ain', 0.5),
    ('osnet_ain_x0_25', 'osnet_ain', 0.25),
]
ENTRIES = {'osnet': 567, 'osnet_ibn': 568, 'osnet_ain': 552}


def reid_model(arch: str = 'osnet', widen_factor: float = 0.25) -> torch.nn.Module:
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='OSNet', arch=arch, widen_factor=widen_factor),
            neck=dict(
                type='LinearNeck',
                in_channels=int(512 * widen_factor),
                out_channels=512,
                gap_dim=2,
                act_cfg=dict(type='ReLU'),
            ),
            head=dict(type='mmosnet.ReIDHead', num_classes=7),
        )
    )


def released_state(arch: str = 'osnet', widen_factor: float = 0.25) -> OrderedDict:
    """A state dict in the released layout, with random statistics."""
    torch.manual_seed(0)
    state = reid_model(arch, widen_factor).state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5) if name.endswith('running_var') else tensor.normal_(0, 0.1)
    return OrderedDict((released, state[name]) for released, name in released_layout(arch).items())


@pytest.mark.parametrize('arch', ENTRIES)
def test_every_entry_has_a_place(arch):
    layout = released_layout(arch)
    assert len(layout) == ENTRIES[arch]
    assert sorted(layout.values()) == sorted(reid_model(arch).state_dict())


@pytest.mark.parametrize('arch', ENTRIES)
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_round_trip_is_exact(arch, prefix):
    released = released_state(arch)
    ours, model = from_torchreid({prefix + key: value for key, value in released.items()}, keep_classifier=True)
    assert (model.arch, model.widen_factor, model.embedding_size, model.num_classes) == (arch, 0.25, 512, 7)
    reid_model(arch).load_state_dict(ours, strict=True)
    back, _ = to_torchreid(ours)
    assert list(back) == list(released)
    assert all(torch.equal(back[key], released[key]) for key in released)


@pytest.mark.parametrize('widen_factor', [0.1, 0.33, 0.6, 0.9, 1.1])
def test_any_width_goes_there_and_back(widen_factor):
    released = released_state(widen_factor=widen_factor)
    ours, model = from_torchreid(released, keep_classifier=True)
    assert model.widen_factor == widen_factor
    back, _ = to_torchreid(ours)
    assert all(torch.equal(back[key], released[key]) for key in released)


def test_classifier_stays_out_unless_wanted():
    released = released_state()
    assert 'head.classifier.weight' not in from_torchreid(released)[0]
    assert len(from_torchreid(released)[0]) == len(from_torchreid(released, keep_classifier=True)[0]) - 2 == 565


def test_embedding_layer_and_classifier_may_be_missing_whole():
    released = {key: value for key, value in released_state().items() if not key.startswith(('fc.', 'classifier.'))}
    ours, model = from_torchreid(released)
    assert model.embedding_size is None and model.num_classes is None
    assert all(name.startswith('backbone.') for name in ours)


def without(key):
    return {k: v for k, v in released_state().items() if k != key}


@pytest.mark.parametrize(
    ('state_dict', 'message'),
    [
        ({'layer1.0.conv1.weight': torch.zeros(1)}, "no released OSNet.*starts with 'layer1.0.conv1.weight'"),
        ({}, "starts with 'nothing'"),
        (dict(released_state(), extra=torch.zeros(1)), "OSNet x0.25: 1 unknown entries, the first 'extra'"),
        (without('conv3.1.gate.fc1.bias'), "1 entries are missing, the first 'conv3.1.gate.fc1.bias'"),
        (without('fc.1.running_mean'), "1 entries are missing, the first 'fc.1.running_mean'"),
        (without('conv1.conv.weight'), "1 entries are missing, the first 'conv1.conv.weight'"),
        (without('conv5.conv.weight'), 'conv5.conv.weight is missing'),
        *(
            (dict(released_state(), **{key: torch.zeros(shape)}), f'1 entries of the wrong shape, the first {name}')
            for key, shape, name in (
                ('fc.0.weight', (512, 7), 'neck.fc.weight'),
                ('fc.0.bias', (3,), 'neck.fc.bias'),
                ('fc.1.weight', (3,), 'neck.norm.weight'),
                ('classifier.bias', (3,), 'head.classifier.bias'),
            )
        ),
        (
            dict(released_state(), **{'conv5.conv.weight': torch.zeros(3, 3, 1, 1)}),
            r'1 entries of the wrong shape, the first backbone.final_conv.conv.weight: model \(128, 128, 1, 1\)',
        ),
    ],
)
def test_a_file_that_is_not_whole_is_refused(state_dict, message):
    with pytest.raises(ValueError, match=message):
        from_torchreid(state_dict)


def test_what_the_released_networks_lack_is_refused():
    state = from_torchreid(released_state(), keep_classifier=True)[0]
    with pytest.raises(ValueError, match=r"no place in a released osnet, the first '.*streams\.4"):
        to_torchreid(state | {'backbone.stages.0.0.streams.4.0.pointwise.weight': torch.zeros(1)})
    with pytest.raises(ValueError, match='BNNeck'):
        to_torchreid(state | {'head.bnneck.weight': torch.zeros(512)})
    del state['backbone.final_conv.conv.weight']
    with pytest.raises(ValueError, match=r'conv5\.conv\.weight is missing'):
        to_torchreid(state)


# Embeddings computed by the released code (torchreid 0.2.5) with sines as weights: mean and first five values.
GOLDEN = {
    'osnet': (1182.0901465592906, [0.0, 1084.21142578125, 2775.263427734375, 4220.87744140625, 4312.947265625]),
    'osnet_ibn': (
        0.8790931961702881,
        [0.0, 0.9197142124176025, 1.9335618019104004, 2.7552754878997803, 2.6338114738464355],
    ),
    'osnet_ain': (
        0.5831645033947552,
        [0.0, 0.44406846165657043, 1.0997101068496704, 1.6890190839767456, 1.740572452545166],
    ),
}


@pytest.mark.parametrize('arch', GOLDEN)
def test_golden_embedding_of_the_released_code(arch):
    mean, values = GOLDEN[arch]
    model = reid_model(arch).eval()
    fill_with_sines(model, {name: released for released, name in released_layout(arch).items()})
    with torch.no_grad():
        embedding = model(sine_images(2, 64, 32))
    assert embedding.double().mean().item() == pytest.approx(mean, rel=1e-4)
    assert embedding[0, :5].tolist() == pytest.approx(values, rel=1e-4, abs=1e-4 * mean)


def released_model(name: str) -> torch.nn.Module:
    """The released code's network with random weights and batch statistics."""
    models = pytest.importorskip('torchreid.reid.models', reason="needs the extra 'peer'")
    torch.manual_seed(0)
    peer = models.build_model(name, num_classes=7, loss='softmax', pretrained=False)
    for module in peer.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, (torch.nn.modules.batchnorm._BatchNorm, torch.nn.InstanceNorm2d)):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return peer


@cache
def kept_models(name: str, arch: str, widen_factor: float) -> tuple[torch.nn.Module, torch.nn.Module]:
    peer, ours = released_model(name), reid_model(arch, widen_factor)
    ours.load_state_dict(from_torchreid(peer.state_dict(), keep_classifier=True)[0], strict=True)
    return peer, ours


def both_models(name: str, arch: str, widen_factor: float) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The released code's network and ours of equal weights, to do with as one likes."""
    return copy.deepcopy(kept_models(name, arch, widen_factor))


@pytest.mark.parametrize(('name', 'arch', 'widen_factor'), VARIANTS)
@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning', 'ignore::FutureWarning')
class TestReleasedCode:
    """Equality with the released code."""

    def test_layout(self, name, arch, widen_factor):
        peer, _ = both_models(name, arch, widen_factor)
        model = describe_released(peer.state_dict())
        assert (model.arch, model.widen_factor) == (arch, widen_factor)
        assert list(peer.state_dict()) == list(released_layout(arch))

    @pytest.mark.parametrize(('height', 'width'), [(256, 128), (97, 43)])
    def test_maps_embeddings_and_logits_in_single_precision(self, name, arch, widen_factor, height, width):
        peer, ours = both_models(name, arch, widen_factor)
        images = torch.randn(2, 3, height, width)
        with torch.no_grad():
            feature_map = peer.eval().featuremaps(images)
            # Each side's own rounding, after five instance normalisations.
            torch.testing.assert_close(ours.eval().backbone(images)[-1], feature_map, rtol=1e-5, atol=2e-5)
            embedding = peer(images)
            torch.testing.assert_close(ours(images), embedding, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(
                ours.head.classifier(ours(images)), peer.classifier(embedding), rtol=1e-5, atol=1e-5
            )

    def test_a_training_step(self, name, arch, widen_factor):
        # In double precision a difference is one of the formula, not of the order of summation.
        peer, ours = (model.double().train() for model in both_models(name, arch, widen_factor))
        # Sides that no stride divides.
        images, labels = torch.randn(4, 3, 71, 43, dtype=torch.float64), torch.tensor([0, 3, 3, 6])
        logits = ours.head.classifier(ours(images))
        peer_logits = peer(images)
        torch.testing.assert_close(logits, peer_logits, rtol=1e-9, atol=1e-9)
        for scores in (logits, peer_logits):
            torch.nn.functional.cross_entropy(scores, labels).backward()
        expected = from_torchreid(OrderedDict(peer.state_dict()), keep_classifier=True)[0]
        for key, value in ours.state_dict().items():
            # Running statistics have moved, parameters have not yet.
            torch.testing.assert_close(value, expected[key], rtol=1e-9, atol=1e-9)
        layout = released_layout(arch)
        gradients = {layout[key]: parameter.grad for key, parameter in peer.named_parameters()}
        for key, parameter in ours.named_parameters():
            torch.testing.assert_close(parameter.grad, gradients[key], rtol=1e-7, atol=1e-9)
        for model in (ours, peer):
            torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4).step()
            model.eval()
        with torch.no_grad():
            torch.testing.assert_close(ours(images), peer(images), rtol=1e-7, atol=1e-7)

    def test_goes_back_into_the_released_code(self, name, arch, widen_factor):
        peer, ours = both_models(name, arch, widen_factor)
        other = copy.deepcopy(peer)
        for parameter in other.parameters():
            torch.nn.init.zeros_(parameter)
        other.load_state_dict(to_torchreid(ours.state_dict())[0], strict=True)
        found = other.state_dict()
        assert all(torch.equal(value, found[key]) for key, value in peer.state_dict().items())
