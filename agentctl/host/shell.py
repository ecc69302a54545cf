"""Runs a user's hook and keeps what it printed, even of one that leaves children behind."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass

KEPT = 64 * 1024
"""Bytes of a hook's output that are kept: its end."""


SHORT_OF = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT})
"""Errors that mean that the machine is temporarily short of something."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a hook ended; `code` is None where it was ended at its limit or could not start."""

    code: int | None
    output: str
    error: str | None
    is_worth_repeating: bool = False
    """It could not start because the machine was short of something that it may have later."""


def run(command: str, *, cwd: str, environ: Mapping[str, str], limit: float) -> Ran:
    """Run `sh -c COMMAND` in `cwd`, at most `limit` seconds, with no standard input.

    Output goes to a file: a hook that leaves a child behind cannot keep us waiting. At
    the limit its whole process group is ended.
    """
    import subprocess

    with ExitStack() as opened:
        try:
            output = opened.enter_context(tempfile.TemporaryFile())
        except OSError as error:
            said = f"cannot start: no temporary file can be created: {error.strerror}"
            return Ran(None, "", said, is_worth_repeating=True)
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", command],
                cwd=cwd,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return not_started(error, cwd)
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return Ran(None, tail(output.fileno()), f"ended at its limit of {limit:g} s")
        except BaseException:
            # Interrupted: the hook is in its own session, where ^C does not reach it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        return Ran(code, tail(output.fileno()), None if code == 0 else f"exit {_as_shell(code)}")


def _as_shell(code: int) -> int:
    return 128 - code if code < 0 else code


def not_started(error: OSError | ValueError, cwd: str) -> Ran:
    """What a hook is that could not be started in this directory."""
    if isinstance(error, OSError):
        said = f"cannot start in {cwd}: {error.strerror}"
        return Ran(None, "", said, is_worth_repeating=error.errno in SHORT_OF)
    # NUL or a lone surrogate, from an agent's own report, has no place in an environment.
    return Ran(None, "", f"cannot start: {error}")


def tail(descriptor: int) -> str:
    """The end of what was printed to this file, as text."""
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, KEPT, max(size - KEPT, 0)).decode("utf-8", "replace")
