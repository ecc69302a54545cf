"""Bringing back the state of a worktree that `save` kept before it was removed by force."""

from __future__ import annotations

import os
from typing import NamedTuple

from agentctl.core.plan import first_free, worktree_path
from agentctl.errors import AgentctlError, Ambiguous, NotFound
from agentctl.host import git, repository
from agentctl.host.repository import Repository
from agentctl.ops.sessions.find import find_one
from agentctl.ops.worktrees.inspect import repositories
from agentctl.ops.worktrees.mark import write_mark
from agentctl.ops.worktrees.save import PREFIX, facts_of, saved
from agentctl.runtime import Runtime


class Restored(NamedTuple):
    """Where a saved state was restored; `branch` is None if HEAD is detached there."""

    path: str
    branch: str | None
    name: str
    notes: tuple[str, ...] = ()


def restore(runtime: Runtime, text: str, place: str | None) -> Restored:
    """Make the worktree again with the saved state as uncommitted changes, and delete the saved state.

    `text` is a session's id or name, or the beginning of a saved state's name.
    """
    found, name = _locate(runtime, text, place)
    ref = PREFIX + name
    commit = found.run("rev-parse", ref).strip()
    facts = facts_of(found, name)
    head = facts.head
    wanted = facts.path or worktree_path(found.main, name, os.path.lexists)
    notes: list[str] = []
    with repository.turn(found):
        path = first_free(wanted, os.path.lexists)
        if path != wanted:
            notes.append(f"{wanted} already exists")
        branch = _add(found, path, head or commit, facts.branch, notes)
        if facts.mark is not None:
            write_mark(found, path, facts.mark)
        found.run("read-tree", "--reset", "-u", commit, cwd=path, limit=git.LONG)
        staged = found.commit(f"{commit}^2") or head
        if staged:
            # Only the index: files stay as they are, and changes that were not staged stay unstaged.
            found.run("read-tree", staged, cwd=path, limit=git.LONG)
        elif branch:
            # The branch had no commits yet, so it must have none again.
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
        notes.append(f"branch {branch} has moved or is checked out elsewhere, so HEAD is detached")
    found.run(*words, "--detach", path, head, limit=git.LONG)
    return None


def _locate(runtime: Runtime, text: str, place: str | None) -> tuple[Repository, str]:
    """The repository and the name of the saved state that `text` names."""
    wanted = text
    places = [] if place is None else [repository.find(place, runtime.environ)]
    try:
        session = find_one(runtime, text).session
        wanted = session.id
        if session.repo and not places:
            places = [repository.find(session.repo, runtime.environ)]
    except NotFound:
        pass  # the session may have been pruned, or the worktree never had one
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
        hint = f"saved: {names}" if names else "agentctl worktree clean --force saves what it removes"
        raise NotFound(f"no saved state for {text}", hint=hint)
    listed = "\n".join(f"  {name} in {found.main}" for found, name in matches)
    raise Ambiguous(
        f"{text} matches {len(matches)} saved states:\n{listed}",
        hint="give more characters of one, or --repo",
    )
