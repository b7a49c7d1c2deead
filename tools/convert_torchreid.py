#!/usr/bin/env python
"""Turn a released OSNet, OSNet-IBN or OSNet-AIN file (torchreid) into an mmosnet checkpoint, or back.

Configs and tools read released files without this step (load_from = 'torchreid://osnet_x1_0_imagenet', or the file); a
converted file is for other programs that want a plain checkpoint of mmengine's.
"""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse

EXAMPLES = """\
examples:
  python tools/convert_torchreid.py osnet_x1_0_market.pth osnet_x1_0_market_mmosnet.pth
  python tools/convert_torchreid.py model.pth.tar-250 converted.pth        what torchreid saved while training
  python tools/convert_torchreid.py osnet_ain_x1_0_msmt17 ain.pth          a released file by its short name
  python tools/convert_torchreid.py --to-torchreid work_dirs/osnet_reid_market/epoch_150.pth for_boxmot.pth

After converting: python tools/test.py configs/osnet_reid_market.py osnet_x1_0_market_mmosnet.pth
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', metavar='SRC', help='file to read, or the short name of a released one')
    parser.add_argument('destination', metavar='DST', help='file to write')
    parser.add_argument('--keep-classifier', action='store_true', help='keep the classifier of the released file')
    parser.add_argument('--to-torchreid', action='store_true', help='from an mmosnet checkpoint to the released names')
    parser.add_argument('--force', action='store_true', help='overwrite DST')
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    # Only now: importing torch takes seconds that --help should not.
    from mmosnet.engine.launch import user_errors
    from mmosnet.errors import DataError
    from mmosnet.models.convert_weights import convert_from_torchreid, convert_to_torchreid

    with user_errors():
        if args.to_torchreid and args.keep_classifier:
            raise DataError('--keep-classifier is for the other direction: --to-torchreid always keeps it')
        if args.to_torchreid:
            lines = convert_to_torchreid(args.source, args.destination, args.force)
        else:
            lines = convert_from_torchreid(args.source, args.destination, args.keep_classifier, args.force)
        print('\n'.join(lines))


if __name__ == '__main__':
    main()
