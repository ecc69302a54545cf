"""What a worktree says of the session that it was made for: a small file in its git directory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from agentctl.host.files import read_small, write_private
from agentctl.host.repository import Repository

MARK = "agentctl.json"
"""In the git directory of a worktree: which session it was made for. It outlives the session's row."""

MARKED = ("session_id", "group", "base_commit")
"""The keys in it."""


def write_mark(found: Repository, path: str, mark: Mapping[str, str | None]) -> None:
    """Note in a worktree's git directory which session it was made for."""
    write_private(os.path.join(found.git_directory(path), MARK), json.dumps(mark).encode())


def mark_of(git_directory: str) -> dict[str, str | None]:
    """What `write_mark` noted of a worktree; empty for one that somebody else made."""
    try:
        mark = json.loads(read_small(os.path.join(git_directory, MARK)) or b"{}")
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}
