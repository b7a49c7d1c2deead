"""Find the distance up to which two images show the same person.

You choose the false-match rate: the share of the pairs of two different people that may pass as one person. The
command needs extracted features with identities. Use people that the model was not trained on, since it separates its
training people better than any others. It prints a table of thresholds; --gallery stores the one for --fmr with a
gallery, whose searches then say of each image whether it shows the same person. Tracks need a threshold of their own:
--per track pools the images of each track, and stores it beside the one for images.
"""

from __future__ import annotations

import argparse

from mmosnet.cli import options

EXAMPLES = """\
  mmosnet calibrate work_dirs/features --fmr 0.001
  mmosnet calibrate work_dirs/features --fmr 0.001 --gallery work_dirs/gallery --cross-camera
  mmosnet calibrate --gallery work_dirs/gallery              on the gallery's own images with known pids
  mmosnet calibrate work_dirs/tracks --per track --gallery work_dirs/gallery       for queries that are tracks
  mmosnet calibrate labeled.parquet --gallery people.db --figure threshold.png
"""
PAGE = 'gallery.md'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        'features',
        nargs='*',
        metavar='FEATURES',
        help='folder or .parquet file of mmosnet extract, with pids (the images in --gallery)',
    )
    parser.add_argument(
        '--fmr', type=float, default=0.001, metavar='RATE', help='false-match rate to calibrate for (0.001)'
    )
    parser.add_argument('--gallery', metavar='URI', help='store the threshold with this gallery')
    parser.add_argument(
        '--distance',
        choices=('cosine', 'euclidean'),
        help="distance between embeddings (the gallery's; cosine without one)",
    )
    parser.add_argument(
        '--cross-camera',
        action='store_true',
        help='compare only images of different cameras, as a search for a person elsewhere does: two frames of one '
        'camera are easy to match, and make thresholds look better than they are',
    )
    options.add_per(
        parser,
        'compare images (default) or tracks; if no image has a track, those of a person by one camera are one track',
    )
    parser.add_argument(
        '--images',
        type=int,
        default=20_000,
        metavar='N',
        help='sample people with at most N images or tracks from larger sets: time grows with the square of N (20000)',
    )
    parser.add_argument('--figure', metavar='FILE', help='image file for a figure of the distributions of distances')


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from contextlib import nullcontext
    from pathlib import Path

    from mmosnet.errors import DataError
    from mmosnet.gallery import Gallery
    from mmosnet.gallery.calibration import calibrate, labeled_features, labeled_tracks, stored_facts
    from mmosnet.io.files import check_writable

    if not args.features and not args.gallery:
        raise DataError('nothing to compare: give FEATURES, or --gallery with images whose pids are known')
    if args.figure:
        from matplotlib.backend_bases import FigureCanvasBase

        if Path(args.figure).suffix[1:].lower() not in FigureCanvasBase.get_supported_filetypes():
            raise DataError(f'--figure {args.figure}: name a file that ends in .png, .jpg, .svg or .pdf')
        check_writable(args.figure)
    with Gallery.open(args.gallery) if args.gallery else nullcontext() as gallery:
        distance = args.distance or (gallery.distance if gallery else 'cosine')
        if gallery and distance != gallery.distance:
            raise DataError(f'--distance {distance}: {args.gallery} measures {gallery.distance} distances')
        pooled = {}
        if args.per == 'track':
            features, tracks = labeled_tracks(args.features, gallery, args.images, args.pool)
            pooled = dict(tracks=tracks, pool=args.pool)
        else:
            features = labeled_features(args.features, gallery, args.images)
        calibration = calibrate(features, args.fmr, distance, args.cross_camera, **pooled)
        print(calibration.report(len(gallery) if gallery else None))
        if args.figure:
            from mmosnet.drawing.figures import draw_match_threshold, save_figure

            figure = draw_match_threshold(calibration.thresholds, args.fmr, distance)
            print(f'picture  {save_figure(figure, args.figure)}')
        if gallery:
            facts = stored_facts(calibration, args.features or [args.gallery])
            gallery.set_threshold(calibration.threshold, facts, args.per)
            print(f'stored   {calibration.threshold:.4f} with {args.gallery}' + ' for tracks' * (args.per == 'track'))
