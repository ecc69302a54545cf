"""Anthropic Messages: POST …/v1/messages, answered as server-sent events.

The tools are Claude Code's own: `Bash` and `Write`.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from tests.dialects.words import Dialect, Reply, Turn, plain_text

USAGE = {
    "input_tokens": 10,
    "output_tokens": 3,
    "cache_creation_input_tokens": 2,
    "cache_read_input_tokens": 1,
}


def read_messages(body: Mapping[str, Any]) -> Turn:
    messages = [message for message in body.get("messages", []) if isinstance(message, dict)]
    texts = [said for m in messages if m.get("role") == "user" and (said := _said(m.get("content")))]
    return Turn(
        model=str(body.get("model", "")),
        user_texts=tuple(texts),
        after_tool=bool(messages) and _answers_tool(messages[-1].get("content")),
        wants_title="Generate a concise, sentence-case title" in plain_text(body.get("system")),
    )


def _said(content: object) -> str:
    """What a person said in a message: without the reminders that Claude Code puts around it."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts = (str(p.get("text", "")) for p in parts if isinstance(p, dict) and p.get("type") == "text")
    kept = (re.sub(r"<system-reminder>.*?</system-reminder>", "", text, flags=re.DOTALL) for text in texts)
    return "".join(kept).strip()


def _answers_tool(content: object) -> bool:
    parts = content if isinstance(content, list) else []
    return any(isinstance(part, dict) and part.get("type") == "tool_result" for part in parts)


def write_messages(turn: Turn, reply: Reply) -> Iterator[str]:
    """The events of the answer. The counts of `message_delta` are of the whole message."""
    start = {
        "id": f"msg_{uuid.uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": turn.model,
    }
    counts = {**USAGE, "output_tokens": 1}
    empty: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": counts}
    yield _event("message_start", message={**start, **empty})
    blocks: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"type": "text", "text": ""}, {"type": "text_delta", "text": reply.text})
    ]
    if reply.tool:
        name, given = claude_tool(reply.tool, reply.arguments)
        call = {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:24]}", "name": name, "input": {}}
        blocks.append((call, {"type": "input_json_delta", "partial_json": json.dumps(given)}))
    for index, (block, delta) in enumerate(blocks):
        yield _event("content_block_start", index=index, content_block=block)
        yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    reason = "tool_use" if reply.tool else "end_turn"
    yield _event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=USAGE)
    yield _event("message_stop")


def claude_tool(name: str, arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A call in the words of Claude Code's tools. Its Bash refuses a `sleep` that stands alone."""
    if name == "bash":
        command = re.sub(
            r"^sleep ([0-9.]+)$", r'python3 -c "import time; time.sleep(\1)"', str(arguments["command"])
        )
        return "Bash", {"command": command, "description": arguments["description"]}
    return "Write", {"file_path": arguments["filePath"], "content": arguments["content"]}


def _event(kind: str, **data: object) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n"


ANTHROPIC = Dialect("/v1/messages", read_messages, write_messages)
