"""Threads of codex that agentctl did not start, and the processes proved to write them.

A thread's writer holds its lock file exactly as long as it lives. A server writes the
threads of many clients: it proves that a thread is open, but belongs to no single session.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from agentctl.adapters.base import NativeSession, Process
from agentctl.adapters.codex import rollout
from agentctl.adapters.codex.commands import TAG
from agentctl.adapters.codex.rollout import Rollout, Turn
from agentctl.adapters.reading import timestamp
from agentctl.adapters.values import mapping, string
from agentctl.core.model import Result, Tokens
from agentctl.core.text import one_line

HEAD = TAIL = 128 * 1024
"""Bytes of a session file that a listing reads: usually its first and its last turn."""

TITLE = 200

SERVERS = frozenset({"app-server", "mcp-server"})


def discover(source: str) -> Iterable[NativeSession]:
    """The thread of one session file."""
    thread = rollout.native_id(source)
    found = rollout.read(source, head=HEAD, tail=TAIL) if thread else None
    if thread is None or found is None:
        return []
    native = _native(thread, found)
    return [native] if native is not None else []


def match(natives: Sequence[NativeSession], processes: Sequence[Process]) -> Mapping[str, Process]:
    """Native id → the process that holds the thread's lock file; a server is marked as shared."""
    writers = [process._replace(is_shared=is_server(process)) for process in processes if process.locked]
    found: dict[str, Process] = {}
    for native in natives if writers else ():
        lock = _identity(rollout.lock_of(native.store_path, native.native_id))
        for process in writers:
            if lock in process.locked:
                found[native.native_id] = process
    return found


def is_server(process: Process) -> bool:
    """Whether it serves other programs: an editor, or codex's own terminal interface."""
    return not SERVERS.isdisjoint(process.argv[1:]) and "exec" not in process.argv[1:]


def _identity(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _native(thread: str, found: Rollout) -> NativeSession | None:
    meta = found.meta
    last = found.turns[-1] if found.turns else Turn()
    created = timestamp(meta.get("timestamp")) or rollout.born_at(thread) or found.updated_at
    if created is None:
        return None
    sums = (turn.thread_tokens for turn in reversed(found.turns) if turn.thread_tokens != Tokens())
    tokens = next(sums, Tokens())
    model = next((turn.model for turn in reversed(found.turns) if turn.model), None)
    store = rollout.store_of(found.path)
    return NativeSession(
        native_id=thread,
        store_path=store,
        cwd=last.cwd or string(meta.get("cwd")),
        title=_title(found),
        created_at=created,
        updated_at=max(created, found.updated_at or created),
        model=model,
        result=Result(
            verdict=last.verdict,
            text=last.text,
            native_id=thread,
            model=model,
            tokens=tokens,
            transcript_path=found.path,
            adapter_version=string(meta.get("cli_version")),
        ),
        is_open=bool(found.turns) and not last.is_over,
        is_unasked=not found.turns,
        is_child=_is_child(meta),
        tokens=tokens,
    )


def _title(found: Rollout) -> str | None:
    """A launch's tag, by which agentctl knows its own; else the first prompt."""
    tag = string(found.meta.get("thread_source")) or ""
    if tag.startswith(TAG):
        return tag
    prompt = next((turn.prompt for turn in found.turns if turn.prompt), None)
    return one_line(prompt, TITLE) if prompt else None


def _is_child(meta: Mapping[str, object]) -> bool:
    """Whether another thread started this one: a subagent's, a reviewer's."""
    return bool(meta.get("parent_thread_id")) or "subagent" in mapping(meta.get("source"))
