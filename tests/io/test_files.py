from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from mmosnet.io.files import ABANDONED_SECONDS, check_writable, draft_folder, whole_file
from tests.conftest import full_disk


class Stop(Exception):
    """Ends the writing of a file before it is whole."""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def old(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('old')
    return path


def test_the_file_is_new_or_what_it_was(old):
    with whole_file(old) as draft:
        draft.write_text('new')
        assert (old.read_text(), draft.parent, draft.suffix) == ('old', old.parent, '.json')
    assert old.read_text() == 'new'
    with pytest.raises(ZeroDivisionError), whole_file(old) as draft:
        draft.write_text('half')
        raise ZeroDivisionError
    assert old.read_text() == 'new' and names(old.parent) == ['a.json']


@pytest.mark.parametrize(
    'write', [lambda draft: draft.write_bytes(bytes(9999)), lambda draft: torch.save(bytes(9999), draft)]
)
def test_on_a_full_disk_the_error_names_the_file(old, write):
    with full_disk(5000), pytest.raises(OSError) as found, whole_file(old) as draft:
        write(draft)
    assert (found.value.errno, found.value.filename) == (errno.EFBIG, str(old))
    assert old.read_text() == 'old' and names(old.parent) == ['a.json']


def test_other_errors_pass(old):
    with pytest.raises(RuntimeError, match='its own'), whole_file(old):
        raise RuntimeError('its own')
    with pytest.raises(FileNotFoundError) as found, whole_file(old):
        Path('other').read_text()
    assert found.value.filename == 'other'


def test_what_is_there_decides(old, tmp_path):
    (tmp_path / 'folder').mkdir()
    with pytest.raises(IsADirectoryError) as found, whole_file(tmp_path / 'folder'):
        pass
    assert found.value.filename == str(tmp_path / 'folder')
    with pytest.raises(FileExistsError) as found, whole_file(old / 'below.json'):
        pass
    assert found.value.filename == str(old)
    with pytest.raises(OSError) as found, whole_file(tmp_path / ('a' * 300)):
        pass
    assert (found.value.errno, found.value.filename) == (errno.ENAMETOOLONG, str(tmp_path / ('a' * 300)))


@pytest.mark.skipif(os.name != 'posix' or os.geteuid() == 0, reason='root may write anything')
def test_a_file_that_must_not_be_written_stays(old):
    # Renaming asks for the folder's permission alone.
    old.chmod(0o400)
    with pytest.raises(PermissionError) as found, whole_file(old):
        pass
    assert found.value.filename == str(old) and old.read_text() == 'old'


def test_what_cannot_be_written_is_found_before(old):
    check_writable(old)
    check_writable(old.parent / 'new' / 'b.json')
    assert old.read_text() == 'old' and not names(old.parent / 'new')
    with pytest.raises(IsADirectoryError):
        check_writable(old.parent / 'new')


def test_links_permissions_and_long_names_stay(old, tmp_path):
    old.chmod(0o640)
    link = tmp_path / 'elsewhere' / 'link.json'
    link.parent.mkdir()
    link.symlink_to(old)
    with whole_file(link) as draft:
        draft.write_text('new')
    assert link.is_symlink() and old.read_text() == 'new' and old.stat().st_mode & 0o777 == 0o640
    long = tmp_path / ('\u00e4' * 124 + '.json')
    with whole_file(long) as draft:
        draft.write_text('new')
    assert long.read_text() == 'new'


@pytest.mark.skipif(os.name != 'posix', reason='devices')
def test_devices_and_pipes_are_written_to(tmp_path):
    with whole_file('/dev/null') as draft:
        draft.write_text('new')
    with pytest.raises(OSError) as found, whole_file('/dev/full') as draft:
        draft.write_text('new')
    assert (found.value.errno, found.value.filename) == (errno.ENOSPC, '/dev/full')
    assert not Path('/dev/null').is_file() and not Path('/dev/full').is_file()
    os.mkfifo(tmp_path / 'pipe.json')
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / 'pipe.json').read_text()))
    reader.start()
    with whole_file(tmp_path / 'pipe.json') as draft:
        draft.write_text('new')
    reader.join()
    assert read == ['new']


# Without mmosnet, whose import takes seconds.
HOLD = """
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location('whole_file', sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
with getattr(module, sys.argv[2])(sys.argv[3]) as draft:
    print(draft, flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name != 'posix', reason='locks')
@pytest.mark.parametrize('kind', [whole_file, draft_folder])
def test_drafts_of_killed_processes_are_removed_and_those_of_others_stay(old, kind):
    module = Path(sys.modules['mmosnet.io.files'].__file__)
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, module, kind.__name__, old], stdout=subprocess.PIPE, text=True
    )
    draft = Path(process.stdout.readline().strip())
    with kind(old) as own:
        assert draft.exists() and own.exists()
        (own / 'a' if own.is_dir() else own).write_text('new')
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert draft.exists()
    with kind(old) as own:
        (own / 'a' if own.is_dir() else own).write_text('new')
    assert names(old.parent) == ['a.json']


def test_old_drafts_of_other_files_are_removed(old):
    for name, age in (('.draft-0-b.json', 2 * ABANDONED_SECONDS), ('.draft-0-c.json', 0)):
        (old.parent / name).write_text('half')
        os.utime(old.parent / name, (time.time() - age,) * 2)
    with whole_file(old) as draft:
        draft.write_text('new')
    assert names(old.parent) == ['.draft-0-c.json', 'a.json']


@pytest.mark.parametrize('draft', [whole_file, draft_folder])
def test_many_writers_of_one_file_lose_no_draft(tmp_path, draft):
    """Each looks for abandoned drafts of this file while others have just created theirs."""

    def write():
        for _ in range(200):
            with suppress(Stop), draft(tmp_path / 'file') as unfinished:
                assert unfinished.exists()
                raise Stop

    with ThreadPoolExecutor(4) as pool:
        for writer in [pool.submit(write) for _ in range(4)]:
            writer.result()
    assert not list(tmp_path.iterdir())
