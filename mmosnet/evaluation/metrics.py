"""The metrics of the three tasks for mmengine, and an evaluator that gives each metric the samples of its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_world_size
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import MMLogger
from mmpretrain.evaluation import Accuracy, ConfusionMatrix
from mmpretrain.structures import MultiTaskDataSample
from torch import Tensor

from mmosnet.errors import DataError
from mmosnet.evaluation.attributes import LabelScores, instance_scores, label_scores
from mmosnet.evaluation.distances import DISTANCES, Distances, Embeddings, QueryExpansion, expand_queries, normalize
from mmosnet.evaluation.ranking import (
    AVERAGE_PRECISIONS,
    SAME_CAMERA_RULES,
    QueryGallery,
    ShownQuery,
    match_ranks,
    no_match_message,
    retrieval_scores,
    sampled_cmc,
    sampled_ranks,
)
from mmosnet.evaluation.re_ranking import ReRankedDistances, ReRanking
from mmosnet.evaluation.tracklets import join_clips
from mmosnet.evaluation.verification import verification_scores
from mmosnet.io.media import spread
from mmosnet.registry import EVALUATORS, METRICS

PROTOCOLS = ('market', 'single_gallery_shot')


@dataclass(frozen=True)
class AttributeRow:
    """Scores of one attribute, from 0 to 1; None where they are undefined because no person or every person has it.

    Attributes:
        name: Name of the attribute.
        positives: Share of people who have it.
        TPR: True positive rate.
        TNR: True negative rate.
        AP: Average precision.
    """

    name: str
    positives: float
    TPR: float | None
    TNR: float | None
    AP: float | None


@dataclass(frozen=True)
class ShownAttributes:
    """A person's attributes, true and predicted, for a picture or a report.

    Attributes:
        img_path: The image.
        names: Names of all A attributes.
        gt: Whether the person has each of them; None where it is unknown.
        scores: Predicted score of each, within [0, 1].
    """

    img_path: str
    names: list[str]
    gt: list[bool] | None
    scores: list[float]


@METRICS.register_module()
class AttributeMetric(BaseMetric):
    """Attribute recognition: mA, mAP, and accuracy, precision, recall and F1 per person, as unrounded shares.

    mmpretrain's ``MultiLabelMetric`` has none of these scores: it averages precision and recall over attributes, in
    percent. A sample that occurs twice, as padding in distributed evaluation, counts once.

    Args:
        num_shown: People, spread over the set, whose attributes are kept in :attr:`shown`.
        collect_device: Same as in mmengine's ``BaseMetric``.
        prefix: Same as in mmengine's ``BaseMetric``.
    """

    default_prefix = 'attributes'

    def __init__(self, num_shown: int = 20, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.num_shown = num_shown
        #: One row per attribute of the last evaluation, on the main process.
        self.per_attribute: list[AttributeRow] = []
        #: Some people of the last evaluation, on the main process.
        self.shown: list[ShownAttributes] = []

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep scores and labels of each sample."""
        for sample in data_samples:
            self.results.append(
                dict(
                    sample_idx=sample['sample_idx'],
                    img_path=sample['img_path'],
                    # Copies: a row of a batch would be pickled with the whole batch.
                    pred_score=sample['pred_score'].cpu().clone(),
                    gt_score=sample['gt_score'].cpu().clone(),
                )
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Score attributes and people.

        Args:
            results: Entries of :meth:`process` from all ranks.

        Returns:
            ``mA``, ``Accuracy``, ``Precision``, ``Recall``, ``F1``, ``mAP``; see
            :mod:`mmosnet.evaluation.attributes`.

        Raises:
            DataError: No samples, another number of attributes than in the data set, or all attributes undefined.
        """
        # In the order of the data set, whatever the number of processes. The path is part of the key because joined
        # data sets each count from 0.
        by_key = {(entry['sample_idx'], entry['img_path']): entry for entry in results}
        samples = [by_key[key] for key in sorted(by_key)]
        if not samples:
            raise DataError('AttributeMetric got no samples: the data set that is evaluated is empty')
        names = self._names(samples[0])
        scores, target = (
            np.stack([entry[key].float().numpy() for entry in samples]) for key in ('pred_score', 'gt_score')
        )
        by_label = label_scores(scores, target)
        _report_one_sided(names, by_label)
        means = by_label.means()
        self.per_attribute = _rows(names, by_label)
        self.shown = [
            ShownAttributes(samples[i]['img_path'], names, target[i].astype(bool).tolist(), scores[i].tolist())
            for i in spread(range(len(samples)), self.num_shown)
        ]
        return dict(mA=means['mA'], **instance_scores(scores, target), mAP=means['mAP'])

    def _names(self, sample: dict) -> list[str]:
        """Return the attributes' names, after checking that there is one for each predicted score."""
        predicted, labeled = len(sample['pred_score']), len(sample['gt_score'])
        names = list((self.dataset_meta or {}).get('attributes') or (f'attribute {i}' for i in range(labeled)))
        if not predicted == labeled == len(names):
            raise DataError(
                f'The model predicts {predicted} attributes and the data set has {len(names)}, with labels of '
                f'{labeled}: give the model the data set that it was trained for, or set num_classes={labeled} in '
                'the attribute head and train it'
            )
        return names


def _rows(names: Sequence[str], scores: LabelScores) -> list[AttributeRow]:
    columns = zip(names, scores.positives, scores.tpr, scores.tnr, scores.ap, strict=True)
    return [
        AttributeRow(name, float(positives), *(None if np.isnan(value) else float(value) for value in values))
        for name, positives, *values in columns
    ]


def _report_one_sided(names: Sequence[str], scores: LabelScores) -> None:
    """Log which attributes are left out of mA and mAP."""
    for share, owners in ((0, 'nobody'), (1, 'everybody')):
        left_out = [name for name, positives in zip(names, scores.positives, strict=True) if positives == share]
        if left_out:
            MMLogger.get_current_instance().info(
                f'AttributeMetric: left out of mA and mAP, {owners} has them: {", ".join(left_out)}'
            )


@METRICS.register_module()
class CategoryMetric(Accuracy):
    """Category classification: top-k accuracy in percent, and the confusion matrix.

    mmpretrain's ``Accuracy`` has no confusion matrix and relies on the loop to cut off padding by number; its
    ``ConfusionMatrix`` puts the whole matrix among the scores, which are logged. A sample that occurs twice, as padding
    in distributed evaluation, counts once here.

    Args:
        topk: A prediction is right if the label is among the k categories with the highest scores.
        collect_device: Same as in mmengine's ``BaseMetric``.
        prefix: Same as in mmengine's ``BaseMetric``.
    """

    def __init__(
        self, topk: int | Sequence[int] = (1, 5), collect_device: str = 'cpu', prefix: str | None = None
    ) -> None:
        # Without mmpretrain's default threshold of 0: it would make a score that underflowed a wrong prediction.
        super().__init__(topk=topk, thrs=None, collect_device=collect_device, prefix=prefix)
        #: Numbers of samples of the last evaluation ``(C, C)``, one row per true category and one column per
        #: predicted one, on the main process.
        self.confusion: np.ndarray | None = None

    @property
    def classes(self) -> list[str]:
        """Names of the C categories of the last evaluation; their numbers if they have no names."""
        number = 0 if self.confusion is None else len(self.confusion)
        return list((self.dataset_meta or {}).get('classes') or map(str, range(number)))

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep scores and label of each sample."""
        for sample in data_samples:
            self.results.append(
                dict(
                    # Data sets of arrays, such as CIFAR-10, have no paths.
                    key=(sample.get('img_path'), sample['sample_idx']),
                    # A copy: a row of a batch would be pickled with the whole batch.
                    pred_score=sample['pred_score'].cpu().clone(),
                    gt_label=sample['gt_label'].cpu().clone(),
                )
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Count right predictions and confusions.

        Args:
            results: Entries of :meth:`process` from all ranks.

        Returns:
            ``top1`` and so on, in percent.

        Raises:
            DataError: No samples, scores that are not finite, categories that the model does not have, or fewer
                categories than the largest k.
        """
        samples = list({entry['key']: entry for entry in results}.values())
        if not samples:
            raise DataError('CategoryMetric got no samples: the data set that is evaluated is empty')
        labels = torch.cat([entry['gt_label'] for entry in samples])
        number = len(samples[0]['pred_score'])
        self._check_number(number, labels)
        bad = [entry['key'] for entry in samples if not entry['pred_score'].isfinite().all()]
        if bad:
            first = bad[0][0] or f'at index {bad[0][1]}'
            raise DataError(
                f'{len(bad)} of {len(samples)} images, the first {first}, have scores that are not finite: the model '
                'has diverged; train with a smaller learning rate'
            )
        predicted = torch.stack([entry['pred_score'].argmax() for entry in samples])
        self.confusion = ConfusionMatrix.calculate(predicted, labels, num_classes=number).numpy()
        return super().compute_metrics(samples)

    def _check_number(self, number: int, labels: Tensor) -> None:
        """Compare the model's number of categories with names, labels and k."""
        expected = len((self.dataset_meta or {}).get('classes') or range(number))
        if not (number == expected > labels.max() and labels.min() >= 0):
            raise DataError(
                f'The model has {number} categories and the data set has {expected}, with labels from '
                f'{labels.min()} to {labels.max()}: give the model the data set that it was trained for, or set '
                f'model.head.num_classes={max(expected, int(labels.max()) + 1)} and train it'
            )
        if max(self.topk) > number:
            raise DataError(
                f'topk={self.topk}: there are only {number} categories; set val_evaluator.topk=1 test_evaluator.topk=1'
            )


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise DataError(f'{name}={value!r}: choose from {", ".join(choices)}')


def _settings(name: str, settings_class: type, options: Mapping | None) -> Any:
    """Convert options from a config to a settings object; None stays None."""
    if options is None:
        return None
    known = [field.name for field in fields(settings_class)]
    if not isinstance(options, Mapping) or not set(options) <= set(known):
        raise DataError(f'{name}={options!r}: give a dict of some of {", ".join(known)}; dict() takes the defaults')
    return settings_class(**options)


@METRICS.register_module()
class ReIDMetric(BaseMetric):
    """Person re-identification: mAP, Rank-k and mINP, unrounded.

    mmpretrain's ``RetrievalRecall`` and ``RetrievalAveragePrecision`` have no cameras; mmdet's ``ReIDMetrics`` sorts
    the whole distance matrix and has neither queries nor cameras. The ``split`` of each sample says whether it is a
    query or a gallery image. A sample that occurs twice, as padding in distributed evaluation, counts once. Samples
    that are clips of one tracklet become one row as they come.

    Args:
        distance: ``'euclidean'``, as in the papers, or ``'cosine'``.
        normalize: L2-normalize the embeddings first.
        same_camera: ``'drop'`` (the protocol) or ``'keep'``; see :func:`~mmosnet.evaluation.ranking.match_ranks`.
        topk: Ranks to report.
        protocol: ``'market'``, or ``'single_gallery_shot'`` for CUHK03's classic splits: Rank-k is the mean over 10
            fixed galleries of one random image per person. mAP and mINP use the whole gallery in both.
        average_precision: ``'rectangle'``, the usual rule, or ``'trapezoid'``, that of the official MATLAB code of
            MARS; see :func:`~mmosnet.evaluation.ranking.average_precisions`.
        rerank: Settings of a :class:`~mmosnet.evaluation.re_ranking.ReRanking`, ``dict()`` for those of the paper:
            adds the same scores after re-ranking as ``rerank/mAP`` and so on.
        query_expansion: Settings of a :class:`~mmosnet.evaluation.distances.QueryExpansion`: adds the same
            scores with expanded queries, without re-ranking, as ``query_expansion/mAP`` and so on.
        verification: Add ``verification/AUC``, ``EER``, ``TPR@1e-2`` (3, 4) and the thresholds ``distance@1e-2`` (3,
            4); see :func:`~mmosnet.evaluation.verification.verification_scores`.
        num_shown: Queries, spread over the query set, whose ranked lists are kept in :attr:`shown`.
        device: Device to rank on: ``'auto'`` takes a GPU if there is one.
        collect_device: Same as in mmengine's ``BaseMetric``.
        prefix: Same as in mmengine's ``BaseMetric``.
    """

    default_prefix = 'reid'

    def __init__(
        self,
        distance: str = 'euclidean',
        normalize: bool = False,
        same_camera: str = 'drop',
        topk: Sequence[int] = (1, 5, 10, 20),
        protocol: str = 'market',
        average_precision: str = 'rectangle',
        rerank: dict | None = None,
        query_expansion: dict | None = None,
        verification: bool = False,
        num_shown: int = 10,
        device: str = 'auto',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        _check_choice('distance', distance, DISTANCES)
        _check_choice('same_camera', same_camera, SAME_CAMERA_RULES)
        _check_choice('protocol', protocol, PROTOCOLS)
        _check_choice('average_precision', average_precision, AVERAGE_PRECISIONS)
        self.distance = distance
        self.normalize = normalize
        self.same_camera = same_camera
        self.topk = tuple(topk)
        self.protocol = protocol
        self.average_precision = average_precision
        self.rerank = _settings('rerank', ReRanking, rerank)
        self.query_expansion = _settings('query_expansion', QueryExpansion, query_expansion)
        self.verification = verification
        self.num_shown = num_shown
        self.device = device
        #: Ranked lists of the last evaluation, on the main process.
        self.shown: list[ShownQuery] = []

    @property
    def distance_name(self) -> str:
        """Distance that ranks the images, for a table: ``'euclidean distance'``, ``'cosine distance'``."""
        return f'{self.distance} distance' + (', normalized' if self.normalize else '')

    @property
    def dataset_meta(self) -> dict | None:
        """Metadata of the data set that is evaluated."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        # Set when the loop is built: a data set without cross-camera matches fails here, not an epoch later.
        queries = (dataset_meta or {}).get('num_cross_camera_queries')
        if queries == 0 and self.same_camera == 'drop':
            raise DataError(f'The data set cannot be evaluated: {no_match_message()}')
        self._dataset_meta = dataset_meta

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the fields of each sample that the ranking needs."""
        for sample in data_samples:
            row = dict(
                sample_idx=sample['sample_idx'],
                # A copy: a row of a batch would be pickled with the whole batch.
                embedding=sample['embedding'].cpu().clone(),
                pid=sample['pid'],
                camid=sample['camid'],
                split=sample['split'],
                img_path=sample['img_path'],
            )
            if 'clip' not in sample:
                self.results.append(row)
                continue
            row |= dict(
                tracklet=sample['tracklet'],
                clips=frozenset([sample['clip']]),
                weight=sample['weight'],
                pooling=sample['pooling'],
            )
            # The clips of a tracklet come in a row, or every so many of them on each of several processes.
            last = self.results[-1] if self.results else None
            if last is not None and _row_key(last) == _row_key(row):
                self.results[-1] = join_clips(last, row)
            else:
                self.results.append(row)

    def evaluate(self, size: int) -> dict[str, float]:
        """Evaluate what all processes have; see the base class.

        Args:
            size: Number of samples, which are clips or images.
        """
        # The base class keeps the first ``size`` rows, to cut off padding. With clips these may be the wrong ones, and
        # rows that occur twice count once anyway.
        return super().evaluate(size * get_world_size())

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Rank all queries.

        Args:
            results: Entries of :meth:`process` from all ranks.

        Returns:
            The scores of :func:`~mmosnet.evaluation.ranking.retrieval_scores`, and the further ones that the options
            ask for.
        """
        sets = self.query_gallery(results)
        scores, counts, ranks = self.retrieval(sets.query_set, sets.gallery_set, self.distance)
        without = int((counts == 0).sum())
        if without:
            MMLogger.get_current_instance().info(
                f'ReIDMetric: {without} of {len(counts)} queries have no match by another camera and do not count'
            )
        valid = counts.nonzero().flatten()
        chosen = valid[torch.linspace(0, len(valid) - 1, min(self.num_shown, len(valid))).long()]
        self.shown = sets.show(
            chosen.tolist(), counts, ranks, self.distance, self.same_camera, average_precision=self.average_precision
        )
        return scores | self._further_scores(sets.query_set, sets.gallery_set)

    def query_gallery(self, results: Sequence[dict]) -> QueryGallery:
        """Return the images to rank, prepared as the options say.

        Args:
            results: Entries of :meth:`process`.

        Raises:
            DataError: No query or no gallery images.
        """
        # In the order of the data set, whatever the number of processes: ties go to the lower gallery index.
        # The path is part of the key because joined data sets each count from 0.
        by_key: dict[tuple, dict] = {}
        # Clips that came as padding are alone: the rows that hold them too go first.
        for entry in sorted(results, key=lambda row: -len(row.get('clips', ()))):
            key = _row_key(entry)
            by_key[key] = join_clips(by_key[key], entry) if 'clips' in entry and key in by_key else entry
        samples = sorted(by_key.values(), key=lambda row: (row['split'], row['sample_idx'], row['img_path']))
        queries = [s for s in samples if s['split'] == 'query']
        gallery = [s for s in samples if s['split'] == 'gallery']
        for name, images in (('query', queries), ('gallery', gallery)):
            if not images:
                raise DataError(f"ReIDMetric got no {name} images: give the data set split=('query', 'gallery')")
        return QueryGallery(queries, gallery, self.embeddings(queries), self.embeddings(gallery))

    def retrieval(
        self, query: Embeddings, gallery: Embeddings, distance: str | Distances
    ) -> tuple[dict[str, float], Tensor, Tensor]:
        """Return the scores under the protocol, and the result of :func:`~mmosnet.evaluation.ranking.match_ranks`.

        Args:
            query: Q images.
            gallery: G images.
            distance: Argument of that function.
        """
        counts, ranks = match_ranks(query, gallery, distance, self.same_camera)
        scores = retrieval_scores(counts, ranks, self.topk, self.average_precision)
        if self.protocol == 'single_gallery_shot':
            scores |= sampled_cmc(sampled_ranks(query, gallery, distance, self.same_camera), self.topk)
        return scores, counts, ranks

    def _further_scores(self, query: Embeddings, gallery: Embeddings) -> dict[str, float]:
        """Compute the scores that the options add to the plain ranking, each group under its name."""
        groups = {}
        if self.rerank is not None:
            distances = ReRankedDistances(query.features, gallery.features, self.distance, self.rerank)
            groups['rerank'], *_ = self.retrieval(query, gallery, distances)
        if self.query_expansion is not None:
            features = expand_queries(query.features, gallery.features, self.distance, self.query_expansion)
            groups['query_expansion'], *_ = self.retrieval(replace(query, features=features), gallery, self.distance)
        if self.verification:
            groups['verification'] = verification_scores(query, gallery, self.distance, self.same_camera)
        return {f'{group}/{key}': score for group, scores in groups.items() for key, score in scores.items()}

    def embeddings(self, samples: Sequence[dict]) -> Embeddings:
        """Return the embeddings, prepared as the options say, on the device where they are compared.

        Args:
            samples: Samples with ``embedding``, ``pid`` and ``camid``.
        """
        device = ('cuda' if torch.cuda.is_available() else 'cpu') if self.device == 'auto' else self.device
        features = torch.stack([s['embedding'] for s in samples]).float()
        if self.normalize:
            features = normalize(features)
        pids, camids = (torch.tensor([s[key] for s in samples]) for key in ('pid', 'camid'))
        return Embeddings(features, pids, camids).to(device)


def _row_key(row: Mapping) -> tuple:
    """Return what two rows of one image, or of clips of one tracklet, have in common."""
    return row['split'], row.get('tracklet', row['sample_idx']), row['img_path']


def distance_names(evaluator: Evaluator) -> str:
    """Return the distances by which an evaluation ranks, for a table; empty if it ranks none."""
    names = [metric.distance_name for metric in evaluator.metrics if isinstance(metric, ReIDMetric)]
    return '; '.join(dict.fromkeys(names))


@EVALUATORS.register_module()
class TaskEvaluator(Evaluator):
    """Metrics of a joint model: each task's metrics get the samples that have its labels.

    mmpretrain's ``MultiTasksMetric`` waits forever if one of several processes has no sample of a task, and reports 0
    if no process has one. Metrics must count a sample that occurs twice once, as ours do: padding of a distributed
    evaluation cannot be cut off by number if samples lack labels.

    Args:
        metrics: One or several metrics per task; tasks with None are left out
            (``--cfg-options val_evaluator.metrics.category=None``).

    Raises:
        DataError: No metric.
    """

    def __init__(self, metrics: Mapping[str, dict | BaseMetric | Sequence | None]) -> None:
        lists = {
            task: list(given) if isinstance(given, Sequence) else [given]
            for task, given in metrics.items()
            if given is not None
        }
        if not lists:
            raise DataError('TaskEvaluator needs a metric for at least one task')
        super().__init__([metric for given in lists.values() for metric in given])
        built = iter(self.metrics)
        self.task_metrics = {task: [next(built) for _ in given] for task, given in lists.items()}

    def process(self, data_samples: Sequence[MultiTaskDataSample], data_batch: object = None) -> None:
        """Pass to each task's metrics the samples that have its labels.

        Raises:
            DataError: The model has no head for a task.
        """
        for task, metrics in self.task_metrics.items():
            parts = []
            for sample in data_samples:
                if task not in sample or 'eval_mask' not in sample.get(task):
                    raise DataError(
                        f'The model predicts no {task}, which has metrics here: give model.head.heads one, '
                        f'or set val_evaluator.metrics.{task}=None and test_evaluator.metrics.{task}=None'
                    )
                if sample.get(task).eval_mask:
                    parts.append(sample.get(task).to_dict())
            for metric in metrics:
                metric.process(data_batch, parts)
