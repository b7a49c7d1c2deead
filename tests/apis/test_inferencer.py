from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmpretrain.structures import DataSample, MultiTaskDataSample

from mmosnet.apis import PersonInferencer
from mmosnet.apis import inferencer as person_inferencer
from mmosnet.errors import DataError
from mmosnet.models.build import build_model
from tests.apis.small_models import (
    ATTRIBUTE_NAMES,
    ATTRIBUTES,
    CATEGORY,
    CLASSES,
    CONFIGS,
    JOINT,
    LOAD,
    PACK,
    REID,
    RESIZE,
    assert_close,
    small_checkpoint,
    small_config,
)
from tests.conftest import write_person


def inferencer_for(folder, head, **dataset_meta):
    return PersonInferencer(small_config(head), small_checkpoint(folder / 'model.pth', head, **dataset_meta), 'cpu')


@pytest.fixture
def joint(tmp_path):
    return inferencer_for(tmp_path, JOINT, attributes=ATTRIBUTE_NAMES, classes=CLASSES)


@pytest.fixture
def images():
    """Return images of different colors, with some noise."""
    random = np.random.RandomState(0)
    return (random.randint(0, 216, (7, 1, 1, 3)) + random.randint(0, 40, (7, 40, 24, 3))).astype(np.uint8)


def test_a_re_identification_model_gives_embeddings(tmp_path, images):
    results = inferencer_for(tmp_path, REID)(images)
    assert [list(result) for result in results] == [['img_path', 'embedding']] * 7
    for result in results:
        embedding = result['embedding']
        assert result['img_path'] is None and embedding.dtype == np.float32 and embedding.shape == (512,)
        # No view that keeps the batch.
        assert embedding.base is None
    assert np.abs(results[0]['embedding'] - results[1]['embedding']).max() > 1e-3


@pytest.mark.parametrize(
    'head', [ATTRIBUTES, dict(type='MultiLabelLinearClsHead', num_classes=3, in_channels=512)], ids=['ours', 'theirs']
)
def test_an_attribute_model_gives_scores_by_name(tmp_path, images, head):
    (result,) = inferencer_for(tmp_path, head, attributes=tuple(ATTRIBUTE_NAMES))(images[0])
    assert list(result) == ['img_path', 'attributes'] and list(result['attributes']) == ATTRIBUTE_NAMES
    assert all(type(score) is float and 0 < score < 1 for score in result['attributes'].values())


def test_a_category_model_gives_the_surest(tmp_path, images):
    inferencer = inferencer_for(tmp_path, CATEGORY, classes=CLASSES)
    for result, sample in zip(inferencer(images), inferencer(images, return_datasamples=True), strict=True):
        assert list(result) == ['img_path', 'category']
        label = int(sample.pred_label)
        expected = dict(name=CLASSES[label], label=label, score=sample.pred_score.max().item())
        assert result['category'] == expected and 0.25 < expected['score'] < 1


def test_a_joint_model_gives_all_in_one_pass(joint, images):
    passes = []
    joint.model.backbone.register_forward_hook(lambda module, args, output: passes.append(len(args[0])))
    results = joint(images, batch_size=4)
    assert passes == [4, 3]
    assert [list(result) for result in results] == [['img_path', 'embedding', 'attributes', 'category']] * 7
    # The heads, each alone.
    feats = joint.model.extract_feat(joint.model.data_preprocessor(_packed(joint, images))['inputs'])
    heads = joint.model.head.heads
    scores = heads['attributes'].predict(feats)[5].pred_score.tolist()
    assert list(results[5]['attributes'].values()) == pytest.approx(scores, abs=1e-5)
    category = heads['category'].predict(feats)[5]
    assert results[5]['category']['label'] == int(category.pred_label)
    assert results[5]['category']['score'] == pytest.approx(category.pred_score.max().item(), abs=1e-5)
    np.testing.assert_allclose(results[5]['embedding'], feats[-1][5].detach(), atol=1e-5)


def _packed(inferencer, images):
    items = inferencer.preprocess(inferencer._inputs_to_list(images))
    return dict(inputs=torch.stack([item['inputs'] for item in items]))


def test_samples_of_the_model(joint, tmp_path, images):
    samples = joint([images[0], 'gone.jpg'], return_datasamples=True, bad_images='skip')
    assert isinstance(samples[0], MultiTaskDataSample) and samples[1] is None
    assert samples[0].reid.embedding.shape == (512,) and not samples[0].reid.embedding.requires_grad
    assert samples[0].ori_shape == (40, 24)
    assert type(inferencer_for(tmp_path, REID)(images, return_datasamples=True)[0]) is DataSample


@pytest.mark.parametrize('pipeline', [None, [LOAD, PACK]], ids=['one size', 'own sizes'])
def test_batch_size_and_company_do_not_matter(tmp_path, images, pipeline):
    checkpoint = small_checkpoint(tmp_path / 'model.pth', JOINT)
    inferencer = PersonInferencer(small_config(JOINT, pipeline), checkpoint)
    mixed = [images[0], images[1][:36, :20], images[2], images[3][:36, :20], images[4][2:, 3:], *images[5:]]
    alone = [inferencer(image)[0] for image in mixed]
    for batch_size in (1, 2, 3, 32):
        for found, expected in zip(inferencer(mixed, batch_size=batch_size), alone, strict=True):
            assert_close(found, expected)


def test_files_regions_folders_and_arrays_agree(joint, tmp_path):
    for number in range(3):
        write_person(tmp_path / 'crops' / 'c1' / f'{number}.jpg', number)
    files = [str(tmp_path / 'crops' / 'c1' / f'{number}.jpg') for number in range(3)]
    frame = np.zeros((70, 50, 3), np.uint8)
    arrays = [cv2.imread(file) for file in files]
    frame[10:42, 20:36] = arrays[1]
    cv2.imwrite(str(tmp_path / 'frame.png'), frame)
    expected = joint(arrays)
    assert [result['img_path'] for result in joint(tmp_path / 'crops')] == files
    region = f'{tmp_path}/frame.png#xywh=20,10,16,32'
    mixed = joint([tmp_path / 'crops', region, np.stack(arrays), files[2]], batch_size=2)
    assert [result['img_path'] for result in mixed] == [*files, region, None, None, None, files[2]]
    for found, index in zip(mixed, [0, 1, 2, 1, 0, 1, 2, 2], strict=True):
        assert_close(found, expected[index])


def test_a_loader_of_mmcv_reads_as_in_testing_and_lets_nothing_damaged_pass(tmp_path):
    write_person(tmp_path / 'a.jpg', 1)
    cfg = small_config(CATEGORY, [dict(type='LoadImageFromFile'), RESIZE, dict(type='PackInputs')])
    inferencer = PersonInferencer(cfg, small_checkpoint(tmp_path / 'model.pth', CATEGORY))
    reads = []
    load = inferencer.pipeline.load
    inferencer.pipeline.load = lambda record: reads.append(record['img_path']) or load(record)
    found = inferencer([tmp_path / 'a.jpg', f'{tmp_path}/a.jpg#xywh=4,9,8,14'])
    image = cv2.imread(str(tmp_path / 'a.jpg'))
    for result, expected in zip(found, inferencer([image, image[9:23, 4:12]]), strict=True):
        assert_close(result, expected)
    assert found[0]['category']['score'] != pytest.approx(found[1]['category']['score'], abs=1e-3)
    assert type(load).__name__ == 'LoadImageFromFile' and reads == [str(tmp_path / 'a.jpg')] * 2
    data = (tmp_path / 'a.jpg').read_bytes()
    (tmp_path / 'a.jpg').write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r'a\.jpg: unreadable image \(.*[Tt]runcated'):
        inferencer(tmp_path / 'a.jpg')


def test_data_sets_in_memory_are_rgb(tmp_path, images):
    """CIFAR's pipeline does not load; its images are RGB and its preprocessor swaps nothing."""
    checkpoint = small_checkpoint(tmp_path / 'model.pth', CATEGORY)
    in_memory = small_config(CATEGORY, [RESIZE, dict(type='PackInputs')])
    in_memory.model.data_preprocessor.to_rgb = False
    expected = PersonInferencer(small_config(CATEGORY), checkpoint)(images)
    for found, result in zip(PersonInferencer(in_memory, checkpoint)(images), expected, strict=True):
        assert_close(found, result)


def test_bad_inputs_stop_everything_or_keep_their_places(joint, tmp_path, images, monkeypatch):
    write_person(tmp_path / 'good.jpg', 1)
    (tmp_path / 'damaged.jpg').write_bytes(b'damaged')
    (tmp_path / 'empty').mkdir()
    inputs = [tmp_path / 'good.jpg', tmp_path / 'damaged.jpg', images[0] / 255, tmp_path / 'gone.jpg', images[1]]
    inputs += [tmp_path / 'empty', images[2]]
    results = joint(inputs, bad_images='skip', batch_size=2)
    assert ['error' in result for result in results] == [False, True, True, True, False, True, False]
    for index in (1, 2, 3, 5):
        assert list(results[index]) == ['img_path', 'error'] and f'inputs[{index}]' in results[index]['error']
    assert results[3]['img_path'] == str(tmp_path / 'gone.jpg') and results[2]['img_path'] is None
    assert_close(results[6], joint(images[2])[0])

    # What needs no reading is refused before anything is computed.
    monkeypatch.setattr(joint, 'forward', None)
    with pytest.raises(DataError, match=r"inputs\[2\] is an array of float64: .*bad_images='skip'"):
        joint(inputs)
    with pytest.raises(FileNotFoundError, match=r"inputs\[0\]: no image or folder gone\.jpg.*bad_images='skip'"):
        joint(['gone.jpg'])
    with pytest.raises(DataError, match='empty holds no image'):
        joint(tmp_path / 'empty')
    for options in (dict(batch_size=0), dict(bad_images='ignore')):
        with pytest.raises(DataError, match="give 1 or more, and 'error' or 'skip'"):
            joint(images, **options)


def test_images_that_are_too_small_for_the_network(tmp_path, images):
    checkpoint = small_checkpoint(tmp_path / 'model.pth', REID)
    inferencer = PersonInferencer(small_config(REID, [LOAD, PACK]), checkpoint)
    with pytest.raises(DataError, match=r'inputs\[1\], 4x24'):
        inferencer([images[0], images[1][:4]])
    results = inferencer([images[0], images[1][:4], images[2]], bad_images='skip')
    assert ['error' in result for result in results] == [False, True, False]


def test_no_images_are_no_error(joint):
    assert joint([]) == joint(np.zeros((0, 20, 10, 3), np.uint8)) == []


def test_models_by_name_path_config_and_built(tmp_path, images, monkeypatch):
    name, path = 'osnet-x0.25_reid-market1501', CONFIGS / 'osnet_x0_25_reid_market.py'
    head = Config.fromfile(path).model.head
    checkpoint = small_checkpoint(tmp_path / 'model.pth', head)
    cfg = Config.fromfile(path)
    before = copy.deepcopy(cfg._cfg_dict)
    built = build_model(Config.fromfile(path))
    results = [PersonInferencer(model, checkpoint)(images[0])[0] for model in (name, str(path), path, cfg, built)]
    for result in results[1:]:
        assert_close(result, results[0])
    assert cfg._cfg_dict == before
    # The weights that it has.
    assert_close(PersonInferencer(built)(images[0])[0], results[0])
    # The index's weights.
    monkeypatch.setenv('MMOSNET_WEIGHTS', str(tmp_path))
    (tmp_path / 'osnet_x0_25_market1501.pth').write_bytes(b'no weights')
    with pytest.raises(DataError, match=r'osnet_x0_25_market1501\.pth'):
        PersonInferencer(name, pretrained=True)
    assert PersonInferencer.list_models(name) == [name] and 'resnet50_8xb32_in1k' not in PersonInferencer.list_models()
    lines = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', lines.append)
    PersonInferencer(path)
    assert len(lines) == 1 and lines[0].startswith('No checkpoint: the weights are random')


def test_models_that_cannot_be_used(tmp_path):
    checkpoint = small_checkpoint(tmp_path / 'model.pth', REID)
    with pytest.raises(DataError, match=r"'osnet-x0.25_market'.*osnet-x0\.25_reid-market1501"):
        PersonInferencer('osnet-x0.25_market')
    with pytest.raises(FileNotFoundError, match=r'no config gone\.py'):
        PersonInferencer('gone.py')
    with pytest.raises(FileNotFoundError, match=r'no checkpoint gone\.pth'):
        PersonInferencer(small_config(REID), 'gone.pth')
    with pytest.raises(DataError, match='model is a dict'):
        PersonInferencer(dict(type='OSNet'))
    with pytest.raises(DataError, match='pretrained=True needs a model of'):
        PersonInferencer(small_config(REID), True)
    # A head without weights would predict by chance.
    with pytest.raises(DataError, match=r'does not fit .*head\.heads\.attributes'):
        PersonInferencer(small_config(JOINT), checkpoint)
    with pytest.raises(DataError, match=r'does not fit .*head\.heads\.attributes'):
        PersonInferencer(build_model(small_config(JOINT)), checkpoint)
    with pytest.raises(DataError, match='head is NoneType'):
        PersonInferencer(small_config(None))
    with pytest.raises(DataError, match="device='gpu': "):
        PersonInferencer(small_config(REID), checkpoint, 'gpu')


def test_where_the_pipeline_comes_from(tmp_path, images):
    checkpoint = small_checkpoint(tmp_path / 'model.pth', REID)
    expected = PersonInferencer(small_config(REID), checkpoint)(images)
    # A joint data set's first part that is not left out, and a model that has no config.
    cfg = small_config(REID)
    parts = dict(objects=None, people=dict(type='X', pipeline=[LOAD, RESIZE, PACK]), more=dict(type='Y', pipeline=[]))
    cfg.test_dataloader.dataset = dict(type='mmosnet.JointDataset', datasets=parts, _delete_=True)
    joint_data = PersonInferencer(cfg, checkpoint)
    cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=list(parts.values())[1:])
    listed = PersonInferencer(cfg, checkpoint)
    model = build_model(small_config(REID))
    del model._config
    given = PersonInferencer(model, checkpoint, pipeline=[RESIZE])
    for inferencer in (joint_data, listed, given):
        for found, result in zip(inferencer(images), expected, strict=True):
            assert_close(found, result)
    model._config = None
    with pytest.raises(DataError, match=r'test_dataloader\.dataset\.pipeline.*pipeline='):
        PersonInferencer(model)
    cfg.test_dataloader = None
    with pytest.raises(DataError, match=r'osnet_x0_25_reid_market\.py .*test_dataloader'):
        PersonInferencer(cfg, checkpoint)


def test_pictures(joint, tmp_path, images):
    inputs = [*images[:3], 'gone.jpg', *[images[4]] * 30]
    joint(inputs, show_dir=tmp_path / 'new' / 'seen', bad_images='skip', batch_size=8)
    joint(images, show_dir=tmp_path / 'new' / 'seen')
    files = sorted(path.name for path in (tmp_path / 'new' / 'seen').iterdir())
    assert files == ['predictions_00001.jpg', 'predictions_00002.jpg', 'predictions_00003.jpg']


def test_the_bar_is_for_many_images_on_a_terminal(monkeypatch, capfd, joint, images):
    assert not person_inferencer._progress_bar(1000).has_bar
    monkeypatch.setattr('sys.stderr.isatty', lambda: True, raising=False)
    assert person_inferencer._progress_bar(1000).has_bar
    assert not person_inferencer._progress_bar(20).has_bar
    monkeypatch.setattr('mmpretrain.utils.progress.disable_progress_bar', True)
    assert not person_inferencer._progress_bar(1000).has_bar
    monkeypatch.undo()
    joint([images[0][:20, :20]] * 120, batch_size=60)
    assert capfd.readouterr() == ('', '')
