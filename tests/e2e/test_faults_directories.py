"""Directories with names that nobody expects, for the agent to work in and for the state to live in."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from agentctl.core.model import Outcome
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import (
    PATIENCE,
    at_gate,
    begin,
    document,
    endings,
    finish,
    held,
    launch_at_gate,
    open_gate,
    pids_of,
    processes_of,
    row,
)

NAMES: dict[str, bytes] = {
    "spaces": b" two  words ",
    "quotes": b"""it's "quoted" `back`""",
    "newline": b"first\nsecond\n",
    "leading dash": b"-rf",
    "option": b"--help",
    "invalid UTF-8": b"caf\xe9 \xff\xfe",
    "200 characters": b"x" * 200,
    "substitution": b"$(touch x) ${HOME} $0 ; touch x & | > x",
    "escapes": b"\x1b[31mred\x07",
    "a glob": b"*?[a-z]",
    "backslashes": b"a\\nb\\",
    "wide": "你好 👩‍👩‍👧‍👦".encode(),
    "percent": b"%s%d%n",
}

RECORD = "import os; open('here', 'wb').write(os.getcwdb() + b'|' + os.environb[b'PWD'])"


def make(tmp_path: Path, name: bytes) -> Path:
    place = tmp_path / "parent" / os.fsdecode(name)
    place.mkdir(parents=True)
    return place


@pytest.mark.parametrize("name", NAMES)
def test_an_agent_works_in_it_its_hook_too_and_it_is_held_and_freed(
    name: str, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place = make(tmp_path, NAMES[name])
    real = os.fsencode(os.path.realpath(place))
    hook = 'printf %s "$AGENTCTL_CWD" >hooked.new; mv hooked.new hooked'
    words = ["launch", "exec", "--settle", "0s", f"--cwd={place}", "--on-complete", hook]
    session_id = run([*words, "--", sys.executable, "-c", RECORD]).stdout.strip()
    wait_until((place / "hooked").exists, timeout=PATIENCE)
    assert (place / "here").read_bytes() == real + b"|" + real
    assert (place / "hooked").read_bytes() == real
    assert row(session_id).outcome is Outcome.SUCCEEDED
    assert os.fsencode(row(session_id).cwd) == real
    assert held() == []
    for listed in (["list", "-a"], ["status", session_id], ["why", session_id]):
        printed = run(listed).stdout
        assert not any(ord(char) < 32 and char not in "\n\t" for char in printed), ascii(printed)
    assert document(run, session_id)["id"] == session_id
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)
    assert sorted(os.listdir(place.parent)) == [place.name]
    assert sorted(os.listdir(place)) == ["here", "hooked"]


@pytest.mark.parametrize("name", ["leading dash", "newline", "invalid UTF-8", "substitution"])
def test_it_is_held_under_that_very_name(name: str, tmp_path: Path, run: Run, wait_until: WaitUntil) -> None:
    place = make(tmp_path, NAMES[name])
    session_id = launch_at_gate(run, place)
    # Named from inside, and from its parent.
    run(["launch", "exec", "--", "true"], cwd=place, exit=11)
    run(["launch", "exec", f"--cwd={place.name}", "--", "true"], cwd=place.parent, exit=11)
    run(["launch", "exec", f"--cwd={place.parent}", "--wait", "--", "true"])
    open_gate(place)
    wait_until(lambda: row(session_id).outcome is Outcome.SUCCEEDED, timeout=PATIENCE)


def test_a_symbolic_link_and_its_target_are_one_directory(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place, link = tmp_path / "work", tmp_path / "link"
    place.mkdir()
    link.symlink_to(place)
    session_id = launch_at_gate(run, link)
    assert row(session_id).cwd == os.path.realpath(place)
    run(["launch", "exec", "--cwd", str(place), "--", "true"], exit=11)
    link.unlink()
    link.symlink_to(tmp_path / "elsewhere")  # the agent stays where it was
    open_gate(place)
    wait_until(lambda: row(session_id).outcome is Outcome.SUCCEEDED, timeout=PATIENCE)
    assert held() == []


def test_a_directory_that_is_deleted_under_the_agent_does_not_cost_its_exit_code(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place = tmp_path / "work"
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    place.mkdir()
    words = ["launch", "exec", "--settle", "0s", "--cwd", str(place), "--on-complete", "true"]
    session_id = run([*words, "--", "sh", "-c", f"read -r line <{gate}; exit 5"]).stdout.strip()
    shutil.rmtree(place)
    assert document(run, session_id)["status"] == "running"
    gate.write_text("go\n")
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    assert (row(session_id).outcome, row(session_id).exit_code) == (Outcome.FAILED, 5)
    assert endings(session_id) == ["session.error"]
    assert held() == []
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)
    place.mkdir()
    run(["launch", "exec", "--cwd", str(place), "--wait", "--", "true"])


def test_an_agent_in_a_deleted_directory_can_be_stopped(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place = tmp_path / "work"
    session_id = launch_at_gate(run, place)
    place.rename(tmp_path / "moved")
    run(["stop", session_id])
    assert row(session_id).outcome is Outcome.CANCELLED
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


@pytest.mark.parametrize("what", ["missing", "file", "dangling", "loop"])
def test_what_is_not_a_directory_is_refused(what: str, tmp_path: Path, run: Run) -> None:
    path = tmp_path / what
    if what == "file":
        path.touch()
    elif what != "missing":
        path.symlink_to(path if what == "loop" else tmp_path / "nowhere")
    refused = run(["launch", "exec", "--cwd", str(path), "--", "true"], exit=2 if what == "file" else 10)
    assert str(path) in refused.stderr
    assert run("list -aq").lines == []


HOMES: dict[str, bytes] = {
    name: NAMES[name] for name in ("spaces", "quotes", "substitution", "invalid UTF-8", "newline", "percent")
} | {"uri": b"a?mode=memory&x=%2f#fragment", "leading dash": b"-home"}


@pytest.mark.parametrize("name", HOMES)
def test_the_state_may_live_under_any_name(
    name: str, tmp_path: Path, run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "homes" / os.fsdecode(HOMES[name])
    monkeypatch.setenv("AGENTCTL_HOME", str(home))
    place = tmp_path / "work"
    session_id = launch_at_gate(run, place, code=3, options=["--fuse", "1h"])
    assert run("list -q").lines == [session_id]
    open_gate(place)
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    assert (row(session_id).outcome, row(session_id).exit_code) == (Outcome.FAILED, 3)
    second = tmp_path / "second"
    stopped = launch_at_gate(run, second)
    run(["stop", stopped])
    assert row(stopped).outcome is Outcome.CANCELLED
    run(["logs", stopped])
    assert os.listdir(tmp_path / "homes") == [home.name]
    assert sorted(os.listdir(home / "sessions")) == sorted([session_id, stopped])
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


def test_a_relative_home_is_the_same_place_for_the_shim_the_fuse_and_the_hooks(
    tmp_path: Path, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shim's calls run in `/`. The name is chosen so that even from there it lies below tmp_path.

    Takes as long as the fuse, two seconds: the timer has to find the state as well.
    """
    start, place = tmp_path / "start", tmp_path / "work"
    start.mkdir()
    relative = str(tmp_path / "wrong").lstrip("/")
    monkeypatch.setenv("AGENTCTL_HOME", str(start / relative))

    def launch_here(*options: str) -> str:
        words = ["launch", "exec", "--settle", "0s", "--cwd", str(place), *options, "--", *at_gate(place, 3)]
        launched = finish(begin(words, env={"AGENTCTL_HOME": relative}, cwd=start))
        assert launched.exit == 0, launched
        return launched.stdout.strip()

    first = launch_here("--on-complete", f"echo hooked >>{tmp_path / 'hooked'}")
    open_gate(place)
    wait_until(lambda: row(first).is_final, timeout=PATIENCE)
    assert row(first).exit_code == 3
    wait_until((tmp_path / "hooked").exists, timeout=PATIENCE)

    (place / "gate").unlink()
    second = launch_here("--fuse", "2s")
    agent = pids_of(second).agent
    wait_until(lambda: row(second).outcome is Outcome.TIMED_OUT, timeout=PATIENCE)
    assert agent not in processes_of(tmp_path)
    assert not (tmp_path / "wrong").exists()


def test_a_relative_home_is_the_same_place_for_an_agent_that_calls_agentctl(
    tmp_path: Path, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, place = tmp_path / "start", tmp_path / "work"
    start.mkdir()
    monkeypatch.setenv("AGENTCTL_HOME", str(start / "state"))
    place.mkdir()
    asked = f"{sys.executable} -P -m agentctl list -q >listed.new; mv listed.new listed"
    launched = finish(
        begin(
            ["launch", "exec", "--settle", "0s", "--cwd", str(place), "--", "sh", "-c", asked],
            env={"AGENTCTL_HOME": "state"},
            cwd=start,
        )
    )
    assert launched.exit == 0, launched
    wait_until((place / "listed").exists, timeout=PATIENCE)
    assert (place / "listed").read_text() == launched.stdout
    assert os.listdir(place) == ["listed"]
