from types import SimpleNamespace

import pytest
from torch import nn

from mmosnet.engine import PosRatioHook
from mmosnet.errors import DataError
from mmosnet.models import AttributeHead, JointHead, ReIDHead


def run(model, **metainfo):
    dataset = SimpleNamespace(metainfo=metainfo)
    PosRatioHook().before_train(SimpleNamespace(model=model, train_dataloader=SimpleNamespace(dataset=dataset)))


def head(**loss):
    return AttributeHead(num_classes=2, in_channels=4, loss=dict(type='mmosnet.WeightedBCELoss', **loss))


def test_shares_reach_the_loss():
    alone, joint = head(), head(mode='released')
    model = nn.ModuleDict(dict(head=JointHead(dict(reid=ReIDHead(3, 4), attributes=joint))))
    run(nn.ModuleDict(dict(head=alone)), pos_ratio=[0.25, 0.5])
    run(model, pos_ratio=[0.25, 0.5])
    for found in (alone, joint):
        assert found.loss_module.pos_ratio.tolist() == [0.25, 0.5]


def test_shares_of_a_checkpoint_are_replaced_and_those_of_the_config_hold():
    other = head()
    other.loss_module.set_pos_ratio([0.75, 0.75])
    for mine, expected in ((head(), [0.25, 0.5]), (head(pos_ratio=[0.0, 1.0]), [0.0, 1.0])):
        mine.load_state_dict(other.state_dict())
        run(mine, pos_ratio=[0.25, 0.5])
        assert mine.loss_module.pos_ratio.tolist() == expected


def test_a_weighted_loss_without_shares_is_a_mistake():
    model = nn.ModuleDict(dict(head=JointHead(dict(attributes=head()))))
    with pytest.raises(
        DataError, match=r"head\.heads\.attributes\.loss_module .*metainfo\['pos_ratio'\].*mode='plain'"
    ):
        run(model)
    for fine in (head(mode='plain'), head(pos_ratio=[0.5, 0.5]), ReIDHead(3, 4)):
        run(fine)


def test_another_number_of_attributes():
    with pytest.raises(DataError, match='shares of 3 attributes for 2 of the model; set num_classes=3'):
        run(head(), pos_ratio=[0.1, 0.2, 0.3])
