"""Draw what a model does: pictures in files, numbers beside them.

No display is needed.
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
IMAGES_HELP = "image or folder of images; by default those of the config's test data set"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands and their arguments."""
    commands = parser.add_subparsers(dest='command', metavar='SUBCOMMAND', required=True)
    for add in (add_ranked, add_activation, add_gates, add_attributes, add_confusion, add_cmc, add_roc, add_training):
        add(commands)


def add_command(
    commands: argparse._SubParsersAction, name: str, help: str, about: str, examples: list[str], draw: Callable
) -> argparse.ArgumentParser:
    """Add a sub-command with the option that all have.

    Args:
        commands: Of the parser.
        name: Of the sub-command.
        help: A line for the list of all.
        about: The text of its own ``--help``.
        examples: What follows the name.
        draw: The function that runs it.
    """
    lines = '\n'.join(f'  mmosnet visualize {name} {example}' for example in examples)
    command = commands.add_parser(
        name,
        help=help,
        description=about,
        epilog=f'examples:\n{lines}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(draw=draw, refuse=command.error)
    command.add_argument('--out-dir', metavar='FOLDER', help='where the files go (work_dirs/NAME/visualize)')
    return command


def add_model(command: argparse.ArgumentParser) -> None:
    """Add a config with one checkpoint."""
    options.add_config(command)
    options.add_checkpoint(command)
    _add_settings(command)


def _add_settings(command: argparse.ArgumentParser) -> None:
    options.add_data_root(command)
    options.add_cfg_options(command)


def add_images(command: argparse.ArgumentParser, number: int, what: str) -> None:
    """Add images of the user's."""
    command.add_argument('images', nargs='*', metavar='IMAGE_OR_FOLDER', help=IMAGES_HELP)
    command.add_argument('--num-images', type=int, default=number, metavar='N', help=f'{what} ({number})')


def add_ranked(commands: argparse._SubParsersAction) -> None:
    """Add ``ranked``."""
    command = add_command(
        commands,
        'ranked',
        'queries of a re-identification test with the gallery images that they rank first',
        'Draw queries of the test set, each with the gallery images that it ranks first.\n\n'
        'Images of the same person have a green frame with a tick, others a red one with a cross. Writes\n'
        'ranked_lists.jpg and .json; a table tells AP, first match and matches of each query.',
        [
            'osnet_reid_synthetic work_dirs/osnet_reid_synthetic/epoch_10.pth',
            'osnet-x0.25_multitask-synthetic released --worst      where it fails most',
            'CONFIG CHECKPOINT --pid 12 --pid 40 --top-k 20        queries of two people',
            'CONFIG CHECKPOINT --query someone.jpg                 an image of your own',
        ],
        draw_ranked,
    )
    add_model(command)
    command.add_argument('--num-queries', type=int, default=10, metavar='N', help='queries to show (10)')
    command.add_argument('--top-k', type=int, default=10, metavar='K', help='gallery images per query (10)')
    command.add_argument('--worst', action='store_true', help='queries with the lowest average precision')
    command.add_argument('--pid', type=int, action='append', default=[], help='queries of this person alone; repeat it')
    command.add_argument(
        '--query',
        action='append',
        default=[],
        metavar='IMAGE',
        help='this image: a query of the test set, or any other, of which nobody knows what is right; repeat it',
    )
    command.add_argument('--rerank', action='store_true', help='rank again by k-reciprocal neighbours')
    add_target(command)


def add_target(command: argparse.ArgumentParser) -> None:
    """Add ``--target``."""
    command.add_argument('--target', metavar='NAME', help='one of the data sets of a config with test_targets')


def add_activation(commands: argparse._SubParsersAction) -> None:
    """Add ``activation``."""
    command = add_command(
        commands,
        'activation',
        'where each stage of the network responds in an image',
        'Draw where each stage of an OSNet responds, from dark (weakly) to bright (strongly).\n\n'
        'Writes activation_maps.jpg.',
        [
            'osnet_reid_synthetic work_dirs/osnet_reid_synthetic/epoch_10.pth',
            'CONFIG CHECKPOINT person.jpg crops/ --out-dir pictures      own images, folders',
        ],
        draw_activation,
    )
    add_model(command)
    add_images(command, 6, 'images to choose from the data set, or from each folder')


def add_gates(commands: argparse._SubParsersAction) -> None:
    """Add ``gates``."""
    command = add_command(
        commands,
        'gates',
        'how much of each scale the aggregation gates let through',
        'Draw how much the aggregation gates let through of each stream, that is of each scale.\n\n'
        'Writes gate_weights.png and gate_weights.json.',
        [
            'osnet_reid_synthetic work_dirs/osnet_reid_synthetic/epoch_10.pth',
            'CONFIG CHECKPOINT crops/ --num-images 12 --out-dir pictures',
        ],
        draw_gates,
    )
    add_model(command)
    add_images(command, 6, 'images to choose from the data set, or from each folder')


def add_attributes(commands: argparse._SubParsersAction) -> None:
    """Add ``attributes``."""
    command = add_command(
        commands,
        'attributes',
        'people with their attributes, wrong ones marked',
        'Draw people with their attributes.\n\n'
        'On the test set right ones are green with a tick, wrong ones red with a cross, missed ones struck through;\n'
        'for your own images those predicted are listed. Writes attributes.jpg and .json; a table tells the scores.',
        [
            'osnet_attr_synthetic work_dirs/osnet_attr_synthetic/epoch_25.pth',
            'osnet-x0.25_multitask-synthetic released --worst      the most mistakes first',
            'CONFIG CHECKPOINT someone.jpg crops/                      own images',
        ],
        draw_attributes,
    )
    add_model(command)
    add_images(command, 20, 'people of the test set, or images of each folder')
    command.add_argument('--worst', action='store_true', help='people with the most wrong and missed attributes')


def add_confusion(commands: argparse._SubParsersAction) -> None:
    """Add ``confusion``."""
    command = add_command(
        commands,
        'confusion',
        'which categories are taken for which',
        'Draw which categories are taken for which, and how often; of many the 30 with the largest confusions.\n\n'
        'Writes confusion_matrix.png and .csv; a table tells the pairs that are confused most often.',
        [
            'osnet_cls_synthetic work_dirs/osnet_cls_synthetic/epoch_25.pth',
            'osnet-x0.25_multitask-synthetic released',
        ],
        draw_confusion,
    )
    add_model(command)


def add_curves(command: argparse.ArgumentParser) -> None:
    """Add what cmc and roc share."""
    options.add_config(command, '?')
    options.add_checkpoint(command, '*')
    _add_settings(command)
    command.add_argument(
        '--saved', nargs='+', default=[], metavar='FILE', help='.json files of earlier figures, drawn too'
    )
    command.add_argument('--names', nargs='+', default=[], metavar='NAME', help='of all curves (those of the files)')
    add_target(command)


def add_cmc(commands: argparse._SubParsersAction) -> None:
    """Add ``cmc``."""
    command = add_command(
        commands,
        'cmc',
        'how many queries have a match among the first k images',
        'Draw the share of queries with a match among the first k gallery images (CMC), a curve per checkpoint.\n\n'
        'A config with test_targets gives a curve for each of them. Writes cmc.png, cmc.csv and cmc.json.',
        [
            'CONFIG CHECKPOINT',
            'CONFIG epoch_10.pth epoch_60.pth --names early late --rerank',
            'OTHER_CONFIG CHECKPOINT --saved work_dirs/NAME/visualize/cmc.json      two configs',
            '--saved a/cmc.json b/cmc.json --names x1.0 x0.25 --out-dir pictures',
        ],
        draw_cmc,
    )
    add_curves(command)
    command.add_argument('--max-rank', type=int, default=20, metavar='K', help='length of the curves (20)')
    command.add_argument('--rerank', action='store_true', help='also after ranking again by k-reciprocal neighbours')


def add_roc(commands: argparse._SubParsersAction) -> None:
    """Add ``roc``."""
    command = add_command(
        commands,
        'roc',
        'how many pairs of one person pass for how many pairs of two people',
        'Draw verification: which share of the pairs of one person lie below a distance that lets through a share of\n'
        'the pairs of two people (ROC). Pairs are those of the ranking: every query with every gallery image.\n\n'
        'Writes roc.png (det.png), roc.csv and roc.json; a table tells AUC, EER, and shares and distance thresholds\n'
        'at false match rates of 1e-2, 1e-3 and 1e-4.',
        [
            'CONFIG CHECKPOINT',
            'CONFIG CHECKPOINT OTHER_CHECKPOINT --det',
            '--saved a/roc.json b/roc.json --names x1.0 x0.25 --out-dir pictures',
        ],
        draw_roc,
    )
    add_curves(command)
    command.add_argument('--det', action='store_true', help='draw the pairs of one person that are missed (DET)')


def add_training(commands: argparse._SubParsersAction) -> None:
    """Add ``training``."""
    command = add_command(
        commands,
        'training',
        'loss, learning rate and scores of a training, from its log',
        'Draw the course of trainings from their logs: loss, learning rate and scores of the evaluations.\n\n'
        'Starts of one work directory are joined: what was trained again counts once. Writes training.png and .csv.',
        [
            'work_dirs/osnet_reid_synthetic',
            'work_dirs/a work_dirs/b --names small large --out-dir pictures',
            'work_dirs/a --metrics mAP Rank-1 Rank-10 loss_triplet',
        ],
        draw_training,
    )
    command.add_argument('runs', nargs='+', metavar='WORK_DIR', help='work directory, or a log file in it')
    command.add_argument(
        '--metrics', nargs='+', default=[], metavar='NAME', help='as logged: reid/mAP, or mAP (the usual)'
    )
    command.add_argument('--names', nargs='+', default=[], metavar='NAME', help='of the runs (those of the folders)')


def run(args: argparse.Namespace) -> None:
    """Draw what was asked for, and say what was found and where it is."""
    print('\n'.join(args.draw(args)))


def draw_training(args: argparse.Namespace) -> list[str]:
    """Draw the course of trainings."""
    from pathlib import Path

    from mmosnet.visualization.training import visualize_training

    first = Path(args.runs[0])
    out_dir = Path(args.out_dir or (first.parent if first.is_file() else first) / 'visualize')
    return visualize_training(args.runs, out_dir, args.metrics, args.names)


def draw_ranked(args: argparse.Namespace) -> list[str]:
    """Draw ranked lists."""
    from mmosnet.visualization.ranked_lists import Choice, visualize_ranked_lists
    from mmosnet.visualization.results import target_config

    cfg, checkpoint, out_dir = _model(args)
    choice = Choice(args.num_queries, args.worst, args.pid, args.query, args.top_k, args.rerank)
    return visualize_ranked_lists(target_config(cfg, args.target), checkpoint, choice, out_dir)


def draw_activation(args: argparse.Namespace) -> list[str]:
    """Draw activation maps."""
    from mmosnet.visualization.network import view_images, visualize_activation

    cfg, checkpoint, out_dir = _model(args)
    return visualize_activation(view_images(cfg, checkpoint, args.images, args.num_images), out_dir)


def draw_gates(args: argparse.Namespace) -> list[str]:
    """Draw gate weights."""
    from mmosnet.visualization.network import view_images, visualize_gates

    cfg, checkpoint, out_dir = _model(args)
    return visualize_gates(view_images(cfg, checkpoint, args.images, args.num_images), out_dir)


def draw_attributes(args: argparse.Namespace) -> list[str]:
    """Draw people with their attributes."""
    from mmosnet.visualization.results import visualize_attributes

    cfg, checkpoint, out_dir = _model(args)
    return visualize_attributes(cfg, checkpoint, args.images, args.num_images, out_dir, args.worst)


def draw_confusion(args: argparse.Namespace) -> list[str]:
    """Draw the confusion matrix."""
    from mmosnet.visualization.results import visualize_confusion

    return visualize_confusion(*_model(args))


def draw_cmc(args: argparse.Namespace) -> list[str]:
    """Draw CMC curves."""
    from mmosnet.visualization.curves import CurveSource, visualize_cmc

    cfg, checkpoints, out_dir = _models(args)
    source = CurveSource(cfg, checkpoints, args.saved, args.names, args.target)
    return visualize_cmc(source, out_dir, args.max_rank, args.rerank)


def draw_roc(args: argparse.Namespace) -> list[str]:
    """Draw ROC or DET curves."""
    from mmosnet.visualization.curves import CurveSource, visualize_roc

    cfg, checkpoints, out_dir = _models(args)
    return visualize_roc(CurveSource(cfg, checkpoints, args.saved, args.names, args.target), out_dir, args.det)


def _model(args: argparse.Namespace) -> tuple:
    """Return config, checkpoint and the folder of the outputs."""
    cfg, (checkpoint,), out_dir = _trained(args, [args.checkpoint])
    return cfg, checkpoint, out_dir


def _models(args: argparse.Namespace) -> tuple:
    """Return config, checkpoints and the folder of the outputs; the first two may be missing where curves are read."""
    if args.config is None and not args.saved:
        args.refuse(f'{args.command} needs CONFIG CHECKPOINT, or --saved FILE')
    if args.config is not None and not args.checkpoint:
        args.refuse(f'{args.command} needs a checkpoint behind {args.config}')
    return _trained(args, args.checkpoint)


def _trained(args: argparse.Namespace, checkpoints: list[str]) -> tuple:
    from pathlib import Path

    from mmosnet.io.files import check_writable
    from mmosnet.visualization.results import trained_config

    cfg, found = None, []
    if args.config is not None:
        cfg_options = options.parse_cfg_options(args.cfg_options)
        cfg, found = trained_config(args.config, checkpoints, cfg_options, args.data_root)
    out_dir = Path(args.out_dir or Path('work_dirs' if cfg is None else cfg.work_dir) / 'visualize')
    check_writable(out_dir / args.command)
    return cfg, found, out_dir
