from __future__ import annotations

import os
import pickle
import random
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger

from mmosnet.errors import DataError
from mmosnet.models.checkpoints import load_file, read_checkpoint, read_state_dict

try:
    from numpy._core import multiarray
except ImportError:  # numpy < 2
    from numpy.core import multiarray

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


class Calling:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def cyclic():
    node = {}
    node['model'] = node
    return node


def doubled(levels):
    node = [1]
    for _ in range(levels):
        node = [node, node]
    return node


@pytest.mark.filterwarnings('ignore::UserWarning')
@pytest.mark.parametrize(
    ('state', 'beside'),
    [
        (STATE, Calling(multiarray._reconstruct, np.ndarray, (9 << 40,), b'b')),
        (STATE, Calling(multiarray._reconstruct, np.ndarray, (1 << 20,), b'b')),
        (STATE, Calling(multiarray._reconstruct, np.ndarray, (-1,), b'b')),
        (STATE, Calling(multiarray.scalar, Calling(np.dtype, 'V1000000'))),
        (STATE, Calling(bytearray, 9 << 40)),
        (STATE, Calling(bytearray, 1 << 20)),
        (STATE, Calling(bytearray, -1)),
        (STATE, torch.ones(1).expand(1 << 40)),
        (dict(w=torch.ones(1).expand(1 << 40)), None),
        (dict(w=torch.ones(1).as_strided((1 << 20, 2), (0, 0))), None),
        (dict(w=Calling(torch.Tensor, 9 << 40)), None),
        (dict(w=Calling(torch.Tensor, 1 << 20)), None),
        (dict(w=Calling(torch.Tensor, -3)), None),
        (dict(w=torch.eye(3).to_sparse()), None),
        (dict(w=torch.ones(3, dtype=torch.complex64)), None),
        (dict(w=torch.ones(3, device='meta')), None),
        (dict(weight=torch.tensor([1, float('nan')])), None),
        (dict(weight=torch.tensor([1, float('inf')])), None),
        (dict(w=cyclic()), None),
    ],
)
def test_claims_and_tensors_that_no_network_has_are_refused(tmp_path, state, beside):
    torch.save(dict(state_dict=state, beside=beside), tmp_path / 'a.pth')
    with pytest.raises(DataError) as error:
        read_state_dict(str(tmp_path / 'a.pth'))
    assert str(error.value).startswith(str(tmp_path / 'a.pth')) and '\n' not in str(error.value)


def test_what_only_looks_large_loads(tmp_path):
    # Lists in lists, 2 ** 60 entries if written out; a checkpoint in itself; a mask; statistics that are not known yet.
    state = {'w.weight': torch.ones(3), 'mask': torch.tensor([0, -torch.inf]), 'pos_ratio': torch.tensor([torch.nan])}
    torch.save(dict(cyclic(), state_dict=state, log=doubled(60)), tmp_path / 'a.pth')
    assert read_state_dict(str(tmp_path / 'a.pth')).keys() == state.keys()


def test_compressed_and_doubled_entries_are_refused(tmp_path):
    torch.save(STATE, tmp_path / 'a.pth')
    with zipfile.ZipFile(tmp_path / 'a.pth') as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / 'bomb.pth', 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
        archive.writestr('a/data/1', bytes(10_000_000))
    with pytest.warns(UserWarning), zipfile.ZipFile(tmp_path / 'twice.pth', 'w') as archive:
        for name, content in [*entries.items(), *entries.items()]:
            archive.writestr(name, content)
    for name in ('bomb', 'twice'):
        with pytest.raises(DataError, match=f'{name}.pth'):
            load_file(tmp_path / f'{name}.pth')


def test_an_entry_that_is_marked_as_a_folder_is_damage(tmp_path):
    """torch reads nothing of it, and gives what the memory held."""
    torch.save(STATE, tmp_path / 'a.pth')
    content = bytearray((tmp_path / 'a.pth').read_bytes())
    directory = content.index(b'PK\x01\x02')
    entry = content.rindex(b'PK\x01\x02', 0, content.index(b'/data/0', directory))
    content[entry + 38] |= 0x10
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(DataError, match='data/0'):
        load_file(tmp_path / 'a.pth')


def test_every_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    state = {'a.weight': torch.arange(600.0).reshape(20, 30), 'a.bias': torch.ones(20)}
    torch.save(dict(state_dict=state, meta=dict(epoch=3)), tmp_path / 'a.pth')
    whole = (tmp_path / 'a.pth').read_bytes()
    silent = 0
    # The directory and the ends of both sorts stand in the last kilobyte, weights before.
    for place in random.Random(0).sample(range(len(whole)), 300) + list(range(len(whole) - 300, len(whole))):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (tmp_path / 'b.pth').write_bytes(damaged)
        try:
            found = load_file(tmp_path / 'b.pth')
        except DataError:
            continue
        # Dates, versions of programs and bytes that fill up.
        silent += 1
        assert found['meta'] == dict(epoch=3), place
        assert all(torch.equal(found['state_dict'][name], value) for name, value in state.items()), place
    assert silent < 300


def test_files_without_checksums_load_with_a_word(tmp_path, monkeypatch):
    torch.save(STATE, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(STATE, tmp_path / 'unchecked.pth')
    finally:
        torch.serialization.set_crc32_options(True)
    said = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', said.append)
    for name in ('old', 'unchecked'):
        assert torch.equal(load_file(tmp_path / f'{name}.pth')['module.a.weight'], STATE['module.a.weight'])
        assert f'{name}.pth has no checksums' in said.pop()


def test_exports_are_refused_as_such(tmp_path):
    torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)).save(tmp_path / 'a.pt')
    (tmp_path / 'a.onnx').write_bytes(b'\x08\x0a')
    (tmp_path / 'page.pth').write_text('<!DOCTYPE html><html>')
    for name, named in {'a.pt': 'exported', 'a.onnx': 'exported', 'page.pth': 'web page'}.items():
        with pytest.raises(DataError, match=f'{name} .*{named}'):
            read_state_dict(str(tmp_path / name))
