"""Printing what operations return: documents on request, else tables and records.

The only place that asks the terminal how wide it is and whether it shows colour.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from agentctl.ops.find import Found
    from agentctl.render import SessionView
    from agentctl.runtime import Runtime


def uses_color(runtime: Runtime) -> bool:
    """Colour only on a terminal, and not where NO_COLOR or TERM=dumb forbids it."""
    return (
        sys.stdout.isatty() and not runtime.environ.get("NO_COLOR") and runtime.environ.get("TERM") != "dumb"
    )


def width(runtime: Runtime) -> int:
    """Columns of the terminal; plenty where the output is a file or a pipe."""
    from agentctl.render import PLAIN_WIDTH

    columns = runtime.environ.get("COLUMNS", "")
    if not sys.stdout.isatty():
        return PLAIN_WIDTH
    if columns.isdigit() and int(columns) > 0:
        return int(columns)
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80


def home(runtime: Runtime) -> str | None:
    return runtime.environ.get("HOME")


def sessions_document(runtime: Runtime, found: Iterable[Found]) -> str:
    """The one JSON document that every verb about sessions answers with."""
    from agentctl.documents import session_document, sessions_json

    now = runtime.clock()
    return sessions_json(
        session_document(
            one.session, one.fuse, reason=one.reason, shown=one.shown, log_path=one.log_path, now=now
        )
        for one in found
    )


def sessions_table(runtime: Runtime, found: Sequence[Found], *, tree: bool = False) -> str:
    from agentctl.render import as_tree, session_table

    views = [view(one) for one in found]
    return session_table(
        as_tree(views) if tree else views,
        now=runtime.clock(),
        home=home(runtime),
        width=width(runtime),
        color=uses_color(runtime),
    )


def session_records(runtime: Runtime, found: Iterable[Found]) -> str:
    from agentctl.render import session_record

    now, color = runtime.clock(), uses_color(runtime)
    return "\n\n".join(session_record(view(one), now=now, home=home(runtime), color=color) for one in found)


def view(one: Found) -> SessionView:
    from agentctl.render import SessionView

    return SessionView(
        session=one.session, fuse=one.fuse, shown=one.shown, reason=one.reason, log_path=one.log_path
    )


def note(message: str) -> None:
    """Talk: on standard error, cleaned of anything a terminal would obey."""
    from agentctl.core.text import clean

    click.echo(f"agentctl: {clean(message)}", err=True)
