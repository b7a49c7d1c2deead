import copy

import pytest
import torch

from mmosnet.engine.trained_model import build_model
from mmosnet.models.deploy_form import switch_to_deploy
from mmosnet.models.weights_digest import weights_digest
from tests.apis.small_models import ATTRIBUTES, JOINT, REID, small_config


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    return build_model(small_config(dict(REID, bnneck=True)))


def changed(model, name, value=1e-6):
    other = copy.deepcopy(model)
    other.state_dict()[name].add_(value)
    return weights_digest(other)


def test_what_counts(model):
    digest = weights_digest(model)
    assert len(digest) == 16 and int(digest, 16) >= 0
    assert changed(model, 'neck.fc.weight') != digest
    assert changed(model, 'backbone.stem.0.conv.weight') != digest
    assert changed(model, 'backbone.stem.0.bn.running_mean') != digest
    assert changed(model, 'head.bnneck.running_var', 0.1) != digest
    # Neither classifiers nor counters have a part in embeddings.
    assert changed(model, 'head.classifier.weight') == digest
    assert changed(model, 'backbone.stem.0.bn.num_batches_tracked', 1) == digest


def test_form_and_place_in_memory_do_not_count(model):
    digest = weights_digest(model)
    assert weights_digest(copy.deepcopy(model).to(memory_format=torch.channels_last)) == digest
    assert weights_digest(copy.deepcopy(model).double()) == digest
    assert weights_digest(copy.deepcopy(model).train()) == digest


def test_other_heads_on_the_same_network():
    built = []
    for head in (REID, ATTRIBUTES, JOINT):
        torch.manual_seed(0)
        built.append(build_model(small_config(head)))
    for other in built[1:]:
        other.backbone.load_state_dict(built[0].backbone.state_dict())
        other.neck.load_state_dict(built[0].neck.state_dict())
    assert len({weights_digest(model) for model in built}) == 1


def test_a_value_for_ever():
    """Galleries keep digests: those of one network must never change."""
    model = torch.nn.Module()
    model.backbone, model.neck = torch.nn.BatchNorm1d(3), torch.nn.Linear(2, 1)
    torch.nn.init.constant_(model.neck.weight, 0.5)
    torch.nn.init.constant_(model.neck.bias, -2)
    assert weights_digest(model) == 'cc11db88e8bea558'


def test_folded_models_are_refused(model):
    with pytest.raises(ValueError, match='before switch_to_deploy'):
        weights_digest(switch_to_deploy(copy.deepcopy(model)))
