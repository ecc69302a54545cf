"""What exists, for shell completion: sessions, names, groups, adapters, held directories.

Reads the state as it is recorded and reconciles nothing: a completion must be quick
and change nothing. It never fails: whatever goes wrong, there are no completions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from agentctl.store.db import Database

Pair = tuple[str, str | None]
"""A value and what to show beside it."""

PROMPT_WIDTH = 60
_BUSY = timedelta(milliseconds=100)


class _Named(Protocol):
    """What is shown of a session: a row, or its summary."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def prompt(self) -> str | None: ...
    @property
    def adapter(self) -> str: ...
    @property
    def group(self) -> str | None: ...


def items(source: str, incomplete: str, *, taken: object = None) -> list[CompletionItem[str]]:
    """Completions of `incomplete` from the `source` of this name, without those already on the line."""
    used = frozenset(taken) if isinstance(taken, (tuple, list)) else frozenset()
    try:
        found = [
            CompletionItem(value, help=text)
            for value, text in _SOURCES[source]()
            if value.startswith(incomplete) and value not in used and _is_printable(value)
        ]
    except Exception:
        # No state yet, a damaged one, one of a newer version: a message would land in the prompt.
        return []
    if not found and source == "locked_directories" and incomplete:
        return [CompletionItem(incomplete, type="dir")]
    return found


def live_sessions() -> list[Pair]:
    with _state() as db:
        from agentctl.store import sessions

        return _pairs(sessions.unsettled(db))


def any_sessions() -> list[Pair]:
    with _state() as db:
        from agentctl.store import sessions

        return _pairs(sessions.summaries(db))


def ended_sessions() -> list[Pair]:
    with _state() as db:
        from agentctl.store import sessions

        live = {session.id for session in sessions.unsettled(db)}
        return _pairs(each for each in sessions.summaries(db) if each.id not in live)


def groups() -> list[Pair]:
    with _state() as db:
        from agentctl.store import sessions

        prompts: dict[str, str | None] = {}
        for each in sessions.summaries(db):
            if each.group:
                prompts.setdefault(each.group, _about(each))
        return list(prompts.items())


def adapters() -> list[Pair]:
    """Built-in ones: looking for others costs more than a completion may."""
    from agentctl.adapters.registry import ADAPTERS

    return [(name, None) for name in ADAPTERS]


def locked_directories() -> list[Pair]:
    with _state() as db:
        from agentctl.core.text import one_line
        from agentctl.store import locks

        return list(
            {lock.directory: f"held by {one_line(lock.holder, 50)}" for lock in locks.all(db)}.items()
        )


_SOURCES: dict[str, Callable[[], list[Pair]]] = {
    each.__name__: each
    for each in (live_sessions, any_sessions, ended_sessions, groups, adapters, locked_directories)
}


@contextmanager
def _state() -> Iterator[Database]:
    from agentctl.host.paths import Paths
    from agentctl.store.db import connect

    path = Paths.from_environment(os.environ).database
    os.stat(path)  # a Tab makes no database where there is none
    db = connect(path, busy=_BUSY, read_only_ok=True)
    try:
        yield db
    finally:
        db.close()


def _pairs(sessions: Iterable[_Named]) -> list[Pair]:
    """Each session's id, and its name if it has one; a name used twice is offered once."""
    pairs: dict[str, str | None] = {}
    for each in sessions:
        about = _about(each)
        pairs[each.id] = about
        if each.name:
            pairs.setdefault(each.name, about)
    return list(pairs.items())


def _about(session: _Named) -> str:
    from agentctl.core.text import one_line

    # Prompts come from anywhere: nothing in them may reach the terminal as a command to it.
    return one_line((session.prompt or "")[:500], PROMPT_WIDTH) or session.adapter


def _is_printable(value: str) -> bool:
    """The shells get one value a line; one with a line end or an escape in it cannot be given."""
    return value.isprintable()
