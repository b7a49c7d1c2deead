"""Check a data set before training on it: read every image once, of tracklets every frame.

Prints the size of each split, then notes (what the data set leaves out, and why), warnings (images or people in both
train and test, images that occur twice or under two identities, queries without a match under the camera rule, a wrong
number of classes) and errors (unreadable files, empty splits, faults in annotations).

contact_sheet.jpg shows some people, one per row with an image by each camera: check that each row shows one person.
check_data.json holds all results, with all file names.

The exit code is 1 if there are errors, else 0.
"""

from __future__ import annotations

import argparse

from mmosnet.cli import options

PAGE = 'own_data.md'
EXAMPLES = """
  mmosnet check-data osnet_reid_market --data-root /data/market1501
  mmosnet check-data osnet_reid_folder --data-root my_people        crops in folders
  mmosnet check-data osnet_video_reid_mars --data-root /data/mars   tracklets
  mmosnet check-data osnet_reid_coco --data-root my_frames --out-dir checked --id-key track_id
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    action = options.add_config(parser)
    action.help += '; its train, val and test data sets are checked, equal ones once'
    options.add_data_root(parser)
    parser.add_argument(
        '--id-key', metavar='FIELD', help="field of the identity in COCO files (the config's; person_id)"
    )
    parser.add_argument(
        '--camera-key', metavar='FIELD', help="field of the camera in COCO files (the config's; camera_id)"
    )
    parser.add_argument(
        '--out-dir', metavar='FOLDER', help='folder for sheet and JSON (work_dirs/NAME_OF_CONFIG/check_data)'
    )
    parser.add_argument(
        '--num-workers', type=options.positive, metavar='N', help='threads that read images (one per processor)'
    )
    options.add_cfg_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    import json
    from pathlib import Path

    import mmosnet  # noqa: F401
    from mmosnet.datasets.check import (
        broken_things,
        camera_rule,
        find_all,
        load_parts,
        name_fields,
        read_images,
        report_lines,
        warnings_of,
    )
    from mmosnet.drawing.sheets import save_sheet
    from mmosnet.engine import launch
    from mmosnet.io.files import check_writable, whole_file
    from mmosnet.visualization.data import choose_people, draw_contact_sheet

    overrides = options.parse_cfg_options(args.cfg_options)
    cfg = launch.load_config(args.config, overrides, None, 'none', args.data_root)
    name_fields(cfg, id_key=args.id_key, camera_key=args.camera_key)
    out_dir = Path(args.out_dir or Path(cfg.work_dir) / 'check_data')
    check_writable(out_dir / 'check_data.json')
    parts, errors = load_parts(cfg)
    images = read_images(parts, args.num_workers)
    findings = find_all(parts, images, camera_rule(cfg))
    broken = errors + broken_things(findings)
    head = (cfg.get('model') or {}).get('head') or {}
    warnings = warnings_of(findings, head.get('num_classes'))
    report = json.dumps(dict(broken=broken, warnings=warnings, **findings), indent=2, ensure_ascii=False) + '\n'
    with whole_file(out_dir / 'check_data.json') as draft:
        draft.write_text(report, encoding='utf-8')
    lines = [*report_lines(findings, broken, warnings), '']
    people = choose_people(parts, images)
    if people:
        lines.append(f'picture  {save_sheet(draw_contact_sheet(people), out_dir / "contact_sheet.jpg")}')
    lines.append(f'numbers  {out_dir / "check_data.json"}')
    lines.append(f'broken: {len(broken)}, warnings: {len(warnings)}')
    print('\n'.join(lines))
    return 1 if broken else 0
