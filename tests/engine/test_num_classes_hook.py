from types import SimpleNamespace

import pytest

from mmosnet.engine import NumClassesHook
from mmosnet.errors import DataError
from mmosnet.models import ReIDHead


def test_number_of_classes_is_checked():
    dataset = SimpleNamespace(metainfo=dict(num_train_pids=35))
    runner = SimpleNamespace(
        model=SimpleNamespace(head=ReIDHead(num_classes=751)), train_dataloader=SimpleNamespace(dataset=dataset)
    )
    with pytest.raises(DataError, match=r'35 identities and the head 751 classes.*model.head.num_classes=35'):
        NumClassesHook().before_train(runner)
    runner.model.head = ReIDHead(num_classes=35)
    NumClassesHook().before_train(runner)
