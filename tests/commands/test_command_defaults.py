"""Defaults of single commands in the configuration file: the option wins, a wrong file is no obstacle."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from agentctl.core.model import Outcome
from tests.conftest import Run
from tests.planting import Field


def ended_with(run: Run, lines: int) -> str:
    """A session that has printed so many lines."""
    script = f"n=0; while [ $n -lt {lines} ]; do n=$((n + 1)); echo line $n; done"
    words = ["launch", "exec", "--wait", "--", "sh", "-c", script]
    return run(words).lines[0]


def test_logs_and_peek_show_as_much_as_is_configured(run: Run, sealed_home: Path) -> None:
    session = ended_with(run, 60)
    assert len(run(["logs", session]).lines) == 50
    run("config set logs.lines 3")
    assert run(["logs", session]).lines == ["line 58", "line 59", "line 60"]
    assert run(["logs", session, "-n", "1"]).lines == ["line 60"]
    run("config set peek.messages 0")
    assert run(["peek", session, "--json"]).json()["messages"] == []
    assert run(["peek", session, "--json", "-n", "1"]).json()["messages"] != []


def test_a_wrong_file_keeps_nobody_from_looking(run: Run, sealed_home: Path) -> None:
    session = ended_with(run, 60)
    (sealed_home / "config.toml").write_text("[logs]\nlines = -5\n")
    assert len(run(["logs", session]).lines) == 50
    told = run("config show", exit=2).stderr
    assert "logs.lines" in told
    assert "line 2" in told


def test_wait_gives_up_when_configured(run: Run, field: Field) -> None:
    session = field.plant(field.start())
    run("config set wait.timeout 0")
    assert "timed out after 0s" in run(["wait", session.id], exit=124).stderr
    run("config set wait.timeout 1d")
    assert run(["wait", session.id, "--timeout", "0"], exit=124).stdout == ""


def test_stop_kills_after_the_configured_time(run: Run, field: Field) -> None:
    """Its rungs are recorded with the request: a ladder that waits as long as the configuration says."""
    session = field.plant(field.start())
    run("config set stop.timeout 7s")
    run(["stop", session.id])
    stored = field.stored(session)
    assert stored.outcome is Outcome.CANCELLED
    assert stored.ladder[0].wait == timedelta(seconds=7)


def test_a_launch_is_refused_at_the_configured_number(run: Run, field: Field, tmp_path: Path) -> None:
    field.plant(field.start())
    run("config set defaults.max_running 1")
    (tmp_path / "work").mkdir()
    words = ["launch", "exec", "--cwd", str(tmp_path / "work"), "--", "true"]
    assert "--max-running 1" in run(words, exit=11).stderr
    run([*words[:2], "--max-running", "2", *words[2:]])
