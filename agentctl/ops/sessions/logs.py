"""What agents print, made readable by their adapters: `logs`.

Everything that people are to read
is cleaned here, because cleaning can make several lines of one. Must not print.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TypeVar

from agentctl.adapters import registry
from agentctl.adapters.base import Adapter, Message, Role, plain_lines
from agentctl.core.ids import short
from agentctl.core.model import Session
from agentctl.core.text import clean, one_line
from agentctl.errors import AdapterUnavailable, UsageFault
from agentctl.host import logs
from agentctl.ops.reconcile.observe import has_ended
from agentctl.runtime import Runtime

T = TypeVar("T")

WINDOW_LIMIT = 8 * 1024 * 1024
"""Bytes of a log that are searched for something to show."""

Until = Callable[[], bool]
"""Whether there is no more to follow."""


def shown_lines(runtime: Runtime, session: Session, count: int, until: Until | None = None) -> Iterator[str]:
    """The last `count` lines as people read them, and with `until` those that follow."""
    return _output(runtime, session, count, until, readable)


def shown_messages(
    runtime: Runtime, session: Session, count: int, until: Until | None = None
) -> Iterator[Message]:
    """The last `count` entries of the output as values, and with `until` those that follow."""
    return _output(runtime, session, count, until, iter)


def raw_output(runtime: Runtime, session: Session, count: int, until: Until | None = None) -> Iterator[bytes]:
    """The last `count` lines of the log byte by byte, and with `until` what follows."""
    _refuse_external(session)
    path = runtime.paths.session(session.id).log
    return _stream(path, *logs.tail_span(path, count), until)


def readable(messages: Iterable[Message]) -> Iterator[str]:
    """Messages as cleaned lines of text: prompts, tools and errors are marked as such."""
    for message in messages:
        lead = _lead(message)
        for line in clean(message.text).split("\n"):
            yield lead + line


def _lead(message: Message) -> str:
    if message.role == Role.USER:
        return "> "
    if message.role == Role.TOOL:
        return f"[{one_line(message.tool or 'tool', 40)}] "
    return "error: " if message.role == Role.ERROR else ""


def is_over(runtime: Runtime, session: Session) -> Until:
    """Tells, by a fresh look each time it is called, that nothing more will be written."""
    files = runtime.paths.session(session.id)
    return lambda: session.is_settled or has_ended(session, files)


def _output(
    runtime: Runtime,
    session: Session,
    count: int,
    until: Until | None,
    show: Callable[[Iterator[Message]], Iterator[T]],
) -> Iterator[T]:
    """The end of a session's output through its adapter and `show`. One found elsewhere has a transcript."""
    adapter = adapter_of(session)
    path = runtime.paths.session(session.id).log
    if session.is_external and adapter is not None:
        if until is not None:
            _refuse_external(session)
        return iter(last(show(adapter.messages(session, path)), count))

    def shown(chunks: Iterable[bytes]) -> Iterator[T]:
        lines = logs.lines(chunks)
        return show(plain_lines(lines) if adapter is None else adapter.log_messages(lines))

    start, end, surplus = _window(path, count, shown)
    return islice(shown(_stream(path, start, end, until)), surplus, None)


def _window(path: str, count: int, shown: Callable[[Iterable[bytes]], Iterator[T]]) -> tuple[int, int, int]:
    """Where to read a log so that `count` items come out of it, and how many too many will.

    Of a JSON log a line can make no item or many, so the window grows until there are enough.
    """
    asked = count
    while True:
        start, end = logs.tail_span(path, asked)
        items = sum(1 for _ in shown(logs.read_span(path, start, end)))
        if items >= count or start == 0 or end - start >= WINDOW_LIMIT:
            return start, end, max(0, items - count)
        asked *= 4


def _stream(path: str, start: int, end: int, until: Until | None) -> Iterator[bytes]:
    span = logs.read_span(path, start, end)
    return span if until is None else chain(span, logs.follow(path, end, until))


def last(items: Iterable[T], count: int) -> tuple[T, ...]:
    return tuple(deque(items, maxlen=count))


def adapter_of(session: Session) -> Adapter | None:
    """The session's adapter; None where the package that provided it has gone, which hides no log."""
    try:
        return registry.load(session.adapter)
    except AdapterUnavailable:
        return None


def _refuse_external(session: Session) -> None:
    if session.is_external:
        raise UsageFault(
            f"session {short(session.id)} was not launched by agentctl: it has no output log",
            hint=f"agentctl peek {short(session.id)} shows what its agent has said",
        )
