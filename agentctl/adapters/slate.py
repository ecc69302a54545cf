"""Slate, of Random Labs: `slate -q PROMPT --output-format stream-json` as a detached process.

Written from others' descriptions, and not yet tried with the program itself. Its store is
not known, and neither are the words of its output: so nothing is discovered, lines are
read generously, and tokens, cost and model stay unknown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
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
    no_messages,
    no_sessions,
    no_sources,
    no_store,
)
from agentctl.adapters.reading import json_object
from agentctl.adapters.values import string
from agentctl.adapters.words import gathered
from agentctl.core.model import TERM_THEN_KILL, AgentVerdict, Result, Rung, Session
from agentctl.core.text import clean, one_line
from agentctl.errors import AdapterUnavailable, UsageFault

NAME = "slate"
SUMMARY = "Slate, of Random Labs; not verified against a real binary."
PROGRAM: str | None = "slate"
INSTALL: str | None = "npm install -g @randomlabs/slate"
VERIFIED = "not verified against a real binary"
CAPABILITIES = frozenset({Capability.LAUNCH, Capability.PROMPT, Capability.MODEL, Capability.RESUME})
LADDER: tuple[Rung, ...] = TERM_THEN_KILL
PROCESS_NAMES: frozenset[str] = frozenset({"slate"})
OPTIONS: tuple[Option, ...] = (
    Option("skip_permissions", "Let Slate use every tool without asking; false by default.", kind=bool),
    Option(
        "permission", "Slate's own table of permissions; what it is configured with by default.", kind=dict
    ),
)

store_path = no_store
listing = no_listing
messages = no_messages
sources = no_sources
discover = no_sessions
match = no_match
is_transient = never_transient

HEAD_BYTES = 256 * 1024
TAIL_BYTES = 1024 * 1024
PROMPT_BYTES = 131_071
"""What Linux lets one argument hold."""

_RESUME = "use agentctl resume"
OURS = {
    "-q": "the prompt is agentctl's to give",
    "--question": "the prompt is agentctl's to give",
    "--output-format": "agentctl reads the JSON lines",
    "--stream-json": "agentctl reads the JSON lines",
    "--resume": _RESUME,
    "-c": _RESUME,
    "--continue": _RESUME,
    "-w": "use --cwd",
    "--workspace": "use --cwd",
}
"""Options that a user's own words must not set, and why."""

_IDS = ("session_id", "sessionID", "sessionId")
_TEXTS = ("text", "message", "content", "part", "result", "error", "data")
_DEPTH = 6


def launch_command(request: CommandRequest) -> Command:
    """A run with the prompt as the value of -q: Slate reads none from standard input."""
    return Command(argv=_run(request), env=_environment(request, default=True))


def resume_command(session: Session, request: CommandRequest) -> Command:
    """A further turn of the conversation, where Slate has told its id."""
    if session.native_id is None:
        raise AdapterUnavailable(
            f"adapter slate cannot resume session {session.id[:8]}: Slate has not told an id of its own",
            hint=f"start it again with the same prompt and options: agentctl rerun {session.id[:8]}",
        )
    argv = (*_run(request), "--resume", session.native_id)
    return Command(argv=argv, env=_environment(request, default=False), native_id=session.native_id)


def _run(request: CommandRequest) -> tuple[str, ...]:
    words = gathered(request, OURS, adapter="slate", program="slate")
    program = request.program or ("slate",)
    return (*program, "-q", _prompt(request), "--output-format", "stream-json", *words)


def _prompt(request: CommandRequest) -> str:
    prompt = request.prompt or ""
    if not prompt.strip():
        raise UsageFault("slate needs a prompt", hint="give one with --prompt or --prompt-file")
    if "\0" in prompt or len(os.fsencode(prompt)) > PROMPT_BYTES:
        raise UsageFault(
            f"slate takes its prompt as an argument: {PROMPT_BYTES} bytes at most, and none of them zero",
            hint="put the text into a file of the project and name that in the prompt",
        )
    return prompt


def _environment(request: CommandRequest, *, default: bool) -> dict[str, str | None]:
    """Model and permissions by variables: Slate has no option for one, and has renamed the other's."""
    changes: dict[str, str | None] = {}
    model = request.model or (string(request.config.get("model")) if default else None)
    if model is not None:
        changes["SLATE_CONFIG_CONTENT"] = json.dumps(_with_model(request.environ, model))
    if request.config.get("skip_permissions") is True:
        changes["SLATE_DANGEROUS_SKIP_PERMISSIONS"] = "1"
    permission = request.config.get("permission")
    if isinstance(permission, Mapping):
        changes["SLATE_PERMISSION"] = json.dumps(dict(permission))
    return changes


def _with_model(environ: Mapping[str, str], model: str) -> dict[str, Any]:
    """The user's own inline configuration with this model in it."""
    own = json_object(environ.get("SLATE_CONFIG_CONTENT") or "{}")
    if own is None:
        raise UsageFault(
            "SLATE_CONFIG_CONTENT is no JSON object, so no model can be put into it",
            hint="correct it, or name the model in slate.json and leave --model out",
        )
    models = _table(own.get("models"))
    return {**own, "models": {**models, "main": {**_table(models.get("main")), "default": model}}}


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def native_id(session: Session, log_path: str) -> str | None:
    """From the first line that carries one."""
    for record in reading.json_objects(reading.head_lines(log_path, HEAD_BYTES)):
        found = next((text for key in _IDS if (text := string(record.get(key)))), None)
        if found:
            return found
    return None


def result(session: Session, log_path: str) -> Result:
    """The last thing said, or the error it ended with.

    Release 1.0.15 prints nothing outside a terminal, asks no model and exits 0: no success.
    """
    verdict, text = AgentVerdict.SILENT, None
    last: Message | None = None
    for record in reading.json_objects(reading.tail_lines(log_path, TAIL_BYTES)):
        last = _said(record) or last
    if last is not None:
        is_error = last.role == "error"
        verdict = AgentVerdict.ERROR if is_error else AgentVerdict.SILENT
        text = one_line(last.text) if is_error else last.text
    elif session.exit_code is not None and not _has_text(log_path):
        verdict = AgentVerdict.ERROR
        text = "slate printed nothing: outside a terminal some releases end without asking their model"
    return Result(verdict=verdict, text=text, native_id=native_id(session, log_path))


def _has_text(log_path: str) -> bool:
    return any(line.strip() for line in reading.tail_lines(log_path, TAIL_BYTES))


def log_messages(lines: Iterable[str]) -> Iterator[Message]:
    """What was said, where a line's words are understood; any other line as it is."""
    for line in lines:
        record = json_object(line)
        message = _said(record) if record is not None else None
        if message is not None:
            yield message
        elif text := clean(line).rstrip():
            yield Message(role="log", text=text)


def _said(record: Mapping[str, Any]) -> Message | None:
    """The error or the words of the assistant that a line holds; None for any other line."""
    kind = string(record.get("type")) or ""
    if "error" in kind or record.get("is_error") is True:
        return Message(role="error", text=_text(record) or "unknown error")
    if kind in ("assistant", "text", "result"):
        text = _text(record)
        return Message(role="assistant", text=text) if text else None
    return None


def _text(value: object, depth: int = _DEPTH) -> str:
    """The words in a record, however deep: of a list all, of an object those of its first telling key."""
    if isinstance(value, str):
        return value
    if depth == 0:
        return ""
    if isinstance(value, list):
        return "".join(_text(item, depth - 1) for item in value)
    if isinstance(value, dict):
        return next((text for key in _TEXTS if (text := _text(value.get(key), depth - 1))), "")
    return ""
