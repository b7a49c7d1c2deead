import pytest

from benchmarks import export_tables
from benchmarks.export_tables import ARCHS, FORMATS, HEADS, TASKS, WIDTHS, build_variant, parity_rows
from mmosnet.export import export as model_export


def test_what_the_table_is_about():
    assert ARCHS == ('osnet', 'osnet_ibn', 'osnet_ain') and WIDTHS == (1.0, 0.75, 0.5, 0.25)
    assert set(FORMATS.values()) == set(model_export.WRITERS) and len(TASKS) == 4
    model = build_variant('osnet_ain', 0.5, 'multitask', (64, 32))
    assert model.neck.fc.in_features == 256 and set(model.head.heads) == set(HEADS)
    assert type(build_variant('osnet', 0.25, 'category').head).__name__ == 'LinearClsHead'


def test_rows(monkeypatch):
    written = []
    check = model_export.check_parity

    def check_and_note(exported, *arguments):
        written.append((exported.description.task, exported.description.height))
        return check(exported, *arguments)

    monkeypatch.setattr(model_export, 'check_parity', check_and_note)
    monkeypatch.setattr(export_tables, 'FORMATS', dict(torchscript='.pt'))
    rows = list(parity_rows(['osnet'], [0.25], ['category', 'multitask'], (64, 32)))
    assert [row[0] for row in rows] == ['osnet x0.25, category', 'osnet x0.25, multitask']
    assert all(0 < row[1][0] < 1e-5 for row in rows)
    assert written == [('category', 64), ('multitask', 64)]


def test_a_file_that_disagrees_stops_the_table(monkeypatch):
    monkeypatch.setitem(model_export.LIMITS, 'fp32', (0, 1))
    with pytest.raises(ValueError, match='disagrees with the model at batch 1'):
        next(parity_rows(['osnet'], [0.25], ['reid'], (64, 32)))
