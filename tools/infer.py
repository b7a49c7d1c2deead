#!/usr/bin/env python
"""Apply a trained model to images of people: embeddings, attributes, categories, whatever it predicts.

Prints a line an image: attributes with a score of 0.5 or more, the category, the length of the embedding. --out writes
everything, embeddings included.
"""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse

from mmengine.config import DictAction

EXAMPLES = """\
examples:
  python tools/infer.py configs/osnet_reid_market.py torchreid://osnet_x1_0_market1501 crops/ --out embeddings.json
  python tools/infer.py osnet-x0.25_reid-market1501 released a.jpg b.jpg     a model of configs/README.md by its name
  python tools/infer.py CONFIG CHECKPOINT 'frame.jpg#xywh=120,80,64,190'      a person: left, top, width, height
  python tools/infer.py CONFIG CHECKPOINT folder/ --bad-images skip --show-dir pictures --out people.csv
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, or name of a model in configs/README.md')
    parser.add_argument('checkpoint', help='checkpoint file, torchreid://NAME, or "released" for those of the name')
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help='image, region of one (frame.jpg#xywh=120,80,64,190), or folder with all that is in it',
    )
    parser.add_argument('--out', metavar='FILE', help='write all predictions to this .json or .csv file')
    parser.add_argument('--show-dir', metavar='FOLDER', help='draw the images with their predictions into this folder')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 ... (a GPU if there is one)')
    parser.add_argument('--batch-size', type=int, default=32, help='images at once (32)')
    parser.add_argument(
        '--bad-images',
        choices=('error', 'skip'),
        default='error',
        help='stop at files that are missing or damaged, or go on and say so in their lines (error)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, nested keys with dots; quote lists: key="[a,b]"',
    )
    # Inputs may stand before and after options.
    return parser.parse_intermixed_args()


def main() -> None:
    args = parse_args()

    # Only now: importing torch takes seconds that --help should not.
    import mmosnet  # noqa: F401
    from mmosnet.apis.person_inferencer import PersonInferencer
    from mmosnet.apis.prediction_file import check_prediction_file, prediction_table, save_predictions
    from mmosnet.engine import launch
    from mmosnet.engine.config_options import merge_options
    from mmosnet.engine.trained_model import find_trained
    from mmosnet.whole_file import check_writable

    with launch.user_errors():
        if args.out:
            check_prediction_file(args.out)
            check_writable(args.out)
        cfg, checkpoint = find_trained(args.config, args.checkpoint)
        merge_options(cfg, args.cfg_options)
        inferencer = PersonInferencer(cfg, checkpoint, args.device)
        results = inferencer(
            args.inputs, batch_size=args.batch_size, show_dir=args.show_dir, bad_images=args.bad_images
        )
        print(prediction_table(results))
        if args.out:
            print(f'\npredictions  {save_predictions(results, args.out, config=args.config, checkpoint=checkpoint)}')
        if args.show_dir:
            print(f'pictures     {args.show_dir}')


if __name__ == '__main__':
    main()
