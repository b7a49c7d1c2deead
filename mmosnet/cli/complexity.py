"""Count parameters, mult-adds and activations of a config's network.

Counts backbone and neck, for one image at test time. Mult-adds and activations (output elements) are those of
convolutions and linear layers, as in the OSNet paper.
"""

from __future__ import annotations

import argparse

from mmosnet.cli import options

PAGE = 'extending.md'
EXAMPLES = """
  mmosnet complexity osnet_reid_market                          256x128, the paper's size
  mmosnet complexity osnet_reid_market --shape 256 128 --shape 64 32
  mmosnet complexity osnet_x0_25_reid_market --per-stage        one row per stage
  mmosnet complexity CONFIG --cfg-options model.backbone.num_streams=2 --json two_streams.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    action = options.add_config(parser)
    action.help += '; configs of any OpenMMLab toolbox that is installed are read too'
    parser.add_argument(
        '--shape',
        nargs=2,
        type=options.positive,
        action='append',
        metavar=('H', 'W'),
        help='height and width of the image (256 128); repeat it for several sizes',
    )
    parser.add_argument('--per-stage', action='store_true', help='print one row per stage')
    parser.add_argument('--json', metavar='FILE', help='file for the counts, stages included')
    options.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    import json
    from dataclasses import asdict

    import mmosnet  # noqa: F401
    from mmosnet.engine import launch
    from mmosnet.io.files import whole_file
    from mmosnet.models.build import build_model
    from mmosnet.models.complexity import complexity_table, count_complexity, left_out_parameters

    overrides = options.parse_cfg_options(args.cfg_options)
    model = build_model(launch.load_config(args.config, overrides, None, 'none'))
    counts = [count_complexity(model, height, width) for height, width in args.shape or [(256, 128)]]
    left_out = left_out_parameters(model)
    if args.json:
        report = dict(config=args.config, images=[asdict(count) for count in counts], left_out=left_out)
        with whole_file(args.json) as draft:
            draft.write_text(json.dumps(report, indent=2) + '\n')
    print(complexity_table(counts, args.per_stage))
    if left_out:
        print('\nleft out: ' + '; '.join(f'{name}, {number:,d} parameters' for name, number in left_out.items()))
