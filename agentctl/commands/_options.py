"""What commands share: the runtime, options, and the types of their arguments.

Imported by every command, so it loads Click and nothing else; what a type needs it
imports when it is used. Must not know any one command.
"""

from __future__ import annotations

import sys
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

MUCH = 100
"""As many files of agents' own stores are worth telling how far their reading has come."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
"""Parameter `as_json: bool`."""

quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print ids only.")
"""Parameter `quiet: bool`."""


def runtime_of(ctx: click.Context) -> Runtime:
    """The invocation's one Runtime: the `obj` that it was started with, or a real one, built now.

    Its actor is the command, whoever built it.
    """
    top = ctx.find_root()
    if top.obj is None:
        from agentctl.runtime import Runtime

        top.obj = Runtime.from_environment()
        top.call_on_close(top.obj.close)
    runtime = cast("Runtime", top.obj)
    runtime.actor = _verb(ctx)
    return runtime


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
        ctx = click.get_current_context()
        refuse_empty(ctx)
        runtime = runtime_of(ctx)
        if sys.stderr.isatty():
            runtime.progress = _tell_progress
        try:
            return function(runtime, *args, **kwargs)
        finally:
            for notice in dict.fromkeys(runtime.notices):
                click.echo(f"agentctl: warning: {notice}", err=True)

    return update_wrapper(with_runtime, function)


_MAY_BE_EMPTY = frozenset({"prompt", "values"})
"""Parameters that others judge: an adapter whether it needs a prompt, a setting what it may be."""


def refuse_empty(ctx: click.Context) -> None:
    """Raise UsageError for an empty argument or value, such as a script's variable that is not set."""
    for param in ctx.command.params:
        value = ctx.params.get(param.name or "")
        if param.name not in _MAY_BE_EMPTY and (value == "" or (isinstance(value, tuple) and "" in value)):
            raise click.UsageError(f"{_called(param)} is empty.", ctx)


def _called(param: click.Parameter) -> str:
    if isinstance(param, click.Option):
        return max(param.opts, key=len)
    if isinstance(param.type, Known):
        return "session ID" if param.type.name == "session" else param.type.name
    return param.human_readable_name.strip("[].")


def _tell_progress(agent: str, done: int, of: int) -> None:
    """A line that is written over, and goes when all is done; for what takes more than a moment."""
    if of >= MUCH:
        text = "" if done == of else f"reading the sessions of {agent}: {done:,} of {of:,}"
        click.echo(f"\r\x1b[K{text}", err=True, nl=False)


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
            self.fail(str(error), param, ctx)


class Size(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.4
    """`4096`, `500k`, `10MB`, `1GiB` → bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        from agentctl.core.sizes import parse_size

        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Since(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.4
    """A duration ago → timedelta, or an RFC 3339 instant → aware datetime; `instant` makes it one."""

    name = "since"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | datetime:
        if isinstance(value, (timedelta, datetime)):
            return value
        from agentctl.core.durations import TooLong, parse_duration

        try:
            return parse_duration(value)
        except TooLong:
            return timedelta.max  # longer ago than anything is recorded
        except ValueError:
            pass  # then it is an instant, or neither
        try:
            # Without an offset it is local time, as `date` prints it.
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"'{value}' is neither a duration (10m, 2h, 1d) nor a time (2026-01-31T18:00:00Z)",
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


class Count(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.4
    """A whole number from `least` to what a database and a loop can bear."""

    name = "count"
    most = 2**31 - 1

    def __init__(self, least: int) -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            count = int(value)
        except ValueError:
            self.fail(f"'{value}' is not a whole number of {self.least} or more", param, ctx)
        if count < self.least:
            self.fail(f"{count} is too small; the least is {self.least}", param, ctx)
        if count > self.most:
            self.fail(f"{count} is too large; the most is {self.most}", param, ctx)
        return count


class Known(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.4
    """Text as it is, completed from what exists. `source` is a function of `agentctl.commands._complete`.

    Whether the object exists is the operation's business; only a string without the `form` that
    all of them have is refused here.
    """

    def __init__(
        self, name: str, source: str, *, form: str = "", looks: str = "", is_path: bool = False
    ) -> None:
        self.name = name
        self.source = source
        self.form = form
        self.looks = looks
        self.is_path = is_path
        """It may also be a path, which is taken as it is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        # What came through a terminal or from a file of Windows ends with a carriage return.
        text = str(value) if self.is_path else str(value).strip("\r\n")
        if self.form:
            import re

            if not re.fullmatch(self.form, text):
                self.fail(f"'{text}' is not a {self.name}: {self.looks}", param, ctx)
        return text

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from agentctl.commands import _complete

        return _complete.items(self.source, incomplete, taken=ctx.params.get(param.name or ""))


COUNT_FROM_0 = Count(0)
COUNT_FROM_1 = Count(1)

DURATION = Duration()
DURATION_OR_ZERO = Duration(allow_zero=True)
SINCE = Since()
SIZE = Size()
SESSION = Known("session", "live_sessions")
ANY_SESSION = Known("session", "any_sessions")
ENDED_SESSION = Known("session", "ended_sessions")
GROUP = Known(
    "group", "groups", form="g-[0-9a-f]{6}", looks="a group is g- and six hex digits, such as g-0a1b2c"
)
ADAPTER = Known("adapter", "adapters")
WORKTREE = Known("worktree", "worktrees", is_path=True)
LOCKED_DIRECTORY = Known("directory", "locked_directories", is_path=True)

adapter_option = click.option("--adapter", type=ADAPTER, help="ID means a session of this adapter.")
"""Parameter `adapter: str | None`."""
