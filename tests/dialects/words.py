"""What a request to a model asks and what is answered, whatever the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a request asks, whatever the dialect."""

    model: str
    user_texts: tuple[str, ...] = ()
    after_tool: bool = False
    """The last message is a tool's answer."""
    wants_title: bool = False
    tools: frozenset[str] = frozenset()
    """Names of the tools that the agent offers, where the dialect reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model answers; a status other than 200 fails with `text` as its message."""

    text: str = ""
    tool: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    delay: float = 0.0
    """Seconds until the first byte."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One API: how its requests are read and its answers streamed."""

    path_suffix: str
    read: Callable[[Mapping[str, Any]], Turn]
    write: Callable[[Turn, Reply], Iterator[str]]


def plain_text(content: object) -> str:
    """The text of a message, given as a string or as a list of parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def in_gemini_words(reply: Reply) -> Reply:
    """A tool call as Gemini and its descendants name it; the call is opencode's until then."""
    if reply.tool == "bash":
        return replace(reply, tool="run_shell_command")
    if reply.tool == "write":
        given = reply.arguments
        arguments = {"file_path": given["path"], "content": given["content"]}
        return replace(reply, tool="write_file", arguments=arguments)
    return reply
