"""The agent's process and its pipes: requests with deadlines, and its orderly end.

Runs without the package: see `__main__`.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING or __package__:
    from agentctl.adapters.acp.runner.records import (
        Frame,
        Log,
        Phase,
        StopRequested,
        Trouble,
        current_model,
        error_text,
        how_ended,
        mapping,
        one_line,
        permission_option,
    )
    from agentctl.adapters.acp.runner.turn import Turn
else:
    from records import (
        Frame,
        Log,
        Phase,
        StopRequested,
        Trouble,
        current_model,
        error_text,
        how_ended,
        mapping,
        one_line,
        permission_option,
    )
    from turn import Turn

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
NO_METHOD = -32601
ANSWERS = {"allow": "allow_once", "deny": "reject_once"}
"""Policy → the kind of option that is picked: never one that lasts longer than this turn."""

BLOCK = 1024 * 1024
LONGEST_LINE = 64 * 1024 * 1024
LONGEST_STDERR_LINE = 64 * 1024


class Order(NamedTuple):
    """What the adapter asks for."""

    words: list[str]
    """The agent's command."""
    model: str | None = None
    mode: str | None = None
    resume: str | None = None
    permissions: str = "deny"
    timeout: float = 60.0
    """Seconds for every answer but the prompt's."""
    grace: float = 10.0
    """Seconds for a cancelled turn to end; half of it for the agent to exit by itself."""
    quiet: float = 25.0
    """Seconds without a frame in the turn after which the log says so."""


class Agent:
    """The agent's process, its pipes and its answers. What passes through the pipes is recorded."""

    def __init__(self, order: Order, log: Log, turn: Turn) -> None:
        self.order, self.log, self.turn = order, log, turn
        self.phase = Phase.SETUP
        self.session: str | None = None
        self.stop: int | None = None
        self.exit: int | None = None
        self.model: str | None = None
        self._number = 0
        self._answers: dict[int, Frame] = {}
        self._prompt: int | None = None
        self._is_closed = False
        self._broken: str | None = None
        self._heard_at: float | None = None
        """When the latest frame came; None once the log says that none comes."""
        self._outgoing = b""
        self._parts: list[bytes] = []
        self._said = b""
        self._selector = selectors.DefaultSelector()
        self._watch_signals()
        self._start()

    def _watch_signals(self) -> None:
        wake, woken = os.pipe()
        for descriptor in (wake, woken):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        for number in (*STOPS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self._selector.register(wake, selectors.EVENT_READ, lambda: self._read_signals(wake))

    def _start(self) -> None:
        """In a group of its own, so that its children can be signalled. OSError if it cannot start."""
        (input_end, self._input), (self._output, output_end), (self._errors, error_end) = (
            os.pipe() for _ in range(3)
        )
        ends = (input_end, output_end, error_end)
        self.pid = os.posix_spawnp(
            self.order.words[0],
            self.order.words,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, end, target) for target, end in enumerate(ends)],
            setpgroup=0,
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
        for end in ends:
            os.close(end)
        for end in (self._input, self._output, self._errors):
            os.set_blocking(end, False)
        self._selector.register(self._output, selectors.EVENT_READ, self._read_output)
        self._selector.register(self._errors, selectors.EVENT_READ, self._read_errors)
        self.log.record("start", agent=self.order.words, pid=self.pid)

    def call(self, method: str, params: Frame, *, is_prompt: bool = False) -> Frame:
        """Ask and wait for the answer. Raises Trouble for an error or a late answer, and StopRequested."""
        self._number += 1
        number, seconds = self._number, None if is_prompt else self.order.timeout
        if self.stop is not None:
            raise StopRequested
        if is_prompt:
            self.phase, self._prompt, self._heard_at = Phase.TURN, number, time.monotonic()
        self.send({"id": number, "method": method, "params": params})
        if not self.wait(lambda: number in self._answers or self.stop is not None or self.is_over, seconds):
            raise Trouble(f"the agent did not answer {method} within {seconds:g} s")
        return self._answer(number, method)

    def cancel(self) -> Frame | None:
        """Ask for the end of the turn. Returns the prompt's answer if it comes in time."""
        number = self._prompt
        if number is None or self.session is None or self.is_over:
            return None
        self.send({"method": "session/cancel", "params": {"sessionId": self.session}})
        if not self.wait(lambda: number in self._answers or self.is_over, self.order.grace):
            return None
        return mapping(self._answers.get(number, {}).get("result"))

    def _answer(self, number: int, method: str) -> Frame:
        if number in self._answers:
            frame = self._answers.pop(number)
            if "error" in frame:
                error = mapping(frame["error"])
                what = "" if method == "session/prompt" else f"{method}: "
                raise Trouble(what + error_text(error or frame["error"]), error.get("code"))
            result = mapping(frame.get("result"))
            self.model = current_model(result) or self.model
            return result
        if self.stop is not None:
            raise StopRequested
        if self._broken is not None:
            raise Trouble(self._broken)
        self.wait(lambda: self.exit is not None, 1)
        how = "closed its output" if self.exit is None else how_ended(self.exit)
        raise Trouble(f"the agent {how} before it answered {method}")

    @property
    def is_asked(self) -> bool:
        """The prompt has been sent."""
        return self._prompt is not None

    @property
    def is_over(self) -> bool:
        """Nothing more can come from the agent."""
        return self._is_closed or self.exit is not None

    def wait(self, ready: Callable[[], object], seconds: float | None = None) -> bool:
        """Serve the pipes until `ready` or the end of the time. Returns whether it is ready."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not ready():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            self.serve(self._until_quiet(left))
        return True

    def _until_quiet(self, left: float | None) -> float | None:
        """How long to wait at most, so that a silence in the turn is recorded while it lasts, once."""
        if self.phase is not Phase.TURN or self._heard_at is None:
            return left
        rest = self._heard_at + self.order.quiet - time.monotonic()
        if rest <= 0:
            self._heard_at = None
            self.log.record("quiet", seconds=round(self.order.quiet))
            return left
        return rest if left is None else min(left, rest)

    def serve(self, seconds: float | None) -> None:
        """Read and write what is possible, and wait at most this long for it."""
        for key, _ in self._selector.select(seconds):
            if key.fd in self._selector.get_map():  # an earlier one of these may have closed it
                key.data()

    def send(self, frame: Frame) -> None:
        """In ASCII: some agents' line readers take U+2028 for a line's end."""
        text = json.dumps({"jsonrpc": "2.0", **frame})
        self.log.frame("out", self.phase, text)
        if self._input >= 0:
            self._outgoing += text.encode() + b"\n"
            self._write()

    def _write(self) -> None:
        is_watched = self._input in self._selector.get_map()
        try:
            while self._outgoing:
                self._outgoing = self._outgoing[os.write(self._input, self._outgoing[:BLOCK]) :]
        except BlockingIOError:
            if not is_watched:
                self._selector.register(self._input, selectors.EVENT_WRITE, self._write)
            return
        except OSError:
            self.close_input()
            return
        if is_watched:
            self._selector.unregister(self._input)

    def close_input(self) -> None:
        """The end of its input asks the agent to exit."""
        if self._input < 0:
            return
        if self._input in self._selector.get_map():
            self._selector.unregister(self._input)
        os.close(self._input)
        self._input, self._outgoing = -1, b""

    def _read_signals(self, wake: int) -> None:
        for number in os.read(wake, 1024):
            if number != signal.SIGCHLD:
                self.stop = self.stop or number
        if self.exit is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                # Its output is in the pipe by now. Do not wait for the end: its children may keep it open.
                for _ in range(8):
                    self._read_output()
                    self._read_errors()
                self.exit = os.waitstatus_to_exitcode(status)

    def _read_output(self) -> None:
        data = self._read(self._output)
        if data is None:
            return
        *whole, rest = data.split(b"\n")
        for piece in whole:
            line, self._parts = b"".join((*self._parts, piece)), []
            self._take(line)
        if rest:
            self._parts.append(rest)
        if not data:
            self._is_closed = True
            self._take(b"".join(self._parts))
        elif sum(map(len, self._parts)) > LONGEST_LINE:
            self._parts = []
            self._selector.unregister(self._output)
            self._is_closed = True
            self._broken = f"the agent wrote a line of more than {LONGEST_LINE >> 20} MiB"

    def _read_errors(self) -> None:
        data = self._read(self._errors)
        if data is None:
            return
        *whole, self._said = (self._said + data).split(b"\n")
        if self._said and (not data or len(self._said) > LONGEST_STDERR_LINE):
            whole.append(self._said)
            self._said = b""
        for line in whole:
            self.log.record("stderr", text=line.decode("utf-8", "replace").rstrip("\r"))

    def _read(self, descriptor: int) -> bytes | None:
        """What can be read; empty at the end of the stream, None if there is nothing yet."""
        if descriptor not in self._selector.get_map():
            return None
        try:
            data = os.read(descriptor, BLOCK)
        except BlockingIOError:
            return None
        if not data:
            self._selector.unregister(descriptor)
        return data

    def _take(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").strip()
        if not text:
            return
        try:
            frame = json.loads(text)
        except (ValueError, RecursionError):
            frame = None
        if not isinstance(frame, dict):
            self.log.record("garbage", text=text)
            return
        self._heard_at = time.monotonic()
        number, params = frame.get("id"), mapping(frame.get("params"))
        is_aside = frame.get("method") == "session/update" and not self._is_ours(params.get("sessionId"))
        self.log.frame("in", Phase.ASIDE if is_aside else self.phase, text)
        if "method" in frame:
            if "id" in frame:
                self._serve_request(number, str(frame["method"]), params)
            elif frame["method"] == "session/update" and not is_aside:
                self._take_update(mapping(params.get("update")))
        elif isinstance(number, int):
            self._answers[number] = frame
            if number == self._prompt:
                self.phase = Phase.CLOSING

    def _is_ours(self, session: object) -> bool:
        """The stream may also have a subagent's session; ours can come before its id is known."""
        return self.session is None or session in (self.session, None)

    def _take_update(self, update: Frame) -> None:
        self.model = current_model(update) or self.model
        cost = mapping(update.get("cost"))
        amount = cost.get("amount")
        if isinstance(amount, int | float) and cost.get("currency") == "USD":
            if self.phase in (Phase.TURN, Phase.CLOSING):
                self.turn.cost = amount
            else:
                self.turn.cost_before = amount
        if self.phase is Phase.TURN:
            self.turn.take(update)

    def _serve_request(self, number: object, method: str, params: Frame) -> None:
        if method != "session/request_permission":
            error = {"code": NO_METHOD, "message": f"agentctl does not offer {method}"}
            self.send({"id": number, "error": error})
            return
        option, answer = None, "cancelled"
        if self.stop is None:
            option = permission_option(params.get("options"), ANSWERS[self.order.permissions])
            answer = "allowed" if option is not None and self.order.permissions == "allow" else "denied"
        call = mapping(params.get("toolCall"))
        title = one_line(str(call.get("title") or call.get("kind") or "a tool"), 200)
        if answer == "denied":
            self.turn.deny(title)
        self.turn.end_message()
        self.log.record("permission", title=title, answer=answer, option=option)
        picked = {"outcome": "cancelled"} if option is None else {"outcome": "selected", "optionId": option}
        self.send({"id": number, "result": {"outcome": picked}})

    def end(self) -> None:
        """End the agent: end of input, TERM, KILL; then everything that is left in its group."""
        self.phase = Phase.CLOSING
        self.close_input()
        grace = self.order.grace
        by_itself = 0 if self.turn.known.ignores_end else grace / 2
        for number, seconds in ((0, by_itself), (signal.SIGTERM, grace * 0.3), (signal.SIGKILL, 5)):
            if self.exit is None and number:
                self._signal_group(number)
            self.wait(lambda: self.exit is not None, seconds)
        for number in (signal.SIGTERM, signal.SIGKILL):
            # Wrappers written in Node end and leave the real agent behind.
            deadline = time.monotonic() + min(2, grace)
            is_left = self._signal_group(number)
            while is_left and time.monotonic() < deadline:
                self.serve(0.02)
                is_left = self._signal_group(0)

    def _signal_group(self, number: int) -> bool:
        """Whether there was a process to signal."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True
