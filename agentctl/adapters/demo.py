"""The built-in agent: it answers every prompt, costs nothing, and misbehaves on request.

For trying agentctl without a key, and for its tests. `demo_agent` is the program; it says
which words of a prompt make it fail, lie, hang, crash, run a tool or take its time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from agentctl.adapters import base, reading
from agentctl.adapters.base import Capability, Command, CommandRequest, Message, Role
from agentctl.adapters.values import integer, real, string
from agentctl.adapters.words import model_of, prompt_of
from agentctl.core.model import TERM_THEN_KILL, AgentVerdict, Result, Session, Tokens
from agentctl.errors import UsageFault

NAME = "demo"
SUMMARY = "Built-in agent, needs no key; fail, lie, hang, crash, tool or slow N in a prompt misbehave."
PROGRAM = None
INSTALL = None
VERIFIED = "built in"
CAPABILITIES = frozenset({Capability.LAUNCH, Capability.PROMPT, Capability.MODEL, Capability.PEEK})
LADDER = TERM_THEN_KILL
PROCESS_NAMES: frozenset[str] = frozenset()
OPTIONS = ()

AGENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "demo_agent.py")

ROLES = {"text": Role.ASSISTANT, "thinking": Role.LOG, "tool": Role.TOOL, "error": Role.ERROR}
"""The type of a record → its role, for records that are shown."""

store_path, listing, sources, discover, match = base.WITHOUT_STORE
resume_command = base.no_resume
native_id = base.no_native_id
is_transient = base.never_transient


def launch_command(request: CommandRequest) -> Command:
    """The agent's file under this interpreter; it needs only the standard library."""
    prompt = prompt_of(request, "demo")
    if request.args:
        raise UsageFault(
            f"demo takes no arguments: {request.args[0]}", hint="say in the prompt what it should do"
        )
    program = request.program or (sys.executable, "-I", "-S", "-u", AGENT)
    model = model_of(request)
    return Command(argv=(*program, model) if model else program, stdin=prompt)


def result(session: Session, log_path: str) -> Result:
    """From the agent's last records: an error is a failure, else its usage is a success."""
    records = list(reading.json_objects(reading.tail_lines(log_path)))
    start, usage, text, error = (_last(records, kind) for kind in ("start", "usage", "text", "error"))
    if not start:
        head = reading.json_objects(reading.head_lines(log_path))
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
        yield Message(role=Role.USER, text=session.prompt, at=session.started_at)
    for record in reading.json_objects(reading.tail_lines(log_path)):
        yield from _shown(record)


def log_messages(lines: Iterable[str]) -> Iterator[Message]:
    """Records as what was thought, said and done; anything else as it is."""
    for line in lines:
        record = reading.json_object(line)
        if record is None or "type" not in record:
            yield Message(role=Role.LOG, text=line)
        else:
            yield from _shown(record)


def _shown(record: dict[str, Any]) -> Iterator[Message]:
    role, text = ROLES.get(string(record.get("type")) or ""), string(record.get("text"))
    if role is not None and text:
        yield Message(
            role=role, text=text, at=reading.timestamp(record.get("at")), tool=string(record.get("name"))
        )
