from mmosnet.engine.results_table import results_table


def test_table_lines_up():
    table = results_table(
        {
            'last (epoch 60)': {'reid/mAP': 0.5, 'reid/Rank-1': 0.25},
            'best (epoch 5)': {'reid/mAP': 0.75, 'reid/a_long_name': 1.0},
        }
    ).splitlines()
    assert len({line.replace('+', '|').index('|') for line in table}) == 1
    assert [cell.strip() for cell in table[0].split('|')] == ['', 'mAP', 'Rank-1', 'a_long_name']
    assert [cell.strip() for cell in table[2].split('|')] == ['last (epoch 60)', '0.5000', '0.2500', '']
    assert [cell.strip() for cell in table[3].split('|')] == ['best (epoch 5)', '0.7500', '', '1.0000']


def test_groups_become_rows_or_tables():
    def metrics(score):
        names = ('mAP', 'Rank-1', 'rerank/mAP', 'rerank/Rank-1', 'verification/AUC', 'verification/distance@1e-2')
        return {f'reid/{name}': score + i / 100 for i, name in enumerate(names)}

    table = results_table({'last (epoch 60)': metrics(0.5), 'best (epoch 5)': metrics(0.75)}).splitlines()
    cells = [[cell.strip() for cell in line.split('|')] for line in table]
    assert cells[0] == ['', 'mAP', 'Rank-1']
    assert cells[2:6] == [
        ['last (epoch 60)', '0.5000', '0.5100'],
        ['last (epoch 60), rerank', '0.5200', '0.5300'],
        ['best (epoch 5)', '0.7500', '0.7600'],
        ['best (epoch 5), rerank', '0.7700', '0.7800'],
    ]
    assert cells[6:8] == [[''], ['verification', 'AUC', 'distance@1e-2']]
    assert cells[9:] == [['last (epoch 60)', '0.5400', '0.5500'], ['best (epoch 5)', '0.7900', '0.8000']]
    for part in (table[:6], table[7:]):
        assert len({line.replace('+', '|').rindex('|') for line in part}) == 1
        assert max(map(len, part)) <= 120


def test_metrics_without_a_prefix_have_their_column():
    table = results_table({'test': {'mAP': 0.5, 'reid/Rank-1': 0.25}}).splitlines()
    assert [cell.strip() for cell in table[0].split('|')] == ['', 'mAP', 'Rank-1']


def test_metrics_of_several_tasks_are_one_table():
    metrics = {'reid/mAP': 0.5, 'attributes/mAP': 0.25, 'reid/rerank/mAP': 0.75}
    table = results_table({'last': metrics, 'best': {'reid/mAP': 1.0}}).splitlines()
    cells = [[cell.strip() for cell in line.split('|')] for line in table]
    assert cells[0] == ['', 'last', 'best']
    assert cells[2:] == [
        ['reid mAP', '0.5000', '1.0000'],
        ['attributes mAP', '0.2500', ''],
        ['reid rerank mAP', '0.7500', ''],
    ]
    assert len({line.replace('+', '|').index('|') for line in table}) == 1
