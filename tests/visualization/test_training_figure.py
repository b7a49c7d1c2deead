import csv

import pytest

from mmosnet.errors import DataError
from mmosnet.visualization.training_curves import visualize_training
from mmosnet.visualization.training_figure import best, chosen_scores, curve, draw_training, training_table
from mmosnet.visualization.training_log import Record, TrainingRun
from tests.visualization.test_training_log import evaluation, train, write_start


@pytest.fixture
def run():
    parts = [dict(loss=3.0 - i, loss_id=2.0 - i, loss_triplet=1.0, lr=0.1) for i in range(2)]
    scores = [{'reid/mAP': value, 'accuracy/top1': 100 * value} for value in (0.5, 0.75, 0.75)]
    return TrainingRun(
        'small',
        [Record(i + 1, 10 * (i + 1), part) for i, part in enumerate(parts)],
        [Record(i + 1, None, part) for i, part in enumerate(scores)],
    )


def test_scores_by_full_and_short_names(run):
    assert chosen_scores([run]) == ['reid/mAP', 'accuracy/top1']
    assert chosen_scores([run], ['mAP', 'loss_id', 'reid/mAP']) == ['reid/mAP', 'loss_id']
    with pytest.raises(DataError, match='no score mA in the logs; there are reid/mAP, accuracy/top1, loss, loss_id'):
        chosen_scores([run], ['mA'])


def test_curves_and_best_values(run):
    assert curve(run, 'reid/mAP') == ([1, 2, 3], [0.5, 0.75, 0.75])
    assert curve(run, 'loss') == ([1, 2], [3, 2]) and curve(run, 'nothing') == ([], [])
    # The first of equal ones; the smallest loss.
    assert best(run, 'reid/mAP') == (2, 0.75) and best(run, 'loss') == (2, 2)


def test_one_run_has_the_parts_of_its_loss(run):
    figure = draw_training([run], ['reid/mAP', 'accuracy/top1'])
    loss, lr, mean_ap, top1 = figure.axes
    assert [line.get_label() for line in loss.lines] == ['sum', 'loss_id', 'loss_triplet']
    assert list(loss.lines[1].get_ydata()) == [2, 1] and list(lr.lines[0].get_ydata()) == [0.1, 0.1]
    assert mean_ap.get_title() == 'reid/mAP: best 0.750 at epoch 2'
    assert top1.get_title() == 'accuracy/top1: best 75 at epoch 2'
    figure.canvas.draw()


def test_several_runs_share_panels_and_a_legend(run):
    other = TrainingRun('large', run.train, run.val[:1])
    figure = draw_training([run, other], ['reid/mAP'])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['small', 'large']
    assert len(figure.axes) == 3 and len(figure.axes[0].lines) >= 2
    assert training_table([run, other], ['reid/mAP']).splitlines() == [
        '      | epochs |    score |   best | at |   last',
        '------+--------+----------+--------+----+-------',
        'small |      3 |     loss | 2.0000 |  2 | 2.0000',
        '      |        | reid/mAP | 0.7500 |  2 | 0.7500',
        'large |      2 |     loss | 2.0000 |  2 | 2.0000',
        '      |        | reid/mAP | 0.5000 |  1 | 0.5000',
    ]


def test_files_names_and_notes(tmp_path):
    folders = [tmp_path / name / 'run' for name in 'ab']
    for folder in folders:
        write_start(folder, '20260101_000000', [train(1, 10), evaluation(1)], tail='{')
    lines = visualize_training(folders, tmp_path / 'new' / 'out')
    # Of equal names the folders.
    assert lines[2].startswith(str(folders[0])) and lines[4].startswith(str(folders[1]))
    assert sum('damaged' in line for line in lines) == 2
    with (tmp_path / 'new' / 'out' / 'training.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == dict(run=str(folders[0]), split='train', epoch='1', iteration='10', name='lr', value='0.1')
    assert {row['split'] for row in rows} == {'train', 'val'} and len(rows) == 8
    assert (tmp_path / 'new' / 'out' / 'training.png').read_bytes().startswith(b'\x89PNG')
    assert visualize_training(folders, tmp_path, names=['x', 'y'])[2].startswith('x')
    with pytest.raises(DataError, match='--names gives 1 names to 2 runs'):
        visualize_training(folders, tmp_path, names=['x'])
