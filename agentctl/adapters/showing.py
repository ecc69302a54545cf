"""What adapters show to people in the same words, whichever agent they describe.

Must not read any file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentctl.adapters.base import Message, Role
from agentctl.adapters.values import mapping, string
from agentctl.core.text import clean

CUT_OFF = "the answer was cut off at the model's output limit"

GOES_ON = "a call of a tool was put off; agentctl resume without a message makes it"

TELLING = (
    "command", "cmd", "file_path", "filePath", "notebook_path", "pattern", "path", "url", "query", "skill",
    "description",
)  # fmt: skip
"""Arguments of agents' tools that say best what a call does, the best first."""


def telling(arguments: object) -> str | None:
    """The argument of a tool call that says best what it does; None where none is known to."""
    given = mapping(arguments)
    return next((text for key in TELLING if (text := string(given.get(key)))), None)


def retried(errors: Sequence[str]) -> str:
    """The note on calls of the model that failed and were tried again; `errors` has one for each."""
    if len(errors) == 1:
        return f"the model's server failed once: {errors[0]}"
    return f"the model's server failed {len(errors)} times, most recently: {errors[-1]}"


def printed(line: str) -> Iterator[Message]:
    """A line of a log that is not a record, as it is; nothing for a line without text."""
    if text := clean(line).rstrip():
        yield Message(role=Role.LOG, text=text)
