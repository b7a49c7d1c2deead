import cv2
import numpy as np
import pytest

from mmosnet.datasets import Random2DTranslation, RandomPatch


def gradient(height=64, width=32):
    rows = np.linspace(0, 250, height).astype(np.uint8)
    return np.repeat(np.repeat(rows[:, None, None], width, 1), 3, 2)


def test_translation_cuts_the_old_size_out_of_the_enlarged_image():
    np.random.seed(0)
    image = gradient()
    large = cv2.resize(image, (36, 72), interpolation=cv2.INTER_LINEAR)
    offsets = set()
    for _ in range(50):
        moved = Random2DTranslation(prob=1)(dict(img=image))['img']
        assert moved.shape == image.shape
        found = [top for top in range(9) if np.array_equal(moved, large[top : top + 64, :32])]
        offsets.update(found)
        assert found
    # Both ends included.
    assert {0, 8} <= offsets


def test_translation_happens_as_often_as_said():
    np.random.seed(0)
    image = gradient()
    transform = Random2DTranslation(prob=0.3)
    changed = sum(transform(dict(img=image))['img'] is not image for _ in range(1000))
    assert 250 < changed < 350


class OneImage:
    def __init__(self, path):
        self.path = path

    def __len__(self):
        return 5

    def get_data_info(self, index):
        return dict(img_path=self.path)


@pytest.fixture
def white(tmp_path):
    path = tmp_path / 'white.png'
    cv2.imwrite(str(path), np.full((50, 20, 3), 255, np.uint8))
    return OneImage(str(path))


def test_patch_comes_from_another_image_with_an_area_in_range(white):
    np.random.seed(0)
    image = np.zeros((64, 32, 3), np.uint8)
    shares = []
    for _ in range(200):
        result = RandomPatch(prob=1, area=(0.05, 0.2), rotate_prob=0)(dict(img=image, dataset=white))
        pasted = (result['img'] == 255).all(2)
        shares.append(pasted.mean())
        rows, columns = np.nonzero(pasted)
        # A full rectangle.
        assert pasted[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
    assert min(shares) > 0.03 and max(shares) < 0.24
    assert image.max() == 0, 'the input must stay as it was'


def test_patch_is_a_function_of_the_random_state(white):
    image = gradient()
    results = []
    for _ in range(2):
        np.random.seed(7)
        results.append([RandomPatch(prob=1)(dict(img=image, dataset=white))['img'] for _ in range(5)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: Random2DTranslation(prob=1.5), 'prob=1.5 is no probability'),
        (lambda: Random2DTranslation(scale=0.9), 'scale=0.9'),
        (lambda: RandomPatch(flip_prob=-1), 'flip_prob=-1'),
        (lambda: RandomPatch(area=(0.5, 0.1)), 'area='),
        (lambda: RandomPatch(min_aspect=0), 'min_aspect=0'),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
