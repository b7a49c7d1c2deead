"""A stand-in for the Hugging Face Hub on the loopback interface."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from mmosnet.models.torchreid import REPOSITORY, REVISION


@contextmanager
def loopback_hub(files: dict[str, bytes], sent: dict[str, bytes] | None = None) -> Iterator[tuple[str, list[str]]]:
    """Serve files of the authors' repository at its pinned commit.

    Args:
        files: Content by name; what the hub states (size, SHA-256) is computed from it.
        sent: Content that is sent instead, for files that are damaged on their way.

    Yields:
        The address, and the requests as they come, each ``METHOD name``.
    """
    requests = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def answer(self) -> None:
            prefix = f'/{REPOSITORY}/resolve/{REVISION}/'
            name = unquote(self.path).removeprefix(prefix)
            requests.append(f'{self.command} {name}')
            if not self.path.startswith(prefix) or name not in files:
                self.send_response(404)
                self.send_header('X-Error-Code', 'EntryNotFound')
                self.send_header('Content-Length', '0')
                self.end_headers()
                return
            content = (sent or files)[name]
            self.send_response(200)
            self.send_header('X-Repo-Commit', REVISION)
            self.send_header('X-Linked-Etag', f'"{hashlib.sha256(files[name]).hexdigest()}"')
            self.send_header('X-Linked-Size', str(len(files[name])))
            self.send_header('ETag', f'"{hashlib.sha256(files[name]).hexdigest()}"')
            self.send_header('Content-Length', str(len(content)))
            self.end_headers()
            if self.command == 'GET':
                self.wfile.write(content)

        do_GET = do_HEAD = answer

        def log_message(self, *arguments) -> None:
            pass

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f'http://127.0.0.1:{server.server_port}', requests
    finally:
        server.shutdown()
        server.server_close()
