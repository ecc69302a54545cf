"""The fake model's Anthropic dialect: what claude and other clients of that API get from it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fake_model import DONE, GREETING, FakeModel, serve


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with serve() as running:
        yield running


def ask(url: str, name: str, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of the answer, each checked to be called what its data says."""
    body = json.dumps({"model": name, "stream": True, "messages": messages}).encode()
    request = urllib.request.Request(
        f"{url}/v1/messages?beta=true", data=body, headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        text: str = answer.read().decode()
    found = []
    for event in text.strip().split("\n\n"):
        kind, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert kind == f"event: {found[-1]['type']}"
    return found


def said(events: list[dict[str, Any]]) -> str:
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    return "".join(delta.get("text", "") for delta in deltas)


def called(events: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Name and arguments of the one tool call."""
    (block,) = [
        event["content_block"]
        for event in events
        if event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use"
    ]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    return block["name"], json.loads("".join(delta.get("partial_json", "") for delta in deltas))


def user(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def test_an_answer_is_a_whole_message(model: FakeModel) -> None:
    events = ask(model.url, "mock", user("Hi"))
    kinds = [event["type"] for event in events]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert kinds == ["message_start", *block, "message_delta", "message_stop"]
    assert said(events) == GREETING
    assert events[-2]["delta"]["stop_reason"] == "end_turn"
    assert (events[-2]["usage"]["input_tokens"], events[-2]["usage"]["output_tokens"]) == (10, 3)


def test_every_message_has_an_id_of_its_own(model: FakeModel) -> None:
    """claude counts the tokens of a message once, however many lines it has."""
    ids = {ask(model.url, "mock", user("Hi"))[0]["message"]["id"] for _ in range(5)}
    assert len(ids) == 5


def test_tools_are_claudes_and_are_called_once(model: FakeModel) -> None:
    events = ask(model.url, "tool-bash-2.5", user("Wait"))
    name, given = called(events)
    assert (name, given["command"]) == ("Bash", 'python3 -c "import time; time.sleep(2.5)"')
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    answer = user([{"type": "tool_result", "tool_use_id": "toolu_1", "content": ""}, text("Go on.")])
    assert said(ask(model.url, "tool-bash-2.5", user("Wait"), answer)) == DONE
    assert called(ask(model.url, "tool-write", user("Write"))) == (
        "Write",
        {"file_path": "hello.txt", "content": "hi\n"},
    )


def test_echo_counts_what_people_said(model: FakeModel) -> None:
    reminder = text("<system-reminder>\nToday is Monday.\n</system-reminder>\n")
    answer = user([{"type": "tool_result", "tool_use_id": "toolu_1", "content": "text"}])
    messages = [user("first"), answer, user([reminder, text("second\n")])]
    assert said(ask(model.url, "echo", *messages)) == "user message 2: second"


def test_failures_carry_status_and_message(model: FakeModel) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(model.url, "http529", user("Hi"))
    with caught.value as answer:
        assert answer.code == 529
        assert json.load(answer)["error"]["message"] == "the fake model says 529"
