"""Appearance for the trackers of Roboflow's ``trackers``, which match boxes by their overlap only.

Other libraries take embeddings themselves (docs/trackers.md). Nothing of the library is imported here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from mmosnet.errors import DataError

SUITABLE = 'give a SORTTracker, ByteTrackTracker, OCSORTTracker or BoTSORTTracker'


class AppearanceTracker:
    """Let a tracker of Roboflow's ``trackers`` match people by their looks too.

    A track and a box then are as similar as the better of two numbers: their overlap, and the cosine of their
    embeddings where that reaches ``min_similarity``. This is the rule of BoT-SORT (Aharon et al., 2022), without its
    limit on the distance in the image: people who come back within ``lost_track_buffer`` frames keep their number
    wherever they reappear. A track remembers a mean of its embeddings, in which older ones fade.

    The overlap of the tracker is replaced by this rule, so one tracker object belongs to one AppearanceTracker.

    Args:
        tracker: ``SORTTracker``, ``ByteTrackTracker``, ``OCSORTTracker`` or ``BoTSORTTracker``; or another object with
            ``iou``, ``tracks`` and ``update``, as these have them.
        embedder: Function of a frame and its detections that returns ``(N, D)``, such as
            :class:`~mmosnet.frames.Embedder`.
        min_similarity: Cosine from which two embeddings count as one person, from -1 to 1.
        momentum: Share of the old mean in a track's new one, from 0 to below 1.

    Raises:
        DataError: The tracker is of another kind or belongs to another AppearanceTracker, or a number is out of its
            range.

    Example:
        >>> tracker = AppearanceTracker(BoTSORTTracker(), Embedder('osnet.onnx'))
        >>> tracker.update(detections, frame).tracker_id
        array([0, 1])
    """

    def __init__(
        self,
        tracker: Any,
        embedder: Callable[[np.ndarray, Any], np.ndarray],
        min_similarity: float = 0.7,
        momentum: float = 0.9,
    ) -> None:
        self.tracker = tracker
        self.embedder = embedder
        self.min_similarity = min_similarity
        self.momentum = momentum
        missing = [name for name in ('iou', 'tracks', 'update') if not hasattr(tracker, name)]
        if missing:
            raise DataError(f'{type(tracker).__name__} has no {", ".join(missing)}: {SUITABLE}')
        if isinstance(tracker.iou, AppearanceTracker):
            raise DataError(f'the {type(tracker).__name__} belongs to another AppearanceTracker: give a new one')
        if not -1 <= min_similarity <= 1 or not 0 <= momentum < 1:
            raise DataError(
                f'min_similarity={min_similarity}, momentum={momentum}: give a cosine from -1 to 1, and a share from 0 '
                'to below 1'
            )
        self._overlap = tracker.iou
        #: Mean embedding of each track, of length 1, by its number.
        self.embeddings: dict[int, np.ndarray] = {}
        self._boxes: dict[bytes, np.ndarray] = {}
        self._asked = False
        tracker.iou = self

    def update(self, detections: Any, frame: np.ndarray, **kwargs: Any) -> Any:
        """Track the people of the next frame.

        Args:
            detections: ``supervision.Detections``; left as they are.
            frame: The frame, in the channel order of the embedder.
            **kwargs: Further arguments of the tracker, such as ``timestamp``.

        Returns:
            What the tracker returns: the detections with ``tracker_id``; their embeddings are in
            ``data['embedding']``, ``(N, D)``.

        Raises:
            DataError: The tracker compares boxes without its ``iou``.
        """
        embeddings = self.embedder(frame, detections)
        given = copy.copy(detections)
        given.data = {**detections.data, 'embedding': embeddings}
        # A box without a pixel in the frame has an embedding of zeros, which resembles nothing.
        units = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True).clip(np.finfo(np.float32).tiny)
        self._boxes = {box.tobytes(): unit for box, unit in zip(detections.xyxy, units, strict=True)}
        if getattr(self.tracker, 'enable_cmc', False):
            # Only for the motion of the camera; the other trackers warn about it.
            kwargs['frame'] = frame
        known, self._asked = bool(self.embeddings), False
        tracked = self.tracker.update(given, **kwargs)
        if known and not self._asked and (np.asarray(tracked.tracker_id) >= 0).any():
            raise DataError(f'{type(self.tracker).__name__} compares boxes without its iou: {SUITABLE}')
        if not len(tracked.xyxy):
            # The library returns a new object for a frame without people.
            tracked.data['embedding'] = embeddings[:0]
        for number, box in zip(tracked.tracker_id, tracked.xyxy, strict=True):
            unit = self._boxes[box.tobytes()]
            if number >= 0 and unit.any():
                mean = self.momentum * self.embeddings.get(number, unit) + (1 - self.momentum) * unit
                self.embeddings[number] = mean / np.linalg.norm(mean)
        alive = {track.tracker_id for track in self.tracker.tracks}
        self.embeddings = {number: mean for number, mean in self.embeddings.items() if number in alive}
        return tracked

    def reset(self) -> None:
        """Forget all tracks, for a new video."""
        self.tracker.reset()
        self.embeddings = {}

    def compute(self, tracks: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Return the similarity of tracks and boxes, for the tracker.

        Args:
            tracks: ``(T, 4)`` boxes at which the tracker expects its tracks.
            boxes: ``(N, 4)`` boxes of the frame.

        Returns:
            ``(T, N)``.
        """
        self._asked = True
        overlap = self._overlap.compute(tracks, boxes)
        if not overlap.size:
            return overlap
        numbers = {track.get_state_bbox().tobytes(): track.tracker_id for track in self.tracker.tracks}
        units = np.stack([self._boxes[box.tobytes()] for box in boxes])
        similarity = np.array(overlap, np.float64)
        for row, track in enumerate(tracks):
            mean = self.embeddings.get(numbers.get(track.tobytes(), -1))
            if mean is not None:
                cosine = units @ mean
                similarity[row] = np.where(
                    cosine >= self.min_similarity, np.maximum(similarity[row], cosine), similarity[row]
                )
        return similarity

    def normalize_for_fusion(self, similarity: np.ndarray) -> np.ndarray:
        """Return similarities from 0 to 1, for the tracker."""
        return self._overlap.normalize_for_fusion(similarity)
