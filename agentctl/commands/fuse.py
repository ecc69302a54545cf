"""`agentctl fuse`: deadlines of sessions and directories."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from agentctl.commands import _show
from agentctl.commands._options import DURATION, SESSION, json_option, pass_runtime, quiet_option

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from agentctl.core.model import Fuse
    from agentctl.runtime import Runtime

ACTIONS = ("stop", "none", "script", "webhook", "event")


class Time(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.4
    """An RFC 3339 instant → aware datetime; without an offset it is local time, as `date` prints it."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"'{value}' is not a time such as 2026-01-31T18:00 or 2026-01-31T18:00:00Z", param, ctx)


class FuseTargetType(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.4
    """Text as it is, completed from live sessions, else directories."""

    name = "target"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = SESSION.shell_complete(ctx, param, incomplete)
        return found or [CompletionItem(incomplete, type="dir")]


target_argument = click.argument("target", type=FuseTargetType())


@click.group(
    "fuse",
    epilog="""\b
Examples:
  agentctl fuse set 3f2a --for 2h
  agentctl fuse extend 3f2a --by 30m
  agentctl fuse set . --for 20m --command 'make check'
  agentctl fuse list
""",
)
def command() -> None:
    """List, set, extend and cancel deadlines.

    A fuse is a deadline. The fuse of a session stops the session; the fuse of a directory is a
    timer that runs a command, posts a webhook or records an event.
    TARGET is a session (id, name, native id, or the beginning of an id), a directory (with a
    slash, or . or ..), or the id of a fuse.

    A fuse fires once, not before its deadline, and at the first agentctl call after it. It
    fires on time, by the session's own timer, if the session was launched with --fuse or a
    warning. For all others `agentctl reap` in a crontab bounds the delay.
    """


@command.command("list")
@click.option("-a", "--all", "ended", is_flag=True, help="Also list fuses that have fired or were cancelled.")
@quiet_option
@json_option
@pass_runtime
def list_command(runtime: Runtime, ended: bool, quiet: bool, as_json: bool) -> None:
    """List armed fuses, the next to fire first.

    \b
    Exit status: 0 always, also for an empty list; 13 the state cannot be read.
    """
    from agentctl.ops.directories.fuses import list_fuses

    found = list_fuses(runtime, ended=ended)
    _show.answer(
        found,
        as_json=as_json,
        document=_fields,
        text=partial(_table, runtime),
        quiet=quiet,
        ids=lambda found: [fuse.id for fuse in found],
        typescript=_typescript if as_json and runtime.usual.compat else None,
    )


def _typescript(found: list[Fuse]) -> object:
    from agentctl.typescript import fuse_fields

    return [fuse_fields(fuse) for fuse in found]


def _table(runtime: Runtime, found: list[Fuse]) -> str:
    from agentctl.render import fuse_table

    color = _show.uses_color(runtime)
    return fuse_table(found, now=runtime.clock(), home=_show.home(runtime), color=color)


@command.command("set")
@target_argument
@click.option(
    "--for", "length", type=DURATION, help="Time from now until the deadline.  [default for directories: 10m]"
)
@click.option("--at", "deadline", type=Time(), help="The deadline, as 2026-01-31T18:00 or with an offset.")
@click.option(
    "--action",
    type=click.Choice(ACTIONS),
    help="Sessions: stop or none. Directories: script, webhook or event.  [default: stop; event]",
)
@click.option("--command", "script", metavar="CMD", help="Shell command for the action script.")
@click.option("--url", help="Address for the action webhook, instead of the configured one.")
@click.option("--warn", type=DURATION, help="Run the on_fuse_warn hook this long before the deadline.")
@json_option
@pass_runtime
def set_command(
    runtime: Runtime,
    target: str,
    length: timedelta | None,
    deadline: datetime | None,
    action: str | None,
    script: str | None,
    url: str | None,
    warn: timedelta | None,
    as_json: bool,
) -> None:
    """Arm a fuse, replacing the one that is armed.

    The fuse of a session stops the session. With --action none, it only makes the session
    count as running until the deadline if its process is alive, even if the agent's store
    does not list the session. The fuse of a directory runs a command there, posts a webhook,
    or just records an event.

    The agent's AGENTCTL_DEADLINE does not change: it is the deadline at launch.

    \b
    Examples:
      agentctl fuse set build --for 2h --warn 10m
      agentctl fuse set 3f2a --at 2026-01-31T18:00
      agentctl fuse set ./site --for 20m --command 'make publish'

    \b
    Exit status:
      0   armed
      1   the session has ended, is being stopped, or is not agentctl's own
      2   the deadline has passed, or the options contradict each other
      10  no such session or directory
    """
    from agentctl.core.model import FuseAction
    from agentctl.ops.directories.fuses import FuseRequest, set_fuse

    if length is not None and deadline is not None:
        raise click.UsageError("--for and --at cannot be used together")
    request = FuseRequest(
        target=target,
        length=length,
        deadline=deadline,
        action=FuseAction(action) if action else None,
        command=script,
        url=url,
        warn=warn,
    )
    _answer(runtime, set_fuse(runtime, request), as_json=as_json)


@command.command()
@target_argument
@click.option("--by", type=DURATION, required=True, help="How much later the fuse fires.")
@json_option
@pass_runtime
def extend(runtime: Runtime, target: str, by: timedelta, as_json: bool) -> None:
    """Move a deadline, and its warning, later.

    \b
    Exit status:
      0   extended
      1   the fuse has already fired, or its session has ended
      10  no such session or directory, or no fuse is armed
    """
    from agentctl.ops.directories import fuses

    _answer(runtime, fuses.extend(runtime, target, by), as_json=as_json)


@command.command()
@target_argument
@json_option
@pass_runtime
def cancel(runtime: Runtime, target: str, as_json: bool) -> None:
    """Disarm a fuse.

    \b
    Exit status:
      0   cancelled
      1   the fuse has already fired, or its session has ended
      10  no such session or directory, or no fuse is armed
    """
    from agentctl.ops.directories import fuses

    _answer(runtime, fuses.cancel(runtime, target), as_json=as_json)


fuses_command = copy(list_command)
fuses_command.name = "fuse list"


def _answer(runtime: Runtime, fuse: Fuse, *, as_json: bool) -> None:
    _show.answer([fuse], as_json=as_json, document=_fields, text=lambda _: _tell(runtime, fuse))


def _tell(runtime: Runtime, fuse: Fuse) -> None:
    from agentctl.core.durations import format_age
    from agentctl.core.model import FuseState

    whose = f"session {fuse.session_id[:8]}" if fuse.session_id else fuse.directory
    if fuse.state is FuseState.CANCELLED:
        _show.note(f"the fuse of {whose} is cancelled")
    else:
        when = format_age(fuse.deadline, runtime.now)
        _show.note(f"the fuse of {whose} fires {when}: action {fuse.action}")


def _fields(found: list[Fuse]) -> Mapping[str, object]:
    from agentctl.core.addresses import as_given

    return {
        "fuses": [
            {
                "id": fuse.id,
                "session_id": fuse.session_id,
                "directory": fuse.directory,
                "deadline": fuse.deadline,
                "action": fuse.action,
                "state": fuse.state,
                "warn_at": fuse.warn_at,
                "command": fuse.command,
                "url": as_given(fuse.url),
                "created_at": fuse.created_at,
            }
            for fuse in found
        ]
    }
