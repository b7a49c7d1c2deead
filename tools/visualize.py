#!/usr/bin/env python
"""Draw what a model does: pictures in files, numbers beside them; no display is needed.

ranked        queries of a re-identification test with the gallery images that they rank first
activation    where each stage of the network responds in an image
gates         how much of each scale the aggregation gates let through
attributes    people with their attributes, wrong ones marked
confusion     which categories are taken for which
cmc           how many queries have a match among the first k images
roc           how many pairs of one person pass for how many pairs of two people
training      loss, learning rate and scores of a training, from its log
"""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import sys

from mmengine.config import DictAction

EXAMPLES = """\
examples, with a model that comes with the package:
  python tools/visualize.py ranked osnet-x0.25_multitask-synthetic released --worst
  python tools/visualize.py training work_dirs/osnet_reid_synthetic
  python tools/visualize.py ranked --help                          options and examples of a sub-command
"""
CONFIG_HELP = 'config file, or name of a model in configs/README.md'
CHECKPOINT_HELP = 'checkpoint file, torchreid://NAME, or "released" for those of the name'
IMAGES_HELP = "image or folder of images; by default those of the config's test data set"


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', metavar='SUBCOMMAND', required=True)
    for add in (add_ranked, add_activation, add_gates, add_attributes, add_confusion, add_cmc, add_roc, add_training):
        add(commands)
    if sys.argv[1:] and sys.argv[1] in commands.choices:
        # Images may stand before and after options, which argparse allows without sub-commands alone.
        args = commands.choices[sys.argv[1]].parse_intermixed_args(sys.argv[2:])
        args.command = sys.argv[1]
    else:
        args = parser.parse_args()
    if args.command in ('cmc', 'roc'):
        if args.config is None and not args.saved:
            parser.error(f'{args.command} needs CONFIG CHECKPOINT, or --saved FILE')
        if args.config is not None and not args.checkpoints:
            parser.error(f'{args.command} needs a checkpoint behind {args.config}')
    return args


def add_command(commands, name: str, about: str, examples: list[str]) -> argparse.ArgumentParser:
    """A sub-command with the options that all have."""
    lines = '\n'.join(f'  python tools/visualize.py {name} {example}' for example in examples)
    command = commands.add_parser(
        name, description=about, epilog=f'examples:\n{lines}', formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument('--out-dir', metavar='FOLDER', help='where the files go (work_dirs/NAME/visualize)')
    return command


def add_model(command: argparse.ArgumentParser, checkpoints: str | None = None) -> None:
    """Config and checkpoint; any number of checkpoints with ``'*'``."""
    if checkpoints is None:
        command.add_argument('config', metavar='CONFIG', help=CONFIG_HELP)
        command.add_argument('checkpoint', metavar='CHECKPOINT', help=CHECKPOINT_HELP)
    else:
        command.add_argument('config', metavar='CONFIG', nargs='?', help=CONFIG_HELP)
        command.add_argument('checkpoints', metavar='CHECKPOINT', nargs=checkpoints, help=CHECKPOINT_HELP)
    command.add_argument('--data-root', metavar='FOLDER', help='folder of the data set')
    command.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, nested keys with dots; quote lists: key="[a,b]"',
    )


def add_images(command: argparse.ArgumentParser, number: int, what: str) -> None:
    command.add_argument('images', nargs='*', metavar='IMAGE_OR_FOLDER', help=IMAGES_HELP)
    command.add_argument('--num-images', type=int, default=number, metavar='N', help=f'{what} ({number})')


def add_ranked(commands) -> None:
    command = add_command(
        commands,
        'ranked',
        'Draw queries of the test set, each with the gallery images that it ranks first.\n\n'
        'Images of the same person have a green frame with a tick, others a red one with a cross. Writes\n'
        'ranked_lists.jpg and .json; a table tells AP, first match and matches of each query.',
        [
            'configs/osnet_reid_synthetic.py work_dirs/osnet_reid_synthetic/epoch_10.pth',
            'osnet-x0.25_multitask-synthetic released --worst      where it fails most',
            'CONFIG CHECKPOINT --pid 12 --pid 40 --top-k 20        queries of two people',
            'CONFIG CHECKPOINT --query someone.jpg                 an image of your own',
        ],
    )
    add_model(command)
    command.add_argument('--num-queries', type=int, default=10, metavar='N', help='queries to show (10)')
    command.add_argument('--top-k', type=int, default=10, metavar='K', help='gallery images a query (10)')
    command.add_argument('--worst', action='store_true', help='queries with the lowest average precision')
    command.add_argument('--pid', type=int, action='append', default=[], help='queries of this person alone; repeat it')
    command.add_argument(
        '--query',
        action='append',
        default=[],
        metavar='IMAGE',
        help='this image: a query of the test set, or any other, of whom nobody knows what is right; repeat it',
    )
    command.add_argument('--rerank', action='store_true', help='rank again by k-reciprocal neighbours')
    add_target(command)


def add_target(command: argparse.ArgumentParser) -> None:
    command.add_argument('--target', metavar='NAME', help='one of the data sets of a config with test_targets')


def add_activation(commands) -> None:
    command = add_command(
        commands,
        'activation',
        'Draw where each stage of an OSNet responds, from dark (weakly) to bright (strongly).\n\n'
        'Writes activation_maps.jpg.',
        [
            'configs/osnet_reid_synthetic.py work_dirs/osnet_reid_synthetic/epoch_10.pth',
            'CONFIG CHECKPOINT person.jpg crops/ --out-dir pictures      own images, folders',
        ],
    )
    add_model(command)
    add_images(command, 6, 'images to choose from the data set, or from each folder')


def add_gates(commands) -> None:
    command = add_command(
        commands,
        'gates',
        'Draw how much the aggregation gates let through of each stream, that is of each scale.\n\n'
        'Writes gate_weights.png and gate_weights.json.',
        [
            'configs/osnet_reid_synthetic.py work_dirs/osnet_reid_synthetic/epoch_10.pth',
            'CONFIG CHECKPOINT crops/ --num-images 12 --out-dir pictures',
        ],
    )
    add_model(command)
    add_images(command, 6, 'images to choose from the data set, or from each folder')


def add_attributes(commands) -> None:
    command = add_command(
        commands,
        'attributes',
        'Draw people with their attributes.\n\n'
        'Of the test set right ones are green with a tick, wrong ones red with a cross, missed ones struck through;\n'
        'of your own images those predicted are listed. Writes attributes.jpg and .json; a table tells the scores.',
        [
            'configs/osnet_attr_synthetic.py work_dirs/osnet_attr_synthetic/epoch_25.pth',
            'osnet-x0.25_multitask-synthetic released --worst      the most mistakes first',
            'CONFIG CHECKPOINT someone.jpg crops/                      own images',
        ],
    )
    add_model(command)
    add_images(command, 20, 'people of the test set, or images of each folder')
    command.add_argument('--worst', action='store_true', help='people with the most wrong and missed attributes')


def add_confusion(commands) -> None:
    command = add_command(
        commands,
        'confusion',
        'Draw which categories are taken for which, and how often; the 30 with the largest confusions of many.\n\n'
        'Writes confusion_matrix.png and .csv; a table tells the pairs that are confused most often.',
        [
            'configs/osnet_cls_synthetic.py work_dirs/osnet_cls_synthetic/epoch_25.pth',
            'osnet-x0.25_multitask-synthetic released',
        ],
    )
    add_model(command)


def add_curves(command: argparse.ArgumentParser) -> None:
    """What cmc and roc share."""
    add_model(command, '*')
    command.add_argument(
        '--saved', nargs='+', default=[], metavar='FILE', help='.json files of earlier figures, drawn too'
    )
    command.add_argument(
        '--names', nargs='+', default=[], metavar='NAME', help='of all curves; those of the files else'
    )
    add_target(command)


def add_cmc(commands) -> None:
    command = add_command(
        commands,
        'cmc',
        'Draw the share of queries with a match among the first k gallery images (CMC), a curve a checkpoint.\n\n'
        'A config with test_targets gives a curve for each of them. Writes cmc.png, cmc.csv and cmc.json.',
        [
            'CONFIG CHECKPOINT',
            'CONFIG epoch_10.pth epoch_60.pth --names early late --rerank',
            'OTHER_CONFIG CHECKPOINT --saved work_dirs/NAME/visualize/cmc.json      two configs',
            '--saved a/cmc.json b/cmc.json --names x1.0 x0.25 --out-dir pictures',
        ],
    )
    add_curves(command)
    command.add_argument('--max-rank', type=int, default=20, metavar='K', help='length of the curves (20)')
    command.add_argument('--rerank', action='store_true', help='also after ranking again by k-reciprocal neighbours')


def add_roc(commands) -> None:
    command = add_command(
        commands,
        'roc',
        'Draw verification: which share of the pairs of one person lie below a distance that lets through a share of\n'
        'the pairs of two people (ROC). Pairs are those of the ranking: every query with every gallery image.\n\n'
        'Writes roc.png (det.png), roc.csv and roc.json; a table tells AUC, EER, and shares and distance thresholds\n'
        'at false match rates of 1e-2, 1e-3 and 1e-4.',
        [
            'CONFIG CHECKPOINT',
            'CONFIG CHECKPOINT OTHER_CHECKPOINT --det',
            '--saved a/roc.json b/roc.json --names x1.0 x0.25 --out-dir pictures',
        ],
    )
    add_curves(command)
    command.add_argument('--det', action='store_true', help='draw the pairs of one person that are missed (DET)')


def add_training(commands) -> None:
    command = add_command(
        commands,
        'training',
        'Draw the course of trainings from their logs: loss, learning rate and scores of the evaluations.\n\n'
        'Starts of one work directory are joined: what was trained again counts once. Writes training.png and .csv.',
        [
            'work_dirs/osnet_reid_synthetic',
            'work_dirs/a work_dirs/b --names small large --out-dir pictures',
            'work_dirs/a --metrics mAP Rank-1 Rank-10 loss_triplet',
        ],
    )
    command.add_argument('runs', nargs='+', metavar='WORK_DIR', help='work directory, or a log file in it')
    command.add_argument(
        '--metrics', nargs='+', default=[], metavar='NAME', help='as logged: reid/mAP, or mAP (the usual)'
    )
    command.add_argument(
        '--names', nargs='+', default=[], metavar='NAME', help='of the runs; those of the folders else'
    )


def main() -> None:
    args = parse_args()
    if args.command == 'training':
        draw_training(args)
    else:
        draw_model(args)


def draw_training(args: argparse.Namespace) -> None:
    from pathlib import Path

    from mmosnet.engine import launch
    from mmosnet.visualization.training_curves import visualize_training

    with launch.user_errors():
        first = Path(args.runs[0])
        out_dir = Path(args.out_dir or (first.parent if first.is_file() else first) / 'visualize')
        print('\n'.join(visualize_training(args.runs, out_dir, args.metrics, args.names)))


def draw_model(args: argparse.Namespace) -> None:
    # Only now: importing torch takes seconds that --help should not.
    import mmosnet  # noqa: F401
    from mmosnet.engine import launch

    with launch.user_errors():
        print('\n'.join(drawn_lines(args)))


def drawn_lines(args: argparse.Namespace) -> list[str]:
    """Draw what was asked for, and say what was found and where it is."""
    from pathlib import Path

    from mmosnet.visualization.attribute_people import visualize_attributes
    from mmosnet.visualization.confusion import visualize_confusion
    from mmosnet.visualization.evaluated_data import target_config
    from mmosnet.visualization.ranked_lists import Choice, visualize_ranked_lists
    from mmosnet.visualization.result_curves import CurveSource, visualize_cmc, visualize_roc
    from mmosnet.visualization.trained_config import trained_config
    from mmosnet.visualization.visualize_network import view_images, visualize_activation, visualize_gates
    from mmosnet.whole_file import check_writable

    curves = args.command in ('cmc', 'roc')
    given = args.checkpoints if curves else [args.checkpoint]
    cfg, checkpoints = None, []
    if args.config is not None:
        cfg, checkpoints = trained_config(args.config, given, args.cfg_options, args.data_root)
    out_dir = Path(args.out_dir or Path('work_dirs' if cfg is None else cfg.work_dir) / 'visualize')
    check_writable(out_dir / args.command)
    if curves:
        source = CurveSource(cfg, checkpoints, args.saved, args.names, args.target)
        if args.command == 'roc':
            return visualize_roc(source, out_dir, args.det)
        return visualize_cmc(source, out_dir, args.max_rank, args.rerank)
    checkpoint = checkpoints[0]
    if args.command == 'ranked':
        choice = Choice(args.num_queries, args.worst, args.pid, args.query, args.top_k, args.rerank)
        return visualize_ranked_lists(target_config(cfg, args.target), checkpoint, choice, out_dir)
    if args.command == 'attributes':
        return visualize_attributes(cfg, checkpoint, args.images, args.num_images, out_dir, args.worst)
    if args.command == 'confusion':
        return visualize_confusion(cfg, checkpoint, out_dir)
    viewed = view_images(cfg, checkpoint, args.images, args.num_images)
    return visualize_gates(viewed, out_dir) if args.command == 'gates' else visualize_activation(viewed, out_dir)


if __name__ == '__main__':
    main()
