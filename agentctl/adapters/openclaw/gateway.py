"""What is asked of a gateway, and what its refusals mean to a person.

The WebSocket is the `websockets` package's, of the extra `openclaw`. Reads only: the
connection asks for no more than `operator.read`. Every failure is AdapterUnavailable, and
comes within two seconds, whatever the other side does.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from agentctl.adapters.openclaw.place import INSTALL_EXTRA, Place
from agentctl.adapters.values import integer, mapping, mappings, real, string
from agentctl.core.text import one_line
from agentctl.errors import AdapterUnavailable

if TYPE_CHECKING:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import ClientConnection

T = TypeVar("T")

PROTOCOL = 4
CLIENT = "1.0.0"
"""The version that this client reports, which gateways note in their logs."""

BUDGET = 1.5
"""Seconds for everything that one listing asks. An answer on one machine takes 0.06."""

SLACK = 0.2
"""Seconds after which a name look-up that outlives the budget is abandoned."""

CLOSING = 0.05
"""Seconds that the other side has to say goodbye."""

LIMIT = 8 * 1024 * 1024
"""Bytes of one answer. A hundred sessions take 250 kB."""

PAGES = 5
"""How many pages of a hundred sessions, the last changed first, are read at most."""

Ask = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Method and parameters → payload of the answer."""


class Deadline(NamedTuple):
    """An instant of the monotonic clock."""

    at: float

    @property
    def left(self) -> float:
        return max(0.0, self.at - time.monotonic())

    def pause(self, seconds: float) -> None:
        """Wait this long, but not past the deadline."""
        threading.Event().wait(min(seconds, self.left))


class Broken(Exception):
    """The other side does not keep to the protocol, or has closed; the text says which."""


class Listed(NamedTuple):
    """Rows of sessions as the gateway has them, and what it says of all of them."""

    rows: Sequence[Mapping[str, Any]]
    defaults: Mapping[str, Any]


class _Refused(Exception):
    """The gateway answered a request with an error."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.details = mapping(error.get("details"))
        self.code = string(self.details.get("code")) or string(error.get("code")) or ""
        self.said = string(error.get("message")) or self.code or "no reason given"
        self.is_starting = error.get("code") == "UNAVAILABLE" and error.get("retryable") is True
        self.retry_after = max(0.05, (real(error.get("retryAfterMs")) or 500) / 1000)
        super().__init__(self.said)


def sessions(place: Place) -> Listed:
    """The gateway's sessions."""
    return _conversation(place, _all_pages)


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
        previews = mappings(answer.get("previews"))
        return [item for one in previews if one.get("key") == key for item in mappings(one.get("items"))]

    return _conversation(place, talk)


def _all_pages(ask: Ask) -> Listed:
    rows: list[Mapping[str, Any]] = []
    defaults: Mapping[str, Any] = {}
    offset: int | None = 0
    for _ in range(PAGES):
        page = ask("sessions.list", {"includeDerivedTitles": True, **({"offset": offset} if offset else {})})
        defaults = defaults or mapping(page.get("defaults"))
        rows += mappings(page.get("sessions"))
        following = integer(page.get("nextOffset")) if page.get("hasMore") is True else None
        if following is None or following <= (offset or 0):
            break
        offset = following
    return Listed(rows, defaults)


def _conversation(place: Place, talk: Callable[[Ask], T]) -> T:
    """What `talk` makes of the answers on one connection; a gateway that is starting is asked again."""
    try:
        import websockets.sync.client  # noqa: F401
    except ImportError as error:
        raise AdapterUnavailable(
            "openclaw: its gateway is asked by WebSocket, which needs the package websockets",
            hint=INSTALL_EXTRA,
        ) from error

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
    from uuid import uuid4

    from websockets.exceptions import ConnectionClosed

    with _connected(place.address, deadline) as connection:

        def receive() -> Mapping[str, Any]:
            if not deadline.left:
                raise TimeoutError  # a talkative gateway always has another message
            return _json_object(connection.recv(timeout=deadline.left))

        def ask(method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
            number = str(uuid4())
            connection.send(json.dumps({"type": "req", "id": number, "method": method, "params": params}))
            while True:
                message = receive()
                if message.get("type") == "res" and message.get("id") == number:
                    return _payload(message)

        try:
            while receive().get("event") != "connect.challenge":
                pass
            ask("connect", _introduction(place))
            return talk(ask)
        except ConnectionClosed as closed:
            raise Broken(_how_it_closed(closed)) from closed


def _connected(address: str, deadline: Deadline) -> ClientConnection:
    """An open WebSocket. Raises Broken and OSError."""
    import logging
    from urllib.parse import urlsplit

    from websockets.exceptions import InvalidHandshake
    from websockets.sync.client import connect

    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    silent = logging.Logger("openclaw")
    silent.disabled = True  # a failure is reported once, as an error of ours
    try:
        # With a socket of ours the library follows no redirect: the secret goes to this address alone.
        opened = socket.create_connection((parts.hostname or "", port), deadline.left or 0.001)
        opened.settimeout(None)
        return connect(
            address,
            sock=opened,
            proxy=None,
            compression=None,
            open_timeout=deadline.left,
            close_timeout=CLOSING,
            ping_interval=None,
            max_size=LIMIT,
            logger=silent,
        )
    except UnicodeError as error:
        raise Broken("the name of its host is not valid") from error
    except (InvalidHandshake, ValueError) as error:
        raise Broken("no WebSocket answers there") from error


def _how_it_closed(closed: ConnectionClosed) -> str:
    if closed.rcvd is None:
        is_too_long = closed.sent is not None and closed.sent.code == 1009
        return f"it sends more than {LIMIT >> 20} MB at once" if is_too_long else "the connection broke off"
    said = f" ({closed.rcvd.reason})" if closed.rcvd.reason else ""
    return f"it closed the connection with code {closed.rcvd.code}{said}"


def _json_object(data: str | bytes) -> Mapping[str, Any]:
    """The JSON object in a message. Raises Broken."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Broken("it sends something that is not a JSON object")
    return value


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


def _within_budget(place: Place, work: Callable[[Deadline], T]) -> T:
    """What `work` returns, or in one clause why it could not."""
    deadline = Deadline(time.monotonic() + BUDGET)
    start = f"openclaw gateway {place.address}"
    try:
        return _abandoned_after(deadline.left + SLACK, lambda: work(deadline))
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


def _abandoned_after(seconds: float, work: Callable[[], T]) -> T:
    """What `work` returns or raises; TimeoutError if it takes longer, and then its thread is left alone.

    Every step has a limit of its own but the system's look-up of a name, which nothing can interrupt.
    """
    from concurrent.futures import Future

    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result(seconds)


def _refusal(place: Place, start: str, refused: _Refused) -> AdapterUnavailable:
    if refused.is_starting:
        return AdapterUnavailable(f"{start} is still starting", hint="ask again in a few seconds")
    if refused.code == "PROTOCOL_MISMATCH":
        theirs = integer(refused.details.get("expectedProtocol"))
        fact = f"it speaks protocol {theirs or 'unknown'}, this adapter {PROTOCOL}"
        return AdapterUnavailable(f"{start}: {fact}", hint="use a release of openclaw that speaks it")
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
