"""Runs a helper program to its end and keeps what it wrote, within a time limit.

Argument lists only, no shell, no standard input: nothing can ask a question that
nobody answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agentctl.errors import OperationFailed, ProgramUnavailable


class Captured(NamedTuple):
    """How a program ended; text that is no UTF-8 is kept as file names are."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_line(self) -> str:
        """What it said last on standard error, which is where its reason is."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit {self.code}"


def capture(argv: Sequence[str], *, cwd: str, environ: Mapping[str, str], limit: float) -> Captured:
    """Run a program, at most `limit` seconds. ProgramUnavailable or OperationFailed if it cannot end well."""
    import subprocess

    name = argv[0].rpartition("/")[2]
    try:
        ended = subprocess.run(
            list(argv),
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OperationFailed(f"{name} gave no answer within {limit:g} s") from error
    except FileNotFoundError as error:
        if error.filename == cwd:
            raise OperationFailed(f"{name} cannot start in {cwd}: {error.strerror}") from error
        raise ProgramUnavailable(f"{name} is not installed") from error
    except (OSError, ValueError) as error:
        raise OperationFailed(f"{name} cannot be started: {error}") from error
    return Captured(ended.returncode, _text(ended.stdout), _text(ended.stderr))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
