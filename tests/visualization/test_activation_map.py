import cv2
import numpy as np
import pytest
import torch

from mmosnet.visualization.activation_map import (
    GAP,
    HEIGHT,
    LINE,
    TITLE,
    MappedImage,
    activation_maps,
    draw_activation_sheet,
    overlay,
    save_activation_sheet,
)


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
    grey = np.full((64, 32, 3), 128, np.uint8)
    picture = overlay(grey, activation_maps(features)[0]).astype(int)
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


def test_sheet_has_a_row_an_image_and_a_column_a_stage(images):
    sheet = draw_activation_sheet(images)
    header = TITLE + LINE
    assert sheet.shape == (header + 2 * (HEIGHT + LINE + GAP), GAP + 3 * (HEIGHT + GAP), 3)
    titled = draw_activation_sheet(images, ['a title'])
    np.testing.assert_array_equal(titled[header + TITLE :], sheet[header:])
    second, third = GAP + (HEIGHT + GAP), GAP + 2 * (HEIGHT + GAP)
    # The tall image keeps its shape, half as wide as high, and the rest of its place stays white.
    assert (sheet[header + 5, GAP + 5] == 200).all()
    assert (sheet[header : header + HEIGHT, GAP + HEIGHT // 2 : second] == 255).all()
    bottom = sheet[header + HEIGHT - 10].astype(int).sum(1)
    # Bright at the bottom left of the early stage; dark beside, and all over the flat map.
    assert bottom[second + 10] > 1.5 * max(bottom[second + HEIGHT // 2 - 10], bottom[third + 10])
    # A name that is too long stays within the sheet.
    assert (sheet[:, -GAP:] == 255).all()


def test_saved_file_reads_back(images, tmp_path):
    path = save_activation_sheet(images, tmp_path / 'new' / 'sheet.png')
    np.testing.assert_array_equal(cv2.imread(str(path)), draw_activation_sheet(images))
