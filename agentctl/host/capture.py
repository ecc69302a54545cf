"""Runs a helper program to its end and keeps what it wrote, within a time limit.

Argument lists only, no shell, no standard input: nothing can ask a question that
nobody answers. A program that does not finish in time is killed, with everything that it started.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agentctl.errors import OperationFailed, ProgramUnavailable

if TYPE_CHECKING:
    from subprocess import Popen


class Overdue(OperationFailed):
    """The program did not finish in time and was killed."""


class Captured(NamedTuple):
    """How a program ended. Bytes of `stdout` that are not UTF-8 become surrogates; `stderr` is for people."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_line(self) -> str:
        """The last line of standard error, which gives the reason."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit {self.code}"


def capture(argv: Sequence[str], *, cwd: str, environ: Mapping[str, str], limit: float) -> Captured:
    """Run a program for at most `limit` seconds; raises Overdue after that.

    Raises ProgramUnavailable if it does not exist, OperationFailed if it cannot be started.
    """
    import subprocess

    name = argv[0].rpartition("/")[2]
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if not os.path.isdir(cwd):
            raise OperationFailed(f"{name} cannot start in {cwd}: {error.strerror}") from error
        raise ProgramUnavailable(f"{name} is not installed") from error
    except (OSError, ValueError) as error:
        raise OperationFailed(f"{name} cannot be started: {error}") from error
    try:
        output, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        _end(process)
        raise Overdue(f"{name} timed out after {limit:g} s") from None
    except BaseException:
        # Interrupted: the program is in its own session, where ^C does not reach it.
        _end(process)
        raise
    return Captured(
        process.returncode, output.decode("utf-8", "surrogateescape"), errors.decode("utf-8", "replace")
    )


def _end(process: Popen[bytes]) -> None:
    """TERM first: git then removes its lock files and a half-made work tree."""
    import subprocess

    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=5)
            return
