import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.features import Features


def features(number=4, dimension=3, model='a'):
    rows = np.arange(number)
    return Features(
        rows[:, None] + np.arange(dimension), [f'{row}.jpg' for row in rows], rows, rows % 2, rows / 2, model
    )


def test_columns_get_their_types():
    found = features()
    assert found.embedding.dtype == np.float32 and found.embedding.shape == (4, 3)
    assert (found.pid.dtype, found.camid.dtype, found.time.dtype) == (np.int64, np.int64, np.float64)
    assert len(found) == 4 and found.dimension == 3
    # Whole numbers stay what they are, whatever type they come in.
    assert Features(np.ones((1, 2)), ['a'], [3.0], np.array([2], np.uint8), [1]).pid.tolist() == [3]


def test_rows_are_chosen_as_numpy_does():
    found = features()
    assert found[[2, 0]].path == ['2.jpg', '0.jpg'] and found[[2, 0]].embedding[:, 0].tolist() == [2, 0]
    assert found[found.camid == 1].pid.tolist() == [1, 3]
    assert found[1:3].time.tolist() == [0.5, 1.0] and found[1:3].model == 'a'
    assert found[[-1]].path == ['3.jpg']
    assert len(found[[]]) == 0 and found[[]].embedding.shape == (0, 3)
    with pytest.raises(IndexError):
        found[[4]]
    with pytest.raises(TypeError, match=r'write features\[\[row\]\]'):
        found[2]


def test_parts_are_joined_in_order():
    parts = [features(2), features(0), features(3)]
    joined = Features.concat(parts)
    assert joined.path == ['0.jpg', '1.jpg', '0.jpg', '1.jpg', '2.jpg'] and joined.model == 'a'
    assert joined.embedding.tolist() == [row for part in parts for row in part.embedding.tolist()]
    with pytest.raises(DataError, match=r'features 0 and 1: embeddings of 3 and 4 numbers'):
        Features.concat([features(), features(dimension=4)])
    with pytest.raises(DataError, match=r"of the models 'a' and unknown"):
        Features.concat([features(), features(model='')])
    with pytest.raises(DataError, match=r'no features to join'):
        Features.concat([])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(embedding=np.ones(3)), r'shape \(3,\): give \(N, D\)'),
        (dict(embedding=np.ones((2, 0))), 'give'),
        (dict(path=['a']), r'2 embeddings, but path \(1,\)'),
        (dict(pid=[1, 2, 3]), r'pid \(3,\)'),
        (dict(camid=[[1], [2]]), r'camid \(2, 1\)'),
        (dict(pid=[1.5, 2.0]), 'pid has values that are no whole numbers'),
        (dict(camid=[np.nan, 2.0]), 'camid has values that are no whole numbers'),
    ],
)
@pytest.mark.filterwarnings('ignore:invalid value encountered in cast')
def test_columns_that_do_not_fit(change, message):
    columns = dict(embedding=np.ones((2, 3)), path=['a', 'b'], pid=[1, 2], camid=[0, 0], time=[0, 0])
    with pytest.raises(DataError, match=message):
        Features(**columns | change)
