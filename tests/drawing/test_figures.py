from __future__ import annotations

from dataclasses import replace

import cv2
import matplotlib
import numpy as np
import pytest
from mmpretrain.datasets.categories import IMAGENET_CATEGORIES

from mmosnet.drawing.figures import (
    MOST_CATEGORIES,
    MOST_CORNERS,
    draw_confusion_matrix,
    draw_match_threshold,
    most_confused,
    new_figure,
    plain_axes,
    save_confusion_matrix,
    save_figure,
    thinned,
)
from mmosnet.errors import DataError
from mmosnet.evaluation.verification import MatchThreshold, MatchThresholds


def test_figures_need_no_display_whatever_is_configured(monkeypatch, tmp_path):
    monkeypatch.delenv('DISPLAY', raising=False)
    monkeypatch.setitem(matplotlib.rcParams, 'backend', 'TkAgg')
    figure = new_figure(3, 2)
    plain_axes(figure.add_subplot(), 'title', 'x', 'y')
    assert save_figure(figure, tmp_path / 'new' / 'figure.png').read_bytes().startswith(b'\x89PNG')
    assert type(figure.canvas).__name__ == 'FigureCanvasAgg'


def test_thinning_keeps_corners_and_ends():
    random = np.random.RandomState(0)
    fpr = np.sort(np.concatenate([[0, 0, 1], 10 ** random.uniform(-6, 0, 50_000)]))
    tpr = np.sort(np.concatenate([[0, 1, 1], random.rand(50_000)]))
    few = thinned(fpr, tpr)
    assert len(few[0]) <= 2 * MOST_CORNERS and (few[0][0], few[1][0]) == (0, 0) and (few[0][-1], few[1][-1]) == (1, 1)
    assert set(zip(*few, strict=True)) <= set(zip(fpr, tpr, strict=True))
    # Nowhere on the logarithmic axis does the curve leave a gap that could be seen.
    assert np.diff(np.log10(few[0][few[0] > 0])).max() < 0.05
    grid = np.geomspace(1e-5, 0.5, 200)
    np.testing.assert_allclose(np.interp(grid, *few), np.interp(grid, fpr, tpr), atol=2e-3)
    np.testing.assert_array_equal(thinned(fpr[:10], tpr[:10]), (fpr[:10], tpr[:10]))


@pytest.fixture
def thresholds():
    histogram = np.zeros((2, 20))
    histogram[0, 4:8] = 0.25
    histogram[1, 7:17] = 0.1
    threshold = MatchThreshold(0.01, 0.62, 0.009, (0.005, 0.02), 0.9, 0.1, True)
    return MatchThresholds([threshold], 30, 90, 90, 3915, np.linspace(0, 2, 21), *histogram)


def test_the_threshold_stands_where_it_is(thresholds):
    figure = draw_match_threshold(thresholds, 0.01, 'cosine')
    shares, rates = figure.axes
    assert shares.lines[0].get_xdata() == rates.lines[2].get_xdata() == [0.62, 0.62]
    assert '0.6200: 90.0% of the pairs of one person' in figure.get_suptitle() and '0.009' in figure.get_suptitle()
    assert [text.get_text() for text in shares.get_legend().texts] == [
        'one person (90 pairs)',
        'two people (3,915 pairs)',
    ]
    # Only the distances that occur, and a little more: 0.4 to 1.7 of 0 to 2.
    edges = [patch.get_data().edges for patch in shares.patches]
    assert all((edge[0], edge[-1]) == pytest.approx((0.2, 1.9)) for edge in edges)
    assert shares.get_xlim()[0] == rates.get_xlim()[0] == shares.get_ylim()[0] == 0
    # Half of the pairs of one person lie below 0.6.
    cumulated = dict(zip(rates.lines[0].get_xdata().round(1).tolist(), rates.lines[0].get_ydata(), strict=True))
    assert cumulated[0.6] == pytest.approx(0.5) and cumulated[0.8] == pytest.approx(1)


def test_without_a_threshold_there_is_no_line(thresholds):
    thresholds = replace(thresholds, thresholds=[replace(thresholds.thresholds[0], distance=None)])
    figure = draw_match_threshold(thresholds, 0.01, 'euclidean')
    assert not figure.axes[0].lines and figure.get_suptitle().startswith('No distance')
    assert figure.axes[1].get_xlabel() == 'euclidean distance'


def texts(figure):
    """The text of each cell, by row and column."""
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in figure.axes[0].texts}


def ticks(labels):
    return [label.get_text() for label in labels]


def test_cells_are_per_cent_of_their_row_with_counts():
    figure = draw_confusion_matrix(np.array([[3, 1, 0], [0, 8, 0], [0, 0, 0]]), ['cat', 'dog', 'cow'])
    assert texts(figure) == {(0, 0): '75\n(3)', (0, 1): '25\n(1)', (1, 1): '100\n(8)'}
    (axes,) = figure.axes
    assert ticks(axes.get_xticklabels()) == ticks(axes.get_yticklabels()) == ['cat', 'dog', 'cow']
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25, 0], [0, 1, 0], [0, 0, 0]])
    assert axes.get_xlabel() == 'predicted' and axes.get_ylabel() == 'true'
    assert '91.7% of 12 images right' in figure.get_suptitle()


def test_small_shares_are_not_rounded_to_nothing():
    confusion = np.diag([1000, 1000])
    confusion[0, 1] = 2
    assert texts(draw_confusion_matrix(confusion, ['a', 'b']))[0, 1] == '<1\n(2)'


def test_the_largest_confusions_come_first_pair_by_pair():
    confusion = np.diag(np.full(6, 50))
    confusion[4, 1], confusion[1, 4] = 3, 4  # 7 in both directions
    confusion[2, 5] = 6
    confusion[0, 4] = 6  # equal pairs in the order of their categories
    assert most_confused(confusion, 6).tolist() == [1, 4, 0, 2, 5, 3]
    assert most_confused(confusion, 3).tolist() == [1, 4, 0]
    assert most_confused(np.diag([1, 2, 3]), 2).tolist() == [0, 1]


def test_a_thousand_categories_show_the_most_confused_ones():
    confusion = np.diag(np.full(1000, 45))
    confusion[700, 3], confusion[9, 10], confusion[9, 800] = 5, 4, 1
    figure = draw_confusion_matrix(confusion, IMAGENET_CATEGORIES)
    (axes,) = figure.axes
    rows, columns = ticks(axes.get_yticklabels()), ticks(axes.get_xticklabels())
    assert columns == [*rows, 'others'] and len(rows) == MOST_CATEGORIES
    # The first of ImageNet's synonyms: no commas.
    assert rows[:2] == [IMAGENET_CATEGORIES[i].split(',')[0] for i in (3, 700)]
    assert 'The 30 of 1,000 categories' in figure.get_suptitle()
    cells = texts(figure)
    assert cells[1, 0] == '10' and cells[1, 1] == '90'
    assert sum(confusion[9]) == 50 and rows[2] == 'ostrich'
    # Rows are of all images of a category, whatever it was taken for.
    np.testing.assert_allclose(axes.images[0].get_array().sum(1), 1)


def test_what_is_taken_for_categories_that_are_not_shown():
    confusion = np.zeros((40, 40), int)
    for i in range(0, 38, 2):  # 19 pairs, of which 15 fit
        confusion[i, i + 1] = 100 - i
    confusion[0, 39] = 25
    figure = draw_confusion_matrix(confusion, [str(i) for i in range(40)])
    assert texts(figure)[0, MOST_CATEGORIES] == '20'
    assert ticks(figure.axes[0].get_yticklabels()) == [str(i) for i in range(30)]


def test_long_names_are_cut():
    figure = draw_confusion_matrix(np.eye(2, dtype=int), ['x' * 60, 'b'])
    assert ticks(figure.axes[0].get_yticklabels())[0] == 'x' * 21 + '...'


@pytest.mark.parametrize('number', [1, 12, 45])
def test_file(tmp_path, number):
    confusion = np.diag(np.full(number, 20)) + np.eye(number, k=1, dtype=int) * 3
    path = save_confusion_matrix(confusion, [f'category {i}' for i in range(number)], tmp_path / 'new' / 'matrix.png')
    image = cv2.imread(str(path))
    assert path == tmp_path / 'new' / 'matrix.png' and min(image.shape[:2]) > 150 and image.std() > 5


def test_nothing_evaluated():
    assert 'none of 0 images' in draw_confusion_matrix(np.zeros((2, 2), int), ['a', 'b']).get_suptitle()


def test_names_must_fit():
    with pytest.raises(DataError, match=r'\(2, 2\)'):
        draw_confusion_matrix(np.eye(2, dtype=int), ['a', 'b', 'c'])
