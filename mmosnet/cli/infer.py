"""Apply a trained model to images of people: embeddings, attributes, categories.

Prints one row per image with what the model predicts: attributes with a score of 0.5 or more, the category, and the
length of the embedding. --out writes all predictions, embeddings included.
"""

from __future__ import annotations

import argparse

from mmosnet.cli import options

EXAMPLES = """\
  mmosnet infer osnet_reid_market torchreid://osnet_x1_0_market1501 crops/ --out embeddings.json
  mmosnet infer osnet-x0.25_reid-market1501 released a.jpg b.jpg         a model by its name, with its weights
  mmosnet infer CONFIG CHECKPOINT 'frame.jpg#xywh=120,80,64,190'         a person: left, top, width, height
  mmosnet infer CONFIG CHECKPOINT folder/ --bad-images skip --show-dir pictures --out people.csv
"""
PAGE = 'getting_started.md'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    options.add_config(parser)
    options.add_checkpoint(parser)
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help='image, region of an image (frame.jpg#xywh=120,80,64,190), or folder, with all folders below',
    )
    parser.add_argument('--out', metavar='FILE', help='write all predictions to this .json or .csv file')
    parser.add_argument('--show-dir', metavar='FOLDER', help='draw the images with their predictions into this folder')
    options.add_device(parser)
    parser.add_argument('--batch-size', type=options.positive, default=32, metavar='N', help='images at once (32)')
    parser.add_argument(
        '--bad-images',
        choices=('error', 'skip'),
        default='error',
        help='stop at files that are missing or damaged, or continue and say so in their rows (error)',
    )
    options.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from mmosnet.apis.inferencer import PersonInferencer
    from mmosnet.apis.results import check_prediction_file, prediction_table, save_predictions
    from mmosnet.engine.launch import merge_options
    from mmosnet.io.files import check_writable
    from mmosnet.models.build import find_trained

    if args.out:
        check_prediction_file(args.out)
        check_writable(args.out)
    cfg, checkpoint = find_trained(args.config, args.checkpoint)
    merge_options(cfg, options.parse_cfg_options(args.cfg_options))
    inferencer = PersonInferencer(cfg, checkpoint, args.device)
    results = inferencer(args.inputs, batch_size=args.batch_size, show_dir=args.show_dir, bad_images=args.bad_images)
    print(prediction_table(results))
    if args.out:
        print(f'\npredictions  {save_predictions(results, args.out, config=args.config, checkpoint=checkpoint)}')
    if args.show_dir:
        print(f'pictures     {args.show_dir}')
