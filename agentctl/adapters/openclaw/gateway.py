"""What is asked of a gateway, and what its refusals mean to a person.

By WebSocket where the `websockets` package is there, else by the gateway's one HTTP route
that lists sessions, which tells less. Reads only: the connection asks for no more than
`operator.read`. Every failure is AdapterUnavailable, and comes within `BUDGET` seconds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from agentctl.adapters.openclaw import wire
from agentctl.adapters.openclaw.place import Place
from agentctl.adapters.openclaw.wire import Broken, Deadline
from agentctl.adapters.values import integer, mapping, real, string
from agentctl.core.text import one_line
from agentctl.errors import AdapterUnavailable

T = TypeVar("T")

PROTOCOL = 4
CLIENT = "1.0.0"
"""The version of what is said here, which gateways note in their logs."""

BUDGET = 1.5
"""Seconds for everything that one listing asks. An answer on one machine takes 0.06."""

PAGES = 5
"""Pages of a hundred sessions, the last changed first, beyond which nobody looks."""

Ask = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Method and parameters → payload of the answer."""


class Listed(NamedTuple):
    """Rows of sessions as the gateway has them, and what it says of all of them."""

    rows: Sequence[Mapping[str, Any]]
    defaults: Mapping[str, Any]


class _Refused(Exception):
    """An answer that is no."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.details = mapping(error.get("details"))
        self.code = string(self.details.get("code")) or string(error.get("code")) or ""
        self.said = string(error.get("message")) or self.code or "no reason given"
        self.is_starting = error.get("code") == "UNAVAILABLE" and error.get("retryable") is True
        self.retry_after = max(0.05, (real(error.get("retryAfterMs")) or 500) / 1000)
        super().__init__(self.said)


def sessions(place: Place) -> Listed:
    """The gateway's sessions, by the better of the two ways."""
    try:
        return _conversation(place, _all_pages)
    except ImportError:
        return _within_budget(place, lambda deadline: _over_http(place, deadline))


def said(place: Place, native_id: str, count: int, width: int) -> Sequence[Mapping[str, Any]]:
    """The last messages of one session."""

    def talk(ask: Ask) -> Sequence[Mapping[str, Any]]:
        rows = _all_pages(ask).rows
        key = next(
            (row.get("key") for row in rows if native_id in (row.get("sessionId"), row.get("key"))), None
        )
        if not isinstance(key, str):
            return ()
        answer = ask("sessions.preview", {"keys": [key], "limit": count, "maxChars": width})
        previews = [mapping(one) for one in _list(answer.get("previews"))]
        return [
            mapping(item) for one in previews if one.get("key") == key for item in _list(one.get("items"))
        ]

    try:
        return _conversation(place, talk)
    except ImportError as error:
        raise AdapterUnavailable(
            "openclaw: what a session has said comes by WebSocket alone, which needs a library",
            hint='install it: pip install "agentctl[openclaw]"',
        ) from error


def _all_pages(ask: Ask) -> Listed:
    rows: list[Mapping[str, Any]] = []
    defaults: Mapping[str, Any] = {}
    offset: int | None = 0
    for _ in range(PAGES):
        page = ask("sessions.list", {"includeDerivedTitles": True, **({"offset": offset} if offset else {})})
        defaults = defaults or mapping(page.get("defaults"))
        rows += [mapping(row) for row in _list(page.get("sessions"))]
        following = integer(page.get("nextOffset")) if page.get("hasMore") is True else None
        if following is None or following <= (offset or 0):
            break
        offset = following
    return Listed(rows, defaults)


def _conversation(place: Place, talk: Callable[[Ask], T]) -> T:
    """What `talk` makes of the answers on one connection. ImportError without the library."""
    import websockets.client  # noqa: F401

    def attempts(deadline: Deadline) -> T:
        while True:
            try:
                return _connection(place, talk, deadline)
            except _Refused as refused:
                if not refused.is_starting:
                    raise
                deadline.pause(refused.retry_after)
                if not deadline.left:
                    raise

    return _within_budget(place, attempts)


def _connection(place: Place, talk: Callable[[Ask], T], deadline: Deadline) -> T:
    from urllib.parse import urlsplit
    from uuid import uuid4

    with wire.connected(urlsplit(place.address), deadline) as connection:
        link = wire.Link(connection, place.address)

        def ask(method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
            number = str(uuid4())
            link.send({"type": "req", "id": number, "method": method, "params": params})
            while True:
                message = link.receive()
                if message.get("type") == "res" and message.get("id") == number:
                    return _payload(message)

        link.open()
        while link.receive().get("event") != "connect.challenge":
            pass
        ask("connect", _introduction(place))
        answer = talk(ask)
        link.close()
        return answer


def _introduction(place: Place) -> Mapping[str, Any]:
    """Without a device key: a gateway takes that from this client on its own machine only."""
    return {
        "minProtocol": PROTOCOL,
        "maxProtocol": PROTOCOL,
        "client": {
            "id": "gateway-client",
            "version": CLIENT,
            "platform": sys.platform,
            "mode": "backend",
        },
        "role": "operator",
        "scopes": ["operator.read"],
        **({"auth": {place.secret.kind: place.secret.value}} if place.secret else {}),
    }


def _payload(message: Mapping[str, Any]) -> Mapping[str, Any]:
    if message.get("ok") is not True:
        raise _Refused(mapping(message.get("error")))
    return mapping(message.get("payload"))


def _over_http(place: Place, deadline: Deadline) -> Listed:
    from urllib.parse import urlsplit

    parts = urlsplit(place.address)
    headers = {"Content-Type": "application/json"}
    if place.secret:
        headers["Authorization"] = f"Bearer {place.secret.value}"
    body = json.dumps({"tool": "sessions_list", "args": {}}).encode()
    with wire.connected(parts, deadline) as connection:
        reply = wire.post(connection, parts.netloc, "/tools/invoke", headers=headers, body=body)
    if reply.status != 200:
        code = "AUTH_TOKEN_MISMATCH" if reply.status in (401, 403) else ""
        raise _Refused({"message": f"HTTP status {reply.status}", "details": {"code": code}})
    answer = wire.json_object(reply.body)
    if answer.get("ok") is not True:
        raise _Refused(mapping(answer.get("error")))
    rows = _list(mapping(mapping(answer.get("result")).get("details")).get("sessions"))
    return Listed([mapping(row) for row in rows], {})


def _within_budget(place: Place, work: Callable[[Deadline], T]) -> T:
    """What `work` returns, or in one clause why it could not."""
    deadline = wire.after(BUDGET)
    start = f"openclaw gateway {place.address}"
    try:
        return work(deadline)
    except _Refused as refused:
        raise _refusal(place, start, refused) from refused
    except (Broken, OSError) as error:
        if not deadline.left:
            fact = f"no answer within {BUDGET:g} s"
        elif isinstance(error, Broken):
            fact = _harmless(place, str(error))
        else:
            fact = _harmless(place, error.strerror or str(error) or type(error).__name__)
        raise AdapterUnavailable(f"{start}: {fact}", hint="is it running? openclaw gateway status") from error


def _refusal(place: Place, start: str, refused: _Refused) -> AdapterUnavailable:
    if refused.is_starting:
        return AdapterUnavailable(f"{start} is still starting", hint="ask again in a few seconds")
    if refused.code == "PROTOCOL_MISMATCH":
        theirs = integer(refused.details.get("expectedProtocol"))
        fact = f"it speaks protocol {theirs or 'unknown'}, this adapter {PROTOCOL}"
        return AdapterUnavailable(
            f"{start}: {fact}", hint="this version of openclaw speaks a protocol that is not known here"
        )
    if refused.code.startswith("AUTH_") and place.problem:
        return AdapterUnavailable(
            f"{start} wants a token: {_harmless(place, place.problem)}", hint="set OPENCLAW_GATEWAY_TOKEN"
        )
    hint = None
    if refused.code.startswith("AUTH_"):
        hint = "set OPENCLAW_GATEWAY_TOKEN to the gateway's own token"
    elif refused.code in ("NOT_PAIRED", "DEVICE_IDENTITY_REQUIRED"):
        hint = "only a gateway on this machine can be listed without pairing"
    return AdapterUnavailable(f"{start} refuses: {_harmless(place, refused.said)}", hint=hint)


def _harmless(place: Place, text: str) -> str:
    """Words of the other side: one short line, and never the secret."""
    if place.secret and len(place.secret.value) > 3:  # a shorter one is in every other word
        text = text.replace(place.secret.value, "***")
    return one_line(text, 200)


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
