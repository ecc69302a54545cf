"""pi's session files: where they are, whose they are, and what they hold.

One JSON object per line, the first the header. The TypeScript pi and its Rust port share the
directories, so each adapter says which headers are its own. Files grow while they are read;
what cannot be read is skipped. Must not write.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from agentctl.adapters import reading
from agentctl.adapters.base import NativeSession
from agentctl.adapters.pi import records
from agentctl.adapters.reading import json_object, names, open_regular, timestamp
from agentctl.adapters.values import mapping, string
from agentctl.core.model import AgentVerdict, Result, Tokens
from agentctl.core.text import one_line

HEAD_BYTES = 64 * 1024
TAIL_BYTES = 1024 * 1024
TITLE_WIDTH = 500

SHORT = 8
"""Characters of the id in the name of a file that the Rust port writes."""

_ANSWER = b'"assistant"'


class Header(NamedTuple):
    """The first line of a session file."""

    id: str
    cwd: str | None
    created_at: datetime
    is_rust: bool
    """The Rust port names its model here, and puts only the id's beginning into the file's name.

    The TypeScript pi named its model here, too, in 2025.
    """


def directory_in(environ: Mapping[str, str], variable: str, *, setting: str | None = None) -> str | None:
    """The directory of sessions; None if neither a variable nor HOME leads to one.

    `variable` names it; without that, pi's settings under the name `setting`; else it is in
    pi's own directory.
    """
    agent = _absolute(environ.get("PI_CODING_AGENT_DIR"), environ) or _absolute("~/.pi/agent", environ)
    if place := environ.get(variable):
        return _absolute(place, environ)
    if agent is None:
        return None
    chosen = _absolute(_setting(agent, setting), environ) if setting else None
    return chosen or os.path.join(agent, "sessions")


def _absolute(path: str | None, environ: Mapping[str, str]) -> str | None:
    """The path with `~` for HOME; None for one that depends on where pi is started."""
    if path and (path == "~" or path.startswith("~/")):
        home = environ.get("HOME")
        path = home + path[1:] if home else None
    return path if path and os.path.isabs(path) else None


def _setting(agent: str, name: str) -> str | None:
    lines = reading.head_lines(os.path.join(agent, "settings.json"), HEAD_BYTES)
    return string((json_object("\n".join(lines)) or {}).get(name))


def session_files(directory: str) -> Iterator[str]:
    """Every session file: in a directory per project, or flat in a directory that the user chose."""
    for name in names(directory):
        path = os.path.join(directory, name)
        if name.endswith(".jsonl"):
            yield path
        elif name.startswith("--"):
            yield from (f"{path}/{inner}" for inner in names(path) if inner.endswith(".jsonl"))


def find(directory: str, ending: str, cwd: str) -> Iterator[str]:
    """Session files with this ending: those of this project first, newest first in each directory."""
    slug = "--" + cwd.removeprefix("/").translate(str.maketrans("/\\:", "---")) + "--"
    own = os.path.join(directory, slug)
    others = (os.path.join(directory, name) for name in names(directory) if name.startswith("--"))
    for place in (own, directory, *(other for other in others if other != own)):
        for name in sorted(names(place), reverse=True):
            if name.endswith(ending):
                yield os.path.join(place, name)


def header_of(path: str) -> Header | None:
    """The header of a session file; None for any other file."""
    line = next(iter(reading.head_lines(path, HEAD_BYTES)), None)
    record = json_object(line) or {}
    native_id, created_at = string(record.get("id")), timestamp(record.get("timestamp"))
    if record.get("type") != "session" or not native_id or created_at is None:
        return None
    return Header(
        id=native_id,
        cwd=string(record.get("cwd")),
        created_at=created_at,
        is_rust=("modelId" in record or "provider" in record)
        and os.path.basename(path).endswith(f"_{native_id[:SHORT]}.jsonl"),
    )


def answers_since(path: str, since: datetime) -> tuple[Mapping[str, Any], ...]:
    """The assistant's messages from an instant on, oldest first."""
    found = []
    for entry in _answer_lines(path):
        at = timestamp(entry.get("timestamp"))
        answer = records.answer_of(entry)
        if answer is not None and at is not None and at >= since:
            found.append(answer)
    return tuple(found)


def discover(path: str, is_ours: Callable[[Header], bool]) -> Iterable[NativeSession]:
    """The session of a file, from its head and its end; nothing if the file is not ours."""
    header = header_of(path)
    if header is None or not is_ours(header):
        return []
    is_whole = reading.size(path) <= TAIL_BYTES
    head = list(reading.json_objects(reading.head_lines(path, HEAD_BYTES)))
    tail = list(reading.json_objects(reading.tail_lines(path, TAIL_BYTES)))
    answers = [answer for entry in tail if (answer := records.answer_of(entry)) is not None]
    model = records.model_of(answers) or _chosen_model(head)
    verdict, text, is_open = _state(tail)
    return [
        NativeSession(
            native_id=header.id,
            store_path=path,
            cwd=header.cwd,
            title=_title(head),
            created_at=header.created_at,
            updated_at=_updated(tail) or header.created_at,
            model=model,
            is_open=is_open,
            result=Result(
                verdict=verdict,
                text=text,
                native_id=header.id,
                model=model,
                # The sums need the whole file.
                tokens=records.tokens_of(answers) if is_whole else Tokens(),
                cost_usd=records.cost_of(answers) if is_whole else None,
                turns=records.turns_of(answers) if is_whole else None,
                transcript_path=path,
            ),
        )
    ]


def _state(entries: Sequence[Mapping[str, Any]]) -> tuple[AgentVerdict, str | None, bool]:
    """How the last turn ended, and whether it is unfinished.

    An aborted turn is unfinished: today's pi leaves one when its process is terminated.
    """
    for entry in reversed(entries):
        message = mapping(entry.get("message"))
        if entry.get("type") != "message" or message.get("role") not in ("user", "assistant", "toolResult"):
            continue
        match message.get("stopReason") if message.get("role") == "assistant" else None:
            case "stop" | "length":
                return AgentVerdict.OK, records.text_of(message) or None, False
            case "error":
                return AgentVerdict.ERROR, records.error_text(message), False
            case _:
                return AgentVerdict.SILENT, None, True
    return AgentVerdict.SILENT, None, True


def _title(entries: Iterable[Mapping[str, Any]]) -> str | None:
    """The first prompt."""
    for entry in entries:
        message = mapping(entry.get("message"))
        if message.get("role") == "user":
            return one_line(records.text_of(message), TITLE_WIDTH) or None
    return None


def _chosen_model(entries: Iterable[Mapping[str, Any]]) -> str | None:
    """The chosen model of a session without an answer."""
    found = None
    for entry in entries:
        if entry.get("type") in ("model_change", "session"):
            provider, model = string(entry.get("provider")), string(entry.get("modelId"))
            found = f"{provider}/{model}" if provider and model else found
    return found


def _updated(entries: Sequence[Mapping[str, Any]]) -> datetime | None:
    return timestamp(entries[-1].get("timestamp")) if entries else None


def _answer_lines(path: str) -> Iterator[Mapping[str, Any]]:
    """The lines of a file that may be answers; the file may be long, so one at a time."""
    try:
        with open_regular(path) as file:
            for line in file:
                entry = json_object(line.decode("utf-8", "replace")) if _ANSWER in line else None
                if entry is not None:
                    yield entry
    except OSError:
        return
