"""Runs git: argument lists only, in a clean environment, without prompts, within a time limit.

The only module that knows how git is called. Must not know what an answer means. An agent can
write its repository's configuration and hooks: no program that they name is run from here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

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


QUIET = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "diff.ignoreSubmodules": "dirty",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "log.showSignature": "false",
    "maintenance.auto": "false",
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
}
"""In place of the repository's own settings. No submodule is entered, because it has settings of its own."""

READING_COMMITS = frozenset(
    {
        "check-ref-format",
        "config",
        "for-each-ref",
        "merge-base",
        "remote",
        "rev-list",
        "rev-parse",
        "symbolic-ref",
        "update-ref",
    }
)
"""Commands that need neither files nor a remote, and so run no filter and no transport."""

LIST = ("git", "config", "--list", "--show-scope", "-z")
"""Every setting, each with where it is written."""

NO_TRANSPORT = {"GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1"}
"""A repository can claim that missing objects are at a remote, which git would then call."""


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
        raise GitError(f"git {_named(words)} failed in {cwd}: {_reason(ended)}", hint=_way_out(ended))
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
    clean = _scrubbed(environ)
    if _named(words).partition(" ")[0] in READING_COMMITS:
        clean |= NO_TRANSPORT | _as_variables(QUIET.items())
    else:
        clean |= _harmless(cwd, clean)
    try:
        return capture(["git", *words], cwd=cwd, environ={**clean, **(extra or {})}, limit=limit)
    except Overdue as error:
        raise GitError(f"git {_named(words)} timed out in {cwd} after {limit:g} s") from error
    except ProgramUnavailable as error:
        raise GitError("git: command not found", hint="install git 2.36 or newer") from error
    except OperationFailed as error:
        raise GitError(f"git {_named(words)}: {error.message}") from error


def _harmless(cwd: str, clean: Mapping[str, str]) -> dict[str, str]:
    """Variables that keep the programs which the repository's configuration names from being run."""
    from agentctl.host import git_programs

    try:
        listed = capture(LIST, cwd=cwd, environ=clean, limit=LIMIT).stdout
    except (OperationFailed, ProgramUnavailable):
        listed = ""  # the command itself will fail, and say why
    found = _as_variables([*QUIET.items(), *git_programs.overrides(listed)])
    return found | NO_TRANSPORT if git_programs.transports(listed) else found


def own_filters(cwd: str, environ: Mapping[str, str]) -> list[str]:
    """Filters that the repository's configuration names, which are not run for that reason."""
    from agentctl.host import git_programs

    return git_programs.filters(run(LIST[1:], cwd=cwd, environ=environ))


def _as_variables(settings: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Settings as variables, which reach every git that a git starts. `ps` does not show them."""
    found: dict[str, str] = {}
    number = -1
    for number, (name, value) in enumerate(settings):
        found |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return found | {"GIT_CONFIG_COUNT": str(number + 1)}


def _scrubbed(environ: Mapping[str, str]) -> dict[str, str]:
    clean = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("GIT_", variables.SET)) or name.startswith(KEPT)
    }
    return clean | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}


def _named(words: Sequence[str]) -> str:
    """The command of an argument list, without options: `worktree add`."""
    before = ("", *words)
    plain = [word for word, last in zip(words, before, strict=False) if last != "-c" and word[:1] != "-"]
    return " ".join(plain[:2] if plain[:1] == ["worktree"] else plain[:1])


def _way_out(ended: Captured) -> str | None:
    """The command that git names to trust a repository of another owner; None in any other case."""
    lines = [line.strip() for line in ended.stderr.splitlines() if "--add safe.directory" in line]
    return f"if you trust it: {lines[-1]}" if lines else None


def _reason(ended: Captured) -> str:
    """git's own reason: its last error, else its last line."""
    wrong = [line for line in ended.stderr.splitlines() if line.startswith(("fatal: ", "error: "))]
    return (wrong or [ended.last_line])[-1].removeprefix("fatal: ").removeprefix("error: ")
