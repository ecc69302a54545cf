"""What a receiver of the TypeScript agentctl makes of the posts of real sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import vanish
from tests.e2e.receiver import Receiver, receive


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receive() as running:
        monkeypatch.setenv("AGENTCTL_WEBHOOK_URL", running.url)
        monkeypatch.setenv("no_proxy", "*")
        yield running


def ends(receiver: Receiver) -> list[tuple[str | None, str]]:
    """Each end that it hears of: the session, and how it went. Every post but a start is one."""
    heard = []
    for body in (post.body for post in receiver.everything()):
        if body["hook_type"] == "start":
            continue
        status = body["exit_status"]
        success = "success" if status in (0, None) else "cancelled" if status > 128 else "failure"
        heard.append((body.get("session_id"), success))
    return heard


def launched(run: Run, *words: str) -> str:
    return run(["launch", "exec", "--settle", "0", *words]).stdout.strip()


def test_each_session_ends_once_and_only_a_success_is_one(
    run: Run, receiver: Receiver, wait_until: WaitUntil, tmp_path: Path, sealed_home: Path
) -> None:
    def begin(name: str, *words: str) -> str:
        (tmp_path / name).mkdir()
        return launched(run, "--cwd", str(tmp_path / name), *words)

    good = begin("good", "--", "true")
    bad = begin("bad", "--", "sh", "-c", "exit 3")
    late = begin("late", "--fuse", "100ms", "--", "sleep", "60")
    stopped = begin("stopped", "--", "sleep", "60")
    lost = begin("lost", "--", "sleep", "60")
    run(["stop", stopped])
    vanish(lost)

    def all_are_told() -> bool:
        run("reap", exit=None)
        return len(ends(receiver)) >= 5

    wait_until(all_are_told)
    run("reap")
    expected = {good: "success", bad: "failure", late: "failure", stopped: "cancelled", lost: "failure"}
    heard = ends(receiver)
    # The agent of `late` may leave with 143, which reads as cancelled: the receiver knows no time-outs.
    told = {who: "failure" if who == late and how == "cancelled" else how for who, how in heard}
    assert (len(heard), told) == (5, expected)
    outcomes = {post.body["session_id"]: post.body["outcome"] for post in receiver.everything()}
    assert outcomes == {
        good: "succeeded",
        bad: "failed",
        late: "timed_out",
        stopped: "cancelled",
        lost: "lost",
    }


def test_a_start_that_was_asked_for_is_no_end(run: Run, receiver: Receiver, wait_until: WaitUntil) -> None:
    run("config set webhook.events session.started ending")
    session = launched(run, "--", "true")

    def kinds() -> list[str]:
        return sorted(post.body["hook_type"] for post in receiver.everything())

    wait_until(lambda: kinds() == ["session.stopped", "start"])
    assert ends(receiver) == [(session, "success")]


def test_a_fuse_is_posted_to_its_own_address_alone(
    run: Run, receiver: Receiver, wait_until: WaitUntil
) -> None:
    with receive() as own:
        run(["fuse", "set", ".", "--for", "10ms", "--url", own.url])

        def expired() -> list[dict[str, Any]]:
            run("reap")
            return [post.body for post in own.everything()]

        (body,) = wait_until(expired)
    assert (body["hook_type"], body["event"], body["exit_status"]) == ("fuse.expired", "fuse.expired", 1)
    assert receiver.everything() == []


def test_a_change_of_what_is_posted_is_told_once(run: Run, receiver: Receiver) -> None:
    assert "only the ends of sessions are posted" in run("doctor", exit=None).stdout
    assert "webhook.events is not set" in run("reap --quiet").stderr
    assert "webhook.events" not in run("reap").stderr


def test_nothing_is_told_to_who_has_chosen_or_has_no_address(
    run: Run, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("config set webhook.events ending")
    assert "webhook.events" not in run("reap").stderr + run("doctor", exit=None).stdout
    run("config unset webhook.events")
    monkeypatch.delenv("AGENTCTL_WEBHOOK_URL")
    assert "webhook.events" not in run("reap").stderr + run("doctor", exit=None).stdout
