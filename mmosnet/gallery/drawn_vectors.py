"""Synthetic embeddings that lie as those of people do: images near their person, people near others who look alike."""

from __future__ import annotations

import numpy as np

from mmosnet.features import Features

# Images per person, people per appearance, cameras.
IMAGES, PEOPLE, CAMERAS = 20, 50, 8
# Directions in which people differ, and how much looks, people of a look and images of a person do; in all dimensions
# there is noise. Two images of a person are about 0.3 apart (cosine), two people of a look about 0.5, others about 1.
DIRECTIONS = 96
LOOK, PERSON, IMAGE, NOISE = 1.0, 0.65, 0.8, 0.1
# Images drawn at once.
BLOCK = 1024


def drawn_features(start: int, stop: int, dimension: int, seed: int = 0, queries: bool = False) -> Features:
    """Return images ``start`` to ``stop`` of an endless sequence of random embeddings, people mixed.

    Args:
        start: Number of the first image.
        stop: Number behind the last.
        dimension: Dimension of the embeddings.
        seed: Seed of people and images.
        queries: Other images of the same people.

    Returns:
        Features with an hour of images at 100 a second, from camera 0 to 7 in turn.
    """
    number = np.arange(start, stop)
    pid = number // IMAGES
    directions = np.random.default_rng([seed, 0]).standard_normal((DIRECTIONS, dimension), dtype=np.float32)
    drawn = LOOK * _drawn(pid // PEOPLE, DIRECTIONS, [seed, 1])
    drawn += PERSON * _drawn(pid, DIRECTIONS, [seed, 2])
    drawn += IMAGE * _drawn(number, DIRECTIONS, [seed, 3, queries])
    embedding = drawn @ (directions / np.sqrt(np.float32(DIRECTIONS)))
    embedding += NOISE * _drawn(number, dimension, [seed, 4, queries])
    return Features(
        embedding=embedding,
        path=[f'drawn/{i:08d}.jpg' for i in number],
        pid=pid,
        camid=number % CAMERAS,
        time=number / 100,
        model='',
    )


def _drawn(numbers: np.ndarray, width: int, seed: list[int]) -> np.ndarray:
    """Return normal random numbers ``(N, width)`` that depend on the image number alone, not on the batch.

    Args:
        numbers: ``(N,)``, ascending.
        width: Numbers for each.
        seed: Seed of all numbers.
    """
    first, last = numbers[0] // BLOCK, numbers[-1] // BLOCK
    blocks = [
        np.random.default_rng([*seed, block]).standard_normal((BLOCK, width), dtype=np.float32)
        for block in range(first, last + 1)
    ]
    return np.concatenate(blocks)[numbers - first * BLOCK]
