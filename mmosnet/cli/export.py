"""Write a trained model to a file for ONNX Runtime, OpenVINO or TorchScript.

ONNX and OpenVINO files run without torch. The file has its normalization layers folded, takes batches of any size, and
names its outputs (embedding, attributes, category: whatever the model predicts). Its metadata say how images are read,
resized and normalized, and name attributes and categories. Before the file is saved, it is compared with the model on
batches of 1, 2 and 7 images, from the JPEG on. A file that disagrees is not saved, and an older file stays.
"""

from __future__ import annotations

import argparse

from mmosnet.cli import options

PAGE = 'deployment.md'
EXAMPLES = """
  mmosnet export CONFIG CHECKPOINT                                     ONNX, for ONNX Runtime and others
  mmosnet export CONFIG CHECKPOINT --format openvino                   the fastest on CPUs
  mmosnet export CONFIG CHECKPOINT --format openvino --int8 --images crops/ --test
  mmosnet export osnet-x0.25_reid-market1501 released --with-preprocess --l2-normalize
  mmosnet export osnet_reid_synthetic work_dirs/osnet_reid_synthetic/epoch_10.pth --size 128 64

on a device with numpy, OpenCV and ONNX Runtime alone:
  from mmosnet.runtime import ExportedModel
  ExportedModel('osnet.onnx').predict(['crop.jpg', 'frame.jpg#xywh=120,80,64,190', frame[80:270, 120:184]])['embedding']

in other programs: without --with-preprocess the input is (N, 3, H, W) float32 in the channel order of the metadata,
minus mean, divided by std; with it (N, H, W, 3) uint8 in BGR. The graph never resizes: the metadata say how to.

needs the extra "onnx" or "openvino", for TorchScript none: "mmosnet doctor" says how to install them
"""
SUFFIXES = dict(onnx='.onnx', openvino='.xml', torchscript='.pt')
BATCH_SIZES = (1, 32)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    options.add_config(parser)
    options.add_checkpoint(parser)
    parser.add_argument('--format', choices=SUFFIXES, default='onnx', help='kind of file (onnx)')
    parser.add_argument(
        '--out', metavar='FILE', help='file to write (work_dirs/NAME_OF_CONFIG/NAME_OF_CONFIG.onnx, ...)'
    )
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument('--fp16', action='store_true', help='weights in 16 bits: half the file, no speed on CPUs')
    precision.add_argument('--int8', action='store_true', help='weights and activations in 8 bits; needs --images')
    parser.add_argument(
        '--images', metavar='FOLDER', help='images to compare on and to calibrate int8 on (random noise)'
    )
    parser.add_argument(
        '--calibration-images',
        type=int,
        default=200,
        metavar='N',
        help='largest number of images for int8, at even distances in the folder (200)',
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help="size of the images (as the config's Resize makes them)",
    )
    parser.add_argument('--with-preprocess', action='store_true', help='take uint8 images in BGR, and normalize inside')
    parser.add_argument('--l2-normalize', action='store_true', help='give embeddings of length 1')
    parser.add_argument('--test', action='store_true', help="score file and model on the config's test set")
    parser.add_argument('--no-timing', action='store_true', help='do not measure the speed beside PyTorch')
    options.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from pathlib import Path

    import mmosnet  # noqa: F401
    from mmosnet.engine.launch import merge_options
    from mmosnet.errors import DataError
    from mmosnet.export import export_model
    from mmosnet.export.export import export_report
    from mmosnet.models.build import find_trained, load_model

    cfg, checkpoint = find_trained(args.config, args.checkpoint)
    merge_options(cfg, options.parse_cfg_options(args.cfg_options))
    precision = 'int8' if args.int8 else 'fp16' if args.fp16 else 'fp32'
    name = Path(args.config).stem if args.config.endswith('.py') else args.config
    suffix = SUFFIXES[args.format]
    path = args.out or f'work_dirs/{name}/{name}{"" if precision == "fp32" else "_" + precision}{suffix}'
    if Path(path).suffix != suffix:
        raise DataError(f'--out {path}: a file of --format {args.format} ends in {suffix}')
    model = load_model(cfg, checkpoint, testing=True)
    parities = export_model(
        model,
        path,
        precision,
        images=args.images,
        size=args.size,
        l2_normalize=args.l2_normalize,
        with_preprocess=args.with_preprocess,
        calibration_images=args.calibration_images,
    )
    batch_sizes = () if args.no_timing else BATCH_SIZES
    print(export_report(path, model, parities, batch_sizes, cfg if args.test else None))
