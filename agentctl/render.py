"""Typed results as tables, records and lines for people; JSON comes from `documents`.

The only module that knows tabulate. Must not read the clock,
the store or the environment: whoever calls says what instant it is, how wide the
terminal is and whether it shows colour. Every text of an agent is cleaned here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from agentctl.core.addresses import without_secrets
from agentctl.core.columns import Column, fit
from agentctl.core.durations import format_age, format_duration
from agentctl.core.ids import SHORT, short
from agentctl.core.ledger import Delivery, Event, shown_target
from agentctl.core.model import Fuse, FuseAction, FuseState, Lock, Session, Status, Tokens
from agentctl.core.signals import signal_name
from agentctl.core.text import clean, display_width, one_line
from agentctl.documents import elapsed, notes

if TYPE_CHECKING:
    from agentctl.ops.found import Found
    from agentctl.ops.state.doctor_agents import Finding

PLAIN_WIDTH = 200
"""Width of a table that goes into a file or pipe."""

NOTHING = "–"

_GREEN, _YELLOW, _CYAN, _RED, _DIM, _BOLD = "32", "33", "36", "31", "2", "1"
_STATUS_COLORS = {
    Status.STARTING: _YELLOW,
    Status.RUNNING: _GREEN,
    Status.IDLE: _CYAN,
    Status.STOPPING: _YELLOW,
    Status.STOPPED: _DIM,
    Status.ERROR: _RED,
}
_LEVEL_COLORS = {"ok": _GREEN, "warn": _YELLOW, "fail": _RED, "absent": _DIM}


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, color: bool = False) -> str:
    """A plain table of any values, "–" for None; empty without rows."""
    return _drawn(headers, [[_cell(value) for value in row] for row in rows], color=color)


def session_table(views: Sequence[Found], *, now: datetime, home: str | None, width: int, color: bool) -> str:
    """The table of `list`, never wider than `width` (60 at least); empty without sessions."""
    if not views:
        return ""
    columns = fit(_session_columns(views, now=now, home=home), width)
    cells = {column.title: column.cells for column in columns}
    if color:
        painted = zip(cells["STATUS"], views, strict=True)
        cells["STATUS"] = tuple(_paint(cell, _STATUS_COLORS[view.status]) for cell, view in painted)
    return _drawn(list(cells), list(zip(*cells.values(), strict=True)), color=color)


def as_tree(views: Sequence[Found]) -> list[Found]:
    """The same sessions, each followed by those it launched, with their depth."""
    known = {view.session.id for view in views}
    below: dict[str | None, list[Found]] = {}
    for view in views:
        parent = view.session.parent_id
        below.setdefault(parent if parent in known else None, []).append(view)
    ordered: list[Found] = []
    pending = [(view, 0) for view in reversed(below.get(None, []))]
    while pending:
        view, depth = pending.pop()
        ordered.append(view._replace(depth=depth))
        pending.extend((child, depth + 1) for child in reversed(below.pop(view.session.id, [])))
    return ordered


def fuse_table(fuses: Sequence[Fuse], *, now: datetime, home: str | None, color: bool) -> str:
    """The table of `fuse list`."""
    headers = ("ID", "OF", "DEADLINE", "ACTION", "STATE", "DOES")
    rows = [
        (
            short(fuse.id),
            short(fuse.session_id) if fuse.session_id else tilde(fuse.directory or NOTHING, home),
            format_age(fuse.deadline, now),
            fuse.action.value,
            fuse.state.value,
            fuse.command or (without_secrets(fuse.url) if fuse.url else NOTHING),
        )
        for fuse in fuses
    ]
    return table(headers, rows, color=color)


def lock_table(locks: Sequence[Lock], *, now: datetime, home: str | None, color: bool) -> str:
    """The table of `locks`."""
    headers = ("DIRECTORY", "HOLDER", "KIND", "REASON", "SINCE", "EXPIRES")
    rows = [
        (
            tilde(lock.directory, home),
            short(lock.session_id) if lock.session_id else lock.holder,
            lock.kind.value,
            lock.reason,
            format_age(lock.created_at, now),
            lock.expires_at and format_age(lock.expires_at, now),
        )
        for lock in locks
    ]
    return table(headers, rows, color=color)


def delivery_table(deliveries: Sequence[Delivery], *, now: datetime, color: bool) -> str:
    """The table of `hooks list`."""
    headers = ("ID", "KIND", "NAME", "SESSION", "STATE", "TRIES", "NEXT", "TARGET", "ERROR")
    rows = [
        (
            delivery.id,
            delivery.kind,
            delivery.name,
            short(delivery.session_id) if delivery.session_id else NOTHING,
            delivery.state.value,
            delivery.attempts,
            format_age(delivery.next_attempt_at, now) if delivery.next_attempt_at else NOTHING,
            one_line(shown_target(delivery), 40),
            one_line(delivery.last_error or NOTHING, 40),
        )
        for delivery in deliveries
    ]
    return table(headers, rows, color=color)


def _session_columns(views: Sequence[Found], *, now: datetime, home: str | None) -> list[Column]:
    sessions = [view.session for view in views]
    length = _telling_length([session.id for session in sessions])
    ids = (_indent(view.depth) + view.session.id[:length] for view in views)
    statuses = (view.status + ("*" if view.session.lingering else "") for view in views)
    begun = (format_age(session.started_at or session.created_at, now) for session in sessions)
    paths = (one_line(tilde(session.cwd, home)) for session in sessions)
    prompts = (one_line(session.prompt or session.name or "", PLAIN_WIDTH) for session in sessions)
    columns = [
        Column(title="ID", cells=tuple(ids)),
        Column(title="STATUS", cells=tuple(statuses)),
        Column(title="ADAPTER", cells=tuple(_cell(s.adapter) for s in sessions), floor=8, shrinks=4),
        Column(title="MODEL", cells=tuple(_cell(s.model) for s in sessions), floor=10, shrinks=3, leaves=1),
        Column(title="GROUP", cells=tuple(_cell(s.group) for s in sessions), leaves=4),
        Column(title="CWD", cells=tuple(paths), floor=10, shrinks=2, leaves=5, keeps_end=True),
        Column(title="PID", cells=tuple(_cell(s.pid) for s in sessions), leaves=2),
        Column(title="STARTED", cells=tuple(begun), leaves=6),
        Column(title="FUSE", cells=tuple(_remaining(view.fuse, now) for view in views), leaves=3),
        Column(title="PROMPT", cells=tuple(prompts), floor=12, shrinks=1, leaves=7),
    ]
    grouped = any(session.group for session in sessions)
    return [column for column in columns if grouped or column.title != "GROUP"]


def _remaining(fuse: Fuse | None, now: datetime) -> str:
    if fuse is None or fuse.state is not FuseState.ARMED:
        return NOTHING
    return format_age(fuse.deadline, now)


def _telling_length(ids: Sequence[str]) -> int:
    return next(
        (length for length in range(SHORT, 36) if len({text[:length] for text in ids}) == len(set(ids))), 36
    )


def _indent(depth: int) -> str:
    return "  " * (depth - 1) + "└ " if depth else ""


def tilde(path: str, home: str | None) -> str:
    """`path` with the home directory as `~`."""
    if home and home != "/" and (path == home or path.startswith(home + "/")):
        return "~" + path[len(home) :]
    return path


def _cell(value: object) -> str:
    return NOTHING if value is None else one_line(str(value))


def _paint(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


_HELD, _MORE = "\ue000", "\ue001"


def _drawn(headers: Sequence[str], rows: Sequence[Sequence[str]], *, color: bool) -> str:
    """The table of cells that are clean already, or painted by us."""
    if not rows:
        return ""
    import re

    from tabulate import tabulate

    titles = [_paint(title, _BOLD) if color else title for title in headers]
    held: list[str] = []
    lines = [[_held(cell, held) for cell in row] for row in (titles, *rows)]
    # The titles are a row like any other: as headers they would be padded wider than they are.
    drawn = tabulate(lines, tablefmt="plain", disable_numparse=True)
    cells = iter(held)
    filled = re.sub(f"{_HELD}{_MORE}*", lambda _: next(cells), drawn)
    return "\n".join(line.rstrip() for line in filled.splitlines())


def _held(cell: str, held: list[str]) -> str:
    # tabulate counts characters. A cell whose characters are not one column each is drawn as a
    # stand-in of the right width, and put back in the same order.
    if cell.isascii() and cell.isprintable():
        return cell
    width = display_width(clean(cell))
    if not width:
        return ""
    held.append(cell)
    return _HELD + _MORE * (width - 1)


# Records and lines


def record(pairs: Iterable[tuple[str, object]]) -> str:
    """Aligned `key: value` lines; None and "" are left out, further lines are indented."""
    return _record((key, None if value is None else clean(str(value))) for key, value in pairs)


def session_record(view: Found, *, now: datetime, home: str | None, color: bool) -> str:
    """Everything known about one session, for `status`."""
    session = view.session
    status = view.status + ("* (lingering: its process is still there)" if session.lingering else "")
    length = elapsed(session, now)
    pairs = [
        ("id", session.id),
        ("name", session.name),
        ("status", _paint(status, _STATUS_COLORS[view.status]) if color else status),
        ("outcome", session.outcome),
        ("reason", view.reason),
        ("exit code", _exit_code(session)),
        ("adapter", " ".join(filter(None, (session.adapter, session.adapter_version)))),
        ("source", session.source),
        ("model", session.model),
        ("directory", tilde(session.cwd, home)),
        ("branch", session.branch),
        ("group", session.group),
        ("parent", session.parent_id),
        ("resumed from", session.resumed_from),
        ("pid", None if session.pid is None else str(session.pid)),
        ("native id", session.native_id),
        ("started", format_age(session.started_at, now) if session.started_at else None),
        ("ended", format_age(session.ended_at, now) if session.ended_at else None),
        ("duration", None if length is None else format_duration(length)),
        ("fuse", _fuse_words(view.fuse, now)),
        ("tokens", _token_words(session.tokens)),
        ("cost", None if session.cost_usd is None else f"${session.cost_usd:.4f}"),
        ("turns", None if session.turns is None else str(session.turns)),
        ("prompt", None if session.prompt is None else one_line(session.prompt, PLAIN_WIDTH)),
        ("result", session.result),
        ("notes", "\n".join(one_line(note) for note in notes(session))),
        ("log", view.log_path and tilde(view.log_path, home)),
        ("transcript", session.transcript_path and tilde(session.transcript_path, home)),
    ]
    ours = {"status", "notes"}  # painted or cleaned already
    return _record((key, value if key in ours else _safe(key, value)) for key, value in pairs)


def event_text(event: Event, *, now: datetime, color: bool) -> str:
    """One event as a line for people; its cursor first, for `events --since`."""
    who = short(event.session_id) if event.session_id else NOTHING
    kind = one_line(event.type).ljust(20)
    why = one_line(event.reason or "")
    age = format_age(event.at, now)
    line = f"{event.cursor:>6}  {age:<10}  {_paint(kind, _CYAN) if color else kind}  {who:<{SHORT}}  {why}"
    return line.rstrip()


def doctor_report(findings: Sequence[Finding], *, color: bool) -> str:
    """The report of `doctor`: a line for each finding, and below it what to do, if anything."""
    subjects = [one_line(one.subject) for one in findings]
    margin = max(map(display_width, subjects), default=0)
    lines = []
    for one, subject in zip(findings, subjects, strict=True):
        mark = one.level.ljust(6)
        padded = subject + " " * (margin - display_width(subject))
        shown = _paint(mark, _LEVEL_COLORS[one.level]) if color else mark
        lines.append(f"{shown}  {padded}  {one_line(one.fact)}".rstrip())
        if one.remedy:
            lines.append(f"        → {one_line(one.remedy)}")
    return "\n".join(lines)


def _record(pairs: Iterable[tuple[str, str | None]]) -> str:
    shown = [(key, value) for key, value in pairs if value]
    margin = max((len(key) for key, _ in shown), default=0) + 2
    lines = []
    for key, value in shown:
        first, *rest = value.strip("\n").split("\n")
        lines.append(f"{key}:".ljust(margin) + first)
        lines.extend((" " * margin + line).rstrip() for line in rest)
    return "\n".join(lines)


def _safe(key: str, value: str | None) -> str | None:
    if not value:
        return None
    return clean(value) if key == "result" else one_line(value)


def _exit_code(session: Session) -> str | None:
    if session.exit_code is None:
        return "unknown" if session.is_settled else None
    name = f" ({signal_name(session.signal)})" if session.signal else ""
    return f"{session.exit_code}{name}"


def _fuse_words(fuse: Fuse | None, now: datetime) -> str | None:
    if fuse is None:
        return None
    if fuse.state is not FuseState.ARMED:
        return fuse.state.value
    then = "ends nothing" if fuse.action is FuseAction.NONE else f"then {fuse.action.value}"
    return f"{format_age(fuse.deadline, now)}, {then}"


def _token_words(tokens: Tokens) -> str | None:
    counts = (
        (tokens.input, "in"),
        (tokens.output, "out"),
        (tokens.cache_read, "read from cache"),
        (tokens.cache_write, "written to cache"),
    )
    return ", ".join(f"{count:,} {word}" for count, word in counts if count is not None) or None
