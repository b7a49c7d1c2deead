"""Drawn people in Market-1501's layout, for both sides: crops of 128x64 pixels as JPEG files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmosnet.benchmark.row import Settings
from mmosnet.datasets.synthetic import write_synthetic_people

# The folder's name is what the peer looks for below the root that it is given.
FOLDER = 'market1501'
CAMERAS, IMAGES_PER_CAMERA = 6, 5


@dataclass(frozen=True)
class DrawnImages:
    """A drawn data set.

    Attributes:
        root: Its parent folder, as the peer wants it.
        num_pids: Training identities.
    """

    root: Path
    num_pids: int

    @property
    def folder(self) -> Path:
        return self.root / FOLDER

    @property
    def num_images(self) -> int:
        """Training images."""
        return self.num_pids * CAMERAS * IMAGES_PER_CAMERA

    def make(self) -> None:
        """Draw it, unless it is there already."""
        write_synthetic_people(
            self.folder,
            num_train_pids=self.num_pids,
            num_test_pids=2,
            num_cameras=CAMERAS,
            images_per_camera=IMAGES_PER_CAMERA,
            num_distractors=0,
            num_junk=0,
        )


def drawn_images(settings: Settings, num_pids: int) -> DrawnImages:
    """The set with so many training identities in the benchmark's folder."""
    return DrawnImages(settings.folder / f'people_{num_pids}', num_pids)
