"""`agentctl fuse` on real sessions and directories, through a real state."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentctl.runtime import Runtime
from tests.adapters.opencode_samples import DATA, FINISHED
from tests.conftest import Run, RunReal, WaitUntil

Launch = Callable[..., str]

HOUR = timedelta(hours=1)


@pytest.fixture
def launch(run: Run, work: Path) -> Launch:
    """Launch a session that sleeps; its id."""

    def start(options: str = "") -> str:
        return run(f"launch exec --settle 0 {options} -- sleep 600").stdout.strip()

    return start


def at(instant: datetime) -> Runtime:
    """A runtime of this state whose clock stands still."""
    runtime = Runtime.from_environment()
    runtime.clock = lambda: instant
    return runtime


def listed(run: Run, options: str = "", **given: Any) -> list[dict[str, Any]]:
    document = run(f"fuse list --json {options}", **given).json()
    assert document["schema_version"] == 1
    return list(document["fuses"])


def deadline(fuse: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(fuse["deadline"])


def events(home: Path) -> list[dict[str, Any]]:
    from agentctl.store import events as ledger
    from agentctl.store.db import connect

    db = connect(str(home / "agentctl.db"), busy=timedelta(seconds=30))
    try:
        found = ledger.since(db, 0, limit=1000)
    finally:
        db.close()
    return [{"type": e.type, "session": e.session_id, **e.data} for e in found if e.type.startswith("fuse.")]


def timer_file(home: Path, session: str) -> str:
    """What the shim's timer waits for: a second or two before the instant, which its call waits for."""
    return (home / "sessions" / session / "fuse").read_text().split()[0]


def own_deadline(home: Path, session: str) -> str:
    """When the session's timer ends the agent itself if it cannot call agentctl."""
    return (home / "sessions" / session / "fuse").read_text().split()[1]


def test_setting_replaces_the_one_armed_fuse(run: Run, launch: Launch, sealed_home: Path) -> None:
    session = launch()
    before = listed(run)[0]
    assert (before["action"], before["session_id"]) == ("none", session)

    started = datetime.now(UTC)
    after = run(f"fuse set {session} --for 2h --warn 10m --json").json()["fuses"][0]
    assert list(after) == [
        "id", "session_id", "directory", "deadline", "action", "state",
        "warn_at", "command", "url", "created_at",
    ]  # fmt: skip
    assert (after["id"], after["action"], after["state"]) == (before["id"], "stop", "armed")
    assert timedelta(0) <= deadline(after) - started - 2 * HOUR < timedelta(seconds=30)
    assert deadline(after) - datetime.fromisoformat(after["warn_at"]) == timedelta(minutes=10)
    assert listed(run) == [after]
    assert [(e["type"], e["fuse"], e["deadline"], e["action"]) for e in events(sealed_home)] == [
        ("fuse.set", before["id"], after["deadline"], "stop")
    ]
    # The timer is to wake for the warning, which comes first.
    warned = datetime.fromisoformat(after["warn_at"]).timestamp()
    assert -2 < int(timer_file(sealed_home, session)) - warned <= -1


def test_extending_moves_deadline_and_warning(run: Run, launch: Launch, sealed_home: Path) -> None:
    session = launch("--fuse 1h --fuse-warn 10m")
    before = listed(run)[0]
    after = run(f"fuse extend {session[:8]} --by 90m --json").json()["fuses"][0]
    assert deadline(after) - deadline(before) == timedelta(minutes=90)
    assert deadline(after) - datetime.fromisoformat(after["warn_at"]) == timedelta(minutes=10)
    assert after["action"] == "stop"
    assert [e["type"] for e in events(sealed_home)] == ["fuse.extended"]
    run(f"fuse set {session} --for 3h")  # replaces the warning, too
    due = deadline(listed(run)[0]).timestamp()
    assert -2 < int(timer_file(sealed_home, session)) - due <= -1
    assert 0 <= int(own_deadline(sealed_home, session)) - due <= 1, "JSON cuts times to milliseconds"


def test_cancelling_disarms_once(run: Run, launch: Launch, sealed_home: Path) -> None:
    session = launch("--name build --fuse 1h")
    assert "is cancelled" in run("fuse cancel build").stderr
    assert listed(run) == []
    assert [fuse["state"] for fuse in listed(run, "-a")] == ["cancelled"]
    assert timer_file(sealed_home, session) == own_deadline(sealed_home, session) == "-"
    assert events(sealed_home)[-1]["type"] == "fuse.cancelled"
    assert "no armed fuse" in run("fuse cancel build", exit=10).stderr
    assert "no armed fuse" in run("fuse extend build --by 1m", exit=10).stderr

    fresh = run("fuse set build --for 1h --json").json()["fuses"][0]
    states = {fuse["id"]: fuse["state"] for fuse in listed(run, "-a")}
    assert states.pop(fresh["id"]) == "armed"
    assert list(states.values()) == ["cancelled"]


def test_the_newest_fuse_counts_although_the_clock_was_set_back(run: Run, launch: Launch) -> None:
    session = launch("--fuse 3h")
    run(f"fuse cancel {session}")
    earlier = at(datetime.now(UTC) - HOUR)
    fresh = run(f"fuse set {session} --for 2h --json", obj=earlier).json()["fuses"][0]
    earlier.close()
    assert run(f"status {session} --json").json()["sessions"][0]["fuse"]["state"] == "armed"
    assert [fuse["id"] for fuse in listed(run)] == [fresh["id"]]


def test_a_fuse_fires_at_its_deadline_and_not_before(run: Run, launch: Launch, sealed_home: Path) -> None:
    session = launch()
    due = deadline(run(f"fuse set {session} --for 1h --json").json()["fuses"][0])
    # The document cuts to milliseconds, the row does not.
    early = at(due - timedelta(milliseconds=1))
    assert [fuse["state"] for fuse in listed(run, obj=early)] == ["armed"]
    early.close()
    late = at(due + timedelta(milliseconds=1))
    assert listed(run, obj=late) == []
    refused = run(f"fuse extend {session} --by 1h", obj=late, exit=1)
    assert "has already fired (action stop)" in refused.stderr
    late.close()
    assert [e["type"] for e in events(sealed_home)] == ["fuse.set", "fuse.expired"]


def test_a_session_launched_with_a_fuse_is_ended_by_its_timer_at_the_new_deadline(
    run: Run, launch: Launch, wait_until: WaitUntil
) -> None:
    # The timer of a real shim sleeps in whole seconds, hence the length of this test.
    session = launch("--fuse 1s")
    run(f"fuse extend {session} --by 2s")
    due = deadline(listed(run, "-a")[0])
    wait_until(lambda: timed_out(run, session), timeout=30)
    ended = run(f"status {session} --json").json()["sessions"][0]
    assert datetime.fromisoformat(ended["ended_at"]) >= due


def timed_out(run: Run, session: str) -> bool:
    outcome = run(f"status {session} --json").json()["sessions"][0]["outcome"]
    assert outcome in (None, "timed_out")
    return bool(outcome)


def test_ended_sessions_are_refused(run: Run, launch: Launch) -> None:
    session = launch("--fuse 1h")
    run(f"stop {session} --force")
    for command in (f"set {session} --for 1h", f"extend {session} --by 1h", f"cancel {session}"):
        assert f"session {session[:8]} has ended" in run(f"fuse {command}", exit=1).stderr
    assert run(f"fuse set {session} --for 1h --json", exit=1).error()["code"] == "failed"


def test_a_session_that_is_being_stopped_is_refused(
    run: Run, work: Path, wait_until: WaitUntil, sealed_home: Path
) -> None:
    agent = "trap : TERM; echo ready; while :; do sleep 0.1; done"
    started = run(["launch", "exec", "--settle", "0", "--fuse", "1h", "--", "sh", "-c", agent])
    session = started.stdout.strip()
    wait_until(lambda: "ready" in run(f"logs {session}").stdout)
    late = at(datetime.now(UTC) + HOUR)
    run("list", obj=late)
    late.close()
    assert "is being stopped" in run(f"fuse set {session} --for 1h", exit=1).stderr
    assert "has already fired" in run(f"fuse cancel {session}", exit=1).stderr


def test_a_session_that_is_being_launched_is_refused(run: Run, work: Path) -> None:
    # Its launcher would take the change for a stop.
    setting = f"{sys.executable} -P -m agentctl fuse set $AGENTCTL_SESSION_ID --for 1h"
    hook = f"{setting} 2> refused || true"
    run(["launch", "exec", "--on-create", hook, "--settle", "0", "--", "sleep", "600"])
    assert "still being launched" in (work / "refused").read_text()


def test_what_a_session_cannot_have(run: Run, launch: Launch) -> None:
    session = launch()
    for options, message in (
        ("", "needs a deadline"),
        ("--for 1h --at 2090-01-01", "--for and --at cannot be used together"),
        ("--at 2020-01-01", "has passed"),
        ("--at soon", "is not a time"),
        ("--at 0001-01-01", "is not a time"),
        ("--for 0", "longer than zero"),
        ("--for 1h --action script", "cannot have the action script"),
        ("--for 1h --command true", "go together"),
        ("--for 1h --url https://example.org", "--url goes with"),
        ("--for 1h --warn 1h", "the warning would already be due"),
    ):
        assert message in run(f"fuse set {session} {options}", exit=2).stderr
    assert "--by" in run(f"fuse extend {session}", exit=2).stderr
    run(f"fuse set {session} --at 9999-12-30")
    assert "beyond the year 9999" in run(f"fuse extend {session} --by 9d", exit=2).stderr
    assert "no session, directory or fuse nobody" in run("fuse cancel nobody", exit=10).stderr


def test_an_external_session_has_no_fuse(run: Run, work: Path) -> None:
    store = Path(os.environ["XDG_DATA_HOME"], "opencode", "opencode.db")
    store.parent.mkdir(parents=True)
    shutil.copyfile(DATA / "opencode-1.18.33.db", store)
    for command in (f"set {FINISHED} --for 1h", f"extend {FINISHED} --by 1h", f"cancel {FINISHED}"):
        assert "not launched by agentctl" in run(f"fuse {command}", exit=1).stderr


def test_a_directory_has_a_free_timer_of_ten_minutes(run: Run, work: Path, sealed_home: Path) -> None:
    started = datetime.now(UTC)
    made = run("fuse set . --json").json()["fuses"][0]
    assert (made["session_id"], made["directory"], made["action"]) == (None, os.path.realpath(work), "event")
    assert timedelta(0) <= deadline(made) - started - timedelta(minutes=10) < timedelta(seconds=30)

    again = run(["fuse", "set", str(work), "--for", "1h", "--command", "make", "--json"]).json()["fuses"][0]
    assert (again["id"], again["action"], again["command"]) == (made["id"], "script", "make")
    later = run("fuse extend ../work/ --by 1h --json").json()["fuses"][0]
    assert deadline(later) - deadline(again) == HOUR
    assert listed(run) == [later]

    late = at(deadline(later) + timedelta(milliseconds=1))
    assert listed(run, obj=late) == []
    assert "has already fired (action script)" in run("fuse extend . --by 1h", obj=late, exit=1).stderr
    late.close()
    assert [e["type"] for e in events(sealed_home)] == [
        "fuse.set", "fuse.set", "fuse.extended", "fuse.expired",
    ]  # fmt: skip
    assert run("fuse set . --json").json()["fuses"][0]["id"] != made["id"]


def test_only_an_expiry_is_counted_as_one(run: Run, work: Path, sealed_home: Path) -> None:
    from agentctl.store import counters
    from agentctl.store.db import connect

    run("fuse set .")
    run("fuse extend . --by 1m")
    run("fuse cancel .")
    db = connect(str(sealed_home / "agentctl.db"), busy=timedelta(seconds=30))
    assert counters.all(db) == {}
    assert db.connection.execute("SELECT count(*) FROM outbox").fetchone()[0] == 0
    db.close()


def test_what_a_directory_cannot_have(run: Run, work: Path) -> None:
    (work / "file").touch()
    for words, code, message in (
        (["--action", "stop"], 2, "cannot have the action stop"),
        (["--action", "script"], 2, "go together"),
        (["--command", " "], 2, "--command is empty"),
        (["--command", "make", "--action", "event"], 2, "go together"),
        (["--action", "webhook"], 2, "no address to post to"),
        (["--url", "example.org"], 2, "begins with https://"),
        (["--warn", "1m"], 2, "only for sessions"),
    ):
        assert message in run(["fuse", "set", ".", *words], exit=code).stderr
    assert "No such file" in run("fuse set ./gone", exit=10).stderr
    assert "not a directory" in run("fuse set ./file", exit=2).stderr
    assert "TARGET is empty" in run(["fuse", "set", ""], exit=2).stderr
    assert listed(run, "-a") == []


def test_an_address_is_for_the_action_webhook(run: Run, work: Path) -> None:
    made = run("fuse set . --url http://127.0.0.1:9/x --json").json()["fuses"][0]
    assert (made["action"], made["url"]) == ("webhook", "http://127.0.0.1:9/x")
    address = {"AGENTCTL_WEBHOOK_URL": "http://127.0.0.1:9/"}
    refused = run("fuse set . --action webhook", env=address, exit=2)
    assert "fuse.expired" in refused.stderr, "the address gets the ends of sessions"
    run("config set webhook.events ending fuse.expired")
    assert "action webhook" in run("fuse set . --action webhook", env=address).stderr


def test_the_address_that_gets_the_ends_of_sessions_gets_no_fuse(run: Run, work: Path) -> None:
    address = {"AGENTCTL_WEBHOOK_URL": "http://127.0.0.1:9/"}
    refused = run("fuse set . --url http://127.0.0.1:9/", env=address, exit=2)
    assert "give another --url" in refused.stderr
    run("config set webhook.events ending fuse.expired")
    run("fuse set . --url http://127.0.0.1:9/", env=address)


@pytest.mark.parametrize("name", ["a b", 'it\'s "x"', "two\nlines", os.fsdecode(b"caf\xe9"), "~odd", "-x"])
def test_directories_of_any_name(run: Run, work: Path, name: str) -> None:
    (work / name).mkdir()
    made = run(["fuse", "set", f"./{name}/", "--json"]).json()["fuses"][0]
    os.rmdir(work / name)
    run(["fuse", "extend", f"./{name}", "--by", "1m"])
    assert run(["fuse", "cancel", f"./{name}", "--json"]).json()["fuses"][0]["id"] == made["id"]


def test_a_bare_word_is_a_session_before_it_is_a_directory(run: Run, launch: Launch, work: Path) -> None:
    (work / "build").mkdir()
    assert run("fuse set build --json").json()["fuses"][0]["directory"] == os.path.realpath(work / "build")
    session = launch("--name build --no-fuse")
    assert run("fuse set build --for 1h --json").json()["fuses"][0]["session_id"] == session
    assert [fuse["session_id"] for fuse in listed(run)] == [None, session]


def test_a_link_and_the_home_directory_mean_what_they_point_to(run: Run, work: Path, tmp_path: Path) -> None:
    (work / "link").symlink_to(tmp_path / "home")
    made = run("fuse set ./link --json").json()["fuses"][0]
    assert made["directory"] == os.path.realpath(tmp_path / "home")
    assert run("fuse set ~ --for 1h --json").json()["fuses"][0]["id"] == made["id"]


def test_a_fuse_is_found_by_its_own_id(run: Run, launch: Launch, work: Path) -> None:
    launch("--fuse 1h")
    run("fuse set . --for 2h")
    of_session, of_directory = run("fuse list -q").lines
    assert run(f"fuse cancel {of_directory[:8]} --json").json()["fuses"][0]["id"] == of_directory
    assert run(f"fuse cancel {of_session} --json").json()["fuses"][0]["id"] == of_session
    assert run("fuse list -q").lines == []
    assert len(run("fuse list -aq").lines) == 2


def test_the_table_and_its_other_name(run: Run, launch: Launch) -> None:
    session = launch("--fuse 2h")
    header, row = run("fuses").lines
    assert header.split() == ["ID", "OF", "DEADLINE", "ACTION", "STATE", "DOES"]
    assert session[:8] in row
    assert "stop" in row
    assert run("fuses --json").json() == run("fuse list --json").json()


def test_an_empty_list_prints_nothing(run: Run) -> None:
    assert run("fuse list").stdout == ""
    assert listed(run) == []


def test_targets_complete_to_sessions_else_directories(run: Run, run_real: RunReal, launch: Launch) -> None:
    session = launch("--name build")
    for words, expected in ((f"fuse set {session[:4]}", session), ("fuse cancel bu", "build")):
        env = {
            "_AGENTCTL_COMPLETE": "bash_complete",
            "COMP_WORDS": f"agentctl {words}",
            "COMP_CWORD": "3",
        }
        assert f"plain,{expected}" in run_real([], env=env).stdout
    env = {"_AGENTCTL_COMPLETE": "bash_complete", "COMP_WORDS": "agentctl fuse set ./x", "COMP_CWORD": "3"}
    assert run_real([], env=env).stdout.strip() == "dir,./x"
