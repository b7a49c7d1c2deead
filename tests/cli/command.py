"""Commands in this process, as they are typed."""

from __future__ import annotations

import pytest

from mmosnet.cli.main import main


def outcome(capsys: pytest.CaptureFixture, *argv: object) -> str | int:
    """Run a command.

    Args:
        capsys: The fixture of the test.
        argv: What follows ``mmosnet``.

    Returns:
        What it prints on standard output; after a mistake of the user's (code 1) the line that says so, without a
        traceback; the exit code where it is another one.
    """
    capsys.readouterr()
    code = main([str(argument) for argument in argv])
    if code == 0:
        return capsys.readouterr().out
    if code != 1:
        return code
    # What it prints before the error stays readable.
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith('error: ')
    return error
