"""A worktree for an agent: planned, made, and removed again if its launch fails.

Everything that can be refused is refused while planning, before anything is touched.
`inspect` looks at existing worktrees, `clean` removes them.
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
"""Seconds that asking origin may take; after that the launch continues with the local branches."""


class WorktreeRequest(NamedTuple):
    """A worktree as the user asked for it."""

    repository: str
    branch: str | None = None
    """None for a new branch with a generated name."""
    base: str | None = None
    """Where a new branch starts; None for origin's branch of the same name, else the current commit."""


class PlannedWorktree(NamedTuple):
    """A worktree that a session is to run in."""

    path: str
    repository: Repository
    branch: str
    base_commit: str
    new_branch: bool
    upstream: str | None = None
    """The remote branch that a new branch tracks."""
    is_made: bool = False
    """It already existed, so it must not be removed if the launch fails."""
    notes: tuple[str, ...] = ()


def plan_worktree(
    runtime: Runtime,
    request: WorktreeRequest,
    *,
    adapter: str | None = None,
    taken: Collection[str] = (),
    is_fetched: bool = False,
) -> PlannedWorktree:
    """The worktree for a request; `taken` are the paths of this launch's other worktrees.

    Asks origin for the branches that were named, unless that `is_fetched` already. An existing
    branch is checked out; a worktree that has it checked out already is reused. Raises Locked
    if the branch is checked out anywhere else.
    """
    found = repository.find(request.repository, runtime.environ)
    branch = request.branch or f"try/{group_id()}/{slug(adapter or 'agent').lower()}"
    check_branch(found, branch)
    notes = _unfiltered(found)
    if not is_fetched:
        notes += fetch(found, filter(None, (request.branch, request.base)))
    tip = found.commit(f"refs/heads/{branch}")
    if tip is None:
        return _new_branch(found, branch, request.base, notes, taken)
    if request.base is not None:
        notes.append(f"branch {branch} already exists, so --base-branch was ignored")
    notes += _behind(found, branch)
    for checkout in found.checkouts():
        if checkout.branch == branch:
            return _used_again(found, checkout, notes)
    path = _place(found, branch, taken)
    notes += _empty_submodules(found, path, tip)
    return PlannedWorktree(path, found, branch, tip, new_branch=False, notes=tuple(notes))


def _empty_submodules(found: Repository, path: str, commit: str) -> list[str]:
    """git fills no submodule of a new worktree, and an agent may wonder where the files are."""
    if found.commit(commit) is None or found.ask("rev-parse", "--verify", f"{commit}:.gitmodules") is None:
        return []
    return [f"its submodules are empty: git -C {path} submodule update --init fills them"]


def _unfiltered(found: Repository) -> list[str]:
    names = git.own_filters(found.main, found.environ)
    if not names:
        return []
    noun = "filter" if len(names) == 1 else "filters"
    return [
        f"git {noun} {', '.join(names)}: not run, because an agent can write the repository's own settings;"
        " git config --global makes them yours"
    ]


def check_branch(found: Repository, branch: str) -> None:
    """Raise UsageFault for a name that git does not accept for a branch."""
    if branch.startswith("-") or found.ask("check-ref-format", f"refs/heads/{branch}") is None:
        raise UsageFault(f"'{branch}' is not a valid branch name")


def _place(found: Repository, branch: str, taken: Collection[str]) -> str:
    return worktree_path(found.main, branch, lambda path: os.path.lexists(path) or path in taken)


def fetch(found: Repository, names: Iterable[str]) -> list[str]:
    """Update `origin/NAME` for each name that origin has; a note if origin cannot be reached.

    Two calls at most, for any number of names: an origin that does not answer costs one time-out.
    """
    refs = [f"refs/heads/{name}" for name in dict.fromkeys(names)]
    # Origin knows no expressions such as HEAD~2.
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
        if "cannot lock ref" not in error.message:  # otherwise another process is fetching the same branch
            return [f"origin could not be reached, so the local branches were used: {error.message}"]
    return []


def _behind(found: Repository, branch: str) -> list[str]:
    remote = f"refs/remotes/origin/{branch}"
    if found.commit(remote) is None:
        return []
    count = found.run("rev-list", "--count", f"refs/heads/{branch}..{remote}").strip()
    noun = "commit" if count == "1" else "commits"
    return [] if count == "0" else [f"branch {branch} is {count} {noun} behind origin/{branch}"]


def _used_again(found: Repository, checkout: Checkout, notes: list[str]) -> PlannedWorktree:
    """The worktree that has this branch checked out, if a launch would have put it there."""
    branch = checkout.branch or ""
    usual = worktree_path(found.main, branch, lambda _: False)
    if checkout.is_main or not checkout.path.startswith(usual) or checkout.head is None:
        raise Locked(
            f"branch {branch} is checked out in {checkout.path}",
            hint=f"work there (--cwd {checkout.path}), or name another branch",
        )
    if checkout.missing:
        raise OperationFailed(
            f"branch {branch} is checked out in {checkout.path}, which no longer exists",
            hint=f"git -C {found.main} worktree prune forgets it",
        )
    told = (*notes, f"worktree {checkout.path} already exists and is reused")
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
                f"repository {found.main} has no commits yet, so no branch can start there",
                hint="commit something first, or name a branch with --base-branch",
            )
    path = _place(found, branch, taken)
    notes += _empty_submodules(found, path, start or "")
    return PlannedWorktree(
        path,
        found,
        branch,
        start or "",
        new_branch=True,
        upstream=upstream,
        notes=tuple(notes),
    )


def _base(found: Repository, base: str, notes: list[str]) -> str:
    """The commit that --base-branch names: local or at origin, whichever is ahead."""
    local = found.commit(f"refs/heads/{base}")
    remote = found.commit(f"refs/remotes/origin/{base}")
    if local and remote and not found.is_ancestor(remote, local):
        if found.is_ancestor(local, remote):
            return remote
        notes.append(f"{base} and origin/{base} have diverged; the new branch starts at the local one")
    start = local or remote or found.commit(base, cwd=found.here)
    if start is None:
        raise UsageFault(
            f"--base-branch {base}: no such branch or commit in {found.main}",
            hint=f"git -C {found.main} branch --all lists them",
        )
    return start


def make_worktree(planned: PlannedWorktree, *, session_id: str, group: str | None) -> None:
    """Make the worktree and its branch, or leave nothing behind. One at a time per repository."""
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
        # A path or branch that was free while planning may belong to another process by now: never undo that.
        if os.path.lexists(planned.path):
            raise _overtaken(planned.path)
        if planned.new_branch and found.commit(f"refs/heads/{planned.branch}") is not None:
            raise _overtaken(f"branch {planned.branch}")
        try:
            found.run(*words, limit=git.LONG)
            found.remember_main()
            write_mark(found, planned.path, Mark(session_id, group, planned.base_commit))
        except BaseException:
            _undo(planned)
            raise


def _overtaken(what: str) -> Locked:
    return Locked(f"{what} has been created by another process meanwhile", hint="launch again")


def take_back(planned: PlannedWorktree) -> None:
    """Undo `make_worktree` for a session whose agent never started; also removes files of its hook."""
    if not planned.is_made:
        with repository.turn(planned.repository):
            _undo(planned)


def take_back_untouched(planned: PlannedWorktree) -> str | None:
    """Undo `make_worktree` after an agent that ended at once; None, or why the worktree was kept."""
    if planned.is_made:
        return None
    found = planned.repository
    try:
        with repository.turn(found):
            seen = inspect(found, next(one for one in found.checkouts() if _same(one.path, planned.path)))
            touched = seen.obstacles or seen.checkout.head != planned.base_commit
            if not touched:
                _undo(planned)
                return None
    except (AgentctlError, StopIteration):
        pass  # keep it: `worktree list` shows it
    return f"its worktree {planned.path} was kept: agentctl worktree clean removes it"


def _same(path: str, other: str) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)


def _undo(planned: PlannedWorktree) -> None:
    """Remove everything that `make_worktree` got to make; a branch with commits from a hook is kept."""
    found = planned.repository
    found.ask("worktree", "remove", "--force", planned.path, limit=git.LONG)
    if not any(_same(one.path, planned.path) for one in found.checkouts()):
        # git no longer lists it, or never did: the directory is only part of a work tree.
        remove_directory(planned.path)
    if planned.new_branch:
        found.ask("update-ref", "-d", f"refs/heads/{planned.branch}", planned.base_commit)
        if planned.upstream:
            found.ask("config", "--remove-section", f"branch.{planned.branch}")
