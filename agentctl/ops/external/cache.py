"""What the agents' own stores say, read once for each state of a file.

A source is a file of a store: its time and size say whether what was read of it still
holds. A second listing reads nothing that has not changed, however many there are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from agentctl.adapters.base import Adapter, NativeSession, Standing, StoreUnreadable
from agentctl.core.model import AgentVerdict, Outcome, Result, Status, Tokens
from agentctl.errors import AgentctlError
from agentctl.runtime import OPTIONAL
from agentctl.store import codecs, discovery
from agentctl.store.db import CannotWrite, Database, reading, transaction

CHUNK = 200
"""Sources kept in one transaction: an interrupt loses no more of a long first reading."""

Notice = Callable[[str], None]
"""Told of a store that could not be read."""

Progress = Callable[[int, int], None]
"""Told how many of the changed sources were read, of how many."""


def sessions_of(
    db: Database,
    adapter: Adapter,
    store_path: str,
    *,
    since: datetime | None = None,
    progress: Progress,
    notice: Notice,
) -> list[NativeSession]:
    """The store's sessions; with `since`, those of sources that have changed since then."""
    oldest = int(since.timestamp() * 1e9) if since else 0
    with reading(db):
        cached = discovery.get(db, adapter.NAME, since_ns=oldest)
    found: list[NativeSession] = []
    payloads: list[str] = []
    changed: list[tuple[str, tuple[int, int]]] = []
    # Of another home's store, read with the same state, nothing is known here.
    inside = store_path.rstrip("/") + "/"
    gone = {path for path in cached if path == store_path or path.startswith(inside)}
    for source in adapter.sources(store_path):
        gone.discard(source)
        stamp = _stamp(source)
        if stamp is None:
            # Without a stamp nothing can be kept: opencode's old tree lies where no database is.
            found += _discover(adapter, source, notice)[0]
        elif stamp[0] < oldest:
            continue
        elif (kept := cached.get(source)) is not None and kept[:2] == stamp:
            payloads.append(kept.payload)
        else:
            changed.append((source, stamp))
    # One text for all: thousands of small ones take twice as long to read.
    found += [_decode(item) for items in json.loads(f"[{','.join(payloads)}]") for item in items]
    for natives in _read(db, adapter, changed, progress, notice):
        found += natives
    if gone:
        _keep(db, lambda: discovery.drop(db, adapter.NAME, gone))
    return found


def told(error: AgentctlError) -> str:
    """An error that fails nothing, as a notice."""
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _discover(adapter: Adapter, source: str, notice: Notice) -> tuple[list[NativeSession], bool]:
    """The source's sessions, and whether all of it could be read."""
    try:
        return list(adapter.discover(source)), True
    except StoreUnreadable as error:
        notice(told(error))
        return list(error.found), False


def _read(
    db: Database,
    adapter: Adapter,
    changed: Sequence[tuple[str, tuple[int, int]]],
    progress: Progress,
    notice: Notice,
) -> Iterator[list[NativeSession]]:
    """What changed sources say, kept for the next time."""
    fresh: list[tuple[str, tuple[int, int], str]] = []

    def keep() -> None:
        for source, stamp, payload in fresh:
            discovery.put(db, adapter.NAME, source, *stamp, payload)
        fresh.clear()

    for number, (source, stamp) in enumerate(changed, 1):
        natives, is_whole = _discover(adapter, source, notice)
        if is_whole:
            payload = json.dumps([_encode(one) for one in natives], separators=(",", ":"))
            fresh.append((source, stamp, payload))
        if len(fresh) == CHUNK or number == len(changed):
            _keep(db, keep)
            progress(number, len(changed))
        yield natives


def _keep(db: Database, write: Callable[[], object]) -> None:
    """Only a cache: where it cannot be written, the next listing reads again."""
    if db.read_only:
        return
    try:
        with transaction(db, busy=OPTIONAL):
            write()
    except CannotWrite:
        return


def _stamp(path: str) -> tuple[int, int] | None:
    """Newest change and size of a source: the file, and the write-ahead log beside it."""
    try:
        stat = os.stat(path)
    except OSError:
        stat = None
    if path.endswith(".jsonl"):
        return (stat.st_mtime_ns, stat.st_size) if stat else None
    try:
        log = os.stat(f"{path}-wal")
    except OSError:
        log = None
    stats = [one for one in (stat, log) if one is not None]
    if not stats:
        return None
    return max(one.st_mtime_ns for one in stats), sum(one.st_size for one in stats)


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
        "is_unasked": native.is_unasked,
        "is_child": native.is_child,
        "tokens": native.tokens,
        "verdict": result.verdict.value,
        "text": result.text,
        "result_tokens": result.tokens,
        "cost_usd": result.cost_usd,
        "turns": result.turns,
        "notes": list(result.notes),
        "adapter_version": result.adapter_version,
        "transcript_path": result.transcript_path,
        "standing": native.standing,
    }


def _read_standing(kept: Sequence[str | None] | None) -> Standing | None:
    if not kept or kept[0] is None:
        return None
    return Standing(Status(kept[0]), Outcome(kept[1]) if kept[1] else None, kept[2] or "")


def _decode(item: Mapping[str, Any]) -> NativeSession:
    return NativeSession(
        native_id=item["native_id"],
        store_path=item["store_path"],
        cwd=item["cwd"],
        title=item["title"],
        created_at=codecs.read_instant(item["created_at"]),
        updated_at=codecs.read_instant(item["updated_at"]),
        model=item["model"],
        is_open=item["is_open"],
        is_unasked=item.get("is_unasked", False),
        is_child=item["is_child"],
        tokens=Tokens(*item["tokens"]),
        standing=_read_standing(item.get("standing")),
        result=Result(
            verdict=AgentVerdict(item["verdict"]),
            text=item["text"],
            native_id=item["native_id"],
            model=item["model"],
            tokens=Tokens(*item["result_tokens"]),
            cost_usd=item["cost_usd"],
            turns=item["turns"],
            notes=tuple(item["notes"]),
            adapter_version=item["adapter_version"],
            transcript_path=item["transcript_path"],
        ),
    )
