"""Addresses and secrets of the environment: never stored or shown, and posted to by whoever has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentctl.core.ledger import Delivery, DeliveryState
from agentctl.core.model import Held
from agentctl.host import flock, waiting
from agentctl.runtime import Runtime
from agentctl.store import outbox
from agentctl.store.db import reading
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import vanish
from tests.e2e.receiver import Post, Receiver, receive

SECRETS = ("PASSW0RD", "TOKENTOKEN", "QUERYKEY", "HMACSECRET")
SECRET_URL = "http://bot:PASSW0RD@127.0.0.1:9/services/TOKENTOKEN?key=QUERYKEY"


def endings(runtime: Runtime) -> list[Delivery]:
    with reading(runtime.state):
        return [row for row in outbox.list_all(runtime.state) if row.name == "session.stopped"]


def posts(receiver: Receiver, session_id: str) -> list[Post]:
    """What was posted of the session's end."""
    kinds = ("session.stopped", "session.error")
    return [post for kind in kinds for post in receiver.posts(session_id=session_id, hook_type=kind)]


def launch(run: Run, cwd: Path, **environ: str) -> str:
    cwd.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environ.items():
            patched.setenv(name, value)
        started: str = run(f"launch exec --settle 0 --cwd {cwd} -- sleep 300").stdout.strip()
    # The deliverer that the launch started has the values, and must not be there any more.
    lock = Path(os.environ["AGENTCTL_HOME"]) / "deliver.lock"
    assert waiting.poll(lambda: flock.probe(str(lock)) is not Held.YES and not pending(run), timeout=10)
    return started


def pending(run: Run) -> bool:
    return any(row["state"] == "pending" for row in run("hooks list --json").json()["deliveries"])


def test_no_file_of_the_state_and_no_answer_has_a_secret_of_the_environment(
    run: Run, runtime: Runtime, sealed_home: Path, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setenv("AGENTCTL_WEBHOOK_URL", SECRET_URL)
    monkeypatch.setenv("AGENTCTL_WEBHOOK_SECRET", "HMACSECRET")
    session_id = run("launch exec --settle 0 -- true").stdout.strip()
    run(f"fuse set --dir {sealed_home} --in 1h --action webhook", exit=None)
    wait_until(lambda: [row for row in endings(runtime) if row.last_error])
    told = "".join(
        outcome.stdout + outcome.stderr
        for words in (
            "hooks list",
            "hooks list --json",
            "fuses --json",
            "events --json",
            "config show",
            "doctor",
        )
        for outcome in [run(words, exit=None)]
    )
    assert "as configured http://127.0.0.1:9" in told
    files = [path for path in sealed_home.rglob("*") if path.is_file()]
    assert sealed_home / "agentctl.db" in files
    kept = b"".join(path.read_bytes() for path in files).decode("utf-8", "replace")
    assert session_id in kept
    assert [secret for secret in SECRETS if secret in told or secret in kept] == []


def test_an_address_of_the_configuration_file_is_not_copied_into_the_database(
    run: Run, runtime: Runtime, sealed_home: Path, wait_until: WaitUntil
) -> None:
    run(["config", "set", "webhook.url", SECRET_URL])
    run("launch exec --settle 0 -- true")
    wait_until(lambda: [row for row in endings(runtime) if row.last_error])
    kept = b"".join(path.read_bytes() for path in sealed_home.glob("agentctl.db*"))
    assert b"TOKENTOKEN" not in kept
    assert b"PASSW0RD" not in kept


def test_an_ending_that_others_record_waits_for_who_has_the_address_and_the_secret(
    run: Run, runtime: Runtime, sealed_home: Path, tmp_path: Path, receiver: Receiver, wait_until: WaitUntil
) -> None:
    wished = {"AGENTCTL_WEBHOOK_URL": receiver.url, "AGENTCTL_WEBHOOK_SECRET": "right"}
    session_id = launch(run, tmp_path / "a", **wished)
    vanish(session_id)
    run("reap", exit=None)
    (parked,) = endings_or_errors(runtime, session_id)
    assert (parked.state, parked.attempts) == (DeliveryState.WAITING, 0)
    assert "AGENTCTL_WEBHOOK_URL" in (parked.last_error or "")
    assert "waiting" in run("hooks list").stdout
    assert "not posted yet" in run("doctor", exit=None).stdout

    for wrong in ({"AGENTCTL_WEBHOOK_URL": receiver.url}, {**wished, "AGENTCTL_WEBHOOK_SECRET": "wrong"}):
        with pytest.MonkeyPatch.context() as patched:
            for name, value in wrong.items():
                patched.setenv(name, value)
            run("reap")
        assert endings_or_errors(runtime, session_id)[0].state is DeliveryState.WAITING
    assert posts(receiver, session_id) == []

    with pytest.MonkeyPatch.context() as patched:
        for name, value in wished.items():
            patched.setenv(name, value)
        run("list")  # starts a deliverer, which has the same environment
        wait_until(lambda: endings_or_errors(runtime, session_id)[0].state is DeliveryState.DONE)
    assert [post.is_signed_with("right") for post in posts(receiver, session_id)] == [True]
    assert endings_or_errors(runtime, session_id)[0].attempts == 1


def endings_or_errors(runtime: Runtime, session_id: str) -> list[Delivery]:
    with reading(runtime.state):
        rows = outbox.list_all(runtime.state, session_id=session_id)
    return [row for row in rows if row.name != "session.started"]


def test_neither_address_nor_secret_of_the_one_who_records_the_end_counts(
    run: Run, runtime: Runtime, sealed_home: Path, tmp_path: Path, receiver: Receiver
) -> None:
    run(["config", "set", "webhook.url", receiver.url])
    with receive() as elsewhere:
        session_id = launch(run, tmp_path / "a")
        vanish(session_id)
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("AGENTCTL_WEBHOOK_URL", elsewhere.url)
            patched.setenv("AGENTCTL_WEBHOOK_SECRET", "mine")
            run("reap", exit=None)
        assert posts(elsewhere, session_id) == []
    (row,) = endings_or_errors(runtime, session_id)
    assert row.state is DeliveryState.DONE
    (post,) = posts(receiver, session_id)
    assert "x-agentctl-signature" not in post.headers


def test_a_post_that_has_to_be_signed_is_not_made_unsigned(
    run: Run, runtime: Runtime, sealed_home: Path, tmp_path: Path, receiver: Receiver
) -> None:
    run(["config", "set", "webhook.url", receiver.url])
    session_id = launch(run, tmp_path / "a", AGENTCTL_WEBHOOK_SECRET="s")
    vanish(session_id)
    run("reap", exit=None)
    (row,) = endings_or_errors(runtime, session_id)
    assert row.state is DeliveryState.WAITING
    assert "AGENTCTL_WEBHOOK_SECRET" in (row.last_error or "")
    run(["config", "set", "webhook.secret", "s"])
    run("reap")
    assert endings_or_errors(runtime, session_id)[0].state is DeliveryState.DONE
    assert [post.is_signed_with("s") for post in posts(receiver, session_id)] == [True]
