"""Runs git: argument lists only, in an environment of its own, never asking, never for ever.

The only module that knows how git is called. Must not know what an answer means.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from agentctl.errors import OperationFailed

if TYPE_CHECKING:
    from subprocess import Popen

LIMIT = 60.0
"""Seconds for what only looks at a repository."""

LONG = 900.0
"""Seconds for what writes a work tree, which may be large."""

KEPT = (
    "GIT_SSH",
    "GIT_SSL_",
    "GIT_HTTP_",
    "GIT_PROXY_",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
)
"""Variables that say how to reach a remote. All others of git say which repository, and are dropped."""


class GitError(OperationFailed):
    """git could not do it; the message ends with its own last line."""


def run(
    words: Sequence[str],
    *,
    cwd: str,
    environ: Mapping[str, str] | None = None,
    limit: float = LIMIT,
    extra: Mapping[str, str] | None = None,
) -> str:
    """What `git WORDS` prints, in `cwd`; text that is no UTF-8 keeps its bytes. Raises GitError.

    Without `environ` it is this process's own.
    """
    code, output, errors = _call(words, cwd, os.environ if environ is None else environ, limit, extra)
    if code != 0:
        raise GitError(f"git {_named(words)} failed in {cwd}: {_last_line(errors) or f'exit {code}'}")
    return output


def ask(words: Sequence[str], *, cwd: str, environ: Mapping[str, str], limit: float = LIMIT) -> str | None:
    """The same where an exit code other than 0 is an answer, which is None."""
    code, output, _ = _call(words, cwd, environ, limit, None)
    return output if code == 0 else None


def _call(
    words: Sequence[str],
    cwd: str,
    environ: Mapping[str, str],
    limit: float,
    extra: Mapping[str, str] | None,
) -> tuple[int, str, str]:
    import subprocess

    if "\0" in cwd or any("\0" in word for word in words):
        raise GitError(f"git {_named(words)}: a name with a NUL character")
    try:
        process = subprocess.Popen(
            ["git", *words],
            cwd=cwd,
            env={**_scrubbed(environ), **(extra or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if not os.path.isdir(cwd):
            raise GitError(f"directory {cwd} is not there") from error
        raise GitError("git is not to be found", hint="install git, version 2.36 or newer") from error
    except OSError as error:
        raise GitError(f"git cannot be started in {cwd}: {error.strerror}") from error
    try:
        output, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        _end(process)
        raise GitError(f"git {_named(words)} was ended in {cwd} after {limit:g} s") from None
    except BaseException:
        # Interrupted: it is in a session of its own, where no ^C reaches it.
        _end(process)
        raise
    return process.returncode, os.fsdecode(output), errors.decode("utf-8", "replace")


def _end(process: Popen[bytes]) -> None:
    """TERM first: git then removes its lock files and a half-made work tree."""
    import subprocess

    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=5)
            return


def _scrubbed(environ: Mapping[str, str]) -> dict[str, str]:
    clean = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("GIT_", "AGENTCTL_SET_")) or name.startswith(KEPT)
    }
    return clean | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}


def _named(words: Sequence[str]) -> str:
    """The command of an argument list, without options: `worktree add`."""
    plain = [word for word in words if not word.startswith("-")]
    return " ".join(plain[:2] if plain[:1] == ["worktree"] else plain[:1])


def _last_line(errors: str) -> str:
    """git's own last word: its last error, else its last line."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    wrong = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    return (wrong or lines or [""])[-1].removeprefix("fatal: ").removeprefix("error: ")
