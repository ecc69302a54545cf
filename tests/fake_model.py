"""A model server on the loopback interface, for driving real agent programs.

The model's name says how it behaves (see `behave`), so one server serves every
test. A dialect is one API that agents speak: how its requests are read and its
answers written. What a model does must not depend on the dialect.

    python -m tests.fake_model [PORT]      prints the address and serves until interrupted
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.dialects.anthropic import ANTHROPIC
from tests.dialects.chat import CHAT
from tests.dialects.gemini import GEMINI
from tests.dialects.responses import RESPONSES
from tests.dialects.words import Reply, Turn

GREETING = "Hello from the fake model"
DONE = "The tool has run"
TITLE = "A fake title"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in, for tests to look at."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))


def behave(turn: Turn) -> Reply:
    """What the model of this name does.

    mock                answers GREETING at once
    slow<N>             the same after N seconds
    http<code>          fails with that status
    echo                tells how many user messages it sees, and the last of them
    tool-http<code>     runs a command, then fails with that status
    tool-bash-<N>       runs `sleep N` with the agent's tool, then answers
    tool-write          writes hello.txt in the project, then answers
    tool-write-outside  writes a file beside the project, then answers
    """
    if turn.wants_title:
        return Reply(text=TITLE)
    if seconds := re.fullmatch(r"slow([0-9.]+)", turn.model):
        return Reply(text=GREETING, delay=float(seconds[1]))
    if code := re.fullmatch(r"http(\d{3})", turn.model):
        return Reply(text=f"the fake model says {code[1]}", status=int(code[1]))
    if turn.model == "echo":
        last = turn.user_texts[-1] if turn.user_texts else ""
        return Reply(text=f"user message {len(turn.user_texts)}: {last}")
    if code := re.fullmatch(r"tool-http(\d{3})", turn.model):
        failed = Reply(text=f"the fake model says {code[1]}", status=int(code[1]))
        return failed if turn.after_tool else use_tool("tool-bash-0.1")
    if turn.model.startswith("tool-"):
        return Reply(text=DONE) if turn.after_tool else use_tool(turn.model)
    return Reply(text=GREETING)


def use_tool(model: str) -> Reply:
    """The tool call of a `tool-…` model, in the words of opencode's tools."""
    if sleep := re.fullmatch(r"tool-bash-([0-9.]+)", model):
        arguments = {"command": f"sleep {sleep[1]}", "description": "Waits a while"}
        return Reply(text="Calling a tool", tool="bash", arguments=arguments)
    path = "../outside.txt" if model == "tool-write-outside" else "hello.txt"
    # opencode's tool wants `filePath`, pi's `path`.
    arguments = {"filePath": path, "path": path, "content": "hi\n"}
    return Reply(text="Calling a tool", tool="write", arguments=arguments)


DIALECTS = (CHAT, RESPONSES, ANTHROPIC, GEMINI)


class FakeModel:
    """A running server: its address, and the requests it has seen so far."""

    def __init__(self, port: int = 0) -> None:
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._server = _Server(("127.0.0.1", port), _Handler, self)

    @property
    def url(self) -> str:
        """Without a path: each dialect's base address is below it (`<url>/v1`)."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests)

    def record(self, request: Request) -> None:
        with self._lock:
            self._requests.append(request)

    def serve_forever(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        """Ends every wait at once; afterwards nothing listens."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serve(port: int = 0) -> Iterator[FakeModel]:
    """A server in a thread of its own for as long as the block runs."""
    model = FakeModel(port)
    thread = threading.Thread(target=model.serve_forever, name="fake-model")
    thread.start()
    try:
        yield model
    finally:
        model.close()
        thread.join()


class _Server(ThreadingHTTPServer):
    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], model: FakeModel
    ) -> None:
        self.model = model
        super().__init__(address, handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """An agent that was killed in the middle of a request is what many tests are about."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are recorded, not printed."""

    def do_POST(self) -> None:
        model = self.server.model
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        body = json.loads(raw or b"{}")
        path = self.path.partition("?")[0]
        if named := re.search(r"/models/([^/:]+):", path):
            body["model"] = named[1]
        model.record(Request(path, dict(self.headers.items()), body))
        dialect = next((d for d in DIALECTS if path.endswith(d.path_suffix)), None)
        if dialect is None:
            self.fail(404, f"nothing is served at {path}")
            return
        turn = dialect.read(body)
        reply = behave(turn)
        if reply.delay and model.stopping.wait(reply.delay):
            return
        if reply.status != 200:
            self.fail(reply.status, reply.text)
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for event in dialect.write(turn, reply):
            self.wfile.write(event.encode())

    def fail(self, status: int, message: str) -> None:
        body = json.dumps({"error": {"message": message, "type": "fake", "code": status}}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(arguments: list[str]) -> None:
    model = FakeModel(int(arguments[0]) if arguments else 0)
    print(model.url, flush=True)
    try:
        model.serve_forever()
    except KeyboardInterrupt:
        model.stopping.set()


if __name__ == "__main__":
    main(sys.argv[1:])
