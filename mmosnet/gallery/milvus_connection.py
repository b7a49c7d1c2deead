"""The address of a Milvus collection, and the connection to it: Milvus Lite in this process, or a server."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from mmosnet.errors import DataError, need

if TYPE_CHECKING:
    from pymilvus import MilvusClient
    from pymilvus.exceptions import MilvusException

Result = TypeVar('Result')
TOKEN_VARIABLE = 'MMOSNET_MILVUS_TOKEN'
COLLECTION = 'mmosnet'
# Seconds until a server counts as unreachable.
CONNECT_TIMEOUT = 10.0
# Seconds for which a call is repeated while a server starts; the first pause between two calls, and the longest.
RESTART_TIMEOUT, PAUSE, LONGEST_PAUSE = 60.0, 0.2, 5.0
# Codes of a server that starts: unavailable; a collection not loaded, not fully loaded, recovering; its partitions,
# channels or segments likewise; a missing node.
STARTING = frozenset({2, 101, 103, 106, 201, 202, 500, 501, 503, 600, 601, 901, 902})
# Words in messages of a server that starts, if the code is a general one.
STARTING_WORDS = ('not loaded', 'not fully loaded', 'not ready', 'recovering')
# Milvus Lite runs in this process: no proxy lies between, and no keepalive pings are sent, which it would take for an
# attack and end the connection.
GRPC_OPTIONS = {'grpc.enable_http_proxy': 0, 'grpc.keepalive_time_ms': 2**31 - 1}
# Valid names of collections.
NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]{0,254}')

# Number of connections to each file: Milvus Lite keeps a file locked for other processes until it is released.
_users: Counter[Path] = Counter()
_users_lock = threading.Lock()


def keeps_milvus(uri: str) -> bool:
    """Return whether a gallery's place is a Milvus address, not a folder."""
    return uri.startswith(('http://', 'https://')) or uri.partition('#')[0].endswith('.db')


@dataclass(frozen=True)
class MilvusAddress:
    """The address of a collection.

    Attributes:
        place: A file ``NAME.db`` of Milvus Lite, or ``http(s)://HOST:PORT``, with ``/DATABASE`` for another database
            than the default one.
        collection: Name of the collection.
    """

    place: str
    collection: str = COLLECTION

    @classmethod
    def of(cls, uri: str) -> MilvusAddress:
        """Parse ``PLACE`` or ``PLACE#COLLECTION``.

        Raises:
            DataError: A name that Milvus does not take, or a password in the address.
        """
        place, mark, collection = uri.partition('#')
        collection = collection if mark else COLLECTION
        if not NAME.fullmatch(collection):
            raise DataError(f'{uri}: a collection {collection!r}: give letters, digits and underscores after the #')
        if '@' in urlsplit(place).netloc:
            # The message does not repeat the address, because messages are logged.
            raise DataError(f'an address with a password: set the environment variable {TOKEN_VARIABLE}=USER:PASSWORD')
        return cls(place, collection)

    @property
    def is_embedded(self) -> bool:
        """Whether Milvus Lite runs in this process."""
        return self.place.endswith('.db')

    @property
    def path(self) -> Path:
        """File of Milvus Lite."""
        return Path(os.path.abspath(self.place))


def connect(address: MilvusAddress) -> MilvusClient:
    """Open a connection; :func:`disconnect` ends it.

    Raises:
        DataError: pymilvus or Milvus Lite is missing, the server cannot be reached or refuses the token, or the file is
            damaged or open in another process.
    """
    pymilvus = need('pymilvus', 'milvus')
    # pymilvus logs each error that it raises, with a traceback.
    logging.getLogger('pymilvus').setLevel(logging.CRITICAL)
    if not address.is_embedded:
        token = os.environ.get(TOKEN_VARIABLE, '')
        with milvus_errors(f'{address.place}: is the server up, the port that of gRPC, and {TOKEN_VARIABLE} right?'):
            return pymilvus.MilvusClient(address.place, token=token, timeout=CONNECT_TIMEOUT)
    need('milvus_lite', 'milvus')
    address.path.parent.mkdir(parents=True, exist_ok=True)
    with _users_lock, milvus_errors(address.place):
        with _startup_errors(address.place):
            client = pymilvus.MilvusClient(str(address.path), timeout=CONNECT_TIMEOUT, grpc_options=GRPC_OPTIONS)
        _users[address.path] += 1
    return client


def disconnect(client: MilvusClient, address: MilvusAddress) -> None:
    """Close a connection; closing the last one to a file lets other processes open it."""
    client.close()
    if not address.is_embedded:
        return
    from milvus_lite.server_manager import server_manager_instance

    with _users_lock:
        _users[address.path] -= 1
        if not _users[address.path]:
            server_manager_instance.release_server(str(address.path))


def retried(call: Callable[[], Result], meanwhile: Callable[[], object] | None = None, once: bool = False) -> Result:
    """Call the server; repeat the call for at most :data:`RESTART_TIMEOUT` seconds while the server starts.

    Args:
        call: Function to call.
        meanwhile: Function to call before each repetition, such as loading the collection; its errors are ignored.
        once: Whether the call must not take effect twice: then it is repeated only if the server has refused it or was
            not reached.

    Raises:
        MilvusException: The server's last answer.
    """
    from pymilvus.exceptions import MilvusException

    end, pause = time.monotonic() + RESTART_TIMEOUT, PAUSE
    while True:
        try:
            return call()
        except MilvusException as e:
            if not _is_starting(e, once) or time.monotonic() + pause > end:
                raise
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
        if meanwhile is not None:
            try:
                meanwhile()
            except MilvusException:
                # If this matters, the call fails too.
                continue


def _is_starting(error: MilvusException, once: bool) -> bool:
    """Return whether an error means that the server will soon be ready."""
    message = error.message or ''
    name = getattr(error.code, 'name', '')
    if name:
        # A gRPC code means the connection, which may have ended before or after the call took effect.
        return name == 'UNAVAILABLE' and (not once or 'failed to connect' in message)
    return error.code in STARTING or any(word in message for word in STARTING_WORDS)


@contextmanager
def milvus_errors(text: str) -> Iterator[None]:
    """Raise Milvus errors as :class:`DataError`, with a text such as the address in front."""
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except MilvusException as e:
        # Without the notes of gRPC.
        message = re.split(r', (?:channel_state|debug)=', str(e.message))[0]
        raise DataError(f'{text}: Milvus: {" ".join(message.split())}') from e


@contextmanager
def _startup_errors(place: str) -> Iterator[None]:
    """Report why Milvus Lite cannot start, which it only logs."""
    from pymilvus.exceptions import MilvusException

    causes: list[BaseException] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.exc_info:
            causes.append(record.exc_info[1])
        return not record.exc_info

    logger = logging.getLogger('milvus_lite.server_manager')
    logger.addFilter(keep)
    try:
        yield
    except MilvusException as e:
        if not causes:
            raise
        cause = causes[-1]
        if type(cause).__name__ == 'DataDirLockedError':
            raise DataError(f'{place}: open in another process, and Milvus Lite serves one at a time') from e
        raise DataError(f'{place}: Milvus Lite cannot open it ({cause}): restore it, or create the gallery anew') from e
    finally:
        logger.removeFilter(keep)
