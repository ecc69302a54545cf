"""Forty launches at the same moment, in forty directories and in one.

Each of the two takes some ten seconds: forty interpreters start side by side.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from agentctl.core.model import Outcome, Status
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import (
    PATIENCE,
    begin,
    endings,
    finish,
    held,
    is_running,
    ledger,
    processes_of,
    row,
    rows,
)

CROWD = 40


def launch_all(directories: list[Path]) -> list[subprocess.Popen[str]]:
    words = ["launch", "exec", "--settle", "50ms"]
    return [begin([*words, "--cwd", str(each), "--", "sleep", "300"]) for each in directories]


def test_forty_directories_get_forty_agents(tmp_path: Path, run: Run, wait_until: WaitUntil) -> None:
    directories = [tmp_path / f"work-{number}" for number in range(CROWD)]
    for each in directories:
        each.mkdir()
    launched = [finish(each) for each in launch_all(directories)]
    assert [each.exit for each in launched] == [0] * CROWD, "\n".join(map(str, launched))

    ids = [each.stdout.strip() for each in launched]
    stored = {session.id: session for session in rows()}
    assert set(stored) == set(ids)
    assert {session.status for session in stored.values()} == {Status.RUNNING}
    pids = {session.pid for session in stored.values()}
    assert len(pids) == CROWD
    assert all(pid is not None and is_running(pid) for pid in pids)
    assert [ledger(session_id) for session_id in ids] == [["session.started"]] * CROWD
    assert {lock.directory for lock in held()} == {os.path.realpath(each) for each in directories}
    assert set(run("list -q").lines) == set(ids)

    run("stop --all --force")
    assert {session.outcome for session in rows()} == {Outcome.CANCELLED}
    assert [endings(session_id) for session_id in ids] == [["session.stopped"]] * CROWD
    assert held() == []
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


def test_one_directory_gets_one_agent_and_thirty_nine_refusals(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place = tmp_path / "work"
    place.mkdir()
    launched = [finish(each) for each in launch_all([place] * CROWD)]
    assert sorted(each.exit for each in launched) == [0] + [11] * (CROWD - 1), "\n".join(map(str, launched))
    (winner,) = (each.stdout.strip() for each in launched if each.exit == 0)
    for each in launched:
        assert each.exit == 0 or f"in use by session {winner[:8]}" in each.stderr, each

    assert [session.id for session in rows()] == [winner]
    assert ledger(winner) == ["session.started"]
    assert [lock.session_id for lock in held()] == [winner]
    agents = {pid for pid, argv in processes_of(tmp_path).items() if argv[1:] == ["300"]}
    assert agents == {row(winner).pid}
    assert os.listdir(Path(os.environ["AGENTCTL_HOME"], "sessions")) == [winner]

    run(["stop", winner, "--force"])
    assert endings(winner) == ["session.stopped"]
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)
