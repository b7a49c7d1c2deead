"""Who is who: :class:`mmosnet.People` against the threshold alone, on drawn scenes and on tracks of real people.

Everybody begins unknown. Each decision on a box, or on a track at its end, is compared with the truth; the identities
of all boxes are scored over all cameras by trackeval's IDF1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.identity_data import (
    CALIBRATION_SCENE,
    CALIBRATION_SEED,
    NOBODY,
    SCENE,
    Embed,
    LabeledTracks,
    Sightings,
    draw_and_embed,
    labeled_tracks,
    pooled,
)
from mmosnet.errors import DataError, need
from mmosnet.evaluation.distances import Embeddings
from mmosnet.evaluation.verification import match_thresholds
from mmosnet.gallery import Gallery
from mmosnet.gallery.people import People
from mmosnet.io.text_tables import text_table
from mmosnet.synthetic.scenes import TRAVEL_SECONDS

UNSURE = -1
NO_ANSWER = (UNSURE, False)
# Arrangements of People to compare: title, and its settings. ``constraints`` are those of frames and times.
VARIANTS: dict[str, dict] = {
    'People': {},
    'no margin': dict(margin=0.0),
    'no band': dict(band=0.0),
    'no margin, no band': dict(margin=0.0, band=0.0),
    'no constraints': dict(constraints=False),
    'only the threshold': dict(margin=0.0, band=0.0, constraints=False),
    'travel time': dict(travel_times={(0, 1): TRAVEL_SECONDS}),
    'mean distance': dict(verdict='mean'),
    '1 image per person': dict(images_per_person=1),
    '4 images per person': dict(images_per_person=4),
    '16 images per person': dict(images_per_person=16),
}
BASELINES = ('threshold only, all images', 'threshold only, first image')


class ThresholdOnly:
    """The nearest image within the threshold tells who somebody is; without one they are new.

    Args:
        threshold: Largest cosine distance.
        keeps_all: Whether images of known people join the gallery too, or only the first one of each person.
    """

    def __init__(self, threshold: float, keeps_all: bool) -> None:
        self.threshold, self.keeps_all = threshold, keeps_all
        self._images: list[np.ndarray] = []
        self._pids: list[int] = []

    def observe(self, embedding: np.ndarray) -> tuple[int, bool]:
        """Return a person's number, and whether they were known."""
        unit = embedding / max(np.linalg.norm(embedding), np.finfo(np.float32).tiny)
        distance = 1 - np.stack(self._images) @ unit if self._images else np.array([np.inf])
        nearest = int(distance.argmin())
        known = bool(distance[nearest] <= self.threshold)
        pid = self._pids[nearest] if known else max(self._pids, default=0) + 1
        if self.keeps_all or not known:
            self._images.append(unit)
            self._pids.append(pid)
        return pid, known


@dataclass(frozen=True)
class Question:
    """What is decided on.

    Attributes:
        per: Whether each ``'box'`` gets an answer, or each ``'track'``, at its end.
        threshold: Largest cosine distance of known people.
        shortest: Tracks of fewer boxes get no answer; many of them are false.
    """

    per: str
    threshold: float
    shortest: int = 1

    def groups(self, sightings: Sightings) -> list[np.ndarray]:
        """Return the rows of each box or track."""
        return boxes_of(sightings) if self.per == 'box' else tracks_of(sightings)

    def asks(self, rows: np.ndarray) -> bool:
        """Return whether a box or track gets an answer."""
        return self.per == 'box' or len(rows) >= self.shortest


@dataclass(frozen=True)
class Decisions:
    """Answers to M boxes or tracks, in the order of the questions.

    Attributes:
        rows: The sightings that each answer is about.
        answer: The identity, or :data:`UNSURE`, ``(M,)`` int64.
        known: Whether the identity was known before, ``(M,)`` bool.
    """

    rows: list[np.ndarray]
    answer: np.ndarray
    known: np.ndarray

    def identities(self, number: int) -> np.ndarray:
        """Return the identity of each of N sightings, ``(N,)`` int64."""
        result = np.full(number, UNSURE)
        for rows, answer in zip(self.rows, self.answer, strict=True):
            result[rows] = answer
        return result


def decide_alone(sightings: Sightings, question: Question, keeps_all: bool) -> Decisions:
    """Answer by the threshold alone; see :class:`ThresholdOnly`."""
    assigner = ThresholdOnly(question.threshold, keeps_all)
    groups = question.groups(sightings)
    answers = [assigner.observe(_pooled(sightings, rows)) if question.asks(rows) else NO_ANSWER for rows in groups]
    return Decisions(groups, *_columns(answers))


def decide_by_people(
    sightings: Sightings, question: Question, folder: str | Path, constraints: bool = True, **settings
) -> Decisions:
    """Answer by :class:`mmosnet.People`.

    Args:
        sightings: What is seen.
        question: What is decided on, with which threshold.
        folder: Where the gallery is made.
        constraints: Whether People learns which boxes are in one frame, and when they were seen.
        settings: Further arguments of People.
    """
    groups: list[np.ndarray] = []
    answers: list[tuple[int, bool]] = []
    with (
        Gallery.create(folder, sightings.embedding.shape[1]) as gallery,
        People(gallery, threshold=question.threshold, **settings) as people,
    ):
        at_once = question.per == 'box' and constraints
        for rows in frames_of(sightings) if at_once else question.groups(sightings):
            camid, time = int(sightings.camid[rows[0]]), (sightings.time[rows[0]], sightings.time[rows[-1]])
            tracks = [str(track) for track in sightings.track[rows]]
            if at_once:
                found = people.observe_frame(sightings.embedding[rows], camid, time[0], tracks=tracks)
            elif not question.asks(rows):
                found = [None]
            else:
                place = dict(camid=camid, time=time, track=tracks[0]) if constraints else {}
                embedding = sightings.embedding[rows] if question.per == 'track' else sightings.embedding[rows[0]]
                found = [people.observe(embedding, **place)]
            groups += [rows[k : k + 1] for k in range(len(rows))] if at_once else [rows]
            answers += [NO_ANSWER if s is None or s.known is None else (s.pid, s.known) for s in found]
    return Decisions(groups, *_columns(answers))


def boxes_of(sightings: Sightings) -> list[np.ndarray]:
    """Return each row as a group of its own."""
    return list(np.arange(len(sightings))[:, None])


def frames_of(sightings: Sightings) -> list[np.ndarray]:
    """Return the rows of each frame."""
    return _groups(sightings.moment)


def tracks_of(sightings: Sightings) -> list[np.ndarray]:
    """Return the rows of each track, in the order in which the tracks end."""
    return sorted(_groups(sightings.track), key=lambda rows: int(rows[-1]))


def _groups(key: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(key == value) for value in np.unique(key)]


def _pooled(sightings: Sightings, rows: np.ndarray) -> np.ndarray:
    return pooled(sightings.embedding[rows], np.zeros(len(rows), int))[0]


def _columns(answers: Sequence[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([pid for pid, _ in answers], np.int64), np.array([known for _, known in answers], bool)


@dataclass(frozen=True)
class IdentityScores:
    """How right the identities are.

    The first four are shares of the decisions on people; boxes without a person count by IDP alone. A person's identity
    is each one that the person was the first to get.

    Attributes:
        right: Known as an identity of this person, or new and never seen before.
        merged: Known as an identity of somebody else.
        split: New, although this person has an identity.
        unsure: No answer.
        idf1: Of trackeval, over all cameras; as are the next two.
        idp: Share of the boxes with an identity that are right, if identities are assigned to people one to one.
        idr: Share of the exact boxes whose identity is right.
        identities: Identities per person.
    """

    right: float
    merged: float
    split: float
    unsure: float
    idf1: float
    idp: float
    idr: float
    identities: float


def score(sightings: Sightings, decisions: Decisions) -> IdentityScores:
    """Compare decisions with the truth."""
    counts = dict(right=0, merged=0, split=0, unsure=0)
    founders: dict[int, int] = {}
    for rows, answer, known in zip(decisions.rows, decisions.answer.tolist(), decisions.known, strict=True):
        pids, times = np.unique(sightings.pid[rows], return_counts=True)
        pid = int(pids[times.argmax()])
        if answer == UNSURE:
            verdict = 'unsure'
        elif known:
            verdict = 'right' if founders[answer] == pid else 'merged'
        else:
            verdict = 'split' if pid in founders.values() else 'right'
            founders[answer] = pid
        if pid != NOBODY:
            counts[verdict] += 1
    total = max(1, sum(counts.values()))
    people = set(sightings.pid.tolist()) - {NOBODY}
    idf1, idp, idr = identity_f1(sightings, decisions.identities(len(sightings)))
    shares = {name: count / total for name, count in counts.items()}
    return IdentityScores(**shares, idf1=idf1, idp=idp, idr=idr, identities=len(founders) / len(people))


def identity_f1(sightings: Sightings, identity: np.ndarray) -> tuple[float, float, float]:
    """Compute IDF1, IDP and IDR over all cameras by trackeval.

    A box can only match its own person, if it overlaps the exact box by half or more.

    Args:
        sightings: What was seen.
        identity: Identity of each sighting, ``(N,)``; a box that is :data:`UNSURE` counts as none.
    """
    metric = need('trackeval.metrics', 'peer').Identity(dict(PRINT_CONFIG=False))
    missed = sightings.missed_pid
    pids = np.concatenate([sightings.pid, missed])
    answers = np.concatenate([identity, np.full(len(missed), UNSURE)])
    similarity = np.concatenate([sightings.overlap, np.zeros(len(missed))])
    people, person = np.unique(pids, return_inverse=True)
    identities, answer = np.unique(answers, return_inverse=True)
    # Only a box and its person can match. So each may have a time step of its own, which allows two boxes of a frame
    # with one identity; trackeval would count one of them.
    true_ids = [person[[row]] if pids[row] != NOBODY else person[:0] for row in range(len(pids))]
    found_ids = [answer[[row]] if answers[row] != UNSURE else answer[:0] for row in range(len(pids))]
    result = metric.eval_sequence(
        dict(
            num_gt_ids=len(people),
            num_tracker_ids=len(identities),
            num_gt_dets=sum(map(len, true_ids)),
            num_tracker_dets=sum(map(len, found_ids)),
            gt_ids=true_ids,
            tracker_ids=found_ids,
            similarity_scores=[
                np.full((len(true), len(found)), value)
                for true, found, value in zip(true_ids, found_ids, similarity, strict=True)
            ],
        )
    )
    return tuple(float(result.get(name, 0.0)) for name in ('IDF1', 'IDP', 'IDR'))  # type: ignore[return-value]


def true_decisions(sightings: Sightings) -> Decisions:
    """Return right answers, whose scores are the best that these boxes allow."""
    groups = tracks_of(sightings)
    seen: set[int] = set()
    answers = []
    for rows in groups:
        pids, times = np.unique(sightings.pid[rows], return_counts=True)
        pid = int(pids[times.argmax()])
        answers.append((UNSURE if pid == NOBODY else pid, pid in seen))
        seen.add(pid)
    return Decisions(groups, *_columns(answers))


def calibrated(embedding: np.ndarray, pid: np.ndarray, fmr: float) -> float:
    """Return the cosine distance that two different people have at most with the false-match rate.

    Args:
        embedding: ``(N, D)`` images or tracks of other people than those of the test.
        pid: ``(N,)``.
        fmr: The false-match rate.
    """
    numbers = torch.from_numpy(np.ascontiguousarray(pid))
    people = Embeddings(torch.from_numpy(np.ascontiguousarray(embedding)), numbers, torch.zeros_like(numbers))
    distance = match_thresholds(people, [fmr]).at(fmr).distance
    return 0.0 if distance is None else distance


def threshold_of(people: Sightings | LabeledTracks, per: str, fmr: float) -> float:
    """Return the threshold of a false-match rate among boxes or among pooled tracks, each of which shows one person."""
    real = people.pid != NOBODY
    embedding, pid, track = people.embedding[real], people.pid[real], people.track[real]
    if per == 'track':
        first = [int(np.flatnonzero(track == number)[0]) for number in np.unique(track)]
        embedding, pid = pooled(embedding, track), pid[first]
    return calibrated(embedding, pid, fmr)


def compare(
    tests: Sequence[Sightings],
    question: Question,
    variants: Sequence[str] = tuple(VARIANTS),
    say: Callable[[str], object] = lambda line: None,
) -> dict[str, list[IdentityScores]]:
    """Score arrangements on several tests.

    Args:
        tests: One per seed.
        question: The same one for all arrangements.
        variants: Titles in :data:`VARIANTS`.
        say: Called with a line after each arrangement.

    Returns:
        The scores of each arrangement, one per test.
    """
    scores = {title: [] for title in ('perfect', *BASELINES, *variants)}
    for test in tests:
        scores['perfect'].append(score(test, true_decisions(test)))
        for title, keeps_all in zip(BASELINES, (True, False), strict=True):
            scores[title].append(score(test, decide_alone(test, question, keeps_all)))
        for title in variants:
            with TemporaryDirectory() as scratch:
                decisions = decide_by_people(test, question, Path(scratch) / 'gallery', **VARIANTS[title])
            scores[title].append(score(test, decisions))
            say(f'{title}: IDF1 {scores[title][-1].idf1:.3f}')
    return scores


def score_table(scores: dict[str, list[IdentityScores]]) -> str:
    """Return a table of means over the tests, with the smallest and largest IDF1."""
    names = [field.name for field in fields(IdentityScores)]
    titles = ('arrangement', 'right', 'merged', 'split', 'unsure', 'IDF1', 'of seeds', 'IDP', 'IDR', 'identities')
    rows = []
    for title, results in scores.items():
        mean = {name: float(np.mean([getattr(result, name) for result in results])) for name in names}
        spread = ' to '.join(f'{bound([result.idf1 for result in results]):.3f}' for bound in (min, max))
        shares = [f'{mean[name]:.1%}' for name in ('right', 'merged', 'split', 'unsure')]
        values = [
            f'{mean["idf1"]:.3f}',
            spread,
            f'{mean["idp"]:.3f}',
            f'{mean["idr"]:.3f}',
            f'{mean["identities"]:.2f}',
        ]
        rows.append((title, *shares, *values))
    return text_table(titles, rows, 'l' + 'r' * (len(titles) - 1))


def measure_scenes(
    place: str | Path,
    embedder: Embed,
    per: str,
    fmr: float,
    shortest: int,
    seeds: Sequence[int],
    variants: Sequence[str] = tuple(VARIANTS),
    say: Callable[[str], object] = lambda line: None,
) -> str:
    """Measure on drawn scenes, with the threshold of another scene with other people and cameras; return a report.

    Args:
        place: Folder for the scenes, which are drawn unless it has them.
        embedder: Embeds the boxes of a frame.
        per: ``'box'`` or ``'track'``.
        fmr: False-match rate of the threshold.
        shortest: See :class:`Question`.
        seeds: One scene each.
        variants: Titles in :data:`VARIANTS`.
        say: Called with lines about the progress.

    Raises:
        DataError: A seed is that of the scene for the threshold.
    """
    if CALIBRATION_SEED in seeds:
        raise DataError(f'--seeds: {CALIBRATION_SEED} is the scene that the threshold comes from: give others')
    threshold = threshold_of(
        draw_and_embed(Path(place) / 'calibration', CALIBRATION_SEED, CALIBRATION_SCENE, embedder), per, fmr
    )
    tests = []
    for seed in seeds:
        tests.append(draw_and_embed(Path(place) / f'scene{seed}', seed, SCENE, embedder))
        say(f'scene {seed}: {len(tests[-1])} boxes, {len(tracks_of(tests[-1]))} tracks')
    facts = f'{len(seeds)} drawn scenes, decisions per {per}, threshold {threshold:.4f} (FMR {fmr:g})'
    return f'{facts}\n\n{score_table(compare(tests, Question(per, threshold, shortest), variants, say))}'


def measure_tracks(
    folder: str | Path,
    embedder: Embed,
    per: str,
    fmr: float,
    shortest: int,
    seeds: Sequence[int],
    two_folds: bool = False,
    variants: Sequence[str] = tuple(VARIANTS),
    say: Callable[[str], object] = lambda line: None,
) -> str:
    """Measure on the test people of a data set in Market-1501's layout, track by track; return a report.

    Args:
        folder: The data set.
        embedder: Embeds an image.
        per: ``'box'``, here an image, or ``'track'``.
        fmr: False-match rate of the threshold.
        shortest: See :class:`Question`.
        seeds: One order of the tracks each.
        two_folds: Whether each half of the test people is tested with the threshold of the other half. By default all
            are tested with the threshold of the training people, whom a model that was trained on them tells apart too
            well.
        variants: Titles in :data:`VARIANTS`.
        say: Called with lines about the progress.
    """
    test = labeled_tracks(folder, ('query', 'bounding_box_test'), embedder)
    pids = np.unique(test.pid)
    halves = test.of_people(pids[::2]), test.of_people(pids[1::2])
    folds = (
        (halves, halves[::-1]) if two_folds else ((test, labeled_tracks(folder, ('bounding_box_train',), embedder)),)
    )
    scores: dict[str, list[IdentityScores]] = {}
    thresholds = []
    for tested, others in folds:
        question = Question(per, threshold_of(others, per, fmr), shortest)
        thresholds.append(question.threshold)
        for title, results in compare([tested.shuffled(seed) for seed in seeds], question, variants, say).items():
            scores.setdefault(title, []).extend(results)
    people = 'the other half of the test people' if two_folds else 'the training people'
    shown = ' and '.join(f'{threshold:.4f}' for threshold in thresholds)
    facts = f'{len(pids)} people in {len(seeds)} orders, decisions per {per}, threshold {shown} (FMR {fmr:g}, {people})'
    return f'{facts}\n\n{score_table(scores)}'
