"""Draw a model's results, its network and its training, into image files.

Numbers are written to files beside the pictures. No display is needed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from mmosnet.cli import options

EXAMPLES = """\
  mmosnet visualize ranked osnet-x0.25_multitask-synthetic released --worst
  mmosnet visualize training work_dirs/osnet_reid_synthetic
  mmosnet visualize ranked --help                          options and examples of a sub-command
"""
PAGE = 'visualize.md'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands and their arguments."""
    commands = parser.add_subparsers(dest='command', metavar='SUBCOMMAND', required=True)

    def add(run: Callable, *examples: str) -> argparse.ArgumentParser:
        command = options.add_command(commands, run, *examples)
        command.set_defaults(refuse=command.error)
        command.add_argument('--out-dir', metavar='FOLDER', help='folder for the files (work_dirs/NAME/visualize)')
        return command

    command = add(
        ranked,
        'osnet_reid_synthetic work_dirs/osnet_reid_synthetic/epoch_10.pth',
        'osnet-x0.25_multitask-synthetic released --worst      where it fails most',
        'CONFIG CHECKPOINT --pid 12 --pid 40 --top-k 20        queries of two people',
        'CONFIG CHECKPOINT --query someone.jpg                 an image of your own',
    )
    _add_model(command)
    command.add_argument('--num-queries', type=int, default=10, metavar='N', help='queries to show (10)')
    command.add_argument('--top-k', type=int, default=10, metavar='K', help='gallery images per query (10)')
    command.add_argument('--worst', action='store_true', help='queries with the lowest average precision')
    command.add_argument('--pid', type=int, action='append', default=[], help='only queries of this person; repeat it')
    command.add_argument(
        '--query',
        action='append',
        default=[],
        metavar='IMAGE',
        help='this image: a query of the test set, or any other, whose matches are unknown; repeat it',
    )
    command.add_argument('--rerank', action='store_true', help='rank by k-reciprocal re-ranking')
    _add_target(command)

    command = add(
        activation,
        'osnet_reid_synthetic work_dirs/osnet_reid_synthetic/epoch_10.pth',
        'CONFIG CHECKPOINT person.jpg crops/ --out-dir pictures      own images and folders',
    )
    _add_model(command)
    _add_images(command, 6, 'images to choose from the data set, or from each folder')

    command = add(
        gates,
        'osnet_reid_synthetic work_dirs/osnet_reid_synthetic/epoch_10.pth',
        'CONFIG CHECKPOINT crops/ --num-images 12 --out-dir pictures',
    )
    _add_model(command)
    _add_images(command, 6, 'images to choose from the data set, or from each folder')

    command = add(
        attributes,
        'osnet_attr_synthetic work_dirs/osnet_attr_synthetic/epoch_25.pth',
        'osnet-x0.25_multitask-synthetic released --worst      the most mistakes first',
        'CONFIG CHECKPOINT someone.jpg crops/                  own images',
    )
    _add_model(command)
    _add_images(command, 20, 'people of the test set, or images of each folder')
    command.add_argument('--worst', action='store_true', help='people with the most wrong and missed attributes')

    command = add(
        confusion,
        'osnet_cls_synthetic work_dirs/osnet_cls_synthetic/epoch_25.pth',
        'osnet-x0.25_multitask-synthetic released',
    )
    _add_model(command)

    command = add(
        cmc,
        'CONFIG CHECKPOINT',
        'CONFIG epoch_10.pth epoch_60.pth --names early late --rerank',
        'OTHER_CONFIG CHECKPOINT --saved work_dirs/NAME/visualize/cmc.json      two configs',
        '--saved a/cmc.json b/cmc.json --names x1.0 x0.25 --out-dir pictures',
    )
    _add_curves(command)
    command.add_argument('--max-rank', type=int, default=20, metavar='K', help='length of the curves (20)')
    command.add_argument('--rerank', action='store_true', help='add curves after k-reciprocal re-ranking')

    command = add(
        roc,
        'CONFIG CHECKPOINT',
        'CONFIG CHECKPOINT OTHER_CHECKPOINT --det',
        '--saved a/roc.json b/roc.json --names x1.0 x0.25 --out-dir pictures',
    )
    _add_curves(command)
    command.add_argument('--det', action='store_true', help='draw the pairs of one person that are missed (DET)')

    command = add(
        training,
        'work_dirs/osnet_reid_synthetic',
        'work_dirs/a work_dirs/b --names small large --out-dir pictures',
        'work_dirs/a --metrics mAP Rank-1 Rank-10 loss_triplet',
    )
    command.add_argument('runs', nargs='+', metavar='WORK_DIR', help='work directory, or a log file in it')
    command.add_argument(
        '--metrics', nargs='+', default=[], metavar='NAME', help='scores as logged: reid/mAP, or mAP (the usual ones)'
    )
    command.add_argument(
        '--names', nargs='+', default=[], metavar='NAME', help='names of the runs (those of the folders)'
    )


def _add_model(command: argparse.ArgumentParser) -> None:
    """Add a config with one checkpoint."""
    options.add_config(command)
    options.add_checkpoint(command)
    options.add_data_root(command)
    options.add_cfg_options(command)


def _add_images(command: argparse.ArgumentParser, number: int, what: str) -> None:
    """Add the user's images."""
    command.add_argument(
        'images',
        nargs='*',
        metavar='IMAGE_OR_FOLDER',
        help="image or folder of images (images of the config's test data set)",
    )
    command.add_argument('--num-images', type=int, default=number, metavar='N', help=f'{what} ({number})')


def _add_target(command: argparse.ArgumentParser) -> None:
    """Add ``--target``."""
    command.add_argument('--target', metavar='NAME', help='one of the data sets of a config with test_targets')


def _add_curves(command: argparse.ArgumentParser) -> None:
    """Add the options of curves, cmc and roc."""
    options.add_config(command, '?')
    options.add_checkpoint(command, '*')
    options.add_data_root(command)
    options.add_cfg_options(command)
    command.add_argument(
        '--saved', nargs='+', default=[], metavar='FILE', help='.json files of earlier figures to draw, too'
    )
    command.add_argument(
        '--names', nargs='+', default=[], metavar='NAME', help='names of all curves (those of the files)'
    )
    _add_target(command)


def run(args: argparse.Namespace) -> None:
    """Run a sub-command, and print the results and the paths of the files."""
    print('\n'.join(args.run(args)))


def ranked(args: argparse.Namespace) -> list[str]:
    """Draw queries of the test set, each with the gallery images that it ranks first.

    Images of the same person have a green frame with a tick, others a red one with a cross. Writes ranked_lists.jpg and
    ranked_lists.json, and prints average precision, first match and number of matches per query.
    """
    from mmosnet.visualization.ranked_lists import Choice, visualize_ranked_lists
    from mmosnet.visualization.results import target_config

    cfg, checkpoint, out_dir = _model(args)
    choice = Choice(args.num_queries, args.worst, args.pid, args.query, args.top_k, args.rerank)
    return visualize_ranked_lists(target_config(cfg, args.target), checkpoint, choice, out_dir)


def activation(args: argparse.Namespace) -> list[str]:
    """Draw where each stage of an OSNet responds in an image, from dark (weakly) to bright (strongly).

    Writes activation_maps.jpg.
    """
    from mmosnet.visualization.network import view_images, visualize_activation

    cfg, checkpoint, out_dir = _model(args)
    return visualize_activation(view_images(cfg, checkpoint, args.images, args.num_images), out_dir)


def gates(args: argparse.Namespace) -> list[str]:
    """Draw how much the aggregation gates let through of each stream, that is of each scale.

    Writes gate_weights.png and gate_weights.json.
    """
    from mmosnet.visualization.network import view_images, visualize_gates

    cfg, checkpoint, out_dir = _model(args)
    return visualize_gates(view_images(cfg, checkpoint, args.images, args.num_images), out_dir)


def attributes(args: argparse.Namespace) -> list[str]:
    """Draw people with their attributes, wrong ones marked.

    On the test set, right attributes are green with a tick, wrong ones red with a cross, and missed ones struck
    through. For your own images, the predicted attributes are listed. Writes attributes.jpg and attributes.json, and
    prints the scores per attribute.
    """
    from mmosnet.visualization.results import visualize_attributes

    cfg, checkpoint, out_dir = _model(args)
    return visualize_attributes(cfg, checkpoint, args.images, args.num_images, out_dir, args.worst)


def confusion(args: argparse.Namespace) -> list[str]:
    """Draw which categories are taken for which, and how often.

    If there are more than 30 categories, the 30 with the largest confusions are drawn. Writes confusion_matrix.png and
    confusion_matrix.csv, and prints the pairs that are confused most often.
    """
    from mmosnet.visualization.results import visualize_confusion

    return visualize_confusion(*_model(args))


def cmc(args: argparse.Namespace) -> list[str]:
    """Draw the share of queries with a match among the first k gallery images (CMC).

    There is one curve per checkpoint, and per data set of a config with test_targets. Writes cmc.png, cmc.csv and
    cmc.json.
    """
    from mmosnet.visualization.curves import CurveSource, visualize_cmc

    cfg, checkpoints, out_dir = _models(args)
    source = CurveSource(cfg, checkpoints, args.saved, args.names, args.target)
    return visualize_cmc(source, out_dir, args.max_rank, args.rerank)


def roc(args: argparse.Namespace) -> list[str]:
    """Draw verification: pairs of one person that pass, over pairs of two people that pass (ROC).

    A pair passes if its distance is below a threshold. Pairs are those of the ranking: every query with every gallery
    image. Writes roc.png (or det.png), roc.csv and roc.json, and prints AUC, EER, and shares and distance thresholds at
    false match rates of 1e-2, 1e-3 and 1e-4.
    """
    from mmosnet.visualization.curves import CurveSource, visualize_roc

    cfg, checkpoints, out_dir = _models(args)
    return visualize_roc(CurveSource(cfg, checkpoints, args.saved, args.names, args.target), out_dir, args.det)


def training(args: argparse.Namespace) -> list[str]:
    """Draw the course of trainings from their logs: loss, learning rate and scores.

    The logs of a work directory that was resumed are joined, and epochs that were repeated count once. Writes
    training.png and training.csv.
    """
    from pathlib import Path

    from mmosnet.visualization.training import visualize_training

    first = Path(args.runs[0])
    out_dir = Path(args.out_dir or (first.parent if first.is_file() else first) / 'visualize')
    return visualize_training(args.runs, out_dir, args.metrics, args.names)


def _model(args: argparse.Namespace) -> tuple:
    """Return config, checkpoint and the folder of the outputs."""
    cfg, (checkpoint,), out_dir = _trained(args, [args.checkpoint])
    return cfg, checkpoint, out_dir


def _models(args: argparse.Namespace) -> tuple:
    """Return config, checkpoints and the folder of the outputs; with ``--saved``, the first two may be missing."""
    if args.config is None and not args.saved:
        args.refuse(f'{args.command} needs CONFIG CHECKPOINT, or --saved FILE')
    if args.config is not None and not args.checkpoint:
        args.refuse(f'{args.command} needs a checkpoint behind {args.config}')
    return _trained(args, args.checkpoint)


def _trained(args: argparse.Namespace, checkpoints: list[str]) -> tuple:
    from pathlib import Path

    from mmosnet.io.files import check_writable
    from mmosnet.visualization.results import trained_config

    cfg = None
    if args.config is not None:
        cfg_options = options.parse_cfg_options(args.cfg_options)
        cfg, checkpoints = trained_config(args.config, checkpoints, cfg_options, args.data_root)
    out_dir = Path(args.out_dir or Path('work_dirs' if cfg is None else cfg.work_dir) / 'visualize')
    check_writable(out_dir / args.command)
    return cfg, checkpoints, out_dir
