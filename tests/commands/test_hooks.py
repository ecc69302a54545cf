"""`agentctl hooks`: listing deliveries, and trying failed ones again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentctl.core.ledger import Delivery, DeliveryKind
from agentctl.host.clock import utcnow
from agentctl.store import db as store
from agentctl.store import outbox

Run = Callable[..., Any]
Wait = Callable[..., Any]

FLAKY = "'echo \"tried in $PWD\"; test -e mended'"


@pytest.fixture
def failed(run: Run, tmp_path: Path, wait_until: Wait) -> str:
    """A session whose hook has failed, really."""
    session_id: str = run(f"launch exec --cwd {tmp_path} --on-complete {FLAKY} -- true").stdout.strip()
    wait_until(lambda: run("hooks list --failed").stdout)
    return session_id


def rows(run: Run, words: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run(f"hooks list --json {words}").json()["deliveries"]
    return found


def test_nothing_to_list(run: Run) -> None:
    assert run("hooks list").stdout == ""
    assert rows(run) == []


def test_a_failed_hook_is_listed_with_its_error_and_output(run: Run, failed: str, tmp_path: Path) -> None:
    (row,) = rows(run, failed[:8])
    assert (row["kind"], row["name"], row["session_id"], row["state"]) == (
        "hook",
        "on_complete",
        failed,
        "failed",
    )
    assert (row["attempts"], row["last_error"], row["output"]) == (1, "exit 1", f"tried in {tmp_path}\n")
    assert "tried in" not in run("hooks list").stdout.replace('echo "tried in', "")
    assert (
        f"on_complete (delivery {row['id']}) printed:\ntried in {tmp_path}\n"
        in run(f"hooks list {failed}").stdout
    )
    assert run("hooks list nobody", exit=10).stdout == ""


def test_failed_ones_alone(run: Run, failed: str, tmp_path: Path, wait_until: Wait) -> None:
    run("launch exec --force --on-complete true -- true")
    wait_until(lambda: "done" in [row["state"] for row in rows(run)])
    assert [row["session_id"] for row in rows(run, "--failed")] == [failed]


def test_retry_fails_again_and_then_succeeds(run: Run, failed: str, tmp_path: Path) -> None:
    number = rows(run)[0]["id"]
    again = run(f"hooks retry {number}", exit=1)
    assert f"delivery {number} (hook on_complete) failed again: exit 1" in again.stderr
    assert rows(run)[0]["attempts"] == 2
    (tmp_path / "mended").touch()
    assert f"delivery {number} has arrived" in run(f"hooks retry {number}").stderr
    assert (rows(run)[0]["state"], rows(run)[0]["attempts"]) == ("done", 3)
    assert "has already arrived" in run(f"hooks retry {number}").stderr
    assert rows(run)[0]["attempts"] == 3


def test_retry_all_in_json(run: Run, failed: str, tmp_path: Path) -> None:
    number = rows(run)[0]["id"]
    told = run("hooks retry --all --json", exit=1).json()
    assert [one["id"] for one in told["failed"]] == [number]
    (tmp_path / "mended").touch()
    told = run("hooks retry --all --json").json()
    assert (told["delivered"], told["failed"]) == ([number], [])
    assert run("hooks retry --all --json").json()["delivered"] == []


def test_one_that_another_process_is_delivering_is_left_to_it(
    run: Run, failed: str, sealed_home: Path
) -> None:
    number = rows(run)[0]["id"]
    db = store.connect(str(sealed_home / "agentctl.db"), busy=timedelta(seconds=5))
    now = utcnow()
    with store.transaction(db):
        outbox.retry(db, number, now)
        assert outbox.claim(db, number, now=now, until=now + timedelta(minutes=5)) is not None
    db.close()
    assert "being made by another process" in run(f"hooks retry {number}").stderr
    assert rows(run)[0]["attempts"] == 2


def test_what_is_to_be_retried_must_be_said_and_exist(run: Run, failed: str) -> None:
    run("hooks retry", exit=2)
    run("hooks retry 1 --all", exit=2)
    assert run("hooks retry 999 --json", exit=10).error()["message"] == "no delivery 999"
    assert rows(run)[0]["attempts"] == 1


def test_numbers_and_all_exclude_each_other_and_one_must_be_given(run: Run) -> None:
    both = run("hooks retry --all 5", exit=2).stderr
    assert "give delivery numbers or --all, not both" in both
    neither = run("hooks retry", exit=2).stderr
    assert "give delivery numbers (see `agentctl hooks list`), or --all" in neither


def test_a_reap_whose_deliveries_fail_is_partly_done(run: Run, sealed_home: Path) -> None:
    sealed_home.mkdir(mode=0o700)
    db = store.connect(str(sealed_home / "agentctl.db"), busy=timedelta(seconds=5))
    with store.transaction(db):
        outbox.enqueue(
            db,
            Delivery(
                kind=DeliveryKind.HOOK,
                name="on_complete",
                target="exit 5",
                event_id="key",
                payload={"cwd": "/", "env": {}},
                created_at=utcnow(),
                session_id=None,
            ),
        )
    db.close()
    outcome = run("reap --quiet --json", exit=3)
    assert (outcome.json()["failed"], outcome.error()["code"]) == (1, "partly_done")
    assert outcome.error()["message"] == "1 deliveries of hooks or webhooks failed"
    assert "agentctl hooks" in outcome.error()["hint"]
    assert run("reap --quiet").stderr == ""


def test_credentials_in_an_address_are_not_shown(run: Run, sealed_home: Path, wait_until: Wait) -> None:
    sealed_home.mkdir(parents=True, exist_ok=True)
    url = "http://me:hunter2@127.0.0.1:1/in?token=hunter3"
    (sealed_home / "config.toml").write_text(f'[webhook]\nurl = "{url}"\n')
    run("launch exec -- true")
    wait_until(lambda: [row for row in rows(run) if row["last_error"]])
    shown = [
        run(f"{words}{json}").stdout for words in ("hooks list", "config show") for json in ("", " --json")
    ]
    assert all("http://127.0.0.1:1" in text for text in shown)
    assert not any("hunter" in text for text in shown)
    assert run("config get webhook.url").stdout == f"{url}\n"
