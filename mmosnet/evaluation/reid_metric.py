"""CMC and mAP as an mmengine metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mmosnet.errors import DataError
from mmosnet.evaluation.ranking import (
    DISTANCES,
    SAME_CAMERA_RULES,
    Embeddings,
    match_ranks,
    no_match_message,
    ranked_lists,
    retrieval_scores,
)
from mmosnet.registry import METRICS


@dataclass(frozen=True)
class ShownQuery:
    """One query and the gallery images it ranks first, for a picture or a report.

    Args:
        img_path: The query image.
        pid: Its identity.
        gallery: ``(img_path, pid, distance, is_match)``, nearest first.
    """

    img_path: str
    pid: int
    gallery: list[tuple[str, int, float, bool]]


@METRICS.register_module()
class ReIDMetric(BaseMetric):
    """Re-identification under the Market-1501 protocol: mAP, Rank-k and mINP, unrounded.

    mmpretrain's ``RetrievalRecall`` and ``RetrievalAveragePrecision`` know no cameras; mmdet's ``ReIDMetrics`` sorts
    the whole distance matrix and knows neither queries nor cameras. The samples tell query and gallery apart by
    their own ``split``. A sample that comes twice, as padding under distributed evaluation, counts once.

    Args:
        distance: ``'euclidean'`` (the papers') or ``'cosine'``.
        normalize: L2-normalise the embeddings first.
        same_camera: ``'drop'`` (the protocol) or ``'keep'``; see :func:`~mmosnet.evaluation.ranking.match_ranks`.
        topk: Ranks to report.
        num_shown: Queries, spread over the query set, whose ranked lists are kept in :attr:`shown`.
        device: Where to rank: ``'auto'`` takes a GPU if there is one.
        collect_device: As of mmengine's ``BaseMetric``.
        prefix: As of mmengine's ``BaseMetric``.
    """

    default_prefix = 'reid'

    def __init__(
        self,
        distance: str = 'euclidean',
        normalize: bool = False,
        same_camera: str = 'drop',
        topk: Sequence[int] = (1, 5, 10, 20),
        num_shown: int = 10,
        device: str = 'auto',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if distance not in DISTANCES:
            raise DataError(f'distance={distance!r}: choose from {", ".join(DISTANCES)}')
        if same_camera not in SAME_CAMERA_RULES:
            raise DataError(f'same_camera={same_camera!r}: choose from {", ".join(SAME_CAMERA_RULES)}')
        self.distance = distance
        self.normalize = normalize
        self.same_camera = same_camera
        self.topk = tuple(topk)
        self.num_shown = num_shown
        self.device = device
        #: Ranked lists of the last evaluation, on the main process.
        self.shown: list[ShownQuery] = []

    @property
    def dataset_meta(self) -> dict | None:
        """Facts of the data set that is evaluated."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        # Runs when the loop is built: a data set without cross-camera matches fails here, not an epoch later.
        queries = (dataset_meta or {}).get('num_cross_camera_queries')
        if queries == 0 and self.same_camera == 'drop':
            raise DataError(f'The data set cannot be evaluated: {no_match_message()}')
        self._dataset_meta = dataset_meta

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep what the ranking needs of each sample."""
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
            The scores of :func:`~mmosnet.evaluation.ranking.retrieval_scores`.
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
        query_set, gallery_set = self._embeddings(queries), self._embeddings(gallery)
        options = dict(distance=self.distance, same_camera=self.same_camera)
        counts, ranks = match_ranks(query_set, gallery_set, **options)
        without = int((counts == 0).sum())
        if without:
            MMLogger.get_current_instance().info(
                f'ReIDMetric: {without} of {len(counts)} queries have no match by another camera and do not count'
            )
        self.shown = self._shown(queries, query_set, gallery, gallery_set, counts, options)
        return retrieval_scores(counts, ranks, self.topk)

    def _embeddings(self, samples: list[dict]) -> Embeddings:
        device = ('cuda' if torch.cuda.is_available() else 'cpu') if self.device == 'auto' else self.device
        features = torch.stack([s['embedding'] for s in samples]).float()
        if self.normalize:
            features = F.normalize(features)
        pids, camids = (torch.tensor([s[key] for s in samples]) for key in ('pid', 'camid'))
        return Embeddings(features, pids, camids).to(device)

    def _shown(self, queries, query_set, gallery, gallery_set, counts, options) -> list[ShownQuery]:
        valid = counts.nonzero().flatten()
        picked = valid[torch.linspace(0, len(valid) - 1, min(self.num_shown, len(valid))).long()]
        shown = []
        for index, ranked in zip(picked.tolist(), ranked_lists(query_set[picked], gallery_set, **options), strict=True):
            rows = [
                (gallery[i]['img_path'], gallery[i]['pid'], distance, match)
                for i, distance, match in zip(ranked.indices, ranked.distances, ranked.matches, strict=True)
            ]
            shown.append(ShownQuery(queries[index]['img_path'], queries[index]['pid'], rows))
        return shown
