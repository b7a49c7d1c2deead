"""Find the distance up to which two images show the same person.

You say which share of the pairs of two people may be taken for one (the false-match rate). Needs extracted features
with identities, of other people than the model was trained on: those are easier than any it will meet. Prints a table
of thresholds; --gallery stores the wanted one with a gallery, whose searches then answer "the same person?".
"""

from __future__ import annotations

import argparse

EXAMPLES = """\
  mmosnet calibrate work_dirs/features --fmr 0.001
  mmosnet calibrate work_dirs/features --fmr 0.001 --gallery work_dirs/gallery --cross-camera
  mmosnet calibrate --gallery work_dirs/gallery              on the gallery's own images, where pids are known
  mmosnet calibrate labelled.parquet --gallery people.db --figure threshold.png
"""
PAGE = 'gallery.md'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        'features',
        nargs='*',
        metavar='FEATURES',
        help='folder or .parquet file of mmosnet extract, with pids; without any, what is in the gallery',
    )
    parser.add_argument(
        '--fmr', type=float, default=0.001, metavar='RATE', help='wanted false-match rate, as 0.001 (0.001)'
    )
    parser.add_argument('--gallery', metavar='URI', help='store the threshold with this gallery')
    parser.add_argument(
        '--distance', choices=('cosine', 'euclidean'), help="the gallery's; without one, as given here (cosine)"
    )
    parser.add_argument(
        '--cross-camera',
        action='store_true',
        help='compare images by two cameras only, as a search for a person elsewhere does: two frames of one camera '
        'are easy to match, and make thresholds look better than they are',
    )
    parser.add_argument(
        '--images',
        type=int,
        default=20_000,
        metavar='N',
        help='of larger sets, compare people drawn at random with at most so many images: time grows with the '
        'square (20000)',
    )
    parser.add_argument('--figure', metavar='FILE', help='draw the distributions of the distances into this file')


def run(args: argparse.Namespace) -> None:
    """Calibrate, print the table, and store the threshold."""
    from contextlib import nullcontext

    from mmosnet.errors import DataError
    from mmosnet.gallery import Gallery
    from mmosnet.gallery.calibration import calibrate, labeled_features, stored_facts
    from mmosnet.io.files import check_writable

    if not args.features and not args.gallery:
        raise DataError('nothing to compare: give FEATURES, or --gallery with images whose pids are known')
    if args.figure:
        check_writable(args.figure)
    with Gallery.open(args.gallery) if args.gallery else nullcontext() as gallery:
        distance = args.distance or (gallery.distance if gallery else 'cosine')
        if gallery and distance != gallery.distance:
            raise DataError(f'--distance {distance}: {args.gallery} measures {gallery.distance} distances')
        features = labeled_features(args.features, gallery, args.images)
        calibration = calibrate(features, args.fmr, distance, args.cross_camera)
        print(calibration.report(len(gallery) if gallery else None))
        if args.figure:
            from mmosnet.drawing.figures import save_match_threshold

            print(f'picture  {save_match_threshold(calibration.thresholds, args.fmr, distance, args.figure)}')
        if gallery:
            gallery.set_threshold(calibration.threshold, stored_facts(calibration, args.features or [args.gallery]))
            print(f'stored   {calibration.threshold:.4f} with {args.gallery}')
