"""A worktree for an agent: planned, made, and taken back if its launch comes to nothing.

Everything that can be refused is refused while planning, before anything is touched.
Looking at worktrees that are there, and removing them, is `worktrees`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import NamedTuple

from agentctl.core.ids import group_id
from agentctl.core.plan import slug, worktree_path
from agentctl.errors import AgentctlError, Locked, OperationFailed, UsageFault
from agentctl.host import git, repository
from agentctl.host.files import remove_directory
from agentctl.host.repository import Checkout, Repository
from agentctl.ops.worktrees.inspect import inspect
from agentctl.ops.worktrees.mark import Mark, write_mark
from agentctl.runtime import Runtime

FETCH_LIMIT = 30.0
"""Seconds that asking origin may take; without it the launch goes on with what is here."""


class WorktreeRequest(NamedTuple):
    """A worktree as the user asked for it."""

    repository: str
    branch: str | None = None
    """None for a new branch with a name of its own."""
    base: str | None = None
    """What a new branch begins at; None for origin's branch of the same name, else the current commit."""


class PlannedWorktree(NamedTuple):
    """A worktree that a session is to run in."""

    path: str
    repository: Repository
    branch: str
    base_commit: str
    new_branch: bool
    upstream: str | None = None
    """Remote branch that a new branch follows."""
    is_made: bool = False
    """It was there before: then it is nobody's to take back."""
    notes: tuple[str, ...] = ()


def plan_worktree(
    runtime: Runtime,
    request: WorktreeRequest,
    *,
    adapter: str | None = None,
    taken: Collection[str] = (),
    is_fetched: bool = False,
) -> PlannedWorktree:
    """The worktree for a request; `taken` are paths that other slots of this launch will have.

    Asks origin for the branches that were named, unless it `is_fetched`. A branch that is
    there is checked out, a worktree that has it already is used again. Raises Locked where
    the branch is checked out elsewhere.
    """
    found = repository.find(request.repository, runtime.environ)
    branch = request.branch or f"try/{group_id()}/{slug(adapter or 'agent').lower()}"
    check_branch(found, branch)
    notes: list[str] = []
    if not is_fetched:
        notes += fetch(found, filter(None, (request.branch, request.base)))
    tip = found.commit(f"refs/heads/{branch}")
    if tip is None:
        return _new_branch(found, branch, request.base, notes, taken)
    if request.base is not None:
        notes.append(f"branch {branch} is there already, so --base-branch was not used")
    notes += _behind(found, branch)
    for checkout in found.checkouts():
        if checkout.branch == branch:
            return _used_again(found, checkout, notes)
    return PlannedWorktree(
        _place(found, branch, taken), found, branch, tip, new_branch=False, notes=tuple(notes)
    )


def check_branch(found: Repository, branch: str) -> None:
    """Raise UsageFault for what git would not take as the name of a branch."""
    if branch.startswith("-") or found.ask("check-ref-format", f"refs/heads/{branch}") is None:
        raise UsageFault(f"'{branch}' is no name for a branch")


def _place(found: Repository, branch: str, taken: Collection[str]) -> str:
    return worktree_path(found.main, branch, lambda path: os.path.lexists(path) or path in taken)


def fetch(found: Repository, names: Iterable[str]) -> list[str]:
    """Bring `origin/NAME` up to date for each name that origin has; a note where it cannot be asked.

    Two calls at most, whatever the number of names: an origin that does not answer costs one limit.
    """
    refs = [f"refs/heads/{name}" for name in dict.fromkeys(names)]
    # Expressions such as HEAD~2 are nothing that origin could know.
    refs = [ref for ref in refs if found.ask("check-ref-format", ref) is not None]
    if not refs or not found.has_origin():
        return []
    try:
        listed = found.run("ls-remote", "--quiet", "origin", *refs, limit=FETCH_LIMIT)
        there = {ref: commit for commit, _, ref in (line.partition("\t") for line in listed.splitlines())}
        wanted = []
        for ref in refs:
            target = ref.replace("refs/heads/", "refs/remotes/origin/", 1)
            if ref in there and found.commit(target) != there[ref]:
                wanted.append(f"+{ref}:{target}")
        if wanted:
            words = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "origin", *wanted)
            found.run(*words, limit=FETCH_LIMIT)
    except git.GitError as error:
        if "cannot lock ref" not in error.message:  # else another process is fetching the same
            return [f"origin could not be asked, so what is here was taken: {error.message}"]
    return []


def _behind(found: Repository, branch: str) -> list[str]:
    remote = f"refs/remotes/origin/{branch}"
    if found.commit(remote) is None:
        return []
    count = found.run("rev-list", "--count", f"refs/heads/{branch}..{remote}").strip()
    return [] if count == "0" else [f"branch {branch} is {count} commits behind origin/{branch}"]


def _used_again(found: Repository, checkout: Checkout, notes: list[str]) -> PlannedWorktree:
    """The worktree that has this branch, if it is one that a launch would have made."""
    branch = checkout.branch or ""
    usual = worktree_path(found.main, branch, lambda _: False)
    if checkout.is_main or not checkout.path.startswith(usual) or checkout.head is None:
        raise Locked(
            f"branch {branch} is checked out in {checkout.path}",
            hint=f"work there (--cwd {checkout.path}), or name another branch",
        )
    if checkout.missing:
        raise OperationFailed(
            f"branch {branch} belongs to worktree {checkout.path}, which is gone",
            hint=f"git -C {found.main} worktree prune forgets it",
        )
    told = (*notes, f"worktree {checkout.path} is there already and is used again")
    path = os.path.realpath(checkout.path)
    return PlannedWorktree(path, found, branch, checkout.head, new_branch=False, is_made=True, notes=told)


def _new_branch(
    found: Repository, branch: str, base: str | None, notes: list[str], taken: Collection[str]
) -> PlannedWorktree:
    upstream: str | None = None
    start: str | None
    if base is not None:
        start = _base(found, base, notes)
    elif found.commit(f"refs/remotes/origin/{branch}"):
        upstream = f"origin/{branch}"
        start = found.commit(f"refs/remotes/{upstream}")
    else:
        start = found.commit("HEAD", cwd=found.here)
        if start is None:
            raise OperationFailed(
                f"repository {found.main} has no commit yet to begin a branch at",
                hint="commit something first, or name a branch with --base-branch",
            )
    return PlannedWorktree(
        _place(found, branch, taken),
        found,
        branch,
        start or "",
        new_branch=True,
        upstream=upstream,
        notes=tuple(notes),
    )


def _base(found: Repository, base: str, notes: list[str]) -> str:
    """The commit that --base-branch means: here or at origin, whichever is further on."""
    local = found.commit(f"refs/heads/{base}")
    remote = found.commit(f"refs/remotes/origin/{base}")
    if local and remote and not found.is_ancestor(remote, local):
        if found.is_ancestor(local, remote):
            return remote
        notes.append(f"{base} and origin/{base} have diverged; the branch begins at the one here")
    start = local or remote or found.commit(base, cwd=found.here)
    if start is None:
        raise UsageFault(
            f"--base-branch {base}: no such branch or commit in {found.main}",
            hint=f"git -C {found.main} branch --all lists them",
        )
    return start


def make_worktree(planned: PlannedWorktree, *, session_id: str, group: str | None) -> None:
    """Make the worktree and its branch, or leave nothing behind. One at a time in a repository."""
    if planned.is_made:
        return
    found = planned.repository
    words = ["worktree", "add", "--quiet"]
    if not planned.new_branch:
        words += [planned.path, planned.branch]
    elif planned.upstream:
        words += ["--track", "-b", planned.branch, planned.path, planned.upstream]
    else:
        words += ["--no-track", "-b", planned.branch, planned.path, planned.base_commit]
    with repository.turn(found):
        # What was free while planning may be somebody else's by now, and then is not ours to undo.
        if os.path.lexists(planned.path):
            raise Locked(f"{planned.path} was made by somebody else meanwhile", hint="launch again")
        if planned.new_branch and found.commit(f"refs/heads/{planned.branch}") is not None:
            raise Locked(f"branch {planned.branch} was made by somebody else meanwhile", hint="launch again")
        try:
            found.run(*words, limit=git.LONG)
            write_mark(found, planned.path, Mark(session_id, group, planned.base_commit))
        except BaseException:
            _undo(planned)
            raise


def take_back(planned: PlannedWorktree) -> None:
    """Undo `make_worktree` for a session whose agent never started; what its hook left goes with it."""
    if not planned.is_made:
        with repository.turn(planned.repository):
            _undo(planned)


def take_back_untouched(planned: PlannedWorktree) -> str | None:
    """The same after an agent that ended at once; None, or why the worktree stays."""
    if planned.is_made:
        return None
    found = planned.repository
    try:
        with repository.turn(found):
            seen = inspect(found, next(one for one in found.checkouts() if same(one.path, planned.path)))
            touched = seen.obstacles or seen.checkout.head != planned.base_commit
            if not touched:
                _undo(planned)
                return None
    except (AgentctlError, StopIteration):
        pass  # then it stays, and `worktree list` shows it
    return f"its worktree {planned.path} stays: agentctl worktree clean removes it"


def same(path: str, other: str) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)


def _undo(planned: PlannedWorktree) -> None:
    """Remove what `make_worktree` made, as far as it got; commits that a hook made keep their branch."""
    found = planned.repository
    found.ask("worktree", "remove", "--force", planned.path, limit=git.LONG)
    if not any(same(one.path, planned.path) for one in found.checkouts()):
        # git has forgotten it, or had never known it: what is left is half a work tree.
        remove_directory(planned.path)
    if planned.new_branch:
        found.ask("update-ref", "-d", f"refs/heads/{planned.branch}", planned.base_commit)
        if planned.upstream:
            found.ask("config", "--remove-section", f"branch.{planned.branch}")
