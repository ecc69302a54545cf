"""Printing what operations return: documents on request, else tables and records.

The only place that asks the terminal how wide it is and whether it shows colour.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from agentctl.core.model import Lock
    from agentctl.ops.found import Found
    from agentctl.runtime import Runtime

T = TypeVar("T")


def answer(
    result: T,
    *,
    as_json: bool,
    document: Callable[[T], Mapping[str, object]],
    text: Callable[[T], str | None],
    quiet: bool = False,
    ids: Callable[[T], Iterable[str]] = lambda _: (),
    typescript: Callable[[T], object] | None = None,
) -> None:
    """Print a result in the form that was asked for: one JSON document, ids, or text for people.

    `typescript` gives what the TypeScript agentctl would print in place of the document.

    `document` gives the document's fields. `text` gives what is printed, if anything; notes
    about the result, which belong on standard error, it writes itself.
    """
    if as_json:
        from agentctl.documents import document as encoded
        from agentctl.documents import to_json

        shown: str | None = to_json(typescript(result)) if typescript else encoded(**document(result))
    elif quiet:
        shown = "\n".join(ids(result))
    else:
        shown = text(result)
    if shown:
        # Whoever made the text has decided about colours; a name is printed as it is.
        click.echo(shown, color=True)


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


def sessions_fields(runtime: Runtime, found: Iterable[Found]) -> Mapping[str, object]:
    """The fields of the one JSON document that every verb about sessions answers with."""
    from agentctl.documents import session_document

    now = runtime.clock()
    return {"sessions": [session_document(one, now) for one in found]}


def lock_fields(locks: Iterable[Lock]) -> list[Mapping[str, object]]:
    """Each lock with every key of the schema, in its order."""
    return [
        {
            "directory": lock.directory,
            "holder": lock.holder,
            "kind": lock.kind.value,
            "session_id": lock.session_id,
            "reason": lock.reason,
            "created_at": lock.created_at,
            "expires_at": lock.expires_at,
        }
        for lock in locks
    ]


def sessions_table(runtime: Runtime, found: Sequence[Found], *, tree: bool = False) -> str:
    from agentctl.render import as_tree, session_table

    return session_table(
        as_tree(found) if tree else found,
        now=runtime.clock(),
        home=home(runtime),
        width=width(runtime),
        color=uses_color(runtime),
    )


def session_records(runtime: Runtime, found: Iterable[Found]) -> str:
    from agentctl.render import session_record

    now, color = runtime.clock(), uses_color(runtime)
    return "\n\n".join(session_record(one, now=now, home=home(runtime), color=color) for one in found)


def hint(text: str | None) -> None:
    """The way out of what was told before, in the form that errors have."""
    from agentctl.core.text import clean

    if text:
        click.echo(f"hint: {clean(text)}", err=True)


def outcome(one: Found) -> None:
    """Tell people how a session ended, or what it is doing."""
    note(f"session {one.session.id[:8]} {one.session.outcome or one.status}: {one.reason}")


def note(message: str) -> None:
    """Talk: on standard error, cleaned of anything a terminal would obey."""
    from agentctl.core.text import clean

    click.echo(f"agentctl: {clean(message)}", err=True)
