"""Runs git: argument lists only, in a clean environment, without prompts, within a time limit.

The only module that knows how git is called. Must not know what an answer means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentctl.core import variables
from agentctl.errors import OperationFailed, ProgramUnavailable
from agentctl.host.capture import Captured, Overdue, capture

LIMIT = 60.0
"""Seconds for commands that only read a repository."""

LONG = 900.0
"""Seconds for commands that write a work tree, which may be large."""

KEPT = (
    "GIT_SSH",
    "GIT_SSL_",
    "GIT_HTTP_",
    "GIT_PROXY_",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
)
"""Variables that say how to reach a remote. git's other variables choose a repository, and are dropped."""


QUIET = ("-c", "core.fsmonitor=false")
"""The repository's own configuration may name a program to watch files with: a look must not run it."""


class GitError(OperationFailed):
    """git failed; the message ends with its own last line."""


def run(
    words: Sequence[str],
    *,
    cwd: str,
    environ: Mapping[str, str],
    limit: float = LIMIT,
    extra: Mapping[str, str] | None = None,
) -> str:
    """What `git WORDS` prints, in `cwd`; bytes that are not UTF-8 survive as surrogates. Raises GitError."""
    ended = _call(words, cwd, environ, limit, extra)
    if ended.code != 0:
        raise GitError(f"git {_named(words)} failed in {cwd}: {_reason(ended)}")
    return ended.stdout


def ask(words: Sequence[str], *, cwd: str, environ: Mapping[str, str], limit: float = LIMIT) -> str | None:
    """The same for commands whose exit code is an answer: None for any code other than 0."""
    ended = _call(words, cwd, environ, limit, None)
    return ended.stdout if ended.code == 0 else None


def _call(
    words: Sequence[str],
    cwd: str,
    environ: Mapping[str, str],
    limit: float,
    extra: Mapping[str, str] | None,
) -> Captured:
    try:
        return capture(
            ["git", *QUIET, *words], cwd=cwd, environ={**_scrubbed(environ), **(extra or {})}, limit=limit
        )
    except Overdue as error:
        raise GitError(f"git {_named(words)} timed out in {cwd} after {limit:g} s") from error
    except ProgramUnavailable as error:
        raise GitError("git: command not found", hint="install git 2.36 or newer") from error
    except OperationFailed as error:
        raise GitError(f"git {_named(words)}: {error.message}") from error


def _scrubbed(environ: Mapping[str, str]) -> dict[str, str]:
    clean = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("GIT_", variables.SET)) or name.startswith(KEPT)
    }
    return clean | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}


def _named(words: Sequence[str]) -> str:
    """The command of an argument list, without options: `worktree add`."""
    plain = [word for word in words if not word.startswith("-")]
    return " ".join(plain[:2] if plain[:1] == ["worktree"] else plain[:1])


def _reason(ended: Captured) -> str:
    """git's own reason: its last error, else its last line."""
    wrong = [line for line in ended.stderr.splitlines() if line.startswith(("fatal: ", "error: "))]
    return (wrong or [ended.last_line])[-1].removeprefix("fatal: ").removeprefix("error: ")
