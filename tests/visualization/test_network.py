from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.model import BaseDataPreprocessor
from torch import nn

from mmosnet.drawing.sheets import TITLE_LINE
from mmosnet.errors import DataError
from mmosnet.models import OSNet
from mmosnet.models.osnet import FUSIONS
from mmosnet.visualization.network import (
    GAP,
    HEIGHT,
    LINE,
    GateWeights,
    MappedImage,
    activation_maps,
    all_maps,
    backbone_of,
    channel_weights,
    draw_activation_sheet,
    draw_gate_weights,
    overlay,
    recorded_gates,
    stream_names,
    view_image,
)


def test_all_maps_whatever_is_requested():
    torch.manual_seed(0)
    x = torch.randn(1, 3, 64, 32)
    backbone = OSNet(widen_factor=0.25).eval()
    with torch.no_grad():
        maps = all_maps(backbone, x)
        assert backbone.out_indices == (3,)
        assert torch.equal(maps['final_conv'], backbone(x)[0])
        backbone.out_indices = (1,)
        assert torch.equal(maps['stages.1'], backbone(x)[0])
    shapes = {name: tuple(value.shape) for name, value in maps.items()}
    assert shapes == {
        'stages.0': (1, 64, 16, 8),
        'stages.1': (1, 96, 8, 4),
        'stages.2': (1, 128, 4, 2),
        'final_conv': (1, 128, 4, 2),
    }
    assert list(all_maps(OSNet(widen_factor=0.25, out_indices=(1,)).eval(), x)) == ['stages.0', 'stages.1']


def test_requested_maps_are_restored_after_an_error():
    backbone = OSNet(widen_factor=0.25).eval()
    with pytest.raises(RuntimeError):
        all_maps(backbone, torch.randn(1, 3, 4, 4))
    assert backbone.out_indices == (3,)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.data_preprocessor = BaseDataPreprocessor()
        self.backbone = OSNet(widen_factor=0.25)


def test_view_shows_the_image_that_the_network_saw():
    image = torch.randint(0, 256, (3, 64, 32), dtype=torch.uint8)
    record = dict(img_path='a.jpg', pid=3)

    def pipeline(results):
        results['changed'] = True
        return dict(inputs=image, data_samples=None)

    model = Model().eval()
    model.data_preprocessor.forward = lambda batch, training: dict(inputs=batch['inputs'].float())
    view = view_image(model, pipeline, record)
    assert record == dict(img_path='a.jpg', pid=3)
    assert view.mapped.name == 'a.jpg'
    np.testing.assert_array_equal(view.mapped.image, image.permute(1, 2, 0).numpy())
    assert [m.shape for m in view.mapped.maps.values()] == [(16, 8), (8, 4), (4, 2), (4, 2)]
    assert all(m.min() == 0 and m.max() == 1 for m in view.mapped.maps.values())
    assert len(view.gates) == 6


def test_another_backbone_is_refused():
    model = nn.Module()
    model.backbone = nn.Linear(1, 1)
    with pytest.raises(DataError, match='backbone is Linear'):
        backbone_of(model)


def test_maps_are_the_squares_summed_and_stretched_for_each_image():
    features = torch.randn(3, 5, 4, 2)
    maps = activation_maps(features)
    assert maps.shape == (3, 4, 2) and maps.dtype == np.float32
    for image in range(3):
        energy = np.array(
            [[sum(features[image, c, y, x].item() ** 2 for c in range(5)) for x in (0, 1)] for y in range(4)]
        )
        np.testing.assert_allclose(maps[image], (energy - energy.min()) / (energy.max() - energy.min()), atol=1e-5)


def test_an_image_without_differences_is_all_zero():
    assert (activation_maps(torch.full((1, 3, 4, 2), 7.0)) == 0).all()


def test_planted_activation_is_bright_at_its_place_and_dark_elsewhere():
    features = torch.zeros(1, 4, 8, 4)
    features[0, 2, 1, 3] = -5  # top right
    gray = np.full((64, 32, 3), 128, np.uint8)
    picture = overlay(gray, activation_maps(features)[0]).astype(int)
    assert picture.shape == (64, 32, 3)
    # Row 1 of 8, column 3 of 4: the middle of its cell is at (12, 28).
    assert picture[12, 28].sum() > 3 * 128 > picture[56, 4].sum()
    brightness = picture.sum(2)
    y, x = np.unravel_index(brightness.argmax(), brightness.shape)
    assert 8 <= y < 16 and 24 <= x < 32


@pytest.fixture
def images():
    spot, flat = np.zeros((4, 2), np.float32), np.zeros((2, 1), np.float32)
    spot[3, 0] = 1
    tall = MappedImage('tall.jpg', np.full((64, 32, 3), 200, np.uint8), dict(early=spot, late=flat))
    square = MappedImage('folder/' * 40 + 'square.jpg', np.full((300, 300, 3), 100, np.uint8), tall.maps)
    return [tall, square]


def test_sheet_has_a_row_per_image_and_a_column_per_stage(images):
    sheet = draw_activation_sheet(images)
    header = TITLE_LINE + LINE
    assert sheet.shape == (header + 2 * (HEIGHT + LINE + GAP), GAP + 3 * (HEIGHT + GAP), 3)
    titled = draw_activation_sheet(images, ['a title'])
    np.testing.assert_array_equal(titled[header + TITLE_LINE :], sheet[header:])
    second, third = GAP + (HEIGHT + GAP), GAP + 2 * (HEIGHT + GAP)
    # The tall image keeps its shape, half as wide as high, and the rest of its place stays white.
    assert (sheet[header + 5, GAP + 5] == 200).all()
    assert (sheet[header : header + HEIGHT, GAP + HEIGHT // 2 : second] == 255).all()
    bottom = sheet[header + HEIGHT - 10].astype(int).sum(1)
    # Bright at the bottom left of the early stage; dark beside, and all over the flat map.
    assert bottom[second + 10] > 1.5 * max(bottom[second + HEIGHT // 2 - 10], bottom[third + 10])
    # A name that is too long stays within the sheet.
    assert (sheet[:, -GAP:] == 255).all()


WEIGHTED = ('unified_gate', 'separate_gates', 'stream_gate', 'fixed_gate')


def randomized(**options):
    torch.manual_seed(0)
    backbone = OSNet(widen_factor=0.5, **options).eval()
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if '.gate.' in name:
                parameter.normal_()
    return backbone


@pytest.mark.parametrize('fusion', WEIGHTED)
def test_weights_of_a_fusion_without_content(fusion):
    gate = FUSIONS[fusion](16, 3)
    for parameter in gate.parameters():
        torch.nn.init.zeros_(parameter)
    # The sigmoid of 0.
    torch.testing.assert_close(channel_weights(gate, list(torch.randn(3, 2, 16, 4, 2))), torch.full((2, 3, 16), 0.5))


def test_weights_by_hand():
    torch.manual_seed(0)
    gate = FUSIONS['unified_gate'](16, 2)
    streams = list(torch.rand(2, 3, 16, 4, 2))
    found = channel_weights(gate, streams)
    assert found.shape == (3, 2, 16)
    for t, stream in enumerate(streams):
        for n in range(3):
            pooled = stream[n].mean((1, 2))
            hidden = (gate.squeeze.weight[:, :, 0, 0] @ pooled + gate.squeeze.bias).clamp(min=0)
            weights = torch.sigmoid(gate.excite.weight[:, :, 0, 0] @ hidden + gate.excite.bias)
            torch.testing.assert_close(found[n, t], weights)


@pytest.mark.parametrize('fusion', WEIGHTED)
def test_recorded_weights_are_those_with_which_the_network_computes(fusion):
    backbone = randomized(fusion=fusion)
    x = torch.randn(2, 3, 64, 32)
    block = backbone.stages[1][0]
    kept = {}
    block.register_forward_hook(lambda module, inputs, output: kept.update(inputs=inputs[0]))
    with torch.no_grad(), recorded_gates(backbone) as gates:
        (with_hooks,) = backbone(x)
    assert list(gates) == ['stages.0.0', 'stages.0.1', 'stages.1.0', 'stages.1.1', 'stages.2.0', 'stages.2.1']
    assert [weights.shape[2] for weights in gates.values()] == [32, 32, 48, 48, 64, 64]
    assert all(weights.shape[:2] == (2, 4) for weights in gates.values())
    with torch.no_grad():
        reduced = block.reduce(kept['inputs'])
        streams = [stream(reduced) for stream in block.streams]
        for t, weight in enumerate(block.gate.weights(streams)):
            for n in range(2):
                one = weight[n] if weight.dim() == 4 else weight
                torch.testing.assert_close(gates['stages.1.0'][n, t], one.expand(48, 1, 1).flatten())
        # The hooks are gone, and never changed anything.
        gates.clear()
        assert torch.equal(backbone(x)[0], with_hooks) and not gates


@pytest.mark.parametrize('fusion', ['sum', 'concat'])
def test_fusions_without_weights_record_nothing(fusion):
    backbone = randomized(fusion=fusion)
    with torch.no_grad(), recorded_gates(backbone) as gates:
        backbone(torch.randn(1, 3, 64, 32))
    assert gates == {}


def test_streams_are_named_by_their_receptive_field():
    assert stream_names(OSNet(widen_factor=0.25)) == ['3x3', '5x5', '7x7', '9x9']
    assert stream_names(OSNet(widen_factor=0.25, num_streams=2, same_depth=True)) == ['5x5', '5x5']


@pytest.fixture
def weights():
    # Two images, (1, T streams, C channels) per block.
    records = [
        {
            'stages.0.0': torch.tensor([[[0.0, 0.2], [0.2, 0.4]]]),
            'stages.0.1': torch.tensor([[[0.3, 0.3], [0.5, 0.5]]]),
            'stages.1.0': torch.tensor([[[0.5, 0.6, 0.7], [0.7, 0.8, 0.9]]]),
        },
        {
            'stages.0.0': torch.tensor([[[0.3, 0.3], [0.3, 0.3]]]),
            'stages.0.1': torch.tensor([[[0.2, 0.8], [0.8, 0.2]]]),
            'stages.1.0': torch.tensor([[[0.6, 0.6, 0.6], [0.4, 0.4, 0.4]]]),
        },
    ]
    return GateWeights.of(['a.jpg', 'b.jpg'], ['3x3', '5x5'], records)


def test_stages_are_means_over_their_blocks(weights):
    assert weights.stages == ['stages.0', 'stages.1']
    expected = [[[0.2, 0.4], [0.6, 0.8]], [[0.4, 0.4], [0.6, 0.4]]]
    np.testing.assert_allclose(weights.by_stage, expected, atol=1e-7)


def test_contrast_sees_what_means_over_channels_hide(weights):
    # Two weights that lie d apart have a standard deviation of d / 2.
    np.testing.assert_allclose(weights.contrast, [[0.1, 0.1, 0.1], [0, 0.3, 0.1]], atol=1e-7)
    np.testing.assert_allclose(weights.by_block[1, 1], [0.5, 0.5], atol=1e-7)
    np.testing.assert_allclose(weights.mean_contrast, [0.125, 0.1], atol=1e-7)


def test_table_and_report_hold_mean_deviation_and_every_image(weights):
    lines = weights.table().splitlines()
    assert lines[0] == 'mean gate weight |              3x3 |              5x5 | contrast'
    assert lines[2] == 'stages.0         | 0.3000 +- 0.1000 | 0.4000 +- 0.0000 |   0.1250'
    assert lines[3] == 'stages.1         | 0.6000 +- 0.0000 | 0.6000 +- 0.2000 |   0.1000'
    assert len({len(line) for line in lines}) == 1
    report = weights.report()
    assert report['streams'] == ['3x3', '5x5']
    assert report['mean']['stages.1'] == pytest.approx([0.6, 0.6])
    assert report['std']['stages.1'] == pytest.approx([0, 0.2], abs=1e-7)
    assert report['contrast'] == pytest.approx({'stages.0': 0.125, 'stages.1': 0.1})
    assert [image['image'] for image in report['images']] == ['a.jpg', 'b.jpg']
    assert report['images'][1]['stages']['stages.0'] == pytest.approx([0.4, 0.4])
    assert report['images'][1]['blocks']['stages.0.1'] == pytest.approx([0.5, 0.5])
    assert report['images'][1]['contrast']['stages.0.1'] == pytest.approx(0.3)


def test_figure_shows_every_number(weights):
    pictures = [np.zeros((64, 32, 3), np.uint8), np.zeros((40, 40, 3), np.uint8)]
    figure = draw_gate_weights(weights, pictures)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    # Stage 0, first stream: 0.2 and 0.4 around a mean of 0.3; the second does not move.
    for text in ('0.300', '0.200\n-33.3%', '0.400\n+33.3%', '0.400\n0.0%', '0.800\n+33.3%'):
        assert text in texts, text
    figure.canvas.draw()


def test_figure_of_a_single_image_and_stream():
    single = GateWeights.of(['a.jpg'], ['3x3'], [{'stages.0.0': torch.tensor([[[0.5, 0.5]]])}])
    figure = draw_gate_weights(single, [np.zeros((64, 32, 3), np.uint8)])
    assert '0.500\n0.0%' in [text.get_text() for axes in figure.axes for text in axes.texts]
    figure.canvas.draw()
