"""Both sides of the rows, on small inputs, in this process."""

from functools import partial

import numpy as np
import pytest
import torch

from benchmarks import cases_cpu, cases_data, cases_evaluation, cases_gpu, peer
from benchmarks.cases_data import DrawnImages
from benchmarks.cases_evaluation import SearchSize, draw_search
from benchmarks.measure import NotMeasured, Settings, same_numbers, same_scores
from benchmarks.peer import draw_images, has_peer, network_pair

SIZE = (64, 32)
TINY = SearchSize(40, 200, 15, 3, 20)
# The reference is an extra of its own, "peer".
needs_peer = pytest.mark.skipif(not has_peer(), reason='torchreid is not installed')


@pytest.fixture(autouse=True)
def short_laps(monkeypatch):
    """Nothing is timed here."""
    monkeypatch.setattr('benchmarks.measure.LEAST_SECONDS', 0.0)


@pytest.fixture
def settings(tmp_path):
    return Settings(threads=1, repeats=1, quick=True, folder=tmp_path)


@pytest.fixture
def no_peer(monkeypatch):
    """Make the peer look like a package that is not installed."""
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
    assert compared(cases_cpu.inference_contest('x0.25', 1)).startswith('relative difference ')


@needs_peer
def test_training_step():
    assert compared(cases_cpu.training_step_contest('x0.25', 2)).startswith('first loss: relative difference ')


@needs_peer
def test_training_steps_change_the_weights():
    model, _ = network_pair('x0.25')
    pixels, labels = cases_cpu.draw_batch(4, SIZE)
    step = cases_cpu.our_step(model, 'x0.25', pixels, labels)
    first, second = step(), step()
    assert first != second


@needs_peer
@pytest.mark.parametrize('form', cases_gpu.INFERENCE_FORMS[::2], ids=lambda form: form.name)
def test_gpu_inference_runs_on_a_cpu_too(form):
    assert compared(cases_gpu.gpu_inference_contest('x0.25', 2, form, 'cpu', SIZE))


@needs_peer
@pytest.mark.parametrize('form', cases_gpu.TRAINING_FORMS[:2], ids=lambda form: form.name)
def test_gpu_training_runs_on_a_cpu_too(form):
    assert compared(cases_gpu.gpu_training_contest('x0.25', 4, form, 'cpu', SIZE)).startswith('first loss: ')


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has one')
@pytest.mark.parametrize('contest', [cases_gpu.gpu_inference_contest, cases_gpu.gpu_training_contest])
def test_without_a_gpu_it_is_said(contest):
    with pytest.raises(NotMeasured, match='no CUDA device'):
        contest('x0.25', 1, cases_gpu.INFERENCE_FORMS[0])


def test_drawn_search_is_possible_and_the_same_each_time():
    query, gallery = draw_search(TINY)
    assert (query.features.shape, gallery.features.shape) == ((40, 512), (200, 512))
    assert torch.equal(draw_search(TINY)[1].features, gallery.features)
    assert int((gallery.pids == 0).sum()) == 20 and int(query.pids.min()) == 1
    scores = cases_evaluation.our_scores(**TINY.as_dict())['result']
    assert 0.2 < scores['mAP'] < 0.99


@needs_peer
def test_evaluation():
    ours, theirs = (side(**TINY.as_dict()) for side in (cases_evaluation.our_scores, cases_evaluation.peer_scores))
    assert len(ours['result']) == len(theirs['result']) == 51
    same_scores(ours['result'], theirs['result'])


@needs_peer
def test_re_ranking(tmp_path):
    files = [str(tmp_path / name) for name in ('ours.npy', 'peer.npy')]
    sides = zip((cases_evaluation.our_distances, cases_evaluation.peer_distances), files, strict=True)
    assert [side(distances=file, **TINY.as_dict())['result'] for side, file in sides] == files
    same_numbers(*map(np.load, files), cases_evaluation.DISTANCE_TOLERANCE)


def test_re_ranking_to_ranks():
    assert cases_evaluation.our_ranks(**TINY.as_dict())['seconds'] > 0


@needs_peer
def test_data_loading(tmp_path, monkeypatch):
    monkeypatch.setattr(cases_data, 'WORKERS', 0)
    monkeypatch.setattr(cases_data, 'our_loader', partial(cases_data.our_loader, workers=0))
    contest = cases_data.data_loading_contest(DrawnImages(tmp_path, 2), 12)
    lap = contest.ours()
    assert (lap.result['batches'], lap.result['images']) == (5, 60)
    assert lap.facts['images per second'] > 0
    contest.compare(lap.result, contest.peer().result)


def test_missing_peer_is_said_and_ours_still_runs(no_peer, settings):
    assert not has_peer()
    for contest in (
        cases_cpu.inference_contest('x0.25', 1),
        cases_cpu.training_step_contest('x0.25', 2),
        cases_gpu.gpu_training_contest('x0.25', 2, cases_gpu.TRAINING_FORMS[0], 'cpu', SIZE),
    ):
        assert contest.peer is None
        assert contest.no_peer == "no peer: torchreid is not installed (pip install -e '.[peer]')"
        contest.ours()
    for case in [*cases_evaluation.evaluation_cases(settings), *cases_evaluation.re_ranking_cases(settings)]:
        assert case.prepare().peer is None and case.prepare().no_peer


def test_another_version_of_the_peer_is_said(monkeypatch):
    monkeypatch.setattr(peer, 'find_spec', lambda name: object())
    monkeypatch.setattr(peer, 'installed_version', lambda name: '1.4.0')
    assert peer.why_no_peer() == 'the peer is torchreid 1.4.0, not 0.2.5'


def test_missing_runtime_or_instructions_are_said(monkeypatch):
    monkeypatch.setattr(cases_cpu, 'find_spec', lambda name: None)
    with pytest.raises(NotMeasured, match='onnx, onnxruntime is not installed'):
        cases_cpu.ONNX.check()
    monkeypatch.setattr(cases_cpu, 'find_spec', lambda name: object())
    monkeypatch.setattr(cases_cpu, 'describe_machine', lambda threads: dict(instruction_sets=['avx2']))
    with pytest.raises(NotMeasured, match='this processor has none of avx512_bf16, amx_bf16'):
        cases_cpu.OPENVINO_BF16.check()
