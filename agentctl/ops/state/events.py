"""Reading the ledger: its end, what came after a cursor or an instant, and what is still to come.

Gapless: lines are read by cursor, which grows in the order of the commits. Must not print.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from agentctl.core.ledger import EVENT_TYPES, Event
from agentctl.core.model import Session
from agentctl.errors import NotFound, UsageFault
from agentctl.host.waiting import ticks
from agentctl.ops.reconcile.reconcile import reconcile
from agentctl.ops.sessions.find import find_one
from agentctl.runtime import Runtime
from agentctl.store import events, sessions
from agentctl.store.db import Database, reading

DEFAULT_COUNT = 20
PAGE = 500
"""Lines read at a time: a ledger of years needs no more memory than this."""

INTERVAL = 0.25
LOOKS_PER_RECONCILE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsRequest:
    """Which lines: after `since` (a cursor or an instant), else the last `count`."""

    since: int | datetime | None = None
    count: int | None = None
    """At most so many, without `since` the newest; None for all after `since`."""
    types: tuple[str, ...] = ()
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """The lines that were there at the first look, from `start`; `newest` is the last cursor given out."""

    start: int
    newest: int


def session_of(runtime: Runtime, text: str) -> str:
    """The id of the session that `text` means; a full id is fine for one that was forgotten."""
    try:
        return find_one(runtime, text).session.id
    except NotFound:
        db = runtime.readable_state
        with reading(db):
            if events.since(db, 0, limit=1, session_id=text):
                return text
        raise


def session_row(runtime: Runtime, session_id: str | None) -> Session | None:
    """The session of an event, unless it was forgotten."""
    db = runtime.readable_state
    with reading(db):
        return None if session_id is None else sessions.get(db, session_id)


def open_ledger(runtime: Runtime, request: EventsRequest) -> Ledger:
    """Where the wanted lines begin; the state is reconciled first. UsageFault for an unknown type."""
    db = runtime.readable_state
    for type_ in request.types:
        _refuse_unknown(db, type_)
    reconcile(runtime, db)
    with reading(db):
        newest = events.last_cursor(db)
        match request.since:
            case int():
                start = request.since
            case datetime():
                start = events.cursor_at(db, request.since)
            case None:
                start = _before_last(db, request, newest)
    return Ledger(start, newest)


def _refuse_unknown(db: Database, type_: str) -> None:
    """A type of another version is fine if such an event is recorded."""
    if type_ in EVENT_TYPES:
        return
    with reading(db):
        if events.has_type(db, type_):
            return
    from agentctl.core.near import did_you_mean, near_matches

    meant = did_you_mean(near_matches(type_, EVENT_TYPES))
    known = f"the types are {', '.join(EVENT_TYPES)}"
    raise UsageFault(f"no event has the type {type_}", hint=f"{meant} {known}".lstrip())


def recorded(runtime: Runtime, request: EventsRequest, ledger: Ledger) -> Iterator[Event]:
    """The lines that are there, oldest first."""
    db, cursor, left = runtime.readable_state, ledger.start, request.count
    while left is None or left > 0:
        with reading(db):
            page = _page(db, request, cursor, PAGE if left is None else min(PAGE, left))
        yield from page
        if left is not None:
            left -= len(page)
        if len(page) < PAGE:
            return
        cursor = page[-1].cursor


def followed(
    runtime: Runtime, request: EventsRequest, ledger: Ledger, *, until: Callable[[], bool]
) -> Iterator[Event]:
    """The lines that are there, then each new one as it is committed, until `until` holds.

    Reconciles about once a second, so that an ending which nobody recorded is noticed.
    """
    db, cursor = runtime.readable_state, ledger.start
    for number, _ in enumerate(ticks(interval=INTERVAL)):
        if number % LOOKS_PER_RECONCILE == LOOKS_PER_RECONCILE - 1:
            reconcile(runtime, db, now=runtime.clock())
        while True:
            with reading(db):
                newest = events.last_cursor(db)
                page = _page(db, request, cursor, PAGE)
            yield from page
            if len(page) < PAGE:
                # Lines that do not match are not read again, four times a second.
                cursor = max(cursor, newest)
                break
            cursor = page[-1].cursor
        if until():
            return


def _page(db: Database, request: EventsRequest, cursor: int, limit: int) -> list[Event]:
    return events.since(db, cursor, limit=limit, types=request.types, session_id=request.session_id)


def _before_last(db: Database, request: EventsRequest, newest: int) -> int:
    """The cursor after which the last `count` matching lines follow; looks back further and further."""
    count = DEFAULT_COUNT if request.count is None else request.count
    if count == 0:
        return newest
    span = count
    while True:
        start = max(newest - span, 0)
        found = _page(db, request, start, span)
        if len(found) >= count:
            return found[-count].cursor - 1
        if start == 0:
            return 0
        span *= 4
