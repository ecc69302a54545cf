"""What a repository and its worktrees are, as git tells it; and the lock that making them takes.

Looks only, except for the lock file. Must not know sessions.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

from agentctl.errors import Locked, NotFound, OperationFailed
from agentctl.host import flock, git, waiting
from agentctl.host.files import read_small, write_private

TURN_WITHIN = 900.0
"""Seconds to wait for other processes that make or remove worktrees of the same repository."""

LISTED_WITHIN = 1.0
"""Seconds within which the removal of a worktree is complete."""


MAIN = "agentctl.main"
"""The file in a git directory that says where its main worktree is."""

IDENTITY = ("-c", "user.name=agentctl", "-c", "user.email=agentctl@localhost")
"""For commits of agentctl's own."""

UNTOUCHED = ("--quiet", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty")
"""Options of a `git diff` that answers by its exit code: 0 if nothing differs."""


class Checkout(NamedTuple):
    """One worktree of a repository, as listed by `git worktree list`."""

    path: str
    head: str | None
    branch: str | None
    """None if HEAD is detached."""
    is_main: bool
    locked: str | None = None
    """The reason, perhaps empty, if it is locked by `git worktree lock`."""
    missing: bool = False
    """Its directory is gone."""

    @property
    def commit(self) -> str | None:
        """What is checked out; None in a bare repository, and before the first commit."""
        return self.head if self.head and self.head.strip("0") else None


class Repository(NamedTuple):
    """A repository seen from `here`, the directory that was named."""

    here: str
    common: str
    """The common git directory, real and absolute: the same for all worktrees."""
    main: str
    """The main worktree, or the directory of a bare repository."""
    environ: Mapping[str, str]

    def run(
        self,
        *words: str,
        cwd: str | None = None,
        limit: float = git.LIMIT,
        extra: Mapping[str, str] | None = None,
    ) -> str:
        """What git prints in the main worktree, or in `cwd`; `extra` are further variables."""
        return git.run(words, cwd=cwd or self.main, environ=self.environ, limit=limit, extra=extra)

    def ask(self, *words: str, cwd: str | None = None, limit: float = git.LIMIT) -> str | None:
        """The same, None for any exit code other than 0."""
        return git.ask(words, cwd=cwd or self.main, environ=self.environ, limit=limit)

    def line(self, *words: str, cwd: str | None = None) -> str:
        """The one line that git answers with. Only its end is cut: a path may end with a space."""
        return self.run(*words, cwd=cwd).removesuffix("\n")

    def records(
        self, *words: str, cwd: str | None = None, extra: Mapping[str, str] | None = None
    ) -> list[str]:
        """The records of an answer that `-z` ends with NUL: names in it may hold anything else."""
        return _records(self.run(*words, cwd=cwd, extra=extra))

    def commit(self, name: str, *, cwd: str | None = None) -> str | None:
        """The commit that a ref or expression means; None if there is none."""
        found = self.ask(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", cwd=cwd
        )
        return found.strip() if found else None

    def has_origin(self) -> bool:
        return self.ask("remote", "get-url", "origin") is not None

    def is_ancestor(self, older: str, newer: str) -> bool:
        return self.ask("merge-base", "--is-ancestor", older, newer) is not None

    def git_directory(self, path: str) -> str:
        """The git directory of one worktree."""
        return self.line("rev-parse", "--absolute-git-dir", cwd=path)

    def branch(self, path: str) -> str | None:
        """The branch that a worktree is on; None if its HEAD is detached."""
        name = self.ask("symbolic-ref", "--quiet", "HEAD", cwd=path)
        return name.removesuffix("\n").removeprefix("refs/heads/") if name else None

    def checkouts(self) -> list[Checkout]:
        """Every worktree, the main one first."""
        first, *others = _checkouts(self.main, self.environ)
        return [first._replace(path=self.main), *others]

    def remember_main(self) -> None:
        """Note where the main worktree is, if its git directory lies elsewhere and does not say so."""
        if os.path.dirname(self.common) != self.main != self.common:
            write_private(os.path.join(self.common, MAIN), os.fsencode(self.main))

    def fork(self, commit: str, other: str, *, cwd: str | None = None) -> str | None:
        """The last commit that both have in common; None if they have none."""
        found = self.ask("merge-base", commit, other, cwd=cwd)
        return found.strip() if found else None

    def is_contained(self, head: str, target: str) -> bool:
        """Whether `target` has the changes of `head` as other commits: by a squashed merge, or a rebase."""
        try:
            return self._is_contained(head, target)
        except git.GitError:
            return False

    def _is_contained(self, head: str, target: str) -> bool:
        base = self.fork(head, target)
        if base is None or self.ask("diff", *UNTOUCHED, base, head) is not None:
            return False  # nothing in common, or nothing but commits that undo each other
        merges = self.line("rev-list", "--count", "--merges", f"{target}..{head}")
        if merges == "0" and self._has_patches(target, head):
            return True
        with tempfile.TemporaryDirectory(prefix="agentctl-") as place:
            # Objects made for a look do not go into the repository.
            objects = os.path.join(self.common, "objects")
            extra = {"GIT_OBJECT_DIRECTORY": place, "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(objects)}
            words = (*IDENTITY, "commit-tree", f"{head}^{{tree}}", "-p", base, "-m", "squashed")
            squashed = self.run(*words, extra=extra).strip()
            if self._has_patches(target, squashed, extra):
                return True
            try:
                merged = self.run("merge-tree", "--write-tree", target, head, extra=extra).strip()
            except git.GitError:
                return False  # a conflict, or a git before 2.38
        return merged == self.line("rev-parse", f"{target}^{{tree}}")

    def _has_patches(self, target: str, head: str, extra: Mapping[str, str] | None = None) -> bool:
        """Whether each commit of `head` that `target` lacks has one there that changes the same."""
        words = ("rev-list", "--count", "--cherry-pick", "--right-only", f"{target}...{head}")
        return self.run(*words, extra=extra).strip() == "0"


def find(path: str, environ: Mapping[str, str]) -> Repository:
    """The repository that a directory is in. Raises NotFound where there is none, or GitError."""
    here = os.path.realpath(os.path.expanduser(path))
    if not os.path.isdir(here):
        raise NotFound(f"repository {path}: no such directory")
    try:
        common = git.run(["rev-parse", "--git-common-dir"], cwd=here, environ=environ).removesuffix("\n")
    except git.GitError as error:
        # A repository that is not trusted, or is damaged, is still a repository.
        if "not a git repository" not in error.message:
            raise
        raise NotFound(
            f"{here} is not in a git repository",
            hint="name a repository, or make one: git init, and commit something",
        ) from None
    common = os.path.realpath(os.path.join(here, common))
    main = os.path.realpath(_checkouts(here, environ)[0].path)
    return Repository(
        here=here,
        common=common,
        main=main if os.path.dirname(common) == main else _checkout_of(common, here, environ) or main,
        environ=environ,
    )


def _checkout_of(common: str, here: str, environ: Mapping[str, str]) -> str | None:
    """The main worktree of a git directory that lies elsewhere: a submodule's, or a separate one.

    A submodule's says where. A separate one is known from inside its main worktree, and once
    a worktree was made from there.
    """
    places = [common]
    own = git.ask(["rev-parse", "--absolute-git-dir"], cwd=here, environ=environ)
    if own is not None and os.path.realpath(own.removesuffix("\n")) == common:
        places.insert(0, here)
    with suppress(OSError):
        places.append(os.fsdecode(read_small(os.path.join(common, MAIN)) or b""))
    for place in filter(os.path.isdir, places):
        top = git.ask(["rev-parse", "--show-toplevel"], cwd=place, environ=environ)
        if top is not None:
            return os.path.realpath(top.removesuffix("\n"))
    return None


def _quoted(path: str) -> str:
    """A path as git reads it in a list: one with a colon or a quote needs quotes."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _records(text: str) -> list[str]:
    return [record for record in text.split("\0") if record]


def _checkouts(cwd: str, environ: Mapping[str, str]) -> list[Checkout]:
    """The worktrees, the main one first: blocks of lines, with NUL in place of line ends."""
    blocks = _listed(cwd, environ).split("\0\0")
    return [_checkout(block, is_main=number == 0) for number, block in enumerate(blocks) if block]


def _listed(cwd: str, environ: Mapping[str, str]) -> str:
    """git's list of the worktrees; asked again while one of them is being removed, because git fails then."""
    for _ in waiting.ticks(interval=0.05, timeout=LISTED_WITHIN):
        try:
            return git.run(["worktree", "list", "--porcelain", "-z"], cwd=cwd, environ=environ)
        except git.GitError as error:
            if "/worktrees/" not in error.message:
                raise
            failure = error
    raise failure


def _checkout(block: str, *, is_main: bool) -> Checkout:
    facts: dict[str, str] = {}
    for line in _records(block):
        name, _, value = line.partition(" ")
        facts[name] = value
    return Checkout(
        path=facts.get("worktree", ""),
        head=facts.get("HEAD"),
        branch=facts["branch"].removeprefix("refs/heads/") if "branch" in facts else None,
        is_main=is_main,
        locked=facts.get("locked"),
        missing="prunable" in facts,
    )


@contextmanager
def turn(repository: Repository) -> Iterator[None]:
    """This process's turn to make or remove worktrees of the repository; others wait for it.

    A lock on a file in the common git directory, freed by the kernel with its holder.
    git itself does not queue: of two that write a repository's configuration, one fails.
    """
    path = os.path.join(repository.common, "agentctl.lock")
    held: list[int] = []

    def try_once() -> bool:
        found = flock.try_hold(path)
        if found is not None:
            held.append(found)
        return found is not None

    try:
        if not waiting.poll(try_once, timeout=TURN_WITHIN, first=0.01):
            raise Locked(
                f"another process has been making or removing worktrees of {repository.main} for 15 min",
                hint=f"fuser {path} shows that process",
            )
    except OSError as error:
        raise OperationFailed(f"{path} cannot be locked: {error.strerror}") from error
    try:
        yield
    finally:
        os.close(held[0])
