"""Conversations of claude in further configuration directories, and what their processes wait for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentctl.adapters import claude_code
from agentctl.core.ids import new_id
from agentctl.host import processes, waiting
from tests.adapters.contract import launch_request, row
from tests.conftest import Run

SAMPLE = (
    Path(__file__).parent.parent / "data" / "claude-code" / "transcripts" / "2.1.330-midrun-in-tool.jsonl"
)


def put(config: Path) -> str:
    """A conversation in this configuration directory; its id."""
    former = json.loads(SAMPLE.read_text().partition("\n")[0])["sessionId"]
    native = new_id()
    project = config / "projects" / "-home-user-demo"
    project.mkdir(parents=True)
    (project / f"{native}.jsonl").write_text(SAMPLE.read_text().replace(former, native))
    return native


def listed(run: Run) -> dict[str, dict[str, object]]:
    documents = run("list -a --since 2026-01-01T00:00:00Z --json").json()["sessions"]
    return {one["native_id"]: one for one in documents}


@pytest.fixture
def claude(tmp_path: Path) -> Iterator[int]:
    """The pid of a process called claude."""
    program = tmp_path / "claude"
    shutil.copyfile("/bin/sleep", program)
    program.chmod(0o755)
    with subprocess.Popen([program, "60"]) as process:
        assert waiting.poll(lambda: is_claude(process.pid), timeout=10)
        yield process.pid
        process.kill()


def is_claude(pid: int) -> bool:
    stat = processes.stat_of(pid)
    return stat is not None and stat.command == "claude"


def test_sessions_of_the_directories_in_the_settings_are_listed(run: Run, tmp_path: Path) -> None:
    first, second = put(Path(os.environ["HOME"]) / ".claude"), put(tmp_path / "work")
    assert set(listed(run)) == {first}
    run(["config", "set", "adapters.claude-code.config_dirs", str(tmp_path / "work")])
    assert set(listed(run)) == {first, second}


def test_a_directory_in_the_settings_is_enough(run: Run, tmp_path: Path) -> None:
    native = put(Path(os.environ["HOME"]) / "work")
    run(["config", "set", "adapters.claude-code.config_dirs", "~/work"])
    assert set(listed(run)) == {native}


@pytest.mark.parametrize(
    ("says", "status", "words"),
    [
        (
            {"status": "waiting", "waitingFor": "permission prompt"},
            "running",
            "waits for a person: permission prompt",
        ),
        ({"status": "idle"}, "idle", "has it open"),
        ({"status": "busy"}, "running", "is working on it"),
        ({}, "running", "is working on it"),
    ],
    ids=["waiting", "idle", "busy", "silent"],
)
def test_what_claude_says_of_itself_is_shown(
    run: Run, claude: int, says: dict[str, str], status: str, words: str
) -> None:
    config = Path(os.environ["HOME"]) / ".claude"
    native = put(config)
    stat = processes.stat_of(claude)
    assert stat is not None
    entry = {"pid": claude, "sessionId": native, "procStart": str(stat.ticks), **says}
    (config / "sessions").mkdir()
    (config / "sessions" / f"{claude}.json").write_text(json.dumps(entry))
    told = listed(run)[native]
    assert (told["status"], told["reason"]) == (status, f"process {claude} {words}")


@pytest.mark.parametrize(
    ("store", "environ", "expected"),
    [
        ("/work/projects", {}, "/work"),
        ("/home/u/.claude/projects", {"CLAUDE_CONFIG_DIR": "/work"}, None),
        ("/work/projects", {"CLAUDE_CONFIG_DIR": "/work"}, "unchanged"),
        ("/home/u/.claude/projects", {}, "unchanged"),
    ],
)
def test_a_resumed_session_runs_with_its_own_directory(
    store: str, environ: dict[str, str], expected: str | None
) -> None:
    request = launch_request(claude_code, environ={"HOME": "/home/u", **environ})
    command = claude_code.resume_command(row(claude_code, store), request)
    assert command.env.get("CLAUDE_CONFIG_DIR", "unchanged") == expected
