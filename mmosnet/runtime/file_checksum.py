"""A checksum at the end of each exported file, of all that stands before it: a changed bit is named, not computed with.

No runtime looks for damage within weights, and a changed weight gives other embeddings under the same ``weights``
digest. The place is one that each format leaves free: an entry of ONNX's ``metadata_props``, a comment in OpenVINO's
``.xml``, the comment of TorchScript's zip archive. It tells of accidents, not of people, who can compute it anew.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from mmosnet.errors import DataError

CHECKSUM = 'sha256'
NAME = b'mmosnet.sha256'
HEX_DIGITS = 64
# What stands between the name and the digits, and behind these.
FRAMES = {
    # In ONNX's protobuf: the value of an entry, 64 bytes.
    '.onnx': (b'\x12\x40', b''),
    '.xml': (b' ', b' -->\n'),
    '.pt': (b' ', b''),
}
ZIP_END = b'PK\x05\x06'
ZIP_END_BYTES = 22


def add_checksum(path: Path) -> None:
    """Add its checksum to an exported file; that of an ``.xml`` covers the ``.bin`` beside it.

    Raises:
        ValueError: A zip archive that ends in another way than torch's.
    """
    data = path.read_bytes()
    middle, end = FRAMES[path.suffix]
    size = len(NAME) + len(middle) + HEX_DIGITS
    if path.suffix == '.onnx':
        # Messages of protobuf that stand one behind the other are one: field 14 of the model, field 1 of the entry.
        data += bytes([14 << 3 | 2, size + 2, 1 << 3 | 2, len(NAME)])
    elif path.suffix == '.xml':
        data += b'<!-- '
    elif data[-ZIP_END_BYTES:].startswith(ZIP_END):
        # The length of the comment, the last field.
        data = data[:-2] + size.to_bytes(2, 'little')
    else:
        raise ValueError(f'{path} does not end as zip archives do')
    path.write_bytes(data + NAME + middle + _digest(data, path) + end)


def check_checksum(path: Path) -> bool:
    """Compare an exported file with its checksum.

    Returns:
        Whether it has one; files of earlier versions have none.

    Raises:
        DataError: It differs.
        FileNotFoundError: An ``.xml`` without its ``.bin``.
    """
    data = path.read_bytes()
    middle, end = FRAMES[path.suffix]
    at = data.rfind(NAME, max(0, len(data) - 200))
    if at < 0:
        return False
    if data[at + len(NAME) :] != middle + _digest(data[:at], path) + end:
        beside = f' or {path.with_suffix(".bin").name}' if path.suffix == '.xml' else ''
        raise DataError(f'{path}{beside} is damaged, its checksum differs: copy or export it again')
    return True


def _digest(data: bytes, path: Path) -> bytes:
    found = hashlib.sha256(data)
    if path.suffix == '.xml':
        found.update(path.with_suffix('.bin').read_bytes())
    return found.hexdigest().encode()
