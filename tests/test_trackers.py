"""Real trackers with our embeddings, on a drawn video of two people who meet, hide one another, and walk back.

A tracker that only knows boxes gives the person who was hidden a new number. The libraries of the extra "trackers" are
tested where they are installed; .ci/run_trackers installs them, and those that the package must not depend on.
"""

import importlib.util
import itertools
import sys
import types
from types import SimpleNamespace

import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.frames import Embedder
from mmosnet.trackers import AppearanceTracker
from tests.drawn_meeting import MEETING, PIDS, WALK, draw_meeting

MODEL = 'osnet-x0.25_multitask-synthetic'
SIZE = (128, 64)


@pytest.fixture(scope='module')
def video():
    return draw_meeting()


@pytest.fixture(scope='module')
def embedder():
    return Embedder(MODEL, normalize=True)


@pytest.fixture(scope='module')
def embeddings(video, embedder):
    """The embeddings of each frame; each frame is embedded once."""
    return [embedder(seen.frame, seen.boxes) for seen in video]


@pytest.fixture
def replay(video, embeddings):
    """A function like an Embedder, which returns the embeddings of the video's frames."""
    rows = {id(seen.frame): rows for seen, rows in zip(video, embeddings, strict=True)}
    return lambda frame, boxes: rows[id(frame)]


def kept(numbers: list[dict]) -> bool:
    """Whether both people have one number each, and the same before and after the meeting: ``{pid: number}``."""
    found = [{frame[pid] for frame in numbers if pid in frame} for pid in PIDS]
    before, after = numbers[: WALK - 4], numbers[WALK + MEETING + 4 :]
    seen = all(any(pid in frame for frame in part) for part in (before, after) for pid in PIDS)
    return seen and [len(numbers) for numbers in found] == [1, 1] and found[0] != found[1]


def with_scores(boxes: np.ndarray) -> np.ndarray:
    """Boxes with score 0.9 and class 0, ``(N, 6)``."""
    return np.hstack([boxes, np.tile(np.float32([0.9, 0]), (len(boxes), 1))])


def test_the_video_needs_appearance(video, embeddings):
    assert [len(seen.boxes) for seen in video] == [2] * WALK + [1] * MEETING + [2] * WALK
    first, last = (dict(zip(video[k].pids, embeddings[k], strict=True)) for k in (0, -1))
    for one, other in (PIDS, PIDS[::-1]):
        assert first[one] @ last[one] > 0.8 > 0.5 > first[one] @ last[other]


class Overlap:
    """Overlap of boxes as trackers compute it: constant here."""

    def compute(self, tracks, boxes):
        return np.full((len(tracks), len(boxes)), 0.3)

    def normalize_for_fusion(self, similarity):
        return similarity / 2


class FakeTracker:
    """Tracks that stay where they are, and numbers as they are given."""

    def __init__(self, numbers, enable_cmc=False):
        self.iou, self.enable_cmc = Overlap(), enable_cmc
        self.tracks = [self.track(number) for number in numbers]

    def track(self, number):
        return SimpleNamespace(tracker_id=number, get_state_bbox=lambda: np.full(4, float(number)))

    def update(self, detections, **kwargs):
        self.kwargs = kwargs
        tracks = np.array([track.get_state_bbox() for track in self.tracks]).reshape(-1, 4)
        self.similarity = self.iou.compute(tracks, detections.xyxy)
        detections.tracker_id = np.arange(len(detections.xyxy))
        return detections

    def reset(self):
        self.tracks = []


def detections_of(number: int) -> SimpleNamespace:
    boxes = np.arange(4 * number, dtype=np.float32).reshape(number, 4)
    return SimpleNamespace(xyxy=boxes, data={'name': np.arange(number)}, tracker_id=None)


def test_similarity_is_the_better_of_overlap_and_cosine():
    random = np.random.RandomState(0)
    frames = random.randn(4, 5, 8).astype(np.float32)
    frames[:, 4] = 0  # a box outside of the frame
    tracker = FakeTracker([0, 1, 2, 4, -1])
    call = iter(frames)
    appearance = AppearanceTracker(tracker, lambda frame, detections: next(call), min_similarity=0.1, momentum=0.75)
    means = {}
    for rows in frames:
        given = detections_of(5)
        tracked = appearance.update(given, np.zeros((4, 4, 3), np.uint8))
        assert list(given.data) == ['name'] and given.tracker_id is None
        np.testing.assert_array_equal(tracked.data['embedding'], rows)
        for (row, number), column in itertools.product(enumerate([0, 1, 2, 4, -1]), range(5)):
            cosine = -1
            if number in means and rows[column].any():
                cosine = means[number] @ rows[column] / np.linalg.norm(rows[column])
            expected = max(0.3, cosine) if cosine >= 0.1 else 0.3
            assert tracker.similarity[row, column] == pytest.approx(expected, abs=1e-6)
        for number in (0, 1, 2):
            unit = rows[number] / np.linalg.norm(rows[number])
            mean = 0.75 * means.get(number, unit) + 0.25 * unit
            means[number] = mean / np.linalg.norm(mean)
    # Not of the track whose boxes had no pixel, nor of the number without a track.
    assert set(appearance.embeddings) == {0, 1, 2}
    assert tracker.kwargs == {}
    tracker.tracks.pop(0)
    call = iter(frames)
    appearance.update(detections_of(5), None, timestamp=1.5)
    assert set(appearance.embeddings) == {1, 2} and tracker.kwargs == {'timestamp': 1.5}
    assert appearance.normalize_for_fusion(np.ones(1)) == 0.5
    appearance.reset()
    assert appearance.embeddings == {} and tracker.tracks == []


def test_a_tracker_that_follows_the_camera_gets_the_frame():
    tracker, frame = FakeTracker([], enable_cmc=True), np.zeros((4, 4, 3), np.uint8)
    tracked = AppearanceTracker(tracker, lambda frame, detections: np.zeros((0, 8), np.float32)).update(
        detections_of(0), frame
    )
    assert tracker.kwargs['frame'] is frame and tracked.data['embedding'].shape == (0, 8)


@pytest.mark.parametrize('settings', [dict(min_similarity=1.1), dict(min_similarity=float('nan')), dict(momentum=1.0)])
def test_numbers_out_of_range_are_named(settings):
    (name, value), *_ = settings.items()
    with pytest.raises(DataError, match=f'{name}={value}'):
        AppearanceTracker(FakeTracker([]), None, **settings)


def test_a_tracker_of_another_appearance_tracker_is_refused():
    tracker = FakeTracker([])
    AppearanceTracker(tracker, None)
    with pytest.raises(DataError, match='FakeTracker'):
        AppearanceTracker(tracker, None)


def test_other_trackers_are_refused():
    with pytest.raises(DataError, match='SimpleNamespace has no iou, tracks'):
        AppearanceTracker(SimpleNamespace(update=None), None)
    trackers, supervision = pytest.importorskip('trackers'), pytest.importorskip('supervision')
    # It has an iou, and uses two others.
    tracker = AppearanceTracker(trackers.CBIoUTracker(), lambda frame, detections: np.ones((1, 8), np.float32))
    given = supervision.Detections(np.float32([[0, 0, 50, 100]]), confidence=np.float32([0.9]))
    tracker.update(given, None)
    with pytest.raises(DataError, match='CBIoUTracker'):
        tracker.update(given, None)


@pytest.mark.parametrize('name', ['BoTSORTTracker', 'ByteTrackTracker', 'SORTTracker', 'OCSORTTracker'])
def test_roboflow_trackers(name, video, embeddings, embedder):
    supervision, trackers = pytest.importorskip('supervision'), pytest.importorskip('trackers')

    def run(tracker):
        numbers = []
        for seen, rows in zip(video, embeddings, strict=True):
            scores = np.full(len(seen.boxes), 0.9, np.float32)
            given = supervision.Detections(seen.boxes, confidence=scores, data={'pid': seen.pids})
            if isinstance(tracker, AppearanceTracker):
                tracked = tracker.update(given, seen.frame)
                order = [seen.pids.tolist().index(pid) for pid in tracked.data['pid']]
                np.testing.assert_array_equal(tracked.data['embedding'], rows[order])
            else:
                tracked = tracker.update(given)
            pairs = zip(tracked.data['pid'].tolist(), tracked.tracker_id.tolist(), strict=True)
            numbers.append({pid: number for pid, number in pairs if number >= 0})
        return numbers

    rows = {id(seen.frame): rows for seen, rows in zip(video, embeddings, strict=True)}
    assert kept(run(AppearanceTracker(getattr(trackers, name)(), lambda frame, detections: rows[id(frame)])))
    if name != 'OCSORTTracker':
        assert not kept(run(getattr(trackers, name)()))
    # Real embedder: nobody, somebody outside of the frame, somebody again.
    tracker = AppearanceTracker(getattr(trackers, name)(), embedder)
    for boxes in (np.zeros((0, 4)), video[0].boxes, np.float32([[-90, -90, -20, -10]]), video[1].boxes):
        given = supervision.Detections(boxes, confidence=np.full(len(boxes), 0.9))
        assert tracker.update(given, video[0].frame).data['embedding'].shape == (len(boxes), embedder.dimension)


def test_deep_sort_realtime(video, embeddings):
    DeepSort = pytest.importorskip('deep_sort_realtime.deepsort_tracker').DeepSort
    tracker = DeepSort(embedder=None, n_init=2, max_cosine_distance=0.4)
    numbers = []
    for seen, rows in zip(video, embeddings, strict=True):
        sides = seen.boxes[:, 2:] - seen.boxes[:, :2]
        given = [(box, 0.9, 'person') for box in np.hstack([seen.boxes[:, :2], sides]).tolist()]
        tracks = tracker.update_tracks(given, embeds=list(rows), others=seen.pids.tolist())
        shown = [track for track in tracks if track.is_confirmed() and not track.time_since_update]
        numbers.append({track.get_det_supplementary(): track.track_id for track in shown})
        for track in shown:
            place = seen.pids.tolist().index(track.get_det_supplementary())
            np.testing.assert_array_equal(track.get_feature(), rows[place])
    assert kept(numbers)
    assert tracker.update_tracks([], embeds=[]) is not None


def test_norfair(video, embeddings):
    norfair = pytest.importorskip('norfair')

    def distance(new, old):
        pairs = itertools.product(new.past_detections, old.past_detections)
        return 1 - max(one.embedding @ other.embedding for one, other in pairs)

    def run(**settings):
        tracker = norfair.Tracker('iou', 0.7, hit_counter_max=8, initialization_delay=2, **settings)
        numbers = []
        for seen, rows in zip(video, embeddings, strict=True):
            given = [
                norfair.Detection(box.reshape(2, 2), data=pid, embedding=row)
                for box, pid, row in zip(seen.boxes, seen.pids.tolist(), rows, strict=True)
            ]
            shown = [track for track in tracker.update(given) if any(track.last_detection is one for one in given)]
            numbers.append({track.last_detection.data: track.id for track in shown})
        tracker.update([])
        return numbers

    assert kept(run(reid_distance_function=distance, reid_distance_threshold=0.4, reid_hit_counter_max=60))
    assert not kept(run())


def test_ultralytics_bot_sort(video, embeddings):
    pytest.importorskip('ultralytics')
    from ultralytics.engine.results import Boxes
    from ultralytics.trackers.bot_sort import BOTSORT
    from ultralytics.utils import YAML, IterableSimpleNamespace
    from ultralytics.utils.checks import check_yaml

    def run(with_reid):
        settings = YAML.load(check_yaml('botsort.yaml'))
        tracker = BOTSORT(IterableSimpleNamespace(**{**settings, 'with_reid': with_reid, 'proximity_thresh': 0.0}))
        numbers = []
        for seen, rows in zip(video, embeddings, strict=True):
            boxes = Boxes(with_scores(seen.boxes), seen.frame.shape[:2])
            tracked = tracker.update(boxes, seen.frame, feats=rows)
            numbers.append({int(seen.pids[int(row[-1])]): int(row[4]) for row in tracked})
            if with_reid:
                for track in tracker.tracked_stracks:
                    np.testing.assert_allclose(track.curr_feat, rows[int(track.idx)], atol=1e-6)
        empty = Boxes(np.zeros((0, 6), np.float32), seen.frame.shape[:2])
        tracker.update(empty, seen.frame, feats=rows[:0])
        return numbers

    assert kept(run(True))
    assert not kept(run(False))


def test_ultralytics_track(video, tmp_path):
    ultralytics = pytest.importorskip('ultralytics')
    import torch

    torch.manual_seed(0)
    # Without trained weights, whatever it finds is tracked.
    model = ultralytics.YOLO('yolo11n.yaml')
    given = []

    def embed(predictor):
        for result in predictor.results:
            result.feats = np.random.RandomState(0).randn(len(result.boxes), 8).astype(np.float32)
            given.append(result.feats)

    model.add_callback('on_predict_postprocess_end', embed)
    from ultralytics.utils import YAML
    from ultralytics.utils.checks import check_yaml

    settings = {**YAML.load(check_yaml('botsort.yaml')), 'with_reid': True}
    low = dict(track_high_thresh=1e-9, track_low_thresh=1e-10, new_track_thresh=1e-9)
    YAML.save(tmp_path / 'botsort_mmosnet.yaml', {**settings, **low})
    options = dict(tracker=str(tmp_path / 'botsort_mmosnet.yaml'), conf=1e-9, max_det=5, verbose=False)
    result = model.track(video[0].frame, **options)[0]
    assert len(result.boxes) == 5
    tracks = sorted(model.predictor.trackers[0].tracked_stracks, key=lambda track: track.idx)
    units = given[0] / np.linalg.norm(given[0], axis=1, keepdims=True)
    np.testing.assert_allclose([track.curr_feat for track in tracks], units, atol=1e-6)


@pytest.mark.parametrize('name', ['BotSort', 'StrongSort'])
def test_boxmot_with_our_object(name, video, embeddings, replay):
    boxmot = pytest.importorskip('boxmot')
    ours = SimpleNamespace(get_features=lambda boxes, frame: replay(frame, boxes))
    settings = dict(proximity_thresh=1.0) if name == 'BotSort' else {}
    assert kept(run_boxmot(getattr(boxmot, name)(reid_model=ours, **settings), video))
    if name == 'BotSort':
        assert not kept(run_boxmot(boxmot.BotSort(use_embeddings=False), video))


def run_boxmot(tracker, video):
    numbers = []
    for seen in video:
        tracked = tracker.update(with_scores(seen.boxes), seen.frame)
        numbers.append({int(seen.pids[int(row[-1])]): int(row[4]) for row in tracked})
    assert len(tracker.update(np.zeros((0, 6), np.float32), seen.frame)) == 0
    return numbers


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """The function that exports the released model with OpenCV's resize, and returns the file."""
    from mmosnet.cli.main import main

    folder = tmp_path_factory.mktemp('exported')

    def export(suffix):
        path = folder / f'osnet.{suffix}'
        if not path.exists():
            resize = 'test_dataloader.dataset.datasets.people.pipeline.1.backend=cv2'
            kind = 'onnx' if suffix == 'onnx' else 'openvino'
            command = f'export {MODEL} released --format {kind} --out {path} --no-timing --cfg-options {resize}'
            assert main(command.split()) == 0
        return path

    return export


@pytest.mark.parametrize('suffix', ['onnx', 'xml'])
def test_boxmot_reads_our_file(suffix, video, exported):
    boxmot = pytest.importorskip('boxmot')
    from boxmot.reid.core import ReID

    path = exported(suffix)
    if suffix == 'xml':
        # boxmot assumes 256x128 for OpenVINO otherwise.
        path.with_suffix('.xml.metadata.json').write_text(
            f'{{"model_name": "osnet_x0_25", "model_kwargs": {{"img_size": {list(SIZE)}}}}}'
        )
    ours, theirs = Embedder(path, normalize=True), ReID(weights=path).model
    random = np.random.RandomState(0)
    corners = random.randint(-10, 400, (20, 2))
    boxes = np.hstack([corners, corners + random.randint(4, 220, (20, 2))]).astype(np.float32)
    frame = video[5].frame
    difference = np.abs(ours(frame, boxes) - theirs.get_features(boxes, frame))[ours.last_valid]
    assert difference.max() < 1e-4 and len(difference) > 10
    # boxmot rounds fractions to the nearest pixel.
    difference = np.abs(ours(frame, (boxes + 0.3).round()) - theirs.get_features(boxes + 0.3, frame))[ours.last_valid]
    assert difference.max() < 1e-4
    if suffix == 'onnx':
        assert kept(run_boxmot(boxmot.BotSort(reid_weights=path, proximity_thresh=1.0), video))


def load_mmdet(monkeypatch):
    """Import mmdet's models, with mmcv-lite too: its trackers need nothing of mmcv.ops, which that lacks."""
    pytest.importorskip('mmdet')
    if importlib.util.find_spec('mmcv._ext') is None:

        class Operators(types.ModuleType):
            def __getattr__(self, name):
                if name.startswith('__'):
                    raise AttributeError(name)
                return type(name, (), {})

        operators = Operators('mmcv.ops')
        operators.__path__ = []
        monkeypatch.setitem(sys.modules, 'mmcv.ops', operators)
        for name in ('carafe', 'merge_cells', 'modulated_deform_conv', 'nms', 'roi_align'):
            monkeypatch.setitem(sys.modules, f'mmcv.ops.{name}', Operators(f'mmcv.ops.{name}'))
        place = 'mmcv.cnn.bricks.transformer.MultiScaleDeformableAttention'
        monkeypatch.setattr(place, operators.MultiScaleDeformableAttention, raising=False)
    import mmdet.models  # noqa: F401


def test_mmdet_deep_sort(video, embedder, monkeypatch):
    load_mmdet(monkeypatch)
    import torch
    from mmdet.registry import MODELS
    from mmdet.structures import DetDataSample
    from mmengine.registry import DefaultScope
    from mmengine.structures import InstanceData

    from mmosnet.models.build import find_trained
    from mmosnet.models.checkpoints import read_state_dict

    cfg, checkpoint = find_trained(MODEL, None)
    reid = {**cfg.model, 'head': dict(type='mmosnet.ReIDHead', num_classes=100), '_scope_': 'mmpretrain'}
    match = dict(num_samples=10, img_scale=SIZE, img_norm_cfg=None, match_score_thr=14.0)
    settings = dict(obj_score_thr=0.5, match_iou_thr=0.3, num_frames_retain=40)
    motion = dict(type='KalmanFilter', center_only=True)
    tracker = dict(type='SORTTracker', motion=motion, reid=match, **settings)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(dict(type='DeepSORT', reid=reid, tracker=tracker)).eval()
    model.reid.load_state_dict(read_state_dict(checkpoint), strict=False)
    normalize = model.reid.data_preprocessor
    numbers = []
    for number, seen in enumerate([*video, video[-1]._replace(boxes=np.zeros((0, 4), np.float32), pids=np.zeros(0))]):
        image = torch.from_numpy(seen.frame[:, :, ::-1].copy()).permute(2, 0, 1)[None].float()
        sample = DetDataSample(metainfo=dict(frame_id=number, img_shape=seen.frame.shape[:2], scale_factor=(1, 1)))
        sample.pred_instances = InstanceData(
            bboxes=torch.from_numpy(seen.boxes),
            labels=torch.zeros(len(seen.boxes), dtype=torch.long),
            scores=torch.full((len(seen.boxes),), 0.9),
        )
        with torch.no_grad():
            tracked = model.tracker.track(model, (image - normalize.mean) / normalize.std, sample)
        numbers.append(dict(zip(seen.pids.tolist(), tracked.instances_id.tolist(), strict=True)))
    assert kept(numbers)
    # mmdet resizes in its own way; a box of the network's size is not resized.
    boxes = torch.tensor([[100.0, 120, 164, 248], [300, 200, 364, 328]])
    with torch.no_grad():
        crops = model.tracker.crop_imgs((image - normalize.mean) / normalize.std, sample.metainfo, boxes.clone())
        theirs = model.reid(crops, mode='tensor')
    theirs = (theirs / theirs.norm(dim=1, keepdim=True)).numpy()
    np.testing.assert_allclose(theirs, embedder(seen.frame, boxes), atol=1e-4)
