"""What a session changed, read from git after the fact: committed, uncommitted and untracked.

Nothing is written, not even the index of a worktree in which an agent is working. Must
not judge which changes are good.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from agentctl.core.compare import Changes, FileChange, read_numstat
from agentctl.errors import NotFound
from agentctl.host import repository
from agentctl.host.git import GitError
from agentctl.host.repository import Repository

MOST_UNTRACKED = 2000
"""How many untracked files have their lines counted: a build that git does not ignore can leave 100,000."""

LARGEST_UNTRACKED = 4 * 1024 * 1024
"""Size in bytes up to which the lines of such a file are counted."""

PROBE = 8000
"""Bytes in which git looks for a NUL, which makes a file binary."""

DIFF = (
    "diff",
    "--numstat",
    "-z",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--no-relative",
    "--ignore-submodules=dirty",
)

BASE_HINT = "name a branch, tag or commit with --base"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Where a session worked, as recorded."""

    cwd: str
    branch: str | None = None
    base_commit: str | None = None
    """The commit that its branch started at, if that was recorded."""
    repository: str | None = None
    """A directory of its repository, in case its own is gone."""
    saved: str | None = None
    """The ref that holds its state if its worktree was removed by force."""


def changes_of(work: Work, *, base: str | None, environ: Mapping[str, str]) -> Changes:
    """Everything that differs from the base: the last commit that `base` and the work have in common.

    Without `base` it is the recorded one, else the last in common with the main worktree. If the
    worktree is gone, the state that was saved is compared, else its branch. Raises NotFound if
    nothing is left to compare or there is no such base, OperationFailed if git fails.
    """
    if os.path.isdir(work.cwd):
        try:
            found = repository.find(work.cwd, environ)
        except NotFound as error:
            raise NotFound("not in a git repository") from error
        return _of_worktree(found, work, base)
    return _of_branch(work, base, environ)


def _of_worktree(found: Repository, work: Work, base: str | None) -> Changes:
    try:
        top = found.line("rev-parse", "--show-toplevel", cwd=work.cwd)
    except GitError as error:
        if "work tree" in error.message:
            raise NotFound("not in a worktree of git") from error
        raise
    found = found._replace(here=top)
    commit, notes = _base(found, work, found.commit("HEAD", cwd=top), base)
    now = found.branch(top)
    if work.branch is not None and now != work.branch:
        notes = [*notes, f"its worktree is on {now or 'no branch'} now, not on {work.branch}"]
    files = read_numstat(found.records(*DIFF, commit, "--", cwd=top))
    untracked = sorted(found.records("ls-files", "--others", "--exclude-standard", "-z", cwd=top))
    if len(untracked) > MOST_UNTRACKED:
        notes = [*notes, f"only {MOST_UNTRACKED} of {len(untracked)} untracked files are counted"]
    files += [_untracked(top, name) for name in untracked[:MOST_UNTRACKED]]
    return Changes(commit, _in_order(files), found.common, top, tuple(notes))


def _of_branch(work: Work, base: str | None, environ: Mapping[str, str]) -> Changes:
    """What was saved or committed in a worktree that is gone."""
    try:
        if not work.repository:
            raise NotFound("no longer there")
        found = repository.find(work.repository, environ)
    except NotFound as error:
        raise NotFound("no longer there") from error
    # No worktree is looked at from here on, not even the main one.
    found = found._replace(here=found.common)
    branch = f"refs/heads/{work.branch}"
    place, left = branch, "its commits are shown"
    tip = found.commit(branch) if work.branch else None
    saved = found.commit(work.saved) if work.saved else None
    # A branch that has moved on since, or was reset, says more.
    if saved is not None and (tip is None or _fork(found, tip, saved) == tip):
        place, left, tip = work.saved or "", "its saved state is shown", saved
    if tip is None:
        raise NotFound("no longer there")
    commit, notes = _base(found, work, tip, base)
    files = read_numstat(found.records(*DIFF, commit, tip, "--"))
    notes = [*notes, f"its worktree is gone: {left}"]
    return Changes(commit, _in_order(files), found.common, place, tuple(notes))


def _base(found: Repository, work: Work, tip: str | None, asked: str | None) -> tuple[str, list[str]]:
    """The commit to compare with, and what a person should know about it."""
    if asked is not None:
        commit = found.commit(asked, cwd=found.here)
        if commit is None:
            raise NotFound(f"no commit {asked} in {found.here}", hint=BASE_HINT)
        return _fork(found, commit, tip), []
    if work.base_commit is not None and found.commit(work.base_commit, cwd=found.here) is not None:
        return work.base_commit, []
    if tip is None:
        # Nothing was committed yet: everything is new.
        return found.line("hash-object", "-t", "tree", os.devnull, cwd=found.here), []
    main = found.commit("HEAD")
    if main is None or found.here == found.main:
        return tip, ["its base is not known: only uncommitted changes are shown, see --base"]
    return _fork(found, main, tip), []


def _fork(found: Repository, commit: str, tip: str | None) -> str:
    """Where `tip` left the line of `commit`; that commit itself if they have no ancestor in common."""
    return (found.fork(commit, tip, cwd=found.here) if tip else None) or commit


def _in_order(files: list[FileChange]) -> tuple[FileChange, ...]:
    return tuple(sorted(files, key=lambda file: file.path))


def _untracked(top: str, name: str) -> FileChange:
    """A file that git does not know yet: all its lines are new. A link counts as one line, as in git."""
    path = os.path.join(top, name)
    try:
        kind = os.lstat(path)
        if stat.S_ISLNK(kind.st_mode):
            return FileChange(name, 1, 0)
        if not stat.S_ISREG(kind.st_mode) or kind.st_size > LARGEST_UNTRACKED:
            return FileChange(name, None, None)
        with open(path, "rb") as file:
            content = file.read(LARGEST_UNTRACKED)
    except OSError:
        return FileChange(name, None, None)
    if b"\0" in content[:PROBE]:
        return FileChange(name, None, None)
    lines = content.count(b"\n") + (not content.endswith(b"\n") and content != b"")
    return FileChange(name, lines, 0)
