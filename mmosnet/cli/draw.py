"""Draw videos of two cameras with boxes and the truth about who is where.

People walk through the views, occlude each other and come back, also in the other camera; some are seen only once. The
folder then has cam0.mp4 and cam1.mp4, which begin at the same time; cam0.txt and cam1.txt, boxes in the MOTChallenge's
format with a new track for each entrance, as trackers write them that do not recognize people; and truth.csv with the
person behind each box. Boxes and truth depend on the arguments alone. No person or camera of a scene is in the drawn
data sets that models are trained on.
"""

from __future__ import annotations

import argparse

from mmosnet.cli import options

PAGE = 'identities.md'
EXAMPLES = """
  mmosnet draw work_dirs/scene                                  12 people, two minutes of video in all
  mmosnet draw work_dirs/scene --noise                          boxes that are inaccurate, missing and false
  mmosnet draw work_dirs/scene --seed 7 --people 20 --seconds 120 --fps 25 --size 1280 720
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument('folder', metavar='FOLDER', help='folder to create, for everything')
    parser.add_argument('--seed', type=int, default=0, help='seed of people, cameras and walks (0)')
    parser.add_argument('--people', type=options.positive, default=8, metavar='N', help='people who come back (8)')
    parser.add_argument('--strangers', type=int, default=4, metavar='N', help='people who are seen only once (4)')
    parser.add_argument('--seconds', type=float, default=60.0, metavar='S', help='length of each video (60)')
    parser.add_argument('--fps', type=options.positive, default=10, help='frames per second (10)')
    parser.add_argument(
        '--size',
        nargs=2,
        type=options.positive,
        default=(640, 360),
        metavar=('W', 'H'),
        help='width and height of a frame in pixels, even numbers (640 360)',
    )
    parser.add_argument(
        '--noise', action='store_true', help='boxes of an imperfect detector and tracker (exact boxes, none missing)'
    )


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from mmosnet.io.text_tables import text_table
    from mmosnet.progress import ProgressBar
    from mmosnet.synthetic.scenes import NUM_CAMERAS, draw_scene, read_truth, scene_frames

    with ProgressBar(NUM_CAMERAS * scene_frames(args.seconds, args.fps), 'frames') as progress:
        folder = draw_scene(
            args.folder,
            args.seed,
            args.people,
            args.seconds,
            args.fps,
            args.size,
            args.strangers,
            args.noise,
            progress.advance,
        )
    rows = []
    for camid in range(NUM_CAMERAS):
        people = [row for row in read_truth(folder) if row.camid == camid]
        tracks, pids = {row.track for row in people} - {0}, {row.pid for row in people}
        hidden = sum(row.track == 0 for row in people)
        rows.append((f'cam{camid}.mp4', *(f'{n:,}' for n in (len(pids), len(tracks), len(people) - hidden, hidden))))
    print(text_table(('video', 'people', 'tracks of people', 'boxes of people', 'people without box'), rows, 'lrrrr'))
    print(f'folder   {folder}')
