from mmosnet.engine.report_hook import results_table


def test_table_lines_up():
    table = results_table(
        {
            'last (epoch 60)': {'reid/mAP': 0.5, 'reid/Rank-1': 0.25},
            'best (epoch 5)': {'reid/mAP': 0.75, 'reid/a_long_name': 1.0},
        }
    ).splitlines()
    assert len({len(line) for line in table}) == 1
    assert [cell.strip() for cell in table[0].split('|')] == ['', 'mAP', 'Rank-1', 'a_long_name']
    assert [cell.strip() for cell in table[2].split('|')] == ['last (epoch 60)', '0.5000', '0.2500', '']
    assert [cell.strip() for cell in table[3].split('|')] == ['best (epoch 5)', '0.7500', '', '1.0000']
