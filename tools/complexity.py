#!/usr/bin/env python
"""Count parameters, mult-adds and activations of a config's network: backbone and neck, one image, at test time.

Mult-adds and activations (output elements) are those of convolutions and linear layers, as in the OSNet paper.
"""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse

from mmengine.config import DictAction

EXAMPLES = """\
examples:
  python tools/complexity.py configs/osnet_reid_market.py                          256x128, the paper's size
  python tools/complexity.py configs/osnet_reid_market.py --shape 256 128 --shape 64 32
  python tools/complexity.py configs/osnet_x0_25_reid_market.py --per-stage        where the work is
  python tools/complexity.py CONFIG --cfg-options model.backbone.num_streams=2 --json two_streams.json
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, of any OpenMMLab toolbox that is installed')
    parser.add_argument(
        '--shape',
        nargs=2,
        type=int,
        action='append',
        metavar=('H', 'W'),
        help='height and width of the image (256 128); several times for several sizes',
    )
    parser.add_argument('--per-stage', action='store_true', help='a row for each stage')
    parser.add_argument('--json', metavar='FILE', help='write the counts, stages included, to a file')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, nested keys with dots; quote lists: key="[a,b]"',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    # Only now: importing torch takes seconds that --help should not.
    import json
    from dataclasses import asdict

    import mmosnet  # noqa: F401
    from mmosnet.engine import launch
    from mmosnet.engine.trained_model import build_model
    from mmosnet.models.complexity import complexity_table, count_complexity, left_out_parameters
    from mmosnet.whole_file import whole_file

    with launch.user_errors():
        model = build_model(launch.load_config(args.config, args.cfg_options, None, 'none'))
        counts = [count_complexity(model, height, width) for height, width in args.shape or [(256, 128)]]
        left_out = left_out_parameters(model)
        if args.json:
            report = dict(config=args.config, images=[asdict(count) for count in counts], left_out=left_out)
            with whole_file(args.json) as draft:
                draft.write_text(json.dumps(report, indent=2) + '\n')
        print(complexity_table(counts, args.per_stage))
        if left_out:
            print('\nleft out: ' + '; '.join(f'{name}, {number:,d} parameters' for name, number in left_out.items()))


if __name__ == '__main__':
    main()
