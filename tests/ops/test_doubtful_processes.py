"""A process of an agent that is no session's own by any proof: at which session it is told of."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agentctl.core.ids import new_id
from agentctl.host import processes, waiting
from agentctl.host.clock import utcnow
from tests.conftest import Run

ROLLOUTS = Path(__file__).parent.parent / "data" / "codex" / "rollouts"
SAMPLE = ROLLOUTS / "finished.jsonl"
UNFINISHED = ROLLOUTS / "midrun.jsonl"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


@pytest.fixture
def codex(place: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of that name in the directory, which holds no lock of any session."""
    program = tmp_path / "codex"
    shutil.copyfile("/bin/sleep", program)
    program.chmod(0o755)
    with subprocess.Popen([program, "60"], cwd=place) as process:
        assert waiting.poll(lambda: is_codex(process.pid), timeout=10)
        yield process
        process.kill()


def is_codex(pid: int) -> bool:
    stat = processes.stat_of(pid)
    return stat is not None and stat.command == "codex"


def put(store: Path, place: Path, age: timedelta, *, sample: Path = SAMPLE) -> str:
    """A thread of that directory, changed so long ago; its id."""
    native, at = new_id(), utcnow() - age
    day = store / "sessions" / "2026" / "11" / "22"
    day.mkdir(parents=True, exist_ok=True)
    records = [json.loads(line) for line in sample.read_text().splitlines()]
    former = records[0]["payload"]["id"]
    text = ""
    for record in records:
        record["timestamp"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if "cwd" in record["payload"]:
            record["payload"]["cwd"] = str(place)
        text += json.dumps(record).replace(former, native) + "\n"
    (day / f"rollout-2026-11-22T10-00-00-{native}.jsonl").write_text(text)
    return native


def test_it_may_be_at_work_on_any_that_is_unfinished(
    run: Run, codex: subprocess.Popen[bytes], place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows on which: to call one of them ended would be a guess."""
    store = tmp_path / "store"
    monkeypatch.setenv("CODEX_HOME", str(store))
    natives = [put(store, place, timedelta(seconds=-after), sample=UNFINISHED) for after in (10, 30, 20)]
    shown = {one["native_id"]: one["status"] for one in run("list --json").json()["sessions"]}
    assert shown == dict.fromkeys(natives, "running")


def test_two_are_told_of_at_two(
    run: Run,
    codex: subprocess.Popen[bytes],
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = tmp_path / "store"
    monkeypatch.setenv("CODEX_HOME", str(store))
    with subprocess.Popen([tmp_path / "codex", "60"], cwd=place) as other:
        assert waiting.poll(lambda: is_codex(other.pid), timeout=10)
        natives = [put(store, place, timedelta(seconds=-after)) for after in (10, 30, 20)]
        shown = {one["native_id"] for one in run("list --json").json()["sessions"]}
        other.kill()
    assert shown == {natives[1], natives[2]}


def test_it_is_told_of_at_the_one_that_changed_last(
    run: Run, codex: subprocess.Popen[bytes], place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    monkeypatch.setenv("CODEX_HOME", str(store))
    ages = [timedelta(seconds=-seconds) for seconds in (10, 30, 20)]  # all after the process began
    natives = [put(store, place, age) for age in ages]
    before = put(store, place, timedelta(hours=1))
    shown = {one["native_id"]: one for one in run("list -a --json").json()["sessions"]}
    assert {native: shown[native]["status"] for native in (*natives, before)} == {
        natives[0]: "stopped",
        natives[1]: "idle",
        natives[2]: "stopped",
        before: "stopped",
    }
    assert f"codex process {codex.pid} in its directory may be at work" in shown[natives[1]]["reason"]
    assert shown[natives[1]]["pid"] is None
