"""Pictures of the results of one joint model, held against the numbers of its test."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmosnet.apis import PersonInferencer
from mmosnet.engine.launch import load_config
from mmosnet.errors import DataError
from mmosnet.evaluation import AttributeMetric, CategoryMetric, ReIDMetric
from mmosnet.visualization.curves import CurveSource, visualize_cmc
from mmosnet.visualization.network import view_images, visualize_activation, visualize_gates
from mmosnet.visualization.ranked_lists import Choice, visualize_ranked_lists
from mmosnet.visualization.results import (
    evaluate,
    num_wrong,
    target_config,
    trained_config,
    visualize_attributes,
    visualize_confusion,
)
from tests.apis.small_models import ATTRIBUTE_NAMES, CLASSES, CONFIGS, JOINT, small_checkpoint
from tests.apis.test_trained_inference import joint_data, write_data


@pytest.fixture(scope='module')
def joint(tmp_path_factory):
    """Config, checkpoint and scores of a joint model with random weights."""
    folder = tmp_path_factory.mktemp('joint')
    write_data(folder)
    cfg = load_config(str(CONFIGS / 'osnet_x0_25_reid_market.py'), None, str(folder / 'run'), 'none')
    cfg.model.head = JOINT
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False, batch_size=8)
    cfg.test_dataloader.dataset = joint_data(folder, train=False)
    metrics = dict(
        reid=dict(type='mmosnet.ReIDMetric', rerank=dict(k1=4, k2=2)),
        attributes=dict(type='mmosnet.AttributeMetric'),
        category=dict(type='mmosnet.CategoryMetric', topk=1),
    )
    cfg.test_evaluator = dict(type='mmosnet.TaskEvaluator', metrics=metrics)
    checkpoint = small_checkpoint(folder / 'model.pth', JOINT, attributes=ATTRIBUTE_NAMES, classes=sorted(CLASSES))
    test = Config(cfg.to_dict())
    test.merge_from_dict(dict(load_from=checkpoint, experiment_name='drawn', work_dir=str(folder / 'test')))
    test.custom_hooks = [dict(type='mmosnet.DeployHook')]
    test.train_dataloader = test.train_cfg = test.optim_wrapper = test.param_scheduler = None
    test.val_dataloader = test.val_cfg = test.val_evaluator = None
    return cfg, checkpoint, Runner.from_cfg(test).test()


def picture(path):
    return cv2.imread(str(path))


def test_metrics_are_those_of_the_test(joint):
    cfg, checkpoint, scores = joint
    for kind, name in (
        (ReIDMetric, 'Market1501 (market)'),
        (AttributeMetric, 'AttributeTable (table)'),
        (CategoryMetric, 'CustomDataset (things)'),
    ):
        evaluated = evaluate(cfg, checkpoint, kind)
        found = evaluated.metric.evaluate(len(evaluated.metric.results))
        assert found == pytest.approx({key: scores[key] for key in found}, abs=1e-6) and evaluated.data_name == name


def test_ranked_lists(joint, tmp_path):
    cfg, checkpoint, scores = joint
    lines = visualize_ranked_lists(cfg, checkpoint, Choice(3, worst=True, top_k=4), tmp_path)
    assert f'mAP {scores["reid/mAP"]:.3f}' in lines[0] and '3 queries, lowest average precision first' in lines[1]
    report = json.loads((tmp_path / 'ranked_lists_worst.json').read_text())
    aps = [query['ap'] for query in report['queries']]
    assert aps == sorted(aps) and report['scores']['mAP'] == pytest.approx(scores['reid/mAP'])
    visualize_ranked_lists(cfg, checkpoint, Choice(300), tmp_path)
    everybody = json.loads((tmp_path / 'ranked_lists.json').read_text())['queries']
    assert np.mean([query['ap'] for query in everybody]) == pytest.approx(scores['reid/mAP'])
    assert sorted(query['ap'] for query in everybody)[:3] == aps
    assert all(len(query['gallery']) == 4 for query in report['queries'])
    assert picture(tmp_path / 'ranked_lists_worst.jpg').shape[1] > 5 * 80

    lines = visualize_ranked_lists(cfg, checkpoint, Choice(300, rerank=True), tmp_path)
    assert f'mAP {scores["reid/rerank/mAP"]:.3f}' in lines[0] and lines[1].endswith('re-ranked')


def test_ranked_lists_of_people_and_of_images(joint, tmp_path):
    cfg, checkpoint, _ = joint
    visualize_ranked_lists(cfg, checkpoint, Choice(10, pids=[8]), tmp_path)
    queries = json.loads((tmp_path / 'ranked_lists.json').read_text())['queries']
    assert len(queries) == 2 and {query['pid'] for query in queries} == {8}
    with pytest.raises(DataError, match='shows identity 99; there are 4 identities, from 7 to 10'):
        visualize_ranked_lists(cfg, checkpoint, Choice(pids=[99]), tmp_path)

    # A query of the test set, and a gallery image, of which nothing is known.
    gallery = queries[0]['gallery'][0][0]
    paths = [gallery, queries[0]['img_path']]
    lines = visualize_ranked_lists(cfg, checkpoint, Choice(paths=paths, top_k=3), tmp_path)
    unknown, known = json.loads((tmp_path / 'ranked_lists_chosen.json').read_text())['queries']
    # In batches of other sizes sums may be taken in another order: embeddings differ by about their 1e-6th.
    metric = evaluate(cfg, checkpoint, ReIDMetric).metric
    length = max(float(torch.as_tensor(result['embedding']).norm()) for result in metric.results)
    for found, (path, pid, distance, match) in zip(known['gallery'], queries[0]['gallery'][:3], strict=True):
        assert found == [path, pid, pytest.approx(distance, abs=0.01 * length), match]
        assert found[2] ** 2 == pytest.approx(distance**2, abs=1e-5 * length**2)
    lists = ('gallery', 'camids')
    assert {name: known[name] for name in known if name not in lists} == {
        name: queries[0][name] for name in queries[0] if name not in lists
    }
    assert known['camids'] == queries[0]['camids'][:3] and len(unknown['camids']) == 3
    assert unknown['ap'] is None and unknown['pid'] == unknown['camid'] == -1
    # Itself comes first: nothing is left out.
    assert unknown['gallery'][0][0] == gallery and unknown['gallery'][0][2] == pytest.approx(0, abs=0.05)
    assert [row[3] for row in unknown['gallery']] == [None] * 3
    assert any(line.startswith(gallery) and 'id 8' in line for line in lines)
    with pytest.raises(FileNotFoundError, match=r'no image nowhere.jpg'):
        visualize_ranked_lists(cfg, checkpoint, Choice(paths=['nowhere.jpg']), tmp_path)


def test_attributes_of_the_test_set(joint, tmp_path):
    cfg, checkpoint, scores = joint
    lines = visualize_attributes(cfg, checkpoint, [], 2, tmp_path, worst=True)
    assert lines[0] == (
        f'AttributeTable (table): 4 images; mA {scores["attributes/mA"]:.3f}, F1 {scores["attributes/F1"]:.3f}, '
        f'mAP {scores["attributes/mAP"]:.3f}'
    )
    assert 'long hair' in lines[3]
    worst = json.loads((tmp_path / 'attributes_worst.json').read_text())['people']
    visualize_attributes(cfg, checkpoint, [], 400, tmp_path)
    people = json.loads((tmp_path / 'attributes.json').read_text())['people']

    def wrong(person):
        return sum((score >= 0.5) != label for score, label in zip(person['scores'], person['gt'], strict=True))

    assert len(people) == 4 and [wrong(p) for p in worst] == sorted(map(wrong, people), reverse=True)[:2]
    evaluated = evaluate(cfg, checkpoint, AttributeMetric)
    evaluated.metric.evaluate(4)
    assert [num_wrong(person) for person in evaluated.metric.shown] == [wrong(person) for person in people]
    assert picture(tmp_path / 'attributes.jpg') is not None


def test_attributes_of_own_images(joint, tmp_path):
    cfg, checkpoint, _ = joint
    image = cfg.test_dataloader.dataset.data_root + '/table/9.jpg'
    lines = visualize_attributes(cfg, checkpoint, [image], 5, tmp_path)
    (person,) = json.loads((tmp_path / 'attributes_predicted.json').read_text())['people']
    (expected,) = PersonInferencer(cfg, checkpoint)([image])
    assert person['gt'] is None and dict(zip(person['names'], person['scores'], strict=True)) == pytest.approx(
        expected['attributes']
    )
    told = [name for name, score in expected['attributes'].items() if score >= 0.5]
    assert f'{image}: {", ".join(told) or "none"}' in lines
    with pytest.raises(DataError, match='--worst is for the test set'):
        visualize_attributes(cfg, checkpoint, [image], 5, tmp_path, worst=True)
    with pytest.raises(DataError, match='401 people on a sheet'):
        visualize_attributes(cfg, checkpoint, [], 401, tmp_path)


def test_confusion(joint, tmp_path):
    cfg, checkpoint, scores = joint
    lines = visualize_confusion(cfg, checkpoint, tmp_path)
    assert lines[0] == f'CustomDataset (things): 16 images; top1 {scores["accuracy/top1"]:.2f} %'
    rows = [line.split(',') for line in (tmp_path / 'confusion_matrix.csv').read_text().splitlines()]
    assert rows[0][1:] == [row[0] for row in rows[1:]] == sorted(CLASSES)
    counts = np.array([row[1:] for row in rows[1:]], int)
    assert counts.sum(1).tolist() == [4] * 4 and 100 * np.trace(counts) / 16 == scores['accuracy/top1']
    told = np.zeros((4, 4), int)
    for line in lines[3:]:
        if ' for ' in line:
            total, _, pairs = line.strip().partition('  ')
            for text in pairs.split(', '):
                first, _, second, number = text.split()
                told[sorted(CLASSES).index(first), sorted(CLASSES).index(second)] = number
                total = int(total) - int(number)
            assert total == 0
    np.testing.assert_array_equal(told, counts - np.diag(np.diag(counts)))
    assert picture(tmp_path / 'confusion_matrix.png') is not None


def test_first_part_of_joint_data_is_looked_into(joint, tmp_path):
    cfg, checkpoint, _ = joint
    viewed = view_images(cfg, checkpoint, [], 2)
    assert viewed.title == '2 images of Market1501 (market)'
    assert visualize_activation(viewed, tmp_path)[-1].endswith('activation_maps.jpg')
    visualize_gates(viewed, tmp_path)
    assert len(json.loads((tmp_path / 'gate_weights.json').read_text())['images']) == 2


def test_another_task_is_told_what_fits(joint, tmp_path):
    cfg, checkpoint, _ = joint
    cfg = Config(cfg.to_dict())
    cfg.test_evaluator.metrics.update(reid=None)
    with pytest.raises(DataError, match=r'needs ReIDMetric.* fit this config: attributes, confusion, activation'):
        visualize_ranked_lists(cfg, checkpoint, Choice(), tmp_path)
    cfg.test_evaluator = dict(type='mmosnet.ReIDMetric')
    with pytest.raises(DataError, match=r'tested by ReIDMetric.* needs CategoryMetric.* this config: ranked, cmc, roc'):
        visualize_confusion(cfg, checkpoint, tmp_path)
    cfg.test_evaluator = None
    with pytest.raises(DataError, match='has no test'):
        visualize_attributes(cfg, checkpoint, [], 5, tmp_path)


def test_names_in_another_order_are_refused(joint, tmp_path):
    cfg, checkpoint, _ = joint
    other = torch.load(checkpoint, weights_only=True)
    other['meta']['dataset_meta']['attributes'] = ATTRIBUTE_NAMES[::-1]
    torch.save(other, tmp_path / 'other.pth')
    with pytest.raises(DataError, match=r"other.pth calls output 0 of the attributes 'long hair'"):
        visualize_attributes(cfg, str(tmp_path / 'other.pth'), [], 5, tmp_path)


def test_targets(joint, tmp_path):
    cfg, checkpoint, scores = joint
    cfg = Config(cfg.to_dict())
    people = cfg.test_dataloader.dataset
    cfg.test_dataloader.dataset = people.datasets.reid
    cfg.test_evaluator.metrics.update(attributes=None, category=None)
    target = dict(type='mmosnet.Market1501', data_root=f'{people.data_root}/market')
    cfg.test_targets = dict(here=target, there=target)
    lines = visualize_cmc(CurveSource(cfg, [checkpoint]), tmp_path, max_rank=5)
    assert [line.partition(' |')[0] for line in lines[2:4]] == ['model, here ', 'model, there']
    assert lines[2].split('|')[1].strip() == f'{scores["reid/mAP"]:.4f}'
    with pytest.raises(DataError, match='is tested on here, there: choose one with --target NAME'):
        target_config(cfg, None)
    assert target_config(cfg, 'there').work_dir.endswith('there')


def test_names_of_models(joint):
    cfg, checkpoints = trained_config('osnet-x0.25_multitask-synthetic', ['released', 'a.pth'])
    assert cfg.work_dir == 'work_dirs/osnet_multitask_synthetic'
    assert checkpoints == ['mmosnet://osnet_x0_25_multitask_synthetic', 'a.pth']
    with pytest.raises(DataError, match='has no released weights'):
        trained_config(str(CONFIGS / 'osnet_reid_synthetic.py'), ['released'])
