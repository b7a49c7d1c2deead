import json

from tests.cli.conftest import REPOSITORY
from tests.datasets.official_formats import write_grid

CONFIG = REPOSITORY / 'configs' / 'osnet_reid_grid.py'
SMALL = (
    '--cfg-options',
    'model.backbone.widen_factor=0.25',
    'model.neck.in_channels=128',
    'load_from=None',
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=1',
    'custom_hooks.5.num_epochs=0',
    'train_dataloader.num_workers=0',
    'val_dataloader.num_workers=0',
    'train_dataloader.dataset.pipeline.1.scale=(16,32)',
    'val_dataloader.dataset.pipeline.1.scale=(16,32)',
)


def test_every_split_mean_and_deviation_in_one_command(workplace):
    root = write_grid(workplace.folder / 'grid')
    splits = ('--splits', '0', '1', '--data-root', root, '--work-dir', 'out')
    lines = workplace.succeed('train_splits.py', CONFIG, *splits, *SMALL).splitlines()[-6:]
    assert [line.split('|')[0].strip() for line in lines[2:]] == ['split 0', 'split 1', 'mean of 2', 'std']
    summary = json.loads((workplace.folder / 'out/splits.json').read_text())
    scores = [split['reid/Rank-1'] for split in summary['splits'].values()]
    assert summary['mean']['reid/Rank-1'] == sum(scores) / 2


def test_mistakes_have_messages(workplace):
    assert 'has splits 0 to 9' in workplace.fail('train_splits.py', CONFIG, '--splits', '10')
    assert 'Market1501 has one split only' in workplace.fail('train_splits.py', workplace.config)
    # Not ten times.
    result = workplace.run('train_splits.py', CONFIG, '--data-root', 'nowhere', *SMALL)
    assert result.returncode == 1 and result.stdout.count('no folder nowhere/probe') == 1
    assert result.stderr.startswith('error: 1 of 10 splits failed: 0. ') and result.stderr.count('\n') == 1
    assert 'no folder nowhere/probe' in result.stderr
