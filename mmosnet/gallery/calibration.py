"""Calibrate a gallery's threshold on labeled features, with a report for users. Needs torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from mmosnet.features import Features, FeatureShards, read_features
from mmosnet.features.tracks import tracks_of
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
        tracks: What the rows were pooled by: ``'track'``, or ``'pid and camera'``; empty for single images.
        pool: Way of pooling; empty for single images.
    """

    thresholds: MatchThresholds
    fmr: float
    distance: str
    cross_camera: bool
    model: str
    tracks: str = ''
    pool: str = ''

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
        what = f'tracks (by {self.tracks}, pooled by {self.pool})' if self.tracks else 'images'
        lines = [
            f'{result.images:,} {what} of {result.people:,} people: {result.genuine:,} {pairs} of one person, '
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
            *_false_hits(self.point, result, gallery_size, 'tracks' if self.tracks else 'images'),
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
    features = Features.concat([read_features(place) for place in places]) if places else gallery.features()
    return _labeled(features, ', '.join(places) or gallery.uri, gallery, most)


def _labeled(features: Features, name: str, gallery: Gallery | None, most: int) -> Features:
    """Return the features to calibrate on, sampled if there are too many; arguments of :func:`labeled_features`."""
    if most < 2:
        raise DataError(f'--images {most}: give 2 or more')
    if gallery is not None:
        gallery.check_model(features.model, name)
        if features.dimension != gallery.dimension:
            raise DataError(
                f'{name}: embeddings of {features.dimension} numbers, {gallery.uri} has {gallery.dimension}'
            )
    if not (features.pid >= 0).any():
        raise DataError(f'{name}: no image has a pid: extract labeled images, or give pids in a table of people')
    return features[chosen_people(features.pid, most)]


def labeled_tracks(
    places: Sequence[str], gallery: Gallery | None, most: int, pool: str = 'mean'
) -> tuple[Features, str]:
    """Collect the tracks to calibrate on, one file of features at a time: tracks whose person is known, pooled.

    If no row has a track, all images of a person by one camera count as one. If some have, single images are left out.

    Args:
        places: As in :func:`labeled_features`; likewise the next two.
        gallery: Gallery whose threshold is calibrated; None for none.
        most: Most tracks to use.
        pool: Way of pooling (:func:`~mmosnet.features.tracks.pool_track`). Default: ``'mean'``.

    Returns:
        The tracks, and what they were pooled by: ``'track'`` or ``'pid and camera'``.

    Raises:
        DataError: No row has an identity, a track shows two people, or as in :func:`labeled_features`.
    """

    def parts() -> Iterator[Features]:
        if not places:
            yield gallery.features()
        for place in places:
            yield from FeatureShards(place)

    by_person = not any(any(part.track) for part in parts())
    rows = (part if by_person else part[[bool(track) for track in part.track]] for part in parts())
    features = tracks_of(rows, pool, by_person=by_person)
    name = ', '.join(places) or gallery.uri
    return _labeled(features, name, gallery, most), 'pid and camera' if by_person else 'track'


def calibrate(
    features: Features,
    fmr: float,
    distance: str = 'cosine',
    cross_camera: bool = False,
    tracks: str = '',
    pool: str = '',
) -> Calibration:
    """Find the thresholds for the usual false-match rates and for a chosen one.

    Args:
        features: Labeled features, such as those of :func:`labeled_features`.
        fmr: Chosen false-match rate.
        distance: ``'cosine'`` (default) or ``'euclidean'``.
        cross_camera: Whether to compare only images by two cameras. Default: False.
        tracks: What the features were pooled by, if they are :func:`labeled_tracks`, for the report.
        pool: Way of pooling, likewise.

    Raises:
        DataError: The same as in :func:`~mmosnet.evaluation.verification.match_thresholds`.
    """
    columns = (np.ascontiguousarray(column) for column in (features.embedding, features.pid, features.camid))
    embeddings = Embeddings(*map(torch.from_numpy, columns))
    thresholds = match_thresholds(embeddings, sorted({*RATES, fmr}), distance, cross_camera)
    return Calibration(thresholds, fmr, distance, cross_camera, features.model, tracks, pool)


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
        **(dict(per='track', tracks_by=calibration.tracks, pool=calibration.pool) if calibration.tracks else {}),
    )


def _false_hits(point: MatchThreshold, result: MatchThresholds, gallery_size: int | None, what: str) -> list[str]:
    """Return how many false matches to expect per search, which compares with every image or track of the gallery."""
    rate = point.fmr or point.wanted
    sizes = GALLERY_SIZES if gallery_size is None else (gallery_size,)
    lines = [
        f'At FMR {rate:.2g} a search for somebody who is not in a gallery of N {what} finds N x {rate:.2g} false '
        'matches on average:'
    ]
    for size in sizes:
        chance = -np.expm1(size * np.log1p(-rate))
        often = f'one or more in {chance:.1%} of such searches, were {what} independent'
        lines.append(f'  {size:>9,} {what}: {size * rate:,.1f}; {often}')
    lines.append(f'  Seen here: {point.false_hits:.1%} of the {what} have one among the {result.images:,} {what}.')
    return lines
