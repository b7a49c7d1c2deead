from types import SimpleNamespace

import pytest
from mmengine import runner as loops
from mmpretrain.models import LinearClsHead, MultiLabelLinearClsHead
from torch.utils.data import DataLoader, Dataset

from mmosnet.datasets import BalancedSampler, PKSampler
from mmosnet.engine import NumClassesHook
from mmosnet.engine.num_classes_hook import check_batches
from mmosnet.errors import DataError
from mmosnet.models import JointHead, ReIDHead

LABELS = dict(num_train_pids=35, attributes=['hat', 'bag'], classes=['bench', 'car', 'dog'])


def run(head, **metainfo):
    dataset = SimpleNamespace(metainfo=metainfo)
    loader = SimpleNamespace(dataset=dataset)
    runner = SimpleNamespace(model=SimpleNamespace(head=head), train_dataloader=loader, logger=None)
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


@pytest.mark.parametrize(
    ('head', 'labels'), [(ReIDHead(1), dict(num_train_pids=1)), (LinearClsHead(1, 8), dict(classes=['car']))]
)
def test_a_single_class_teaches_nothing(head, labels):
    with pytest.raises(DataError, match='1 of the'):
        run(head, **labels)


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
            logger=None,
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


class People(Dataset):
    """Identities, the same number of images each."""

    def __init__(self, num_pids, images):
        self.pids = [pid for pid in range(num_pids) for _ in range(images)]

    def __len__(self):
        return len(self.pids)

    def get_data_info(self, index):
        return dict(pid=self.pids[index], camid=index % 2)


def check(dataset, batch_size, sampler=None, head=None):
    warnings = []
    loader = DataLoader(dataset, batch_size, sampler=sampler)
    check_batches(loader, head or ReIDHead(4), SimpleNamespace(warning=warnings.append))
    return warnings


def test_batches_are_those_of_the_sampler():
    people = People(4, 4)
    pk = PKSampler(people, num_pids=2, num_instances=4, seed=0)
    assert check(people, 8, pk) == check(people, 8, BalancedSampler(people, 8, seed=0)) == check(people, 3) == []
    for batch_size in (2, 4, 16):
        with pytest.raises(DataError, match=rf'batch_size={batch_size} .*num_pids=2 x num_instances=4.*batch_size=8'):
            check(people, batch_size, pk)
    with pytest.raises(DataError, match=r'batch_size=4 .*BalancedSampler batch_size=8'):
        check(people, 4, BalancedSampler(people, 8, seed=0))


def test_a_triplet_loss_needs_positives():
    triplet = ReIDHead(4, metric_loss=dict(type='mmosnet.TripletLoss'))
    people = People(4, 4)
    assert check(people, 8, PKSampler(people, 2, 4, seed=0), triplet) == check(people, 8, head=triplet) == []
    for data, batch_size, sampler in (
        (people, 4, PKSampler(people, 4, 1, seed=0)),
        (people, 1, None),
        (People(16, 1), 8, None),
    ):
        with pytest.raises(DataError, match=f'batch of {batch_size}'):
            check(data, batch_size, sampler, triplet)
    # 100 people with 10 images each: 31 others of 999, 9 of them good: 1 - (990 / 999) ** 31 = 24 %.
    (warning,) = check(People(100, 10), 32, head=triplet)
    assert '24%' in warning and 'PKSampler' in warning
    assert check(People(100, 10), 32) == []
