"""`agentctl list`."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import (
    ADAPTER,
    COUNT_FROM_1,
    GROUP,
    SINCE,
    instant,
    json_option,
    pass_runtime,
    quiet_option,
)

if TYPE_CHECKING:
    from agentctl.ops.sessions.list import ListRequest
    from agentctl.runtime import Runtime

STATUSES = ("starting", "running", "idle", "stopping", "stopped", "error")


@click.command("list")
@click.option("-a", "--all", "ended", is_flag=True, help="Also list sessions that ended in the last 7 days.")
@click.option("--adapter", type=ADAPTER, help="Only sessions of this adapter.")
@click.option(
    "--status", type=click.Choice(STATUSES), multiple=True, help="Only sessions with this status; repeatable."
)
@click.option("--group", type=GROUP, help="Only sessions of this group.")
@click.option("--name", help="Only sessions with this name.")
@click.option("--since", type=SINCE, help="Only sessions newer than this (2h, or a time).")
@click.option("--limit", type=COUNT_FROM_1, help="List at most this many sessions.")
@click.option("--tree", is_flag=True, help="Show sessions below those that launched them.")
@quiet_option
@json_option
@pass_runtime
def command(
    runtime: Runtime,
    ended: bool,
    adapter: str | None,
    status: tuple[str, ...],
    group: str | None,
    name: str | None,
    since: timedelta | datetime | None,
    limit: int | None,
    tree: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """List live sessions, newest first.

    Shows sessions that agentctl launched and those found in the agents' own stores. A
    status with a star (stopped*) means that the agent's store no longer lists the session,
    but its process lingers (is still there): `agentctl reap` ends the process.

    \b
    Examples:
      agentctl list
      agentctl list -a --since 2h
      agentctl list -q --status running

    \b
    Exit status:
      0   always, also for an empty list
      2   usage error
      12  no such adapter
      13  the state cannot be read
    """
    from agentctl.core.model import Status
    from agentctl.ops.sessions.list import ListRequest, list_sessions

    request = ListRequest(
        ended=ended,
        adapter=adapter,
        statuses=frozenset(Status(value) for value in status),
        group=group,
        name=name,
        since=instant(since, runtime.now) if since is not None else None,
        limit=limit,
    )
    if as_json and runtime.usual.compat:
        _print_typescript(runtime, request)
        return
    found = list_sessions(runtime, request)
    _show.answer(
        found,
        as_json=as_json,
        document=partial(_show.sessions_fields, runtime),
        text=partial(_show.sessions_table, runtime, tree=tree),
        quiet=quiet,
        ids=lambda found: [one.session.id for one in found],
    )


def _print_typescript(runtime: Runtime, request: ListRequest) -> None:
    """The sessions as the TypeScript agentctl lists them, those that have just ended among them."""
    from agentctl import typescript
    from agentctl.documents import to_json
    from agentctl.ops.sessions.list import list_sessions

    wanted = {typescript.status_of(status) for status in request.statuses}
    everything = request._replace(ended=True, statuses=frozenset(), limit=None)
    shown = [
        typescript.session_fields(one.session, one.status)
        for one in list_sessions(runtime, everything)
        if request.ended or typescript.stays(one.session, runtime.now)
    ]
    click.echo(to_json([one for one in shown if not wanted or one["status"] in wanted][: request.limit]))
