"""Google's generative language API: POST …/models/MODEL:streamGenerateContent, as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.dialects.words import Dialect, Reply, Turn, in_gemini_words, plain_text


def read_gemini(body: Mapping[str, Any]) -> Turn:
    """The model is in the path of the request, which the server puts into `body`."""
    contents = [each for each in body.get("contents", []) if isinstance(each, dict)]
    said = [plain_text(each.get("parts")) for each in contents if each.get("role") == "user"]
    last = contents[-1].get("parts", []) if contents else []
    return Turn(
        model=str(body.get("model", "")),
        user_texts=tuple(text for text in said if text),
        after_tool=any("functionResponse" in part for part in last),
    )


def write_gemini(turn: Turn, reply: Reply) -> Iterator[str]:
    reply = in_gemini_words(reply)
    parts: list[dict[str, Any]] = [{"text": reply.text}]
    if reply.tool:
        parts.append({"functionCall": {"name": reply.tool, "args": dict(reply.arguments)}})
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 3, "totalTokenCount": 13}
    answer = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": turn.model}
    yield f"data: {json.dumps(answer)}\n\n"


GEMINI = Dialect(":streamGenerateContent", read_gemini, write_gemini)
