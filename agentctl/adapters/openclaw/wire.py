"""One connection to a gateway, and one deadline for all of it.

Looking the host up, connecting, the handshakes and every byte share the deadline: when it
has come the connection is cut, whatever it was doing. Must not know what is said over it.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from websockets.client import ClientProtocol

LIMIT = 8 * 1024 * 1024
"""Bytes of one answer. A hundred sessions take 250 kB."""


class Broken(Exception):
    """The other side does not keep to the protocol, or has closed; the text says which."""


class Deadline(NamedTuple):
    """An instant of the monotonic clock."""

    at: float

    @property
    def left(self) -> float:
        return max(0.0, self.at - time.monotonic())

    def pause(self, seconds: float) -> None:
        """Wait so long, but not past the deadline."""
        threading.Event().wait(min(seconds, self.left))


def after(seconds: float) -> Deadline:
    """The deadline so long from now."""
    return Deadline(time.monotonic() + seconds)


@contextmanager
def connected(parts: SplitResult, deadline: Deadline) -> Iterator[socket.socket]:
    """A connection to an address, which is cut at the deadline. Raises OSError."""
    secure = parts.scheme == "wss"
    host = parts.hostname or ""
    plain = _open(host, parts.port or (443 if secure else 80), deadline)
    cutter = plain.dup()  # the same connection, whatever TLS makes of the first handle
    timer = threading.Timer(deadline.left, _cut, [cutter])
    timer.daemon = True
    timer.start()
    used = plain
    try:
        if secure:
            import ssl

            used = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        yield used
    finally:
        timer.cancel()
        timer.join()
        used.close()
        plain.close()
        cutter.close()


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # closed by the other side already
        connection.shutdown(socket.SHUT_RDWR)


def _open(host: str, port: int, deadline: Deadline) -> socket.socket:
    failed: OSError = TimeoutError()
    for family, kind, protocol, _, address in _look_up(host, port, deadline):
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(deadline.left or 0.001)
            opened.connect(address)
            opened.settimeout(None)
        except OSError as error:
            opened.close()
            failed = error
            continue
        return opened
    raise failed


def _look_up(host: str, port: int, deadline: Deadline) -> list[Any]:
    """The host's addresses. The system's look-up knows no limit, so a thread is left alone with it."""
    found: list[list[Any]] = []
    failed: list[OSError] = []

    def ask() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            failed.append(error)
        except UnicodeError:
            failed.append(OSError(0, "no name of a host"))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(deadline.left)
    if failed:
        raise failed[0]
    return found[0] if found else []


class Link:
    """A WebSocket of JSON objects over a connection. Raises Broken and OSError."""

    def __init__(self, connection: socket.socket, address: str) -> None:
        from websockets.client import ClientProtocol
        from websockets.uri import parse_uri

        self._connection = connection
        self._protocol: ClientProtocol = ClientProtocol(parse_uri(address), max_size=LIMIT)
        self._parts: list[bytes] = []
        self._inbox: deque[bytes] = deque()
        self._has_ended = False

    def open(self) -> None:
        """The opening handshake. A redirect is no WebSocket: it is not followed."""
        from websockets.protocol import State

        self._protocol.send_request(self._protocol.connect())
        self._flush()
        while self._protocol.state is State.CONNECTING:
            self._read()
            if self._protocol.handshake_exc is not None:
                raise Broken("no WebSocket answers there")

    def send(self, message: Mapping[str, Any]) -> None:
        from websockets.exceptions import WebSocketException

        try:
            self._protocol.send_text(json.dumps(message).encode())
        except WebSocketException:  # the other side has begun to close
            raise Broken(self._how_it_closed()) from None
        self._flush()

    def receive(self) -> Mapping[str, Any]:
        """The next message."""
        while not self._inbox:
            self._read()
        return json_object(self._inbox.popleft())

    def close(self) -> None:
        """Say goodbye; nobody waits for an answer."""
        from websockets.exceptions import WebSocketException

        with suppress(OSError, WebSocketException):
            self._protocol.send_close(1000)
            self._flush()

    def _read(self) -> None:
        from websockets.frames import Frame
        from websockets.protocol import State

        if self._has_ended:
            raise Broken(self._how_it_closed())
        data = self._connection.recv(65536)
        if data:
            self._protocol.receive_data(data)
        else:
            self._has_ended = True
            self._protocol.receive_eof()
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._take(event)
        with suppress(OSError):  # a reply to a side that has gone: what it said last comes first
            self._flush()
        if self._inbox or self._protocol.handshake_exc is not None:
            return
        if self._has_ended or self._protocol.state in (State.CLOSING, State.CLOSED):
            raise Broken(self._how_it_closed())

    def _take(self, frame: Any) -> None:
        """Keep a finished message; one may come in several frames."""
        from websockets.frames import DATA_OPCODES

        if frame.opcode not in DATA_OPCODES:
            return
        self._parts.append(bytes(frame.data))
        if frame.fin:
            self._inbox.append(b"".join(self._parts))
            self._parts.clear()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._connection.sendall(data)

    def _how_it_closed(self) -> str:
        from websockets.exceptions import PayloadTooBig

        if isinstance(self._protocol.parser_exc, PayloadTooBig):
            return f"it sends more than {LIMIT >> 20} MB at once"
        received = self._protocol.close_rcvd
        if received is None:
            return "the connection broke off"
        said = f" ({received.reason})" if received.reason else ""
        return f"it closed the connection with code {received.code}{said}"


def json_object(data: bytes) -> Mapping[str, Any]:
    """The JSON object in a message. Raises Broken."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Broken("it sends something that is no JSON object")
    return value


class Reply(NamedTuple):
    """The answer to an HTTP request."""

    status: int
    body: bytes


def post(
    connection: socket.socket, host: str, path: str, *, headers: Mapping[str, str], body: bytes
) -> Reply:
    """POST over a connection, straight and without following anything. Raises Broken and OSError."""
    import http.client

    exchange = http.client.HTTPConnection(host)
    exchange.sock = connection
    try:
        exchange.request("POST", path, body=body, headers={"Connection": "close", **headers})
        with exchange.getresponse() as answer:
            data = answer.read(LIMIT + 1)
            left = answer.length
    except (http.client.HTTPException, ValueError) as error:
        raise Broken("no HTTP server answers there") from error
    if len(data) > LIMIT:
        raise Broken(f"it sends more than {LIMIT >> 20} MB at once")
    if left:
        raise Broken("the connection broke off")
    return Reply(answer.status, data)
