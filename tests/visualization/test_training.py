from __future__ import annotations

import csv
import json
import re

import pytest

from mmosnet.errors import DataError
from mmosnet.visualization.training import (
    Record,
    TrainingRun,
    best,
    chosen_scores,
    curve,
    draw_training,
    read_run,
    training_table,
    visualize_training,
)


def train(epoch, iteration, loss=1.0, **values):
    return dict(lr=0.1, loss=loss, epoch=epoch, iter=iteration, step=iteration, **values)


def evaluation(step, **values):
    return {'reid/mAP': 0.5, 'time': 0.1, 'step': step} | values


def write_start(work_dir, name, records, tail=''):
    file = work_dir / name / 'vis_data' / 'scalars.json'
    file.parent.mkdir(parents=True)
    file.write_text(''.join(json.dumps(record) + '\n' for record in records) + tail)
    return file


def places(run):
    return [(r.epoch, r.iteration, r.values['loss']) for r in run.train], [r.epoch for r in run.val]


def test_one_start(tmp_path):
    # Epochs of 106 iterations, logged every 50 and not at their end.
    records = [train(1, 50), train(1, 100), evaluation(1), train(2, 156), train(2, 206), evaluation(2)]
    write_start(tmp_path / 'run', '20260101_000000', records)
    run = read_run(tmp_path / 'run')
    assert run.name == 'run' and run.notes == [] and run.by_epoch
    assert places(run) == ([(1, 50, 1), (1, 100, 1), (2, 156, 1), (2, 206, 1)], [1, 2])
    # No more than 103 is known: 206 lies in epoch 2.
    assert [run.epoch_of(record) for record in run.train] == pytest.approx([50 / 103, 100 / 103, 156 / 103, 2])
    assert [run.epoch_of(record) for record in run.val] == [1, 2]
    assert run.val[0].values == {'reid/mAP': 0.5, 'time': 0.1}


def test_later_starts_win(tmp_path):
    # Stopped in epoch 3, after a first record of it; resumed from the checkpoint of epoch 2, whose records stay.
    first = [train(1, 10), evaluation(1), train(2, 20), evaluation(2), train(3, 25, loss=7.0)]
    write_start(tmp_path, '20260101_000000', first)
    write_start(tmp_path, '20260102_000000', [train(3, 30, loss=2.0), evaluation(3), train(4, 40), evaluation(4)])
    run = read_run(tmp_path)
    assert places(run) == ([(1, 10, 1), (2, 20, 1), (3, 30, 2), (4, 40, 1)], [1, 2, 3, 4])
    assert run.notes == [f'1 earlier records from 3 on are left out: {tmp_path}/20260102_000000/vis_data/scalars.json '
                         'trained that again']  # fmt: skip

    # A start that logged nothing changes nothing; one from the beginning replaces everything.
    write_start(tmp_path, '20260103_000000', [])
    assert places(read_run(tmp_path)) == places(run)
    write_start(tmp_path, '20260104_000000', [train(1, 10, loss=9.0)])
    run = read_run(tmp_path)
    assert places(run) == ([(1, 10, 9)], []) and len(run.notes) == 2


def test_an_evaluation_made_again_counts_once(tmp_path):
    write_start(tmp_path, '20260101_000000', [train(1, 10), evaluation(1)])
    write_start(tmp_path, '20260102_000000', [evaluation(1, **{'reid/mAP': 0.75})])
    run = read_run(tmp_path)
    assert [record.values['reid/mAP'] for record in run.val] == [0.75]


def test_a_damaged_last_line_is_left_out_and_another_one_refused(tmp_path):
    write_start(tmp_path / 'a', '20260101_000000', [train(1, 10), train(2, 20)], tail='{"lr": 0.1, "lo')
    run = read_run(tmp_path / 'a')
    assert len(run.train) == 2 and 'last line is damaged' in run.notes[0] and '{"lr": 0.1, "lo' in run.notes[0]
    file = write_start(tmp_path / 'b', '20260101_000000', [train(1, 10)])
    file.write_text('nonsense\n' + file.read_text())
    with pytest.raises(DataError, match='line 1 is no record'):
        read_run(tmp_path / 'b')


def test_numbers_that_are_not_finite_are_noted(tmp_path):
    write_start(tmp_path, '20260101_000000', [train(1, 10), train(2, 20, loss=float('nan'))])
    assert 'not finite, the first at 2' in read_run(tmp_path).notes[0]


def test_training_by_iterations(tmp_path):
    records = [dict(loss=2.0, iter=50, step=50), evaluation(50), dict(loss=1.0, iter=100, step=100), evaluation(100)]
    write_start(tmp_path, '20260101_000000', records)
    run = read_run(tmp_path)
    assert not run.by_epoch
    assert [run.epoch_of(record) for record in (*run.train, *run.val)] == [50, 100, 50, 100]
    # Resumed at 50: the record after it was logged again, the evaluation at 50 was not.
    write_start(tmp_path, '20260102_000000', [dict(loss=0.5, iter=100, step=100)])
    run = read_run(tmp_path)
    assert [record.values['loss'] for record in run.train] == [2.0, 0.5]
    assert [record.iteration for record in run.val] == [50]


LOG = """\
2026/01/01 11:51:19 - mmengine - INFO - Epoch(train)  [1][ 50/106]  lr: 1.5000e-03  eta: 0:42:10  loss: 7.6439  a: 4.3
2026/01/01 11:52:07 - mmengine - INFO - Exp name: nothing of a training: loss: 3
2026/01/01 11:52:07 - mmengine - INFO - Epoch(val)  [1][ 50/100]    eta: 0:00:01  time: 0.1
2026/01/01 11:52:07 - mmengine - INFO - Epoch(val) [1][100/100]    reid/mAP: 0.5186  reid/Rank-1: 0.6250  time: 0.1
2026/01/01 11:53:37 - mmengine - INFO - Epoch(train)  [2][106/106]  lr: 1.4908e-03  eta: 0:30:44  loss: 6.5  a: nan
"""


def test_log_for_people(tmp_path):
    (tmp_path / '20260101_000000').mkdir()
    log = tmp_path / '20260101_000000' / '20260101_000000.log'
    log.write_text(LOG)
    run = read_run(tmp_path)
    assert [(r.epoch, r.iteration) for r in run.train] == [(1, 50), (2, 212)]
    assert run.train[0].values == dict(lr=0.0015, loss=7.6439, a=4.3)
    assert [(r.epoch, r.values) for r in run.val] == [(1, {'reid/mAP': 0.5186, 'reid/Rank-1': 0.625, 'time': 0.1})]
    assert any('no scalars.json' in note for note in run.notes)
    assert places(read_run(log)) == places(run)
    log.write_text('Iter(train) [ 50/1000]  lr: 1e-3  loss: 2.5\nIter(val) [5/5]  reid/mAP: 0.25\n')
    run = read_run(log)
    assert not run.by_epoch and (run.train[0].iteration, run.val[0].iteration) == (50, 50)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path))):
        read_run(tmp_path)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        read_run(tmp_path / 'nowhere')
    write_start(tmp_path / 'split_00', '20260101_000000', [])
    with pytest.raises(FileNotFoundError, match=r'there are some of .*split_00'):
        read_run(tmp_path)
    with pytest.raises(DataError, match='nothing was logged yet'):
        read_run(tmp_path / 'split_00')


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
