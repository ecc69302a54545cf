"""What a session changed, read from git after the fact: committed, uncommitted and untracked.

Nothing is written, not even the index of a worktree that an agent is at work in. Must
not judge what is good.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from agentctl.core.compare import Changes, FileChange, read_numstat
from agentctl.errors import NotFound, OperationFailed
from agentctl.host import git

MOST_UNTRACKED = 2000
"""Untracked files whose lines are counted: a build that nobody ignores has a hundred thousand."""

LARGEST_UNTRACKED = 4 * 1024 * 1024
"""Bytes of such a file up to which its lines are counted."""

PROBE = 8000
"""Bytes in which git looks for a NUL, which makes a file binary."""

DIFF = ("diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")

# Programs that a repository's own configuration names are not run for a look.
QUIET = ("-c", "core.fsmonitor=false", "-c", "diff.relative=false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Where a session worked, as it was recorded."""

    cwd: str
    branch: str | None = None
    base_commit: str | None = None
    """The commit that its branch began at, where that was recorded."""
    repository: str | None = None
    """A directory of its repository, for when its own is gone."""
    saved: str | None = None
    """The ref that has its state if its worktree was removed by force."""


def repository_of(cwd: str) -> str | None:
    """Where git keeps the repository that this directory belongs to; None for one that has none."""
    if not os.path.isdir(cwd):
        return None
    try:
        return _git(["rev-parse", "--path-format=absolute", "--git-common-dir"], cwd)
    except OperationFailed as error:
        if "not a git repository" in error.message:
            return None
        raise


def changes_of(work: Work, *, base: str | None) -> Changes:
    """Everything that differs from the base, which is `base`'s and the work's last common commit.

    Without `base` it is the recorded one, else that in common with the main worktree. A worktree
    that is gone is told of by the state that was saved, else by its branch. Raises NotFound where
    nothing is left to look at or there is no such base, OperationFailed where git fails.
    """
    if os.path.isdir(work.cwd):
        repository = repository_of(work.cwd)
        if repository is None:
            raise NotFound("not in a git repository")
        return _of_worktree(work, repository, base)
    return _of_branch(work, base)


def _of_worktree(work: Work, repository: str, base: str | None) -> Changes:
    try:
        top = _git(["rev-parse", "--show-toplevel"], work.cwd)
    except OperationFailed as error:
        if "work tree" in error.message:
            raise NotFound("not in a worktree of git") from error
        raise
    tip = _commit("HEAD", top)
    found, notes = _base(work, top, tip, base)
    now = _git(["symbolic-ref", "--quiet", "--short", "HEAD"], top, missing_ok=True)
    if work.branch is not None and now != work.branch:
        notes = [*notes, f"its worktree is on {now or 'no branch'} now, not on {work.branch}"]
    files = read_numstat(git.run([*QUIET, *DIFF, found, "--"], cwd=top))
    listed = git.run([*QUIET, "ls-files", "--others", "--exclude-standard", "-z"], cwd=top)
    untracked = sorted(name for name in listed.split("\0") if name)
    if len(untracked) > MOST_UNTRACKED:
        notes = [*notes, f"of {len(untracked)} untracked files {MOST_UNTRACKED} are counted"]
    files += [_untracked(top, name) for name in untracked[:MOST_UNTRACKED]]
    return Changes(found, _in_order(files), repository, top, tuple(notes))


def _of_branch(work: Work, base: str | None) -> Changes:
    """What was saved or committed, of a worktree that is gone."""
    repository = work.repository and repository_of(work.repository)
    if not repository:
        raise NotFound("no longer there")
    branch = f"refs/heads/{work.branch}"
    place, left = branch, "what was committed is left"
    tip = _commit(branch, repository) if work.branch else None
    saved = _commit(work.saved, repository) if work.saved else None
    # A branch that has gone on since, or went another way, tells more.
    if saved is not None and (tip is None or _fork(tip, saved, repository) == tip):
        place, left, tip = work.saved or "", "the state that was saved is shown", saved
    if tip is None:
        raise NotFound("no longer there")
    found, notes = _base(work, repository, tip, base)
    files = read_numstat(git.run([*QUIET, *DIFF, found, tip, "--"], cwd=repository))
    notes = [*notes, f"its worktree is gone: {left}"]
    return Changes(found, _in_order(files), repository, place, tuple(notes))


def _base(work: Work, place: str, tip: str | None, asked: str | None) -> tuple[str, list[str]]:
    """The commit to compare with, and what a person should know of it."""
    if asked is not None:
        commit = _commit(asked, place)
        if commit is None:
            raise NotFound(f"no commit {asked} in {place}", hint="name a branch, tag or commit with --base")
        return _fork(commit, tip, place), []
    if work.base_commit is not None and _commit(work.base_commit, place) is not None:
        return work.base_commit, []
    if tip is None:
        # Nothing was committed yet: everything is new.
        return _git(["hash-object", "-t", "tree", os.devnull], place), []
    top, main = _main_worktree(place)
    if main is None or os.path.realpath(top) == os.path.realpath(place):
        return tip, ["its base is not known: only what is not committed is shown, see --base"]
    return _fork(main, tip, place), []


def _fork(commit: str, tip: str | None, place: str) -> str:
    """Where `tip` left the line of `commit`; that commit itself where they have nothing in common."""
    if tip is None:
        return commit
    return _git(["merge-base", commit, tip], place, missing_ok=True) or commit


def _main_worktree(place: str) -> tuple[str, str | None]:
    """The repository's first worktree, or the bare repository itself, and the commit it is on."""
    top, head = "", None
    for line in _git(["worktree", "list", "--porcelain"], place).splitlines():
        key, _, value = line.partition(" ")
        if not line:
            break  # the first worktree is the main one
        if key == "worktree":
            top = value
        elif key == "HEAD" and value.strip("0"):
            head = value
    return top, head or _commit("HEAD", top)


def _commit(name: str, place: str) -> str | None:
    """The commit of this name, None where there is none."""
    return _git(["rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"], place, missing_ok=True) or None


def _git(args: list[str], cwd: str, *, missing_ok: bool = False) -> str:
    """One line of git's; empty where it failed and that is an answer."""
    try:
        return git.run([*QUIET, *args], cwd=cwd).removesuffix("\n")
    except OperationFailed:
        if missing_ok:
            return ""
        raise


def _in_order(files: list[FileChange]) -> tuple[FileChange, ...]:
    return tuple(sorted(files, key=lambda file: file.path))


def _untracked(top: str, name: str) -> FileChange:
    """A file that git does not know yet: all its lines are new. A link is one line, as git has it."""
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
