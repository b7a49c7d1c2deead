import json

import pytest

from benchmarks.measure import Measurement, Row, Target
from benchmarks.report import (
    Report,
    describe_machine,
    installed_version,
    merge_reports,
    read_report,
    report_table,
    write_markdown,
)
from benchmarks.rows import ROWS, select_rows
from mmosnet.errors import DataError

MACHINE = dict(
    cpu='A processor',
    instruction_sets=['avx2'],
    cores=2,
    threads=2,
    memory_gib=8.0,
    gpu=None,
    os='Linux 6',
    python='3.11.7',
    mmosnet='0.1.0',
    revision='abc1234',
    packages={'torch': '2.15.0'},
)
TABLE_ROWS = (Row('fast', 'work', Target(ratio=2, mean_ratio=2.5), list), Row('gpu', 'work', Target(ratio=2), list))


def report(**options):
    measurements = [
        Measurement('fast', 'a', ours=[1.0, 1.0], peer=[2.0, 3.0], limit=0.5, target='>= 2x', reached=True),
        Measurement('fast', 'b', ours=[0.01], peer=[0.02], facts={'peak GiB': 0.25, 'images': 2500.0}, reached=True),
        Measurement('gpu', 'c', 'not measured', 'no CUDA device', target='>= 2x'),
    ]
    arguments = dict(command='python tools/benchmark.py', date='2026-01-02T03:04:05+00:00', measurements=measurements)
    return Report(MACHINE, **(arguments | options))


def cells(line):
    return [cell.strip() for cell in line.split('|')]


def test_text_table():
    lines = report_table(report(), TABLE_ROWS).splitlines()
    assert lines[0] == 'A processor, 2 cores, 2 threads, 8.0 GiB, avx2, no GPU; Linux 6, Python 3.11.7.'
    assert lines[1] == 'mmosnet 0.1.0 (abc1234), 2026-01-02; torch 2.15.0.'
    assert cells(lines[5]) == ['fast', 'a', '1.00 s', '2.50 s', '2.50x (2.00-3.00)', '50%', '>= 2x', 'met']
    assert cells(lines[6])[-1] == 'met; peak GiB 0.25, images 2,500'
    assert cells(lines[7]) == ['fast', 'geometric mean', '', '', '2.24x', '', '>= 2.5x', 'missed']
    assert cells(lines[8])[-1] == 'not measured: no CUDA device'


def test_quick_runs_are_marked_and_not_judged():
    text = report_table(report(quick=True), TABLE_ROWS)
    assert text.startswith('Quick run with small sizes')
    assert 'missed' not in text


def test_markdown_replaces_what_is_between_its_marks(tmp_path):
    path = tmp_path / 'docs' / 'benchmarks.md'
    write_markdown(path, report(), TABLE_ROWS)
    new = path.read_text()
    path.write_text(f'# Speed\n\n{new}\nWhat did not pay.\n')
    write_markdown(path, report(command='python tools/benchmark.py --only fast'), TABLE_ROWS)
    written = path.read_text()
    assert written.startswith('# Speed\n\n<!-- benchmark table -->\n```\npython tools/benchmark.py --only fast\n```\n')
    assert written.endswith('<!-- end of benchmark table -->\n\nWhat did not pay.\n')
    assert [cells(line)[1:4] for line in written.splitlines()].count(['fast', 'a', '1.00 s']) == 1
    path.write_text('# Speed\n')
    with pytest.raises(DataError, match='has no lines <!-- benchmark table -->'):
        write_markdown(path, report(), TABLE_ROWS)


def test_json_there_and_back(tmp_path):
    report(quick=True).write(tmp_path / 'new' / 'found.json')
    content = json.loads((tmp_path / 'new' / 'found.json').read_text())
    assert content['quick'] is True
    assert content['machine'] == MACHINE
    assert content['measurements'][0]['peer'] == [2.0, 3.0]
    assert content['measurements'][0]['ratio'] == 2.5
    assert read_report(tmp_path / 'new' / 'found.json') == report(quick=True)


def test_what_is_no_report_has_a_message(tmp_path):
    with pytest.raises(FileNotFoundError, match='no file'):
        read_report(tmp_path / 'nothing.json')
    for content in ('{', '[]', '{"measurements": [{}]}', '{"measurements": []}'):
        (tmp_path / 'other.json').write_text(content)
        with pytest.raises(DataError, match='was not written by'):
            read_report(tmp_path / 'other.json')


def test_merged_reports_take_the_last_of_a_case():
    again = report(date='2026-01-03T00:00:00+00:00', command='again')
    again.measurements = [Measurement('fast', 'a', 'error', 'results differ')]
    merged = merge_reports([report(), again])
    assert [found.case for found in merged.measurements] == ['a', 'b', 'c']
    assert (merged.date, merged.command) == (again.date, 'python tools/benchmark.py; again')
    assert merged.failed and not report().failed


def test_reports_of_different_machines_or_sizes_are_not_merged():
    other = report()
    other.machine = dict(MACHINE, threads=1)
    with pytest.raises(DataError, match='threads is 1 and 2'):
        merge_reports([report(), other])
    with pytest.raises(DataError, match='quick runs'):
        merge_reports([report(), report(quick=True)])


def test_rows_by_name_beginning_pattern_and_device():
    names = lambda *arguments: [row.name for row in select_rows(*arguments)]  # noqa: E731
    assert names(None, None) == [row.name for row in ROWS]
    # A row's own name is not the beginning of another's.
    assert names(['evaluation'], None) == ['evaluation']
    assert names(['inference'], None) == ['inference-eager', 'inference-compiled', 'inference-best']
    assert names(['*-step'], None) == ['training-step', 'gpu-training-step']
    assert names(None, 'cuda') == ['gpu-inference', 'gpu-training-step']
    with pytest.raises(DataError, match=r"no row 'speed' in the benchmark, choose from inference-eager, .*start-up$"):
        select_rows(['epoch', 'speed'], None)
    with pytest.raises(DataError, match='none of epoch runs on cuda'):
        select_rows(['epoch'], 'cuda')


def test_machine_is_described_without_names_of_places():
    machine = describe_machine(2)
    assert machine.keys() == MACHINE.keys() | {'cuda'}
    assert machine['packages']['torch'] == installed_version('torch')
    assert installed_version('no-such-package') is None
    assert machine['cores'] >= 1
    assert '/' not in json.dumps(machine['cpu'])
