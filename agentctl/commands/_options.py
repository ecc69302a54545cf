"""What commands share: the runtime, options, and the types of their arguments.

Imported by every command, so it loads Click and nothing else; what a type needs it
imports when it is used. Must not know any one command.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from agentctl.runtime import Runtime

P = ParamSpec("P")
R = TypeVar("R")

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
"""Parameter `as_json: bool`."""

quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print ids only.")
"""Parameter `quiet: bool`."""


def runtime_of(ctx: click.Context) -> Runtime:
    """The invocation's one Runtime: the `obj` that it was started with, or a real one, built now."""
    top = ctx.find_root()
    if top.obj is None:
        from agentctl.runtime import Runtime

        top.obj = Runtime.from_environment(actor=_verb(ctx))
        top.call_on_close(top.obj.close)
    return cast("Runtime", top.obj)


def _verb(ctx: click.Context) -> str:
    """The command's own name, whichever alias was typed: `stop`, `fuse set`."""
    names: list[str] = []
    while ctx.parent is not None:
        names.insert(0, ctx.command.name or "")
        ctx = ctx.parent
    return " ".join(names) or "agentctl"


def pass_runtime(function: Callable[Concatenate[Runtime, P], R]) -> Callable[P, R]:
    """Call a command with the Runtime as its first argument. The decorator next to the function."""

    def with_runtime(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(runtime_of(click.get_current_context()), *args, **kwargs)

    return update_wrapper(with_runtime, function)


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.4
    """`90s`, `10m`, `1h30m`, `1d` → timedelta. `0` too where `allow_zero`."""

    name = "duration"

    def __init__(self, *, allow_zero: bool = False) -> None:
        self.allow_zero = allow_zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        from agentctl.core.durations import parse_duration

        try:
            return parse_duration(value, allow_zero=self.allow_zero)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class Since(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.4
    """A duration ago → timedelta, or an RFC 3339 instant → aware datetime; `instant` makes it one."""

    name = "since"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | datetime:
        if isinstance(value, (timedelta, datetime)):
            return value
        from agentctl.core.durations import parse_duration

        try:
            return parse_duration(value)
        except ValueError:
            pass  # then it is an instant, or neither
        try:
            # Without an offset it is local time, as `date` prints it.
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"'{value}' is neither a duration (10m, 2h, 1d) nor a time (2026-01-31T18:00:00Z).",
                param,
                ctx,
            )


def instant(since: timedelta | datetime, now: datetime) -> datetime:
    """The instant that a value of type SINCE means, seen from `now`."""
    if isinstance(since, datetime):
        return since
    try:
        return now - since
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


class Known(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.4
    """Text as it is, completed from what exists. `source` is a function of `agentctl.commands._complete`.

    Nothing is checked here: whether the object exists is the operation's business.
    """

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from agentctl.commands import _complete

        return _complete.items(self.source, incomplete, taken=ctx.params.get(param.name or ""))


COUNT_FROM_0 = click.IntRange(min=0, max=2**31 - 1)
COUNT_FROM_1 = click.IntRange(min=1, max=2**31 - 1)
"""Whole numbers that a database and a loop can bear."""

DURATION = Duration()
DURATION_OR_ZERO = Duration(allow_zero=True)
SINCE = Since()
SESSION = Known("session", "live_sessions")
ANY_SESSION = Known("session", "any_sessions")
ENDED_SESSION = Known("session", "ended_sessions")
GROUP = Known("group", "groups")
ADAPTER = Known("adapter", "adapters")
WORKTREE = Known("worktree", "worktrees")
LOCKED_DIRECTORY = Known("directory", "locked_directories")
