"""codex's session files: where they are, and what they say of each turn.

`sessions/YYYY/MM/DD/rollout-<time>-<thread id>.jsonl`, by local time; archived ones are in
`archived_sessions/`. A resumed thread appends to its old file. Only these files are read:
codex's databases have their schema's number in their names, and change with it.
Must not write; what cannot be read is skipped.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from agentctl.adapters import reading
from agentctl.adapters.codex.log import LINE, error_text, tokens
from agentctl.adapters.reading import instant, json_object, names, timestamp
from agentctl.adapters.values import integer, mapping, mappings, string
from agentctl.core.model import AgentVerdict, Tokens
from agentctl.core.text import one_line

SESSIONS, ARCHIVED, LOCKS = "sessions", "archived_sessions", "thread-writer-locks"

HEXADECIMAL = frozenset("0123456789abcdef")

DAY = 24 * 60 * 60 * 1000
"""Milliseconds by which local time may differ from the time in an id."""

HEAD = 128 * 1024
TAIL = 16 * 1024 * 1024

KINDS = (
    '"session_meta"',
    '"turn_context"',
    '"token_usage_record"',
    '"task_started"',
    '"task_complete"',
    '"turn_aborted"',
    '"UserMessage"',
    '"function_call_output"',
    '"token_count"',
    '"user_message"',
    '"agent_message"',
    '"message"',
    '"function_call"',
    '"custom_tool_call"',
    '"local_shell_call"',
)
"""Records about turns. Their types are near the beginning of their lines."""

CALLS = frozenset({"function_call", "custom_tool_call", "local_shell_call"})

REQUEST = "## My request for Codex:"
"""What an editor writes between the context that it adds and the words of the person."""

CONTEXT = ("<environment_context>", "<user_instructions>", "<permissions", "# AGENTS.md instructions for ")
"""Beginnings of messages that codex itself writes in the user's name."""

NAMED_WITHIN = 400

# Compiled when first used: a listing that reads no session file does not need it.
_REFUSED = r"(?s)exited with code [1-9].*\n([^\n]*Read-only file system|bwrap: [^\n]*)"

NO_SANDBOX = "danger-full-access"


class Turn(NamedTuple):
    """One prompt and what came of it. Anything that the file does not say is None."""

    began_at: datetime | None = None
    verdict: AgentVerdict = AgentVerdict.SILENT
    is_over: bool = False
    text: str | None = None
    """The agent's last word, or the error."""
    prompt: str | None = None
    model: str | None = None
    cwd: str | None = None
    sandbox: str | None = None
    tokens: Tokens = Tokens()
    thread_tokens: Tokens = Tokens()
    is_nameless: bool = False
    """codex gave it no id, as before 2026: then its beginning and its end follow from the messages alone."""
    answers: int = 0
    """How many times the model has answered."""
    refused: tuple[str, ...] = ()
    """What the sandbox said to commands that it did not let write or run."""


class Rollout(NamedTuple):
    """A session file, or its head and its end."""

    path: str
    meta: Mapping[str, Any]
    turns: tuple[Turn, ...]
    updated_at: datetime | None
    """Of its last record."""


def native_id(path: str) -> str | None:
    """The thread's id in a session file's name; None for any other file."""
    name = path.rpartition("/")[2]
    thread = name[-42:-6]
    is_named_so = name.startswith("rollout-") and name.endswith(".jsonl") and name[-43:-42] == "-"
    return thread if is_named_so and _is_id(thread) else None


def _is_id(text: str) -> bool:
    """Whether codex makes such ids. This one is from an agent's log: it must not lead out of the store."""
    # Without a regular expression or a split: a listing checks thousands of names.
    digits = text.replace("-", "")
    has_dashes = text[8:9] == text[13:14] == text[18:19] == text[23:24] == "-"
    return has_dashes and (len(text), len(digits)) == (36, 32) and HEXADECIMAL.issuperset(digits)


def store_of(path: str) -> str:
    """The store of this session file."""
    directory = os.path.dirname(path)
    while os.path.basename(directory) not in (SESSIONS, ARCHIVED, ""):
        directory = os.path.dirname(directory)
    return os.path.dirname(directory)


def paths(store_path: str) -> Iterator[str]:
    """Every session file but the archived ones, which the user has put away."""
    directories = [os.path.join(store_path, SESSIONS)]
    for _ in ("year", "month", "day"):
        directories = [
            os.path.join(parent, name) for parent in directories for name in names(parent) if name.isdigit()
        ]
    for directory in directories:
        yield from (f"{directory}/{name}" for name in names(directory) if native_id(name))


def find(store: str, thread: str) -> str | None:
    """The session file of this thread: at the day in its id, else wherever it is."""
    if not _is_id(thread):
        return None
    born = _milliseconds(thread)
    days = [day for offset in (0, -1, 1) if (day := instant(born + offset * DAY)) is not None]
    for directory in (*(day.strftime("%Y/%m/%d") for day in days), os.path.join(os.pardir, ARCHIVED)):
        parent = os.path.normpath(os.path.join(store, SESSIONS, directory))
        for name in names(parent):
            if name.endswith(f"-{thread}.jsonl"):
                return os.path.join(parent, name)
    return next((path for path in paths(store) if native_id(path) == thread), None)


def born_at(thread: str) -> datetime | None:
    """When the thread was made, by its id; None for an id that does not tell."""
    return instant(_milliseconds(thread)) if thread[14:15] == "7" else None


def _milliseconds(thread: str) -> int:
    return int(thread.replace("-", "")[:12], 16)


def lock_of(store: str, thread: str) -> str:
    """The file that the process which writes this thread keeps locked."""
    return os.path.join(store, LOCKS, f"{thread}.lock")


def read(path: str, *, head: int = HEAD, tail: int = TAIL) -> Rollout | None:
    """What the file's first and last bytes say; None if they hold no record."""
    size = reading.size(path)
    lines = reading.head_lines(path, head) if size > tail else []
    last = reading.tail_lines(path, tail)
    first, later = (
        [record for line in part if (record := _record(line)) is not None] for part in (lines, last)
    )
    if not first and not later:
        return None
    metas = (payload_of(record) for record in (*first, *later) if record.get("type") == "session_meta")
    meta = next(metas, {})  # without a whole first line, the file's name gives the thread's id
    turns = _turns((*first, *later))
    if size > head + tail and not _turns(later):
        turns = (*turns, Turn())  # the end has no turn: the state of the last one is unknown
    final = next(reading.json_objects(reversed(last)), None)
    updated_at = (
        timestamp(final.get("timestamp")) if final else reading.changed_at(path)
    )  # the last line is longer than `tail`
    return Rollout(path, meta, turns, updated_at)


def _record(line: str) -> dict[str, Any] | None:
    """The record, if it is one of KINDS: most of a long file is not, and need not be parsed."""
    begin = line[:NAMED_WITHIN]
    record = json_object(line) if any(kind in begin for kind in KINDS) else None
    if record is None or "payload" in record or record.get("type") not in ("message", *CALLS):
        return record
    return {"type": "response_item", "payload": record}  # as releases before September 2025 wrote it


def payload_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record's content."""
    return mapping(record.get("payload"))


def _turns(records: Iterable[Mapping[str, Any]]) -> tuple[Turn, ...]:
    """The turns in the order in which they began. A turn whose beginning is missing counts, too."""
    turns: dict[str, Turn] = {}
    current = ""
    context: Mapping[str, Any] | None = None
    for record in records:
        payload = payload_of(record)
        named = string(payload.get("turn_id"))
        if not named and _begins(turns.get(current), record, payload):
            current = f"{NAMELESS}{len(turns)}"
            turns[current] = Turn(began_at=timestamp(record.get("timestamp")), is_nameless=True)
            if context is not None:
                turns[current] = _after(turns[current], context, payload_of(context))
        if record.get("type") == "turn_context" and not named:
            context = record
        current = named or current
        if current:
            turns[current] = _after(turns.get(current, Turn()), record, payload)
    return tuple(turns.values())


NAMELESS = "nameless "


def _begins(current: Turn | None, record: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
    """Whether a record without a turn's id begins a turn."""
    if current is not None and not current.is_nameless:
        return False  # codex names its turns here
    if payload.get("type") == "task_started":
        return True
    prompt = _asked(record, payload)
    if prompt is None:
        return False
    # A prompt is recorded twice, as a message and as an event.
    is_repeated = current is not None and not current.is_over and current.prompt in (None, prompt)
    return not is_repeated


def _asked(record: Mapping[str, Any], payload: Mapping[str, Any]) -> str | None:
    """The prompt that a message or an event of an older release holds."""
    text: str | None = None
    match record.get("type"), payload.get("type"):
        case "event_msg", "user_message" if payload.get("kind") in (None, "plain"):
            text = string(payload.get("message"))
        case "response_item", "message" if payload.get("role") == "user":
            text = item_text(payload)
    return None if not text or text.lstrip().startswith(CONTEXT) else _request(text)


def _request(text: str) -> str:
    """A prompt without what an editor put before it."""
    return text.rpartition(REQUEST)[2].strip() or text if REQUEST in text else text


def _after(turn: Turn, record: Mapping[str, Any], payload: Mapping[str, Any]) -> Turn:
    """The turn after this record."""
    if turn.began_at is None:
        # The record of a turn's end has only the second in which it began: the end of that second counts.
        second = integer(payload.get("started_at"))
        exact = timestamp(record.get("timestamp")) if payload.get("type") == "task_started" else None
        turn = turn._replace(began_at=exact or (instant(second * 1000 + 999) if second else None))
    if turn.is_nameless:
        turn = _after_message(turn, record, payload)
    match record.get("type"), payload.get("type"):
        case "turn_context", _:
            policy = mapping(payload.get("sandbox_policy"))
            return turn._replace(
                model=string(payload.get("model")),
                cwd=string(payload.get("cwd")),
                sandbox=string(policy.get("type")) or string(policy.get("mode")),
            )
        case "token_usage_record", _:
            return turn._replace(
                tokens=tokens(payload.get("turn_token_usage")),
                thread_tokens=tokens(payload.get("thread_token_usage")),
                answers=turn.answers + 1,
            )
        case _, "token_count" if not turn.answers:
            usage = mapping(payload.get("info")).get("total_token_usage")
            return turn._replace(thread_tokens=tokens(usage)) if usage else turn
        case _, "item_completed" if not turn.prompt:
            return turn._replace(prompt=_request(item_text(mapping(payload.get("item")))))
        case _, "function_call_output" if turn.sandbox != NO_SANDBOX:
            refused = re.search(_REFUSED, string(payload.get("output")) or "")
            if refused is not None:
                return turn._replace(refused=(*turn.refused, one_line(refused[1], LINE)))
        case _, "task_complete" if payload.get("error"):
            text = error_text(payload.get("error"))
            return turn._replace(is_over=True, verdict=AgentVerdict.ERROR, text=text)
        case _, "task_complete":
            text = string(payload.get("last_agent_message")) or ""
            return turn._replace(is_over=True, verdict=AgentVerdict.OK, text=text or None)
        case _, "turn_aborted":
            text = f"the turn was {one_line(string(payload.get('reason')) or 'aborted', LINE)}"
            return turn._replace(is_over=True, verdict=AgentVerdict.ERROR, text=text)
    return turn


def _after_message(turn: Turn, record: Mapping[str, Any], payload: Mapping[str, Any]) -> Turn:
    """A turn without an id after this record: an answer ends it, and a call of a tool takes that back."""
    if turn.prompt is None and (prompt := _asked(record, payload)) is not None:
        return turn._replace(prompt=prompt)
    said: str | None = None
    match record.get("type"), payload.get("type"):
        case "event_msg", "agent_message":
            said = string(payload.get("message"))
        case "response_item", "message" if payload.get("role") == "assistant":
            said = item_text(payload)
        case "response_item", kind if kind in CALLS:
            return turn._replace(is_over=False, verdict=AgentVerdict.SILENT)
    return turn._replace(is_over=True, verdict=AgentVerdict.OK, text=said) if said else turn


def item_text(item: Mapping[str, Any]) -> str:
    """The text of a message's parts together."""
    return "".join(string(part.get("text")) or "" for part in mappings(item.get("content")))
