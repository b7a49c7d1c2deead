from dataclasses import replace

import numpy as np
import pytest

from mmosnet.evaluation.verification import MatchThreshold, MatchThresholds
from mmosnet.visualization.match_threshold_figure import draw_match_threshold


@pytest.fixture
def found():
    histogram = np.zeros((2, 20))
    histogram[0, 4:8] = 0.25
    histogram[1, 7:17] = 0.1
    threshold = MatchThreshold(0.01, 0.62, 0.009, (0.005, 0.02), 0.9, 0.1, True)
    return MatchThresholds([threshold], 30, 90, 90, 3915, np.linspace(0, 2, 21), *histogram)


def test_the_threshold_stands_where_it_is(found):
    figure = draw_match_threshold(found, 0.01, 'cosine')
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


def test_without_a_threshold_there_is_no_line(found):
    found = replace(found, thresholds=[replace(found.thresholds[0], distance=None)])
    figure = draw_match_threshold(found, 0.01, 'euclidean')
    assert not figure.axes[0].lines and figure.get_suptitle().startswith('No distance')
    assert figure.axes[1].get_xlabel() == 'euclidean distance'
