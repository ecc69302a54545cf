"""OpenAI chat completions: POST …/chat/completions, answered as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.dialects.words import Dialect, Reply, Turn, in_gemini_words, plain_text


def read_chat(body: Mapping[str, Any]) -> Turn:
    messages = [message for message in body.get("messages", []) if isinstance(message, dict)]
    system = " ".join(plain_text(m.get("content")) for m in messages if m.get("role") == "system")
    return Turn(
        model=str(body.get("model", "")),
        user_texts=tuple(plain_text(m.get("content")) for m in messages if m.get("role") == "user"),
        after_tool=bool(messages) and messages[-1].get("role") == "tool",
        wants_title="You are a title generator" in system,
        tools=frozenset(str(tool.get("function", {}).get("name")) for tool in body.get("tools") or []),
    )


def write_chat(turn: Turn, reply: Reply) -> Iterator[str]:
    """The events of the answer. Without `finish_reason` in the last one an agent asks again for ever."""
    if "run_shell_command" in turn.tools:
        reply = in_gemini_words(reply)
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": reply.text}]
    if reply.tool:
        call = {"name": reply.tool, "arguments": json.dumps(reply.arguments)}
        deltas.append({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": call}]})
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls" if reply.tool else "stop"})
    for choice in choices:
        chunk: dict[str, Any] = {
            "id": "chat_1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": turn.model,
        }
        if choice["finish_reason"]:
            chunk["usage"] = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
        yield f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n"
    yield "data: [DONE]\n\n"


CHAT = Dialect("/chat/completions", read_chat, write_chat)
