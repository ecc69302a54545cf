"""Slate, by Random Labs: `slate -q PROMPT --output-format stream-json` as a detached process.

Written from others' descriptions, and not yet tried with the program itself. Its store and
the format of its output are unknown: so nothing is discovered, lines are read generously,
and tokens, cost and model stay unknown. A success has to be said by a line of type `result`, or
by a last `step_finish` as OpenCode writes it, of which Slate is said to be a descendant.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agentctl.adapters import base, reading
from agentctl.adapters.base import Capability, Command, CommandRequest, Message, Option, Role
from agentctl.adapters.reading import json_object
from agentctl.adapters.showing import printed
from agentctl.adapters.values import mapping, string
from agentctl.adapters.words import gathered, model_of, prompt_argument
from agentctl.core.ids import short
from agentctl.core.model import TERM_THEN_KILL, AgentVerdict, Result, Session
from agentctl.core.text import one_line
from agentctl.errors import AdapterUnavailable, UsageFault

NAME = "slate"
SUMMARY = "Slate, by Random Labs; not verified against a real binary."
PROGRAM = "slate"
INSTALL = "npm install -g @randomlabs/slate"
VERIFIED = "not verified against a real binary"
CAPABILITIES = frozenset({Capability.LAUNCH, Capability.PROMPT, Capability.MODEL, Capability.RESUME})
LADDER = TERM_THEN_KILL
PROCESS_NAMES = frozenset({"slate"})
OPTIONS = (
    Option("skip_permissions", "Let Slate use every tool without asking; false by default.", kind=bool),
    Option("permission", "Slate's own table of permissions; its configured one by default.", kind=dict),
)

store_path, listing, sources, discover, match = base.WITHOUT_STORE
messages = base.no_messages
is_transient = base.never_transient

_RESUME = "use agentctl resume"
OURS = {
    "-q": "agentctl passes the prompt",
    "--question": "agentctl passes the prompt",
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
    """A further turn of the conversation, if Slate has printed its id."""
    if session.native_id is None:
        raise AdapterUnavailable(
            f"adapter slate cannot resume session {short(session.id)}: Slate has not printed its own id",
            hint=base.rerun_hint(session),
        )
    argv = (*_run(request), "--resume", session.native_id)
    return Command(argv=argv, env=_environment(request, default=False), native_id=session.native_id)


def _run(request: CommandRequest) -> tuple[str, ...]:
    words = gathered(request, OURS, adapter="slate", program="slate")
    program = request.program or ("slate",)
    return (*program, "-q", prompt_argument(request, "slate"), "--output-format", "stream-json", *words)


def _environment(request: CommandRequest, *, default: bool) -> dict[str, str | None]:
    """Model and permissions as variables: Slate has no option for the model, and renamed the other one."""
    changes: dict[str, str | None] = {}
    model = model_of(request) if default else request.model
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
            "SLATE_CONFIG_CONTENT is not a JSON object, so the model cannot be put into it",
            hint="correct it, or name the model in slate.json and leave --model out",
        )
    models = mapping(own.get("models"))
    return {**own, "models": {**models, "main": {**mapping(models.get("main")), "default": model}}}


def native_id(session: Session, log_path: str) -> str | None:
    """From the first line that has one."""
    for record in reading.json_objects(reading.head_lines(log_path)):
        found = next((text for key in _IDS if (text := string(record.get(key)))), None)
        if found:
            return found
    return None


def result(session: Session, log_path: str) -> Result:
    """The last thing that Slate said, or the error with which it ended.

    Release 1.0.15 prints nothing outside a terminal, asks no model and exits with 0: not a success.
    """
    verdict, text = AgentVerdict.SILENT, None
    last: Message | None = None
    is_finished = False
    for record in reading.json_objects(reading.tail_lines(log_path)):
        said = _said(record)
        last, is_finished = said or last, _is_finished(record, is_finished)
    if last is not None and last.role is Role.ERROR:
        verdict, text = AgentVerdict.ERROR, one_line(last.text)
    elif last is not None or is_finished:
        verdict, text = AgentVerdict.OK if is_finished else AgentVerdict.SILENT, last and last.text
    elif session.exit_code is not None and not _has_text(log_path):
        verdict = AgentVerdict.ERROR
        text = "slate printed nothing: outside a terminal some releases end without asking their model"
    found = Result(verdict=verdict, text=text, native_id=native_id(session, log_path))
    return reading.proved(session, found, log_path)


def _is_finished(record: Mapping[str, Any], before: bool) -> bool:
    """Whether the run's answer is complete with this record; `before` says so of the records before it."""
    kind = string(record.get("type"))
    if kind == "result":
        return _failure(record) is None
    if kind == "step_finish":
        return mapping(record.get("part")).get("reason") in ("stop", "length")
    return before and kind not in ("assistant", "text", "tool_use", "step_start")


def _failure(record: Mapping[str, Any]) -> str | None:
    """What a line of type `result` says in place of a finished turn; None for one."""
    subtype, stop = string(record.get("subtype")), string(record.get("stop_reason"))
    if subtype not in (None, "success"):
        return subtype
    return None if stop in (None, "end_turn", "stop_sequence", "max_tokens") else stop


def _has_text(log_path: str) -> bool:
    return any(line.strip() for line in reading.tail_lines(log_path))


def log_messages(lines: Iterable[str]) -> Iterator[Message]:
    """What was said, if a line is understood; any other line as it is."""
    for line in lines:
        record = json_object(line)
        message = _said(record) if record is not None else None
        if message is not None:
            yield message
        else:
            yield from printed(line)


def _said(record: Mapping[str, Any]) -> Message | None:
    """The error or the words of the assistant that a line holds; None for any other line."""
    kind = string(record.get("type")) or ""
    if "error" in kind or record.get("is_error") is True:
        return Message(role=Role.ERROR, text=_text(record) or "unknown error")
    if kind == "result" and (failure := _failure(record)) is not None:
        return Message(role=Role.ERROR, text=failure)
    if kind in ("assistant", "text", "result"):
        text = _text(record)
        return Message(role=Role.ASSISTANT, text=text) if text else None
    return None


def _text(value: object, depth: int = _DEPTH) -> str:
    """The words in a record, however deep: all of a list, and the first of `_TEXTS` in an object."""
    if isinstance(value, str):
        return value
    if depth == 0:
        return ""
    if isinstance(value, list):
        return "".join(_text(item, depth - 1) for item in value)
    if isinstance(value, dict):
        return next((text for key in _TEXTS if (text := _text(value.get(key), depth - 1))), "")
    return ""
