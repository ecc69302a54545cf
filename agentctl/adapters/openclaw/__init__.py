"""OpenClaw: sessions that a gateway runs. They are listed and read, never started or stopped.

The gateway owns the processes: without a pid, a directory or a file to look at, everything
comes from the gateway's answers. `store_path` is its address. Its secret is read from this process's
environment, or from OpenClaw's configuration, whenever it is asked, and is sent only to the
address to which it belongs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from agentctl.adapters import base
from agentctl.adapters.base import Capability, Command, CommandRequest, Message, NativeSession, Role
from agentctl.adapters.openclaw import place
from agentctl.adapters.values import string
from agentctl.core.model import TERM_THEN_KILL, Session
from agentctl.errors import AdapterUnavailable

NAME = "openclaw"
SUMMARY = "OpenClaw, the sessions of its gateway; read-only."
PROGRAM = None
INSTALL = None
VERIFIED = "2026.9.6 (gateway protocol 4)"
CAPABILITIES = frozenset({Capability.REMOTE, Capability.DISCOVER, Capability.PEEK})
LADDER = TERM_THEN_KILL
PROCESS_NAMES: frozenset[str] = frozenset()
OPTIONS = ()

PEEK_MESSAGES = 50
PEEK_WIDTH = 2000

ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT, "tool": Role.TOOL, "toolResult": Role.TOOL}

resume_command = base.no_resume
native_id = base.no_native_id
listing = base.no_listing
result = base.no_result
log_messages = base.plain_lines
sources = base.one_source
match = base.no_match
is_transient = base.never_transient


def launch_command(request: CommandRequest) -> Command:
    """Refused: the gateway starts its own sessions."""
    raise AdapterUnavailable(
        "adapter openclaw is read-only: it cannot launch", hint='start it there: openclaw agent --message "…"'
    )


def store_path(environ: Mapping[str, str]) -> str | None:
    """The gateway's address, without credentials; None if nothing names a gateway."""
    found = place.find(environ)
    return found.address if found else None


def discover(source: str) -> Iterable[NativeSession]:
    """The sessions of the gateway in this process's environment; none for any other address.

    Raises AdapterUnavailable, within two seconds, if the gateway does not answer or refuses.
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
            yield Message(role=ROLES.get(string(item.get("role")) or "", Role.LOG), text=text)


def _ours(address: str | None) -> place.Place | None:
    """The gateway at this address, if it is the one in the environment."""
    if address is None or "://" not in address:
        return None
    found = place.find(os.environ)
    return found if found is not None and found.address == address else None
