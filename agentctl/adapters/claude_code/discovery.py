"""Conversations of claude that agentctl did not start, and the processes proved to run them.

A transcript can have hundreds of megabytes: only its head and its tail are read. claude's
own registry of live sessions says which process has it open. Its files outlive a killed
claude: one is believed only if it names the process as the kernel does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from agentctl.adapters import reading
from agentctl.adapters.base import NativeSession, Process
from agentctl.adapters.claude_code import transcript
from agentctl.adapters.claude_code.log import Spent, spent_by_models
from agentctl.adapters.claude_code.transcript import Turn
from agentctl.adapters.reading import json_object
from agentctl.adapters.values import integer, string
from agentctl.core.model import AgentVerdict, Result
from agentctl.core.text import one_line

HEAD_WINDOWS = (16 * 1024, 512 * 1024)
TAIL_WINDOWS = (64 * 1024, 1024 * 1024, 8 * 1024 * 1024)
"""Bytes that are read of a transcript; the next window only if one did not say enough."""

TITLE_LENGTH = 2000

REGISTRY_BYTES = 16 * 1024


class Head(NamedTuple):
    """What the beginning of a transcript says."""

    created_at: datetime | None = None
    cwd: str | None = None
    title: str | None = None
    is_own: bool = False
    """A line names the same conversation as the file's name."""


class Tail(NamedTuple):
    """What the end of a transcript says."""

    updated_at: datetime | None = None
    cwd: str | None = None
    turn: Turn | None = None
    model: str | None = None
    version: str | None = None
    spent: Spent = Spent()
    is_own: bool = False


def sources(store_path: str) -> Iterable[str]:
    """The transcripts of all projects; those of subagents are in directories below them."""
    return [
        f"{project.path}/{name}"
        for project in _directories(store_path)
        for name in reading.names(project.path)
        if name.endswith(".jsonl") and transcript.is_id(name.removesuffix(".jsonl"))
    ]


def _directories(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if entry.is_dir()]
    except OSError:
        return []


def discover(source: str) -> Iterable[NativeSession]:
    """The transcript's conversation; nothing before the first prompt, or if it is not a transcript."""
    native_id, suffix = os.path.splitext(os.path.basename(source))
    if suffix != ".jsonl" or not transcript.is_id(native_id) or not os.path.isfile(source):
        return []
    head, tail = _read_head(source, native_id), _read_tail(source, native_id)
    if tail.turn is None and head.title and reading.size(source) > TAIL_WINDOWS[-1]:
        # Its last message is longer than what is read: usually pictures. It has no answer yet.
        updated_at = tail.updated_at or reading.changed_at(source)
        tail = tail._replace(turn=Turn(AgentVerdict.SILENT), updated_at=updated_at)
    updated_at = tail.updated_at or head.created_at
    created_at = head.created_at or updated_at
    if tail.turn is None or created_at is None or updated_at is None or not (head.is_own or tail.is_own):
        return []
    result = Result(
        verdict=tail.turn.verdict,
        text=tail.turn.text,
        native_id=native_id,
        model=tail.model,
        tokens=tail.spent.tokens,
        cost_usd=tail.spent.cost_usd,
        transcript_path=source,
        adapter_version=tail.version,
    )
    native = NativeSession(
        native_id=native_id,
        store_path=os.path.dirname(os.path.dirname(source)),
        cwd=head.cwd or tail.cwd,
        title=head.title,
        created_at=created_at,
        updated_at=max(created_at, updated_at),
        model=tail.model,
        result=result,
        is_open=tail.turn.verdict is AgentVerdict.SILENT,
        tokens=tail.spent.tokens,
    )
    return [native]


def _read_head(path: str, native_id: str) -> Head:
    head = Head()
    for window in HEAD_WINDOWS:
        head = _head(reading.json_objects(reading.head_lines(path, window)), native_id)
        if head.title and head.cwd:
            break
    return head


def _head(records: Iterator[Mapping[str, Any]], native_id: str) -> Head:
    created_at = cwd = title = None
    is_own = False
    for record in records:
        created_at = created_at or transcript.instant(record)
        # The first one: a later line may come from a directory that a tool has changed to.
        cwd = cwd or string(record.get("cwd"))
        title = title or transcript.prompt_of(record)
        is_own = is_own or record.get("sessionId") == native_id
        if created_at and cwd and title and is_own:
            break
    return Head(created_at, cwd, title and title.strip()[:TITLE_LENGTH], is_own)


def _read_tail(path: str, native_id: str) -> Tail:
    size, tail = reading.size(path), Tail()
    for window in TAIL_WINDOWS:
        lines = reading.tail_lines(path, window)
        tail = _tail(reading.json_objects(reversed(lines)), native_id)
        if (tail.turn and tail.model) or window >= size:
            break
    return tail


def _tail(records: Iterator[Mapping[str, Any]], native_id: str) -> Tail:
    """From the newest line backwards, until the last turn and the model that worked on it are known.

    Where no line says why the model stopped, an answer in words is taken for a finished turn.
    """
    updated_at = cwd = turn = version = model = None
    spent: Spent | None = None
    is_own = marks_ends = False
    for record in records:
        updated_at = updated_at or transcript.instant(record)
        cwd = cwd or string(record.get("cwd"))
        version = version or string(record.get("version"))
        is_own = is_own or record.get("sessionId") == native_id
        if spent is None and record.get("type") == "cost-state":
            spent = spent_by_models(record)
        if transcript.is_turn(record):
            turn = turn or transcript.turn_of(record)
            marks_ends = marks_ends or transcript.stop_reason_of(record) is not None
            model = model or transcript.model_of(record)
        if model is not None or record.get("type") == "assistant":
            # Totals that are older than an answer leave it out.
            spent = spent or Spent()
        if turn and model and is_own and not (turn.is_unmarked and not marks_ends):
            break
    if turn and turn.is_unmarked and not marks_ends:
        turn = turn._replace(verdict=AgentVerdict.OK)
    return Tail(updated_at, cwd, turn, model, version, spent or Spent(), is_own)


def match(natives: Sequence[NativeSession], processes: Sequence[Process]) -> Mapping[str, Process]:
    """Native id → the newest process that claude's registry names, if it is that process.

    Only claude's own daemon may end a background session: its process is shown, and never signalled.
    """
    by_id = {native.native_id: native for native in natives}
    configs = {os.path.dirname(native.store_path) for native in natives}
    found: dict[str, Process] = {}
    for process in sorted(processes, key=lambda one: one.started_at):
        for config in configs:
            entry = _entry(config, process)
            native = by_id.get(string(entry.get("sessionId")) or "")
            if native is None or os.path.dirname(native.store_path) != config:
                continue
            # claude's daemon restarts a background process that was signalled.
            process = process._replace(is_shared=entry.get("kind") == "bg", **_activity(entry))
            found[native.native_id] = process
    return found


def _activity(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What claude says about itself in its registry, as fields of its process; older releases say nothing."""
    match entry.get("status"):
        case "busy" | "shell":
            return {"is_busy": True}
        case "idle":
            return {"is_busy": False}
        case "waiting":
            return {"waits_for": one_line(string(entry.get("waitingFor")) or "", 80) or "an answer"}
    return {}


def _entry(config: str, process: Process) -> Mapping[str, Any]:
    """What the registry says about this process; empty if it means another one, or has no entry."""
    path = os.path.join(config, "sessions", f"{process.pid}.json")
    entry = json_object("\n".join(reading.head_lines(path, REGISTRY_BYTES))) or {}
    ticks, _, machine, namespace = (*process.start_token.split(":"), "", "", "")[:4]
    if integer(entry.get("pid")) != process.pid or entry.get("procStart") != ticks:
        return {}
    # A home may be shared: then a process of another machine or container can have both.
    # `linux:MACHINE:pid:[NAMESPACE]`; containers often have no machine id, and then it is empty.
    domain = string(entry.get("pidDomain")) or ""
    here = {f"linux:{known}:pid:[{namespace}]" for known in (machine, "")}
    return {} if domain.startswith("linux:") and domain not in here else entry
