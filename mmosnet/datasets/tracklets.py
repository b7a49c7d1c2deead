"""Tracklets in a pipeline: which frames are taken, loading and augmenting them, and cutting long tracklets into clips.

A tracklet is one person's pass through one camera: its record has ``frame_paths``, all frames in the order of time,
and ``img_path``, the first of them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose

from mmosnet.errors import DataError
from mmosnet.registry import TRANSFORMS

SAMPLINGS = ('random', 'consecutive', 'evenly', 'dense')


def frame_indices(length: int, number: int | None, sampling: str) -> np.ndarray:
    """Return the indices of the frames to take from a tracklet, ascending.

    All but ``'dense'`` return exactly ``number`` frames; of a shorter tracklet they take every frame, and some or all
    of them several times. torchreid differs in three ways: its ``'evenly'`` first cuts the length down to a multiple of
    ``number``, so that the last frames are never taken; of a shorter tracklet it repeats the last frame until there are
    enough, so that this frame weighs most; and its ``'random'`` then samples with replacement, so that some frames are
    missing.

    Args:
        length: Number of frames of the tracklet, at least 1.
        number: Number of frames to take; ``'dense'`` does not use it.
        sampling: ``'random'`` takes frames at random; ``'consecutive'`` takes neighbors, from a random start;
            ``'evenly'`` takes the first frame of each of ``number`` equal parts; ``'dense'`` takes all frames.
    """
    if sampling == 'dense':
        return np.arange(length)
    if sampling == 'evenly' or (sampling == 'consecutive' and length < number):
        return np.arange(number) * length // number
    if sampling == 'consecutive':
        return np.random.randint(length - number + 1) + np.arange(number)
    whole, rest = divmod(number, length)
    chosen = np.concatenate([np.tile(np.arange(length), whole), np.random.permutation(length)[:rest]])
    return np.sort(chosen)


def split_into_clips(records: Sequence[dict], length: int) -> list[dict]:
    """Cut the frames of tracklets into clips, so that a test never holds a long tracklet in memory at once.

    Args:
        records: Records of tracklets.
        length: Most frames of a clip, at least 1.

    Returns:
        The records of the clips, tracklet after tracklet. They differ from those of their tracklet in ``frame_paths``,
        and have ``clip``, the number of the clip in its tracklet.

    Raises:
        DataError: The length is no whole number, or below 1.
    """
    if not isinstance(length, int) or length < 1:
        raise DataError(f'clip_length={length!r}: give a whole number of frames, at least 1')
    clips = []
    for record in records:
        frames = record['frame_paths']
        for clip, start in enumerate(range(0, len(frames), length)):
            clips.append(dict(record, frame_paths=frames[start : start + length], clip=clip))
    return clips


@TRANSFORMS.register_module()
class TrackletFrames(BaseTransform):
    """Take frames of a tracklet, and load and change each of them like a single image.

    mmaction2's ``SampleFrames`` comes closest, but belongs to a toolbox that is not needed otherwise. A record without
    ``frame_paths`` is an image: the transforms are applied to it, and nothing else happens.

    **Required Keys:** frame_paths, img_path

    **Modified Keys:** img (``(T, 3, H, W)`` uint8, which mmpretrain's ``PackInputs`` packs as it is), and those of the
    transforms, of the first frame taken

    Args:
        transforms: Transforms of one frame. The first loads it (``mmosnet.LoadPersonImage``), once even if the frame is
            taken several times.
        num_frames: T, frames to take; ``'dense'`` does not use it.
        sampling: ``'random'``, ``'consecutive'``, ``'evenly'`` or ``'dense'``; see :func:`frame_indices`.
        same_augmentation: Whether all frames of a tracklet get the same random changes: all are mirrored or none. By
            default each frame has its own, as in torchreid.

    Raises:
        DataError: Unknown sampling, no number of frames, or no transform that loads.
    """

    def __init__(
        self,
        transforms: Sequence[dict],
        num_frames: int | None = None,
        sampling: str = 'evenly',
        same_augmentation: bool = False,
    ) -> None:
        if sampling not in SAMPLINGS:
            raise DataError(f'TrackletFrames: sampling={sampling!r}: choose from {", ".join(SAMPLINGS)}')
        if sampling != 'dense' and (not isinstance(num_frames, int) or num_frames < 1):
            raise DataError(
                f"TrackletFrames: num_frames={num_frames!r}: give a number of at least 1, or sampling='dense'"
            )
        if not transforms:
            raise DataError(
                'TrackletFrames: transforms are empty: the first must load a frame, mmosnet.LoadPersonImage'
            )
        self.num_frames = num_frames
        self.sampling = sampling
        self.same_augmentation = same_augmentation
        self.load = Compose(transforms[:1])
        self.change = Compose(transforms[1:])

    def transform(self, results: dict) -> dict:
        """Load and change the frames of a record.

        Raises:
            DataError: A frame is damaged, or frames differ in size after the transforms; names the frame.
        """
        if 'frame_paths' not in results:
            return self.change(self.load(results))
        paths = results['frame_paths']
        indices = frame_indices(len(paths), self.num_frames, self.sampling)
        states = np.random.get_state(), random.getstate()
        loaded: dict[int, dict] = {}
        frames = []
        for index in indices.tolist():
            if self.same_augmentation:
                np.random.set_state(states[0])
                random.setstate(states[1])
            if index not in loaded:
                loaded = {index: self.load(dict(results, img_path=paths[index]))}
            source = loaded[index]
            frame = self.change(dict(source, img=source['img'].copy()))
            if frames and frame['img'].shape != frames[0]['img'].shape:
                raise DataError(
                    f'{paths[index]}: a frame of {frame["img"].shape[:2]} pixels in a tracklet of '
                    f'{frames[0]["img"].shape[:2]} after the transforms: give TrackletFrames.transforms a Resize'
                )
            frames.append(frame)
        stacked = np.stack([frame['img'].transpose(2, 0, 1) for frame in frames])
        return dict(frames[0], img_path=results['img_path'], img=stacked)

    def __repr__(self) -> str:
        """Return the settings as text."""
        return (
            f'{type(self).__name__}(num_frames={self.num_frames}, sampling={self.sampling!r}, '
            f'same_augmentation={self.same_augmentation}, load={self.load}, change={self.change})'
        )
