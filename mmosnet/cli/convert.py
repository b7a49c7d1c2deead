"""Convert weights of torchreid into an mmosnet checkpoint, or back.

Reads a released file of OSNet, OSNet-IBN or OSNet-AIN, or a checkpoint that torchreid saved while training. Configs and
commands read released files without this step (load_from = 'torchreid://osnet_x1_0_imagenet', or the file); a converted
file is for other programs that need a plain checkpoint of mmengine.
"""

from __future__ import annotations

import argparse

PAGE = 'from_torchreid.md'
EXAMPLES = """
  mmosnet convert osnet_x1_0_market.pth osnet_x1_0_market_mmosnet.pth
  mmosnet convert model.pth.tar-250 converted.pth        a checkpoint of a training with torchreid
  mmosnet convert osnet_ain_x1_0_msmt17 ain.pth          a released file by its short name
  mmosnet convert --to-torchreid work_dirs/osnet_reid_market/epoch_150.pth for_boxmot.pth

After converting: mmosnet test osnet_reid_market osnet_x1_0_market_mmosnet.pth
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument('source', metavar='SRC', help='file to read, or the short name of a released one')
    parser.add_argument('destination', metavar='DST', help='file to write')
    parser.add_argument('--keep-classifier', action='store_true', help='keep the classifier of the released file')
    parser.add_argument(
        '--to-torchreid', action='store_true', help='convert an mmosnet checkpoint to the released names'
    )
    parser.add_argument('--force', action='store_true', help='overwrite DST')


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from mmosnet.errors import DataError
    from mmosnet.models.torchreid import convert_from_torchreid, convert_to_torchreid

    if args.to_torchreid and args.keep_classifier:
        raise DataError('--keep-classifier is for the other direction: --to-torchreid always keeps it')
    if args.to_torchreid:
        lines = convert_to_torchreid(args.source, args.destination, args.force)
    else:
        lines = convert_from_torchreid(args.source, args.destination, args.keep_classifier, args.force)
    print('\n'.join(lines))
