"""A post to a real receiver on the loopback: one limit for all of it, whatever the receiver does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from agentctl.host.http import post, signatures
from agentctl.host.waiting import ticks

TLS = Path(__file__).parent.parent / "data" / "tls"
LIMIT = 0.5
PORTION = 0.05
"""Seconds between two bytes: well within the limit each."""

Send = Callable[[bytes], None]


@contextmanager
def serving(answer: Callable[[Send], None]) -> Iterator[str]:
    """The address of a receiver that answers one post in its own way, until the block is left."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()

            def send(data: bytes) -> None:
                if over.is_set():
                    raise ConnectionAbortedError
                connection.sendall(data)

            with connection, suppress(OSError):  # who posts has given up
                connection.recv(65536)
                answer(send)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/hook"
        finally:
            over.set()
            thread.join(timeout=20)
            assert not thread.is_alive()


def trickle_a_header(send: Send) -> None:
    send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in ticks(interval=PORTION, timeout=10):
        send(b"x")


def trickle_the_status(send: Send) -> None:
    for _ in ticks(interval=PORTION, timeout=10):
        send(b"H")


def say_nothing(send: Send) -> None:
    for _ in ticks(interval=PORTION, timeout=10):
        send(b"")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.mark.parametrize("answer", [trickle_a_header, trickle_the_status, say_nothing])
def test_a_receiver_does_not_outlast_the_limit(answer: Callable[[Send], None]) -> None:
    with serving(answer) as url:
        began = time.monotonic()
        posted = post(url, b"{}", headers={}, secret=None, limit=LIMIT)
        took = time.monotonic() - began
    assert "timed out" in (posted.error or "")
    assert took < LIMIT + 1.5


@pytest.mark.parametrize(("status", "error"), [("204 Fine", None), ("500 No", "the receiver answered 500")])
def test_a_prompt_answer_is_the_receivers_own(status: str, error: str | None) -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    with serving(lambda send: send(head)) as url:
        assert post(url, b"{}", headers={}, secret="s", limit=20).error == error


@pytest.mark.parametrize("url", ["file:///etc/passwd", "nonsense"])
def test_what_is_no_web_address_is_posted_nowhere(url: str) -> None:
    assert post(url, b"{}", headers={}, secret=None, limit=20).error


def test_a_receiver_whose_certificate_nobody_vouches_for_gets_nothing() -> None:
    told: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as inside:
                told.append(inside.recv(1000))

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}/hook"
        posted = post(url, b"{}", headers={}, secret="s", limit=10)
        thread.join()
    assert "certificate" in (posted.error or "")
    assert told == []


def test_who_posts_is_told_in_a_header_and_nowhere_else() -> None:
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                received.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://me:a%40b@127.0.0.1:{listening.getsockname()[1]}/hook?x=1"
        posted = post(url, b"{}", headers={}, secret=None, limit=20)
        thread.join(timeout=20)
    assert posted.error is None
    (head,) = received
    assert head.startswith(b"POST /hook?x=1 ")
    assert b"\r\nAuthorization: Basic " + base64.b64encode(b"me:a@b") + b"\r\n" in head
    assert b"me:" not in head.replace(b"Authorization", b"")


def test_a_password_in_an_address_is_in_no_error() -> None:
    posted = post("http://me:hunter2@127.0.0.1:1/", b"{}", headers={}, secret=None, limit=LIMIT)
    assert posted.error and "hunter2" not in posted.error
    # Without a port the password would be taken for one.
    posted = post("http://me:hunter2@localhost.invalid/", b"{}", headers={}, secret=None, limit=LIMIT)
    assert posted.error and "hunter2" not in posted.error


def test_a_secret_of_any_bytes_signs() -> None:
    """The environment's bytes need not be UTF-8."""
    expected = hmac.new(b"\xff", b"{}", hashlib.sha256).hexdigest()
    assert signatures(b"{}", os.fsdecode(b"\xff"))["X-Signature"] == f"sha256={expected}"
