"""An OpenClaw gateway on the loopback interface that answers with captured frames.

It checks what a real one checks (token, protocol, client, parameters it has seen) and
records what it was asked. For everything that a gateway should not do there is `Peer`.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

DATA = Path(__file__).parent / "data" / "openclaw"
TOKEN = "a-gateway-token-0123456789"

STARTING = {
    "code": "UNAVAILABLE",
    "message": "gateway starting; retry shortly",
    "retryable": True,
    "retryAfterMs": 500,
    "details": {"reason": "startup-sidecars"},
}
KNOWN_LIST_PARAMETERS = {
    "limit", "search", "activeMinutes", "includeDerivedTitles", "includeLastMessage", "offset",
}  # fmt: skip

Behaviour = Callable[["Peer"], None]


def captured(name: str) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = json.loads((DATA / f"{name}.json").read_text())
    return frames


def answer_in(name: str, method: str, number: int = 0) -> dict[str, Any]:
    """The captured answer to the request of this method."""
    frames = captured(name)
    found = [
        frames[index + 1]["frame"]
        for index, each in enumerate(frames)
        if each["dir"] == "out" and each["frame"]["method"] == method
    ]
    answer: dict[str, Any] = found[number]
    return answer


class Peer:
    """The server's end of one connection: a WebSocket, or bytes as a test wants them."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.protocol = ServerProtocol(max_size=None)
        self.messages: list[dict[str, Any]] = []

    def shake_hands(self) -> None:
        while True:
            self.protocol.receive_data(self.read())
            for event in self.protocol.events_received():
                if isinstance(event, Request):
                    self.protocol.send_response(self.protocol.accept(event))
                    return self.flush()

    def challenge(self) -> None:
        self.send(captured("ws-sessions-list-idle")[0]["frame"])

    def send(self, message: Mapping[str, Any]) -> None:
        self.protocol.send_text(json.dumps(message).encode())
        self.flush()

    def send_in_pieces(self, message: Mapping[str, Any], pieces: int) -> None:
        """One message in several frames, with a ping between them."""
        data = json.dumps(message).encode()
        size = -(-len(data) // pieces)
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        self.protocol.send_text(parts[0], fin=False)
        for number, part in enumerate(parts[1:], 2):
            self.protocol.send_ping(b"still there?")
            self.protocol.send_continuation(part, fin=number == len(parts))
        self.flush()

    def receive(self) -> dict[str, Any]:
        while not self.messages:
            self.protocol.receive_data(self.read())
            for event in self.protocol.events_received():
                if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    self.messages.append(json.loads(bytes(event.data)))
        return self.messages.pop(0)

    def close(self, code: int, reason: str = "") -> None:
        self.protocol.send_close(code, reason)
        self.flush()

    def read(self) -> bytes:
        data = self.connection.recv(65536)
        if not data:
            raise ConnectionError
        return data

    def write(self, data: bytes) -> None:
        self.connection.sendall(data)

    def flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                self.connection.sendall(data)


class FakeGateway:
    """A running gateway. `behaves` takes its connections in turn; the last one stays for the rest."""

    def __init__(self, *behaves: Behaviour | None, capture: str = "ws-sessions-list-idle") -> None:
        self.capture = capture
        self.behaves = list(behaves)
        self.asked: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] | None = None
        """Rows in place of the captured ones."""
        self.page = 100
        self.stopping = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @property
    def address(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        return {"OPENCLAW_GATEWAY_URL": self.address, "OPENCLAW_GATEWAY_TOKEN": TOKEN}

    @property
    def methods(self) -> list[str]:
        return [each["method"] for each in self.asked]

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            behaviour = self.behaves.pop(0) if len(self.behaves) > 1 else next(iter(self.behaves), None)
            thread = threading.Thread(target=self._serve, args=[connection, behaviour], name="gateway peer")
            self._connections.append(connection)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        self.stopping.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _serve(self, connection: socket.socket, behaviour: Behaviour | None) -> None:
        with connection, suppress(OSError):
            (behaviour or self.answer)(Peer(connection))

    def answer(self, peer: Peer) -> None:
        """As the real one does."""
        peer.shake_hands()
        peer.challenge()
        self.greet(peer, peer.receive())
        while True:
            request = peer.receive()
            self.asked.append(request)
            peer.send({"type": "event", "event": "tick", "payload": {"ts": 1795328521820}})
            reply = self._reply(request["method"], request["params"])
            peer.send_in_pieces({**reply, "id": request["id"]}, 3)

    def greet(self, peer: Peer, request: dict[str, Any]) -> None:
        """Answer `connect`; refuse it as the real one does."""
        self.asked.append(request)
        params = request["params"]
        if not params["minProtocol"] <= 4 <= params["maxProtocol"]:
            return refuse(peer, request, mismatch(4), 1002)
        if (params["client"]["id"], params["client"]["mode"]) != ("gateway-client", "backend"):
            error = {"code": "INVALID_REQUEST", "message": "invalid connect params: at /client/id"}
            return refuse(peer, request, error, 1008)
        if TOKEN not in params.get("auth", {}).values():
            answer = answer_in("ws-connect-wrong-token", "connect")
            return refuse(peer, request, answer["error"], 1008)
        peer.send({**answer_in(self.capture, "connect"), "id": request["id"]})

    def _reply(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "sessions.list" and (unknown := set(params) - KNOWN_LIST_PARAMETERS):
            text = f"invalid sessions.list params: at root: unexpected property '{unknown.pop()}'"
            return {"type": "res", "ok": False, "error": {"code": "INVALID_REQUEST", "message": text}}
        reply = answer_in(self.capture, method)
        if method != "sessions.list":
            return reply
        payload = reply["payload"]
        rows = payload["sessions"] if self.rows is None else self.rows
        start = params.get("offset", 0)
        more = start + self.page < len(rows)
        payload |= {"sessions": rows[start : start + self.page], "hasMore": more}
        payload["nextOffset"] = start + self.page if more else None
        return reply


def http(status: int, body: bytes, *more: str) -> bytes:
    """An HTTP answer."""
    head = [f"HTTP/1.1 {status} -", "Content-Type: application/json", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*head, "", ""]).encode() + body


def mismatch(expected: int) -> dict[str, Any]:
    details = {"code": "PROTOCOL_MISMATCH", "expectedProtocol": expected}
    return {"code": "INVALID_REQUEST", "message": "protocol mismatch", "details": details}


def refuse(peer: Peer, request: Mapping[str, Any], error: Mapping[str, Any], code: int) -> None:
    """Say no and close, as every refused connect ends."""
    peer.send({"type": "res", "id": request["id"], "ok": False, "error": error})
    peer.close(code)
    raise ConnectionError


def refusing(error: Mapping[str, Any], code: int) -> Behaviour:
    """A gateway that refuses every connect."""

    def behave(peer: Peer) -> None:
        peer.shake_hands()
        peer.challenge()
        refuse(peer, peer.receive(), error, code)

    return behave


@contextmanager
def gateway(*behaves: Behaviour | None, capture: str = "ws-sessions-list-idle") -> Iterator[FakeGateway]:
    """A gateway for as long as the block runs; without behaviours it is a good one."""
    running = FakeGateway(*behaves, capture=capture)
    thread = threading.Thread(target=running.accept, name="gateway")
    thread.start()
    try:
        yield running
    finally:
        running.close()
        thread.join()
