"""The paper's ablation of the OSBlock on any data set: one training a row, one table (``mmosnet ablation``)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from mmosnet.compatibility import config_files, indexed_models
from mmosnet.drawing.tables import markdown_table
from mmosnet.engine.training_process import trained_metrics
from mmosnet.errors import DataError
from mmosnet.models.build import build_model
from mmosnet.models.complexity import count_complexity

TABLE_FILE = 'ablation.md'
# configs/ablation/osnet_reid_market_scratch_ROW.py
BASE = 'osnet_reid_market_scratch'
# What the rows vary.
OPTIONS = ('num_streams', 'fusion', 'lite', 'same_depth')
# Height and width for which mult-adds are given.
IMAGE_SIZE = (256, 128)


@dataclass(frozen=True)
class AblationRow:
    """One row of the table.

    Attributes:
        name: Short description of the difference.
        options: Options of the backbone.
        published: Rank-1 and mAP of the paper on Market-1501, in percent, as reported.
    """

    name: str
    options: dict
    published: tuple[float, float]


def ablation_rows() -> list[AblationRow]:
    """The rows of the paper's table, in its order, from ``configs/ablation``."""
    base = Config.fromfile(config_files()[BASE]).model.backbone
    rows = []
    for model in indexed_models().values():
        if model.config.parent.name != 'ablation':
            continue
        backbone = Config.fromfile(model.config).model.backbone
        rows.append(
            AblationRow(
                name=model.config.stem.removeprefix(f'{BASE}_'),
                options={key: value for key, value in backbone.items() if key not in base},
                published=(model.metrics['Rank-1'], model.metrics['mAP']),
            )
        )
    return rows


def select_rows(rows: Sequence[AblationRow], names: Sequence[str] | None) -> list[AblationRow]:
    """Return the named rows; all rows without names.

    Raises:
        DataError: No row has this name.
    """
    known = {row.name: row for row in rows}
    for name in names or []:
        if name not in known:
            raise DataError(f'no row {name!r} in the table, choose from {", ".join(known)}')
    return [known[name] for name in names or known]


def row_config(cfg: Config, row: AblationRow) -> Config:
    """Return the config of one row: ``cfg`` with the row's backbone.

    Raises:
        DataError: The config's backbone is no OSNet, is itself such a variant, or starts from weights, which fit one
            row alone.
    """
    backbone = cfg.model.backbone
    if backbone.type not in ('OSNet', 'mmosnet.OSNet'):
        raise DataError(f'{cfg.filename} has a {backbone.type} for a backbone; the rows are variants of OSNet')
    changed = sorted(set(OPTIONS) & set(backbone))
    if changed:
        raise DataError(f'{cfg.filename} sets {", ".join(changed)} of the backbone, which the rows set themselves')
    if cfg.get('load_from') or backbone.get('init_cfg'):
        raise DataError(
            f'{cfg.filename} starts from weights of the unchanged network; the rows start from random ones: '
            '--cfg-options load_from=None'
        )
    variant = copy.deepcopy(cfg)
    variant.merge_from_dict({f'model.backbone.{key}': value for key, value in row.options.items()})
    return variant


def ablation_table(rows: Sequence[AblationRow], cfg: Config, work_dir: Path) -> str:
    """Return sizes and results as a Markdown table; cells of untrained rows are empty.

    Args:
        rows: The rows.
        cfg: The config that all rows are trained with.
        work_dir: Folder of the training runs, which are named after the rows.
    """
    titles = ['row', 'options', 'parameters', 'mult-adds, 256x128', 'Rank-1', 'mAP', 'paper, Market-1501, as reported']
    lines = []
    for row in rows:
        size = count_complexity(build_model(row_config(cfg, row)), *IMAGE_SIZE).total
        metrics = trained_metrics(work_dir / row.name) or {}
        cells = [row.name, ' '.join(f'{key}={value}' for key, value in row.options.items())]
        cells += [f'{size.parameters:,}', f'{size.mult_adds / 1e6:.1f} M']
        cells += [f'{metrics[key]:.3f}' if key in metrics else '' for key in ('reid/Rank-1', 'reid/mAP')]
        lines.append([*cells, f'{row.published[0]} / {row.published[1]}'])
    return markdown_table(titles, lines)
