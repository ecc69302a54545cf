"""Saving the state of a worktree as a commit before it is removed by force, and bringing it back.

`refs/agentctl/salvage/<id>` is a commit on top of what was checked out: tracked and
untracked files as they were, and what of them was staged. Ignored files are not in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from agentctl.core.plan import slug, worktree_path
from agentctl.errors import AgentctlError, Ambiguous, NotFound, OperationFailed
from agentctl.host import git, repository
from agentctl.host.repository import Repository
from agentctl.ops.sessions.find import find_one
from agentctl.ops.worktrees.inspect import Inspected, index_copy, repositories, unwatched
from agentctl.ops.worktrees.mark import MARKED, mark_of, write_mark
from agentctl.runtime import Runtime

PREFIX = "refs/agentctl/salvage/"
_IDENTITY = ("-c", "user.name=agentctl", "-c", "user.email=agentctl@localhost")
_MARK = "agentctl: "


class Restored(NamedTuple):
    """Where a saved state is again; `branch` is None where its branch has gone on without it."""

    path: str
    branch: str | None
    name: str
    notes: tuple[str, ...] = ()


def save(found: Repository, seen: Inspected, name: str) -> str:
    """Save a worktree's state; the ref's last part, which `restore` takes. Raises GitError if it cannot.

    Its first parent is what was checked out; a second one holds what was staged, if anything was.
    """
    checkout = seen.checkout
    path = os.path.realpath(checkout.path)
    head = checkout.head if checkout.head and set(checkout.head) != {"0"} else None
    parents = [head] if head else []
    if seen.git_directory:
        tree, staged = _trees(found, seen.git_directory, path)
        if head and staged and staged != _tree_of(found, head):
            parents.append(_commit(found, staged, [head], "What was staged"))
    else:
        tree = _tree_of(found, head or "HEAD")
    mark = mark_of(seen.git_directory) if seen.git_directory else {}
    facts = json.dumps({**mark, "path": path, "branch": checkout.branch, "head": head})
    message = f"State of a worktree that was removed by force\n\n{_MARK}{facts}"
    commit = _commit(found, tree, parents, message)
    taken = set(saved(found))
    last, number = name, 2
    while last in taken:
        last, number = f"{name}-{number}", number + 1
    # The empty old value: it must not be there yet.
    found.run("update-ref", "-m", "agentctl worktree clean", PREFIX + last, commit, "")
    return last


def _commit(found: Repository, tree: str, parents: Sequence[str], message: str) -> str:
    words = [word for parent in parents for word in ("-p", parent)]
    return found.run(*_IDENTITY, "commit-tree", tree, *words, "-m", message).strip()


def _tree_of(found: Repository, commit: str) -> str:
    return found.run("rev-parse", f"{commit}^{{tree}}").strip()


def _trees(found: Repository, git_directory: str, path: str) -> tuple[str, str | None]:
    """The tree of everything that is not ignored, and of what is staged, None in the middle of a merge.

    By a copy of the index: the real one stays as it is.
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
    """The names of what is saved in this repository."""
    refs = found.run("for-each-ref", "--format=%(refname)", PREFIX)
    return [line.removeprefix(PREFIX) for line in refs.splitlines()]


def restore(runtime: Runtime, text: str, place: str | None) -> Restored:
    """Make the worktree again with the saved state as uncommitted changes, and forget the saved state.

    `text` is a session's id or name, or the beginning of a saved state's name.
    """
    found, name = _locate(runtime, text, place)
    ref = PREFIX + name
    commit = found.run("rev-parse", ref).strip()
    facts = _facts(found, ref)
    head, branch = facts.get("head"), facts.get("branch")
    wanted = facts.get("path") or worktree_path(found.main, name, os.path.lexists)
    notes: list[str] = []
    with repository.turn(found):
        path, number = wanted, 2
        while os.path.lexists(path):
            path, number = f"{wanted}-{number}", number + 1
        if path != wanted:
            notes.append(f"{wanted} is taken")
        branch = _add(found, path, head or commit, branch, notes)
        mark = {key: value for key, value in facts.items() if key in MARKED}
        if mark:
            write_mark(found, path, mark)
        found.run("read-tree", "--reset", "-u", commit, cwd=path, limit=git.LONG)
        staged = found.commit(f"{commit}^2") or head
        if staged:
            # The index alone: files stay, and what was not staged is not.
            found.run("read-tree", staged, cwd=path, limit=git.LONG)
        elif branch:
            # It had no commit yet, and has none again.
            found.run("update-ref", "-d", f"refs/heads/{branch}", commit)
        found.run("update-ref", "-d", ref, commit)
    return Restored(path, branch, name, tuple(notes))


def _add(found: Repository, path: str, head: str, branch: str | None, notes: list[str]) -> str | None:
    """Check out the branch as it was, if it is free and has not moved; else the commit alone."""
    words = ["worktree", "add", "--quiet"]
    tip = found.commit(f"refs/heads/{branch}") if branch else None
    if branch and tip is None:
        found.run(*words, "--no-track", "-b", branch, path, head, limit=git.LONG)
        return branch
    if branch and tip == head and all(one.branch != branch for one in found.checkouts()):
        found.run(*words, path, branch, limit=git.LONG)
        return branch
    if branch:
        notes.append(
            f"branch {branch} has moved or is checked out elsewhere: the commit is checked out alone"
        )
    found.run(*words, "--detach", path, head, limit=git.LONG)
    return None


def _facts(found: Repository, ref: str) -> dict[str, str | None]:
    body = found.run("log", "-1", "--format=%B", ref)
    for line in body.splitlines():
        if line.startswith(_MARK):
            try:
                facts = json.loads(line.removeprefix(_MARK))
            except ValueError:
                break
            if isinstance(facts, dict):
                return facts
    raise OperationFailed(f"{ref} in {found.main} was not made by agentctl")


def _locate(runtime: Runtime, text: str, place: str | None) -> tuple[Repository, str]:
    """The repository and the name of the saved state that `text` means."""
    wanted = text
    places = [] if place is None else [repository.find(place, runtime.environ)]
    try:
        session = find_one(runtime, text).session
        wanted = session.id
        if session.repo and not places:
            places = [repository.find(session.repo, runtime.environ)]
    except NotFound:
        pass  # its row may be forgotten, or it never had one
    if not places:
        places = repositories(runtime, runtime.readable_state)
        try:
            here = repository.find(".", runtime.environ)
            places += [here] if here.common not in {one.common for one in places} else []
        except AgentctlError:
            pass
    everything = [(found, name) for found in places for name in saved(found)]
    exact = [each for each in everything if each[1] == wanted]
    matches = exact or [each for each in everything if each[1].startswith(wanted)]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        names = ", ".join(name for _, name in everything)
        hint = f"saved are: {names}" if names else "agentctl worktree clean --force saves what it removes"
        raise NotFound(f"no saved state of a worktree {text}", hint=hint)
    listed = "\n".join(f"  {name} in {found.main}" for found, name in matches)
    raise Ambiguous(
        f"{text} means {len(matches)} saved states:\n{listed}", hint="give more of one, or --repo"
    )


def name_for(session_id: str | None, path: str) -> str:
    """What a saved state is called: its session's id, else the worktree's own name."""
    return session_id or slug(os.path.basename(path))
