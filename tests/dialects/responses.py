"""OpenAI responses: POST …/responses, answered as server-sent events."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from tests.dialects.words import Dialect, Reply, Turn, plain_text

USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 13,
}
"""What each answer is said to have cost."""

YIELD_MS = 30_000
"""How long codex waits for a command before it asks the model again."""

CONTEXT = ("<environment_context>", "<turn_aborted>", "<user_instructions>")
"""How messages begin that the agent, not its user, puts into the user's role."""


def read_responses(body: Mapping[str, Any]) -> Turn:
    items = [item for item in body.get("input", []) if isinstance(item, dict)]
    texts = [plain_text(item.get("content")) for item in items if item.get("role") == "user"]
    last = items[-1] if items else {}
    return Turn(
        model=str(body.get("model", "")),
        user_texts=tuple(text for text in texts if not text.startswith(CONTEXT)),
        after_tool=str(last.get("type", "")).endswith("_call_output"),
    )


def write_responses(turn: Turn, reply: Reply) -> Iterator[str]:
    """The events of the answer. Without `response.completed` an agent takes the stream for cut off."""
    response = {"id": "resp_1", "object": "response", "model": turn.model, "created_at": 1}
    yield _event("response.created", response={**response, "status": "in_progress"})
    items = [_message(reply.text), *([_call(reply)] if reply.tool else [])]
    for index, item in enumerate(items):
        yield _event("response.output_item.added", output_index=index, item={**item, "status": "in_progress"})
        yield _event("response.output_item.done", output_index=index, item=item)
    yield _event(
        "response.completed",
        response={**response, "status": "completed", "output": items, "usage": USAGE},
    )


def _message(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": content,
    }


def _call(reply: Reply) -> dict[str, Any]:
    """The tool of other agents in codex's words: everything is a command of the shell."""
    arguments = {"cmd": _command(reply), "login": False, "yield_time_ms": YIELD_MS}
    return {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "exec_command",
        "status": "completed",
        "arguments": json.dumps(arguments),
    }


def _command(reply: Reply) -> str:
    if reply.tool == "bash":
        return str(reply.arguments["command"])
    if reply.tool == "write":
        content, path = (str(reply.arguments[key]) for key in ("content", "filePath"))
        return f"printf %s {shlex.quote(content)} > {shlex.quote(path)}"
    raise ValueError(f"codex has no tool like {reply.tool}")


def _event(kind: str, **fields: object) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"


RESPONSES = Dialect("/responses", read_responses, write_responses)
