"""Both sides of the rows, on small inputs, in this process."""

from functools import partial

import numpy as np
import pytest
import torch

from mmosnet.benchmark import best_inference, data_loading, evaluation, gpu, inference, peer, re_ranking, training_step
from mmosnet.benchmark.drawn_features import SearchSize, draw_search
from mmosnet.benchmark.drawn_images import DrawnImages
from mmosnet.benchmark.equality import same_numbers, same_scores
from mmosnet.benchmark.networks import draw_images, network_pair
from mmosnet.benchmark.peer import has_peer
from mmosnet.benchmark.row import NotMeasured, Settings

SIZE = (64, 32)
TINY = SearchSize(40, 200, 15, 3, 20)
# The reference is an extra of its own, "peer".
needs_peer = pytest.mark.skipif(not has_peer(), reason='torchreid is not installed')


@pytest.fixture(autouse=True)
def short_laps(monkeypatch):
    """Nothing is timed here."""
    monkeypatch.setattr('mmosnet.benchmark.timer.LEAST_SECONDS', 0.0)


@pytest.fixture
def settings(tmp_path):
    return Settings(threads=1, repeats=1, quick=True, folder=tmp_path)


@pytest.fixture
def no_peer(monkeypatch):
    """As if torchreid were not installed."""
    find_spec = peer.find_spec
    monkeypatch.setattr(peer, 'find_spec', lambda name: None if name == 'torchreid' else find_spec(name))


def compared(contest):
    return contest.compare(contest.ours().result, contest.peer().result)


@needs_peer
@pytest.mark.parametrize('width', ['x1.0', 'x0.25'])
def test_networks_of_equal_weights(width):
    model, network = network_pair(width)
    images = draw_images(2, SIZE)
    with torch.inference_mode():
        same_numbers(model.extract_feat(images)[-1], network(images))
    # Norms that do something: a network with them left out would differ.
    norm = network.conv1.bn
    assert (norm.weight - 1).abs().max() > 0.1 and norm.bias.abs().max() > 0.1


@needs_peer
def test_inference():
    assert compared(inference.contest('x0.25', 1)).startswith('relative difference ')


@needs_peer
def test_training_step():
    assert compared(training_step.contest('x0.25', 2)).startswith('first loss: relative difference ')


@needs_peer
def test_training_steps_change_the_weights():
    model, _ = network_pair('x0.25')
    pixels, labels = training_step.draw_batch(4, SIZE)
    step = training_step.our_step(model, 'x0.25', pixels, labels)
    first, second = step(), step()
    assert first != second


@needs_peer
@pytest.mark.parametrize('form', gpu.INFERENCE_FORMS[::2], ids=lambda form: form.name)
def test_gpu_inference_runs_on_a_cpu_too(form):
    assert compared(gpu.inference_contest('x0.25', 2, form, 'cpu', SIZE))


@needs_peer
@pytest.mark.parametrize('form', gpu.TRAINING_FORMS[:2], ids=lambda form: form.name)
def test_gpu_training_runs_on_a_cpu_too(form):
    assert compared(gpu.training_contest('x0.25', 4, form, 'cpu', SIZE)).startswith('first loss: ')


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has one')
@pytest.mark.parametrize('contest', [gpu.inference_contest, gpu.training_contest])
def test_without_a_gpu_it_is_said(contest):
    with pytest.raises(NotMeasured, match='no CUDA device'):
        contest('x0.25', 1, gpu.INFERENCE_FORMS[0])


def test_drawn_search_is_possible_and_the_same_each_time():
    query, gallery = draw_search(TINY)
    assert (query.features.shape, gallery.features.shape) == ((40, 512), (200, 512))
    assert torch.equal(draw_search(TINY)[1].features, gallery.features)
    assert int((gallery.pids == 0).sum()) == 20 and int(query.pids.min()) == 1
    scores = evaluation.ours(**TINY.as_dict())['result']
    assert 0.2 < scores['mAP'] < 0.99


@needs_peer
def test_evaluation():
    ours, theirs = (side(**TINY.as_dict()) for side in (evaluation.ours, evaluation.peer))
    assert len(ours['result']) == len(theirs['result']) == 51
    same_scores(ours['result'], theirs['result'])


@needs_peer
def test_re_ranking(tmp_path):
    files = [str(tmp_path / name) for name in ('ours.npy', 'peer.npy')]
    sides = zip((re_ranking.ours, re_ranking.peer), files, strict=True)
    assert [side(distances=file, **TINY.as_dict())['result'] for side, file in sides] == files
    same_numbers(*map(np.load, files), re_ranking.TOLERANCE)


def test_re_ranking_to_ranks():
    assert re_ranking.ours_to_ranks(**TINY.as_dict())['seconds'] > 0


@needs_peer
def test_data_loading(tmp_path, monkeypatch):
    monkeypatch.setattr(data_loading, 'WORKERS', 0)
    monkeypatch.setattr(data_loading, 'our_loader', partial(data_loading.our_loader, workers=0))
    contest = data_loading.contest(DrawnImages(tmp_path, 2), 12)
    lap = contest.ours()
    assert (lap.result['batches'], lap.result['images']) == (5, 60)
    assert lap.facts['images a second'] > 0
    contest.compare(lap.result, contest.peer().result)


def test_missing_peer_is_said_and_ours_still_runs(no_peer, settings):
    assert not has_peer()
    for contest in (
        inference.contest('x0.25', 1),
        training_step.contest('x0.25', 2),
        gpu.training_contest('x0.25', 2, gpu.TRAINING_FORMS[0], 'cpu', SIZE),
    ):
        assert contest.peer is None
        assert contest.no_peer == "no peer: torchreid is not installed (pip install -e '.[peer]')"
        contest.ours()
    for case in [*evaluation.cases(settings), *re_ranking.cases(settings)]:
        assert case.prepare().peer is None and case.prepare().no_peer


def test_another_version_of_the_peer_is_said(monkeypatch):
    monkeypatch.setattr(peer, 'find_spec', lambda name: object())
    monkeypatch.setattr(peer, 'installed_version', lambda name: '1.4.0')
    assert peer.why_no_peer() == 'the peer is torchreid 1.4.0, not 0.2.5'


def test_missing_runtime_or_instructions_are_said(monkeypatch):
    monkeypatch.setattr(best_inference, 'find_spec', lambda name: None)
    with pytest.raises(NotMeasured, match='onnx, onnxruntime is not installed'):
        best_inference.ONNX.check()
    monkeypatch.setattr(best_inference, 'find_spec', lambda name: object())
    monkeypatch.setattr(best_inference, 'describe_machine', lambda threads: dict(instruction_sets=['avx2']))
    with pytest.raises(NotMeasured, match='this processor has none of avx512_bf16, amx_bf16'):
        best_inference.OPENVINO_BF16.check()
