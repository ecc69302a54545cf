"""Saving the state of a worktree as a commit, before the worktree is removed by force.

`refs/agentctl/salvage/<id>` is a commit on top of what was checked out: tracked and
untracked files as they were, and what of them was staged. Ignored files are not in it.
`restore` brings it back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from agentctl.core.plan import first_free, slug
from agentctl.errors import OperationFailed
from agentctl.host import git
from agentctl.host.repository import IDENTITY, Repository
from agentctl.ops.worktrees.inspect import Inspected, index_copy, unwatched
from agentctl.ops.worktrees.mark import Mark, mark_in, mark_of

PREFIX = "refs/agentctl/salvage/"
_FACTS = "agentctl: "
"""Begins the line of the commit's message that has the facts, as JSON."""


class Facts(NamedTuple):
    """What a saved state says of its worktree; `head` is None if nothing was committed yet."""

    path: str | None
    branch: str | None
    head: str | None
    mark: Mark | None


def save(found: Repository, seen: Inspected, name: str) -> str:
    """Save a worktree's state; the name by which `restore` finds it. Raises GitError if that fails.

    The commit's first parent is what was checked out; its second holds what was staged, if anything was.
    """
    checkout = seen.checkout
    path = os.path.realpath(checkout.path)
    head = checkout.commit
    parents = [head] if head else []
    if seen.git_directory:
        tree, staged = _snapshot(found, seen.git_directory, path)
        if head and staged and staged != _tree_of(found, head):
            parents.append(_commit(found, staged, [head], "What was staged"))
    else:
        tree = _tree_of(found, head or "HEAD")
    mark = mark_of(seen.git_directory)
    facts = {"path": path, "branch": checkout.branch, "head": head, **(mark._asdict() if mark else {})}
    message = f"State of a worktree that was removed by force\n\n{_FACTS}{json.dumps(facts)}"
    commit = _commit(found, tree, parents, message)
    last = first_free(name, set(saved(found)).__contains__)
    # The empty old value makes git fail if the ref exists already.
    found.run("update-ref", "-m", "agentctl worktree clean", PREFIX + last, commit, "")
    return last


def _commit(found: Repository, tree: str, parents: Sequence[str], message: str) -> str:
    words = [word for parent in parents for word in ("-p", parent)]
    return found.run(*IDENTITY, "commit-tree", tree, *words, "-m", message).strip()


def _tree_of(found: Repository, commit: str) -> str:
    return found.run("rev-parse", f"{commit}^{{tree}}").strip()


def _snapshot(found: Repository, git_directory: str, path: str) -> tuple[str, str | None]:
    """The tree of everything that is not ignored, and of what is staged: None in the middle of a merge.

    Works on a copy of the index; the real one is not changed.
    """
    with index_copy(found, path, git_directory, watching=unwatched(found, path)) as extra:

        def index(*words: str) -> str:
            return found.run(*words, cwd=path, limit=git.LONG, extra=extra).strip()

        staged = None
        with suppress(git.GitError):
            staged = index("write-tree")
        index("-c", "core.safecrlf=false", "add", "--all", "--sparse", "--", ":/")
        return index("write-tree"), staged


def saved(found: Repository) -> list[str]:
    """The names of the states that are saved in this repository."""
    refs = found.run("for-each-ref", "--format=%(refname)", PREFIX)
    return [line.removeprefix(PREFIX) for line in refs.splitlines()]


def facts_of(found: Repository, name: str) -> Facts:
    """What the saved state of this name says. Raises OperationFailed if agentctl did not make it."""
    body = found.run("log", "-1", "--format=%B", PREFIX + name)
    for line in body.splitlines():
        if line.startswith(_FACTS):
            try:
                facts = json.loads(line.removeprefix(_FACTS))
            except ValueError:
                break
            if isinstance(facts, dict):
                return Facts(facts.get("path"), facts.get("branch"), facts.get("head"), mark_in(facts))
    raise OperationFailed(f"{PREFIX}{name} in {found.main} was not made by agentctl")


def name_for(session_id: str | None, path: str) -> str:
    """The name of a saved state: its session's id, else the worktree's own name."""
    return session_id or slug(os.path.basename(path))
