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
    from collections.abc import Sequence

    from agentctl.ops.found import Found
    from agentctl.ops.sessions.wait import Waited
    from agentctl.runtime import Runtime


@click.command("wait")
@click.argument("sessions", metavar="[ID...]", nargs=-1, type=ANY_SESSION)
@click.option("--group", type=GROUP, help="Wait for the sessions of this group.")
@click.option("--any", "any_of_them", is_flag=True, help="Wait until the first has ended.")
@click.option("--all", "_all", is_flag=True, help="Wait until all have ended.  [default]")
@click.option("--first-success", is_flag=True, help="Wait until the first has succeeded, or all have ended.")
@click.option("--stop-rest", is_flag=True, help="Afterwards, stop the others; with --any or --first-success.")
@click.option(
    "--timeout", type=DURATION_OR_ZERO, help="Give up after this long.  [default: wait.timeout, else never]"
)
@click.option("--exit-code", is_flag=True, help="Exit with the agent's own exit code; for one ID.")
@quiet_option
@json_option
@pass_runtime
def command(
    runtime: Runtime,
    sessions: tuple[str, ...],
    group: str | None,
    any_of_them: bool,
    _all: bool,
    first_success: bool,
    stop_rest: bool,
    timeout: timedelta | None,
    exit_code: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Wait for sessions to end.

    \b
    Examples:
      agentctl wait 3f2a
      agentctl wait --any --timeout 10m $(agentctl list -q)
      agentctl wait --exit-code build
      agentctl wait --group g-3f2a1b --first-success --stop-rest

    \b
    Exit status:
      0    all succeeded; with --first-success one did
      1    a session ended as neither succeeded nor lost
      3    with --stop-rest: one of the others could not be ended
      4    a session was lost: the process is gone, and nobody recorded how it ended
      10   no such session
      124  timed out
    """
    from agentctl.ops.sessions.find import find_all, in_group
    from agentctl.ops.sessions.wait import is_over, wait

    if bool(sessions) == (group is not None):
        raise click.UsageError("name sessions or give --group, one of them")
    if sum([any_of_them, _all, first_success]) > 1:
        raise click.UsageError("only one of --any, --all and --first-success can be used")
    if stop_rest and not (any_of_them or first_success):
        raise click.UsageError("--stop-rest needs --any or --first-success")
    targets = in_group(runtime, group) if group is not None else find_all(runtime, sessions)
    if exit_code and len(targets) != 1:
        raise click.UsageError("--exit-code needs exactly one ID")
    timeout = runtime.usual.wait_timeout if timeout is None else timeout
    waited = wait(runtime, targets, any_of_them=any_of_them, first_success=first_success, timeout=timeout)
    left = False
    if stop_rest and not waited.gave_up:
        waited, left = _stop_rest(runtime, targets, waited, first_success=first_success)
    _show.answer(
        waited,
        as_json=as_json,
        document=lambda waited: _show.sessions_fields(runtime, waited.found),
        text=_tell,
        quiet=quiet,
        ids=_ids,
    )
    if waited.gave_up:
        _show.note(_timed_out(timeout, [one for one in waited.found if not is_over(one)]))
    if exit_code and not waited.gave_up and waited.found[0].session.exit_code is not None:
        return waited.found[0].session.exit_code
    return waited.exit_code or (3 if left else 0)


def _tell(waited: Waited) -> None:
    for one in waited.found:
        _show.outcome(one)


def _ids(waited: Waited) -> list[str]:
    """The one that was waited for, or all that have ended."""
    from agentctl.ops.sessions.wait import is_over

    if waited.winner is not None:
        return [waited.winner.session.id]
    return [one.session.id for one in waited.found if is_over(one)]


def _timed_out(timeout: timedelta | None, running: Sequence[Found]) -> str:
    from agentctl.core.durations import format_duration

    names = " and ".join(
        f'"{one.session.name}"' if one.session.name else one.session.id[:8] for one in running
    )
    waited = "" if timeout is None else f" after {format_duration(timeout)}"
    return f"timed out{waited}; {names} {'is' if len(running) == 1 else 'are'} still running"


def _stop_rest(
    runtime: Runtime, targets: Sequence[Found], waited: Waited, *, first_success: bool
) -> tuple[Waited, bool]:
    """Stop the sessions still running. Returns the final state of all, and whether a process is left."""
    from dataclasses import replace

    from agentctl.ops.sessions.find import find_all
    from agentctl.ops.sessions.stop import StopRequest, stop
    from agentctl.ops.sessions.wait import is_over

    if first_success and waited.winner is None:
        return waited, False  # all have ended
    done = {one.session.id for one in waited.found if is_over(one)}
    rest = [one for one in targets if one.session.id not in done]
    stopped = (
        stop(runtime, find_all(runtime, [one.session.id for one in rest]), StopRequest()) if rest else []
    )
    ended = {one.found.session.id: one.found for one in stopped}
    for one in stopped:
        if not first_success:
            _show.note(f"session {one.found.session.id[:8]} {one.found.session.outcome}: {one.found.reason}")
    found = tuple(ended.get(one.session.id, one) for one in waited.found)
    return replace(waited, found=found), any(one.survivors or not one.is_over for one in stopped)
