"""Worktrees under fire: many processes in one repository at once, and launchers killed on the way.

Each test takes some seconds: every launcher is a process of its own.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentctl.core.model import Outcome, Status
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import PATIENCE, begin, finish, held, processes_of, row, rows
from tests.git_tools import branches, git, make_repository, with_origin, worktrees

DRIVER = (sys.executable, "-P", str(Path(__file__).with_name("killed_launcher.py")))
CROWD = 16


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "si te")


def words(repo: Path, branch: str, *command: str) -> list[str]:
    place = ["--worktree", str(repo), "--branch", branch, "--settle", "0s"]
    return ["launch", "exec", *place, "--", *(command or ("true",))]


def test_sixteen_processes_make_worktrees_of_one_repository_at_once(
    repo: Path, run: Run, wait_until: WaitUntil
) -> None:
    """Half of the branches follow origin's, which writes the repository's configuration."""
    with_origin(repo)
    for number in range(0, CROWD, 2):
        git(repo, "push", "-q", "origin", f"main:refs/heads/b{number}")
    started = [begin(words(repo, f"b{number}")) for number in range(CROWD)]
    done = [finish(process, timeout=120) for process in started]
    assert [one.exit for one in done] == [0] * CROWD, "\n".join(map(str, done))
    expected = {f"b{number}" for number in range(CROWD)}
    assert branches(repo) == {"main", *expected}
    assert {path.name for path in worktrees(repo)} == {f"{repo.name}-{name}" for name in expected}
    for number in range(CROWD):
        assert git(f"{repo}-b{number}", "status", "--porcelain") == ""
    followed = git(repo, "config", "--get-regexp", r"branch\.b.*\.merge").splitlines()
    assert len(followed) == CROWD // 2
    ids = [one.stdout.strip() for one in done]
    wait_until(lambda: all(row(session_id).is_final for session_id in ids), timeout=PATIENCE)
    run(["wait", *ids])
    run(["worktree", "clean", *ids, "--delete-branch"])
    assert (branches(repo), worktrees(repo)) == ({"main"}, [])


def test_of_many_that_want_the_same_branch_one_gets_it(repo: Path, run: Run) -> None:
    started = [begin(words(repo, "same", "sleep", "300")) for _ in range(6)]
    done = [finish(process, timeout=120) for process in started]
    assert sorted(one.exit for one in done) == [0, *[11] * 5], "\n".join(map(str, done))
    (winner,) = [one.stdout.strip() for one in done if one.exit == 0]
    assert worktrees(repo) == [Path(f"{repo}-same")]
    assert row(winner).status is Status.RUNNING


def test_removals_and_launches_of_one_repository_at_once(repo: Path, run: Run) -> None:
    """Whatever the order, a session has a whole worktree, or there is none."""
    ids = [run(words(repo, f"b{number}")).stdout.strip() for number in range(4)]
    run(["wait", *ids])
    removing = [begin(["worktree", "clean", session_id]) for session_id in ids]
    launching = [begin(words(repo, f"b{number}", "sleep", "300")) for number in range(4)]
    removed = [finish(process, timeout=120) for process in removing]
    launched = [finish(process, timeout=120) for process in launching]
    assert {one.exit for one in removed} <= {0, 11}, "\n".join(map(str, removed))
    for one in launched:
        if one.exit == 0:
            place = Path(row(one.stdout.strip()).cwd)
            assert (place / "readme").read_text() == "hello\n", one
        else:
            assert one.exit in (1, 2, 11, 12), one
    assert git(repo, "worktree", "prune", "--dry-run") == ""


STEPS = ("after the first transaction", "after the worktree", "after the files", "just before the shim")


@pytest.mark.parametrize("step", STEPS)
def test_a_launcher_killed_before_its_agent_started_leaves_a_worktree_that_is_shown_and_removed(
    step: str, repo: Path, tmp_path: Path, run: Run
) -> None:
    killed = finish(begin([step, *words(repo, "b")], program=DRIVER))
    assert killed.exit == -signal.SIGKILL, killed
    (left,) = rows()
    assert left.status is Status.STARTING
    listed = run(["worktree", "list", str(repo), "--json"]).json()["worktrees"]
    assert row(left.id).outcome is Outcome.LOST
    assert held() == [] and processes_of(tmp_path) == {}
    if step == "after the first transaction":
        assert listed == []
        return
    assert [(one["session_id"], one["branch"], one["outcome"]) for one in listed] == [(left.id, "b", "lost")]
    run(["worktree", "clean", left.id, "--delete-branch"])
    assert (branches(repo), worktrees(repo)) == ({"main"}, [])


def test_the_branch_of_a_killed_launch_can_be_launched_again(
    repo: Path, run: Run, wait_until: WaitUntil
) -> None:
    finish(begin(["after the worktree", *words(repo, "b")], program=DRIVER))
    again = run(words(repo, "b"))
    assert "is reused" in again.stderr
    wait_until(lambda: row(again.stdout.strip()).outcome is Outcome.SUCCEEDED, timeout=PATIENCE)


def test_an_interrupted_launch_takes_its_worktree_back(
    repo: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """Both slots are in their hooks when ^C comes: none of them starts."""
    group = ["--adapter", "exec", "--adapter", "exec", "--on-create", f'touch "{tmp_path}/in-$$"; sleep 1']
    process = begin(["launch", *group, "--worktree", str(repo), "--", "sleep", "300"])
    wait_until(lambda: len(list(tmp_path.glob("in-*"))) == 2, timeout=PATIENCE)
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.exit, done.stdout) == (130, ""), done
    assert "0 of 2 agents started" in done.stderr
    assert (branches(repo), worktrees(repo)) == ({"main"}, [])
    assert [one.outcome for one in rows()] == [Outcome.FAILED] * 2


def test_several_agents_start_although_hangup_is_ignored(repo: Path, run: Run) -> None:
    """Under nohup: signals are reset for the agents by the main thread alone."""
    launch = ["launch", "--adapter", "exec", "--adapter", "exec", "--worktree", str(repo)]
    words = [sys.executable, "-P", "-m", "agentctl", *launch, "--", "sh", "-c", "kill -HUP $$; sleep 300"]
    done = subprocess.run(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done
    assert "0 of 2 agents started" in done.stderr
    assert {one.signal for one in rows()} == {signal.SIGHUP}
