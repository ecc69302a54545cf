"""Real repositories for tests: made below tmp_path, with a name and no network."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

IDENTITY = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "protocol.file.allow=always")


def git(place: Path | str, *words: str, check: bool = True) -> str:
    """What git prints, without the last line end."""
    done = subprocess.run(
        ["git", *IDENTITY, *words],
        cwd=place,
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert not check or done.returncode == 0, done.stderr.decode()
    return os.fsdecode(done.stdout).removesuffix("\n")


def make_repository(path: Path) -> Path:
    """A repository with one commit on `main`; two files, one of them in a directory."""
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "-b", "main")
    (path / "readme").write_text("hello\n")
    (path / "src").mkdir()
    (path / "src" / "main").write_text("one\n")
    (path / ".gitignore").write_text("*.log\n")
    commit(path, "first")
    return path


def commit(path: Path, message: str) -> str:
    """Commit everything; the new commit."""
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(path, "rev-parse", "HEAD")


def with_origin(path: Path) -> Path:
    """Give the repository a bare origin beside it, which has all it has; where that is."""
    origin = path.parent / f"{path.name}-origin.git"
    git(path.parent, "clone", "--quiet", "--bare", str(path), str(origin))
    git(path, "remote", "add", "origin", str(origin))
    git(path, "fetch", "--quiet", "origin")
    return origin


def branches(path: Path) -> set[str]:
    return set(git(path, "for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines())


def worktrees(path: Path) -> list[Path]:
    """The linked worktrees."""
    blocks = git(path, "worktree", "list", "--porcelain", "-z").split("\0\0")
    return [Path(block.split("\0")[0].removeprefix("worktree ")) for block in blocks if block.strip("\0")][1:]
