import http.server
import os
import threading

import numpy as np
import pytest
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from mmosnet.engine.safe_checkpoint import install_safe_checkpoints
from mmosnet.errors import DataError
from mmosnet.models.checkpoints import load_checkpoint


@pytest.fixture(params=['ours', 'mmengine'])
def load(request):
    """Our loader, and mmengine's after it was made safe."""
    if request.param == 'ours':
        return lambda path: load_checkpoint(path, map_location='cpu')
    install_safe_checkpoints()
    return lambda path: CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


class Hostile:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_training_state_loads(tmp_path, load):
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    torch.save(dict(log=history, eta=np.float64(3), step=np.int64(2), state_dict={}), tmp_path / 'a.pth')
    loaded = load(tmp_path / 'a.pth')
    assert loaded['log'].mean() == 1.5
    assert loaded['eta'] == 3


def test_hostile_local_file_is_refused(tmp_path, load):
    mark = tmp_path / 'mark'
    torch.save(dict(state_dict=Hostile(os.mkdir, str(mark))), tmp_path / 'a.pth')
    with pytest.raises(DataError, match=r'a\.pth was not loaded: it names \w+\.mkdir') as error:
        load(tmp_path / 'a.pth')
    # torch's text recommends to load it without protection.
    assert 'weights_only' not in str(error.value)
    assert not mark.exists()


def test_getattr_reaches_nothing_but_the_log_history(tmp_path, load):
    torch.save(Hostile(getattr, torch.Tensor, '__init__'), tmp_path / 'a.pth')
    with pytest.raises(DataError):
        load(tmp_path / 'a.pth')
    torch.save(Hostile(getattr, HistoryBuffer, '__init__'), tmp_path / 'b.pth')
    with pytest.raises(DataError, match='refusing getattr'):
        load(tmp_path / 'b.pth')


def test_python_text_in_the_checkpoint_is_dropped(tmp_path, load):
    # Runner.resume would execute it, although the file holds weights only.
    text = f'x = __import__("os").mkdir({str(tmp_path / "mark")!r})'
    torch.save(dict(meta=dict(config=text, epoch=1), state_dict={}), tmp_path / 'a.pth')
    assert load(tmp_path / 'a.pth')['meta'] == dict(epoch=1)


@pytest.fixture
def server(tmp_path):
    """The test's folder, on the loopback interface."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path / 'web'))

        def log_message(self, *arguments):
            pass

    (tmp_path / 'web').mkdir()
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{httpd.server_port}'
        httpd.shutdown()


def test_hostile_file_from_the_web_is_refused(tmp_path, server, monkeypatch, load):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    mark = tmp_path / 'mark'
    torch.save(dict(state_dict=Hostile(os.mkdir, str(mark))), tmp_path / 'web' / 'bad.pth')
    torch.save(dict(meta=dict(config='1'), state_dict=dict(w=torch.ones(2))), tmp_path / 'web' / 'good.pth')
    with pytest.raises(DataError):
        load(f'{server}/bad.pth')
    assert not mark.exists()
    good = load(f'{server}/good.pth')
    assert good['state_dict']['w'].tolist() == [1, 1]
    assert good['meta'] == {}


def test_damaged_downloads_are_not_kept_and_damage_in_the_cache_is_named(tmp_path, server, monkeypatch, load):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    cache = tmp_path / 'cache' / 'hub' / 'checkpoints'
    torch.save(dict(w=torch.ones(100)), tmp_path / 'web' / 'a.pth')
    torch.save(dict(w=torch.ones(100)), tmp_path / 'web' / 'old.pth', _use_new_zipfile_serialization=False)
    (tmp_path / 'web' / 'page.pth').write_text('<html>Sign in</html>')
    for name in ('a', 'old'):
        content = (tmp_path / 'web' / f'{name}.pth').read_bytes()
        (tmp_path / 'web' / f'half_{name}.pth').write_bytes(content[:-300])
    for name, named in dict(half_a='', half_old='', page='web page', none='404').items():
        with pytest.raises(DataError, match=f'{server}/{name}.pth.*{named}'):
            load(f'{server}/{name}.pth')
    assert list(cache.iterdir()) == []
    assert load(f'{server}/a.pth')['w'].sum() == 100
    (cached,) = cache.iterdir()
    content = bytearray(cached.read_bytes())
    content[content.index(torch.ones(100).numpy().tobytes())] ^= 1
    cached.write_bytes(content)
    with pytest.raises(DataError, match=f'{cached}.*delete it'):
        load(f'{server}/a.pth')


def test_hostile_file_of_a_scheme_of_mmengines_is_refused(tmp_path, monkeypatch, load):
    # openmmlab:// names files below this folder.
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    (tmp_path / 'open_mmlab.json').write_text('{"bad": "bad.pth", "good": "good.pth"}')
    mark = tmp_path / 'mark'
    torch.save(dict(state_dict=Hostile(os.mkdir, str(mark))), tmp_path / 'bad.pth')
    torch.save(dict(log=HistoryBuffer([1.0], [1]), state_dict={}), tmp_path / 'good.pth')
    with pytest.raises(DataError, match='mkdir'):
        load('openmmlab://bad')
    assert not mark.exists()
    assert load('openmmlab://good')['log'].mean() == 1


@pytest.mark.parametrize('name', ['load_from_local', '_safe_torch_load'])
def test_no_function_of_mmengines_is_left_unsafe(tmp_path, name):
    install_safe_checkpoints()
    function = getattr(mmengine_checkpoint, name, None)
    if function is None:
        pytest.skip(f'a function of the forks: {name}')
    mark = tmp_path / 'mark'
    torch.save(dict(state_dict=Hostile(os.mkdir, str(mark))), tmp_path / 'a.pth')
    with pytest.raises(Exception, match='mkdir'):
        function(str(tmp_path / 'a.pth'), map_location='cpu')
    assert not mark.exists()


def test_installing_twice_changes_nothing():
    install_safe_checkpoints()
    before = dict(vars(mmengine_checkpoint)), dict(CheckpointLoader._schemes), CheckpointLoader.load_checkpoint
    install_safe_checkpoints()
    after = dict(vars(mmengine_checkpoint)), dict(CheckpointLoader._schemes), CheckpointLoader.load_checkpoint
    assert before == after
