"""`agentctl lock`, `unlock` and `locks` on real directories and sessions, through a real state."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentctl.runtime import Runtime

if TYPE_CHECKING:
    from tests.conftest import Run, RunReal, WaitUntil

ODD = ["a b", 'it\'s "x"', "two\nlines", os.fsdecode(b"caf\xe9"), "~odd", "-x", "\x1b[31mred"]


@pytest.fixture
def launch(run: Run, work: Path) -> Callable[..., str]:
    """Launch a session that sleeps in the directory; its id."""

    def start(options: str = "") -> str:
        return run(f"launch exec --settle 0 {options} -- sleep 600").stdout.strip()

    return start


def at(instant: datetime) -> Runtime:
    """A runtime of this state whose clock stands still."""
    runtime = Runtime.from_environment()
    runtime.clock = lambda: instant
    return runtime


def held(run: Run, **given: Any) -> list[dict[str, Any]]:
    document = run("locks --json", **given).json()
    assert document["schema_version"] == 1
    return list(document["locks"])


def events(home: Path) -> list[tuple[str, str]]:
    """Type and holder of each event about locks."""
    from agentctl.store import events as ledger
    from agentctl.store.db import connect

    db = connect(str(home / "agentctl.db"), busy=timedelta(seconds=30))
    try:
        found = ledger.since(db, 0, limit=1000)
    finally:
        db.close()
    return [(event.type, event.data["holder"]) for event in found if event.type.startswith("lock.")]


def test_a_person_holds_and_frees_a_directory(run: Run, work: Path, sealed_home: Path) -> None:
    taken = run(["lock", ".", "--by", "ann", "--reason", "a release", "--json"]).json()["locks"][0]
    assert list(taken) == [
        "directory", "holder", "kind", "session_id", "reason", "created_at", "expires_at",
    ]  # fmt: skip
    assert (taken["directory"], taken["holder"], taken["kind"]) == (os.path.realpath(work), "ann", "person")
    assert (taken["reason"], taken["session_id"], taken["expires_at"]) == ("a release", None, None)
    assert held(run) == [taken]

    assert run("unlock . --json").json()["released"] == [taken]
    assert held(run) == []
    assert "is not locked" in run("unlock .", exit=10).stderr
    assert events(sealed_home) == [("lock.acquired", "ann"), ("lock.released", "ann")]


def test_the_holder_is_the_user_unless_named(run: Run, work: Path) -> None:
    import pwd

    run("lock .")
    assert held(run)[0]["holder"] == pwd.getpwuid(os.getuid()).pw_name
    assert "name is empty" in run(["lock", ".", "--by", " "], exit=2).stderr


def test_somebody_else_is_refused_and_told_who_holds_it(run: Run, work: Path) -> None:
    run(["lock", ".", "--by", "ann", "--reason", "a release"])
    refused = run("lock . --by bob --json", exit=11).error()
    assert refused["code"] == "locked"
    assert "locked by ann (a release)" in refused["message"]
    assert "locked by ann" in run("launch exec -- true", exit=11).stderr
    assert [lock["holder"] for lock in held(run)] == ["ann"]


def test_the_same_holder_replaces_reason_and_time(run: Run, work: Path) -> None:
    first = run("lock . --by ann --reason one --for 1h --json").json()["locks"][0]
    run("lock . --by ann --reason two")
    (second,) = held(run)
    assert (second["reason"], second["expires_at"]) == ("two", None)
    assert second["created_at"] >= first["created_at"]


def test_parents_and_children_do_not_conflict(run: Run, work: Path) -> None:
    (work / "below").mkdir()
    run("lock . --by ann")
    run("lock below --by bob")
    run("lock .. --by eve")
    assert run("locks -q").lines == [str(path) for path in (work.parent, work, work / "below")]


def test_a_lock_ends_at_its_time_and_not_before(run: Run, work: Path) -> None:
    taken = run("lock . --by ann --for 1h --json").json()["locks"][0]
    expires = datetime.fromisoformat(taken["expires_at"])
    assert expires - datetime.fromisoformat(taken["created_at"]) == timedelta(hours=1)

    # The document cuts to milliseconds, the row does not.
    early, late = at(expires - timedelta(milliseconds=1)), at(expires + timedelta(milliseconds=1))
    assert [lock["holder"] for lock in held(run, obj=early)] == ["ann"]
    assert held(run, obj=late) == []
    early.close()
    late.close()
    run("lock . --by bob")


def test_a_session_holds_its_directory_until_it_has_ended(
    run: Run, launch: Callable[..., str], sealed_home: Path
) -> None:
    session = launch()
    (lock,) = held(run)
    assert (lock["kind"], lock["session_id"], lock["holder"]) == ("session", session, session[:8])
    assert f"in use by session {session[:8]}" in run("lock .", exit=11).stderr
    assert f"in use by session {session[:8]}" in run("unlock .", exit=11).stderr
    run(f"stop --force {session}")
    assert held(run) == []
    run("lock .")
    assert [type_ for type_, _ in events(sealed_home)] == ["lock.acquired"]


def test_a_lock_is_taken_from_a_live_session_only_by_force(
    run: Run, launch: Callable[..., str], sealed_home: Path
) -> None:
    session = launch()
    assert [row["session_id"] for row in run("unlock . --force --json").json()["released"]] == [session]
    assert held(run) == []
    assert run("list -q --status running").lines == [session]
    assert events(sealed_home) == [("lock.released", session[:8])]
    run("lock . --by ann")


def test_a_person_and_a_session_that_share_a_directory(
    run: Run, launch: Callable[..., str], work: Path
) -> None:
    run("lock . --by ann")
    session = launch("--force")
    told = run("unlock .").stderr
    assert "no longer held by ann" in told
    assert f"session {session[:8]} still works" in told
    assert [lock["session_id"] for lock in held(run)] == [session]


def test_the_lock_of_a_dead_session_is_gone(
    run: Run, launch: Callable[..., str], wait_until: WaitUntil
) -> None:
    session = launch()
    agent = run(f"status {session} --json").json()["sessions"][0]["pid"]
    os.kill(agent, signal.SIGKILL)
    wait_until(lambda: held(run) == [])
    run("lock . --by ann")
    assert run("unlock . --json").json()["left"] == []


@pytest.mark.parametrize("name", ODD)
def test_directories_of_any_name(run: Run, run_real: RunReal, work: Path, name: str) -> None:
    (work / name).mkdir()
    run(["lock", f"./{name}/", "--by", "ann"])
    assert run_real(["locks", "-q"]).stdout == f"{os.path.realpath(work / name)}\n"
    table = run_real(["locks"]).stdout
    assert "\x1b" not in table
    assert len(table.splitlines()) == 2
    assert "locked by ann" in run_real(["lock", f"./{name}", "--by", "bob"], exit=11).stderr
    os.rmdir(work / name)
    run_real(["unlock", str(work / name)])
    assert held(run) == []


def test_a_link_is_the_directory_it_points_to(run: Run, work: Path, tmp_path: Path) -> None:
    (work / "link").symlink_to(tmp_path / "home")
    run("lock link --by ann")
    assert run("locks -q").lines == [os.path.realpath(tmp_path / "home")]
    assert "locked by ann" in run("lock ~/ --by bob", exit=11).stderr
    run("unlock ~")


def test_a_directory_that_a_link_has_replaced_can_be_unlocked(run: Run, work: Path, tmp_path: Path) -> None:
    (work / "site").mkdir()
    run("lock site --by ann")
    os.rmdir(work / "site")
    (work / "site").symlink_to(tmp_path / "home")
    assert "is not locked" in run("unlock site/../site", exit=10).stderr
    run("unlock ./site")
    assert held(run) == []


def test_dots_after_a_link_do_not_free_another_directory(run: Run, work: Path, tmp_path: Path) -> None:
    (work / "link").symlink_to(tmp_path / "home")
    run("lock . --by ann")
    # The kernel reads it as the parent of home, plain text as the current directory.
    assert "is not locked" in run("unlock link/..", exit=10).stderr
    assert [lock["holder"] for lock in held(run)] == ["ann"]


def test_what_cannot_be_locked(run: Run, work: Path) -> None:
    (work / "file").touch()
    (work / "loop").symlink_to("loop")
    assert "No such file" in run("lock gone", exit=10).stderr
    assert "Too many levels" in run("lock loop", exit=10).stderr
    assert "not a directory" in run("lock file", exit=2).stderr
    assert "DIR is empty" in run(["lock", ""], exit=2).stderr
    assert "directory is empty" in run(["unlock", ""], exit=2).stderr
    assert run("lock gone --json", exit=10).error()["code"] == "not_found"
    assert held(run) == []


@pytest.mark.parametrize("holder", ["two\nlines", "a\tb", "\x1b[31mred", "bell\x07", "\u202eback"])
def test_a_holder_is_one_line_of_plain_text(run: Run, work: Path, holder: str) -> None:
    error = run(["lock", ".", "--by", holder, "--json"], exit=2).error()
    assert repr(holder) in error["message"]
    assert "--by" in error["hint"]
    assert held(run) == []


def test_a_holder_may_have_any_letters_and_blanks(run: Run, work: Path) -> None:
    run(["lock", ".", "--by", "Zoë  と 👩‍💻"])
    assert held(run)[0]["holder"] == "Zoë  と 👩‍💻"


def test_a_current_directory_that_is_gone(run: Run, work: Path) -> None:
    run(["lock", str(work), "--by", "ann"])
    os.rmdir(work)
    assert "No such file" in run("unlock .", exit=10).stderr
    assert "No such file" in run("lock .", exit=10).stderr
    run(["unlock", str(work)])


def test_the_table(run: Run, launch: Callable[..., str], tmp_path: Path) -> None:
    assert run("locks").stdout == ""
    session = launch()
    (tmp_path / "home" / "site").mkdir()
    run(["lock", "~/site", "--by", "ann", "--reason", "a release", "--for", "2h"])
    header, *rows = run("locks").lines
    assert header.split() == ["DIRECTORY", "HOLDER", "KIND", "REASON", "SINCE", "EXPIRES"]
    assert rows[0].split()[:5] == ["~/site", "ann", "person", "a", "release"]
    assert rows[1].split()[1:4] == [session[:8], "session", "–"]


def test_a_state_that_cannot_be_written_still_says_what_binds(
    run: Run, launch: Callable[..., str], sealed_home: Path, wait_until: WaitUntil
) -> None:
    from agentctl.store.db import connect, transaction

    session = launch()
    agent = run(f"status {session} --json").json()["sessions"][0]["pid"]
    run(["lock", str(sealed_home), "--by", "ann", "--for", "1h"])
    later = Runtime.from_environment()
    later.clock = lambda: datetime.now(UTC) + timedelta(hours=2)
    db = connect(str(sealed_home / "agentctl.db"), busy=timedelta(seconds=30))
    with transaction(db):  # somebody is in the middle of a write
        assert [lock["session_id"] for lock in held(run, obj=later)] == [session]
        os.kill(agent, signal.SIGKILL)
        wait_until(lambda: [lock["holder"] for lock in held(run)] == ["ann"])
    db.close()
    later.close()
