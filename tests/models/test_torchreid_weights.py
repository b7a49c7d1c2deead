import pytest
import torch
from mmengine.runner.checkpoint import load_checkpoint
from mmpretrain.registry import MODELS

from mmosnet.models.torchreid_weights import from_torchreid, rename_released_key


def reid_model(widen_factor: float) -> torch.nn.Module:
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='OSNet', widen_factor=widen_factor),
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


def released_layout() -> dict[str, str]:
    """Released name of every entry of our model: the naming of the released code, written out."""
    names = {}
    norm = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')

    def layer(released, ours):
        names[f'{ours}.conv.weight'] = f'{released}.conv.weight'
        names.update({f'{ours}.bn.{n}': f'{released}.bn.{n}' for n in norm})

    layer('conv1', 'backbone.stem.0')
    for stage in range(3):
        for block in range(2):
            released, ours = f'conv{stage + 2}.{block}', f'backbone.stages.{stage}.{block}'
            layer(f'{released}.conv1', f'{ours}.reduce')
            layer(f'{released}.conv3', f'{ours}.expand')
            if block == 0:
                layer(f'{released}.downsample', f'{ours}.shortcut')
            for gate, fc in (('squeeze', 'fc1'), ('excite', 'fc2')):
                for kind in ('weight', 'bias'):
                    names[f'{ours}.gate.{gate}.{kind}'] = f'{released}.gate.{fc}.{kind}'
            for stream, letter in enumerate('abcd'):
                for depth in range(stream + 1):
                    lite = f'{released}.conv2{letter}' + (f'.{depth}' if stream else '')
                    mine = f'{ours}.streams.{stream}.{depth}'
                    names[f'{mine}.pointwise.weight'] = f'{lite}.conv1.weight'
                    names[f'{mine}.depthwise.conv.weight'] = f'{lite}.conv2.weight'
                    names.update({f'{mine}.depthwise.bn.{n}': f'{lite}.bn.{n}' for n in norm})
    for stage in range(2):
        layer(f'conv{stage + 2}.2.0', f'backbone.transitions.{stage}')
    layer('conv5', 'backbone.final_conv')
    names.update({f'neck.fc.{kind}': f'fc.0.{kind}' for kind in ('weight', 'bias')})
    names.update({f'neck.norm.{n}': f'fc.1.{n}' for n in norm})
    names.update({f'head.classifier.{kind}': f'classifier.{kind}' for kind in ('weight', 'bias')})
    return names


def test_every_entry_has_its_released_name():
    layout = released_layout()
    model = reid_model(0.25)
    assert set(model.state_dict()) == set(layout)
    assert len(layout) == 567
    assert {rename_released_key(released): released for released in layout.values()} == layout


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('wrapped', [False, True])
def test_scheme_loads_a_released_file(tmp_path, monkeypatch, prefix, wrapped):
    source, target = reid_model(0.25), reid_model(0.25)
    layout = released_layout()
    released = {prefix + layout[name]: value for name, value in source.state_dict().items()}
    torch.save({'state_dict': released, 'epoch': 3} if wrapped else released, tmp_path / 'osnet_x0_25_imagenet.pth')
    monkeypatch.setenv('MMOSNET_WEIGHTS', str(tmp_path))
    before = target.head.classifier.weight.clone()
    load_checkpoint(target, 'torchreid://osnet_x0_25_imagenet')
    for name, value in target.state_dict().items():
        if not name.startswith('head.'):
            assert torch.equal(value, source.state_dict()[name]), name
    # The identities of another data set are no use.
    assert torch.equal(target.head.classifier.weight, before)


def test_missing_file_tells_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv('MMOSNET_WEIGHTS', str(tmp_path))
    with pytest.raises(FileNotFoundError) as error:
        load_checkpoint(reid_model(0.25), 'torchreid://osnet_x1_0_imagenet')
    for part in ('osnet_x1_0_imagenet.pth', 'MODEL_ZOO', 'MMOSNET_WEIGHTS', 'osnet_reid_market_scratch.py'):
        assert part in str(error.value)


def test_unknown_key_is_named():
    with pytest.raises(ValueError, match=r"'layer1.0.conv1.weight' is no entry"):
        from_torchreid({'layer1.0.conv1.weight': torch.zeros(1)})


@pytest.mark.parametrize(('name', 'widen_factor'), [('osnet_x1_0', 1.0), ('osnet_x0_25', 0.25)])
@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning', 'ignore::FutureWarning')
def test_equals_the_released_code(name, widen_factor):
    models = pytest.importorskip('torchreid.reid.models', reason="needs the extra 'peer'")
    torch.manual_seed(0)
    peer = models.build_model(name, num_classes=7, loss='softmax', pretrained=False)
    ours = reid_model(widen_factor)
    for module in peer.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    ours.load_state_dict(from_torchreid(peer.state_dict()), strict=False)
    ours.head.classifier.load_state_dict(peer.classifier.state_dict())
    # In double precision a difference is one of the formula, not of the order of summation.
    peer.double(), ours.double()
    for height, width in ((256, 128), (97, 43)):
        images = torch.randn(2, 3, height, width, dtype=torch.float64)
        with torch.no_grad():
            maps = peer.eval().featuremaps(images)
            torch.testing.assert_close(ours.eval().backbone(images)[-1], maps, rtol=1e-8, atol=1e-8)
            torch.testing.assert_close(ours(images), peer(images), rtol=1e-8, atol=1e-8)
    peer.train(), ours.train()
    images = torch.randn(4, 3, 64, 32, dtype=torch.float64)
    logits = ours.head.classifier(ours(images))
    torch.testing.assert_close(logits, peer(images), rtol=1e-8, atol=1e-8)
