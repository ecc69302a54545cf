"""OpenClaw: sessions that a gateway runs, listed and read, never started or stopped.

The gateway owns the processes: there is no pid, no directory and no file to look at, only
what it answers. `store_path` is its address. The secret that opens it is read from this
process's own environment, or from OpenClaw's configuration, at the moment of asking, and
is sent to no other address than the one that belongs to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from agentctl.adapters.base import (
    Capability,
    Command,
    CommandRequest,
    Message,
    NativeSession,
    Option,
    never_transient,
    no_listing,
    no_match,
    no_native_id,
    no_result,
    no_resume,
    one_source,
    plain_lines,
)
from agentctl.adapters.openclaw import place
from agentctl.adapters.values import string
from agentctl.core.model import TERM_THEN_KILL, Rung, Session
from agentctl.errors import AdapterUnavailable

NAME = "openclaw"
SUMMARY = "OpenClaw, the sessions of its gateway; to look at only."
PROGRAM: str | None = None
INSTALL: str | None = None
VERIFIED = "2026.9.6 (gateway protocol 4)"
CAPABILITIES = frozenset({Capability.REMOTE, Capability.DISCOVER, Capability.PEEK})
LADDER: tuple[Rung, ...] = TERM_THEN_KILL
PROCESS_NAMES: frozenset[str] = frozenset()
OPTIONS: tuple[Option, ...] = ()

PEEK_MESSAGES = 50
PEEK_WIDTH = 2000

ROLES = {"user": "user", "assistant": "assistant", "tool": "tool", "toolResult": "tool"}

resume_command = no_resume
native_id = no_native_id
listing = no_listing
result = no_result
log_messages = plain_lines
sources = one_source
match = no_match
is_transient = never_transient


def launch_command(request: CommandRequest) -> Command:
    """Refused: the gateway starts its own sessions."""
    raise AdapterUnavailable(
        "adapter openclaw is read-only: it cannot launch", hint='start it there: openclaw agent --message "…"'
    )


def store_path(environ: Mapping[str, str]) -> str | None:
    """The gateway's address, without credentials; None where no variable and no configuration names one."""
    found = place.find(environ)
    return found.address if found else None


def discover(source: str) -> Iterable[NativeSession]:
    """The sessions of the gateway that this process's environment means; none for any other address.

    Raises AdapterUnavailable, within two seconds, if it is not there or refuses.
    """
    found = _ours(source)
    if found is None:
        return ()
    from agentctl.adapters.openclaw import gateway, rows

    listed = gateway.sessions(found)
    natives = (rows.native(row, listed.defaults, found.address) for row in listed.rows)
    return [native for native in natives if native is not None]


def messages(session: Session, log_path: str) -> Iterator[Message]:
    """The last messages of a session, as the gateway previews them."""
    found = _ours(session.store_path)
    if found is None or session.native_id is None:
        return
    from agentctl.adapters.openclaw import gateway

    for item in gateway.said(found, session.native_id, PEEK_MESSAGES, PEEK_WIDTH):
        text = string(item.get("text"))
        if text:
            yield Message(role=ROLES.get(string(item.get("role")) or "", "log"), text=text)


def _ours(address: str | None) -> place.Place | None:
    """The gateway of this address, if the environment means that very one."""
    if address is None or "://" not in address:
        return None
    found = place.find(os.environ)
    return found if found is not None and found.address == address else None
