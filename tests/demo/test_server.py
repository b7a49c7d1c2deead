"""The server gives its page and its own files to this machine, and nothing else."""

import gc
import json
import os
import re
import socket
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from gradio.state_holder import StateHolder

from mmosnet.demo.pictures import MAX_BYTES
from mmosnet.demo.server import MOST_VISITORS, is_loopback, served
from mmosnet.errors import DataError
from tests.conftest import full_disk


def ask(address: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes, dict]:
    """Status, body and headers."""
    try:
        with urlopen(Request(address, data, headers), timeout=30) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except HTTPError as e:
        return e.code, e.read(), dict(e.headers)


def upload(address: str, name: str, data: bytes) -> tuple[int, bytes, dict]:
    head = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    body = head + data + b'\r\n--b--\r\n'
    return ask(f'{address}/gradio_api/upload', body, **{'Content-Type': 'multipart/form-data; boundary=b'})


def test_the_page_names_no_other_host(address):
    status, body, headers = ask(address)
    assert status == 200 and b'mmosnet' in body
    policy = headers['content-security-policy']
    assert policy.startswith("default-src 'self'") and 'http' not in policy and "frame-ancestors 'none'" in policy
    config = json.loads(ask(f'{address}/config')[1])
    assert config['analytics_enabled'] is False and not config.get('is_space')
    assert config['max_file_size'] == MAX_BYTES
    # Nothing to be called but by the page itself, and no path of this machine's.
    assert {dependency['api_visibility'] for dependency in config['dependencies']} <= {'private'}


def test_files_are_not_served(address, drawn, tmp_path):
    _, examples, folder = drawn
    (tmp_path / 'private.txt').write_text('hidden words')
    paths = ['/etc/passwd', 'README.md', 'setup.cfg', '../../../../etc/passwd', '%2e%2e/%2e%2e/etc/passwd']
    paths += [tmp_path / 'private.txt', examples[0], *folder.glob('gallery-*/*'), Path(__file__), '/proc/self/environ']
    for path in paths:
        for route in ('file=', 'file/'):
            status, body, _ = ask(f'{address}/gradio_api/{route}{path}')
            assert status in (403, 404), (route, path)
            assert b'root:' not in body and b'hidden words' not in body
    for route in ('static/../../../setup.cfg', 'assets/..%2f..%2fsetup.cfg', 'custom_component/x/y/..%2f..%2fz'):
        assert ask(f'{address}/{route}')[0] in (403, 404)


def test_nothing_is_fetched_for_others(address):
    with socket.create_server((('127.0.0.1'), 0)) as listener:
        listener.settimeout(0.5)
        target = f'http://127.0.0.1:{listener.getsockname()[1]}/'
        for route in ('file=', 'proxy=', 'file/'):
            assert ask(f'{address}/gradio_api/{route}{target}')[0] == 403
        with pytest.raises(TimeoutError):
            listener.accept()


def test_uploads_are_limited_and_live_in_one_folder(address):
    assert upload(address, 'large.png', bytes(MAX_BYTES + 1))[0] == 413
    status, body, _ = upload(address, '../../../escaped.png', b'text')
    (path,) = json.loads(body)
    assert status == 200 and 'mmosnet-demo-' in path and '..' not in path and Path(path).read_bytes() == b'text'


def test_uploads_are_deleted_in_the_end(drawn):
    before = os.environ.get('GRADIO_TEMP_DIR')
    with served(drawn[0], port=0) as address:
        (path,) = json.loads(upload(address.rstrip('/'), 'a.png', b'text')[1])
        assert Path(path).exists()
    assert not Path(path).parents[1].exists() and os.environ.get('GRADIO_TEMP_DIR') == before


def call(address: str, function: int, data: list, visitor: str = 'test') -> str:
    """Press a button by hand: everything that the server says."""
    request = dict(data=data, fn_index=function, session_hash=visitor)
    join = ask(f'{address}/gradio_api/queue/join', json.dumps(request).encode(), **{'Content-Type': 'application/json'})
    if join[0] != 200:
        return join[1].decode()
    return ask(f'{address}/gradio_api/queue/data?session_hash={visitor}')[1].decode()


def test_paths_in_a_request_are_refused(address, drawn):
    config = json.loads(ask(f'{address}/config')[1])
    (find,) = (d for d in config['dependencies'] if len(d['outputs']) == 4)
    for path in ('/etc/passwd', drawn[1][0], 'http://127.0.0.1:1/a.png'):
        answer = call(address, find['id'], [dict(path=path, meta=dict(_type='gradio.FileData')), 10, '', None])
        assert 'mm-card' not in answer and 'root:' not in answer
        assert '"success":false' in answer or 'mm-alert' in answer, answer


def test_clicks_by_hand(address):
    """Send clicks on any picture, or none: a request may name what it wants."""
    config = json.loads(ask(f'{address}/config')[1])
    clicks = [d['id'] for d in config['dependencies'] if len(d['outputs']) > 4]
    assert len(clicks) == 3
    events = [None, {}, [], *(dict(number=number) for number in ('x', -1, '9' * 5000, '/etc/passwd', [0], 17))]
    for function in clicks:
        for event in events:
            request = dict(data=[10, ''], fn_index=function, session_hash='clicks', event_data=event)
            head = {'Content-Type': 'application/json'}
            assert ask(f'{address}/gradio_api/queue/join', json.dumps(request).encode(), **head)[0] == 200
            answer = ask(f'{address}/gradio_api/queue/data?session_hash=clicks')[1].decode()
            assert 'root:' not in answer and 'Traceback' not in answer
            assert 'mm-alert' in answer or 'mm-card' in answer, (function, event)


def test_foreign_calls_are_the_callers_mistake(address):
    bodies = [b'', b'{}', b'[]', b'nonsense', b'[' * 50_000, b'{"data": 1}', b'{"data": [], "fn_index": 0}']
    calls = [dict(data=[None] * 4, fn_index=number, session_hash=hash) for number in (-1, 3, 99, 'a') for hash in 'sz']
    bodies += [json.dumps(call).encode() for call in calls]
    routes = ['run/predict', 'api/x', 'call/x', 'call/v2/x', 'queue/join', 'cancel', 'reset', 'stream/x', 'upload']
    routes += [
        'process_recording',
        'component_server',
        'vibe-edit/',
        'call/x/y',
        'queue/data',
        'upload_progress?upload_id=x',
    ]
    for route in routes:
        answers = [
            ask(f'{address}/gradio_api/{route}', body, **{'Content-Type': 'application/json'}) for body in bodies
        ]
        assert {status // 100 for status, _, _ in answers} <= {2, 4}, route
    for route in ('gradio_api/run/x', 'gradio_api/call/x/y', 'gradio_api/runs', 'monitoring/x', 'gradio_api/file=x'):
        assert ask(f'{address}/{route}')[0] == 403, route


def test_too_many_uploads(address, monkeypatch):
    upload(address, 'a.png', bytes(100))
    monkeypatch.setattr('mmosnet.demo.server.MOST_UPLOADS', 99)
    assert upload(address, 'a.png', bytes(100))[0] == 429


def test_an_upload_onto_a_full_disk(address):
    with full_disk(5000):
        assert upload(address, 'a.png', bytes(100_000))[0] == 507
    assert upload(address, 'a.png', bytes(100_000))[0] == 200


def test_visitors_are_forgotten(drawn, monkeypatch):
    # A server of its own: the visitors of other tests would count.
    with served(drawn[0], port=0) as address:
        forget_visitors(address.rstrip('/'), drawn[1][0], monkeypatch)


def forget_visitors(address, example, monkeypatch):
    config = json.loads(ask(f'{address}/config')[1])
    (find,) = (d for d in config['dependencies'] if len(d['outputs']) == 4)
    (path,) = json.loads(upload(address, 'a.jpg', Path(example).read_bytes())[1])
    image = dict(path=path, meta=dict(_type='gradio.FileData'))
    assert 'mm-card' in call(address, find['id'], [image, 10, '', None], 'visitor0')
    holder = next(o for o in gc.get_objects() if isinstance(o, StateHolder) and 'visitor0' in o.session_data)
    assert holder.capacity == MOST_VISITORS
    monkeypatch.setattr(holder, 'capacity', 3)
    # Gradio takes one away for each that comes.
    for visitor in range(1, 6):
        assert 'mm-card' in call(address, find['id'], [image, 10, '', None], f'visitor{visitor}')
    assert 'visitor0' not in holder.session_data and 'visitor5' in holder.session_data


def test_the_environment_opens_nothing(drawn, tmp_path, monkeypatch):
    (tmp_path / 'private.txt').write_text('hidden words')
    for name, value in (('GRADIO_ALLOWED_PATHS', str(tmp_path)), ('GRADIO_MCP_SERVER', 'true'), ('GRADIO_SHARE', '1')):
        monkeypatch.setenv(name, value)
    with served(drawn[0], port=0) as address:
        assert 'GRADIO_ALLOWED_PATHS' not in os.environ
        for route in ('file=', 'file/'):
            status, body, _ = ask(f'{address}gradio_api/{route}{tmp_path}/private.txt')
            assert status == 403 and b'hidden' not in body
        assert ask(f'{address}gradio_api/mcp/')[0] == 403
    assert os.environ['GRADIO_ALLOWED_PATHS'] == str(tmp_path)


def test_other_names_for_this_machine_are_refused(address):
    port = urlsplit(address).port
    assert ask(address, Host=f'localhost:{port}')[0] == 200
    for name in (f'attacker.example:{port}', 'attacker.example', f'127.0.0.1.example:{port}', '[', ''):
        assert ask(address, Host=name)[0] == 403, name


def test_forms_of_other_sites_are_refused(address):
    head = {'Content-Type': 'multipart/form-data; boundary=b'}
    body = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\ntext\r\n--b--\r\n'
    for origin, status in ((address, 200), ('https://attacker.example', 403), ('null', 403)):
        assert ask(f'{address}/gradio_api/upload', body, Origin=origin, **head)[0] == status, origin


def test_addresses_in_a_request_are_not_fetched(address, monkeypatch):
    fetched = []

    async def fetch(url, *args, **kwargs):
        fetched.append(url)
        raise OSError('fetched')

    monkeypatch.setattr('gradio.processing_utils.async_ssrf_protected_download', fetch)
    config = json.loads(ask(f'{address}/config')[1])
    (find,) = (d for d in config['dependencies'] if len(d['outputs']) == 4)
    image = dict(path='http://pictures.example/a.png', meta=dict(_type='gradio.FileData'))
    assert '"success":false' in call(address, find['id'], [image, 10, '', None])
    assert fetched == []


def test_a_port_that_cannot_be(drawn):
    with pytest.raises(DataError, match='another --port'), served(drawn[0], port=99999):
        pass


def test_loopback_by_default(address):
    assert re.fullmatch(r'http://127\.0\.0\.1:\d+', address)
    assert [is_loopback(host) for host in ('127.0.0.1', '::1', 'localhost', '0.0.0.0', '192.168.1.2', 'a.example')] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_taken_port(drawn):
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(DataError, match=rf'cannot listen at 127\.0\.0\.1:{port}'), served(drawn[0], port=port):
            pass


def test_without_gradio(drawn, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'gradio', None)
    with pytest.raises(DataError, match='gradio cannot be imported'), served(drawn[0], port=0):
        pass
