import os
import pickle

import pytest
import torch

from mmosnet.errors import DataError
from mmosnet.models.checkpoint_file import read_checkpoint, read_state_dict

STATE = {'module.a.weight': torch.ones(2, 3)}


@pytest.mark.parametrize('wrapped', [False, True])
def test_weights_come_without_prefix(tmp_path, wrapped):
    torch.save(dict(state_dict=STATE, epoch=3) if wrapped else STATE, tmp_path / 'a.pth')
    state = read_state_dict(str(tmp_path / 'a.pth'))
    assert list(state) == ['a.weight'] and torch.equal(state['a.weight'], torch.ones(2, 3))


def test_what_the_training_data_said_of_itself_comes_too(tmp_path):
    said = dict(attributes=['hat', 'bag'], classes=('x', 'y'), pos_ratio=[0.1, 0.5], num_train_pids=6)
    for name, meta, expected in (
        ('a', dict(dataset_meta=said), said),
        ('b', dict(dataset_meta=None), {}),
        ('c', 3, {}),
    ):
        torch.save(dict(state_dict=STATE, meta=meta), tmp_path / f'{name}.pth')
        found = read_checkpoint(str(tmp_path / f'{name}.pth'))
        assert found.dataset_meta == expected and list(found.state) == ['a.weight']
    torch.save(STATE, tmp_path / 'plain.pth')
    assert read_checkpoint(str(tmp_path / 'plain.pth')).dataset_meta == {}


class Call:
    def __reduce__(self):
        return os.system, ('true',)


def damaged_files(folder):
    torch.save(STATE, folder / 'good.pth')
    whole = (folder / 'good.pth').read_bytes()
    (folder / 'truncated.pth').write_bytes(whole[: len(whole) // 2])
    torch.save(STATE, folder / 'old.pth', _use_new_zipfile_serialization=False)
    old = (folder / 'old.pth').read_bytes()
    (folder / 'truncated_old.pth').write_bytes(old[: len(old) // 2])
    (folder / 'empty.pth').write_bytes(b'')
    (folder / 'text.pth').write_text('Not Found')
    (folder / 'zeros.pth').write_bytes(bytes(1000))
    torch.save(dict(state_dict=Call()), folder / 'call.pth')
    (folder / 'pickle.pth').write_bytes(pickle.dumps(Call()))
    torch.save([torch.ones(1)], folder / 'list.pth')
    torch.save(torch.ones(1), folder / 'tensor.pth')
    torch.save(dict(state_dict=None), folder / 'none.pth')
    torch.save({1: torch.ones(1)}, folder / 'numbers.pth')
    torch.save({'a': 0.5}, folder / 'number.pth')
    torch.save({}, folder / 'nothing.pth')


NAMES = (
    *('truncated', 'truncated_old', 'empty', 'text', 'zeros', 'call', 'pickle'),
    *('list', 'tensor', 'none', 'numbers', 'number', 'nothing'),
)


@pytest.mark.parametrize('name', NAMES)
def test_every_damage_is_one_line_with_the_file_and_no_bad_advice(tmp_path, name):
    damaged_files(tmp_path)
    with pytest.raises(DataError) as error:
        read_state_dict(str(tmp_path / f'{name}.pth'))
    text = str(error.value)
    assert text.startswith(str(tmp_path / f'{name}.pth')) and '\n' not in text
    assert 'weights_only' not in text and 'add_safe_globals' not in text
    if name == 'call':
        assert 'system' in text


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='missing'):
        read_state_dict(str(tmp_path / 'missing.pth'))
