"""Nothing from the agent's directory stands in for the shim's own tools, whatever PATH and PYTHONPATH say.

Most tests take the second of a fuse, so that the shim's timer is at work, too.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from agentctl.core.model import Outcome
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import AGENTCTL, PATIENCE, begin, finish, processes_of, row


@pytest.mark.parametrize("path", [None, "", "/nowhere", "."])
def test_without_a_path_programs_named_in_full_run_and_end_well(
    path: str | None, place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """The shim, its timer and its finalising call find their own tools. Takes a second, the fuse."""
    environ = {name: value for name, value in os.environ.items() if name != "PATH"}
    environ |= {} if path is None else {"PATH": path}

    def without_path(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*AGENTCTL, *words],
            env=environ,
            cwd=place,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    options = ["launch", "exec", "--settle", "0s", "--cwd", str(place)]
    launched = without_path(*options, "--", "/bin/sh", "-c", "exit 3")
    assert launched.returncode == 0, launched
    session_id = launched.stdout.strip()
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    assert row(session_id).exit_code == 3
    launched = without_path(*options, "--fuse", "1s", "--", "/bin/sleep", "300")
    session_id = launched.stdout.strip()
    wait_until(lambda: row(session_id).outcome is Outcome.TIMED_OUT, timeout=PATIENCE)
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


PYTHON_TRAPS = ("agentctl", "sqlite3", "click", "json", "os", "sitecustomize", "usercustomize", "subprocess")
SHELL_TRAPS = ("sh", "mv", "sleep", "date", "printf", "umask", "agentctl", "python3", "env", "cat")


def has_outcome(session_id: str, outcome: Outcome) -> bool:
    return row(session_id).outcome is outcome


def set_traps(place: Path) -> Path:
    """Files in the agent's directory that tell if anybody takes them for what they are called."""
    sprung = place / "sprung"
    for name in PYTHON_TRAPS:
        (place / f"{name}.py").write_text(f"open({str(sprung)!r}, 'a').write({name!r} + '.py ')\n")
    for name in SHELL_TRAPS:
        trap = place / name
        trap.write_text(f"#!/bin/sh\nprintf '%s ' {name} >>{shlex.quote(str(sprung))}\nexit 1\n")
        trap.chmod(0o755)
    return sprung


def what_is_sprung(sprung: Path) -> str:
    return sprung.read_text() if sprung.exists() else ""


@pytest.mark.parametrize("hook", [False, True], ids=["", "with a hook"])
def test_a_module_in_the_agents_directory_is_never_imported_by_a_call_of_the_shim(
    hook: bool, place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """Takes as long as the fuse, a second, so that the timer calls, too."""
    sprung = set_traps(place)
    options = ["--on-complete", f"echo >{tmp_path / 'hooked'}"] if hook else []
    words = ["launch", "exec", "--settle", "0s", "--fuse", "1s", *options, "--", "/bin/sleep", "300"]
    launched = finish(begin(words, cwd=place, env={"PYTHONPATH": ""}))
    assert launched.exit == 0, launched
    session_id = launched.stdout.strip()
    wait_until(lambda: row(session_id).outcome is Outcome.TIMED_OUT, timeout=PATIENCE)
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)
    assert not hook or (tmp_path / "hooked").exists()
    assert what_is_sprung(sprung) == ""


def test_a_python_path_for_the_agent_is_not_the_shims(
    place: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    sprung = set_traps(place)
    words = ["launch", "exec", "--settle", "0s", "--cwd", str(place), "--env", f"PYTHONPATH={place}"]
    words += ["--env", f"PYTHONSTARTUP={place}/os.py", "--env", "PYTHONHOME=/nowhere", "--", "/bin/true"]
    launched = finish(begin(words))
    assert launched.exit == 0, launched
    wait_until(lambda: row(launched.stdout.strip()).outcome is Outcome.SUCCEEDED, timeout=PATIENCE)
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)
    assert what_is_sprung(sprung) == ""


@pytest.mark.parametrize("path", [".:{}", ":{}", "{place}:{}"])
def test_programs_in_the_agents_directory_do_not_stand_in_for_the_systems(
    path: str, place: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """Also where PATH names that directory first, for the launcher or for the agent alone."""
    sprung = set_traps(place)
    searched = path.format(os.environ["PATH"], place=place)
    words = ["launch", "exec", "--force", "--settle", "0s", "--fuse", "1s", "--cwd", str(place)]
    ids = []
    for options, environ in (([], {"PATH": searched}), (["--env", f"PATH={searched}"], {})):
        launched = finish(begin([*words, *options, "--", "/bin/sleep", "300"], env=environ))
        assert launched.exit == 0, f"{launched}\nsprung: {what_is_sprung(sprung)}"
        ids.append(launched.stdout.strip())
    for session_id in ids:
        wait_until(partial(has_outcome, session_id, Outcome.TIMED_OUT), timeout=PATIENCE)
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)
    assert what_is_sprung(sprung) == ""


def test_a_trap_would_be_sprung_by_whoever_looks_there(place: Path) -> None:
    """The traps work: the same files do act on an interpreter that trusts its directory."""
    sprung = set_traps(place)
    subprocess.run([sys.executable, "-c", "import sqlite3"], cwd=place, check=False, capture_output=True)
    subprocess.run(["sh", "-c", "PATH=.; sleep 1"], cwd=place, check=False, capture_output=True)
    assert "sqlite3.py" in what_is_sprung(sprung)
    assert "sleep" in what_is_sprung(sprung)
