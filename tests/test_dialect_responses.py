"""The fake model in the words of OpenAI's responses, as codex asks for them."""

from __future__ import annotations

import json
import shlex
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_model import DONE, GREETING, FakeModel, serve


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with serve() as running:
        yield running


def ask(url: str, name: str, *items: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The events of the answer: the name that each line says, and what it holds."""
    body = json.dumps({"model": name, "stream": True, "input": items}).encode()
    request = urllib.request.Request(f"{url}/v1/responses", data=body)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        blocks = answer.read().decode().strip().split("\n\n")
    pairs = [block.split("\n") for block in blocks]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in pairs]


def user(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def done(events: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [data["item"] for name, data in events if name == "response.output_item.done"]


def said(events: list[tuple[str, dict[str, Any]]]) -> str:
    messages = [item for item in done(events) if item["type"] == "message"]
    return "".join(part["text"] for item in messages for part in item["content"])


def test_an_answer_begins_and_is_completed(model: FakeModel) -> None:
    events = ask(model.url, "mock", user("Hi"))
    assert [name for name, _ in events] == [data["type"] for _, data in events]
    assert (events[0][0], events[-1][0]) == ("response.created", "response.completed")
    response = events[-1][1]["response"]
    assert (response["model"], response["status"]) == ("mock", "completed")
    assert response["output"] == done(events)
    counts = [response["usage"][name] for name in ("input_tokens", "output_tokens", "total_tokens")]
    assert counts == [10, 3, 13]
    assert said(events) == GREETING


def test_a_tool_is_a_command_and_called_once(model: FakeModel) -> None:
    message, call = done(ask(model.url, "tool-bash-2.5", user("Sleep")))
    assert (message["type"], call["type"], call["name"]) == ("message", "function_call", "exec_command")
    assert json.loads(call["arguments"])["cmd"] == "sleep 2.5"
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "ok"}
    assert said(ask(model.url, "tool-bash-2.5", user("Sleep"), call, output)) == DONE
    again = [user("Sleep"), call, output, user("Sleep again")]
    assert len(done(ask(model.url, "tool-bash-2.5", *again))) == 2


def test_the_command_that_writes_a_file_writes_it(model: FakeModel, tmp_path: Path) -> None:
    _, call = done(ask(model.url, "tool-write", user("Write")))
    command = json.loads(call["arguments"])["cmd"]
    assert shlex.split(command)[0] == "printf"
    subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, check=True, timeout=10)
    assert (tmp_path / "hello.txt").read_text() == "hi\n"


def test_what_the_agent_puts_into_the_users_role_is_no_word_of_the_user(model: FakeModel) -> None:
    context = user("<environment_context>\n  <cwd>/srv</cwd>\n</environment_context>")
    aborted = user("<turn_aborted>\nThe user interrupted the previous turn.\n</turn_aborted>")
    events = ask(model.url, "echo", context, user("first"), aborted, user("second"))
    assert said(events) == "user message 2: second"


def test_failures_carry_status_and_message(model: FakeModel) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(model.url, "http401", user("Hi"))
    with caught.value as answer:
        assert answer.code == 401
        assert json.load(answer)["error"]["message"] == "the fake model says 401"
