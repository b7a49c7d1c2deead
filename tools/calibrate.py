#!/usr/bin/env python
"""Find the distance up to which two images show the same person, for a wanted false-match rate.

The rate is the share of pairs of two people that are taken for one. Needs extracted features with identities, of other
people than the model was trained on: those are easier than any it will meet. Prints a table of thresholds; --gallery
stores the wanted one with a gallery, whose searches then answer "the same person?".
"""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse

EXAMPLES = """\
examples:
  python tools/calibrate.py work_dirs/features --fmr 0.001
  python tools/calibrate.py work_dirs/features --fmr 0.001 --gallery work_dirs/gallery --cross-camera
  python tools/calibrate.py --gallery work_dirs/gallery              on the gallery's own images, where pids are known
  python tools/calibrate.py labelled.parquet --gallery people.db --figure threshold.png
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'features',
        nargs='*',
        metavar='FEATURES',
        help='folder or .parquet file of tools/extract.py, with pids; without any, what is in the gallery',
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
    # Features may stand before and after options.
    return parser.parse_intermixed_args()


def main() -> None:
    args = parse_args()

    # Only now: importing torch takes seconds that --help should not.
    from contextlib import nullcontext

    from mmosnet.apis.threshold_calibration import calibrate, labelled_features, stored_facts
    from mmosnet.errors import DataError
    from mmosnet.gallery import Gallery
    from mmosnet.user_errors import user_errors
    from mmosnet.whole_file import check_writable

    with user_errors():
        if not args.features and not args.gallery:
            raise DataError('nothing to compare: give FEATURES, or --gallery with images whose pids are known')
        if args.figure:
            check_writable(args.figure)
        with Gallery.open(args.gallery) if args.gallery else nullcontext() as gallery:
            distance = args.distance or (gallery.distance if gallery else 'cosine')
            if gallery and distance != gallery.distance:
                raise DataError(f'--distance {distance}: {args.gallery} measures {gallery.distance} distances')
            features = labelled_features(args.features, gallery, args.images)
            calibration = calibrate(features, args.fmr, distance, args.cross_camera)
            print(calibration.report(len(gallery) if gallery else None))
            if args.figure:
                from mmosnet.visualization.match_threshold_figure import save_match_threshold

                print(f'picture  {save_match_threshold(calibration.found, args.fmr, distance, args.figure)}')
            if gallery:
                gallery.set_threshold(calibration.threshold, stored_facts(calibration, args.features or [args.gallery]))
                print(f'stored   {calibration.threshold:.4f} with {args.gallery}')


if __name__ == '__main__':
    main()
