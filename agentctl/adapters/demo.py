"""The built-in agent: it answers every prompt, costs nothing, and misbehaves on request.

For trying agentctl without a key, and for its tests. `demo_agent` is the program, and
says which words of a prompt make it fail, lie, hang, crash, run a tool or take its time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from agentctl.adapters import reading
from agentctl.adapters.base import (
    Capability,
    Command,
    CommandRequest,
    Message,
    Option,
    never_transient,
    no_listing,
    no_match,
    no_native_id,
    no_resume,
    no_sessions,
    no_sources,
    no_store,
)
from agentctl.adapters.values import integer, real, string
from agentctl.core.model import TERM_THEN_KILL, AgentVerdict, Result, Rung, Session, Tokens
from agentctl.errors import UsageFault

NAME = "demo"
SUMMARY = "Built-in agent: no key. Prompts with fail, lie, hang, crash, tool or slow N misbehave."
PROGRAM: str | None = None
INSTALL: str | None = None
VERIFIED = "built in"
CAPABILITIES = frozenset({Capability.LAUNCH, Capability.PROMPT, Capability.MODEL, Capability.PEEK})
LADDER: tuple[Rung, ...] = TERM_THEN_KILL
PROCESS_NAMES: frozenset[str] = frozenset()
OPTIONS: tuple[Option, ...] = ()

AGENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "demo_agent.py")

HEAD_BYTES = 16 * 1024
TAIL_BYTES = 1024 * 1024

ROLES = {"text": "assistant", "thinking": "log", "tool": "tool", "error": "error"}
"""Records that people are shown, and as what."""

resume_command = no_resume
store_path = no_store
native_id = no_native_id
listing = no_listing
sources = no_sources
discover = no_sessions
match = no_match
is_transient = never_transient


def launch_command(request: CommandRequest) -> Command:
    """The agent's file under this interpreter, which needs nothing but the standard library for it."""
    if not request.prompt or not request.prompt.strip():
        raise UsageFault("demo needs a prompt", hint="give one with --prompt or --prompt-file")
    if request.args:
        raise UsageFault(
            f"demo takes no arguments: {request.args[0]}", hint="what it does is said in the prompt"
        )
    program = request.program or (sys.executable, "-I", "-S", "-u", AGENT)
    model = request.model or string(request.config.get("model"))
    return Command(argv=(*program, model) if model else program, stdin=request.prompt)


def result(session: Session, log_path: str) -> Result:
    """The agent's last records: an error, else its usage, say how it went."""
    records = list(reading.json_objects(reading.tail_lines(log_path, TAIL_BYTES)))
    start, usage, text, error = (_last(records, kind) for kind in ("start", "usage", "text", "error"))
    if not start:
        head = reading.json_objects(reading.head_lines(log_path, HEAD_BYTES))
        start = _last(list(head), "start")
    verdict, word = AgentVerdict.SILENT, string(text.get("text"))
    if error:
        verdict, word = AgentVerdict.ERROR, string(error.get("text")) or "unknown error"
    elif usage:
        verdict = AgentVerdict.OK
    return Result(
        verdict=verdict,
        text=word,
        model=string(usage.get("model")) or string(start.get("model")),
        tokens=Tokens(input=integer(usage.get("input")), output=integer(usage.get("output"))),
        cost_usd=real(usage.get("cost_usd")),
        turns=integer(usage.get("turns")),
    )


def _last(records: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next((record for record in reversed(records) if record.get("type") == kind), {})


def messages(session: Session, log_path: str) -> Iterator[Message]:
    """The prompt, then what the agent said, from its log."""
    if session.prompt:
        yield Message(role="user", text=session.prompt, at=session.started_at)
    for record in reading.json_objects(reading.tail_lines(log_path, TAIL_BYTES)):
        yield from _shown(record)


def log_messages(lines: Iterable[str]) -> Iterator[Message]:
    """Records as what was thought, said and done; anything else as it is."""
    for line in lines:
        record = reading.json_object(line)
        if record is None or "type" not in record:
            yield Message(role="log", text=line)
        else:
            yield from _shown(record)


def _shown(record: dict[str, Any]) -> Iterator[Message]:
    role, text = ROLES.get(string(record.get("type")) or ""), string(record.get("text"))
    if role is not None and text:
        yield Message(role=role, text=text, at=_instant(record.get("at")), tool=string(record.get("name")))


def _instant(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(string(value) or "")
    except ValueError:
        return None
    return at if at.tzinfo else None
