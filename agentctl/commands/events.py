"""`agentctl events`."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from agentctl.commands import _show
from agentctl.commands._options import ANY_SESSION, COUNT_FROM_0, SINCE, instant, pass_runtime
from agentctl.streams import has_no_reader

if TYPE_CHECKING:
    from agentctl.core.ledger import Event
    from agentctl.ops.state.events import EventsRequest, Ledger
    from agentctl.runtime import Runtime


class Position(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.4
    """A cursor → int; else whatever SINCE makes of it."""

    name = "position"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | timedelta | datetime:
        if isinstance(value, int):
            return value
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
            return int(value)
        return SINCE.convert(value, param, ctx)


@click.command("events")
@click.option(
    "--since",
    type=Position(),
    metavar="CURSOR|TIME",
    help="Only events after this cursor or time (2h, or a time).  [default: the last 20]",
)
@click.option("-n", "count", type=COUNT_FROM_0, metavar="N", help="Print at most N events.")
@click.option("-f", "--follow", is_flag=True, help="Keep printing new events until interrupted.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only events of this type; repeatable.")
@click.option("--session", metavar="ID", type=ANY_SESSION, help="Only events of this session.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document per line.")
@pass_runtime
def command(
    runtime: Runtime,
    since: int | timedelta | datetime | None,
    count: int | None,
    follow: bool,
    types: tuple[str, ...],
    session: str | None,
    as_json: bool,
) -> None:
    """Print or follow events.

    Every event has a cursor, the number at the beginning of its line. A program that keeps
    the last cursor it has seen, and gives it to --since, misses nothing and sees nothing
    twice. Events are kept when their sessions are forgotten.

    Without --since, -n limits the output to the newest N events; with --since, to the first
    N after that point.

    \b
    Examples:
      agentctl events -f
      agentctl events --since 1h --type session.stopped --type session.error
      agentctl events --json --since 1024 | jq -r .reason

    \b
    Exit status:
      0    printed; also if the reader of -f has closed the pipe
      2    usage error
      10   no such session
      13   the state cannot be read
      130  interrupted
    """
    from agentctl.ops.state.events import EventsRequest, open_ledger, session_of

    if follow and since is not None and count is not None:
        raise click.UsageError("--follow takes --since or -n, not both")
    runtime.watches = follow
    request = EventsRequest(
        since=since if since is None or isinstance(since, int) else instant(since, runtime.now),
        count=count,
        types=types,
        session_id=None if session is None else session_of(runtime, session),
    )
    ledger = open_ledger(runtime, request)
    if isinstance(since, int) and since > ledger.newest:
        _show.note(f"cursor {since} is beyond the newest event ({ledger.newest}): was the database rebuilt?")
    _print(runtime, request, ledger, follow=follow, as_json=as_json)


def _print(runtime: Runtime, request: EventsRequest, ledger: Ledger, *, follow: bool, as_json: bool) -> None:
    from agentctl.ops.state.events import followed, recorded

    if follow:
        found = followed(runtime, request, ledger, until=lambda: has_no_reader(sys.stdout))
    else:
        found = recorded(runtime, request, ledger)
    for event in found:
        click.echo(_line(runtime, event, as_json=as_json))


def _line(runtime: Runtime, event: Event, *, as_json: bool) -> str:
    if as_json and runtime.usual.compat:
        from agentctl import typescript
        from agentctl.documents import to_json
        from agentctl.ops.state.events import session_row

        return to_json(typescript.event_fields(event, session_row(runtime, event.session_id)))
    if as_json:
        from agentctl.documents import event_line

        return event_line(event)
    from agentctl.render import event_text

    return event_text(event, now=runtime.clock(), color=_show.uses_color(runtime))
