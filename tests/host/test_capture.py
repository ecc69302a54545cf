"""Helper programs with a time limit, and git in the repository that is meant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from agentctl.errors import OperationFailed, ProgramUnavailable
from agentctl.host import git
from agentctl.host.capture import capture
from tests.conftest import WaitUntil


def test_code_and_both_streams_are_kept() -> None:
    ended = capture(
        ["/bin/sh", "-c", r"printf 'a\377'; printf 'x\n\ny \n\n' >&2; exit 3"],
        cwd="/",
        environ={},
        limit=10,
    )
    assert (ended.code, ended.stdout, ended.last_line) == (3, "a\udcff", "y")
    assert capture(["/bin/false"], cwd="/", environ={}, limit=10).last_line == "exit 1"


def test_nothing_is_asked_of_anybody() -> None:
    assert capture(["cat"], cwd="/", environ={"PATH": os.environ["PATH"]}, limit=10).stdout == ""


def test_it_ends_at_its_limit() -> None:
    with pytest.raises(OperationFailed, match=r"timed out after 0\.05 s"):
        capture([sys.executable, "-IS", "-c", "while True: pass"], cwd="/", environ={}, limit=0.05)


def test_it_ends_at_its_limit_with_all_it_started(tmp_path: Path, wait_until: WaitUntil) -> None:
    """What it started holds its output open: nothing waits for that."""
    script = f"sleep 300 & echo $! > {tmp_path}/pid; wait"
    with pytest.raises(OperationFailed, match=r"timed out after 0\.5 s"):
        capture(["/bin/sh", "-c", script], cwd="/", environ={"PATH": os.environ["PATH"]}, limit=0.5)
    started = psutil.Process(int((tmp_path / "pid").read_text()))
    wait_until(lambda: not started.is_running() or started.status() == psutil.STATUS_ZOMBIE)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProgramUnavailable, match="no-such is not installed"):
        capture([str(tmp_path / "no-such")], cwd="/", environ={}, limit=10)
    with pytest.raises(OperationFailed, match="cannot start in"):
        capture(["/bin/true"], cwd=str(tmp_path / "gone"), environ={}, limit=10)
    with pytest.raises(OperationFailed, match="cannot be started"):
        capture([str(tmp_path)], cwd="/", environ={}, limit=10)


def test_git_works_where_it_is_told_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        subprocess.run(["git", "init", "-q", str(tmp_path / name)], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "one" / ".git"))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    where = git.run(["rev-parse", "--absolute-git-dir"], cwd=str(tmp_path / "two"), environ=os.environ)
    assert where == f"{tmp_path / 'two' / '.git'}\n"


def test_gits_own_words_are_the_error(tmp_path: Path) -> None:
    with pytest.raises(OperationFailed, match=r"git status failed in .*: not a git repository"):
        git.run(["status"], cwd=str(tmp_path), environ=os.environ)
