#!/usr/bin/env python
"""Extract features of people: an embedding with path, identity, camera and time each, in Parquet files.

Inputs are images, folders of images, CSV tables, COCO files, and videos with files of boxes. The features go into a
folder, in shards of 10,000 people, each written wholly or not at all. The same command goes on where it was
interrupted. Several processes, on one machine or on several with a common folder, share the shards.
"""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import os

EXAMPLES = """\
examples:
  python tools/extract.py CONFIG CHECKPOINT crops/ --out features
  python tools/extract.py osnet-x0.25_reid-market1501 released data/market1501/query --names market1501 --out query
  python tools/extract.py CONFIG CHECKPOINT people.csv --split gallery --out gallery     columns path,pid,camid ...
  python tools/extract.py CONFIG CHECKPOINT annotations.json --root frames --out people  COCO: boxes in frames
  python tools/extract.py CONFIG CHECKPOINT door.mp4 hall.mp4 --boxes door.csv hall.txt --camid 0 1 --out today
  python tools/extract.py --exported osnet.onnx crops/ --out features                    without torch
  torchrun --nproc_per_node 4 tools/extract.py CONFIG CHECKPOINT crops/ --out features   on 4 GPUs
  python tools/extract.py CONFIG CHECKPOINT crops/ --out /shared/features --shard 0/8    on the first of 8 machines

in Python:
  from mmosnet.features import read_features
  features = read_features('features')     features.embedding (N, D), .path, .pid, .camid, .time

needs: pip install 'mmosnet[gallery]'; for --exported also 'mmosnet[onnx]' or 'mmosnet[openvino]'
docs/features.md describes the files of boxes and all that is written.
"""
SHARD_SIZE = 10_000


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage='%(prog)s (CONFIG CHECKPOINT | --exported FILE) INPUT [INPUT ...] --out FOLDER [options]',
    )
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help='image, region of one (frame.jpg#xywh=120,80,64,190), folder, .csv, COCO .json, or video with --boxes; '
        'in front config file or name of a model in configs/README.md, and checkpoint file or "released", unless '
        '--exported is given',
    )
    parser.add_argument('--out', required=True, metavar='FOLDER', help='where the features go')
    parser.add_argument('--overwrite', action='store_true', help='delete features of another extraction in the folder')
    _add_model(parser.add_argument_group('model'))
    _add_people(parser.add_argument_group('people'))
    _add_video(parser.add_argument_group('video'))
    _add_work(parser.add_argument_group('work'))
    # Inputs may stand before and after options.
    return parser.parse_intermixed_args()


def _add_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--exported', metavar='FILE', help='model of tools/export.py (.onnx, .xml, .pt)')
    group.add_argument('--device', help='cpu, cuda, cuda:1 ... (a GPU if there is one)')
    group.add_argument(
        '--amp', action='store_true', help='mixed precision: float16 on a GPU, else bfloat16, for AVX-512'
    )
    group.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override settings of the config, nested keys with dots; quote lists: key="[a,b]"',
    )


def _add_people(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--names', choices=('market1501',), default='', help='names of images tell pid and camera: 0002_c1s1_...'
    )
    group.add_argument(
        '--camid', type=int, nargs='+', default=(), metavar='N', help='camera of all inputs, or of each in order'
    )
    group.add_argument(
        '--source',
        metavar='NAME',
        help='where the images are: a path and its source identify an image in galleries (host name and, of relative '
        'paths, the working directory; name it where these change, as in containers)',
    )
    group.add_argument('--root', metavar='FOLDER', help="where paths in .csv and .json start (the file's folder)")
    group.add_argument('--split', help='of .csv and .json only this split: query, gallery ...')
    group.add_argument('--category', metavar='NAME', help='of COCO files only boxes of this category')
    group.add_argument('--id-key', default='person_id', help='field of the identity in COCO files (person_id)')
    group.add_argument('--camera-key', default='camera_id', help='field of the camera in COCO files (camera_id)')
    group.add_argument(
        '--margin', type=float, default=0.0, metavar='SHARE', help='added to boxes on each side, 0.1 for a tenth (0)'
    )
    group.add_argument(
        '--bad-images',
        choices=('error', 'skip'),
        default='error',
        help='stop at images that are missing or damaged and at rows that are wrong, or leave them out and list them '
        '(error)',
    )


def _add_video(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--boxes',
        nargs='+',
        default=(),
        metavar='FILE',
        help='a file for each video, or folder of frames: CSV with frame,x,y,w,h[,track][,score], or rows as trackers '
        'write them, like det.txt and gt.txt of the MOTChallenge',
    )
    group.add_argument(
        '--first-frame',
        type=int,
        metavar='N',
        help='what files of boxes call the first frame (0 where the first row names the columns, 1 elsewhere)',
    )
    group.add_argument('--min-score', type=float, metavar='S', help='only boxes with at least this score')
    group.add_argument('--tracks-as-pids', action='store_true', help='numbers of tracks are identities')
    group.add_argument('--frame-step', type=int, default=1, metavar='N', help='only frames 0, N, 2N ... (1)')
    group.add_argument('--fps', type=float, help='frames a second (what the video states)')
    group.add_argument(
        '--start-time',
        nargs='+',
        default=(),
        metavar='T',
        help='when the videos start, one or one for each: seconds, or 2026-05-01T12:00:00+02:00 (0)',
    )


def _add_work(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--batch-size', type=int, default=64, help='images at once (64)')
    group.add_argument('--workers', type=int, metavar='N', help='threads that read images (2 on a CPU, 8 for a GPU)')
    group.add_argument('--shard-size', type=int, default=SHARD_SIZE, metavar='N', help='people in a file (10000)')
    group.add_argument('--shard', metavar='I/N', help='process I of N, from 0: only shards I, I + N, I + 2N ...')


def main() -> None:
    args = parse_args()

    # Only now: what is imported takes seconds that --help should not.
    from mmosnet.features.extraction_run import extract
    from mmosnet.user_errors import user_errors

    with user_errors() as interruption:
        interruption.advice = lambda: 'the same command goes on from here'
        report = extract(args, os.environ)
        if report:
            print(report)


if __name__ == '__main__':
    main()
