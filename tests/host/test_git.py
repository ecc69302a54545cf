"""git as we call it: its environment, its errors, its limits; and what a repository is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentctl.errors import AgentctlError, NotFound
from agentctl.host import git, repository
from tests.conftest import WaitUntil
from tests.git_tools import commit, make_repository
from tests.git_tools import git as plain

NAMES = ["plain", "with space", "new\nline", "ünï✓", "-dash", "quo'te\"", "a*b?[c]"]


def run(place: Path, *words: str, limit: float = git.LIMIT) -> str:
    return git.run(words, cwd=str(place), environ=os.environ, limit=limit)


def test_an_error_ends_with_gits_own_last_line(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "r")
    with pytest.raises(git.GitError) as caught:
        run(repo, "rev-parse", "--verify", "nothing")
    assert caught.value.message == f"git rev-parse failed in {repo}: Needed a single revision"
    assert caught.value.exit_code == 1


def test_variables_that_name_another_repository_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = make_repository(tmp_path / "one"), make_repository(tmp_path / "other")
    head = commit(one, "second")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR"):
        monkeypatch.setenv(name, str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert run(one, "rev-parse", "HEAD").strip() == head
    assert repository.find(str(one), os.environ).main == str(one)


def test_git_asks_nobody_and_its_words_are_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    repo = make_repository(tmp_path / "r")
    plain(repo, "config", "alias.env", "!env")
    seen = dict(line.split("=", 1) for line in run(repo, "env").splitlines() if "=" in line)
    assert (seen["LC_ALL"], seen["GIT_TERMINAL_PROMPT"]) == ("C", "0")
    plain(repo, "config", "alias.read", "!cat")
    assert run(repo, "read") == ""


def test_a_call_that_takes_too_long_is_ended_with_all_it_started(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    repo = make_repository(tmp_path / "r")
    plain(repo, "config", "alias.hang", "!sleep 300 & echo $! > pid; wait")
    with pytest.raises(git.GitError, match=r"timed out in .* after 0\.5 s"):
        run(repo, "hang", limit=0.5)
    pid = int((repo / "pid").read_text())
    wait_until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not _words(pid))


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_without_git_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_repository(tmp_path / "r")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(git.GitError) as caught:
        run(repo, "status")
    assert "install git" in (caught.value.hint or "")
    with pytest.raises(git.GitError, match="cannot start in"):
        run(tmp_path / "gone", "status")


@pytest.mark.parametrize("name", NAMES)
def test_a_repository_and_its_worktrees_whatever_their_names(tmp_path: Path, name: str) -> None:
    repo = make_repository(tmp_path / name)
    plain(repo, "worktree", "add", "-q", "-b", "fix", str(tmp_path / f"{name}-fix"))
    plain(repo, "worktree", "add", "-q", "--detach", str(tmp_path / f"{name}-loose"))
    plain(repo, "worktree", "lock", "--reason", "mine", str(tmp_path / f"{name}-loose"))
    for place in (repo, repo / "src", tmp_path / f"{name}-fix" / "src"):
        found = repository.find(str(place), os.environ)
        assert (found.main, found.common) == (str(repo), str(repo / ".git"))
    main, fix, loose = found.checkouts()
    assert (main.path, main.is_main, main.branch) == (str(repo), True, "main")
    assert (fix.path, fix.branch, fix.locked, fix.missing) == (f"{repo}-fix", "fix", None, False)
    assert (loose.branch, loose.locked, loose.head) == (None, "mine", main.head)


def test_a_worktree_that_is_just_being_removed_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git's list fails while the files of one are half gone; this git has them gone after a failure."""
    repo = make_repository(tmp_path / "r")
    half = repo / ".git" / "worktrees" / "half"
    half.mkdir(parents=True)
    (half / "gitdir").write_text(f"{tmp_path}/half/.git\n")
    (half / "commondir").touch()
    real = shutil.which("git")
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\n{real} "$@" && exit\ncode=$?\nrm -rf "{half}"\nexit $code\n')
    wrapper.chmod(0o755)
    environ = {**os.environ, "PATH": f"{wrapper.parent}:{os.environ['PATH']}"}
    with pytest.raises(git.GitError, match="half"):
        git.run(["worktree", "list"], cwd=str(repo), environ=os.environ)
    found = repository.find(str(repo), environ)
    half.mkdir()
    (half / "gitdir").write_text(f"{tmp_path}/half/.git\n")
    (half / "commondir").touch()
    assert [one.path for one in found.checkouts()] == [str(repo)]


def test_a_bare_repository_and_none(tmp_path: Path) -> None:
    make_repository(tmp_path / "r")
    plain(tmp_path, "clone", "-q", "--bare", "r", "r.git")
    found = repository.find(str(tmp_path / "r.git"), os.environ)
    assert found.main == str(tmp_path / "r.git")
    assert found.checkouts()[0].commit is None
    (tmp_path / "none").mkdir()
    with pytest.raises(NotFound, match="is not in a git repository"):
        repository.find(str(tmp_path / "none"), os.environ)
    with pytest.raises(NotFound, match="no such directory"):
        repository.find(str(tmp_path / "gone"), os.environ)


def test_a_repository_that_git_does_not_trust_is_not_called_none(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "r")
    (repo / ".git" / "config").write_text("[broken\n")
    with pytest.raises(AgentctlError) as caught:
        repository.find(str(repo), os.environ)
    assert "bad config" in caught.value.message


TURN = """
import os, sys
from agentctl.host import repository
found = repository.find(sys.argv[1], os.environ)
for _ in range(5):
    with repository.turn(found):
        descriptor = os.open(sys.argv[2], os.O_CREAT | os.O_EXCL)  # fails if another one is inside
        os.close(descriptor)
        os.unlink(sys.argv[2])
"""


def test_a_turn_is_one_processs_at_a_time(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "r")
    words = [sys.executable, "-c", TURN, str(repo), str(tmp_path / "inside")]
    started = [subprocess.Popen(words) for _ in range(4)]
    assert [one.wait(60) for one in started] == [0] * 4
