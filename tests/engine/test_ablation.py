import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mmosnet.engine.ablation import ablation_rows, ablation_table, row_config, select_rows
from mmosnet.errors import DataError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
# PROTOCOLS of the paper: Rank-1 and mAP on Market-1501 from scratch, as reported.
PUBLISHED = {
    't1': (86.5, 67.7),
    't2': (91.7, 77.0),
    't3': (92.8, 79.9),
    't4': (93.6, 81.0),
    'full_conv': (94.0, 82.7),
    'same_depth': (91.7, 77.9),
    'concat': (91.4, 77.4),
    'sum': (92.0, 78.2),
    'separate_gates': (92.9, 80.2),
    'stream_gate': (92.6, 80.0),
    'fixed_gate': (91.6, 77.5),
}


@pytest.fixture
def cfg():
    cfg = Config.fromfile(CONFIGS / 'osnet_reid_synthetic.py')
    cfg.train_cfg.max_epochs = 4
    return cfg


def test_rows_are_the_papers():
    assert {row.name: row.published for row in ablation_rows()} == PUBLISHED


def test_selection_keeps_the_order_asked_for():
    rows = ablation_rows()
    assert [row.name for row in select_rows(rows, ['sum', 't1'])] == ['sum', 't1']
    assert select_rows(rows, None) == rows
    with pytest.raises(DataError, match="no row 't9' in the table, choose from t1, t2"):
        select_rows(rows, ['t9'])


def test_row_changes_the_backbone_of_any_config(cfg):
    (row,) = select_rows(ablation_rows(), ['t1'])
    variant = row_config(cfg, row)
    assert variant.model.backbone == dict(type='OSNet', widen_factor=0.25, num_streams=1, fusion='sum')
    assert 'num_streams' not in cfg.model.backbone
    variant.model.backbone = cfg.model.backbone
    assert variant.to_dict() == cfg.to_dict()


def write_results(folder: Path, epoch: int) -> None:
    folder.mkdir(parents=True)
    metrics = {'reid/Rank-1': 0.51234, 'reid/mAP': 0.25}
    (folder / 'results.json').write_text(json.dumps(dict(last=dict(epoch=epoch, metrics=metrics), best=None)))


def test_table_has_sizes_results_and_what_the_paper_reports(cfg, tmp_path):
    write_results(tmp_path / 'sum', 4)
    table = ablation_table(select_rows(ablation_rows(), ['sum', 't4']), cfg, tmp_path)
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in table.splitlines()]
    assert cells[2] == ['sum', 'fusion=sum', '201,296', '82.3 M', '0.512', '0.250', '92.0 / 78.2']
    assert cells[3][2:] == ['201,864', '82.3 M', '', '', '93.6 / 81.0']
    assert len({len(line) for line in table.splitlines()}) == 1


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'model.backbone.num_streams': 2}, 'sets num_streams of the backbone, which the rows set themselves'),
        ({'load_from': 'torchreid://osnet_x0_25_imagenet'}, '--cfg-options load_from=None'),
        ({'model.backbone.type': 'ResNet'}, 'has a ResNet for a backbone'),
    ],
)
def test_a_config_that_would_spoil_the_rows_is_refused(cfg, options, message):
    cfg.merge_from_dict(options)
    with pytest.raises(DataError, match=message):
        row_config(cfg, ablation_rows()[0])
