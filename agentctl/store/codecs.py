"""How values become columns and columns values: instants, JSON, ladders, text, sessions, fuses.

The rows made here are plain enough for JSON too. Must not know SQL. A value that
cannot be read back raises ValueError, KeyError or TypeError; the caller knows
which database or file is damaged.

What every listing reads is read without the json module: importing it costs a tenth of
the whole listing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from agentctl.core.model import Fuse, FuseAction, FuseState, Outcome, Rung, Session, Status, StopCause, Tokens

# Surrogates that stand for no byte of a file name. They come from cut emoji in
# agents' JSON and have no UTF-8 form at all.
_UNENCODABLE = "[\ud800-\udc7f\udd00-\udfff]"


def instant(at: datetime) -> str:
    """Fixed-width UTC text, so that text order is time order. Naive datetimes are refused."""
    if at.tzinfo is None:
        raise ValueError(f"an instant without a time zone: {at.isoformat()}")
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def optional_instant(at: datetime | None) -> str | None:
    return None if at is None else instant(at)


def read_instant(text: str) -> datetime:
    """The aware UTC datetime that `instant` wrote."""
    if len(text) != 27 or text[26] != "Z":
        raise ValueError(f"not an instant: {text!r}")
    return datetime.fromisoformat(text)


def read_optional_instant(text: str | None) -> datetime | None:
    return None if text is None else read_instant(text)


def text(value: str | None) -> str | bytes | None:
    """What to bind for free text; bytes where Python's text has no UTF-8 form.

    A file name that is not UTF-8 keeps its bytes and comes back as it was. Bytes
    need `CAST(? AS TEXT)` in the statement.
    """
    if value is None or value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return re.sub(_UNENCODABLE, "\ufffd", value).encode("utf-8", "surrogateescape")
    return value


def read_text(raw: bytes) -> str:
    """Text of a column: the other direction of `text`."""
    return raw.decode("utf-8", "surrogateescape")


def to_json(value: object) -> str:
    """Compact and sorted: equal values have equal text."""
    import json

    return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)


def mapping(value: Mapping[str, Any]) -> str:
    return to_json(dict(value))


def read_mapping(value: str) -> dict[str, Any]:
    if value == "{}":
        return {}
    import json

    found = json.loads(value)
    if not isinstance(found, dict):
        raise ValueError(f"not an object: {value[:40]!r}")
    return found


def words(value: tuple[str, ...]) -> str:
    return to_json(list(value))


def read_words(value: str) -> tuple[str, ...]:
    if value == "[]":
        return ()
    if "\\" not in value and value.startswith('["') and value.endswith('"]'):
        # Where nothing is escaped, a quote is always one of the two around a word.
        plain = value[2:-2].split('","')
        if not any('"' in word for word in plain):
            return tuple(plain)
    import json

    found = json.loads(value)
    if not isinstance(found, list):
        raise ValueError(f"not a list: {value[:40]!r}")
    return tuple(str(item) for item in found)


def ladder(rungs: tuple[Rung, ...]) -> str:
    """`15:10.0 9:5.0`: signal, then seconds until the next."""
    return " ".join(f"{rung.signal}:{rung.wait.total_seconds()}" for rung in rungs)


@lru_cache(maxsize=32)
def read_ladder(value: str) -> tuple[Rung, ...]:
    """Cached: the sessions of one listing share a handful of ladders."""
    rungs = (word.split(":") for word in value.split())
    return tuple(Rung(int(signal), timedelta(seconds=float(wait))) for signal, wait in rungs)


def ids(values: Iterable[str]) -> str:
    """A JSON list of our own ids, which hold nothing to escape; for `json_each`."""
    quoted = (f'"{value}"' for value in sorted(values))
    return f"[{','.join(quoted)}]"


_TOKENS = Tokens._fields

# Fields of a session that are not one column of their own name. `source` is not
# stored: every row is a tracked session.
_APART = frozenset({"source", "tokens", "group"})
_PLAIN = tuple(name for name in Session._fields if name not in _APART)

SESSION_COLUMNS = (*_PLAIN, "group_id", *(f"tokens_{name}" for name in _TOKENS))
FUSE_COLUMNS = Fuse._fields

_Codec = tuple[Callable[[Any], object], Callable[[Any], object]]

_SESSION_CODECS: dict[str, _Codec] = {
    "status": (str, Status),
    "outcome": (str, Outcome),
    "stop_cause": (str, StopCause),
    "created_at": (instant, read_instant),
    "stop_escalate_at": (instant, read_instant),
    "started_at": (instant, read_instant),
    "ended_at": (instant, read_instant),
    "ladder": (ladder, read_ladder),
    "args": (words, read_words),
    "env_keys": (words, read_words),
    "notes": (words, read_words),
    "hooks": (mapping, read_mapping),
    "meta": (mapping, read_mapping),
    "lingering": (int, bool),
    "unsupervised": (int, bool),
}
_FUSE_CODECS: dict[str, _Codec] = {
    "action": (str, FuseAction),
    "state": (str, FuseState),
    "deadline": (instant, read_instant),
    "created_at": (instant, read_instant),
    "warn_at": (instant, read_instant),
}


def session_to_row(session: Session) -> dict[str, object]:
    """Column → value, for every column."""
    row = {name: getattr(session, name) for name in _PLAIN}
    _convert(row, _SESSION_CODECS, 0)
    row["group_id"] = session.group
    for name in _TOKENS:
        row[f"tokens_{name}"] = getattr(session.tokens, name)
    return row


def session_from_row(row: Mapping[str, Any]) -> Session:
    """The session of a row that another version may have written: unknown columns are ignored."""
    return session_from_columns({name: row[name] for name in SESSION_COLUMNS if name in row})


def session_from_columns(values: dict[str, Any]) -> Session:
    """The session of exactly these columns; `values` is used up."""
    _convert(values, _SESSION_CODECS, 1)
    tokens = Tokens(**{name: values.pop(f"tokens_{name}", None) for name in _TOKENS})
    return Session(group=values.pop("group_id", None), tokens=tokens, **values)


def fuse_to_row(fuse: Fuse) -> dict[str, object]:
    """Column → value, for every column."""
    row = {name: getattr(fuse, name) for name in FUSE_COLUMNS}
    _convert(row, _FUSE_CODECS, 0)
    return row


def fuse_from_row(row: Mapping[str, Any]) -> Fuse:
    """The fuse of a row; unknown columns are ignored."""
    values = {name: row[name] for name in FUSE_COLUMNS if name in row}
    _convert(values, _FUSE_CODECS, 1)
    return Fuse(**values)


def _convert(values: dict[str, Any], codecs: Mapping[str, _Codec], direction: int) -> None:
    """Encode (0) or decode (1) in place. An empty column stays empty."""
    for name, codec in codecs.items():
        value = values.get(name)
        if value is not None:
            values[name] = codec[direction](value)
