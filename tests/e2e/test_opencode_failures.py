"""The real opencode failing, being stopped and being killed: agentctl's verdict and its words for it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import RunReal, WaitUntil
from tests.e2e.opencode_runs import (
    PATIENCE,
    Watch,
    events,
    instant,
    launch,
    listed,
    processes,
    status,
    tagged,
    tool,
    when_known,
)
from tests.fake_model import FakeModel

pytestmark = pytest.mark.agents

ERRORS = [("mock/nosuch", "Model not found: mock/nosuch"), ("mock/http401", "the fake model says 401")]


@pytest.mark.parametrize(("name", "words"), ERRORS, ids=["no such model", "401"])
def test_a_launch_that_settles_tells_an_early_failure(
    run_real: RunReal, opencode: Path, tmp_path: Path, name: str, words: str
) -> None:
    failed = launch(run_real, tmp_path / "project", "--settle", "1m", model=name, exit=1)
    assert failed.stdout == ""
    first = failed.stderr.splitlines()[0]
    assert "exit 1" in first and words in first
    (told,) = listed(run_real, "-a")
    assert_failed(told, words)


@pytest.mark.parametrize(("name", "words"), ERRORS, ids=["no such model", "401"])
def test_a_launch_that_does_not_settle_leaves_the_failure_to_wait(
    run_real: RunReal, opencode: Path, tmp_path: Path, name: str, words: str
) -> None:
    (session,) = launch(run_real, tmp_path / "project", "--settle", "0s", model=name).lines
    waited = run_real(["wait", session], exit=1, timeout=PATIENCE)
    assert words in waited.stderr
    assert run_real(["wait", "--exit-code", session], exit=1).stdout == ""
    assert_failed(status(run_real, session), words)
    assert [event["type"] for event in events(run_real, session)] == ["session.started", "session.error"]


def assert_failed(told: dict[str, Any], words: str) -> None:
    assert (told["status"], told["outcome"], told["exit_code"]) == ("error", "failed", 1)
    assert words in told["reason"]
    assert words in told["result"]
    assert len(told["reason"].splitlines()) == 1 and "{" not in told["reason"]
    assert told["native_id"].startswith("ses_")
    assert told["turns"] is None


def test_a_failure_is_one_error_object(run_real: RunReal, opencode: Path, tmp_path: Path) -> None:
    failed = launch(run_real, tmp_path / "project", "--settle", "1m", "--json", model="mock/http401", exit=1)
    assert failed.stdout == ""
    assert "the fake model says 401" in failed.error()["message"]


# opencode tries a call six times in 65 s when its server is down or overloaded, so these
# runs are ended before: the verdict is then that of the ending, and the notes say what
# opencode was waiting for.


@pytest.mark.parametrize(
    ("name", "words"),
    [("mock/http500", "the fake model says 500"), ("refused/mock", "Cannot connect to API")],
    ids=["500", "refused"],
)
def test_a_run_that_keeps_trying_blows_its_fuse(
    run_real: RunReal, wait_until: WaitUntil, opencode: Path, tmp_path: Path, name: str, words: str
) -> None:
    (session,) = launch(run_real, tmp_path / "project", "--fuse", "1h", model=name).lines
    known = when_known(run_real, wait_until, session)
    seen, log = Watch(known["pid"]), Path(known["log_path"])
    wait_until(lambda: words in log.read_text(), PATIENCE)
    assert status(run_real, session)["status"] == "running", "opencode does not give up at the first failure"
    run_real(["fuse", "set", session, "--for", "2s"])
    run_real(["wait", session], exit=1, timeout=PATIENCE)
    wait_until(lambda: seen.ended is not None)
    told = status(run_real, session)
    assert (told["status"], told["outcome"], told["exit_code"]) == ("error", "timed_out", 143)
    assert told["reason"].startswith("blew its ") and told["fuse"]["state"] == "fired"
    assert instant(told["ended_at"]) >= instant(told["fuse"]["deadline"])
    assert any(words in note for note in told["notes"]), told["notes"]
    kinds = [event["type"] for event in events(run_real, session)]
    assert kinds[0] == "session.started" and kinds[-2:] == ["fuse.expired", "session.timeout"]


def test_a_fuse_of_a_launch_ends_a_silent_run_on_time(
    run_real: RunReal, wait_until: WaitUntil, opencode: Path, tmp_path: Path
) -> None:
    """By its shim's timer: nobody else runs agentctl meanwhile."""
    (session,) = launch(run_real, tmp_path / "project", "--fuse", "8s", model="mock/slow60").lines
    seen = Watch(status(run_real, session)["pid"])
    wait_until(lambda: seen.ended is not None, timeout=20)
    wait_until(lambda: not tagged(session))
    told = status(run_real, session)
    assert (told["status"], told["outcome"], told["reason"]) == ("error", "timed_out", "blew its 8s fuse")
    assert 7_900 <= told["duration_ms"] < 12_000
    kinds = [event["type"] for event in events(run_real, session)]
    assert kinds == ["session.started", "fuse.expired", "session.timeout"]


def test_a_run_that_keeps_trying_can_be_stopped(
    run_real: RunReal, wait_until: WaitUntil, opencode: Path, model: FakeModel, tmp_path: Path
) -> None:
    (session,) = launch(run_real, tmp_path / "project", model="mock/http429").lines
    wait_until(lambda: len(model.requests) >= 2, timeout=PATIENCE)
    assert status(run_real, session)["status"] == "running", "opencode does not give up at the first failure"
    run_real(["stop", session])
    told = status(run_real, session)
    assert (told["status"], told["outcome"]) == ("stopped", "cancelled")
    assert told["reason"].startswith("stopped on request after")
    assert any("the fake model says 429" in note for note in told["notes"]), told["notes"]


def test_stop_leaves_no_tool_behind(
    run_real: RunReal, wait_until: WaitUntil, opencode: Path, tmp_path: Path
) -> None:
    """opencode dies of TERM at once and leaves its tools, which are in sessions of their own."""
    (session,) = launch(run_real, tmp_path / "project", model="mock/tool-bash-30").lines
    home = tmp_path / "home"
    (sleeping,) = wait_until(lambda: tool(30, home), PATIENCE)
    told = status(run_real, session)
    assert told["status"] == "running"
    assert os.getsid(sleeping.pid) != os.getsid(told["pid"])
    before = tagged(session)
    assert {told["pid"], sleeping.pid} < set(before)
    run_real(["stop", session])
    wait_until(lambda: not tagged(session))
    assert not tool(30, home)
    assert not list(processes(lambda process: process.pid in before))
    told = status(run_real, session)
    assert (told["status"], told["outcome"], told["exit_code"]) == ("stopped", "cancelled", 143)
    assert told["reason"].startswith("stopped on request after")
    assert run_real(["stop", session]).stderr.count("has already ended") == 1
    assert [event["type"] for event in events(run_real, session)].count("session.stopped") == 1


def test_stop_by_force_kills_at_once(
    run_real: RunReal, wait_until: WaitUntil, opencode: Path, tmp_path: Path
) -> None:
    (session,) = launch(run_real, tmp_path / "project", model="mock/tool-bash-30").lines
    wait_until(lambda: tool(30, tmp_path / "home"), PATIENCE)
    run_real(["stop", "--force", session])
    wait_until(lambda: not tagged(session))
    told = status(run_real, session)
    assert (told["outcome"], told["exit_code"], told["signal"]) == ("cancelled", 137, signal.SIGKILL)


@pytest.fixture
def at_work(
    run_real: RunReal, wait_until: WaitUntil, opencode: Path, model: FakeModel, tmp_path: Path
) -> dict[str, Any]:
    """A run that waits for its model, known to agentctl with its native id."""
    (session,) = launch(run_real, tmp_path / "project", "--no-fuse", model="mock/slow60").lines
    wait_until(lambda: model.requests, PATIENCE)
    return when_known(run_real, wait_until, session)


def kill(pid: int) -> None:
    """SIGKILL, and wait until nothing runs under this pid any more."""
    process = psutil.Process(pid)
    process.kill()
    process.wait(10)


def test_a_killed_agent_has_failed(run_real: RunReal, wait_until: WaitUntil, at_work: dict[str, Any]) -> None:
    kill(at_work["pid"])
    told = status(run_real, at_work["id"])
    assert told["status"] in ("stopping", "error"), "never running once it is dead"
    wait_until(lambda: status(run_real, at_work["id"])["status"] == "error")
    told = status(run_real, at_work["id"])
    assert (told["outcome"], told["exit_code"], told["signal"]) == ("failed", 137, signal.SIGKILL)
    assert told["reason"].startswith("killed by SIGKILL after")
    run_real(["wait", at_work["id"]], exit=1)


def test_an_agent_whose_shim_was_killed_goes_on_unsupervised_and_is_lost(
    run_real: RunReal, at_work: dict[str, Any]
) -> None:
    kill(psutil.Process(at_work["pid"]).ppid())
    told = status(run_real, at_work["id"])
    assert (told["status"], told["unsupervised"], told["outcome"]) == ("running", True, None)
    assert any("unsupervised" in note for note in told["notes"])
    kill(at_work["pid"])
    assert_lost(run_real, at_work["id"])


def test_an_agent_killed_together_with_its_shim_is_lost(run_real: RunReal, at_work: dict[str, Any]) -> None:
    kill(psutil.Process(at_work["pid"]).ppid())
    kill(at_work["pid"])
    assert_lost(run_real, at_work["id"])


def assert_lost(run_real: RunReal, session: str) -> None:
    """At the first look after the death: nobody can say how it ended, and the code is no 0."""
    told = status(run_real, session)
    assert (told["status"], told["outcome"]) == ("error", "lost")
    assert (told["exit_code"], told["signal"]) == (None, None)
    assert told["reason"].startswith("process vanished")
    run_real(["wait", session], exit=4)
    assert listed(run_real) == [], "its own row hides what opencode's store still has open"


def test_stop_ends_an_unsupervised_agent(
    run_real: RunReal, wait_until: WaitUntil, at_work: dict[str, Any]
) -> None:
    kill(psutil.Process(at_work["pid"]).ppid())
    run_real(["stop", at_work["id"]])
    assert not list(processes(lambda process: process.pid == at_work["pid"]))
    wait_until(lambda: not tagged(at_work["id"]))
    told = status(run_real, at_work["id"])
    assert (told["status"], told["outcome"], told["exit_code"]) == ("stopped", "cancelled", None)


def test_a_killed_conversation_can_be_resumed(
    run_real: RunReal, wait_until: WaitUntil, at_work: dict[str, Any]
) -> None:
    os.kill(at_work["pid"], signal.SIGKILL)
    run_real(["wait", at_work["id"]], exit=1)
    words = ["resume", at_work["id"], "Go on.", "--model", "mock/echo", "--wait"]
    session = run_real(words, timeout=PATIENCE).lines[0]
    told = status(run_real, session)
    assert (told["outcome"], told["native_id"]) == ("succeeded", at_work["native_id"])
    assert told["result"] == "user message 2: Go on."
