def cells(row):
    return [cell.strip() for cell in row.strip('|').split('|')]


def test_trains_the_rows_and_prints_the_table(workplace):
    options = ('--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1')
    output = workplace.succeed('ablation.py', workplace.config, '--work-dir', 'out', '--rows', 'sum', *options)
    row = next(line for line in output.splitlines() if line.startswith('| sum '))
    written = (workplace.folder / 'out/ablation.md').read_text().splitlines()
    assert cells(row) == cells(next(line for line in written if line.startswith('| sum ')))
    # The file has all rows, also those that were not asked for.
    assert len(written) == 2 + 11
    assert all(cells(row))
    dumped = (workplace.folder / 'out/sum.py').read_text()
    assert "fusion='sum'" in dumped


def test_unknown_row_has_a_message(workplace):
    assert "no row 't9'" in workplace.fail('ablation.py', workplace.config, '--rows', 't9')


def test_the_cause_of_a_row_that_fails_stands_in_one_line(workplace):
    command = ('ablation.py', workplace.config, '--rows', 't1', '--cfg-options', 'train_cfg.max_epochs=0')
    result = workplace.run(*command)
    assert result.returncode == 1 and result.stderr.count('\n') == 1
    assert 't1' in result.stderr and 'train_cfg.max_epochs=0' in result.stderr
