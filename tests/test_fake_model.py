"""The fake model speaks as a real server does, and ends when it is told to."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fake_model import DONE, GREETING, TITLE, FakeModel, serve


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with serve() as running:
        yield running


def ask(url: str, name: str, *messages: dict[str, Any], path: str = "/v1/chat/completions") -> str:
    body = json.dumps({"model": name, "stream": True, "messages": messages}).encode()
    request = urllib.request.Request(url + path, data=body, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def chunks(answer: str) -> list[dict[str, Any]]:
    events = [line.removeprefix("data: ") for line in answer.splitlines() if line]
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


def said(answer: str) -> str:
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks(answer))


def user(text: object) -> dict[str, Any]:
    return {"role": "user", "content": text}


def test_the_last_chunk_ends_the_answer(model: FakeModel) -> None:
    found = chunks(ask(model.url, "mock", user("Hi")))
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in found) == GREETING
    assert [chunk["choices"][0]["finish_reason"] for chunk in found] == [None, "stop"]
    assert found[-1]["usage"] == {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}


def test_a_tool_is_called_once(model: FakeModel) -> None:
    found = chunks(ask(model.url, "tool-bash-2.5", user("Sleep")))
    (call,) = [call for chunk in found for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert call["function"]["name"] == "bash"
    assert json.loads(call["function"]["arguments"])["command"] == "sleep 2.5"
    assert found[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert said(ask(model.url, "tool-bash-2.5", user("Sleep"), {"role": "tool", "content": ""})) == DONE


def test_echo_proves_that_a_conversation_went_on(model: FakeModel) -> None:
    first, second = user("first"), user([{"type": "text", "text": "second"}])
    assert said(ask(model.url, "echo", first, second)) == "user message 2: second"


def test_a_title_is_not_the_answer(model: FakeModel) -> None:
    system = {"role": "system", "content": "You are a title generator. Be brief."}
    assert said(ask(model.url, "slow60", system, user("Hi"))) == TITLE


def test_failures_carry_status_and_message(model: FakeModel) -> None:
    for name, path, status in [("http429", "/v1/chat/completions", 429), ("mock", "/v1/other", 404)]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(model.url, name, user("Hi"), path=path)
        with caught.value as answer:
            assert answer.code == status
            assert json.load(answer)["error"]["code"] == status


def test_requests_are_kept(model: FakeModel) -> None:
    ask(model.url, "mock", user("Hi"))
    ask(model.url, "echo", user("Ho"))
    assert [request.model for request in model.requests] == ["mock", "echo"]
    assert model.requests[1].path == "/v1/chat/completions"


def test_closing_ends_a_wait() -> None:
    with serve() as other:
        ended = threading.Event()

        def wait_for_ever() -> None:
            with pytest.raises(OSError, match="closed connection"):
                ask(other.url, "slow3600", user("Hi"))
            ended.set()

        threading.Thread(target=wait_for_ever, daemon=True).start()
        while not other.requests:
            assert not ended.wait(0.01)
    assert ended.wait(10)
