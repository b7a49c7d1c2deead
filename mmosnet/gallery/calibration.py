"""Calibrate a gallery's threshold on labeled features, with a report for users. Needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date

import numpy as np
import torch

from mmosnet.errors import DataError
from mmosnet.evaluation.distances import Embeddings
from mmosnet.evaluation.verification import (
    RATES,
    RULE_OF_THREE,
    MatchThreshold,
    MatchThresholds,
    chosen_people,
    match_thresholds,
)
from mmosnet.features import Features, read_features
from mmosnet.gallery import Gallery
from mmosnet.io.text_tables import text_table

# Sizes of galleries for which the report estimates false matches.
GALLERY_SIZES = (100, 10_000, 1_000_000)


@dataclass(frozen=True)
class Calibration:
    """Thresholds for several false-match rates, one of which the caller chose.

    Attributes:
        thresholds: Thresholds for all rates.
        fmr: Chosen false-match rate.
        distance: ``'cosine'`` or ``'euclidean'``.
        cross_camera: Whether only pairs of images by two cameras were compared.
        model: Digest of the weights that computed the embeddings.
    """

    thresholds: MatchThresholds
    fmr: float
    distance: str
    cross_camera: bool
    model: str

    @property
    def point(self) -> MatchThreshold:
        """Operating point at the chosen false-match rate."""
        return self.thresholds.at(self.fmr)

    @property
    def threshold(self) -> float:
        """Largest distance at which two images count as the same person.

        Raises:
            DataError: There is no such distance.
        """
        if self.point.distance is None:
            raise DataError(
                f'no distance gives a false-match rate of {self.fmr:g}: images of two people have the distance 0. Is '
                'one person labeled as two?'
            )
        return self.point.distance

    def report(self, gallery_size: int | None = None) -> str:
        """Return a table of thresholds and what they mean for a gallery of a given size.

        Args:
            gallery_size: Number of images of the gallery; by default several sizes are examples.
        """
        result = self.thresholds
        pairs = 'pairs by two cameras' if self.cross_camera else 'pairs'
        lines = [
            f'{result.images:,} images of {result.people:,} people: {result.genuine:,} {pairs} of one person, '
            f'{result.impostor:,} of two; {self.distance} distance',
            '',
            text_table(
                ('wanted FMR', 'threshold', 'FMR', '95 % for other people', 'TMR', 'remark'),
                [self._cells(threshold) for threshold in result.thresholds],
                'rrrrrl',
            ),
            '',
            'FMR: share of the pairs of two people taken for one. TMR: share of the pairs of one person recognized.',
            *self._warnings(),
            '',
            *_false_hits(self.point, result, gallery_size),
        ]
        return '\n'.join(lines)

    def _cells(self, point: MatchThreshold) -> tuple[str, ...]:
        threshold = 'none' if point.distance is None else f'{point.distance:.4f}'
        interval = f'{point.interval[0]:.3g} to {point.interval[1]:.3g}'
        remarks = ['too few pairs'] * (not point.enough_pairs) + ['<- wanted'] * (point.wanted == self.fmr)
        return f'{point.wanted:.3g}', threshold, f'{point.fmr:.3g}', interval, f'{point.tmr:.1%}', '  '.join(remarks)

    def _warnings(self) -> list[str]:
        needed = RULE_OF_THREE / self.fmr
        if self.point.enough_pairs:
            return []
        return [
            f'WARNING: a rate of {self.fmr:g} needs {needed:,.0f} pairs of two people or more, there are '
            f'{self.thresholds.impostor:,}: whether the threshold keeps it is unknown. Label more people, or choose a '
            'larger --fmr.'
        ]


def labeled_features(places: Sequence[str], gallery: Gallery | None, most: int) -> Features:
    """Collect the features to calibrate on: images whose person is known.

    Args:
        places: Folders and files of features; if empty, the gallery's own images are used.
        gallery: Gallery whose threshold is calibrated; None for none.
        most: Most images to use; if there are more, people are sampled at random.

    Raises:
        DataError: No image has an identity, or the features have another model or dimension than the gallery.
    """
    if most < 2:
        raise DataError(f'--images {most}: give 2 or more')
    features = Features.concat([read_features(place) for place in places]) if places else gallery.features()
    name = ', '.join(places) or gallery.uri
    if gallery is not None:
        gallery.check_model(features.model, name)
        if features.dimension != gallery.dimension:
            raise DataError(
                f'{name}: embeddings of {features.dimension} numbers, {gallery.uri} has {gallery.dimension}'
            )
    if not (features.pid >= 0).any():
        raise DataError(f'{name}: no image has a pid: extract labeled images, or give pids in a table of people')
    return features[chosen_people(features.pid, most)]


def calibrate(features: Features, fmr: float, distance: str = 'cosine', cross_camera: bool = False) -> Calibration:
    """Find the thresholds for the usual false-match rates and for a chosen one.

    Args:
        features: Labeled features, such as those of :func:`labeled_features`.
        fmr: Chosen false-match rate.
        distance: ``'cosine'`` (default) or ``'euclidean'``.
        cross_camera: Whether to compare only images by two cameras. Default: False.

    Raises:
        DataError: The same as in :func:`~mmosnet.evaluation.verification.match_thresholds`.
    """
    columns = (np.ascontiguousarray(column) for column in (features.embedding, features.pid, features.camid))
    embeddings = Embeddings(*map(torch.from_numpy, columns))
    thresholds = match_thresholds(embeddings, sorted({*RATES, fmr}), distance, cross_camera)
    return Calibration(thresholds, fmr, distance, cross_camera, features.model)


def stored_facts(calibration: Calibration, places: Sequence[str]) -> dict:
    """Return the information that a gallery stores about its threshold.

    Args:
        calibration: Calibration of the threshold.
        places: Folders and files of the features.
    """
    point, result = calibration.point, calibration.thresholds
    facts = {name: value for name, value in asdict(point).items() if name not in ('distance', 'wanted')}
    return dict(
        wanted_fmr=point.wanted,
        **facts,
        people=result.people,
        images=result.images,
        genuine_pairs=result.genuine,
        impostor_pairs=result.impostor,
        cross_camera=calibration.cross_camera,
        set=list(places),
        model=calibration.model,
        date=date.today().isoformat(),
    )


def _false_hits(point: MatchThreshold, result: MatchThresholds, gallery_size: int | None) -> list[str]:
    """Return how many false matches to expect per search, which compares with every image of the gallery."""
    rate = point.fmr or point.wanted
    sizes = GALLERY_SIZES if gallery_size is None else (gallery_size,)
    lines = [
        f'At FMR {rate:.2g} a search for somebody who is not in a gallery of N images finds N x {rate:.2g} false '
        'matches on average:'
    ]
    for size in sizes:
        chance = -np.expm1(size * np.log1p(-rate))
        often = f'one or more in {chance:.1%} of such searches, were images independent'
        lines.append(f'  {size:>9,} images: {size * rate:,.1f}; {often}')
    lines.append(f'  Seen here: {point.false_hits:.1%} of the images have one among the {result.images:,} images.')
    return lines
