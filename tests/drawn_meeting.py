"""A drawn video of two people who meet, stand one behind the other, and walk back, with the boxes of a detector."""

import math
from typing import NamedTuple

import cv2
import numpy as np

from mmosnet.synthetic.camera import draw_scene, sample_camera
from mmosnet.synthetic.identity import random_stream, sample_identity
from mmosnet.synthetic.people import CUT_OUT_GROUND, CUT_OUT_TALL, Pose, cut_out_person

SEED, CAMID = 3, 1 << 17
HEIGHT, WIDTH = 360, 640
TALL = 180
# Neither person is in the drawn data sets. The first is the nearer one.
PIDS = (1 << 25, (1 << 25) + 1)
GROUNDS = (330, 318)
# Frames of the walk to the middle, and of the meeting.
WALK, MEETING = 24, 14
FRAMES = 2 * WALK + MEETING
# Share of a person that must be visible to be detected.
VISIBLE = 0.4


class Seen(NamedTuple):
    """A frame ``(H, W, 3)`` uint8, BGR; boxes ``(N, 4)`` float32, left, top, right, bottom; their pids ``(N,)``."""

    frame: np.ndarray
    boxes: np.ndarray
    pids: np.ndarray


def draw_meeting() -> list[Seen]:
    """Draw the video, the same one each time. During the meeting only the first person is detected."""
    camera = sample_camera(SEED, CAMID)
    background = cv2.resize(draw_scene(camera), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    noise = np.random.RandomState(0)
    seen = []
    for number in range(FRAMES):
        frame = background.copy()
        # The one further away is painted first.
        behind, front = (_walk(frame, number, place, camera) for place in (1, 0))
        visible = (1.0, (behind & ~front).sum() / behind.sum())
        boxes, pids = [], []
        for place, mask in enumerate((front, behind)):
            if visible[place] >= VISIBLE:
                left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
                boxes.append((left, top, left + width, top + height))
                pids.append(PIDS[place])
        frame = np.clip(frame + noise.randint(-4, 5, frame.shape), 0, 255).astype(np.uint8)
        seen.append(Seen(frame, np.array(boxes, np.float32), np.array(pids)))
    return seen


def _walk(frame, number, place, camera):
    """Paint a person into a frame; return the mask, bool."""
    side = 1 - 2 * place
    # 0 at the edge, 1 at the meeting.
    near = min(1.0, number / WALK, (FRAMES - 1 - number) / WALK)
    column = WIDTH / 2 - side * (1 - near) * 230 + 4 * place
    yaw = 0.3 if near == 1 else side * math.copysign(math.pi / 2, FRAMES / 2 - number)
    pose = Pose(yaw, number * 0.5 * (near < 1), 0.0, 0.0, False, (0, 0, 0))
    colors, mask = cut_out_person(sample_identity(SEED, PIDS[place]), pose, camera, random_stream(SEED, 77, place))
    scale = TALL / CUT_OUT_TALL
    shift = column - scale * colors.shape[1] / 2, GROUNDS[place] - scale * CUT_OUT_GROUND
    to_frame = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    colors, mask = (cv2.warpAffine(image, to_frame, (WIDTH, HEIGHT)) for image in (colors, mask))
    frame[mask > 127] = colors[mask > 127]
    return mask > 127
