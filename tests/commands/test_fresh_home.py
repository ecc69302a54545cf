"""A home without a state: a question is answered and makes none; who goes on watching needs one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Run, WaitUntil


@pytest.mark.parametrize(
    "words",
    [
        "list",
        "list -a --json",
        "list -q",
        "events",
        "locks",
        "locks --json",
        "fuse list",
        "hooks list",
        "fuses",
    ],
)
def test_a_question_makes_nothing(words: str, run: Run, sealed_home: Path) -> None:
    printed = run(words).stdout
    if "--json" in words:
        assert [value for key, value in json.loads(printed).items() if key != "schema_version"] == [[]]
    else:
        assert printed == ""
    assert not sealed_home.exists()


@pytest.mark.parametrize("verb", ["status", "why", "peek", "logs", "stop", "wait", "resume", "rerun"])
def test_a_session_is_not_found_and_nothing_is_made(verb: str, run: Run, sealed_home: Path) -> None:
    run([verb, "3f2a", *(["go on"] if verb == "resume" else [])], exit=10)
    assert not sealed_home.exists()


def test_what_agents_stores_say_is_kept(run: Run, tmp_path: Path, sealed_home: Path) -> None:
    """Else every listing would read them all again."""
    (tmp_path / "home" / ".local" / "share" / "opencode").mkdir(parents=True)
    run("list")
    assert (sealed_home / "agentctl.db").exists()


def test_who_follows_sees_the_first_launch(
    run: Run, tmp_path: Path, sealed_home: Path, wait_until: WaitUntil
) -> None:
    words = [sys.executable, "-P", "-m", "agentctl", "events", "-f", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as following:
        wait_until((sealed_home / "agentctl.db").exists, timeout=20)
        session = run(f"launch exec --settle 0 --cwd {tmp_path} -- true").stdout.strip()
        assert following.stdout is not None
        assert session in following.stdout.readline()
        following.send_signal(signal.SIGINT)
