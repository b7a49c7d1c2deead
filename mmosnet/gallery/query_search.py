"""What ``tools/search.py`` does: from images of people to their ranked lists."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from mmosnet.errors import DataError
from mmosnet.features.embedder import Embedder, ExportedEmbedder
from mmosnet.features.person_batches import PersonBatches
from mmosnet.features.seconds import seconds
from mmosnet.gallery.gallery import Gallery
from mmosnet.gallery.gallery_report import matches_as_json, search_table
from mmosnet.optional_package import need
from mmosnet.runtime.image_region import split_region

BATCH_SIZE = 32
# Threads that read images.
WORKERS = 2


def search(args: argparse.Namespace) -> str:
    """Search a gallery.

    Args:
        args: Arguments of the command.

    Returns:
        The report.

    Raises:
        FileNotFoundError, DataError: Mistakes in arguments, images, or the gallery.
    """
    model, uri, queries = _taken_apart(args)
    if args.top_k < 1:
        raise DataError(f'--top-k {args.top_k}: give 1 or more')
    if args.out:
        _check_picture(args.out)
    after, before = (text if text is None else seconds(text, name) for text, name in _times(args))
    with Gallery.open(uri) as gallery:
        # mmengine logs on stdout, which is for the result.
        with redirect_stdout(sys.stderr):
            embedder = _embedder(args, model)
        gallery.check_model(embedder.model, f'queries by {embedder.source}')
        embedding = embedded(embedder, queries)
        found = gallery.search(embedding, args.top_k, args.camids, args.not_camids, after, before)
        threshold = gallery.threshold
    searches = list(zip(queries, found, strict=True))
    if args.out:
        from mmosnet.gallery.match_sheet import save_matches

        save_matches(searches, threshold, args.out)
    if args.json:
        return json.dumps(dict(threshold=threshold, searches=[matches_as_json(*one) for one in searches]), indent=1)
    lines = [search_table(*one) + '\n' for one in searches]
    if threshold is None:
        lines.append('no threshold: tools/calibrate.py finds the distance at which "same person" is said')
    else:
        lines.append(f'same person: at a distance of at most {threshold:.4f}')
    if args.out:
        lines.append(f'picture: {args.out}')
    return '\n'.join(lines)


def embedded(embedder: Embedder, paths: Sequence[str]) -> np.ndarray:
    """Return embeddings of images, regions of images and frames of videos, ``(Q, D)`` float32.

    Raises:
        FileNotFoundError: An image is missing.
        DataError: It is damaged.
    """
    found = []
    with PersonBatches(embedder.read_file, embedder.prepare, WORKERS) as batches:
        for items in batches.read(paths, BATCH_SIZE):
            for outcome in [item for item in items if isinstance(item, Exception)] or embedder.embed(items):
                if isinstance(outcome, Exception):
                    raise outcome
                found.append(outcome)
    return np.stack(found)


def _taken_apart(args: argparse.Namespace) -> tuple[list[str], str, list[str]]:
    """Split the arguments into config and checkpoint, or nothing, the gallery and the queries.

    Raises:
        DataError: Too few arguments.
        FileNotFoundError: A query is missing.
    """
    given = args.arguments
    number = 0 if args.exported else 2
    if len(given) < number + 2:
        raise DataError('give CONFIG CHECKPOINT GALLERY QUERY, or --exported FILE and GALLERY QUERY')
    if args.exported and (args.device or args.cfg_options):
        raise DataError('--device and --cfg-options are for a config and a checkpoint, not for --exported')
    queries = given[number + 1 :]
    for query in queries:
        if Path(query).is_dir():
            raise DataError(f'{query} is a folder: name the images in it')
        if '#' not in query and not Path(split_region(query)[0]).is_file():
            raise FileNotFoundError(f'no image {query}')
    return given[:number], given[number], queries


def _check_picture(path: str) -> None:
    """Check ``--out`` before anything is computed.

    Raises:
        DataError: No kind of picture, or no matplotlib, which comes with torch's packages.
    """
    if not cv2.haveImageWriter(Path(path).name):
        raise DataError(f'--out {path}: name a file that ends in .jpg or .png')
    if find_spec('matplotlib') is None:
        raise DataError('--out draws with matplotlib: pip install matplotlib')


def _embedder(args: argparse.Namespace, model: Sequence[str]) -> Embedder:
    if args.exported:
        return ExportedEmbedder(args.exported)
    # Only now: torch takes seconds, and may not be there.
    need('torch', 'lite')
    from mmosnet.apis.torch_embedder import TorchEmbedder, configured

    name, weights = model
    return TorchEmbedder(*configured(name, weights, args.cfg_options), args.device)


def _times(args: argparse.Namespace) -> list[tuple[str | None, str]]:
    return [(args.after, '--after'), (args.before, '--before')]
