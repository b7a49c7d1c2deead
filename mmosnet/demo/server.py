"""Serves the page: to this machine alone unless told otherwise, from a temporary folder, without other hosts."""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mmosnet.demo.person_search import PersonSearch
from mmosnet.demo.uploaded_image import MAX_BYTES
from mmosnet.errors import DataError
from mmosnet.optional_package import need

if TYPE_CHECKING:
    from gradio import Blocks
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CSS = Path(__file__).with_name('page.css')
LOOPBACK = '127.0.0.1'
# The browser asks nobody else, whatever the page contains.
SECURITY_HEADERS = {
    b'content-security-policy': b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'",
    b'referrer-policy': b'no-referrer',
    b'x-content-type-options': b'nosniff',
}
# Of Gradio's routes: those that fetch what an address names. The page needs none.
FETCHING = ('/proxy=', '/file=http:', '/file=https:', '/file/http:', '/file/https:')


class OwnFilesOnly:
    """ASGI middleware: sets the headers above, and refuses routes by which Gradio would fetch from other hosts.

    Args:
        app: What answers.
        hosts: Names by which the page may be reached; None for any. Pages of other sites could otherwise reach this one
            in their visitor's browser, by a name of theirs for the loopback address.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope['type'] != 'http':
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message['type'] == 'http.response.start':
                message = dict(message, headers=[*message.get('headers', []), *SECURITY_HEADERS.items()])
            await send(message)

        if self._is_foreign(scope) or any(route in scope['path'].lower() for route in FETCHING):
            await send_with_headers({'type': 'http.response.start', 'status': 403, 'headers': []})
            await send({'type': 'http.response.body', 'body': b''})
        else:
            await self.app(scope, receive, send_with_headers)

    def _is_foreign(self, scope: Scope) -> bool:
        headers = dict(scope['headers'])
        host, origin = (headers.get(name, b'').decode('latin-1') for name in (b'host', b'origin'))
        try:
            # Forms of other sites come with their origin.
            if origin and urlsplit(origin).netloc.lower() != host.lower():
                return True
            return self.hosts is not None and urlsplit(f'//{host}').hostname not in self.hosts
        except ValueError:
            return True


@contextmanager
def served(
    search: PersonSearch, examples: Sequence[str] = (), about: str = '', host: str = LOOPBACK, port: int = 7860
) -> Iterator[str]:
    """Serve the page while the ``with`` block runs.

    Args:
        search: Model and gallery.
        examples: Paths of pictures to try.
        about: A line on model and gallery, for the page.
        host: Address to listen at; the loopback one is reached from this machine alone.
        port: To listen at; 0 for any that is free.

    Yields:
        The page's address.

    Raises:
        DataError: Gradio is not installed, the port is taken, or no such address here.
    """
    # Before Gradio is imported, which reports its start otherwise.
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    with tempfile.TemporaryDirectory(prefix='mmosnet-demo-') as uploads:
        previous = {name: os.environ.get(name) for name in ('GRADIO_TEMP_DIR', 'NO_PROXY', 'no_proxy')}
        # Gradio asks for its own page, which no proxy has.
        direct = ','.join(filter(None, (previous['no_proxy'] or previous['NO_PROXY'], 'localhost', LOOPBACK, host)))
        os.environ.update(GRADIO_TEMP_DIR=uploads, NO_PROXY=direct, no_proxy=direct)
        try:
            need('gradio', 'demo')
            from mmosnet.demo.page import Page

            blocks = Page(search, uploads).build(examples, about)
            address = _launch(blocks, host, port)
            try:
                yield address
            finally:
                blocks.close(verbose=False)
        finally:
            for name, value in previous.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def _launch(blocks: Blocks, host: str, port: int) -> str:
    import gradio as gr
    from starlette.middleware import Middleware

    hosts = (LOOPBACK, 'localhost', '::1', host) if is_loopback(host) else None
    middleware = [Middleware(OwnFilesOnly, hosts=hosts)]
    try:
        _, address, _ = blocks.queue(default_concurrency_limit=4, max_size=32).launch(
            # Gradio wants them as in an address.
            server_name=f'[{host}]' if ':' in host else host,
            server_port=port or _free_port(host),
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            max_file_size=MAX_BYTES,
            allowed_paths=[],
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
