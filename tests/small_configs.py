"""Configs of the package for a narrow network, small images and one epoch."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from mmosnet.engine.launch import load_config

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
LOADERS = ('train', 'val', 'test')


def small_config(name: str, work_dir: Path, data_root: Path | None = None, **options) -> Config:
    """Load a config by its name.

    Args:
        name: Name of a file in ``configs/``, without suffix.
        work_dir: Folder of the run.
        data_root: Folder of the data; None keeps the config's.
        **options: Further changes by dotted keys, as in ``--cfg-options``.
    """
    cfg = load_config(
        str(CONFIGS / f'{name}.py'),
        {
            'model.backbone.widen_factor': 0.25,
            'model.neck.in_channels': 128,
            'load_from': None,
            'train_cfg.max_epochs': 1,
            'train_cfg.val_interval': 1,
            'train_dataloader.batch_size': 16,
            **{f'{loader}_dataloader.num_workers': 0 for loader in LOADERS},
            **options,
        },
        str(work_dir),
        'none',
        data_root and str(data_root),
    )
    for hook in cfg.custom_hooks:
        if hook.type == 'mmosnet.BaseFreezeHook' and hook.num_epochs >= cfg.train_cfg.max_epochs:
            hook.num_epochs = 0
    for loader in LOADERS:
        for outer in cfg[f'{loader}_dataloader'].dataset.get('pipeline', ()):
            for transform in (outer, *outer.get('transforms', ())):
                if transform.type == 'Resize':
                    transform.scale = (16, 32)
    cfg.experiment_name = f'{name}_{work_dir.parent.name}_{work_dir.name}'
    return cfg
