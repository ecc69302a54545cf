"""What worktrees there are, who works in them, and what would be lost with each.

Looks only. `clean` removes, `save` and `restore` keep what would be lost.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from agentctl.core.ids import short
from agentctl.core.model import Session
from agentctl.core.text import one_line
from agentctl.errors import AgentctlError, NotFound
from agentctl.host import repository
from agentctl.host.occupants import Occupant, is_within, occupants, size_of
from agentctl.host.repository import Checkout, Repository
from agentctl.ops.worktrees.mark import Mark, mark_of
from agentctl.runtime import Runtime
from agentctl.store import locks, sessions
from agentctl.store.db import Database, reading

NAMED = 3
"""How many files or processes a refusal names; the rest are counted."""

NAMES_AT_ONCE = 200
"""File names in one call: argument lists are limited in length."""

_UNDER_WAY = {
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_LOG": "a bisect",
}


class Inspected(NamedTuple):
    """One worktree, looked at."""

    checkout: Checkout
    git_directory: str
    modified: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    under_way: str | None = None
    unpushed: int = 0
    """Commits that are on no other branch, no remote and no tag."""
    merged: bool = False
    """All of its changes are in the main worktree's commit, or in origin's."""
    contained: bool = False
    """They are there as other commits: by a squashed merge, or a rebase."""
    occupants: tuple[Occupant, ...] = ()
    has_submodules: bool = False
    submodules: tuple[str, ...] = ()
    """All of them; they are empty unless `has_submodules`."""

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why it is not removed without --force: what would be lost, or who uses it."""
        found = []
        if self.modified:
            found.append(f"{len(self.modified)} changed: {_some(self.modified)}")
        if self.untracked:
            found.append(f"{len(self.untracked)} untracked: {_some(self.untracked)}")
        if self.under_way:
            found.append(f"{self.under_way} is in progress")
        if self.unpushed:
            noun, verb = ("commit", "is") if self.unpushed == 1 else ("commits", "are")
            found.append(f"{self.unpushed} {noun} that {verb} on no other branch and no remote")
        if self.occupants:
            named = [f"{one.pid} ({one_line(one.name, 20)})" for one in self.occupants]
            found.append(f"in use by process {_some(named)}")
        return tuple(found)

    @property
    def barriers(self) -> tuple[str, ...]:
        """Why it is not removed even with --force: what could not be saved, or was locked on purpose."""
        found = []
        nested = [name for name in self.untracked if name.endswith("/")]
        if nested:
            found.append(f"it contains another repository, which cannot be saved: {_some(nested)}")
        if self.has_submodules:
            found.append("it has submodules, whose state cannot be saved")
        if self.checkout.locked is not None:
            why = f" ({one_line(self.checkout.locked, 60)})" if self.checkout.locked else ""
            found.append(f"it is locked by git worktree lock{why}")
        return tuple(found)


class Worktree(NamedTuple):
    """A worktree, and the session that last ran in it."""

    repo: str
    seen: Inspected
    session: Session | None = None
    live: tuple[Session, ...] = ()
    """Sessions that are running in it."""
    held_by: tuple[str, ...] = ()
    """People who have locked its directory."""
    nested: tuple[str, ...] = ()
    """Other worktrees inside it, relative to it: perhaps ignored by git, but with changes of their own."""
    mark: Mark | None = None
    ahead: int | None = None
    """Commits since its session began; None if that is not known."""
    size: int | None = None

    @property
    def is_ours(self) -> bool:
        """Whether agentctl made it."""
        return self.session is not None or self.mark is not None

    @property
    def session_id(self) -> str | None:
        """The session's id, even if the session has been pruned."""
        return self.session.id if self.session else self.mark.session_id if self.mark else None

    @property
    def barriers(self) -> tuple[str, ...]:
        """Why it is not removed even with --force."""
        at_work = [f"session {short(one.id)} is running in it" for one in self.live]
        held = [f"its directory is locked by {one_line(who, 40)}" for who in self.held_by]
        inner = [f"it contains another worktree: {_some(self.nested)}"] if self.nested else []
        return (*at_work, *held, *inner, *self.seen.barriers)


def inspect(found: Repository, checkout: Checkout) -> Inspected:
    """Look at one worktree; only at its commits if its directory is gone."""
    targets = (found.commit(name) for name in ("HEAD", "refs/remotes/origin/HEAD"))
    whole = dict.fromkeys(filter(None, targets))  # mostly the same commit
    head = checkout.commit
    merged = head is not None and any(found.is_ancestor(head, commit) for commit in whole)
    alone = 0 if merged else unpushed(found, checkout)
    contained = head is not None and not merged and any(found.is_contained(head, commit) for commit in whole)
    if contained:
        merged, alone = True, 0
    path = os.path.realpath(checkout.path)
    if checkout.missing or not os.path.isdir(path):
        return Inspected(checkout, "", unpushed=alone, merged=merged, contained=contained)
    directory = found.git_directory(path)
    names, links = _entries(found, path)
    modified, untracked = _status(found, path, directory, names, links)
    return Inspected(
        checkout,
        directory,
        modified=modified,
        untracked=untracked,
        under_way=next(
            (what for name, what in _UNDER_WAY.items() if os.path.lexists(os.path.join(directory, name))),
            None,
        ),
        unpushed=alone,
        merged=merged,
        contained=contained,
        occupants=tuple(occupants(path)),
        has_submodules=os.path.isdir(os.path.join(directory, "modules"))
        or any(os.path.lexists(os.path.join(path, link, ".git")) for link in links),
        submodules=tuple(links),
    )


def _status(
    found: Repository, path: str, directory: str, names: list[str], links: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of changed and of untracked files. Ignored files are neither: a removal deletes them.

    `names` and `links` are the `_entries` of the worktree.
    """
    words = (
        "status",
        "--porcelain=v1",
        "-z",
        "--no-renames",
        "--untracked-files=all",
    )
    if names:
        with index_copy(found, path, directory, watching=names) as extra:
            lines = found.records(*words, cwd=path, extra=extra)
    else:
        lines = found.records(*words, cwd=path)
    untracked = tuple(line[3:] for line in lines if line.startswith("??"))
    modified = [line[3:] for line in lines if not line.startswith("??")]
    # git would look into submodules with their own settings, and run the programs that those name.
    inner = (name for name in links if name not in modified and _is_changed_inside(found, path, name))
    return (*modified, *inner), untracked


def _is_changed_inside(found: Repository, path: str, link: str) -> bool:
    place = os.path.join(path, link)
    if not os.path.lexists(os.path.join(place, ".git")):
        return False
    return any(_status(found, place, found.git_directory(place), *_entries(found, place)))


def unwatched(found: Repository, path: str) -> list[str]:
    """Existing files that git was told not to look at: skip-worktree, assume-unchanged."""
    return _entries(found, path)[0]


def _entries(found: Repository, path: str) -> tuple[list[str], list[str]]:
    """Of the files in the index: those of `unwatched`, and the submodules."""
    flagged, links = [], []
    for line in found.records("ls-files", "-v", "--stage", "-z", cwd=path):
        facts, _, name = line.partition("\t")
        if facts.startswith("S") or facts[:1].islower():
            flagged.append(name)
        if facts.startswith("160000 ", 2):
            links.append(name)
    return [name for name in flagged if os.path.lexists(os.path.join(path, name))], links


@contextmanager
def index_copy(
    found: Repository, path: str, directory: str, *, watching: Sequence[str]
) -> Iterator[dict[str, str]]:
    """Variables that make git work on a copy of a worktree's index, and look at the files `watching`.

    With the files of `unwatched`, git looks at every existing file. The real index is not
    changed. Files that a sparse checkout leaves out on purpose are still known.
    """
    with tempfile.TemporaryDirectory(prefix="agentctl-") as place:
        extra = {"GIT_INDEX_FILE": os.path.join(place, "index")}
        with suppress(FileNotFoundError):
            shutil.copy(os.path.join(directory, "index"), extra["GIT_INDEX_FILE"])
        for first in range(0, len(watching), NAMES_AT_ONCE):
            some = watching[first : first + NAMES_AT_ONCE]
            for flag in ("--no-skip-worktree", "--no-assume-unchanged"):
                found.run("update-index", flag, "--", *some, cwd=path, extra=extra)
        yield extra


def unpushed(found: Repository, checkout: Checkout) -> int:
    """Commits that are on no other branch, no remote and no tag."""
    if checkout.commit is None:
        return 0
    own = [f"--exclude={checkout.branch}"] if checkout.branch else []
    words = ("rev-list", "--count", checkout.commit, "--not", *own, "--branches", "--remotes", "--tags")
    return int(found.run(*words))


def _some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(one_line(name, 60) for name in names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"


def list_worktrees(runtime: Runtime, place: str | None, *, sizes: bool = True) -> list[Worktree]:
    """Linked worktrees of the repository at `place`.

    Without a place: those of the current directory's repository. Outside of any repository:
    those that agentctl made, in every repository in which sessions have run.
    """
    from agentctl.ops.reconcile.reconcile import reconcile

    db = runtime.readable_state
    reconcile(runtime, db)  # so that the worktrees of sessions that have ended are free
    found = current(runtime) if place is None else repository.find(place, runtime.environ)
    if found is not None:
        return worktrees_of(runtime, db, found, sizes=sizes)
    return [
        one
        for known in repositories(runtime, db)
        for one in worktrees_of(runtime, db, known, sizes=sizes)
        if one.is_ours
    ]


def current(runtime: Runtime) -> Repository | None:
    """The repository of the current directory; None outside of any."""
    try:
        return repository.find(".", runtime.environ)
    except NotFound:
        return None


def repositories(runtime: Runtime, db: Database) -> list[Repository]:
    """Every repository in whose worktrees sessions have run, if it still exists."""
    with reading(db):
        places = sessions.repositories(db)
    found = []
    for place in places:
        try:
            found.append(repository.find(place, runtime.environ))
        except AgentctlError as error:
            runtime.notices.append(error.message)
    return found


def worktrees_of(
    runtime: Runtime, db: Database, found: Repository, *, sizes: bool = False, only: str | None = None
) -> list[Worktree]:
    """The linked worktrees of one repository with their sessions; or the one at `only`."""
    with reading(db):
        rows = sessions.in_worktrees(db, found.main)
        busy = sessions.unsettled(db)
        held = [lock for lock in locks.all(db) if lock.session_id is None]
    listed = []
    checkouts = found.checkouts()
    places = [os.path.realpath(one.path) for one in checkouts if not one.missing]
    for checkout in checkouts:
        path = os.path.realpath(checkout.path)
        if checkout.is_main or (only is not None and path != only):
            continue
        session = next((row for row in rows if row.cwd == path), None)
        seen = inspect(found, checkout)
        mark = mark_of(seen.git_directory)
        base = (session and session.base_commit) or (mark and mark.base_commit)
        listed.append(
            Worktree(
                repo=found.main,
                seen=seen,
                session=session,
                live=tuple(one for one in busy if is_within(one.cwd, path)),
                held_by=tuple(lock.holder for lock in held if is_within(lock.directory, path)),
                nested=tuple(
                    os.path.relpath(place, path)
                    for place in places
                    if place != path and is_within(place, path)
                ),
                mark=mark,
                ahead=_ahead(found, base, checkout.head),
                size=size_of(path) if sizes else None,
            )
        )
    return listed


def _ahead(found: Repository, base: str | None, head: str | None) -> int | None:
    if base is None or head is None:
        return None
    count = found.ask("rev-list", "--count", f"{base}..{head}")
    return None if count is None else int(count)
