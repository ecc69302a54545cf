"""Sessions started outside agentctl, read from the agents' own stores.

What a store says is cached by its instant and size: a second listing reads nothing that
has not changed. Status goes as far as the evidence does: a process is a session's own
only where the adapter can prove it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agentctl.adapters import registry
from agentctl.adapters.base import Adapter, NativeSession, Process
from agentctl.core.ids import external_id
from agentctl.core.model import AgentVerdict, Outcome, Result, Session, Status, Tokens
from agentctl.host import processes
from agentctl.host.tree import SESSION_VARIABLE
from agentctl.ops.find import Found
from agentctl.runtime import OPTIONAL, Runtime
from agentctl.store import codecs, discovery, sessions
from agentctl.store.db import CannotWrite, Database, reading, transaction

TITLE_PREFIX = "agentctl "
"""How a launch names its conversation where the program takes a title, followed by the session id."""


def external_sessions(
    runtime: Runtime, db: Database, *, adapter: str | None = None, live_only: bool = False
) -> list[Found]:
    """External sessions of the adapters that can discover, newest first; with `live_only` those not over."""
    found: list[Found] = []
    for name in registry.in_use(runtime.environ):
        if adapter is None or adapter == name:
            found += _of_adapter(runtime, db, registry.load(name), live_only=live_only)
    return sorted(found, key=lambda one: one.session.created_at, reverse=True)


def _of_adapter(runtime: Runtime, db: Database, module: Adapter, *, live_only: bool) -> list[Found]:
    path = module.store_path(runtime.environ)
    if path is None:
        return []
    running = _processes(module)
    if live_only and not any(process.session_tag is None for process in running):
        # Nothing can be live without a process that was started outside: no store need be read.
        return []
    stamp = _stamp(path)
    # Without a stamp nothing can be kept: opencode's old tree lies where no database is.
    natives = list(module.discover(path)) if stamp is None else _natives(db, module, path, stamp)
    with reading(db):
        tracked = sessions.native_ids(db, module.NAME, among={native.native_id for native in natives})
        ours = sessions.known(db, {_launch_of(native) for native in natives})
    natives = [
        native
        for native in natives
        if native.native_id not in tracked and _launch_of(native) not in ours and not native.is_child
    ]
    proved = module.match(natives, running)
    found = [_found(module, native, proved.get(native.native_id), running) for native in natives]
    return [one for one in found if not one.session.is_final] if live_only else found


def _launch_of(native: NativeSession) -> str:
    """The session id in the title that a launch gave its conversation; empty for any other."""
    title = native.title or ""
    return title.removeprefix(TITLE_PREFIX) if title.startswith(TITLE_PREFIX) else ""


def _stamp(path: str) -> tuple[int, int] | None:
    """Newest change and size of a store: the file or directory, and the write-ahead log beside it."""
    stats = []
    for candidate in (path, f"{path}-wal"):
        try:
            stats.append(os.stat(candidate))
        except OSError:
            continue
    if not stats:
        return None
    return max(stat.st_mtime_ns for stat in stats), sum(stat.st_size for stat in stats)


def _natives(db: Database, module: Adapter, path: str, stamp: tuple[int, int]) -> list[NativeSession]:
    with reading(db):
        cached = discovery.get(db, module.NAME).get(path)
    if cached is not None and cached[:2] == stamp:
        return [_decode(item) for item in json.loads(cached[2])]
    natives = list(module.discover(path))
    if not db.read_only:
        payload = json.dumps([_encode(native) for native in natives], separators=(",", ":"))
        try:
            with transaction(db, busy=OPTIONAL):
                discovery.put(db, module.NAME, path, *stamp, payload)
        except CannotWrite:
            return natives  # only a cache: the next listing reads again
    return natives


def _processes(module: Adapter) -> list[Process]:
    """This user's processes that run the adapter's program."""
    found = []
    for pid, stat in processes.table().items():
        if stat.is_zombie or stat.command not in module.PROCESS_NAMES:
            continue
        environ = processes.environment_of(pid)
        found.append(
            Process(
                pid=pid,
                argv=processes.arguments_of(pid),
                started_at=processes.started_at(stat),
                start_token=processes.token(stat.ticks),
                cwd=environ.get("PWD") or processes.directory_of(pid),
                session_tag=environ.get(SESSION_VARIABLE),
            )
        )
    return found


def _found(
    module: Adapter, native: NativeSession, process: Process | None, running: Sequence[Process]
) -> Found:
    status, outcome, reason = _judge(module, native, process, running)
    result = native.result
    session = Session(
        id=external_id(module.NAME, native.store_path, native.native_id),
        adapter=module.NAME,
        source="external",
        cwd=native.cwd or "",
        status=status,
        outcome=outcome,
        reason=reason,
        created_at=native.created_at,
        started_at=native.created_at,
        ended_at=native.updated_at if status in (Status.STOPPED, Status.ERROR) else None,
        pid=process.pid if process else None,
        start_token=process.start_token if process else None,
        native_id=native.native_id,
        model=native.model,
        prompt=native.title,
        tokens=native.tokens if native.tokens != Tokens() else result.tokens,
        cost_usd=result.cost_usd,
        turns=result.turns,
        result=result.text,
        notes=result.notes,
        store_path=native.store_path,
        transcript_path=result.transcript_path or native.store_path,
        adapter_version=result.adapter_version,
    )
    return Found(session=session, fuse=None, shown=status, reason=reason, log_path=None)


def _judge(
    module: Adapter, native: NativeSession, process: Process | None, running: Sequence[Process]
) -> tuple[Status, Outcome | None, str]:
    """As far as the evidence goes, and no further."""
    if process is not None:
        if native.is_open:
            return Status.RUNNING, None, f"process {process.pid} is working on it"
        return Status.IDLE, None, f"process {process.pid} has it open"
    near = [
        one.pid
        for one in running
        if one.cwd == native.cwd and one.session_tag is None and one.started_at <= native.updated_at
    ]
    if near:
        status = Status.RUNNING if native.is_open else Status.IDLE
        return status, None, f"{module.PROGRAM} process {near[0]} in its directory may be at work on it"
    if native.is_open:
        return Status.STOPPED, None, "its last turn is unfinished and no process works on it"
    if native.result.verdict is AgentVerdict.ERROR:
        return Status.ERROR, Outcome.FAILED, native.result.text or "the agent reports an error"
    return Status.STOPPED, Outcome.SUCCEEDED, "its last turn is finished"


def _encode(native: NativeSession) -> dict[str, Any]:
    result = native.result
    return {
        "native_id": native.native_id,
        "store_path": native.store_path,
        "cwd": native.cwd,
        "title": native.title,
        "created_at": codecs.instant(native.created_at),
        "updated_at": codecs.instant(native.updated_at),
        "model": native.model,
        "is_open": native.is_open,
        "is_child": native.is_child,
        "tokens": _tokens(native.tokens),
        "verdict": result.verdict.value,
        "text": result.text,
        "result_tokens": _tokens(result.tokens),
        "cost_usd": result.cost_usd,
        "turns": result.turns,
        "notes": list(result.notes),
        "adapter_version": result.adapter_version,
    }


def _tokens(tokens: Tokens) -> list[int | None]:
    return [tokens.input, tokens.output, tokens.cache_read, tokens.cache_write]


def _read_tokens(counts: Sequence[int | None]) -> Tokens:
    return Tokens(input=counts[0], output=counts[1], cache_read=counts[2], cache_write=counts[3])


def _instant(text: str) -> datetime:
    return codecs.read_instant(text)


def _decode(item: Mapping[str, Any]) -> NativeSession:
    return NativeSession(
        native_id=item["native_id"],
        store_path=item["store_path"],
        cwd=item["cwd"],
        title=item["title"],
        created_at=_instant(item["created_at"]),
        updated_at=_instant(item["updated_at"]),
        model=item["model"],
        is_open=item["is_open"],
        is_child=item["is_child"],
        tokens=_read_tokens(item["tokens"]),
        result=Result(
            verdict=AgentVerdict(item["verdict"]),
            text=item["text"],
            native_id=item["native_id"],
            model=item["model"],
            tokens=_read_tokens(item["result_tokens"]),
            cost_usd=item["cost_usd"],
            turns=item["turns"],
            notes=tuple(item["notes"]),
            adapter_version=item["adapter_version"],
        ),
    )
