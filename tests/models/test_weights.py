"""The weights in the package load wherever a checkpoint does, and hold nothing that predictions do not need."""

from __future__ import annotations

import configparser
import copy
import zipfile

import mmpretrain
import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from mmosnet.apis import PersonInferencer
from mmosnet.models import OSNet
from mmosnet.models.build import build_model, find_config, load_model
from mmosnet.models.deploy import switch_to_deploy
from mmosnet.models.torchreid import find_released
from mmosnet.models.weights import (
    WEIGHTS_FOLDER,
    embedded_file,
    embedded_names,
    load_from_embedded,
    predicts,
    weights_digest,
    write_embedded_weights,
)
from tests.apis.small_models import ATTRIBUTE_NAMES, ATTRIBUTES, CLASSES, JOINT, REID, small_checkpoint, small_config


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


NAME = 'osnet_x0_25_multitask_synthetic'
MODEL = 'osnet-x0.25_multitask-synthetic'


def test_a_small_file_of_plain_weights_and_names():
    assert embedded_names() == [NAME]
    path = embedded_file(NAME)
    assert path.stat().st_size < 1.3e6
    found = torch.load(path, weights_only=True)
    assert found.keys() == {'meta', 'state_dict'} and found['meta'].keys() == {'mmosnet_version', 'dataset_meta'}
    assert found['meta']['dataset_meta'].keys() == {'attributes', 'classes'}
    assert {value.dtype for value in found['state_dict'].values()} == {torch.float32, torch.int64}
    assert not [key for key in found['state_dict'] if 'classifier' in key or 'loss' in key]
    # A pickle that names nothing but what rebuilds tensors.
    with zipfile.ZipFile(path) as archive:
        (pickled,) = (archive.read(name) for name in archive.namelist() if name.endswith('data.pkl'))
    assert b'mmengine' not in pickled and b'numpy' not in pickled


def test_name_and_checkpoint_of_the_index_fit_the_config():
    cfg, weights = find_config(MODEL)
    assert weights == f'mmosnet://{NAME}'
    model = load_model(cfg, weights, testing=True)
    state = torch.load(embedded_file(NAME), weights_only=True)['state_dict']
    own = {key for key in model.state_dict() if key.startswith(('backbone.', 'neck.')) or predicts(key)}
    assert own == set(state)
    assert len(model._dataset_meta['attributes']) == 26 and len(model._dataset_meta['classes']) == 12


def test_every_way_to_load(tmp_path):
    state = load_from_embedded(f'mmosnet://{NAME}')['state_dict']
    assert CheckpointLoader.load_checkpoint(f'mmosnet://{NAME}', 'cpu')['state_dict'].keys() == state.keys()
    backbone = OSNet(widen_factor=0.25, init_cfg=dict(type='Pretrained', checkpoint=f'mmosnet://{NAME}'))
    backbone.init_weights()
    assert torch.equal(backbone.final_conv.conv.weight, state['backbone.final_conv.conv.weight'])
    model = mmpretrain.get_model(MODEL, pretrained=True)
    assert torch.equal(model.head.heads['category'].fc.bias, state['head.heads.category.fc.bias'])
    assert PersonInferencer(MODEL, pretrained=True, device='cpu').tasks.attributes[0] == 'Female'


@pytest.mark.parametrize('name', ['', 'osnet', '../weights/' + NAME, NAME + '.pth', '/etc/passwd'])
def test_an_unknown_name_tells_the_known_ones(name):
    with pytest.raises(FileNotFoundError, match=f'mmosnet://{name}: no such embedded weights; there are {NAME}'):
        CheckpointLoader.load_checkpoint(f'mmosnet://{name}', 'cpu')
    with pytest.raises(FileNotFoundError):
        find_released(f'mmosnet://{NAME}')


def test_written_from_a_training_checkpoint(tmp_path):
    source = small_checkpoint(
        tmp_path / 'epoch_1.pth', JOINT, attributes=ATTRIBUTE_NAMES, classes=tuple(CLASSES), people={1: 'A. Person'}
    )
    training = torch.load(source, weights_only=True)
    path = write_embedded_weights(source, 'small', tmp_path / 'weights')
    assert path == tmp_path / 'weights' / 'small.pth'
    found = torch.load(path, weights_only=True)
    assert found['meta']['dataset_meta'] == dict(attributes=ATTRIBUTE_NAMES, classes=CLASSES)
    left_out = training['state_dict'].keys() - found['state_dict'].keys()
    assert {'head.heads.reid.classifier.weight', 'head.heads.reid.classifier.bias'} <= left_out
    assert all('classifier' in key or 'loss' in key for key in left_out)
    for key, value in found['state_dict'].items():
        assert torch.equal(value, training['state_dict'][key])
        # Nothing of a larger storage comes along.
        assert value.untyped_storage().nbytes() == value.numel() * value.element_size()
    with pytest.raises(FileNotFoundError):
        write_embedded_weights(str(tmp_path / 'gone.pth'), 'gone', tmp_path)


def test_the_file_is_packaged():
    package = WEIGHTS_FOLDER.parent
    setup = configparser.ConfigParser()
    setup.read(package.parent / 'setup.cfg')
    packaged = {path for pattern in setup['options.package_data']['mmosnet'].split() for path in package.glob(pattern)}
    assert set(WEIGHTS_FOLDER.iterdir()) <= packaged
