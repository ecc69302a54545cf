"""Removing worktrees: never work that would be lost, and with --force only after saving it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from agentctl.core.ids import short
from agentctl.core.model import Session
from agentctl.errors import AgentctlError, NotFound, UsageFault
from agentctl.host import clock, git, repository
from agentctl.host.occupants import is_within, size_of
from agentctl.host.repository import Repository
from agentctl.ops.sessions.find import find_one, in_group
from agentctl.ops.worktrees.inspect import (
    Worktree,
    current,
    list_worktrees,
    repositories,
    unpushed,
    worktrees_of,
)
from agentctl.ops.worktrees.mark import mark_of
from agentctl.ops.worktrees.save import name_for, save
from agentctl.runtime import Runtime
from agentctl.store import locks, sessions
from agentctl.store.db import Database, reading, transaction

HOLDER = "agentctl worktree clean"
HELD_FOR = timedelta(minutes=30)
"""How long the directory lock lasts if this process dies before it frees the lock."""


class CleanRequest(NamedTuple):
    """Which worktrees to remove, and how."""

    targets: tuple[str, ...] = ()
    """Sessions and paths; if empty, all worktrees that match `group`, `merged` or `older_than`."""
    place: str | None = None
    group: str | None = None
    merged: bool = False
    older_than: timedelta | None = None
    delete_branch: bool = False
    dry_run: bool = False
    force: bool = False


class Cleaned(NamedTuple):
    """One worktree, after the attempt to remove it."""

    worktree: Worktree
    refused: tuple[str, ...] = ()
    """Why it was kept."""
    hint: str | None = None
    saved: str | None = None
    """The name by which `worktree restore` brings it back."""
    branch_deleted: bool = False
    freed: int = 0
    notes: tuple[str, ...] = ()


class CleanReport(NamedTuple):
    """Every chosen worktree; `notes` name those that no longer exist or did not match."""

    cleaned: tuple[Cleaned, ...]
    notes: tuple[str, ...] = ()


def clean(runtime: Runtime, request: CleanRequest) -> CleanReport:
    """Remove the worktrees that match; those with work to lose, or in use, are refused with the evidence."""
    db = runtime.readable_state if request.dry_run else runtime.state
    notes: list[str] = []
    chosen = [one for one in _chosen(runtime, db, request, notes) if _fits(runtime, one, request, notes)]
    if not chosen and not request.targets and request.group is request.place is None:
        notes += _elsewhere(runtime, db, request)
    return CleanReport(tuple(remove(runtime, db, one, request) for one in chosen), tuple(notes))


def _chosen(runtime: Runtime, db: Database, request: CleanRequest, notes: list[str]) -> Iterator[Worktree]:
    if request.group is not None:
        rows = [one.session for one in in_group(runtime, request.group) if one.session.repo]
        texts = [row.id for row in rows]
    elif not request.targets:
        listed = list_worktrees(runtime, request.place, sizes=False)
        yield from (one for one in listed if one.is_ours and not one.live)
        return
    else:
        texts = list(request.targets)
    within = None if request.place is None else repository.find(request.place, runtime.environ)
    seen: set[str] = set()
    for text in texts:
        found, path = _place_of(runtime, db, text)
        if within is not None and found.common != within.common:
            raise NotFound(
                f"{text} is not a worktree of {request.place}",
                hint="leave out --repo: a worktree's own repository is found",
            )
        if path in seen:
            continue
        seen.add(path)
        there = worktrees_of(runtime, db, found, only=path)
        if not there:
            notes.append(f"worktree {path} no longer exists")
        yield from there


def _elsewhere(runtime: Runtime, db: Database, request: CleanRequest) -> Iterator[str]:
    """What would match in other repositories: whoever finds nothing may be in the wrong directory."""
    here = current(runtime)
    if here is None:
        return  # all repositories were looked at
    for found in repositories(runtime, db):
        for one in worktrees_of(runtime, db, found) if found.common != here.common else ():
            if one.is_ours and not one.live and _fits(runtime, one, request, []):
                yield (
                    f"{one.seen.checkout.path} is in another repository, and was left alone:"
                    f" --repo {shlex.quote(found.main)} chooses there"
                )


def _place_of(runtime: Runtime, db: Database, text: str) -> tuple[Repository, str]:
    """The repository and the worktree that a session or a path names."""
    if "/" in text or text in (".", "..", "~"):
        return _by_path(runtime, db, text)
    try:
        session = find_one(runtime, text).session
    except NotFound:
        if os.path.isdir(text):
            return _by_path(runtime, db, text)
        raise
    if session.repo is None:
        raise UsageFault(
            f"session {short(session.id)} did not run in a worktree of its own",
            hint="agentctl worktree list shows those that did",
        )
    found = repository.find(session.repo, runtime.environ)
    return found, _now_at(found, session)


def _now_at(found: Repository, session: Session) -> str:
    """Where the session's worktree is: `git worktree move` or a restore may have moved it."""
    places = [os.path.realpath(one.path) for one in found.checkouts() if not one.is_main]
    if session.cwd not in places:
        for place in filter(os.path.isdir, places):
            mark = mark_of(found.git_directory(place))
            if mark is not None and mark.session_id == session.id:
                return place
    return session.cwd


def _by_path(runtime: Runtime, db: Database, text: str) -> tuple[Repository, str]:
    path = os.path.realpath(os.path.expanduser(text))
    if not os.path.isdir(path):
        with reading(db):
            repos = sessions.repositories(db)
            gone = [row for repo in repos for row in sessions.in_worktrees(db, repo) if row.cwd == path]
        if not gone:
            raise NotFound(f"worktree {text} not found", hint="agentctl worktree list shows all worktrees")
        return repository.find(gone[0].repo or "", runtime.environ), path
    found = repository.find(path, runtime.environ)
    around = [one for one in found.checkouts() if is_within(path, os.path.realpath(one.path))]
    nearest = max(around, key=lambda one: len(one.path), default=None)
    if nearest is None or nearest.is_main:
        raise UsageFault(
            f"{path} is not a linked worktree", hint="agentctl worktree list shows those of a repository"
        )
    return found, os.path.realpath(nearest.path)


def _fits(runtime: Runtime, one: Worktree, request: CleanRequest, notes: list[str]) -> bool:
    path = one.seen.checkout.path
    if request.merged and not one.seen.merged:
        if request.targets:
            notes.append(f"{path} was kept: it has commits that are not merged")
        return False
    if request.older_than is not None:
        since = _last_used(runtime, one)
        if runtime.now - since < request.older_than:
            if request.targets:
                notes.append(f"{path} was kept: it was used more recently")
            return False
    return True


def _last_used(runtime: Runtime, one: Worktree) -> datetime:
    """When its session ended; if it has no session, when its HEAD was last written."""
    if one.live:
        return runtime.now
    if one.session is not None and one.session.ended_at is not None:
        return one.session.ended_at
    for name in ("logs/HEAD", "HEAD"):
        try:
            return clock.modified_at(os.stat(os.path.join(one.seen.git_directory, name)))
        except OSError:
            continue
    return runtime.now


def remove(runtime: Runtime, db: Database, one: Worktree, request: CleanRequest) -> Cleaned:
    """Remove one worktree, inspected again while no agent can start in it; errors become refusals."""
    if request.dry_run:
        return _refused(one, request) or Cleaned(one, freed=size_of(one.seen.checkout.path))
    path = os.path.realpath(one.seen.checkout.path)
    found = repository.find(one.repo, runtime.environ)
    try:
        with _held(runtime, db, path), repository.turn(found):
            now = next(iter(worktrees_of(runtime, db, found, only=path)), None)
            if now is None:
                return Cleaned(one, notes=("it no longer exists",))
            now = now._replace(held_by=tuple(who for who in now.held_by if who != HOLDER))
            return _refused(now, request) or _removed(found, now, request)
    except AgentctlError as error:
        return Cleaned(one, (error.message,), error.hint)


@contextmanager
def _held(runtime: Runtime, db: Database, path: str) -> Iterator[None]:
    """Hold the directory, so that no agent starts in it while it is inspected and removed."""
    with transaction(db):
        lock = locks.acquire(
            db,
            directory=path,
            holder=HOLDER,
            session_id=None,
            created_at=runtime.clock(),
            reason="its worktree is being removed",
            expires_at=runtime.clock() + HELD_FOR,
        )
    try:
        yield
    finally:
        with transaction(db):
            locks.release(db, lock.id)


def _refused(one: Worktree, request: CleanRequest) -> Cleaned | None:
    """Why the worktree is kept; None if it may go."""
    if one.live:
        return Cleaned(one, one.barriers, f"agentctl stop {short(one.live[0].id)} ends it")
    if one.barriers:
        return Cleaned(one, (*one.barriers, *one.seen.obstacles))
    if one.seen.obstacles and not request.force:
        hint = "--force saves its state first and prints how to restore it"
        return Cleaned(one, one.seen.obstacles, hint)
    return None


def _removed(found: Repository, one: Worktree, request: CleanRequest) -> Cleaned:
    checkout = one.seen.checkout
    path = os.path.realpath(checkout.path)
    saved = None
    if one.seen.obstacles:
        saved = save(found, one.seen, name_for(one.session_id, path))
    freed = size_of(path)
    # If nothing was saved, git checks once more by itself. It refuses even submodules that are empty.
    by_force = ["--force"] if saved or one.seen.submodules else []
    found.run("worktree", "remove", *by_force, checkout.path, limit=git.LONG)
    notes: list[str] = []
    deleted = False
    kept = not saved and not one.seen.contained and unpushed(found, checkout)
    if request.delete_branch and checkout.branch and kept:
        # Only the main worktree's detached HEAD has them: the next checkout there would lose them.
        notes.append(f"branch {checkout.branch} was kept: its commits are on no other branch and no remote")
    elif request.delete_branch and checkout.branch and found.commit(f"refs/heads/{checkout.branch}"):
        try:
            found.run("branch", "--delete", "--force", "--", checkout.branch)
            deleted = True
        except git.GitError as error:
            notes.append(error.message)
    return Cleaned(one, saved=saved, branch_deleted=deleted, freed=freed, notes=tuple(notes))
