"""The runner's own log, and careful reading of what an agent sends.

Runs without the package: see `__main__`.
"""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

Frame = dict[str, Any]


class Phase(StrEnum):
    """Where a session is when a frame passes; ASIDE is for frames of another session."""

    SETUP = "setup"
    REPLAY = "replay"
    TURN = "turn"
    CLOSING = "closing"
    ASIDE = "aside"


class Trouble(Exception):
    """The session cannot continue; the text says why, in one line."""

    def __init__(self, text: str, code: object = None) -> None:
        super().__init__(one_line(text))
        self.code = code


class StopRequested(Exception):
    """A signal asked the runner to end."""


class Log:
    """Standard output as a list of records. A full disk loses only records."""

    def __init__(self) -> None:
        self.lost = 0
        self.is_cut = False

    def record(self, kind: str, **fields: object) -> None:
        self._write(kind, json.dumps(fields, ensure_ascii=False)[1:-1])

    def frame(self, kind: str, phase: Phase, text: str) -> None:
        """A frame in the sender's own words: known fields, unknown ones, and their order."""
        self._write(kind, f'"phase": "{phase}", "frame": {text}')

    def _write(self, kind: str, fields: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")  # noqa: TID251  (a program of its own)
        line = f'{{"at": "{at}", "type": "{kind}", {fields}}}\n'
        # A lone surrogate becomes an escape that JSON knows.
        left = (b"\n" if self.is_cut else b"") + line.encode("utf-8", "backslashreplace")
        while left:
            try:
                left = left[os.write(1, left) :]
            except OSError:
                self.lost, self.is_cut = self.lost + 1, True
                return
        self.is_cut = False


def one_line(text: str, length: int = 1000) -> str:
    return " ".join(text.split())[:length]


def mapping(value: object) -> Frame:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: object) -> list[Frame]:
    """The objects in a list; none for any other value."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def error_text(error: object) -> str:
    """A JSON-RPC error in one line, with what its data adds to the message."""
    fields = mapping(error)
    message = str(
        fields.get("message") or (error if isinstance(error, str) else "") or "an error without a message"
    )
    data = fields.get("data")
    more = data if isinstance(data, str) else mapping(data).get("message") or mapping(data).get("details")
    return one_line(f"{message}: {more}" if isinstance(more, str) and more not in message else message)


def option_of(told: Frame, category: str) -> Frame | None:
    """The configuration option that chooses the model or the mode, among the agent's options."""
    options = listed(told.get("configOptions"))
    return next((option for option in options if option.get("category") == category), None)


def current_model(told: Frame) -> str | None:
    """The model in use by these options, or by the list of models of older agents."""
    option = option_of(told, "model")
    model = option.get("currentValue") if option else mapping(told.get("models")).get("currentModelId")
    return model if isinstance(model, str) else None


def permission_option(options: object, kind: str) -> str | None:
    """The id of the first option of this kind."""
    ids = (option.get("optionId") for option in listed(options) if option.get("kind") == kind)
    return next((each for each in ids if isinstance(each, str)), None)


def how_ended(code: int) -> str:
    """The end of a process in words, by its code or (below zero) its signal."""
    if code >= 0:
        return f"exited with code {code}"
    names = {int(known): known.name for known in signal.Signals}
    return f"was ended by {names.get(-code, f'signal {-code}')}"
