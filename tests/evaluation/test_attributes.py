from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, jaccard_score, precision_score, recall_score

from mmosnet.errors import DataError
from mmosnet.evaluation.attributes import average_precision, instance_scores, label_scores

# Three people, four attributes. Predicted:  1 0 1 0   Present:  1 1 0 0   Right of predicted or present: 1 of 3,
#                                            0 0 0 0             0 0 0 0   0/0 counts 0,
#                                            1 1 0 0             1 1 0 0   2 of 2.
SCORES = np.array([[0.9, 0.4, 0.5, 0.1], [0.2, 0.3, 0.1, 0.0], [0.8, 0.6, 0.4, 0.49]])
TARGET = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]])


def test_by_hand():
    scores = instance_scores(SCORES, TARGET)
    precision, recall = (1 / 2 + 0 + 1) / 3, (1 / 2 + 0 + 1) / 3
    assert scores == pytest.approx(dict(Accuracy=(1 / 3 + 0 + 1) / 3, Precision=precision, Recall=recall, F1=0.5))
    labels = label_scores(SCORES, TARGET)
    np.testing.assert_allclose(labels.positives, [2 / 3, 2 / 3, 0, 0])
    # Nobody has the last two. A score of exactly 0.5 is a prediction, 0.49 is none.
    np.testing.assert_allclose(labels.tpr, [1, 1 / 2, np.nan, np.nan])
    np.testing.assert_allclose(labels.tnr, [1, 1, 2 / 3, 1])
    np.testing.assert_allclose(labels.ap, [1, 1, np.nan, np.nan])
    assert labels.one_sided.tolist() == [False, False, True, True]
    assert labels.means() == pytest.approx(dict(mA=(1 + 3 / 4) / 2, mAP=1))


def test_f1_is_of_the_means():
    # Precision 1 and 1/3, recall 1/3 and 1: the mean of people's F1 were 1/2, of the means it is 2/3.
    scores = instance_scores([[1, 0, 0], [1, 1, 1]], [[1, 1, 1], [1, 0, 0]])
    assert scores == pytest.approx(dict(Accuracy=1 / 3, Precision=2 / 3, Recall=2 / 3, F1=2 / 3))
    nothing = dict(Accuracy=0, Precision=0, Recall=0, F1=0)
    assert instance_scores([[0.1, 0.2]], [[1, 1]]) == nothing == instance_scores([[0.1, 0.2]], [[0, 0]])


def naive(scores, target, threshold=0.5):
    """Everything by loops over people and attributes, from the definitions."""
    people, attributes = len(scores), len(scores[0])
    shares = dict(Accuracy=0.0, Precision=0.0, Recall=0.0)
    for i in range(people):
        p = {a for a in range(attributes) if scores[i][a] >= threshold}
        g = {a for a in range(attributes) if target[i][a] == 1}
        for name, of in (('Accuracy', p | g), ('Precision', p), ('Recall', g)):
            shares[name] += (len(p & g) / len(of) if of else 0) / people
    total = shares['Precision'] + shares['Recall']
    shares['F1'] = 2 * shares['Precision'] * shares['Recall'] / total if total else 0
    accuracies, precisions = [], []
    for a in range(attributes):
        positive = [scores[i][a] for i in range(people) if target[i][a] == 1]
        negative = [scores[i][a] for i in range(people) if target[i][a] == 0]
        if positive and negative:
            tpr = sum(s >= threshold for s in positive) / len(positive)
            tnr = sum(s < threshold for s in negative) / len(negative)
            accuracies.append((tpr + tnr) / 2)
            # Each positive contributes the precision among all that score as high or higher.
            precisions.append(
                sum(sum(o >= s for o in positive) / sum(o >= s for o in positive + negative) for s in positive)
                / len(positive)
            )
    if accuracies:
        shares |= dict(mA=sum(accuracies) / len(accuracies), mAP=sum(precisions) / len(precisions))
    return shares


@st.composite
def evaluations(draw):
    """Few distinct scores, so that many are equal; empty rows and one-sided attributes are common."""
    people, attributes = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    seed, share, distinct = draw(st.integers(0, 1000)), draw(st.sampled_from([0.05, 0.3, 0.9])), draw(st.integers(1, 9))
    random = np.random.default_rng(seed)
    scores = random.integers(0, distinct + 1, (people, attributes)) / distinct
    return scores.astype(draw(st.sampled_from([np.float32, np.float64]))), random.random((people, attributes)) < share


@settings(deadline=None, max_examples=200)
@given(evaluations())
def test_equals_definitions_and_scikit_learn(evaluation):
    scores, target = evaluation
    predicted = scores >= 0.5
    labels = label_scores(scores, target)
    found = instance_scores(scores, target)
    expected = naive(scores, target)
    if not labels.one_sided.all():
        found |= labels.means()
    assert found == pytest.approx(expected)
    options = dict(average='samples', zero_division=0)
    # One column alone is a binary problem for scikit-learn.
    if target.shape[1] > 1:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            assert found['Accuracy'] == pytest.approx(jaccard_score(target, predicted, **options))
            assert found['Precision'] == pytest.approx(precision_score(target, predicted, **options))
            assert found['Recall'] == pytest.approx(recall_score(target, predicted, **options))
    for a in range(target.shape[1]):
        present, absent = target[:, a].any(), not target[:, a].all()
        assert math.isnan(labels.tpr[a]) != present and math.isnan(labels.tnr[a]) != absent
        if present:
            assert labels.tpr[a] == pytest.approx(recall_score(target[:, a], predicted[:, a]))
        if absent:
            assert labels.tnr[a] == pytest.approx(recall_score(target[:, a], predicted[:, a], pos_label=0))
        if present and absent:
            assert labels.ap[a] == pytest.approx(average_precision_score(target[:, a], scores[:, a]))


def test_equal_scores_are_one_step():
    # All alike: precision is the share of positives, in whatever order people come.
    for target in ([True, True, False, False], [False, False, True, True]):
        assert average_precision(np.full(4, 0.3), np.array(target)) == 0.5
    assert math.isnan(average_precision(np.array([0.1, 0.2]), np.array([True, True])))


def test_another_threshold():
    assert instance_scores(SCORES, TARGET, 0.4)['Recall'] == pytest.approx((1 + 0 + 1) / 3)
    assert label_scores(SCORES, TARGET, 0.4).tpr[1] == 1


@pytest.mark.parametrize('score', [label_scores, instance_scores])
@pytest.mark.parametrize(
    ('scores', 'target', 'message'),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), 'not empty'),
        (np.zeros((2, 3)), np.zeros((2, 4)), r'\(2, 3\) and labels \(2, 4\)'),
        (np.zeros(3), np.zeros(3), 'people, attributes'),
        ([[0.1], [np.nan]], [[0], [1]], '1 of 2 people, the first at index 1, have scores that are not finite'),
        ([[0.1], [0.1]], [[0.5], [1]], 'index 0, have labels that are neither 0 nor 1'),
    ],
)
def test_bad_input(score, scores, target, message):
    with pytest.raises(DataError, match=message):
        score(scores, target)


def test_no_attribute_that_counts():
    with pytest.raises(DataError, match='none of 2 attributes'):
        label_scores([[0.1, 0.9]], [[0, 1]]).means()
