"""Features that behave like a trained network's: identities in clusters that overlap, distractors in between."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from mmosnet.evaluation.distances import Embeddings

# Dimensions in which identities differ, noise around an identity and around the subspace: chosen so that about four
# fifths of the queries find their match first at the size of MSMT17.
LATENT_SIZE, IDENTITY_NOISE, NOISE = 24, 0.7, 0.05
EMBEDDING_SIZE = 512


@dataclass(frozen=True)
class SearchSize:
    """Numbers of a test set.

    Attributes:
        queries: Q.
        gallery: G, distractors included.
        pids: Identities.
        cameras: Cameras.
        distractors: Gallery images of nobody in the queries.
    """

    queries: int
    gallery: int
    pids: int
    cameras: int
    distractors: int = 0

    def __str__(self) -> str:
        return f'{self.queries:,} x {self.gallery:,} x {EMBEDDING_SIZE}'

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


MARKET = SearchSize(3368, 15913, 750, 6, 2793)
MARKET_500K = SearchSize(3368, 515913, 750, 6, 502793)
MSMT17 = SearchSize(11659, 82161, 3060, 15)
SMALL = SearchSize(200, 1000, 50, 4, 100)


def draw_search(size: SearchSize) -> tuple[Embeddings, Embeddings]:
    """Query and gallery of a test set, the same each time."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(size.pids + 1, LATENT_SIZE, generator=generator)
    basis = torch.randn(LATENT_SIZE, EMBEDDING_SIZE, generator=generator) / LATENT_SIZE**0.5
    query = _draw(size.queries, 0, size, centres, basis, generator)
    return query, _draw(size.gallery, size.distractors, size, centres, basis, generator)


def _draw(
    num_images: int, distractors: int, size: SearchSize, centres: Tensor, basis: Tensor, generator: torch.Generator
) -> Embeddings:
    known = num_images - distractors
    pids = torch.cat([torch.arange(size.pids), torch.randint(0, size.pids, (known,), generator=generator)])[:known] + 1
    strangers = torch.randn(distractors, LATENT_SIZE, generator=generator)
    latent = torch.cat([centres[pids], strangers])
    latent += IDENTITY_NOISE * torch.randn(num_images, LATENT_SIZE, generator=generator)
    features = latent @ basis
    features += NOISE * torch.randn(num_images, EMBEDDING_SIZE, generator=generator)
    pids = torch.cat([pids, torch.zeros(distractors, dtype=torch.int64)])
    return Embeddings(features, pids, torch.randint(0, size.cameras, (num_images,), generator=generator))
