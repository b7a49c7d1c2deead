#!/usr/bin/env python
"""A local web page: drop a picture of a person, see who in a gallery it may be, and what the network sees.

Shows the nearest images with distances and whether they are the same person, attributes, activation maps and gate
weights; enrolls people and deletes them. Without arguments it uses the weights that come with the package and a gallery
of drawn people, which it makes on first use. Only this machine reaches the page, unless --host says otherwise: there is
no password, and whoever reaches it can see, add and delete people.

Needs the extra "demo": pip install -e '.[lite,demo]'
"""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import time

EXAMPLES = """\
examples:
  python tools/demo.py                                             drawn people, at http://127.0.0.1:7860
  python tools/demo.py osnet-x0.25_reid-market1501 released        drawn people, another model
  python tools/demo.py CONFIG CHECKPOINT --gallery work_dirs/gallery --images data/crops
                                                                   a gallery made by tools/gallery.py with this model
"""
MODEL = 'osnet-x0.25_multitask-synthetic'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'config', nargs='?', default=MODEL, help=f'config file, or name of a model in configs/README.md ({MODEL})'
    )
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='checkpoint file, torchreid://NAME, or "released" for those of the name, as without it',
    )
    parser.add_argument('--gallery', metavar='URI', help='folder, NAME.db or address of a gallery (drawn people)')
    parser.add_argument(
        '--images', metavar='FOLDER', help="show pictures that the gallery's records name in this folder (current one)"
    )
    parser.add_argument(
        '--work-dir', metavar='FOLDER', default='work_dirs/demo', help='drawn and enrolled people (work_dirs/demo)'
    )
    parser.add_argument('--host', default='127.0.0.1', help='address to listen at; 0.0.0.0 lets others in (127.0.0.1)')
    parser.add_argument('--port', type=int, default=7860, help='0 for any that is free (7860)')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 ... (a GPU if there is one)')
    parser.add_argument('--check', action='store_true', help='serve the page, fetch it once and end')
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    # Only now: importing torch takes seconds that --help should not.
    import mmosnet  # noqa: F401
    from mmosnet.demo.search import PersonModel, open_search
    from mmosnet.demo.server import is_loopback, served
    from mmosnet.engine import launch
    from mmosnet.engine.trained_model import find_trained
    from mmosnet.optional_package import need

    with launch.user_errors():
        # What fails fast comes first.
        for package in ('gradio', 'faiss'):
            need(package, 'demo')
        cfg, checkpoint = find_trained(args.config, args.checkpoint)
        search, examples = open_search(
            PersonModel(cfg, checkpoint, args.device), args.work_dir, args.gallery, args.images
        )
        name = f'{len(search.gallery)} images in {search.gallery.uri}'
        with served(search, examples, args.config, args.host, args.port) as address:
            print(f'gallery  {name}\npage     {address}', flush=True)
            if not is_loopback(args.host):
                print(f'warning  others reach this page at {args.host}: they can see, add and delete people')
            if args.check:
                _fetch(address)
                return
            print('Ctrl+C ends it.', flush=True)
            try:
                while True:
                    time.sleep(3600)
            except KeyboardInterrupt:
                print('ended')


def _fetch(address: str) -> None:
    """Ask for the page as a browser does."""
    from urllib.request import urlopen

    with urlopen(address, timeout=60) as answer:
        print(f'check    status {answer.status}, {len(answer.read()):,} bytes')


if __name__ == '__main__':
    main()
