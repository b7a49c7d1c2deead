#!/usr/bin/env python
"""Check a data set before training on it: reads every image once.

Prints the numbers of each split, then notes (what the data set leaves out, and why), warnings (images or people in
train and in test, images that are there twice or under two identities, queries without a match under the camera rule,
a wrong number of classes) and what is broken (files that cannot be read, empty splits, errors in annotations).

contact_sheet.jpg: some people, one a row, with an image by each camera: look whether rows show one person.
check_data.json: everything found, with all file names.

Ends with 1 if something is broken, else with 0.
"""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import sys

from mmengine.config import DictAction

EXAMPLES = """\
examples:
  python tools/check_data.py configs/osnet_reid_market.py --data-root /data/market1501
  python tools/check_data.py configs/osnet_reid_folder.py --data-root my_people        crops in folders
  python tools/check_data.py configs/osnet_reid_coco.py --data-root my_frames --out-dir checked --id-key track_id
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file; its train, val and test data sets are checked, equal ones once')
    parser.add_argument('--data-root', help='folder of the data set')
    parser.add_argument(
        '--id-key', metavar='FIELD', help="field of the identity in COCO files (the config's: person_id)"
    )
    parser.add_argument('--camera-key', metavar='FIELD', help="of the camera in COCO files (the config's, camera_id)")
    parser.add_argument('--out-dir', help='where sheet and JSON go (work_dirs/NAME_OF_CONFIG/check_data)')
    parser.add_argument('--num-workers', type=int, help='threads that read images (one for each processor)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, nested keys with dots; quote lists: key="[a,b]"',
    )
    args = parser.parse_args()
    if args.num_workers is not None and args.num_workers < 1:
        parser.error('--num-workers must be at least 1')
    return args


def main() -> None:
    args = parse_args()

    # Only now: importing torch takes seconds that --help should not.
    import json
    from pathlib import Path

    import mmosnet  # noqa: F401
    from mmosnet.datasets.data_check import camera_rule, load_parts, name_fields, read_images
    from mmosnet.datasets.data_findings import find_all
    from mmosnet.datasets.data_report import broken_things, report_lines, warnings_of
    from mmosnet.engine import launch
    from mmosnet.visualization.contact_sheet import choose_people, save_contact_sheet
    from mmosnet.whole_file import check_writable, whole_file

    with launch.user_errors():
        cfg = launch.load_config(args.config, args.cfg_options, None, 'none', args.data_root)
        name_fields(cfg, id_key=args.id_key, camera_key=args.camera_key)
        out_dir = Path(args.out_dir or Path(cfg.work_dir) / 'check_data')
        check_writable(out_dir / 'check_data.json')
        parts, errors = load_parts(cfg)
        facts = read_images(parts, args.num_workers)
        findings = find_all(parts, facts, camera_rule(cfg))
        broken = errors + broken_things(findings)
        head = (cfg.get('model') or {}).get('head') or {}
        warnings = warnings_of(findings, head.get('num_classes'))
        report = json.dumps(dict(broken=broken, warnings=warnings, **findings), indent=2, ensure_ascii=False) + '\n'
        with whole_file(out_dir / 'check_data.json') as draft:
            draft.write_text(report, encoding='utf-8')
        lines = [*report_lines(findings, broken, warnings), '']
        people = choose_people(parts, facts)
        if people:
            lines.append(f'picture  {save_contact_sheet(people, out_dir / "contact_sheet.jpg")}')
        lines.append(f'numbers  {out_dir / "check_data.json"}')
        lines.append(f'broken: {len(broken)}, warnings: {len(warnings)}')
        print('\n'.join(lines))
    sys.exit(1 if broken else 0)


if __name__ == '__main__':
    main()
