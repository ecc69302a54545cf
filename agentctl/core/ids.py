"""Session ids: making them, and finding the one a person means.

Must not read the store: the caller passes in the candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from os import urandom

from agentctl.core.model import Session
from agentctl.core.text import one_line
from agentctl.errors import Ambiguous, NotFound, UsageFault

EXTERNAL_NAMESPACE = "6f0c2f3e-5d0b-4c0e-9a53-7a8f3b1f9d27"
"""Namespace of the ids of external sessions. Changing it changes every one of them."""

_NAMESPACE = bytes.fromhex(EXTERNAL_NAMESPACE.replace("-", ""))

SHORT = 8
_LISTED = 10


def new_id(entropy: bytes | None = None) -> str:
    """A random UUIDv4 as text, from 16 bytes of `entropy` if given."""
    raw = bytearray(urandom(16) if entropy is None else entropy)
    raw[6] = raw[6] & 0x0F | 0x40
    return _as_uuid(raw)


def _as_uuid(raw: bytearray) -> str:
    """The text of 16 bytes whose version is set; sets the variant."""
    raw[8] = raw[8] & 0x3F | 0x80
    digits = raw.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def external_id(adapter: str, store_path: str, native_id: str) -> str:
    """The id of a session found in an agent's own store: the same in every invocation."""
    return _derived(adapter, store_path, native_id)


def event_id(session_id: str, what: str) -> str:
    """The id of an event that a session has once: whoever records it, and again after a rebuild, the same."""
    return _derived(session_id, what)


def fingerprint(secret: str) -> str:
    """What tells whether somebody has the same secret, and not what it is."""
    return _derived("fingerprint", secret)[:18]


def _derived(*words: str) -> str:
    """A UUIDv5 of these words, none of which has a NUL in it."""
    try:
        # hashlib loads all of OpenSSL for it; Python's own random module avoids that in the same way.
        from _sha1 import sha1  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import sha1

    # NUL cannot occur in a path or name, so no two different lists join to the same text.
    joined = "\0".join(words).encode("utf-8", "surrogatepass")
    # A UUIDv5, made here: the uuid module takes five times as long, and a listing makes thousands.
    raw = bytearray(sha1(_NAMESPACE + joined.decode("latin-1").encode(), usedforsecurity=False).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x50
    return _as_uuid(raw)


def group_id() -> str:
    """A tag for the sessions of one parallel launch: `g-` and six hex digits."""
    return "g-" + urandom(3).hex()


def short(session_id: str) -> str:
    """The part of an id that people read."""
    return session_id[:SHORT]


def resolve(text: str, candidates: Sequence[Session]) -> Session:
    """The session that `text` means: an id, a name, a native id, or a prefix of an id or native id.

    An exact id wins. A name or native id means its live row, else the newest. Raises NotFound,
    Ambiguous with the candidates, or UsageFault for an empty ID.
    """
    if not text:
        raise UsageFault("session ID is empty", hint="agentctl list -a shows all sessions")
    lowered = text.lower()
    by_id = [session for session in candidates if session.id.startswith(lowered)]
    for session in by_id:
        if session.id == lowered:
            return session
    exact = [session for session in candidates if text in (session.name, session.native_id)]
    if exact:
        return _current(text, exact)
    by_native = [session for session in candidates if (session.native_id or "").startswith(text)]
    matches = list({session.id: session for session in (*by_id, *by_native)}.values())
    if not matches:
        raise NotFound(
            f"no session {one_line(text, 60)}", hint="agentctl list -a shows those that ended as well"
        )
    if len(matches) == 1:
        return matches[0]
    if len({session.native_id for session in matches}) == 1 and len(by_native) == len(matches):
        # Runs of one conversation: no longer prefix of the native id could tell them apart.
        return by_id[0] if len(by_id) == 1 else _current(text, matches)
    raise _ambiguous(text, matches)


def _current(text: str, sessions: Sequence[Session]) -> Session:
    live = [session for session in sessions if not session.is_settled]
    if len(live) > 1:
        raise _ambiguous(text, live)
    return live[0] if live else max(sessions, key=_started)


def _started(session: Session) -> datetime:
    return session.started_at or session.created_at


def _ambiguous(text: str, sessions: Sequence[Session]) -> Ambiguous:
    newest = sorted(sessions, key=_started, reverse=True)
    lines = [f"{one_line(text, 60)} means {len(newest)} sessions:"]
    lines += [_described(session) for session in newest[:_LISTED]]
    if len(newest) > _LISTED:
        lines.append(f"  and {len(newest) - _LISTED} more")
    return Ambiguous("\n".join(lines), hint="give more characters of one of these ids")


def _described(session: Session) -> str:
    prompt = one_line(session.prompt or "", 40)
    return f"  {session.id}  {session.status}  {session.adapter}  {prompt}".rstrip()
