"""What `list` answers: live sessions, and on request those that ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from agentctl.core.model import FINAL, Status
from agentctl.ops.external.which import discovering
from agentctl.ops.found import Found
from agentctl.ops.sessions.find import live, refuse_unknown, settled
from agentctl.runtime import Runtime
from agentctl.store import fuses, sessions
from agentctl.store.db import reading

RECENT = timedelta(days=7)
"""How far back `list -a` looks."""


class ListRequest(NamedTuple):
    """Filters; None or empty means all."""

    ended: bool = False
    adapter: str | None = None
    statuses: frozenset[Status] = frozenset()
    group: str | None = None
    name: str | None = None
    since: datetime | None = None
    limit: int | None = None
    tracked_only: bool = False


def list_sessions(runtime: Runtime, request: ListRequest) -> list[Found]:
    """Sessions that match, newest first: live ones, and with `ended` (or a final status) the others.

    Raises AdapterUnavailable for an adapter that nobody provides and no session has.
    """
    db = runtime.readable_state
    if request.adapter is not None:
        refuse_unknown(db, request.adapter)
    found = {one.session.id: one for one in live(runtime, db)}
    wants_ended = request.ended or not FINAL.isdisjoint(request.statuses)
    horizon = request.since or runtime.now - RECENT
    if wants_ended:
        with reading(db):
            rows = sessions.recent(
                db,
                since=horizon,
                limit=None if request.statuses else request.limit,
                adapter=request.adapter,
                group=request.group,
                name=request.name,
            )
            burnt = fuses.for_sessions(db, [row.id for row in rows])
        for row in rows:
            found.setdefault(row.id, settled(runtime, row, burnt.get(row.id)))
    else:
        found = {key: one for key, one in found.items() if not one.session.is_settled}
    if not request.tracked_only and request.group is None and request.name is None:
        found |= _outside(runtime, request, wants_ended=wants_ended, horizon=horizon)
    chosen = sorted(_matching(found.values(), request), key=_newest_first)
    return chosen if request.limit is None else chosen[: request.limit]


def _outside(
    runtime: Runtime, request: ListRequest, *, wants_ended: bool, horizon: datetime
) -> dict[str, Found]:
    if not discovering(runtime):
        return {}
    from agentctl.ops.external.sessions import external_sessions

    return {
        one.session.id: one
        for one in external_sessions(
            runtime,
            runtime.readable_state,
            adapter=request.adapter,
            live_only=not wants_ended,
            since=horizon if wants_ended else None,
        )
        if not one.session.is_final or (wants_ended and (one.session.ended_at or horizon) >= horizon)
    }


def _matching(found: Iterable[Found], request: ListRequest) -> list[Found]:
    return [
        one
        for one in found
        if (request.adapter is None or one.session.adapter == request.adapter)
        and (not request.statuses or one.status in request.statuses)
        and (request.group is None or one.session.group == request.group)
        and (request.name is None or one.session.name == request.name)
        and (request.since is None or _instant(one) >= request.since)
    ]


def _instant(one: Found) -> datetime:
    return one.session.ended_at or one.session.started_at or one.session.created_at


def _newest_first(one: Found) -> float:
    return -one.session.created_at.timestamp()
