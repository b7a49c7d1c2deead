"""Search for people on a local web page, and see what the network sees.

Drop a picture of a person: the page shows the nearest images with distances and whether they show the same person,
attributes, activation maps and gate weights. People can be enrolled and deleted. Without arguments, it uses the weights
of the package and a gallery of drawn people, which it makes on first use. Only this machine can reach the page unless
--host says otherwise: it has no password, and anyone who reaches it can see, add and delete people.
"""

from __future__ import annotations

import argparse

from mmosnet.cli import options

MODEL = 'osnet-x0.25_multitask-synthetic'
EXAMPLES = """\
  mmosnet demo                                             drawn people, at http://127.0.0.1:7860
  mmosnet demo osnet-x0.25_reid-market1501 released        drawn people, another model
  mmosnet demo CONFIG CHECKPOINT --gallery work_dirs/gallery --images data/crops
                                                           a gallery made by mmosnet gallery with this model

needs the extra "demo"
"""
PAGE = 'demo.md'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    options.add_config(
        parser, '?', default=MODEL, help=f'file of a config, or name of a model: "mmosnet configs" lists them ({MODEL})'
    )
    options.add_checkpoint(
        parser,
        '?',
        help='checkpoint file, torchreid://NAME, or "released": the weights that belong to CONFIG (released)',
    )
    parser.add_argument('--gallery', metavar='URI', help='folder, NAME.db or address of a gallery (drawn people)')
    parser.add_argument(
        '--images', metavar='FOLDER', help="folder with the pictures that the gallery's records name (current folder)"
    )
    options.add_work_dir(parser, 'folder for drawn and enrolled people (work_dirs/demo)', default='work_dirs/demo')
    parser.add_argument(
        '--host', default='127.0.0.1', help='address to listen at; 0.0.0.0 lets other machines in (127.0.0.1)'
    )
    parser.add_argument('--port', type=int, default=7860, help='port to listen at; 0 for any that is free (7860)')
    options.add_device(parser)
    parser.add_argument('--check', action='store_true', help='serve the page, fetch it once and exit')


def run(args: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C."""
    import time

    from mmosnet.demo.search import PersonModel, open_search
    from mmosnet.demo.server import is_loopback, served
    from mmosnet.errors import need
    from mmosnet.models.build import find_trained

    # What fails fast comes first.
    for package in ('gradio', 'faiss'):
        need(package, 'demo')
    cfg, checkpoint = find_trained(args.config, args.checkpoint)
    search, examples = open_search(PersonModel(cfg, checkpoint, args.device), args.work_dir, args.gallery, args.images)
    gallery = f'{len(search.gallery)} images in {search.gallery.uri}'
    with served(search, examples, args.config, args.host, args.port) as address:
        print(f'gallery  {gallery}\npage     {address}', flush=True)
        if not is_loopback(args.host):
            print(f'warning  others can reach this page at {args.host}: they can see, add and delete people')
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
    """Request the page as a browser does."""
    from urllib.request import urlopen

    with urlopen(address, timeout=60) as answer:
        print(f'check    status {answer.status}, {len(answer.read()):,} bytes')
