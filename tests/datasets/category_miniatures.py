"""Miniatures of category data sets, in the official formats as published code reads them; not checked against the
official files."""

import hashlib
import pickle
from pathlib import Path

import cv2
import numpy as np

import mmosnet.datasets


def write_imagenet(root: Path, categories: int = 6, train: int = 4, val: int = 2, size: int = 72) -> Path:
    """ImageNet's folders: ``train/n00000000/*.JPEG`` and ``val`` likewise; categories differ in color."""
    random = np.random.RandomState(0)
    for category in range(categories):
        color = np.random.RandomState(category).randint(0, 256, 3)
        for split, number in (('train', train), ('val', val)):
            folder = root / split / f'n{category:08d}'
            folder.mkdir(parents=True)
            for index in range(number):
                image = np.clip(color + random.randint(-40, 41, (size, size + 8, 3)), 0, 255).astype(np.uint8)
                (folder / f'{split}_{index}.JPEG').write_bytes(cv2.imencode('.jpg', image)[1].tobytes())
    return root


def write_cifar(root: Path, monkeypatch, categories: int = 10, images: int = 40) -> Path:
    """CIFAR-10's or CIFAR-100's files with ``images`` images each, which are the official ones for this test."""
    dataset = {10: mmosnet.datasets.CIFAR10, 100: mmosnet.datasets.CIFAR100}[categories]
    folder = root / dataset.base_folder
    folder.mkdir(parents=True)
    for attribute in ('train_list', 'test_list'):
        files = []
        for number, (name, _) in enumerate(getattr(dataset, attribute)):
            random = np.random.RandomState(number)
            labels = (np.arange(images) % categories).tolist()
            # Rows of 1024 red, 1024 green and 1024 blue values; redder with the label.
            data = random.randint(0, 100, (images, 3, 1024))
            data[:, 0] += (np.array(labels) * 150 // categories)[:, None]
            content = {'data': data.reshape(images, 3072).astype(np.uint8)}
            content |= (
                {'labels': labels} if categories == 10 else {'fine_labels': labels, 'coarse_labels': [0] * images}
            )
            # As the official files are written, by Python 2.
            (folder / name).write_bytes(pickle.dumps(content, protocol=2))
            files.append([name, hashlib.md5((folder / name).read_bytes()).hexdigest()])
        monkeypatch.setattr(dataset, attribute, files)
    return root
