"""The real opencode at work: what agentctl says of it, and when.

opencode prints nothing before its model has answered, its database cannot tell a running
session from a killed one, and the JSON tree that tools used to read stays absent. So this
is where "running" must not be guessed. Each test takes the seconds that opencode needs to
start, some the time of a slow model.
"""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunReal, WaitUntil
from tests.e2e.opencode_runs import (
    PATIENCE,
    PRECISION,
    Watch,
    events,
    instant,
    launch,
    listed,
    status,
    tagged,
    when_known,
)
from tests.e2e.receiver import Receiver
from tests.fake_model import GREETING, FakeModel

pytestmark = pytest.mark.agents

SECRET = "known to both"


def assert_told_truly(told: dict[str, Any], seen: Watch) -> None:
    """Begin, end and duration of an ended session are those of its process."""
    assert seen.ended is not None
    assert instant(told["started_at"]) == pytest.approx(seen.started, abs=PRECISION)
    assert instant(told["ended_at"]) == pytest.approx(seen.ended, abs=PRECISION)
    assert told["duration_ms"] / 1000 == pytest.approx(seen.ended - seen.started, abs=PRECISION)


def assert_succeeded(told: dict[str, Any]) -> None:
    expected = {
        "status": "stopped",
        "outcome": "succeeded",
        "exit_code": 0,
        "signal": None,
        "lingering": False,
        "unsupervised": False,
        "result": GREETING,
        "turns": 1,
    }
    assert {key: told[key] for key in expected} == expected


@pytest.mark.long  # 69 s and more: only a run longer than the grace can show what happens after it
def test_more_than_a_minute_of_silence_is_running_until_it_ends(
    run_real: RunReal,
    wait_until: WaitUntil,
    opencode: Path,
    receiver: Receiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two runs whose model answers after 66 s: one has no fuse at all, one the fuse of every launch."""
    monkeypatch.setenv("AGENTCTL_WEBHOOK_URL", receiver.url)
    monkeypatch.setenv("AGENTCTL_WEBHOOK_SECRET", SECRET)
    watched: dict[str, Watch] = {}
    rules: dict[str, int] = {}
    for name, options, rule in (("alone", ["--no-fuse"], 9), ("fused", [], 7)):
        session = launch(run_real, tmp_path / name, *options, model="mock/slow66").lines[0]
        known = when_known(run_real, wait_until, session)
        watched[session], rules[session] = Watch(known["pid"]), rule
    asked = sorted(
        (seen.started + after, after, session) for session, seen in watched.items() for after in (5, 35, 65)
    )
    for moment, after, session in asked:
        until(wait_until, moment)
        told = status(run_real, session)
        assert watched[session].is_alive, "the test's own premise: the agent is still at work"
        assert (told["status"], told["outcome"], told["ended_at"]) == ("running", None, None), (after, told)
        # A busy machine asks a little late, but on the intended side of the grace.
        assert after - 1 <= told["duration_ms"] / 1000 < after + 24
        assert '{"type":' not in Path(told["log_path"]).read_text(), "opencode itself is silent"
        assert not (opencode / "storage").exists(), "there is no JSON tree to read"
        if after == 35:
            assert_stores_tell_nothing(told)
            why = run_real(["why", "--json", session]).json()
            assert (why["status"], why["rule"], why["liveness"]) == ("running", rules[session], "alive")
            assert [one["id"] for one in listed(run_real)].count(session) == 1
    for session, seen in watched.items():
        until_over(wait_until, session, seen)
        told = status(run_real, session)
        assert_succeeded(told)
        assert_told_truly(told, seen)
        assert [event["type"] for event in events(run_real, session)] == [
            "session.started",
            "session.stopped",
        ]
        assert_posted_once(run_real, receiver, told)


def until(wait_until: WaitUntil, moment: float) -> None:
    wait_until(lambda: time.time() >= moment, timeout=75)


def until_over(wait_until: WaitUntil, session: str, seen: Watch) -> None:
    """Until the agent has gone, and then its shim: that has recorded the end and delivered the webhook."""
    wait_until(lambda: seen.ended is not None, timeout=PATIENCE)
    wait_until(lambda: not tagged(session), timeout=PATIENCE)


def assert_stores_tell_nothing(told: dict[str, Any]) -> None:
    """opencode's own listing shows that there is a session, and nothing of what it does."""
    command = ["opencode", "session", "list", "--format", "json"]
    done = subprocess.run(
        command, cwd=told["cwd"], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    entries = {entry["id"]: entry for entry in json.loads(done.stdout)}
    assert set(entries[told["native_id"]]) == {"id", "title", "updated", "created", "projectId", "directory"}


def assert_posted_once(run_real: RunReal, receiver: Receiver, told: dict[str, Any]) -> None:
    """The shim's last call has delivered it, and no later round of upkeep does so again."""
    run_real("reap")
    (post,) = receiver.posts(session_id=told["id"], hook_type="session.stopped")
    assert post.is_signed_with(SECRET)
    body = post.body
    expected = {
        "hook_type": "session.stopped",
        "session_id": told["id"],
        "cwd": told["cwd"],
        "adapter": "opencode",
        "exit_status": 0,
        "outcome": "succeeded",
        "reason": told["reason"],
        "summary": GREETING,
    }
    assert {key: body[key] for key in expected} == expected
    assert body["duration_seconds"] * 1000 == pytest.approx(told["duration_ms"], abs=2)
    assert body["meta"]["model"] == "mock/slow66"
    assert instant(body["timestamp"]) == pytest.approx(instant(told["ended_at"]), abs=5)
    assert post.headers["idempotency-key"] == body["event_id"]


@pytest.mark.parametrize("fuse", [["--no-fuse"], ["--fuse", "1h"], []], ids=["no-fuse", "fuse", "default"])
def test_a_short_run_is_running_and_then_stopped(
    run_real: RunReal, wait_until: WaitUntil, opencode: Path, tmp_path: Path, fuse: list[str]
) -> None:
    before = time.time()
    launched = launch(run_real, tmp_path / "project", *fuse, model="mock/slow5")
    (session,) = launched.lines
    known = when_known(run_real, wait_until, session)
    seen = Watch(known["pid"])
    assert before - 0.1 <= instant(known["started_at"]) <= time.time()
    assert [one["pid"] for one in listed(run_real) if one["id"] == session] == [known["pid"]]
    waited = run_real(["wait", session], timeout=PATIENCE)
    assert (waited.stdout, "succeeded" in waited.stderr) == ("", True)
    told = status(run_real, session)
    assert_succeeded(told)
    wait_until(lambda: seen.ended is not None)
    assert_told_truly(told, seen)
    assert told["native_id"] == known["native_id"]
    assert told["tokens"] == {"input": 10, "output": 3, "cache_read": 0, "cache_write": 0}
    assert (told["fuse"] or {}).get("state") == (None if fuse == ["--no-fuse"] else "cancelled")
    assert listed(run_real) == [], "an ended session is in `list -a` only"


def test_wait_gives_up_without_harm(
    run_real: RunReal, wait_until: WaitUntil, opencode: Path, tmp_path: Path
) -> None:
    session = launch(run_real, tmp_path / "project", model="mock/slow5").lines[0]
    run_real(["wait", "--timeout", "1s", session], exit=124)
    assert status(run_real, session)["status"] == "running"
    run_real(["wait", session], timeout=PATIENCE)


def test_launch_can_wait_for_the_end(run_real: RunReal, opencode: Path, tmp_path: Path) -> None:
    launched = launch(run_real, tmp_path / "project", "--wait", model="mock/slow2")
    (session,) = launched.lines
    assert "succeeded" in launched.stderr
    assert_succeeded(status(run_real, session))
    assert run_real(["peek", session]).stdout.strip() == GREETING


def test_two_at_once_do_not_mix(run_real: RunReal, opencode: Path, tmp_path: Path) -> None:
    """Both begin in the same second; the first run before them has made the database."""
    launch(run_real, tmp_path / "first", "--wait")
    prompts = {"left": "turn left", "right": "turn right"}
    with ThreadPoolExecutor() as pool:
        waiting = {
            name: pool.submit(
                launch,
                run_real,
                tmp_path / name,
                "--settle",
                "10s",
                "--wait",
                model="mock/echo",
                prompt=prompt,
            )
            for name, prompt in prompts.items()
        }
    told = {name: status(run_real, launched.result().lines[0]) for name, launched in waiting.items()}
    for name, prompt in prompts.items():
        assert (told[name]["outcome"], told[name]["result"]) == ("succeeded", f"user message 1: {prompt}")
        assert told[name]["cwd"] == str(tmp_path / name)
    assert told["left"]["native_id"] != told["right"]["native_id"]


@pytest.mark.parametrize(
    "prompt",
    ["line of a long prompt, ünïcode\n" * 6250, "--help me\n- with a list\n", '-p "quoted" $HOME `id`'],
    ids=["200 KB", "dashes", "quotes"],
)
def test_a_prompt_arrives_as_it_was_given(
    run_real: RunReal, opencode: Path, model: FakeModel, tmp_path: Path, prompt: str
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    words = ["launch", "opencode", "--cwd", str(project), "--model", "mock/mock", "--wait", "-"]
    run_real(words, input=prompt, timeout=PATIENCE)
    (request,) = model.requests
    (message,) = [one for one in request.body["messages"] if one["role"] == "user"]
    content = message["content"]
    text = content if isinstance(content, str) else "".join(part["text"] for part in content)
    assert text.strip() == prompt.strip()
    told = listed(run_real, "-a")[0]
    assert told["prompt"].startswith(prompt[:8])


def test_a_prompt_option_may_begin_with_a_dash(run_real: RunReal, opencode: Path, tmp_path: Path) -> None:
    session = launch(run_real, tmp_path / "project", "--wait", model="mock/echo", prompt="-n is what?").lines[
        0
    ]
    assert status(run_real, session)["result"] == "user message 1: -n is what?"
