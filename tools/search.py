#!/usr/bin/env python
"""Search a gallery for people: a ranked list of the nearest images for each query.

Prints a table a query, and says of each image whether it shows the same person if the gallery has a threshold
(tools/calibrate.py). --out draws the ranked lists.
"""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse

EXAMPLES = """\
examples:
  python tools/search.py CONFIG CHECKPOINT work_dirs/gallery query.jpg --out ranked.jpg
  python tools/search.py CONFIG CHECKPOINT work_dirs/gallery 'frame.jpg#xywh=120,80,64,190' --top-k 5
  python tools/search.py osnet-x0.25_multitask-synthetic released work_dirs/gallery a.jpg b.jpg --not-camids 0
  python tools/search.py --exported osnet.onnx work_dirs/gallery query.jpg --json        without torch
  python tools/search.py CONFIG CHECKPOINT work_dirs/gallery query.jpg --after 2026-05-01T12:00:00+02:00

The model must be the one that the gallery's features were extracted with.
needs: pip install 'mmosnet[gallery]'; for --exported also 'mmosnet[onnx]' or 'mmosnet[openvino]'
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage='%(prog)s (CONFIG CHECKPOINT | --exported FILE) GALLERY QUERY [QUERY ...] [options]',
    )
    parser.add_argument(
        'arguments',
        nargs='+',
        metavar='GALLERY QUERY',
        help='gallery of tools/gallery.py, and images: whole, a region (frame.jpg#xywh=120,80,64,190), or one of a '
        'frame of a video (video.mp4#frame=7&xywh=120,80,64,190); in front config file or name of a model in '
        'configs/README.md, and checkpoint file or "released", unless --exported is given',
    )
    parser.add_argument('--exported', metavar='FILE', help='model of tools/export.py (.onnx, .xml, .pt)')
    parser.add_argument('--top-k', type=int, default=10, metavar='K', help='images a query (10)')
    parser.add_argument('--camids', nargs='+', metavar='C', help='only of these cameras, by number or name')
    parser.add_argument('--not-camids', nargs='+', metavar='C', help='not of these cameras')
    parser.add_argument('--after', metavar='T', help='seen then or later: seconds, or 2026-05-01T12:00:00+02:00')
    parser.add_argument('--before', metavar='T', help='seen before, likewise')
    parser.add_argument('--out', metavar='FILE', help='draw the ranked lists into this picture')
    parser.add_argument('--json', action='store_true', help='print JSON instead of tables')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 ... (a GPU if there is one)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override settings of the config, nested keys with dots; quote lists: key="[a,b]"',
    )
    # Images may stand before and after options.
    return parser.parse_intermixed_args()


def main() -> None:
    args = parse_args()

    # Only now: what is imported takes seconds that --help should not.
    from mmosnet.gallery.query_search import search
    from mmosnet.user_errors import user_errors

    with user_errors():
        print(search(args))


if __name__ == '__main__':
    main()
