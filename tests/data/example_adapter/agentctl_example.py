"""Example: an agentctl adapter for `example-agent`, a program that answers one prompt.

A module is an adapter if it has everything that `agentctl.adapters.base.Adapter` names.
What its program does not do comes from the defaults in `base` (`no_match`, `never_transient`).
It only describes: agentctl starts, watches and stops the program.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from agentctl.adapters import reading
from agentctl.adapters.base import (
    Capability,
    Command,
    CommandRequest,
    Message,
    NativeSession,
    Option,
    Role,
    never_transient,
    no_listing,
    no_match,
)
from agentctl.adapters.values import integer, string
from agentctl.core.model import TERM_THEN_KILL, AgentVerdict, Result, Rung, Session, Tokens
from agentctl.errors import UsageFault

# Who it is. `agentctl adapters` shows these; NAME is the name of the entry point.
NAME = "example"
SUMMARY = "Example agent, which repeats what it is told."
PROGRAM: str | None = "example-agent"
INSTALL: str | None = "copy example-agent to a directory of PATH"
VERIFIED = "1.0"
CAPABILITIES = frozenset(
    {
        Capability.LAUNCH,
        Capability.PROMPT,
        Capability.MODEL,
        Capability.RESUME,
        Capability.PEEK,
        Capability.DISCOVER,
    }
)
LADDER: tuple[Rung, ...] = TERM_THEN_KILL  # how `stop` ends it: TERM, ten seconds, KILL
PROCESS_NAMES = frozenset({"example-agent"})
OPTIONS: tuple[Option, ...] = ()  # keys of its own in [adapters.example]

LOG_BYTES = 1024 * 1024

listing = no_listing  # its store does not tell which sessions run
match = no_match  # nor which process works on which
is_transient = never_transient


def launch_command(request: CommandRequest) -> Command:
    """The prompt goes to standard input: nobody reads it in `ps`, and it may be long."""
    if not request.prompt or not request.prompt.strip():
        raise UsageFault("example needs a prompt", hint="give one with --prompt or --prompt-file")
    model = ("--model", request.model) if request.model else ()
    program = request.program or ("example-agent",)
    return Command(argv=(*program, *model, *request.args), stdin=request.prompt)


def resume_command(session: Session, request: CommandRequest) -> Command:
    """The same conversation under the program's own id."""
    if session.native_id is None:
        raise UsageFault("example never said which conversation this was", hint="launch it again")
    command = launch_command(request)
    argv = (*command.argv, "--session", session.native_id)
    return Command(argv=argv, stdin=command.stdin, native_id=session.native_id)


def native_id(session: Session, log_path: str) -> str | None:
    """The program's own id, which its first line names."""
    for record in reading.json_objects(reading.head_lines(log_path, 4096)):
        return string(record.get("session"))
    return None


def result(session: Session, log_path: str) -> Result:
    """What the program says of its run. An exit code alone would not tell why it failed."""
    found: dict[str, object] = {}
    text = None
    for record in reading.json_objects(reading.tail_lines(log_path, LOG_BYTES)):
        found |= record
        text = string(record.get("text")) or text
    ended = found.get("type") == "end"
    failed = ended and found.get("ok") is not True
    verdict = AgentVerdict.ERROR if failed else AgentVerdict.OK if ended else AgentVerdict.SILENT
    return Result(
        verdict=verdict,
        text=string(found.get("error")) if failed else text,
        native_id=string(found.get("session")),
        model=string(found.get("model")),
        tokens=Tokens(input=integer(found.get("input")), output=integer(found.get("output"))),
    )


def messages(session: Session, log_path: str) -> Iterator[Message]:
    """For `peek`: from the log of a session launched here, from the store for any other."""
    if session.source == "external" and session.transcript_path:
        log_path = session.transcript_path
    if session.prompt:
        yield Message(role=Role.USER, text=session.prompt)
    yield from log_messages(reading.tail_lines(log_path, LOG_BYTES))


def log_messages(lines: Iterable[str]) -> Iterator[Message]:
    """For `logs`: its records made readable; whatever else it prints, as it is."""
    for line in lines:
        record = reading.json_object(line)
        if record is None:
            yield Message(role=Role.LOG, text=line)
        elif error := string(record.get("error")):
            yield Message(role=Role.ERROR, text=error)
        elif text := string(record.get("text")):
            yield Message(role=Role.ASSISTANT, text=text)


# Sessions that were not started by agentctl. `list` asks for them if the configuration says
# `discover = true` in [adapters.example].


def store_path(environ: Mapping[str, str]) -> str | None:
    """Where the program keeps its sessions."""
    return environ.get("EXAMPLE_HOME") or None


def sources(store_path: str) -> Iterable[str]:
    """A file for each session: agentctl reads it again only when its time or size has changed."""
    try:
        names = sorted(os.listdir(store_path))
    except OSError:
        return []
    return [os.path.join(store_path, name) for name in names if name.endswith(".json")]


def discover(source: str) -> Iterable[NativeSession]:
    """The session of one file; none if it is not one."""
    for record in reading.json_objects(reading.head_lines(source, LOG_BYTES)):
        name = string(record.get("session"))
        if name is not None:
            at = datetime.fromtimestamp(os.stat(source).st_mtime, UTC)
            yield NativeSession(
                native_id=name,
                store_path=os.path.dirname(source),
                cwd=string(record.get("cwd")),
                title=string(record.get("prompt")),
                created_at=at,
                updated_at=at,
                model=string(record.get("model")),
                result=Result(
                    verdict=AgentVerdict.OK, text=string(record.get("text")), transcript_path=source
                ),
            )
