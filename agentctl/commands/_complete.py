"""What exists, for shell completion: sessions, names, groups, adapters, held directories.

Reads the state as it is recorded and reconciles nothing: a completion must be quick
and change nothing. It never fails: if anything goes wrong, it offers nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from agentctl.store.glance import Glimpse

Pair = tuple[str, str | None]
"""A value and what to show beside it."""

PROMPT_WIDTH = 60


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
        found = []
    if not found and source in ("locked_directories", "worktrees") and incomplete:
        return [CompletionItem(incomplete, type="dir")]
    return found


def live_sessions() -> list[Pair]:
    from agentctl.store import glance

    with glance.opened(_database()) as db:
        return _pairs(glance.live(db))


def any_sessions() -> list[Pair]:
    from agentctl.store import glance

    with glance.opened(_database()) as db:
        return _pairs([*glance.live(db), *glance.settled(db)])


def ended_sessions() -> list[Pair]:
    from agentctl.store import glance

    with glance.opened(_database()) as db:
        return _pairs(glance.settled(db))


def groups() -> list[Pair]:
    from agentctl.store import glance

    prompts: dict[str, str | None] = {}
    with glance.opened(_database()) as db:
        for each in [*glance.live(db), *glance.settled(db)]:
            if each.group:
                prompts.setdefault(each.group, _about(each))
    return list(prompts.items())


def adapters() -> list[Pair]:
    """Built-in ones: looking for others costs more than a completion may."""
    from agentctl.adapters.registry import ADAPTERS

    return [(name, None) for name in ADAPTERS]


def locked_directories() -> list[Pair]:
    from agentctl.core.text import one_line
    from agentctl.store import glance

    with glance.opened(_database()) as db:
        return list({place: f"held by {one_line(holder, 50)}" for place, holder in glance.held(db)}.items())


def worktrees() -> list[Pair]:
    """Sessions that ran in a worktree, and the worktrees that are still there."""
    from agentctl.core.text import one_line
    from agentctl.store import glance

    with glance.opened(_database()) as db:
        found = glance.in_worktrees(db)
    pairs: dict[str, str | None] = {}
    for session_id, directory, branch in found:
        if os.path.isdir(directory):
            pairs[session_id] = one_line(branch or "", PROMPT_WIDTH)
            pairs.setdefault(directory, one_line(branch or "", PROMPT_WIDTH))
    return list(pairs.items())


_SOURCES: dict[str, Callable[[], list[Pair]]] = {
    each.__name__: each
    for each in (live_sessions, any_sessions, ended_sessions, groups, adapters, locked_directories, worktrees)
}


def _database() -> str:
    from agentctl.host.paths import Paths

    return Paths.from_environment(os.environ).database


def _pairs(sessions: list[Glimpse]) -> list[Pair]:
    """Each session's id, and its name if it has one; a name used twice is offered once."""
    pairs: dict[str, str | None] = {}
    for each in sessions:
        about = _about(each)
        pairs[each.id] = about
        if each.name:
            pairs.setdefault(each.name, about)
    return list(pairs.items())


def _about(session: Glimpse) -> str:
    from agentctl.core.text import one_line

    # Prompts come from anywhere: nothing in them may reach the terminal as a command to it.
    return one_line(session.prompt or "", PROMPT_WIDTH) or session.adapter


def _is_printable(value: str) -> bool:
    """The shells get one value a line; one with a line end or an escape in it cannot be given."""
    return value.isprintable()
