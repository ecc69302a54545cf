"""A receiver of webhooks on the loopback interface that keeps what it gets."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SIGNATURES = ("X-Agentctl-Signature", "X-Signature", "X-Hub-Signature-256")


@dataclass(frozen=True, slots=True)
class Post:
    """One request as it came in. Header names are in lower case."""

    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.raw)
        return body

    def is_signed_with(self, secret: str) -> bool:
        """Every signature header is there and right."""
        expected = "sha256=" + hmac.new(secret.encode(), self.raw, hashlib.sha256).hexdigest()
        return all(self.headers.get(name.lower()) == expected for name in SIGNATURES)


class Receiver:
    """A running server: its address, and the posts it has seen so far."""

    def __init__(self, port: int = 0) -> None:
        self._lock = threading.Lock()
        self._posts: list[Post] = []
        self._server = _Server(("127.0.0.1", port), _Handler, self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def everything(self) -> list[Post]:
        """All posts, in the order in which they came."""
        with self._lock:
            return list(self._posts)

    def posts(self, *, session_id: str, hook_type: str) -> list[Post]:
        """Those of one kind about one session, in the order in which they came."""
        return [
            post
            for post in self.everything()
            if post.body.get("session_id") == session_id and post.body.get("hook_type") == hook_type
        ]

    def record(self, post: Post) -> None:
        with self._lock:
            self._posts.append(post)

    def serve_forever(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receive(port: int = 0) -> Iterator[Receiver]:
    """A receiver in a thread of its own for as long as the block runs."""
    receiver = Receiver(port)
    thread = threading.Thread(target=receiver.serve_forever, name="receiver")
    thread.start()
    try:
        yield receiver
    finally:
        receiver.close()
        thread.join()


def free_port() -> int:
    """A port of the loopback interface where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


class _Server(ThreadingHTTPServer):
    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], receiver: Receiver
    ) -> None:
        self.receiver = receiver
        super().__init__(address, handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Posts are recorded, not printed."""

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.receiver.record(Post(headers, raw))
        self.send_response(204)
        self.end_headers()
