#!/usr/bin/env python
"""Make a gallery of people, add to it, delete from it, and see what is in it; tools/search.py searches it.

A gallery is a folder, searched by FAISS; or a file NAME.db or an address http://HOST:PORT, searched by Milvus. It holds
the features that tools/extract.py writes: embeddings with path, person, camera and time, and no images.
"""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse

EXAMPLES = """\
examples:
  python tools/gallery.py create work_dirs/gallery work_dirs/features       with all that is in the folder of features
  python tools/gallery.py create big --index ivfpq --dimension 512          empty, for millions of images
  python tools/gallery.py enroll work_dirs/gallery today/ yesterday/        what is enrolled already is left out
  python tools/gallery.py delete work_dirs/gallery --pid 17 anna            two people, by number and by name
  python tools/gallery.py delete work_dirs/gallery --camid 3 --before 2026-05-01T00:00:00+02:00
  python tools/gallery.py compact work_dirs/gallery                         erase what was deleted
  python tools/gallery.py check work_dirs/gallery                           look for damage; then ends with 1
  python tools/gallery.py info work_dirs/gallery --people                   with numbers and names of all people
  python tools/gallery.py export work_dirs/gallery work_dirs/features       as features, for another gallery

in Python:
  from mmosnet.gallery import Gallery
  with Gallery.open('work_dirs/gallery') as gallery:
      gallery.search(embeddings, top_k=10, not_camids=[3])

needs: pip install 'mmosnet[gallery]', for Milvus 'mmosnet[milvus]'
docs/gallery.md says which index to take and what is stored.
"""
INDEX_KINDS = ('exact', 'ivfpq', 'hnsw')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')

    def command(name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument('gallery', metavar='GALLERY', help='folder, file NAME.db, or address')
        return added

    create = command('create', 'make a gallery, of features if they are given')
    create.add_argument('features', nargs='*', metavar='FEATURES', help='folder or .parquet file of tools/extract.py')
    create.add_argument('--index', choices=INDEX_KINDS, default='exact', help='how it is searched (exact)')
    create.add_argument('--distance', choices=('cosine', 'euclidean'), default='cosine', help='(cosine)')
    create.add_argument('--dimension', type=int, metavar='D', help='of the embeddings (that of the features, 512)')
    enroll = command('enroll', 'add features')
    enroll.add_argument('features', nargs='+', metavar='FEATURES', help='folder or .parquet file of tools/extract.py')
    enroll.add_argument(
        '--again', action='store_true', help='also images whose path and source are in the gallery already'
    )
    delete = command('delete', 'delete the images that meet all conditions given')
    delete.add_argument('--id', type=int, nargs='+', metavar='N', help='images by their ids')
    delete.add_argument('--pid', nargs='+', metavar='P', help='people, by number or name; -1 for all unknown ones')
    delete.add_argument('--camid', nargs='+', metavar='C', help='cameras, likewise')
    delete.add_argument('--before', metavar='T', help='seen before: seconds, or 2026-05-01T12:00:00+02:00')
    command('compact', 'erase what was deleted and make the index anew')
    command('check', 'compare all records, embeddings and files with their checksums')
    info = command('info', 'what is in it')
    info.add_argument('--people', action='store_true', help='list all people')
    info.add_argument('--json', action='store_true', help='as JSON')
    export = command('export', 'write all images as features')
    export.add_argument('folder', metavar='FOLDER', help='where the features go, as of tools/extract.py')
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    # Only now: what is imported takes seconds that --help should not.
    from mmosnet.gallery.gallery_commands import COMMANDS
    from mmosnet.user_errors import user_errors

    with user_errors():
        print(COMMANDS[args.command](args))


if __name__ == '__main__':
    main()
