from types import SimpleNamespace

import pytest
from mmengine import runner as loops
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


def loop(kind, **metainfo):
    made = kind.__new__(kind)
    made.dataloader = SimpleNamespace(dataset=SimpleNamespace(metainfo=metainfo))
    return made


@pytest.mark.parametrize('change', [dict(attributes=['bag', 'hat']), dict(classes=['bench', 'dog', 'car'])])
def test_names_in_another_order(change):
    """Numbers are equal, and every score would be of something else."""
    heads = dict(reid=ReIDHead(35), attributes=MultiLabelLinearClsHead(2, 8), category=LinearClsHead(3, 8))
    model = SimpleNamespace(head=JointHead(heads))
    for other, fits in ((LABELS, True), ({}, True), (LABELS | change, False)):
        training = SimpleNamespace(
            model=model,
            train_dataloader=SimpleNamespace(dataset=SimpleNamespace(metainfo=LABELS)),
            val_loop=loop(loops.ValLoop, **other),
        )
        testing = SimpleNamespace(
            model=model, _train_loop=None, _val_loop=None, _test_loop=loop(loops.TestLoop, **other), _load_from='a.pth'
        )
        checkpoint = dict(meta=dict(dataset_meta=LABELS | dict(classes=tuple(LABELS['classes']))))
        for check in (
            lambda: NumClassesHook().before_train(training),  # noqa: B023
            lambda: NumClassesHook().after_load_checkpoint(testing, checkpoint),  # noqa: B023
        ):
            if fits:
                check()
            else:
                with pytest.raises(DataError, match=rf'of the {next(iter(change))} .* scored as each other'):
                    check()
    # Released weights say nothing.
    NumClassesHook().after_load_checkpoint(testing, dict(state_dict={}))
