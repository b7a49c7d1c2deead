from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mmosnet.drawing.figures import CmcCurve, cmc_table, draw_cmc, draw_roc, roc_table
from mmosnet.errors import DataError
from mmosnet.evaluation import ReIDMetric
from mmosnet.evaluation.distances import pairwise_distance
from mmosnet.evaluation.verification import verification_scores
from mmosnet.visualization.curves import CurveSource, checkpoint_names, cmc_of, roc_of, visualize_cmc, visualize_roc


@pytest.fixture
def results():
    random = np.random.RandomState(0)

    def sample(index, split):
        pid = index % 5 + 1
        # Rounded: distances are equal now and then.
        feature = np.eye(5)[pid - 1] * 1.5 + random.randn(5)
        return dict(
            sample_idx=index,
            embedding=torch.tensor(feature.round(1), dtype=torch.float32),
            pid=pid,
            camid=int(random.randint(3)),
            split=split,
            img_path=f'{split}{index}.jpg',
        )

    return [sample(i, 'query') for i in range(20)] + [sample(i, 'gallery') for i in range(60)]


def filled(results, **options):
    metric = ReIDMetric(**options)
    metric.process({}, results)
    return metric, metric.query_gallery(metric.results)


def pair_distances(sets, distance):
    """Distances of all pairs that count, of one person and of two, by loops."""
    query, gallery = sets.query_set, sets.gallery_set
    distmat = pairwise_distance(query.features, gallery.features, distance).numpy()
    same, different = [], []
    for q in range(len(query)):
        for g in range(len(gallery)):
            if query.pids[q] != gallery.pids[g]:
                different.append(distmat[q, g])
            elif query.camids[q] != gallery.camids[g]:
                same.append(distmat[q, g])
    return np.array(same), np.array(different)


@pytest.mark.parametrize('options', [dict(), dict(distance='cosine'), dict(protocol='single_gallery_shot')])
def test_cmc_is_that_of_the_metric(results, options):
    metric, sets = filled(results, topk=(1, 3, 7), rerank=dict(), **options)
    curve = cmc_of(metric, sets, 'name', 'data', max_rank=10)
    again = cmc_of(metric, sets, 'name', 'data', max_rank=1000, rerank=True)
    scores = metric.evaluate(len(results))
    assert len(curve.cmc) == 10 and len(again.cmc) == 60
    for prefix, found in (('reid', curve), ('reid/rerank', again)):
        assert (found.mAP, found.mINP) == (scores[f'{prefix}/mAP'], scores[f'{prefix}/mINP'])
        assert [found.cmc[k - 1] for k in (1, 3, 7)] == [scores[f'{prefix}/Rank-{k}'] for k in (1, 3, 7)]


def test_cmc_by_a_naive_loop(results):
    metric, sets = filled(results)
    query, gallery = sets.query_set, sets.gallery_set
    distmat = pairwise_distance(query.features, gallery.features).numpy()
    first = []
    for q in range(20):
        dropped = (gallery.pids == query.pids[q]) & (gallery.camids == query.camids[q])
        order = [g for g in np.argsort(distmat[q], kind='stable') if not dropped[g]]
        first.append(next(rank for rank, g in enumerate(order, 1) if gallery.pids[g] == query.pids[q]))
    expected = [np.mean([rank <= k for rank in first]) for k in range(1, 21)]
    assert cmc_of(metric, sets, 'name', 'data', max_rank=20).cmc == pytest.approx(expected)


@pytest.mark.parametrize('distance', ['euclidean', 'cosine'])
def test_roc_by_a_naive_loop_and_as_of_verification(results, distance):
    metric, sets = filled(results, distance=distance)
    curve = roc_of(metric, sets, 'name', 'data')
    same, different = pair_distances(sets, distance)
    assert (curve.num_positives, curve.num_negatives) == (len(same), len(different))
    corners = set(zip(curve.fpr, curve.tpr, strict=True))
    for threshold in np.unique(same):
        # Without the pairs that are just as far, and with them.
        assert (np.mean(different < threshold), np.mean(same < threshold)) in corners
        assert (np.mean(different <= threshold), np.mean(same <= threshold)) in corners
    scores = verification_scores(sets.query_set, sets.gallery_set, distance)
    assert (scores['AUC'], scores['EER']) == (curve.AUC, curve.EER)
    for rate in ('1e-2', '1e-3', '1e-4'):
        point = dict(tpr=scores[f'TPR@{rate}'], distance=scores[f'distance@{rate}'])
        assert curve.points[rate] == point
        limit = point['distance'] ** 2 if distance == 'euclidean' else point['distance']
        assert np.mean(same < limit * (1 - 1e-6)) <= point['tpr'] <= np.mean(same < limit * (1 + 1e-6))


def test_short_names():
    assert checkpoint_names(['a/epoch_1.pth', 'b/epoch_2.pth']) == ['epoch_1', 'epoch_2']
    assert checkpoint_names(['runs/a/best.pth', 'runs/b/best.pth']) == ['a/best', 'b/best']
    assert checkpoint_names(['torchreid://osnet_x1_0_market1501']) == ['osnet_x1_0_market1501']


def test_saved_curves_are_drawn_again(results, tmp_path):
    metric, sets = filled(results)
    for name in 'ab':
        for kind, curve in (
            ('cmc', cmc_of(metric, sets, name, 'data', 5)),
            ('roc', roc_of(metric, sets, name, 'data')),
        ):
            path = tmp_path / name / f'{kind}.json'
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(dict(kind=kind, curves=[vars(curve)])))
    for kind, visualize in (('cmc', visualize_cmc), ('roc', visualize_roc)):
        files = [tmp_path / name / f'{kind}.json' for name in 'ab']
        lines = visualize(CurveSource(None, saved=files, names=['first', 'second']), tmp_path)
        assert lines[2].startswith('first ') and lines[3].startswith('second ')
        content = json.loads((tmp_path / f'{kind}.json').read_text())
        assert [curve['name'] for curve in content['curves']] == ['first', 'second']
        assert content['curves'][0] | dict(name='a') == json.loads(files[0].read_text())['curves'][0]
        assert (tmp_path / f'{kind}.png').read_bytes().startswith(b'\x89PNG')
    assert (tmp_path / 'cmc.csv').read_text().splitlines()[0] == 'rank,first,second'
    assert visualize_roc(CurveSource(None, saved=files), tmp_path, det=True) and (tmp_path / 'det.png').is_file()
    with pytest.raises(DataError, match=r'b/roc\.json'):
        visualize_roc(CurveSource(None, saved=files), files[1].parent)
    with pytest.raises(DataError, match='--names gives 1 names to 2 curves: a, b'):
        visualize_roc(CurveSource(None, saved=files, names=['x']), tmp_path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nothing\.json'):
        visualize_cmc(CurveSource(None, saved=[tmp_path / 'nothing.json']), tmp_path)
    file = tmp_path / 'file.json'
    for text, message in (
        ('no json', 'is no JSON'),
        ('[1]', 'holds no curves'),
        ('{"kind": "roc", "curves": []}', 'holds curves of the kind roc'),
        ('{"kind": "cmc", "curves": [{"name": "a"}]}', 'a curve without data, mAP'),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=message):
            visualize_cmc(CurveSource(None, saved=[file]), tmp_path)
    with pytest.raises(DataError, match='--max-rank 0'):
        visualize_cmc(CurveSource(None, saved=[file]), tmp_path, max_rank=0)


def test_figures_show_the_numbers(results):
    metric, sets = filled(results)
    long, short = (cmc_of(metric, sets, name, 'data', k) for name, k in (('long', 60), ('short', 5)))
    axes = draw_cmc([long, short]).axes[0]
    assert list(axes.lines[0].get_ydata()) == long.cmc and list(axes.lines[1].get_xdata()) == [1, 2, 3, 4, 5]
    # The axis is not cut, however good the models are.
    perfect = draw_cmc([CmcCurve('one', 'data', 0.99, 0.99, [0.99, 1.0])]).axes[0]
    assert axes.get_ylim()[0] == perfect.get_ylim()[0] == 0 and axes.get_ylim()[1] >= 1
    assert axes.get_legend().get_texts()[0].get_text() == f'long: Rank-1 {long.cmc[0]:.3f}, mAP {long.mAP:.3f}'
    lines = cmc_table([long, short]).splitlines()
    assert [line.split('|')[4].strip() for line in lines[2:]] == [
        f'{long.cmc[9]:.4f}',
        '',
    ]
    draw_cmc([CmcCurve('one', 'data', 1.0, 1.0, [1.0])]).canvas.draw()

    curve = roc_of(metric, sets, 'name', 'data')
    line, points = draw_roc([curve]).axes[0].lines
    assert list(line.get_ydata()) == curve.tpr and min(line.get_xdata()) == 1 / curve.num_negatives
    # Rates of less than one pair have no place in the figure.
    assert list(points.get_xdata()) == [float(r) for r in curve.points if float(r) >= 1 / curve.num_negatives]
    figure = draw_roc([curve], det=True)
    missed = figure.axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(missed, np.maximum(1 - np.array(curve.tpr), 0.5 / curve.num_positives))
    figure.canvas.draw()
    assert roc_table([curve]).splitlines()[2].split('|')[1].strip() == f'{curve.AUC:.4f}'
