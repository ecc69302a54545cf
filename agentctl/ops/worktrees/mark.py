"""What a worktree says of the session that it was made for: a small file in its git directory."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

from agentctl.host.files import read_small, write_private
from agentctl.host.repository import Repository

NAME = "agentctl.json"
"""The file in the git directory of a worktree. It outlives the session's row."""


class Mark(NamedTuple):
    """The session that a worktree was made for, its group, and the commit that it began at."""

    session_id: str | None = None
    group: str | None = None
    base_commit: str | None = None


def write_mark(found: Repository, path: str, mark: Mark) -> None:
    """Note in a worktree's git directory which session it was made for."""
    write_private(os.path.join(found.git_directory(path), NAME), json.dumps(mark._asdict()).encode())


def mark_of(git_directory: str) -> Mark | None:
    """What `write_mark` noted in this directory; None for a worktree that agentctl did not make."""
    if not git_directory:
        return None
    try:
        return mark_in(json.loads(read_small(os.path.join(git_directory, NAME)) or b"null"))
    except (OSError, ValueError):
        return None


def mark_in(facts: object) -> Mark | None:
    """The mark among further facts; None if they hold none of its fields."""
    if not isinstance(facts, dict) or not any(name in facts for name in Mark._fields):
        return None
    values = (facts.get(name) for name in Mark._fields)
    return Mark(*(value if isinstance(value, str) else None for value in values))
