from types import SimpleNamespace

import pytest
from mmpretrain.models import LinearClsHead, MultiLabelLinearClsHead

from mmosnet.engine import NumClassesHook
from mmosnet.errors import DataError
from mmosnet.models import JointHead, ReIDHead

LABELS = dict(num_train_pids=35, attributes=['hat', 'bag'], classes=['bench', 'car', 'dog'])


def run(head, **metainfo):
    dataset = SimpleNamespace(metainfo=metainfo)
    runner = SimpleNamespace(model=SimpleNamespace(head=head), train_dataloader=SimpleNamespace(dataset=dataset))
    NumClassesHook().before_train(runner)


@pytest.mark.parametrize(
    ('right', 'wrong', 'message'),
    [
        (ReIDHead(35), ReIDHead(751), r'35 identities and the head 751 classes.*model.head.num_classes=35'),
        (MultiLabelLinearClsHead(2, 8), MultiLabelLinearClsHead(26, 8), r'2 attributes and the head 26 classes'),
        (LinearClsHead(3, 8), LinearClsHead(1000, 8), r'3 categories and the head 1000 classes'),
    ],
    ids=['identities', 'attributes', 'categories'],
)
def test_number_of_classes_is_checked(right, wrong, message):
    run(right, **LABELS)
    with pytest.raises(DataError, match=message):
        run(wrong, **LABELS)
    # A data set that says nothing of the task.
    run(wrong)


def test_every_head_of_a_joint_model():
    heads = dict(reid=ReIDHead(35), attributes=MultiLabelLinearClsHead(3, 8), category=LinearClsHead(3, 8))
    with pytest.raises(DataError, match=r'model\.head\.heads\.attributes\.num_classes=2'):
        run(JointHead(heads), **LABELS)
    heads['attributes'] = MultiLabelLinearClsHead(2, 8)
    run(JointHead(heads), **LABELS)
