"""Conversations of the real opencode that go on, and those that agentctl did not begin."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentctl.adapters.opencode.discovery import STARTING
from tests.conftest import RunReal, WaitUntil
from tests.e2e.opencode_runs import (
    PATIENCE,
    began,
    instant,
    launch,
    listed,
    status,
    tool,
    when_known,
)
from tests.fake_model import GREETING

pytestmark = pytest.mark.agents

LEGACY = Path(__file__).parent.parent / "data" / "opencode" / "legacy-storage"


def test_resume_keeps_the_conversation(run_real: RunReal, opencode: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    first = launch(run_real, project, "--wait", model="mock/echo", prompt="One.").lines[0]
    second = run_real(["resume", first, "Two.", "--wait"], timeout=PATIENCE).lines[0]
    before, after = status(run_real, first), status(run_real, second)
    assert (before["result"], after["result"]) == ("user message 1: One.", "user message 2: Two.")
    assert after["native_id"] == before["native_id"]
    assert (after["resumed_from"], before["resumed_from"]) == (first, None)
    assert first != second
    assert (after["cwd"], after["model"], after["prompt"]) == (str(project), "mock/echo", "Two.")
    # opencode's own totals are of the whole conversation: 20 and 6 by now.
    assert (
        after["tokens"] == before["tokens"] == {"input": 10, "output": 3, "cache_read": 0, "cache_write": 0}
    )
    assert (after["turns"], before["turns"]) == (1, 1)
    by_native_id = run_real(["resume", after["native_id"], "Three.", "--wait"], timeout=PATIENCE).lines[0]
    told = status(run_real, by_native_id)
    assert (told["result"], told["resumed_from"]) == ("user message 3: Three.", second)
    said = run_real(["peek", by_native_id]).stdout
    assert [said.count(f"user message {n}") for n in (1, 2, 3)] == [1, 1, 1]
    assert len(listed(run_real, "-a")) == 3


def test_resume_from_another_directory_works_in_that_of_the_session(
    run_real: RunReal, opencode: Path, tmp_path: Path
) -> None:
    """opencode itself would never exit: it compares its directory with the session's."""
    first = launch(run_real, tmp_path / "project", "--wait").lines[0]
    (tmp_path / "elsewhere").mkdir()
    words = ["resume", first, "Two.", "--wait", "--fuse", "1m"]
    second = run_real(words, cwd=tmp_path / "elsewhere", timeout=2 * PATIENCE).lines[0]
    told = status(run_real, second)
    assert (told["outcome"], told["cwd"]) == ("succeeded", str(tmp_path / "project"))


def test_resume_is_refused_while_it_runs(
    run_real: RunReal, wait_until: WaitUntil, opencode: Path, tmp_path: Path
) -> None:
    """Two opencodes in one conversation can call the model without end."""
    session = launch(run_real, tmp_path / "project", model="mock/slow60").lines[0]
    native_id = when_known(run_real, wait_until, session)["native_id"]
    for name in (session, native_id):
        refused = run_real(["resume", name, "More."], exit=11)
        assert "still running" in refused.stderr
        assert refused.stdout == ""
    run_real(["stop", session])
    assert len(listed(run_real, "-a")) == 1


def start_outside(project: Path, model: str, *words: str) -> subprocess.Popen[bytes]:
    """`opencode run` as a person would start it."""
    project.mkdir(exist_ok=True)
    with open(project.with_suffix(".log"), "wb") as log:
        return subprocess.Popen(
            ["opencode", "run", "--model", model, *words, "Say hello."],
            cwd=project,
            env={**os.environ, "PWD": str(project)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


@pytest.fixture
def outside(opencode: Path, tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Runs that the test starts by itself; ended with it."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def external(run_real: RunReal, wait_until: WaitUntil) -> dict[str, Any]:
    """The one external session, once its model is known; running from its first appearance on."""
    statuses: list[str] = []

    def look() -> dict[str, Any] | bool:
        found = [one for one in listed(run_real) if one["source"] == "external"]
        assert len(found) <= 1, found
        statuses.extend(one["status"] for one in found)
        return found[0] if found and found[0]["model"] else False

    found: dict[str, Any] = wait_until(look, PATIENCE)
    assert set(statuses) == {"running"}
    return found


@pytest.mark.parametrize("words", [["--title", "mine"], []], ids=["by its title", "by its directory"])
def test_a_run_from_outside_is_listed_with_its_process_and_later_as_ended(
    run_real: RunReal,
    wait_until: WaitUntil,
    opencode: Path,
    outside: list[subprocess.Popen[bytes]],
    tmp_path: Path,
    words: list[str],
) -> None:
    """Its command line proves the process its own; else its directory, if it made its session in time."""
    project = tmp_path / "project"
    before = time.time()
    process = start_outside(project, "mock/slow5", *words)
    outside.append(process)
    found = external(run_real, wait_until)
    took = instant(found["started_at"]) - began(psutil.Process(process.pid))
    is_proved = bool(words) or took <= STARTING.total_seconds()
    expected = {
        "status": "running",
        "source": "external",
        "adapter": "opencode",
        "pid": process.pid if is_proved else None,
        "cwd": str(project),
        "model": "mock/slow5",
        "outcome": None,
        "exit_code": None,
        "fuse": None,
    }
    assert {key: found[key] for key in expected} == expected
    assert before <= instant(found["started_at"]) <= time.time()
    assert process.wait(PATIENCE) == 0
    assert listed(run_real) == []
    (ended,) = listed(run_real, "-a")
    assert (ended["id"], ended["native_id"]) == (found["id"], found["native_id"])
    assert (ended["status"], ended["outcome"], ended["pid"]) == ("stopped", "succeeded", None)
    assert ended["exit_code"] is None, "nobody has seen its code"
    assert (ended["tokens"]["input"], ended["tokens"]["output"]) == (10, 3)
    assert run_real(["peek", ended["native_id"]]).stdout.strip() == GREETING
    run_real(["wait", ended["id"]])

    resumed = run_real(["resume", ended["id"], "And?", "--model", "mock/echo", "--wait"], timeout=PATIENCE)
    told = status(run_real, resumed.lines[0])
    assert (told["source"], told["outcome"]) == ("tracked", "succeeded")
    assert (told["native_id"], told["resumed_from"]) == (ended["native_id"], ended["id"])
    assert told["result"] == "user message 2: And?"
    assert told["cwd"] == str(project)
    assert told["tokens"] == {"input": 10, "output": 3, "cache_read": 0, "cache_write": 0}
    assert [one["id"] for one in listed(run_real, "-a")] == [told["id"]], "tracked now: listed once"


def test_stop_of_a_run_from_outside_ends_that_process_alone(
    run_real: RunReal,
    wait_until: WaitUntil,
    opencode: Path,
    outside: list[subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    """Its tools, and other runs in other directories, are not agentctl's to end."""
    tracked = launch(run_real, tmp_path / "tracked", model="mock/slow60").lines[0]
    when_known(run_real, wait_until, tracked)
    process = start_outside(tmp_path / "project", "mock/tool-bash-30", "--title", "mine")
    outside.append(process)
    (sleeping,) = wait_until(lambda: tool(30, tmp_path / "home"), PATIENCE)
    found = external(run_real, wait_until)
    assert found["pid"] == process.pid
    assert {one["id"] for one in listed(run_real)} == {tracked, found["id"]}
    run_real(["stop", found["id"]])
    assert process.wait(10) == -15
    assert sleeping.is_running() and psutil.pid_exists(sleeping.pid)
    told = status(run_real, found["id"])
    assert (told["status"], told["pid"], told["outcome"]) == ("stopped", None, None)
    assert [one["id"] for one in listed(run_real)] == [tracked]
    assert status(run_real, tracked)["status"] == "running"
    run_real(["stop", tracked])


def test_stop_refuses_a_run_from_outside_that_could_be_either(
    run_real: RunReal,
    wait_until: WaitUntil,
    opencode: Path,
    outside: list[subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    """Two runs in one directory that name no session: neither process is proved to be either's."""
    launch(run_real, tmp_path / "first", "--wait")  # it makes the database, over which two would quarrel
    outside += [start_outside(tmp_path / "project", "mock/slow60") for _ in range(2)]

    def both() -> list[dict[str, Any]]:
        found = listed(run_real)
        assert len(found) == 2
        return found

    for one in wait_until(both, PATIENCE):
        assert (one["status"], one["pid"]) == ("running", None)
        refused = run_real(["stop", one["id"]], exit=11)
        assert "no process is proved to be its own" in refused.stderr
    assert [process.poll() for process in outside] == [None, None]


def test_a_conversation_without_a_turn_has_not_succeeded(
    run_real: RunReal, opencode: Path, tmp_path: Path
) -> None:
    """As a run leaves it that was killed before its prompt was stored; here opencode imports it."""
    moment = int(time.time() * 1000)
    words = dict.fromkeys(("slug", "projectID", "directory", "title"), "Empty")
    times = {"created": moment, "updated": moment}
    info = {**words, "id": "ses_nobodyhasspoken", "version": "1.18.33", "time": times, "permission": []}
    project = tmp_path / "project"
    project.mkdir()
    (project / "empty.json").write_text(json.dumps({"info": info, "messages": []}))
    subprocess.run(
        ["opencode", "import", "empty.json"],
        cwd=project,
        env={**os.environ, "PWD": str(project)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )
    (found,) = listed(run_real, "-a")
    assert (found["native_id"], found["cwd"]) == ("ses_nobodyhasspoken", str(project))
    assert (found["status"], found["outcome"]) == ("stopped", None), found["reason"]
    assert run_real(["peek", found["id"]]).stdout == ""


def test_a_launched_session_is_listed_once(
    run_real: RunReal, wait_until: WaitUntil, opencode: Path, tmp_path: Path
) -> None:
    """Also before agentctl knows its native id, when opencode's store lists it already."""
    session = launch(run_real, tmp_path / "project", "--settle", "0s", model="mock/slow2").lines[0]
    seen: set[tuple[str, ...]] = set()

    def is_over() -> bool:
        seen.add(tuple(one["id"] for one in listed(run_real, "-a")))
        return bool(status(run_real, session)["status"] == "stopped")

    wait_until(is_over, PATIENCE)
    assert seen == {(session,)}


@pytest.mark.parametrize("has_database", [False, True], ids=["tree alone", "beside a database"])
def test_the_old_tree_is_listed(
    run_real: RunReal, opencode: Path, tmp_path: Path, has_database: bool
) -> None:
    """Today's opencode does not import what releases before 1.2 left."""
    if has_database:
        launch(run_real, tmp_path / "project", "--wait")
    copy_tree(opencode / "storage")
    sessions = [one for one in listed(run_real, "-a") if one["source"] == "external"]
    found = {one["prompt"]: one for one in sessions}
    told = {title: (one["status"], one["outcome"]) for title, one in found.items()}
    assert told == {
        "legacy finished": ("stopped", "succeeded"),
        "legacy failed 401": ("error", "failed"),
        "legacy model not found": ("stopped", None),
    }
    assert found["legacy finished"]["cwd"] == "/tmp/proj"
    assert found["legacy finished"]["native_id"] == "ses_dfdd2ed9bffe7EBPnYq5ALj1cW"
    assert run_real(["peek", found["legacy finished"]["id"]]).stdout.strip()
    assert [one for one in listed(run_real, "-a", "--since", "1h") if one["source"] == "external"] == []
    assert len(listed(run_real, "-a", "--since", "3h")) == len(sessions) + has_database


def copy_tree(storage: Path) -> None:
    """The sample, as if it had been written two hours ago."""
    shutil.copytree(LEGACY, storage)
    moment = int((time.time() - 7200) * 1000)
    for file in storage.glob("session/*/*.json"):
        record = json.loads(file.read_text())
        record["time"] = {"created": moment, "updated": moment + 1000}
        file.write_text(json.dumps(record))
