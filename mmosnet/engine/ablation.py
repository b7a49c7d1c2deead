"""The paper's ablation of the OSBlock on any data set: one training a row, one table (``tools/ablation.py``)."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from mmengine.config import Config

from mmosnet.engine.report_hook import RESULTS_FILE
from mmosnet.engine.trained_model import build_model
from mmosnet.errors import DataError
from mmosnet.models.complexity import count_complexity

TABLE_FILE = 'ablation.md'
# configs/ablation/osnet_reid_market_scratch_ROW.py
BASE = 'osnet_reid_market_scratch'
# Height and width for which mult-adds are given.
IMAGE_SIZE = (256, 128)


@dataclass(frozen=True)
class AblationRow:
    """One row of the table.

    Attributes:
        name: What differs, in short.
        options: Options of the backbone.
        published: Rank-1 and mAP of the paper on Market-1501, in percent, as reported.
    """

    name: str
    options: dict
    published: tuple[float, float]


def ablation_rows(configs: Path) -> list[AblationRow]:
    """The rows of the paper's table, in its order, from ``configs/ablation``."""
    base = Config.fromfile(configs / f'{BASE}.py').model.backbone
    rows = []
    for model in yaml.safe_load((configs / 'ablation' / 'metafile.yml').read_text())['Models']:
        path = configs.parent / model['Config']
        backbone = Config.fromfile(path).model.backbone
        metrics = model['Results'][0]['Metrics']
        rows.append(
            AblationRow(
                name=path.stem.removeprefix(f'{BASE}_'),
                options={key: value for key, value in backbone.items() if key not in base},
                published=(metrics['Rank-1'], metrics['mAP']),
            )
        )
    return rows


def select_rows(rows: Sequence[AblationRow], names: Sequence[str] | None) -> list[AblationRow]:
    """The named rows, all without names.

    Raises:
        DataError: No row has this name.
    """
    known = {row.name: row for row in rows}
    for name in names or []:
        if name not in known:
            raise DataError(f'no row {name!r} in the table, choose from {", ".join(known)}')
    return [known[name] for name in names or known]


def row_config(cfg: Config, row: AblationRow) -> Config:
    """The config of one row: ``cfg`` with the row's backbone."""
    variant = copy.deepcopy(cfg)
    variant.merge_from_dict({f'model.backbone.{key}': value for key, value in row.options.items()})
    return variant


def train_row(row: AblationRow, cfg: Config, work_dir: Path, train_tool: Path) -> None:
    """Train a row in a process of its own, or go on where it was interrupted; does nothing if it is finished.

    Args:
        row: The row.
        cfg: The config that all rows are trained with.
        work_dir: Gets a config and a folder for each row.
        train_tool: ``tools/train.py``.

    Raises:
        DataError: The training failed; its own message stands above.
    """
    results = _results(work_dir / row.name)
    if results is not None and results['epoch'] == cfg.train_cfg.max_epochs:
        return
    work_dir.mkdir(parents=True, exist_ok=True)
    config = work_dir / f'{row.name}.py'
    row_config(cfg, row).dump(config)
    command = [sys.executable, str(train_tool), str(config), '--work-dir', str(work_dir / row.name), '--resume']
    if subprocess.run(command).returncode:
        raise DataError(f'training row {row.name} failed, see above; once mended, the same command goes on from here')


def _results(work_dir: Path) -> dict | None:
    """The last evaluation of a training run, if there is one."""
    path = work_dir / RESULTS_FILE
    return json.loads(path.read_text()).get('last') if path.is_file() else None


def ablation_table(rows: Sequence[AblationRow], cfg: Config, work_dir: Path) -> str:
    """Sizes and results as a Markdown table; an empty cell where nothing has been trained yet.

    Args:
        rows: The rows.
        cfg: The config that all rows are trained with.
        work_dir: Its folders, named as the rows, hold the training runs.
    """
    table = [['row', 'options', 'parameters', 'mult-adds, 256x128', 'Rank-1', 'mAP', 'paper, Market-1501, as reported']]
    for row in rows:
        size = count_complexity(build_model(row_config(cfg, row)), *IMAGE_SIZE).total
        results = _results(work_dir / row.name)
        metrics = {} if results is None else results['metrics']
        cells = [row.name, ' '.join(f'{key}={value}' for key, value in row.options.items())]
        cells += [f'{size.parameters:,}', f'{size.mult_adds / 1e6:.1f} M']
        cells += [f'{metrics[key]:.3f}' if key in metrics else '' for key in ('reid/Rank-1', 'reid/mAP')]
        table.append([*cells, f'{row.published[0]} / {row.published[1]}'])
    widths = [max(len(cells[column]) for cells in table) for column in range(len(table[0]))]
    lines = ['| ' + ' | '.join(f'{c:{w}s}' for c, w in zip(cells, widths, strict=True)) + ' |' for cells in table]
    lines.insert(1, '|' + '|'.join('-' * (width + 2) for width in widths) + '|')
    return '\n'.join(lines)
