"""`agentctl stop`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import (
    DURATION_OR_ZERO,
    GROUP,
    SESSION,
    adapter_option,
    json_option,
    pass_runtime,
    quiet_option,
)
from agentctl.errors import PartlyDone

if TYPE_CHECKING:
    from agentctl.ops.sessions.stop import Stopped
    from agentctl.runtime import Runtime


@click.command("stop")
@click.argument("sessions", metavar="[ID...]", nargs=-1, type=SESSION)
@click.option("--group", type=GROUP, help="Stop every session of this group.")
@click.option("--all", "everything", is_flag=True, help="Stop every session that agentctl launched.")
@click.option("--tree", is_flag=True, help="Also stop the sessions that these sessions launched, and so on.")
@click.option("--force", is_flag=True, help="Kill the agent at once, without asking it to end.")
@click.option(
    "--timeout",
    type=DURATION_OR_ZERO,
    help="How long to wait before killing the agent.  [default: stop.timeout, else the adapter's, 10s]",
)
@adapter_option
@quiet_option
@json_option
@pass_runtime
def command(
    runtime: Runtime,
    sessions: tuple[str, ...],
    group: str | None,
    everything: bool,
    tree: bool,
    force: bool,
    timeout: timedelta | None,
    adapter: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Stop sessions, gently first.

    Asks the agent to end, in the way its adapter prescribes, and kills the agent if it does
    not. Then ends everything that the agent started, in the same way, and names it. What a
    session that ended by itself left running is named too, but ended only with --force.
    Sessions that the agent launched through agentctl continue, unless --tree is given.

    With --force, a session of which nobody can say whether it lives, such as one of another
    machine, is given up as lost. It keeps its directory until `agentctl unlock`, or until
    agentctl can see that it has ended.

    \b
    Examples:
      agentctl stop 3f2a
      agentctl stop --all --timeout 2s
      agentctl stop --force build
      agentctl stop --tree planner

    \b
    Exit status:
      0   the sessions have ended, and so have all their processes
      3   some processes or containers could not be ended, or nobody can say; they are listed
      10  no such session
      11  the process of an external session could not be identified
    """
    from agentctl.ops.sessions.find import find_all, in_group, live
    from agentctl.ops.sessions.stop import StopRequest, stop, stop_trees

    if sum([bool(sessions), group is not None, everything]) != 1:
        raise click.UsageError("name sessions, or give --group or --all")
    if adapter is not None and not sessions:
        raise click.UsageError("--adapter narrows what ID may mean: name sessions")
    if everything:
        targets = [one for one in live(runtime, runtime.state) if not one.session.is_settled]
    else:
        targets = (
            in_group(runtime, group) if group is not None else find_all(runtime, sessions, adapter=adapter)
        )
    patience = runtime.usual.stop_timeout if timeout is None else timeout
    request = StopRequest(force=force, patience=patience)
    stopped = stop_trees(runtime, targets, request) if tree else stop(runtime, targets, request)
    _show.answer(
        stopped,
        as_json=as_json,
        document=lambda stopped: {
            **_show.sessions_fields(runtime, [one.found for one in stopped]),
            "processes": [process for one in stopped for process in _processes(one)],
        },
        text=_tell,
        quiet=quiet,
        ids=lambda stopped: [one.found.session.id for one in stopped],
    )
    if left := [one for one in stopped if _is_left(one)]:
        raise PartlyDone(
            "\n".join(map(_remains, left)),
            hint=_hint(left[0]),
        )


def _processes(one: Stopped) -> Iterator[Mapping[str, object]]:
    """Each process beside the agent, and what became of it."""
    for state, tree in (("ended", one.ended), ("survived", one.survivors), ("left", one.strays)):
        for target, name in tree.items():
            yield {
                "session_id": one.found.session.id,
                "pid": target.pid,
                "command": name,
                "state": state,
            }


def _tell(stopped: Sequence[Stopped]) -> None:
    from agentctl.core.sweeping import named

    for one in stopped:
        session = one.found.session
        if one.was_over:
            _show.note(f"session {session.id[:8]} has already ended: {one.found.reason}")
        else:
            reason = one.found.reason or "its end has not been seen"
            _show.note(f"session {session.id[:8]} {session.outcome or one.found.status}: {reason}")
        if one.ended:
            _show.note(f"session {session.id[:8]}: also ended {named(one.ended)}")
        if one.container and one.is_stray:
            _show.note(f"session {session.id[:8]}: {one.container}")
            _show.hint(f"agentctl stop --force {session.id[:8]} kills it")
        if one.strays:
            _show.note(f"session {session.id[:8]} has left these running: {named(one.strays)}")
            _show.hint(f"agentctl stop --force {session.id[:8]} kills them")


def _is_left(one: Stopped) -> bool:
    return bool(one.survivors) or (one.container is not None and not one.is_stray) or not one.is_over


def _hint(one: Stopped) -> str:
    from agentctl.ops.sessions.doubt import is_given_up, unlocking

    if is_given_up(one.found.session):
        return unlocking(one.found.session)
    return (
        f"agentctl why {one.found.session.id[:8]} shows what is left; --force kills at once,"
        " and gives up a session that cannot be reached"
    )


def _remains(one: Stopped) -> str:
    from agentctl.core.sweeping import named
    from agentctl.ops.sessions.doubt import is_given_up

    who = f"session {one.found.session.id[:8]}"
    if is_given_up(one.found.session):
        return f"{who} was given up: its process may still live where agentctl cannot look"
    if one.container and not one.survivors:
        return f"{who}: {one.container}"
    if not one.survivors:
        return f"{who}: its end has not been seen"
    return f"{who}: these processes could not be ended: {named(one.survivors)}"
