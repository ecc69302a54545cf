"""`agentctl doctor`: it works, and says what is wrong, whatever is wrong. Rebuilding: tests/ops."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentctl.core.model import Held
from agentctl.host import flock
from agentctl.host.clock import utcnow
from agentctl.store import db as store
from agentctl.store import locks as directory_locks
from agentctl.store import sessions
from tests.modest import modestly

Run = Callable[..., Any]
Wait = Callable[..., Any]


def findings(run: Run, *, exit: int = 0) -> list[dict[str, Any]]:  # noqa: A002
    document = run("doctor --json", exit=exit).json()
    assert document["healthy"] is (exit == 0)
    found: list[dict[str, Any]] = document["checks"]
    return found


def troubles(run: Run, *, exit: int = 0) -> list[str]:  # noqa: A002
    return [
        f"{one['level']} {one['subject']}: {one['fact']}"
        for one in findings(run, exit=exit)
        if one["level"] not in ("ok", "absent")
    ]


@pytest.fixture
def ended(run: Run, sealed_home: Path, wait_until: Wait) -> str:
    """A session that has ended, and whose shim has gone."""
    session_id: str = run("launch exec -- sh -c 'exit 0'").stdout.strip()
    wait_until(lambda: flock.probe(str(sealed_home / "sessions" / session_id / "lock")) is Held.NO)
    return session_id


def test_a_fresh_installation_is_healthy_and_stays_untouched(run: Run, sealed_home: Path) -> None:
    found = findings(run)
    assert {one["level"] for one in found} <= {"ok", "absent"}
    assert {"python", "sh", "state", "database", "adapter demo"} <= {one["subject"] for one in found}
    assert sys.executable in next(one["fact"] for one in found if one["subject"] == "python")
    assert not sealed_home.exists()


def test_a_used_state_is_healthy(run: Run, ended: str, sealed_home: Path) -> None:
    before = sorted(os.listdir(sealed_home))
    found = findings(run)
    assert {one["level"] for one in found} <= {"ok", "absent"}
    assert "flock" in {one["subject"] for one in found}
    assert [
        name for name in sorted(os.listdir(sealed_home)) if "-wal" not in name and "-shm" not in name
    ] == before
    assert "ok      python" in run("doctor").stdout


@pytest.mark.parametrize("size", [0, 1, 50, 4096, 3 * 4096])
def test_a_truncated_database_is_a_failure_with_a_remedy(
    run: Run, ended: str, sealed_home: Path, size: int
) -> None:
    os.truncate(sealed_home / "agentctl.db", size)
    one = next(one for one in findings(run, exit=1) if one["level"] == "fail")
    assert one["subject"] in ("database", "sessions")
    assert "doctor --rebuild" in one["remedy"]


def test_a_database_of_garbage_is_a_failure(run: Run, ended: str, sealed_home: Path) -> None:
    (sealed_home / "agentctl.db").write_bytes(b"\x00garbage" * 4096)
    shown = run("doctor", exit=1).stdout
    assert "fail    database" in shown
    assert "→ agentctl doctor --rebuild" in shown


def test_a_database_that_is_gone_is_a_failure_where_there_were_sessions(
    run: Run, ended: str, sealed_home: Path
) -> None:
    for name in ("agentctl.db", "agentctl.db-wal", "agentctl.db-shm"):
        (sealed_home / name).unlink(missing_ok=True)
    (trouble,) = troubles(run, exit=1)
    assert "is gone, but there are directories of 1 sessions" in trouble


def test_a_newer_database_is_a_failure(run: Run, ended: str, sealed_home: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(sealed_home / "agentctl.db")) as connection:
        connection.execute("PRAGMA user_version = 4711")
    assert any("schema version 4711" in trouble for trouble in troubles(run, exit=1))


def test_the_mode_of_the_state_directory(run: Run, ended: str, sealed_home: Path) -> None:
    sealed_home.chmod(0o755)
    (trouble,) = troubles(run)
    assert trouble == f"warn state: {sealed_home} is open to others (mode 755)"


def test_a_state_that_is_a_file(run: Run, sealed_home: Path) -> None:
    sealed_home.write_text("not a directory")
    assert f"fail state: {sealed_home} is not a directory" in troubles(run, exit=1)


def test_with_a_state_that_is_a_file_nothing_is_promised_of_the_database(run: Run, sealed_home: Path) -> None:
    sealed_home.write_text("not a directory")
    assert "database" not in {one["subject"] for one in findings(run, exit=1)}
    for words in ("list", "launch exec -- true", "doctor --rebuild"):
        error = run(f"{words} --json" if "--" not in words else words.replace("exec", "exec --json"), exit=13)
        assert f"{sealed_home} is not a directory" in error.stderr
        assert "move" in error.stderr


def test_a_database_that_is_a_directory(run: Run, sealed_home: Path) -> None:
    (sealed_home / "agentctl.db").mkdir(parents=True)
    sealed_home.chmod(0o700)
    (one,) = (one for one in findings(run, exit=1) if one["level"] == "fail")
    assert (one["subject"], one["fact"]) == ("database", f"{sealed_home}/agentctl.db is a directory")
    assert "move it away" in one["remedy"]
    for words in ("list", "launch exec -- true", "doctor --rebuild"):
        refused = run(words, exit=13).stderr
        assert "agentctl.db is a directory" in refused
        assert "hint: move it away" in refused


@pytest.mark.parametrize("closed", [".", "agentctl.db", "sessions", "config.toml"])
def test_what_may_not_be_read_is_a_failure_with_a_remedy(ended: str, sealed_home: Path, closed: str) -> None:
    (sealed_home / "config.toml").write_text("")
    place = sealed_home / closed
    mode = place.stat().st_mode
    place.chmod(0)
    try:
        looked = modestly("doctor --json")
        refused = modestly("launch exec --cwd / -- true")
    finally:
        place.chmod(mode)
    assert (looked.returncode, looked.stderr) == (1, "")
    failed = [one for one in json.loads(looked.stdout)["checks"] if one["level"] == "fail"]
    assert any(str(place) in one["fact"] for one in failed)
    assert [one for one in failed if not one["remedy"]] == []
    assert not any("rebuild" in one["remedy"] for one in failed)
    assert refused.returncode == 13
    assert str(place) in refused.stderr
    assert "hint: " in refused.stderr


@pytest.fixture
def read_only(sealed_home: Path) -> Iterator[Callable[[], None]]:
    """Make the state read-only: by a mount where we may, by its modes elsewhere."""
    mounted: list[str] = []

    def seal() -> None:
        place = str(sealed_home)
        if os.geteuid() == 0 and shutil.which("mount"):
            done = subprocess.run(["mount", "--bind", place, place], capture_output=True, check=False)
            if done.returncode == 0:
                mounted.append(place)
                subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True, capture_output=True)
                return
        sealed_home.chmod(0o500)

    yield seal
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=True)
    if not mounted and sealed_home.exists():
        sealed_home.chmod(0o700)


def test_a_read_only_state_is_reported(
    run: Run, ended: str, sealed_home: Path, read_only: Callable[[], None]
) -> None:
    read_only()
    if os.access(sealed_home, os.W_OK):
        pytest.fail("this machine lets us write everywhere: no read-only state can be made")
    found = troubles(run, exit=1)
    assert any(str(sealed_home) in one and "cannot be written" in one for one in found)
    assert any("read-only" in one for one in found)


def test_what_no_adapter_reads_is_a_warning_with_what_was_meant(
    run: Run, sealed_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed_home.mkdir(mode=0o700)
    (sealed_home / "config.toml").write_text(
        'adapter = "exce"\n'
        '[adapters.opencode]\nagnet = "build"\nagent = 5\nargs = []\n'
        '[adapters.dmeo]\nmodel = "m"\n'
        '[adapters.exec]\ncommand = ["nice"]\n'
    )
    told = {one["fact"]: one["remedy"] for one in findings(run) if one["level"] == "warn"}
    assert told == {
        "adapter is not an adapter: exce": 'did you mean "exec"?',
        "adapters.opencode.agnet is not a setting": 'did you mean "adapters.opencode.agent"?',
        "adapters.opencode.agent must be a quoted string": (
            "agentctl config set adapters.opencode.agent writes another value"
        ),
        "adapters.dmeo is not an adapter": 'did you mean "demo"?',
    }
    monkeypatch.setenv("AGENTCTL_ADAPTER", "dem")
    assert "warn configuration: AGENTCTL_ADAPTER is not an adapter: dem" in troubles(run)


def test_a_wrong_configuration_is_a_failure_and_the_rest_is_looked_at(
    run: Run, ended: str, sealed_home: Path
) -> None:
    (sealed_home / "config.toml").write_text("[hooks]\ntimeout = 3\n")
    (trouble,) = troubles(run, exit=1)
    assert trouble.startswith("fail configuration:")
    assert "line 2" in trouble
    assert "database" in {one["subject"] for one in findings(run, exit=1)}


def edit(home: Path, change: Callable[[Any], object]) -> None:
    db = store.connect(str(home / "agentctl.db"), busy=timedelta(seconds=5))
    with store.transaction(db):
        change(db)
    db.close()


def test_files_that_contradict_their_row(run: Run, ended: str, sealed_home: Path) -> None:
    directory = sealed_home / "sessions" / ended
    (directory / "exit").write_text("9\n")
    (directory / "pid").write_text("1 - - 1\n")
    (directory / "session.json").write_text("{")
    found = troubles(run)
    assert any("its row says exit code 0, its exit file 9" in one for one in found)
    assert any("its pid file 1" in one for one in found)
    assert any("its manifest cannot be read" in one for one in found)


def test_rows_and_directories_that_miss_each_other(run: Run, ended: str, sealed_home: Path) -> None:
    directory = sealed_home / "sessions" / ended
    directory.rename(sealed_home / "elsewhere")
    assert any(f"rows without a directory: {ended[:8]}" in one for one in troubles(run))
    (sealed_home / "elsewhere").rename(directory)
    edit(sealed_home, lambda db: sessions.delete(db, [ended]))
    assert any(f"directories without a row: {ended[:8]}" in one for one in troubles(run))


def test_a_lock_of_a_settled_session(run: Run, ended: str, sealed_home: Path) -> None:
    edit(
        sealed_home,
        lambda db: directory_locks.acquire(
            db, directory="/srv/x y", holder="s", session_id=ended, created_at=utcnow()
        ),
    )
    (one,) = [one for one in findings(run) if one["level"] == "warn"]
    assert one["fact"] == f"/srv/x y is still held for session {ended[:8]}, which has ended"
    assert one["remedy"] == "agentctl unlock '/srv/x y'"


def test_deliveries_that_failed(run: Run, sealed_home: Path, wait_until: Wait) -> None:
    run("launch exec --on-complete 'exit 7' -- true")
    wait_until(lambda: run("hooks list --failed").stdout)
    assert any("1 hooks or webhooks were given up, the last: exit 7" in one for one in troubles(run))


@pytest.mark.parametrize(
    ("script", "level", "said"),
    [
        ("echo; echo 9.9.9", "ok", "version 9.9.9"),
        ("echo oh no >&2; exit 4", "warn", "exit 4: oh no"),
    ],
)
def test_an_installed_program_is_asked_for_its_version(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, level: str, said: str
) -> None:
    program = tmp_path / "bin" / "opencode"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$*" = --version ] || exit 99\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    one = next(one for one in findings(run) if one["subject"] == "adapter opencode")
    assert one["level"] == level
    assert said in one["fact"] and str(program) in one["fact"]


def test_a_transcript_that_nobody_can_read_is_skipped_and_noted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEX_HOME", str(tmp_path / "codex"))
    day = tmp_path / "codex" / "sessions" / "2026" / "11" / "22"
    day.mkdir(parents=True)
    sample = Path(__file__).parent.parent / "data" / "codex" / "rollouts" / "finished.jsonl"
    whole = day / "rollout-2026-11-22T10-00-00-01a00000-0000-7000-8000-000000000001.jsonl"
    shutil.copyfile(sample, whole)
    torn = day / "rollout-2026-11-22T10-00-00-01a00000-0000-7000-8000-000000000002.jsonl"
    torn.write_bytes(b"\x00\xff" * 5000)
    assert len(run("list -a --since 2020-01-01 --json").json()["sessions"]) == 1
    assert f"warn sessions of codex: 1 of 2 files cannot be read as its sessions: {torn}" in troubles(run)
    torn.unlink()
    run("list -a")
    assert [one for one in troubles(run) if "sessions of" in one] == []


def test_force_goes_with_rebuild(run: Run) -> None:
    run("doctor --force", exit=2)


def test_a_program_that_is_not_installed_is_not_called_ok(run: Run) -> None:
    found = {one["subject"]: one["level"] for one in findings(run)}
    assert found["adapter codex"] == "absent"
    assert found["adapter demo"] == "ok"


def test_a_damaged_database_of_opencode_is_reported_by_doctor_and_list(run: Run, sealed_home: Path) -> None:
    database = Path(os.environ["HOME"]) / ".local" / "share" / "opencode" / "opencode.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"SQLite format 3\0" + b"x" * 3000)
    fact = f"the sessions of opencode in {database} cannot be read: "
    assert any(one.startswith(f"warn sessions of opencode: {fact}") for one in troubles(run))
    for _ in range(2):  # the second listing has a cache
        assert str(database) in run("list -a").stderr
