from __future__ import annotations

import sys

import pytest

from mmosnet.errors import DataError
from mmosnet.io.text_tables import fact_table, markdown_table, number_text, text_table


def test_columns_line_up_and_cells_stay_as_they_are():
    rows = [['a', '1e5', number_text(0.5)], ['longer', '007', number_text(None)], ['', '', ' x']]
    assert text_table(['', 'code', 'mAP'], rows, indent=1).splitlines() == [
        '        | code |    mAP',
        ' -------+------+-------',
        ' a      |  1e5 | 0.5000',
        ' longer |  007 |',
        '        |      |      x',
    ]
    assert text_table(['a', 'b'], [['x', 'yy'], ['zzz', 'w']], 'rl').splitlines()[2:] == ['  x | yy', 'zzz | w']
    assert text_table(['a', 'b'], []).splitlines() == ['a | b', '--+--']


def test_wide_characters_take_two_columns():
    lines = text_table(['name', 'n'], [['張三', '1'], ['anna-b', '22']]).splitlines()
    assert lines[2:] == ['張三   |  1', 'anna-b | 22']


def test_what_breaks_lines_or_terminals_is_escaped():
    names = ['two\nlines', 'bell\x07', 'red\x1b[31m', 'half\udce9', 'tab\t']
    for text in (text_table(['name'], [[name] for name in names]), fact_table([(name, name) for name in names])):
        lines = text.splitlines()[-5:]
        assert all(line.isprintable() for line in lines) and len(text.splitlines()) in (5, 7)
        assert lines[3].startswith('half\\udce9')
        text.encode()
    assert text_table(['a\nb'], []).splitlines()[0] == 'a\\nb'


def test_markdown():
    assert markdown_table(['row', 'n'], [['a|b', '1'], ['', '22']]).splitlines() == [
        '| row  | n  |',
        '|------|----|',
        '| a\\|b | 1  |',
        '|      | 22 |',
    ]


def test_facts():
    assert fact_table([('images', '40'), ('', 'a: b'), ('id', '')]).splitlines() == ['images  40', '        a: b', 'id']
    assert fact_table([]) == ''


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tabulate', None)
    with pytest.raises(DataError, match='tabulate'):
        text_table(['a'], [['b']])
