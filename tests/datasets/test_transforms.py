from __future__ import annotations

import random

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmengine import fileio
from PIL import Image
from torchvision.transforms.functional import normalize, to_tensor

from mmosnet.apis.inputs import ImagePreparation, expand_inputs
from mmosnet.datasets import LoadPersonImage, PackTasks, Random2DTranslation, RandomErasing, RandomPatch
from mmosnet.datasets.check import image_facts
from mmosnet.datasets.transforms import read_image
from mmosnet.demo.pictures import ShownPictures, read_uploaded
from mmosnet.errors import DataError
from mmosnet.features.embedder import ImageEmbedder
from mmosnet.features.people import InputBoxes, ListedPerson
from mmosnet.io.coco import frame_size
from mmosnet.io.video import read_person
from mmosnet.runtime import ExportedModel, ModelDescription


def test_reads_bgr(tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (40, 20, 3), dtype=np.uint8)
    path = tmp_path / 'person.png'
    cv2.imwrite(str(path), image)
    np.testing.assert_array_equal(read_image(path), image)
    results = LoadPersonImage()(dict(img_path=str(path)))
    np.testing.assert_array_equal(results['img'], image)
    assert results['img_shape'] == results['ori_shape'] == (40, 20)


def test_errors_name_the_option_that_skips(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jpg: unreadable image .*bad_images='skip'"):
        read_image(tmp_path / 'gone.jpg')


def write_sideways(path):
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.open(path.parent / 'upright.png').transpose(Image.Transpose.ROTATE_270).save(path, exif=exif, quality=95)


WRITERS = {
    'sideways.jpg': write_sideways,
    'sideways.png': write_sideways,
    'sideways.webp': write_sideways,
    'deep.png': lambda path: cv2.imwrite(str(path), np.arange(0, 65536, 82, np.uint16)[:800].reshape(40, 20)),
}


@pytest.mark.parametrize('name', WRITERS)
def test_every_reader_gives_the_same(tmp_path, name):
    cv2.imwrite(str(tmp_path / 'upright.png'), np.random.RandomState(0).randint(0, 256, (40, 20, 3), dtype=np.uint8))
    path = tmp_path / name
    WRITERS[name](path)
    file, region = str(path), f'{path}#xywh=3,11,15,29'
    (source,), (part,) = expand_inputs(file), expand_inputs(region)
    prepare = ImagePreparation([dict(type='mmosnet.LoadPersonImage')], 'mmpretrain')
    exported = ExportedModel.__new__(ExportedModel)
    exported.description = ModelDescription(outputs=('embedding',), height=40, width=20)
    shown = ShownPictures([tmp_path], tmp_path / 'enrolled')
    readers = {
        'training': lambda p: LoadPersonImage()(dict(img_path=p))['img'],
        'inference': lambda p: prepare(source if p == file else part)['inputs'].numpy().transpose(1, 2, 0),
        'exported': exported._read,
        'exported features': lambda p: ImageEmbedder.read_file(None, p),
        'search': read_person,
        'page': shown.read,
    }
    image = read_image(file)
    assert image.shape == (40, 20, 3)
    for reader, read in readers.items():
        np.testing.assert_array_equal(read(file), image, err_msg=reader)
        np.testing.assert_array_equal(read(region), image[11:40, 3:18], err_msg=reader)
    np.testing.assert_array_equal(read_uploaded(path), image)
    facts = image_facts(dict(img_path=file))
    assert {(facts.height, facts.width), frame_size(file, {}, 'place')} == {(40, 20)}
    boxed = InputBoxes('boxes.csv', 0).person(ListedPerson(file), [0, 0, 99, 99], 'place')
    assert boxed.path == f'{file}#xywh=0,0,20,40'


def test_remote_images_are_read_by_mmengine(monkeypatch):
    image = np.full((4, 2, 3), 7, np.uint8)
    files = {'s3://bucket/a.png': cv2.imencode('.png', image)[1].tobytes(), 's3://bucket/b.png': b'broken'}
    monkeypatch.setattr(fileio, 'get', files.__getitem__)
    np.testing.assert_array_equal(read_image('s3://bucket/a.png'), image)
    with pytest.raises(DataError, match=r's3://bucket/b\.png: unreadable image'):
        read_image('s3://bucket/b.png')


# ImageNet's, RGB.
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@pytest.fixture
def released():
    """The transforms of the released code."""
    return pytest.importorskip('torchreid.reid.data.transforms', reason="needs the extra 'peer'")


@pytest.fixture
def same_draws(monkeypatch):
    """Let numpy draw the numbers that Python's generator, which the released code uses, draws."""
    monkeypatch.setattr(np.random, 'rand', random.random)
    monkeypatch.setattr(np.random, 'uniform', random.uniform)
    monkeypatch.setattr(np.random, 'randint', lambda high: random.randint(0, high - 1))


def gradient(height=64, width=32):
    rows = np.linspace(0, 250, height).astype(np.uint8)
    return np.repeat(np.repeat(rows[:, None, None], width, 1), 3, 2)


def noise(height, width, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize('shape', [(64, 32), (31, 31), (128, 9)])
def test_erasing_is_the_released_one_with_the_same_draws(released, same_draws, shape):
    # Darker than the fill.
    image, ours = noise(*shape) // 4, RandomErasing()
    tensor = normalize(to_tensor(image[:, :, ::-1].copy()), MEAN, STD)
    theirs = released.RandomErasing(mean=MEAN)
    changed = 0
    for seed in range(300):
        random.seed(seed)
        wanted = theirs(tensor.clone())
        after = random.random()
        random.seed(seed)
        found = ours(dict(img=image))['img']
        # As many draws too.
        assert random.random() == after
        found = normalize(to_tensor(found[:, :, ::-1].copy()), MEAN, STD)
        # The released fill lies between two pixel values.
        torch.testing.assert_close(found, wanted, rtol=0, atol=0.5 / 255 / min(STD) + 1e-6)
        assert torch.equal(found == tensor, wanted == tensor)
        changed += not torch.equal(wanted, tensor)
    assert 100 < changed < 200


def test_erasing_has_the_rectangles_of_the_paper():
    np.random.seed(0)
    shape = (40, 20)
    image, transform = np.zeros((*shape, 3), np.uint8), RandomErasing(prob=1)
    aspects, ends = [], []
    for _ in range(2000):
        erased = transform(dict(img=image))['img']
        rows, columns = np.nonzero((erased == (127, 142, 152)).all(2))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width and height < 40 and width < 20
        # Rounded sides change the area by half of the perimeter at most.
        assert 0.02 * 800 - (height + width) / 2 < height * width < 0.4 * 800 + (height + width) / 2
        aspects.append(height / width)
        ends.append((rows.max() == 39, columns.max() == 19, rows.min() == 0, columns.min() == 0))
    assert image.max() == 0, 'the input must stay as it was'
    # Uniform from 0.3 to 3.33 the mean is 1.8, and 23 % lie below 1; uniform in the logarithm 1.26 and 50 %.
    assert np.mean(aspects) > 1.6 and np.mean(np.less(aspects, 1)) < 0.33
    first, last = np.mean(ends, 0)[2:], np.mean(ends, 0)[:2]
    # Standard deviation of the difference of two shares of about 0.06 and 0.15 out of 2,000: below 0.012.
    assert (last > 0.03).all() and np.allclose(first, last, atol=0.05)


def test_erasing_gives_up_where_nothing_fits():
    image = noise(1, 300)
    assert RandomErasing(prob=1)(dict(img=image))['img'] is image


def test_erasing_with_the_mean_color_is_black_for_the_network():
    np.random.seed(0)
    erased = RandomErasing(prob=1, fill='mean')(dict(img=np.full((64, 32, 3), 255, np.uint8)))['img'][:, :, ::-1]
    values = normalize(to_tensor(erased.copy()), MEAN, STD)
    assert set(torch.unique(values.abs() < 0.5 / 255 / min(STD)).tolist()) == {False, True}


@pytest.mark.parametrize('backend', ['pillow', 'cv2'])
def test_translation_cuts_the_old_size_out_of_the_enlarged_image(backend):
    np.random.seed(0)
    image = gradient()
    if backend == 'cv2':
        large = cv2.resize(image, (36, 72), interpolation=cv2.INTER_LINEAR)
    else:
        large = np.asarray(Image.fromarray(image).resize((36, 72), Image.Resampling.BILINEAR))
    offsets = set()
    for _ in range(100):
        moved = Random2DTranslation(prob=1, backend=backend)(dict(img=image))['img']
        assert moved.shape == image.shape
        found = [top for top in range(9) if np.array_equal(moved, large[top : top + 64, :32])]
        offsets.update(found)
        assert found
    # Both ends included.
    assert {0, 8} <= offsets


def test_translation_is_the_released_one_with_the_same_draws(released, same_draws):
    image = noise(64, 32)
    theirs, ours = released.Random2DTranslation(64, 32), Random2DTranslation()
    for seed in range(100):
        random.seed(seed)
        wanted = theirs(Image.fromarray(image))
        random.seed(seed)
        np.testing.assert_array_equal(ours(dict(img=image))['img'], wanted)


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


@pytest.mark.parametrize('backend', ['pillow', 'cv2'])
def test_patch_comes_from_an_image_resized_as_the_pipeline_does(tmp_path, backend):
    np.random.seed(0)
    large = noise(300, 200, seed=1)
    cv2.imwrite(str(tmp_path / 'large.png'), large)
    resized = mmcv.imresize(large, (32, 64), backend=backend)
    transform = RandomPatch(prob=1, area=(0.3, 0.3), rotate_prob=0, flip_prob=0, backend=backend)
    for _ in range(5):
        pasted = transform(dict(img=np.full((64, 32, 3), 255, np.uint8), dataset=OneImage(str(tmp_path / 'large.png'))))
        rows, columns = np.nonzero((pasted['img'] != 255).any(2))
        patch = pasted['img'][rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert any(
            np.array_equal(resized[top : top + len(patch), left : left + patch.shape[1]], patch)
            for top in range(64 - len(patch) + 1)
            for left in range(32 - patch.shape[1] + 1)
        )


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
        (lambda: Random2DTranslation(backend='turbojpeg'), 'turbojpeg'),
        (lambda: RandomErasing(prob=2), 'prob=2 is no probability'),
        (lambda: RandomErasing(area=(0, 0.4)), 'area='),
        (lambda: RandomErasing(min_aspect=2), 'min_aspect=2'),
        (lambda: RandomErasing(fill='rand'), 'rand'),
        (lambda: RandomPatch(backend=None), 'backend=None'),
        (lambda: RandomPatch(flip_prob=-1), 'flip_prob=-1'),
        (lambda: RandomPatch(area=(0.5, 0.1)), 'area='),
        (lambda: RandomPatch(min_aspect=0), 'min_aspect=0'),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()


TASKS = dict(
    reid=('pid', 'camid', 'split', 'gt_label'), attributes=('gt_score',), category=dict(gt_label='gt_category')
)


def record(**labels):
    return dict(img=np.arange(24, dtype=np.uint8).reshape(4, 2, 3), img_path='a.jpg', sample_idx=7, **labels)


def test_a_part_for_each_task_with_labels():
    person = record(pid=3, camid=0, split='train', gt_label=1, gt_score=np.array([1, 0], np.float32), gt_category=5)
    packed = PackTasks(TASKS)(person)
    assert packed['inputs'].shape == (3, 4, 2) and packed['inputs'].dtype == torch.uint8
    sample = packed['data_samples']
    assert sample.reid.gt_label.tolist() == [1] and sample.reid.pid == 3 and sample.reid.split == 'train'
    assert sample.attributes.gt_score.tolist() == [1, 0] and 'pid' not in sample.attributes
    assert sample.category.gt_label.tolist() == [5]
    for part in (sample.reid, sample.attributes, sample.category):
        assert part.img_path == 'a.jpg' and part.sample_idx == 7


def test_missing_labels_leave_the_task_out():
    sample = PackTasks(TASKS)(record(pid=3, camid=0, split='query'))['data_samples']
    assert sample.tasks == {'reid'} and 'gt_label' not in sample.reid
    assert PackTasks(TASKS)(record())['data_samples'].tasks == set()


def test_a_task_needs_keys():
    with pytest.raises(DataError, match=r'tasks\.category names no key'):
        PackTasks(dict(category=()))
