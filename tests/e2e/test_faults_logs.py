"""Logs of gigabytes, and agents that write faster than anybody reads."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentctl.core.model import Outcome
from tests.conftest import Run, RunReal, WaitUntil
from tests.e2e.fault_tools import (
    AGENTCTL,
    PATIENCE,
    document,
    is_running,
    launch,
    launch_at_gate,
    open_gate,
    pids_of,
    row,
)

HUGE = 2 * 1024**3
WITHIN = 10
"""Seconds; reading two gigabytes backwards, or splitting them into lines, takes longer or far more memory."""

MEMORY = 300 * 1024
"""KiB that a command about a huge log may be resident with; alone it takes about 40,000."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command printed, and what it took."""

    code: int
    stdout: str
    resident: int
    """KiB at its largest."""
    seconds: float
    """Of processor time."""


def measured(tmp_path: Path, *words: str) -> Cost:
    """Run agentctl and ask the kernel what that took."""
    output = tmp_path / "printed"
    with output.open("wb") as file:
        process = subprocess.Popen([*AGENTCTL, *words], stdin=subprocess.DEVNULL, stdout=file)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    text = output.read_text(errors="surrogateescape")
    return Cost(process.returncode, text, usage.ru_maxrss, usage.ru_utime + usage.ru_stime)


def log_of(session_id: str) -> Path:
    return Path(os.environ["AGENTCTL_HOME"], "sessions", session_id, "output.log")


def make_huge(log: Path, lines: int) -> list[str]:
    """Two gigabytes of nothing, which take no room, and then real lines: those."""
    os.truncate(log, HUGE)
    written = [f"line {number} of the end" for number in range(lines)]
    with log.open("a") as file:
        file.write("\n" + "".join(f"{line}\n" for line in written))
    return written


@pytest.fixture
def huge(tmp_path: Path, run: Run) -> tuple[str, list[str]]:
    session_id = launch_at_gate(run, tmp_path / "work")
    return session_id, make_huge(log_of(session_id), 200)


def test_the_last_lines_of_two_gigabytes_cost_what_the_last_lines_cost(
    tmp_path: Path, huge: tuple[str, list[str]]
) -> None:
    session_id, written = huge
    shown = measured(tmp_path, "logs", session_id, "-n", "50")
    assert shown.code == 0
    assert shown.stdout.splitlines() == written[-50:]
    assert shown.resident < MEMORY
    assert shown.seconds < WITHIN / 2


@pytest.mark.parametrize("command", ["list", "status", "list --json", "why"])
def test_looking_at_its_session_does_not_read_them(
    command: str, tmp_path: Path, huge: tuple[str, list[str]]
) -> None:
    session_id, _ = huge
    words = command.split()
    shown = measured(tmp_path, *words, *([session_id] if words[0] != "list" else []))
    assert shown.code == 0
    assert shown.resident < MEMORY
    assert shown.seconds < WITHIN / 2


def test_its_end_is_recorded_as_quickly(
    tmp_path: Path, huge: tuple[str, list[str]], wait_until: WaitUntil
) -> None:
    session_id, _ = huge
    open_gate(tmp_path / "work")
    wait_until(lambda: row(session_id).outcome is Outcome.SUCCEEDED, timeout=3 * WITHIN)


def test_a_huge_log_of_an_adapter_that_reads_its_log_ends_as_quickly(
    tmp_path: Path, run: Run, run_real: RunReal, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo agent's result is read from its log's end; it is told to wait long enough to be fattened."""
    monkeypatch.setenv("AGENTCTL_DEMO_PACE", "0")
    (tmp_path / "work").mkdir()
    words = ["launch", "demo", "--settle", "0s", "--cwd", str(tmp_path / "work"), "-p", "hang"]
    session_id = run(words).stdout.strip()
    wait_until(lambda: "hang now" in log_of(session_id).read_text(), timeout=PATIENCE)
    make_huge(log_of(session_id), 3)
    for command in ("status", "peek"):
        shown = measured(tmp_path, command, session_id)
        assert shown.code == 0
        assert shown.resident < MEMORY
    run_real(["stop", session_id], timeout=3 * WITHIN)
    assert row(session_id).outcome is Outcome.CANCELLED


def test_fewer_lines_than_asked_for_do_not_mean_a_search_through_all_of_it(tmp_path: Path, run: Run) -> None:
    session_id = launch_at_gate(run, tmp_path / "work")
    written = make_huge(log_of(session_id), 7)
    shown = measured(tmp_path, "logs", session_id, "-n", "50")
    assert shown.code == 0
    assert shown.stdout.splitlines()[-7:] == written
    assert len(shown.stdout) < 4 * 1024 * 1024
    assert shown.resident < MEMORY


def test_one_line_without_an_end_is_cut(tmp_path: Path, run: Run, wait_until: WaitUntil) -> None:
    session_id = launch(run, tmp_path / "work", "sh", "-c", "head -c 50000000 /dev/zero | tr '\\0' x")
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    shown = measured(tmp_path, "logs", session_id, "-n", "50")
    assert len(shown.stdout) < 2 * 1024 * 1024
    assert "line cut" in shown.stdout
    assert shown.resident < MEMORY
    log_of(session_id).unlink()


def test_three_hundred_megabytes_in_a_burst_break_nothing(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """Takes a few seconds, as long as the disk needs for them; the log is deleted at once."""
    size = 300_000_000
    script = f"yes 'an agent that repeats itself' | head -c {size}; echo; echo the end; exit 3"
    session_id = launch(run, tmp_path / "work", "sh", "-c", script)
    run("list")
    wait_until(lambda: row(session_id).is_final, timeout=60)
    assert (row(session_id).outcome, row(session_id).exit_code) == (Outcome.FAILED, 3)
    log = log_of(session_id)
    assert log.stat().st_size == size + len("\nthe end\n")
    shown = measured(tmp_path, "logs", session_id, "-n", "1")
    assert shown.stdout == "the end\n"
    assert shown.resident < MEMORY
    log.unlink()


def test_a_log_that_its_agent_deletes_or_cuts_short_is_no_error(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place = tmp_path / "work"
    session_id = launch_at_gate(run, place)
    log_of(session_id).unlink()
    assert run(["logs", session_id]).stdout == ""
    assert document(run, session_id)["status"] == "running"
    open_gate(place)
    wait_until(lambda: not is_running(pids_of(session_id).shim), timeout=PATIENCE)
    assert row(session_id).outcome is Outcome.SUCCEEDED
