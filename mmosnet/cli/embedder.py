"""Options of commands that embed images, and their model: a config with a checkpoint, or an exported file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmosnet.cli import options

if TYPE_CHECKING:
    from mmosnet.features.embedder import ImageEmbedder


def add_model(parser: argparse._ArgumentGroup) -> None:
    """Add ``--exported``, ``--device`` and ``--cfg-options``."""
    parser.add_argument('--exported', metavar='FILE', help='model of mmosnet export (.onnx, .xml, .pt)')
    options.add_device(parser)
    options.add_cfg_options(parser)


def build_embedder(args: argparse.Namespace, model: Sequence[str], local_rank: str | None = None) -> ImageEmbedder:
    """Build the model that the options of :func:`add_model` ask for.

    Args:
        args: Arguments of the command.
        model: Config and checkpoint; ignored with ``--exported``.
        local_rank: Number of the process on this machine, which selects its GPU.
    """
    if args.exported:
        from mmosnet.features.embedder import ExportedEmbedder

        return ExportedEmbedder(args.exported)
    from mmosnet.apis.embedder import TorchEmbedder
    from mmosnet.engine.launch import merge_options
    from mmosnet.models.build import find_trained

    cfg, checkpoint = find_trained(*model)
    merge_options(cfg, options.parse_cfg_options(args.cfg_options))
    return TorchEmbedder(cfg, checkpoint, args.device, getattr(args, 'amp', False), local_rank)
