"""CMC and mAP as an mmengine metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import MMLogger
from torch import Tensor

from mmosnet.errors import DataError
from mmosnet.evaluation.distances import DISTANCES, Distances, Embeddings, normalize
from mmosnet.evaluation.query_expansion import QueryExpansion, expand_queries
from mmosnet.evaluation.ranking import (
    SAME_CAMERA_RULES,
    match_ranks,
    no_match_message,
    retrieval_scores,
)
from mmosnet.evaluation.re_ranking import ReRankedDistances, ReRanking
from mmosnet.evaluation.shown_query import QueryGallery, ShownQuery
from mmosnet.evaluation.single_gallery_shot import drawn_cmc, drawn_ranks
from mmosnet.evaluation.verification import verification_scores
from mmosnet.registry import METRICS

PROTOCOLS = ('market', 'single_gallery_shot')


@METRICS.register_module()
class ReIDMetric(BaseMetric):
    """Person re-identification: mAP, Rank-k and mINP, unrounded.

    mmpretrain's ``RetrievalRecall`` and ``RetrievalAveragePrecision`` know no cameras; mmdet's ``ReIDMetrics`` sorts
    the whole distance matrix and knows neither queries nor cameras. The samples tell query and gallery apart by
    their own ``split``. A sample that comes twice, as padding under distributed evaluation, counts once.

    Args:
        distance: ``'euclidean'`` (the papers') or ``'cosine'``.
        normalize: L2-normalise the embeddings first.
        same_camera: ``'drop'`` (the protocol) or ``'keep'``; see :func:`~mmosnet.evaluation.ranking.match_ranks`.
        topk: Ranks to report.
        protocol: ``'market'``, or ``'single_gallery_shot'`` for CUHK03's classic splits: Rank-k from 10 galleries of
            one random image per person, always the same ones. mAP and mINP are those of the whole gallery in both.
        rerank: Settings of a :class:`~mmosnet.evaluation.re_ranking.ReRanking`, ``dict()`` for the paper's: adds the
            same scores after re-ranking as ``rerank/mAP`` and so on.
        query_expansion: Settings of a :class:`~mmosnet.evaluation.query_expansion.QueryExpansion`: adds the same
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
        self.distance = distance
        self.normalize = normalize
        self.same_camera = same_camera
        self.topk = tuple(topk)
        self.protocol = protocol
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
        # Runs when the loop is built: a data set without cross-camera matches fails here, not an epoch later.
        queries = (dataset_meta or {}).get('num_cross_camera_queries')
        if queries == 0 and self.same_camera == 'drop':
            raise DataError(f'The data set cannot be evaluated: {no_match_message()}')
        self._dataset_meta = dataset_meta

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the fields of each sample that the ranking needs."""
        for sample in data_samples:
            self.results.append(
                dict(
                    sample_idx=sample['sample_idx'],
                    # A copy: a row of a batch would be pickled with the whole batch.
                    embedding=sample['embedding'].cpu().clone(),
                    pid=sample['pid'],
                    camid=sample['camid'],
                    split=sample['split'],
                    img_path=sample['img_path'],
                )
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Rank all queries.

        Args:
            results: Entries of :meth:`process` from all ranks.

        Returns:
            The scores of :func:`~mmosnet.evaluation.ranking.retrieval_scores`, and those asked for besides.
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
        self.shown = sets.show(chosen.tolist(), counts, ranks, self.distance, self.same_camera)
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
        by_key = {(entry['split'], entry['sample_idx'], entry['img_path']): entry for entry in results}
        samples = [by_key[key] for key in sorted(by_key)]
        queries = [s for s in samples if s['split'] == 'query']
        gallery = [s for s in samples if s['split'] == 'gallery']
        for name, found in (('query', queries), ('gallery', gallery)):
            if not found:
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
        scores = retrieval_scores(counts, ranks, self.topk)
        if self.protocol == 'single_gallery_shot':
            scores |= drawn_cmc(drawn_ranks(query, gallery, distance, self.same_camera), self.topk)
        return scores, counts, ranks

    def _further_scores(self, query: Embeddings, gallery: Embeddings) -> dict[str, float]:
        """Compute the scores requested besides the plain ranking, each group under its name."""
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


def distance_names(evaluator: Evaluator) -> str:
    """Return the distances that an evaluation ranks by, for a table; empty where it ranks none."""
    names = [metric.distance_name for metric in evaluator.metrics if isinstance(metric, ReIDMetric)]
    return '; '.join(dict.fromkeys(names))


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise DataError(f'{name}={value!r}: choose from {", ".join(choices)}')


def _settings(name: str, kind: type, options: Mapping | None) -> Any:
    """Convert options from a config to the settings that they stand for; None stays None."""
    if options is None:
        return None
    known = [field.name for field in fields(kind)]
    if not isinstance(options, Mapping) or not set(options) <= set(known):
        raise DataError(f'{name}={options!r}: give a dict of some of {", ".join(known)}; dict() takes the defaults')
    return kind(**options)
