"""The one way to run git: never asking, never paging, in nobody else's repository.

Variables such as GIT_DIR, which a hook of git sets, would turn every call to another
repository than the one meant. Must not know what a command's output means.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from agentctl.errors import OperationFailed
from agentctl.host.capture import capture

LIMIT = 60.0
"""Seconds for a call that only reads."""


def run(args: Sequence[str], *, cwd: str, limit: float = LIMIT) -> str:
    """What `git ARGS` prints in `cwd`. OperationFailed with git's own last line where it fails."""
    ended = capture(["git", *args], cwd=cwd, environ=_environment(), limit=limit)
    if ended.code != 0:
        raise OperationFailed(f"git {args[0] if args else ''}: {ended.last_line}")
    return ended.stdout


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {
        **kept,
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        # Looking at a worktree must not take the lock that the agent in it needs.
        "GIT_OPTIONAL_LOCKS": "0",
    }
