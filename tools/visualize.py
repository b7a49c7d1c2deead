#!/usr/bin/env python
"""Show where a trained OSNet looks, and at which scale.

activation_maps.jpg: for each image, where each stage responds (blue weakly, red strongly).
gate_weights.png, gate_weights.json: how much the aggregation gates let through of each stream, that is of each scale.
"""

import argparse

from mmengine.config import DictAction

EXAMPLES = """\
examples:
  python tools/visualize.py configs/osnet_reid_synthetic.py work_dirs/osnet_reid_synthetic/epoch_25.pth
  python tools/visualize.py CONFIG CHECKPOINT person.jpg crops/ --out-dir pictures      own images, folders of images
  python tools/visualize.py CONFIG CHECKPOINT --num-images 12 --data-root /data/market1501
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        'images', nargs='*', metavar='IMAGE_OR_FOLDER', help="query images of the config's test data set by default"
    )
    parser.add_argument('--out-dir', help='where the pictures go (work_dirs/NAME_OF_CONFIG/visualize)')
    parser.add_argument(
        '--num-images', type=int, default=6, help='images to choose from the data set, or from each folder (6)'
    )
    parser.add_argument('--data-root', help='folder of the data set')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, nested keys with dots; quote lists: key="[a,b]"',
    )
    # Images may stand before and after options.
    args = parser.parse_intermixed_args()
    if args.num_images < 1:
        parser.error('--num-images must be at least 1')
    return args


def main() -> None:
    args = parse_args()

    # Only now: importing torch takes seconds that --help should not.
    from pathlib import Path

    import mmosnet  # noqa: F401
    from mmosnet.engine import launch
    from mmosnet.visualization.visualize_network import visualize

    with launch.user_errors():
        cfg = launch.load_config(args.config, args.cfg_options, None, 'none', args.data_root)
        out_dir = Path(args.out_dir or Path(cfg.work_dir) / 'visualize')
        print('\n'.join(visualize(cfg, args.checkpoint, args.images, args.num_images, out_dir)))


if __name__ == '__main__':
    main()
