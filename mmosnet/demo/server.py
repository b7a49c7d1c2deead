"""Server of the page. By default only this machine reaches it, and it sends no requests to other hosts."""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mmengine.logging import MMLogger

from mmosnet.demo.pictures import MAX_BYTES, read_uploaded
from mmosnet.demo.search import PersonSearch
from mmosnet.errors import DataError, need

if TYPE_CHECKING:
    from gradio import Blocks
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CSS = Path(__file__).with_name('page.css')
LOOPBACK = '127.0.0.1'
# With these the browser sends no requests to other hosts, whatever the page contains.
SECURITY_HEADERS = {
    b'content-security-policy': b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'",
    b'referrer-policy': b'no-referrer',
    b'x-content-type-options': b'nosniff',
}
# Paths that the page requests. Gradio has a hundred more, some of which download from any address or run code from a
# request.
API = '/gradio_api/'
READ = {'/', '/config', '/theme.css', '/favicon.ico', '/manifest.json', '/robots.txt'}
READ |= {API + name for name in ('theme.css', 'startup-events', 'app_id', 'info', 'queue/data', 'upload_progress')}
READ_BELOW = ('/assets/', '/static/', '/svelte/', f'{API}heartbeat/', f'{API}file=/')
WRITTEN = {API + name for name in ('queue/join', 'upload', 'cancel', 'reset')}
# Largest number of visitors whose state is kept, 0.3 MB each besides their results. The state of the visitor whose last
# request is oldest is dropped first.
MOST_VISITORS = 100
# Largest size of all uploads together, in bytes.
MOST_UPLOADS = 2**30


class OwnFilesOnly:
    """ASGI middleware that sets the headers above and refuses all requests that the page itself does not make.

    Args:
        app: The application that answers.
        hosts: Names by which the page may be reached; None for any. Without this check, pages of other sites could
            reach this one in their visitor's browser, by a name of their own for the loopback address.
        uploads: Folder of the uploaded files.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None, uploads: Path) -> None:
        self.app = app
        self.hosts = hosts
        self.uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope['type'] != 'http':
            await self.app(scope, receive, send)
            return

        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message['type'] == 'http.response.start':
                started = True
                message = dict(message, headers=[*message.get('headers', []), *SECURITY_HEADERS.items()])
            await send(message)

        async def refuse(status: HTTPStatus) -> None:
            await send_with_headers({'type': 'http.response.start', 'status': status, 'headers': []})
            await send({'type': 'http.response.body', 'body': b''})

        if self._is_foreign(scope) or not _is_of_the_page(scope):
            await refuse(HTTPStatus.FORBIDDEN)
        elif scope['path'] == f'{API}upload' and _bytes_in(self.uploads) > MOST_UPLOADS:
            await refuse(HTTPStatus.TOO_MANY_REQUESTS)
        else:
            try:
                await self.app(scope, receive, send_with_headers)
            except (KeyError, OSError) as e:
                # A request of a function that the page does not have, or an upload onto a full disk.
                MMLogger.get_current_instance().warning(f'refused {scope["method"]} {scope["path"]!r}: {e!r}')
                if not started:
                    await refuse(HTTPStatus.INSUFFICIENT_STORAGE if isinstance(e, OSError) else HTTPStatus.BAD_REQUEST)

    def _is_foreign(self, scope: Scope) -> bool:
        headers = dict(scope['headers'])
        host, origin = (headers.get(name, b'').decode('latin-1') for name in (b'host', b'origin'))
        try:
            # Forms of other sites send their origin.
            if origin and urlsplit(origin).netloc.lower() != host.lower():
                return True
            return self.hosts is not None and urlsplit(f'//{host}').hostname not in self.hosts
        except ValueError:
            return True


def _is_of_the_page(scope: Scope) -> bool:
    path = scope['path']
    if scope['method'] == 'POST':
        return path in WRITTEN
    return scope['method'] in ('GET', 'HEAD') and (path in READ or path.startswith(READ_BELOW))


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())


@contextmanager
def served(
    search: PersonSearch, examples: Sequence[str] = (), model: str = '', host: str = LOOPBACK, port: int = 7860
) -> Iterator[str]:
    """Serve the page while the ``with`` block runs.

    Args:
        search: Model and gallery (:func:`~mmosnet.demo.search.open_search`).
        examples: Paths of pictures to try.
        model: Name of the model, for the page's line on the weights.
        host: Address to listen at. Only this machine reaches the loopback address.
        port: Port to listen at; 0 for any that is free.

    Yields:
        The address of the page.

    Raises:
        DataError: Gradio is not installed, the port is in use, or this machine has no such address.
    """
    with tempfile.TemporaryDirectory(prefix='mmosnet-demo-') as uploads, _environment(uploads, host):
        need('gradio', 'demo')
        from mmosnet.demo.page import Page

        blocks = Page(search, uploads, [read_uploaded(path) for path in examples], model).build()
        address = _launch(blocks, host, port, Path(uploads))
        try:
            yield address
        finally:
            blocks.close(verbose=False)


@contextmanager
def _environment(uploads: str, host: str) -> Iterator[None]:
    """Set variables for Gradio, and hide all its others: they can open folders, tunnels and ports."""
    proxies = ('NO_PROXY', 'no_proxy')
    previous = {name: value for name, value in os.environ.items() if name.startswith('GRADIO_') or name in proxies}
    ignored = sorted(previous.keys() - {*proxies, 'GRADIO_ANALYTICS_ENABLED', 'GRADIO_TEMP_DIR'})
    if ignored:
        MMLogger.get_current_instance().warning(f'ignored in the environment: {", ".join(ignored)}')
    # Gradio requests its own page once, and a proxy could not reach it.
    direct = ','.join(filter(None, (previous.get('no_proxy') or previous.get('NO_PROXY'), 'localhost', LOOPBACK, host)))
    # Set before Gradio is imported, which would otherwise report its start to its makers.
    changed = dict(GRADIO_ANALYTICS_ENABLED='False', GRADIO_TEMP_DIR=uploads, NO_PROXY=direct, no_proxy=direct)
    for name in ignored:
        del os.environ[name]
    os.environ.update(changed)
    try:
        yield
    finally:
        for name in changed:
            os.environ.pop(name, None)
        os.environ.update(previous)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def _launch(blocks: Blocks, host: str, port: int, uploads: Path) -> str:
    import gradio as gr
    from starlette.middleware import Middleware

    hosts = (LOOPBACK, 'localhost', '::1', host) if is_loopback(host) else None
    middleware = [Middleware(OwnFilesOnly, hosts=hosts, uploads=uploads)]
    try:
        _, address, _ = blocks.queue(default_concurrency_limit=4, max_size=32).launch(
            # Gradio takes IPv6 addresses in brackets.
            server_name=f'[{host}]' if ':' in host else host,
            server_port=port or _free_port(host),
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            max_file_size=MAX_BYTES,
            allowed_paths=[],
            state_session_capacity=MOST_VISITORS,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            run_history=False,
            pwa=False,
            footer_links=[],
            theme=gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace']),
            css_paths=CSS,
            app_kwargs=dict(middleware=middleware, docs_url=None, redoc_url=None, openapi_url=None),
        )
    except (OSError, OverflowError) as e:
        raise DataError(f'cannot listen at {host}:{port} ({e}): take another --port, or --host') from e
    return address


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET) as listener:
        listener.bind((host, 0))
        return listener.getsockname()[1]
