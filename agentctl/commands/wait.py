"""`agentctl wait`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import (
    ANY_SESSION,
    DURATION_OR_ZERO,
    GROUP,
    json_option,
    pass_runtime,
    quiet_option,
)

if TYPE_CHECKING:
    from agentctl.runtime import Runtime


@click.command("wait")
@click.argument("sessions", metavar="[ID...]", nargs=-1, type=ANY_SESSION)
@click.option("--group", type=GROUP, help="Wait for the sessions of this group.")
@click.option("--any", "any_of_them", is_flag=True, help="Until the first has ended.")
@click.option("--all", "_all", is_flag=True, help="Until all have ended.  [default]")
@click.option("--timeout", type=DURATION_OR_ZERO, help="Give up after this long.")
@click.option("--exit-code", is_flag=True, help="Exit as the agent itself did; for one ID.")
@quiet_option
@json_option
@pass_runtime
def command(
    runtime: Runtime,
    sessions: tuple[str, ...],
    group: str | None,
    any_of_them: bool,
    _all: bool,
    timeout: timedelta | None,
    exit_code: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Wait until sessions have ended.

    \b
    Examples:
      agentctl wait 3f2a
      agentctl wait --any --timeout 10m $(agentctl list -q)
      agentctl wait --exit-code build

    \b
    Exit status:
      0    all succeeded
      1    one neither succeeded nor was lost
      4    one was lost: it is gone, and nobody recorded how
      10   no such session
      124  gave up waiting
    """
    from agentctl.ops.find import find_all, in_group
    from agentctl.ops.wait import is_over, wait

    runtime.actor = "wait"
    if bool(sessions) == (group is not None):
        raise click.UsageError("name sessions, or give --group.")
    if any_of_them and _all:
        raise click.UsageError("--any and --all exclude each other.")
    targets = in_group(runtime, group) if group is not None else find_all(runtime, sessions)
    if exit_code and len(targets) != 1:
        raise click.UsageError("--exit-code passes on one session's code: give one ID.")
    waited = wait(runtime, targets, any_of_them=any_of_them, timeout=timeout)
    if as_json:
        click.echo(_show.sessions_document(runtime, waited.found))
    else:
        for one in waited.found:
            if quiet:
                if is_over(one):
                    click.echo(one.session.id)
            else:
                _show.note(f"session {one.session.id[:8]} {one.session.outcome or one.status}: {one.reason}")
    if waited.gave_up:
        _show.note("gave up waiting: the time of --timeout is over")
    if exit_code and not waited.gave_up and waited.found[0].session.exit_code is not None:
        return waited.found[0].session.exit_code
    return waited.exit_code
