import json
import sys

import pytest
from mmengine.config import Config

from mmosnet.engine import training_process
from mmosnet.engine.training_process import evaluate, train, trained_metrics
from mmosnet.errors import DataError

CFG = Config(dict(train_cfg=dict(max_epochs=4), answer=42))
# Stands in for a tool: writes down its arguments, and fails if asked to.
TOOL = """
import sys, pathlib
pathlib.Path(sys.argv[0]).with_suffix('.txt').write_text(' '.join(sys.argv[1:]))
sys.exit({code})
"""


@pytest.fixture
def end_with(tmp_path, monkeypatch):
    """Let what is started end with a code."""

    def replace(code):
        (tmp_path / 'tool.py').write_text(TOOL.format(code=code))

    monkeypatch.setattr(training_process, 'COMMAND', (sys.executable, tmp_path / 'tool.py'))
    replace(0)
    return replace


def write_results(folder, epoch):
    folder.mkdir(parents=True)
    (folder / 'results.json').write_text(json.dumps(dict(last=dict(epoch=epoch, metrics={'reid/mAP': 0.25}))))


def test_config_and_work_directory_are_the_trainings(tmp_path, end_with):
    train('one', CFG, tmp_path / 'out')
    out = tmp_path / 'out'
    assert (tmp_path / 'tool.txt').read_text() == f'train {out / "one.py"} --work-dir {out / "one"} --resume'
    assert Config.fromfile(out / 'one.py').answer == 42
    evaluate('two', CFG, out, tmp_path / 'a.pth')
    assert (tmp_path / 'tool.txt').read_text() == f'test {out / "two.py"} {tmp_path / "a.pth"} --work-dir {out / "two"}'


def test_only_a_finished_training_is_not_repeated(tmp_path, end_with):
    write_results(tmp_path / 'one', 4)
    write_results(tmp_path / 'two', 3)
    end_with(1)
    train('one', CFG, tmp_path)
    assert trained_metrics(tmp_path / 'one') == {'reid/mAP': 0.25}
    assert trained_metrics(tmp_path / 'three') is None
    with pytest.raises(DataError, match='training two failed'):
        train('two', CFG, tmp_path)
    with pytest.raises(DataError, match='testing two failed'):
        evaluate('two', CFG, tmp_path, tmp_path / 'a.pth')


def test_a_training_with_other_settings_is_not_taken_for_this_one(tmp_path, end_with):
    train('one', CFG, tmp_path)
    write_results(tmp_path / 'one', 4)
    end_with(1)
    train('one', CFG, tmp_path)
    end_with(0)
    other = Config(dict(train_cfg=dict(max_epochs=4), answer=43))
    with pytest.raises(DataError, match=r'one was trained with other settings \(answer\); give another --work-dir'):
        train('one', other, tmp_path)
    # Interrupted before its first evaluation.
    (tmp_path / 'one' / 'results.json').unlink()
    (tmp_path / 'one' / 'epoch_1.pth').write_text('a checkpoint')
    with pytest.raises(DataError, match='other settings'):
        train('one', other, tmp_path)
    # A longer training goes on.
    train('one', Config(dict(train_cfg=dict(max_epochs=5), answer=42)), tmp_path)


def test_an_interrupted_training_interrupts_the_series(tmp_path, end_with):
    for code in (130, 143):
        end_with(code)
        with pytest.raises(KeyboardInterrupt):
            train('one', CFG, tmp_path / 'out')
