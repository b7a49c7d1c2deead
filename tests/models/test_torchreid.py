from __future__ import annotations

import copy
import hashlib
import io
import sys
from collections import OrderedDict
from functools import cache
from pathlib import Path

import mmpretrain
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.runner.checkpoint import load_checkpoint
from mmpretrain.registry import MODELS

from mmosnet.apis import PersonInferencer
from mmosnet.engine.safe_checkpoint import install_safe_checkpoints
from mmosnet.errors import DataError
from mmosnet.models import OSNet
from mmosnet.models.build import load_model
from mmosnet.models.checkpoints import read_checkpoint
from mmosnet.models.torchreid import (
    KNOWN_SHA256,
    RELEASED_FILES,
    describe_released,
    download_released,
    find_released,
    from_torchreid,
    read_released,
    recognize,
    released_layout,
    to_torchreid,
)
from tests.models.deterministic_weights import fill_with_sines, sine_images
from tests.models.loopback_hub import loopback_hub

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
            # Each side's own rounding, after five instance normalizations.
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


NAME = 'osnet_x0_25_imagenet'
CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


@pytest.fixture(autouse=True)
def empty_machine(tmp_path, monkeypatch):
    """There are no weights on the disk, and no host can be reached."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('MMOSNET_WEIGHTS', raising=False)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    # No retries on the way to an address where nobody answers.
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)


def released_bytes(**changes) -> bytes:
    file = io.BytesIO()
    torch.save(released_state() | changes, file)
    return file.getvalue()


def save(path: Path, checkpoint: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, path)
    return path


@pytest.mark.parametrize('place', ['weights/NAME.pth', 'checkpoints/NAME.pth', 'cache/checkpoints/NAME.pth'])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_scheme_loads_a_released_file_from_every_place(tmp_path, monkeypatch, place, prefix):
    if place.startswith('weights'):
        monkeypatch.setenv('MMOSNET_WEIGHTS', str(tmp_path / 'weights'))
    source = reid_model()
    released = released_state()
    state = {prefix + key: value for key, value in released.items()}
    save(tmp_path / place.replace('NAME', NAME), {'state_dict': state, 'epoch': 3, 'rank1': 0.9} if prefix else state)
    before = source.head.classifier.weight.clone()
    load_checkpoint(source, f'torchreid://{NAME}')
    assert torch.equal(source.backbone.stem[0].conv.weight, released['conv1.conv.weight'])
    assert torch.equal(source.neck.fc.weight, released['fc.0.weight'])
    # The identities of another data set are no use.
    assert torch.equal(source.head.classifier.weight, before)


@pytest.mark.parametrize('suffix', ['.pth', '.pth.tar', '.pyth', '.pt'])
def test_own_file_by_name_stem_and_path(tmp_path, suffix):
    path = save(tmp_path / f'checkpoints/mine{suffix}', released_state())
    assert find_released('mine').samefile(path) and find_released(f'mine{suffix}').samefile(path)
    assert find_released(str(path)) == path
    assert find_released(f'checkpoints/mine{suffix}').samefile(path)


def test_pretrained_backbone_from_the_scheme(tmp_path):
    released = released_state()
    save(tmp_path / f'checkpoints/{NAME}.pth', released)
    model = OSNet(widen_factor=0.25, init_cfg=dict(type='Pretrained', checkpoint=f'torchreid://{NAME}'))
    model.init_weights()
    assert torch.equal(model.final_conv.conv.weight, released['conv5.conv.weight'])
    wider = OSNet(widen_factor=0.5, init_cfg=dict(type='Pretrained', checkpoint=f'torchreid://{NAME}'))
    with pytest.raises(ValueError, match=f'torchreid://{NAME} does not fit this OSNet'):
        wider.init_weights()


def test_short_name_finds_the_long_one(tmp_path):
    path = save(tmp_path / 'checkpoints' / RELEASED_FILES['osnet_x1_0_market1501'], released_state())
    assert path.name.startswith('osnet_x1_0_market_256x128_amsgrad_ep150_stp60')
    assert find_released('osnet_x1_0_market1501').samefile(path)


def test_known_hashes_belong_to_released_files():
    assert set(KNOWN_SHA256) <= set(RELEASED_FILES)
    assert len(RELEASED_FILES) == 4 + 2 + 3 + 4 * 4 + 3 + 3 + 12


def test_unknown_name_suggests_known_ones(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r'no file osnet_x1_0_imagnet here or in .*osnet_x1_0_imagenet'):
        find_released('osnet_x1_0_imagnet')
    with pytest.raises(FileNotFoundError, match=r'released are .*osnet_ain_x1_0_msmt17'):
        find_released('resnet50')
    with pytest.raises(FileNotFoundError, match='no file weights/missing'):
        find_released('weights/missing.pth')
    with pytest.raises(FileNotFoundError, match='needs a name'):
        find_released('')
    monkeypatch.setenv('MMOSNET_WEIGHTS', str(tmp_path / 'nowhere'))
    with pytest.raises(FileNotFoundError, match=r'MMOSNET_WEIGHTS=.*nowhere is no folder'):
        find_released('osnet_x1_0_imagenet')


def test_the_name_is_held_against_the_content(tmp_path):
    save(tmp_path / 'checkpoints' / RELEASED_FILES['osnet_x1_0_market1501'], released_state())
    with pytest.raises(ValueError, match=r'should be osnet_x1_0_market1501, and holds OSNet x0\.25'):
        read_released('osnet_x1_0_market1501')
    save(tmp_path / 'checkpoints' / 'osnet_ain_x0_25_imagenet.pyth', released_state('osnet_ain'))
    assert read_released('osnet_ain_x0_25_imagenet')[1].arch == 'osnet_ain'


def test_what_torchreid_saves_while_training_is_read(tmp_path):
    save(tmp_path / 'model.pth.tar-250', dict(state_dict=released_state(), epoch=250, rank1=0.9, optimizer={}))
    assert read_released('model.pth.tar-250')[1].widen_factor == 0.25


def test_a_broken_file_is_named(tmp_path):
    path = save(tmp_path / 'checkpoints/mine.pth', released_state() | {'extra': torch.zeros(1)})
    with pytest.raises(ValueError, match=f"{path.name}: OSNet x0.25: 1 unknown entries, the first 'extra'"):
        read_released('mine')


WRAPPERS = {
    '': lambda state: state,
    'state_dict': lambda state: dict(state_dict=state, epoch=250, rank1=0.9, optimizer=dict(state={0: dict(step=1)})),
    'model': lambda state: dict(model=state, epoch=3),
    'net': lambda state: dict(net=state),
    'ema': lambda state: dict(optimizer=dict(state={}), ema=state),
    'model.state_dict': lambda state: dict(model=dict(state_dict=state)),
}
PREFIXES = ('', 'module.', 'model.', '_orig_mod.', 'backbone.', 'module.model.', '_orig_mod.module.')


def logged(monkeypatch) -> list[str]:
    """The lines that are logged from here on."""
    lines = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'info', lines.append)
    return lines


# Every wrapper and every prefix, some of both, and what the scheme reads in the same way.
CASES = [('', wrapper, '') for wrapper in WRAPPERS]
CASES += [('', '', prefix) for prefix in PREFIXES[1:]]
CASES += [('', 'state_dict', 'module.'), ('', 'net', '_orig_mod.module.'), ('torchreid://', 'ema', 'module.model.')]


@pytest.mark.parametrize(('scheme', 'wrapper', 'prefix'), CASES)
def test_a_file_is_recognized_whatever_is_around_its_weights(tmp_path, monkeypatch, scheme, wrapper, prefix):
    released = released_state()
    state = {prefix + key: value for key, value in released.items()}
    source = scheme + str(save(tmp_path / 'osnet.pth', WRAPPERS[wrapper](state)))
    lines = logged(monkeypatch)
    found = read_checkpoint(source).state
    expected, _ = from_torchreid(released)
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    (line,) = [line for line in lines if 'OSNet' in line]
    assert 'OSNet x0.25' in line and 'classifier of 7 classes' in line
    assert all(part in line for part in prefix.split('.'))
    if wrapper not in ('', 'state_dict'):
        assert f'under {wrapper}' in line


@pytest.mark.parametrize('layout', ['released', 'ours'])
def test_counters_of_batches_may_be_missing(tmp_path, layout):
    state = released_state() if layout == 'released' else from_torchreid(released_state())[0]
    old = {key: value for key, value in state.items() if not key.endswith('num_batches_tracked')}
    found = read_checkpoint(str(save(tmp_path / 'old.pth', old))).state
    expected = from_torchreid(released_state())[0]
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], torch.tensor(0) if name.endswith('num_batches_tracked') else value)


def test_what_stands_beside_the_network_is_left_out_and_told(tmp_path, monkeypatch):
    state = {f'module.{key}': value for key, value in released_state().items()} | {'n_averaged': torch.tensor(3)}
    path = save(tmp_path / 'average.pth', state)
    lines = logged(monkeypatch)
    assert len(read_checkpoint(str(path)).state) == 565
    assert any("'n_averaged'" in line for line in lines)
    # Not where nothing tells what belongs to the network.
    path = save(tmp_path / 'more.pth', released_state() | {'extra': torch.zeros(1)})
    with pytest.raises(DataError, match=r"more\.pth: OSNet x0\.25: .* 'extra'"):
        read_checkpoint(str(path))


def test_a_file_that_is_not_whole_is_named_without_the_scheme_too(tmp_path):
    install_safe_checkpoints()
    state = released_state()
    del state['conv3.1.gate.fc1.bias']
    with pytest.raises(DataError, match=r"part\.pth: OSNet x0\.25: .* 'conv3\.1\.gate\.fc1\.bias'"):
        load_checkpoint(reid_model(), str(save(tmp_path / 'part.pth', state)))


def test_other_checkpoints_stay_what_they_are():
    ours = reid_model().state_dict()
    for checkpoint in (
        dict(state_dict=ours, meta=dict(epoch=3), optimizer=dict(state={0: 1}), message_hub={}),
        dict(state_dict={'backbone.layer1.0.conv1.weight': torch.zeros(1)}, ema=released_state()),
        {key.removeprefix('backbone.'): value for key, value in ours.items() if key.startswith('backbone.')},
        {'conv1.weight': torch.zeros(1)},
        [released_state()],
    ):
        assert recognize(checkpoint, 'a.pth') is checkpoint


@pytest.mark.parametrize(('wrapper', 'prefix'), [('', 'model.'), ('state_dict', '_orig_mod.'), ('model', 'module.')])
def test_our_own_weights_inside_of_other_programs(tmp_path, wrapper, prefix):
    state = reid_model().state_dict()
    wrapped = WRAPPERS[wrapper]({prefix + key: value for key, value in state.items()})
    found = read_checkpoint(str(save(tmp_path / 'ours.pth', wrapped))).state
    assert set(found) == set(state) and all(torch.equal(found[name], state[name]) for name in state)


@pytest.fixture(scope='module')
def peers_file(tmp_path_factory) -> tuple[Path, torch.Tensor, torch.Tensor]:
    """A network that the released code built and saved, images, and what it makes of them."""
    peer = released_model('osnet_x0_25').eval()
    images = torch.randn(2, 3, 128, 64)
    with torch.no_grad():
        embeddings = peer(images)
    state = {f'module.{key}': value for key, value in peer.state_dict().items()}
    return (
        save(tmp_path_factory.mktemp('peer') / 'model.pth.tar-150', dict(state_dict=state, epoch=150)),
        images,
        embeddings,
    )


def by_config(file):
    cfg = Config.fromfile(CONFIGS / 'osnet_x0_25_reid_market.py')
    return load_model(cfg, file, testing=True)


def by_inferencer(file):
    return PersonInferencer('osnet-x0.25_reid-market1501', pretrained=file, device='cpu').model


def by_get_model(file):
    return mmpretrain.get_model('osnet-x0.25_reid-market1501', pretrained=file)


def by_init_cfg(file):
    cfg = Config.fromfile(CONFIGS / 'osnet_x0_25_reid_market.py').model
    cfg.init_cfg = dict(type='Pretrained', checkpoint=file)
    return initialized(cfg)


def by_init_cfg_of_the_parts(file):
    cfg = Config.fromfile(CONFIGS / 'osnet_x0_25_reid_market.py').model
    cfg.backbone.init_cfg = dict(type='Pretrained', checkpoint=file)
    cfg.neck.init_cfg = dict(type='Pretrained', checkpoint=file, prefix='neck.')
    return initialized(cfg)


def initialized(cfg):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg)
    model.init_weights()
    return model


def by_runner(file):
    cfg = Config.fromfile(CONFIGS / 'osnet_x0_25_reid_market.py')
    # Nothing is trained or tested: load_or_resume is what both begin with.
    options = dict(default_scope='mmpretrain', custom_hooks=[dict(type='mmosnet.CheckpointFitHook')], load_from=file)
    runner = Runner(model=cfg.model, work_dir=str(Path(file).parent / 'run'), experiment_name='released', **options)
    runner.load_or_resume()
    return runner.model


LOADERS = (by_config, by_inferencer, by_get_model, by_init_cfg, by_init_cfg_of_the_parts, by_runner)


@pytest.mark.parametrize('load', LOADERS, ids=lambda load: load.__name__)
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_the_embeddings_are_the_released_codes(peers_file, load):
    # For what loads by mmengine's functions alone.
    install_safe_checkpoints()
    path, images, expected = peers_file
    model = load(str(path)).eval()
    with torch.no_grad():
        # Each side's own rounding, in single precision.
        torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings('ignore::UserWarning')
def test_another_released_network_does_not_fit(peers_file):
    cfg = Config.fromfile(CONFIGS / 'osnet_reid_market.py')
    with pytest.raises(DataError, match=r'model\.pth\.tar-150 does not fit the model'):
        load_model(cfg, str(peers_file[0]), testing=True)


def test_unreachable_file_tells_how_to_get_it():
    with pytest.raises(FileNotFoundError) as error:
        load_checkpoint(reid_model(), 'torchreid://osnet_x1_0_imagenet')
    for part in (
        'osnet_x1_0_imagenet.pth',
        'MODEL_ZOO',
        'huggingface.co',
        'MMOSNET_WEIGHTS',
        'osnet_reid_market_scratch.py',
    ):
        assert part in str(error.value)


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    with pytest.raises(FileNotFoundError, match='pip install huggingface_hub'):
        find_released('osnet_x1_0_imagenet')


@pytest.fixture
def online(monkeypatch):
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', False)


def test_download_appears_whole_and_once(tmp_path, online):
    content = released_bytes()
    with loopback_hub({f'{NAME}.pth': content}) as (endpoint, requests):
        path = download_released(NAME, tmp_path / 'cache/checkpoints', endpoint)
        assert path.read_bytes() == content
        # From the cache the second time.
        asked = len(requests)
        assert asked and read_released(NAME)[1].widen_factor == 0.25
        assert len(requests) == asked
    digest = path.with_name(f'{path.name}.sha256')
    assert sorted(path.parent.iterdir()) == [path, digest]
    # Damage in the cache: old formats have no checksums of their own.
    assert digest.read_text() == f'{hashlib.sha256(content).hexdigest()}  {path.name}\n'
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match=f'{path.name}.*SHA-256'):
        read_released(NAME)


@pytest.mark.parametrize(
    ('hub', 'error', 'message'),
    [
        (dict(sent={f'{NAME}.pth': released_bytes()[:-4] + b'\0\0\0\0'}), ValueError, 'SHA-256 .* instead of'),
        (dict(sent={f'{NAME}.pth': released_bytes()[:-400]}), FileNotFoundError, 'cannot download.*size.*By hand'),
        (dict(files={}), FileNotFoundError, 'cannot download.*404.*By hand'),
    ],
)
def test_a_damaged_download_leaves_nothing(tmp_path, online, hub, error, message):
    with (
        loopback_hub(**{'files': {f'{NAME}.pth': released_bytes()}, **hub}) as (endpoint, _),
        pytest.raises(error, match=message),
    ):
        download_released(NAME, tmp_path / 'folder', endpoint)
    assert list((tmp_path / 'folder').iterdir()) == []


def test_a_known_hash_overrules_the_hub(tmp_path, online):
    name = 'osnet_x0_25_msmt17_combineall'
    with (
        loopback_hub({RELEASED_FILES[name]: released_bytes()}) as (endpoint, _),
        pytest.raises(ValueError, match=KNOWN_SHA256[name]),
    ):
        download_released(name, tmp_path / 'folder', endpoint)


def test_a_folder_that_cannot_be_made_is_told(tmp_path, online):
    (tmp_path / 'file').write_text('')
    with pytest.raises(FileNotFoundError, match=r'cannot download.*By hand'):
        download_released(NAME, tmp_path / 'file' / 'checkpoints')
    with pytest.raises(FileNotFoundError, match=r'cannot download.*By hand'):
        download_released(NAME, tmp_path / 'folder', endpoint='nonsense')


def test_what_stands_beside_the_weights_is_kept_or_named():
    ours = {f'module.backbone.{name}': value for name, value in OSNet(widen_factor=0.25).state_dict().items()}
    checkpoint = dict(state_dict=ours, meta=dict(dataset_meta=dict(attributes=['hat'])), loss=torch.tensor(3.0))
    assert recognize(checkpoint, 'a.pth')['meta'] == checkpoint['meta']
    # A name that is no text.
    found = recognize(released_state() | {5: torch.zeros(1)}, 'b.pth')
    assert found['state_dict'].keys() == recognize(released_state(), 'c.pth')['state_dict'].keys()
