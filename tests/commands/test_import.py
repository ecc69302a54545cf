"""`agentctl import`: what is taken of the TypeScript agentctl's directory, and what is left, and why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentctl.adapters import opencode, registry
from agentctl.errors import OperationFailed
from tests.adapters.opencode_samples import FINISHED, copy_store

Run = Callable[..., Any]
Write = Callable[..., Path]

STARTED = "2026-03-01T10:00:00.000Z"
SAVED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def old(status: str = "stopped", **changes: Any) -> dict[str, Any]:
    return {
        "adapter": "claude-code",
        "status": status,
        "startedAt": STARTED,
        "cwd": "/project",
        "meta": {},
        **changes,
    }


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write its files as it did; the directory is ~/.agentctl."""

    def put(
        sessions: Any = None, locks: Any = None, fuses: Any = None, config: Any = None, version: Any = 1
    ) -> Path:
        home = tmp_path / "home" / ".agentctl"
        home.mkdir(exist_ok=True)
        if sessions is not None:
            state = home / "state.json"
            state.write_text(json.dumps({"sessions": sessions, "version": version}, indent=2))
            os.utime(state, (SAVED.timestamp(), SAVED.timestamp()))
        for name, content in (("locks", locks), ("fuses", fuses), ("config", config)):
            if content is not None:
                (home / f"{name}.json").write_text(json.dumps(content))
        return home

    return put


def told(run: Run, words: str = "") -> dict[str, Any]:
    found: dict[str, Any] = run(f"import --json {words}").json()
    return found


def left(found: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["reason"] for item in found["left"]}


def taken(found: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["detail"] for item in found["taken"]}


def everything(tmp_path: Path) -> dict[str, Any]:
    """One of each, with a directory that exists."""
    later = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    return {
        "sessions": {
            "one": old(exitCode=0, group="g-a1b2c3", prompt="Do it"),
            "two": old("running", pid=None),
        },
        "locks": [{"directory": str(tmp_path), "type": "manual", "lockedBy": "ada", "lockedAt": STARTED}],
        "fuses": [
            {
                "directory": str(tmp_path),
                "expiresAt": later,
                "sessionId": "one",
                "ttlMs": 1,
                "onExpire": {"script": "true"},
            }
        ],
        "config": {"model": "opus", "webhook_url": "https://example.org/x", "webhook_secret": "hush"},
    }


def test_one_of_each_is_taken(run: Run, write: Write, tmp_path: Path) -> None:
    home = write(**everything(tmp_path))
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    found = told(run)
    assert found["directory"] == str(home)
    assert found["left"] == []
    assert [item["kind"] for item in found["taken"]] == [
        "lock", "fuse", "session", "session", "setting", "setting", "setting",
    ]  # fmt: skip
    ids = {item["name"]: item["id"] for item in found["taken"]}
    one, two = run(f"status --json {ids['one']} {ids['two']}").json()["sessions"]
    assert (one["outcome"], one["exit_code"], one["group"], one["prompt"]) == (
        "succeeded", 0, "g-a1b2c3", "Do it",
    )  # fmt: skip
    assert (two["status"], two["outcome"], two["exit_code"], two["pid"]) == ("error", "lost", None, None)
    assert two["ended_at"] == "2026-03-01T12:00:00.000Z"
    assert (one["source"], one["native_id"]) == ("tracked", "one")
    (lock,) = run("locks --json").json()["locks"]
    assert (lock["holder"], lock["created_at"]) == ("ada", STARTED)
    (fuse,) = run("fuse list --json").json()["fuses"]
    assert (fuse["directory"], fuse["action"], fuse["state"]) == (str(tmp_path), "script", "armed")
    assert run("config get defaults.model").stdout == "opus\n"
    assert run("config get webhook.secret").stdout == "hush\n"
    types = [json.loads(line)["type"] for line in run("events --json").lines]
    assert types == ["session.imported", "session.imported", "lock.acquired", "fuse.set"]
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before


def test_again_takes_nothing_twice(run: Run, write: Write, tmp_path: Path) -> None:
    write(**everything(tmp_path))
    first = told(run)
    state = [
        run(words).stdout for words in ("list -a --json", "locks --json", "fuse list --json", "events --json")
    ]
    again = told(run)
    assert again["taken"] == []
    assert len(again["left"]) == len(first["taken"])
    assert set(left(again).values()) == {
        "it is here already",
        "defaults.model is set here already",
        "webhook.url is set here already",
        "webhook.secret is set here already",
    }
    assert state == [
        run(words).stdout for words in ("list -a --json", "locks --json", "fuse list --json", "events --json")
    ]
    run("prune --older-than 0s")
    assert left(told(run))["one"] == "it was imported before, and forgotten since"


def test_a_dry_run_says_the_same_and_writes_nothing(run: Run, write: Write, tmp_path: Path) -> None:
    write(**everything(tmp_path))
    dry = told(run, "--dry-run")
    assert dry["dry_run"] is True
    assert run("list -a -q").stdout == run("locks").stdout == run("fuse list").stdout == ""
    assert run("config get defaults.model").stdout == ""
    wet = told(run)
    assert (dry["taken"], dry["left"]) == (wet["taken"], wet["left"])


def test_people_see_a_table_without_secrets(run: Run, write: Write, tmp_path: Path) -> None:
    write(
        **everything(tmp_path),
    )
    outcome = run("import")
    assert "hush" not in outcome.stdout + outcome.stderr
    assert outcome.lines[0].split() == ["WHAT", "NAME", "DONE", "DETAIL"]
    assert "7 taken from" in outcome.stderr
    assert "0 left" in outcome.stderr


def test_the_directory_can_be_named_and_must_have_something(run: Run, write: Write, tmp_path: Path) -> None:
    assert "has no files of the TypeScript agentctl" in run("import", exit=10).stderr
    run(f"import {tmp_path}/none", exit=10)
    home = write(config={"model": "opus"})
    moved = home.rename(tmp_path / "elsewhere")
    assert taken(told(run, str(moved))) == {"model": "now defaults.model"}


def test_a_pid_that_is_there_is_neither_signalled_nor_called_ended(run: Run, write: Write) -> None:
    agent = subprocess.Popen(["sleep", "60"])
    try:
        home = write({"live": old("running", pid=agent.pid)})
        os.utime(home / "state.json", (time.time() + 1, time.time() + 1))
        assert f"process {agent.pid} is there" in left(told(run))["live"]
        assert agent.poll() is None
        # A process that began after the file was written is another one with the same number.
        os.utime(home / "state.json", (SAVED.timestamp(), SAVED.timestamp()))
        assert told(run, "--dry-run")["left"] == []
    finally:
        agent.kill()
        agent.wait()
    os.utime(home / "state.json", (time.time() + 1, time.time() + 1))
    assert taken(told(run))["live"].startswith("lost: at work when")


@pytest.mark.parametrize("pid", [0, -1, 2**40, "12", True, 1.5])
def test_a_pid_that_is_none(run: Run, write: Write, pid: Any) -> None:
    write({"live": old("running", pid=pid)})
    assert told(run)["left"] == []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """opencode's own store, where `list` finds it."""
    share = tmp_path / "home" / ".local" / "share"
    made = copy_store(tmp_path)
    share.mkdir(parents=True, exist_ok=True)
    made.parent.rename(share / "opencode")
    yield share / "opencode"


def test_what_the_agents_own_store_lists_is_left_to_it(run: Run, write: Write, store: Path) -> None:
    external = run("list -a --json --since 2020-01-01").json()["sessions"]
    assert FINISHED in {one["native_id"] for one in external}
    write({FINISHED: old("running", adapter="opencode"), "ses_other": old("running", adapter="opencode")})
    found = told(run)
    assert "its agent's own store has it" in left(found)[FINISHED]
    assert list(taken(found)) == ["ses_other"]
    after = run("list -a --json --since 2020-01-01 --adapter opencode").json()["sessions"]
    assert FINISHED in {one["native_id"] for one in after}


def test_one_that_ended_comes_with_its_record(run: Run, write: Write, store: Path) -> None:
    write({FINISHED: old(adapter="opencode", exitCode=0, group="g-a1b2c3")})
    found = told(run)
    assert taken(found) == {FINISHED: "succeeded: exit 0"}
    (row,) = run("list -a --json --since 2020-01-01 --group g-a1b2c3").json()["sessions"]
    assert (row["native_id"], row["source"]) == (FINISHED, "tracked")
    assert "already" in left(told(run))[FINISHED]


def test_a_store_that_does_not_answer_proves_nothing(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(store_path: str) -> list[str]:
        raise OperationFailed("the gateway does not answer")

    # An adapter like opencode's, whose store is another machine's.
    module = SimpleNamespace(**(vars(opencode) | {"NAME": "gateway", "sources": unreachable}))
    monkeypatch.setitem(sys.modules, "gateway_adapter", module)
    monkeypatch.setitem(registry.ADAPTERS, "gateway", "gateway_adapter")
    monkeypatch.setitem(registry.DISCOVERING, "gateway", ("$HOME",))
    write({"x": old("running", adapter="gateway"), "y": old(adapter="gateway", exitCode=0)})
    assert "the gateway does not answer" in run("import --dry-run").stderr
    found = told(run)
    assert taken(found) == {"y": "succeeded: exit 0"}
    assert "cannot be read" in left(found)["x"]


def test_locks_that_cannot_be_taken(run: Run, write: Write, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "link").symlink_to("taken")
    run(f"lock {tmp_path}/taken --by bob")
    write(
        locks=[
            {"directory": str(tmp_path / "link"), "type": "manual", "lockedBy": "ada", "lockedAt": STARTED},
            {"directory": "/nowhere/at/all", "type": "manual", "lockedBy": "ada", "lockedAt": STARTED},
            {"directory": str(tmp_path), "type": "auto", "pid": 1, "lockedAt": STARTED},
            "junk",
        ]
    )
    found = told(run)
    assert found["taken"] == []
    assert left(found) == {
        str(tmp_path / "link"): "bob holds the directory here",
        "/nowhere/at/all": "the directory is not there",
        str(tmp_path): "it belonged to a session of the daemon",
        "a record without a directory": "it is not an object",
    }


def test_fuses_that_cannot_be_taken_and_one_with_two_actions(run: Run, write: Write, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    run(f"fuse set {tmp_path}/b --for 1h")
    later = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    both = {"script": "true", "webhook": "https://example.org/x"}
    write(
        fuses=[
            {"directory": str(tmp_path / "a"), "expiresAt": later, "onExpire": both},
            {"directory": str(tmp_path / "b"), "expiresAt": later},
            {"directory": str(tmp_path), "expiresAt": STARTED},
            {"directory": "/nowhere/at/all", "expiresAt": later},
        ]
    )
    found = told(run)
    assert taken(found) == {str(tmp_path / "a"): "action script and webhook"}
    assert left(found) == {
        str(tmp_path / "b"): "the directory has a fuse here",
        str(tmp_path): "its deadline has passed",
        "/nowhere/at/all": "the directory is not there",
    }
    armed = [fuse for fuse in run("fuse list --json").json()["fuses"] if fuse["directory"].endswith("/a")]
    assert sorted(fuse["action"] for fuse in armed) == ["script", "webhook"]


def test_settings_of_ours_stay_and_what_has_no_like_is_named(
    run: Run, write: Write, sealed_home: Path
) -> None:
    run("config set defaults.model mine")
    config = sealed_home / "config.toml"
    config.write_text("# my notes\n" + config.read_text())
    write(
        config={
            "adapter": "openclaw-next",
            "model": "theirs",
            "cwd": "/x",
            "timeout": 5,
            "webhook_url": "ftp://x",
            "webhook_secret": 7,
            "colour": "red",
        }
    )
    found = told(run)
    assert found["taken"] == []
    reasons = left(found)
    assert reasons["adapter"] == "there is no adapter openclaw-next here"
    assert reasons["model"] == "defaults.model is set here already"
    assert "no such setting" in reasons["cwd"]
    assert "ended nothing there" in reasons["timeout"]
    assert "https://" in reasons["webhook_url"]
    assert "quoted string" in reasons["webhook_secret"]
    assert reasons["colour"] == "it is not known"
    assert config.read_text() == '# my notes\n[defaults]\nmodel = "mine"\n'
    write(config={"adapter": "demo"})
    assert taken(told(run)) == {"adapter": "now adapter"}
    assert config.read_text().startswith("# my notes\n")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("state.json", '{"sessions": {', "is not valid JSON"),
        ("state.json", "[]", "not a file of the TypeScript agentctl"),
        ("state.json", '{"sessions": []}', "not a file of the TypeScript agentctl"),
        ("state.json", '{"sessions": {}, "version": 2}', "is of version 2; version 1 is understood"),
        ("locks.json", "{}", "not a file of the TypeScript agentctl"),
        ("locks.json", "[" * 100_000, "is not valid JSON"),
        ("fuses.json", "3", "not a file of the TypeScript agentctl"),
        ("config.json", "[]", "not a file of the TypeScript agentctl"),
        ("config.json", "\xff", "is not valid JSON"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_imports_nothing(
    run: Run, write: Write, tmp_path: Path, name: str, text: str, says: str
) -> None:
    home = write(**everything(tmp_path))
    (home / name).write_bytes(text.encode("latin-1"))
    outcome = run("import --json", exit=1)
    assert says in outcome.error()["message"]
    assert str(home / name) in outcome.error()["message"]
    assert "nothing was imported" in outcome.error()["hint"]
    assert run("list -a -q").stdout == run("locks").stdout == run("fuse list").stdout == ""


def test_settings_that_cannot_be_written_leave_nothing_imported(
    run: Run, write: Write, tmp_path: Path, sealed_home: Path
) -> None:
    write(**everything(tmp_path))
    (sealed_home / "config.toml").mkdir(parents=True)
    run("import", exit=13)
    (sealed_home / "config.toml").rmdir()
    (sealed_home / "config.toml").symlink_to("/proc/nowhere/config.toml")
    assert "cannot be written" in run("import", exit=1).stderr
    assert run("list -a -q").stdout == run("locks").stdout == run("fuse list").stdout == ""
    assert run("events").stdout == ""


def test_a_daemon_that_may_be_at_work_is_named(run: Run, write: Write) -> None:
    home = write({"one": old()})
    (home / "agentctl.pid").write_text("1\n")
    assert f"{home}/agentctl.pid is there" in run("import").stderr


def test_what_was_imported_bears_every_command(
    run: Run, write: Write, tmp_path: Path, sealed_home: Path
) -> None:
    (tmp_path / "project").mkdir()
    cwd = str(tmp_path / "project")
    sessions = {
        name: old("running", adapter=name, cwd=cwd, prompt="Do it")
        for name in ("claude-code", "openclaw", "slate", "no-such-agent")
    }
    write({**sessions, "ran": old(adapter="demo", cwd=cwd, exitCode=0, prompt="hello", model=None)})
    ids = {item["name"]: item["id"] for item in told(run)["taken"]}
    assert len(ids) == 5
    assert set(run("list -a -q --since 2020-01-01").lines) == set(ids.values())
    for each in ids.values():
        assert "imported from the TypeScript agentctl" in run(f"status {each}").stdout
        run(f"why {each}")
        run(f"logs {each}", exit=None)
        run(f"peek {each}", exit=None)
        run(f"stop {each}")
        run(f"wait {each}", exit=None)
    again = run(f"rerun --wait {ids['ran']}").lines[0]
    assert run(f"status --json {again}").json()["sessions"][0]["outcome"] == "succeeded"
    assert run("rerun " + ids["no-such-agent"], exit=12).stderr
    assert "fail" not in [line.split()[0] for line in run("doctor", exit=None).lines]
    assert len(run("prune --older-than 0s -q").lines) >= 5
    assert not (sealed_home / "internal-errors.log").exists()
